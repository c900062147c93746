"""`kgdists train`."""

import argparse
import dataclasses
import itertools
from pathlib import Path

from kgdists.agents.tuned import default_agent
from kgdists.cli.agents import AGENTS
from kgdists.cli.evaluations import Evaluating, add_evaluating
from kgdists.cli.options import add_settings, given_settings
from kgdists.cli.training import add_save_every, exclusive_run, set_threads, train_to
from kgdists.runs import checkpoint, layout

__all__ = ["add_to", "train"]

CLASSES = {name: entry.agent for name, entry in AGENTS.items()}


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "train",
        help="train an agent on an environment",
        usage="%(prog)s ENV [--agent NAME] [--steps N] [--out DIR] [SETTINGS]",
        description="Train an agent, evaluate it over 100 episodes and write a run folder.",
    )
    parser.add_argument(
        "env", metavar="ENV", help="a Gymnasium id, for instance CartPole-v1; `kgdists list` shows some"
    )
    parser.add_argument(
        "--agent",
        choices=list(AGENTS),
        help="how to train, by gradients or by a search for the weights; default: the first that `kgdists list` shows "
        "for ENV, else ppo",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="environment steps; default: tuned for ENV")
    parser.add_argument("--out", type=Path, metavar="DIR", help="run folder; default: a new one under runs/")
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help="threads of one operation of TensorFlow; default: 1, best for small networks",
    )
    parser.add_argument(
        "--evaluate-every",
        type=int,
        metavar="N",
        help="log an evaluation every N steps, and keep the best policy as best.keras; never by default",
    )
    add_evaluating(parser, "100 at the end of the training, 20 in its course")
    add_save_every(parser)
    parser.set_defaults(command=train)
    add_settings(parser, CLASSES)


def train(options: argparse.Namespace) -> int:
    """Train an agent and write its run folder."""
    if not 1 <= options.threads <= layout.MAX_THREADS:
        raise ValueError(f"`--threads` must be from 1 to {layout.MAX_THREADS}. Received: {options.threads}")
    if options.evaluate_every is not None and options.evaluate_every < 1:
        raise ValueError(f"`--evaluate-every` must be at least 1. Received: {options.evaluate_every}")
    evaluating = Evaluating.of(options)
    name = options.agent or default_agent(options.env)
    settings = given_settings(options, name, CLASSES)
    total_steps, config = AGENTS[name].tuned(options.env, options.steps, **settings)
    set_threads(options.threads)
    settings = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    agent = CLASSES[name](options.env, **settings)
    run = _new_folder(options.out, f"{options.env.replace('/', '-')}-{name}-seed{config.seed}")
    facts = {
        "total_steps": total_steps,
        "threads": options.threads,
        "evaluate_every": options.evaluate_every,
        **evaluating.facts(),
        "versions": layout.versions(),
    }
    layout.write_config(run, checkpoint.identity(agent) | facts)
    with exclusive_run(run):
        agent.save(run)
        print(f"{name} on {options.env}, seed {config.seed}, {total_steps} steps, into {run}")
        return train_to(agent, run, total_steps, options.save_every, options.evaluate_every, evaluating)


def _new_folder(folder, name):
    """`folder` if it is new or empty; a new numbered one under `runs` if it is None.

    Of several processes that ask for it at once one alone gets it.
    """
    if folder is None:
        folder = next(filter(_is_made, (Path("runs") / f"{name}-{number}" for number in itertools.count(1))))
        (folder / layout.CHECKPOINTS).mkdir()
        return folder
    if (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))) or not _is_made(
        folder / layout.CHECKPOINTS
    ):
        raise ValueError(f"`--out` must be a new or empty folder. Received: {folder}")
    return folder


def _is_made(folder):
    """Whether this process made the folder."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True
