"""`kgdists train`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from kgdists.agents.tuned import default_agent, known_settings
from kgdists.cli.agents import CONFIGS, fixed
from kgdists.cli.environments import add_environment
from kgdists.cli.evaluations import Evaluating, add_evaluating
from kgdists.cli.options import GROUPS, add_settings, given_settings
from kgdists.cli.saving import add_save_every
from kgdists.cli.tensorflow import start_tensorflow, threads_for
from kgdists.core.checks import in_short
from kgdists.core.choices import MAX_SEEDS, MAX_STEPS, MAX_THREADS

__all__ = ["add_to", "show_help", "train"]

USAGE = "kgdists train ENV [--agent NAME] [--steps N] [--out DIR] [OPTIONS]"
DESCRIPTION = """Train an agent, evaluate it and write a run folder. With ENV and --agent, the help shows the options
of that agent and the settings tuned for ENV."""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser("train", help="train an agent on an environment", usage=USAGE, description=DESCRIPTION)
    _add_options(parser)
    parser.set_defaults(command=train)


def show_help(arguments: Sequence[str]) -> int:
    """Print the help for the environment and the agent that the command line names."""
    options = [x for x in arguments if x not in ("-h", "--help")]
    reader = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    _add_options(reader, is_optional=True)
    known, _ = reader.parse_known_args(options)
    agent = known.agent or (default_agent(known.env) if known.env else None)
    parser = argparse.ArgumentParser(usage=USAGE, description=DESCRIPTION)
    _add_options(parser, [agent] if agent else [], known.env)
    parser.print_help()
    return 0


def _add_options(parser, agents=(), env=None, is_optional=False):
    groups = {title: parser.add_argument_group(title) for title in GROUPS}
    add_environment(parser, groups["environment"], is_optional)
    tuned = known_settings(env) if env else {}
    steps = tuned[agents[0]].total_steps if agents and agents[0] in tuned else "tuned for ENV, else the agent's"
    run, output = groups["run"], groups["output"]
    run.add_argument(
        "--agent",
        choices=list(CONFIGS),
        help=f"Choose how to train: by gradients, or by a search for the weights. One of {', '.join(CONFIGS)}. "
        f"Default: {default_agent(env) if env else 'the first that `kgdists list ENV` shows, else ppo'}.",
    )
    run.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help=f"Take N environment steps, rounded up to whole updates. A whole number >= 1. Default: {steps}.",
    )
    run.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="Train N agents side by side, with the seed and the numbers that follow, each into a folder of its own in "
        f"DIR. A whole number from 1 to {MAX_SEEDS}. Default: one agent, into DIR itself.",
    )
    run.add_argument(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help=f"Use N threads for one operation of TensorFlow; 1 is best for small networks. A whole number from 1 to "
        f"{MAX_THREADS}. Default: 1.",
    )
    add_settings(groups, agents, env)
    groups["evaluation"].add_argument(
        "--evaluate-every",
        type=int,
        metavar="N",
        help="Evaluate every N environment steps, log it, and keep the best policy as best.keras. A whole number >= 1. "
        "Default: only at the end.",
    )
    add_evaluating(groups["evaluation"], "100 at the end of the training, 20 in its course")
    output.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="Write the run into DIR, which must be new or empty. Default: a new folder under runs/.",
    )
    add_save_every(output)


def train(options: argparse.Namespace) -> int:
    """Train an agent and write its run folder."""
    if not 1 <= options.threads <= MAX_THREADS:
        raise ValueError(f"`--threads` must be from 1 to {MAX_THREADS}. Received: {options.threads}")
    if options.evaluate_every is not None and options.evaluate_every < 1:
        raise ValueError(f"`--evaluate-every` must be at least 1. Received: {options.evaluate_every}")
    if options.steps is not None and not 1 <= options.steps <= MAX_STEPS:
        raise ValueError(f"`--steps` must be from 1 to {MAX_STEPS:.0e}. Received: {in_short(options.steps)}")
    if options.seeds is not None and not 1 <= options.seeds <= MAX_SEEDS:
        raise ValueError(f"`--seeds` must be from 1 to {MAX_SEEDS}. Received: {in_short(options.seeds)}")
    evaluating = Evaluating.of(options)
    agent = options.agent or default_agent(options.env)
    settings = given_settings(options, agent)
    settings["seed"] = settings.get("seed", 0)
    tuned = known_settings(options.env)
    CONFIGS[agent](**fixed(agent) | (dict(tuned[agent].settings) if agent in tuned else {}) | settings)
    start_tensorflow(max(options.threads, threads_for(options.seeds or 1)))
    from kgdists.cli.starting import start

    return start(options, agent, settings, evaluating)
