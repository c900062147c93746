"""The command line: train, evaluate, plot and list."""

import argparse
import contextlib
import dataclasses
import json
import sys
import time
from pathlib import Path

import gymnasium
import keras
import tensorflow as tf

from kgdists import plotting
from kgdists.agents import ES, PPO, ESConfig, PPOConfig, checkpoint
from kgdists.agents.callbacks import MetricsFile, ProgressBar
from kgdists.agents.tuned import TUNED, TUNED_SEARCHES, tuned_config, tuned_search
from kgdists.evolution.gym import SEARCHERS

__all__ = ["main"]

AGENTS = {"ppo": PPO} | dict.fromkeys(SEARCHERS, ES)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : None or list of str
        Instead of those of the process.

    Returns
    -------
    int, the exit status: 0, 1 if training diverged, 2 for wrong input.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return options.command(options)
    except (ValueError, OSError, ImportError, FloatingPointError, gymnasium.error.Error) as error:
        print(f"{parser.prog}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1 if isinstance(error, FloatingPointError) else 2


def _parser():
    parser = Parser(prog="kgdists", description="Train and look at policies built from kgdists' distributions.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    train = commands.add_parser(
        "train",
        help="train an agent on an environment",
        usage="%(prog)s ENV [--agent NAME] [--steps N] [--out DIR] [SETTINGS]",
        description="Train an agent, evaluate it over 100 episodes and write a run folder.",
    )
    train.add_argument("env", metavar="ENV", help="a Gymnasium id, for instance CartPole-v1; `kgdists list` shows some")
    train.add_argument(
        "--agent",
        choices=list(AGENTS),
        default="ppo",
        help="policy gradients (ppo), or a search for the weights by an evolution strategy; default: %(default)s",
    )
    train.add_argument("--steps", type=int, metavar="N", help="environment steps; default: tuned for ENV")
    train.add_argument("--out", type=Path, metavar="DIR", help="run folder; default: a new one under runs/")
    train.add_argument(
        "--threads", type=int, default=1, metavar="N", help="threads of TensorFlow; default: 1, best for small networks"
    )
    train.set_defaults(command=_train)
    of_ppo, of_searches = _settings(PPOConfig), _settings(ESConfig)
    common = train.add_argument_group(
        "settings of all agents",
        "By default as `kgdists list` shows for ENV, else as in `PPOConfig` and `ESConfig` of `kgdists.agents`.",
    )
    groups = (
        (common, of_ppo, of_ppo.keys() & of_searches.keys()),
        (train.add_argument_group("settings of ppo"), of_ppo, of_ppo.keys() - of_searches.keys()),
        (
            train.add_argument_group("settings of " + ", ".join(SEARCHERS)),
            of_searches,
            of_searches.keys() - of_ppo.keys(),
        ),
    )
    for group, fields, names in groups:
        for name in fields:
            if name in names:
                _add_setting(group, fields[name])

    evaluate = commands.add_parser("evaluate", help="play episodes with a trained policy")
    evaluate.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    evaluate.add_argument("--episodes", type=int, default=100, metavar="N", help="default: %(default)s")
    evaluate.add_argument("--seed", type=int, metavar="N", help="of the environments")
    evaluate.add_argument("--stochastic", action="store_true", help="draw actions instead of taking the most probable")
    evaluate.set_defaults(command=_evaluate)

    plot = commands.add_parser("plot", help="plot the learning curves of runs")
    plot.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    plot.add_argument(
        "--out", type=Path, metavar="FILE", help="image to write; default: learning_curve.png in the first RUN"
    )
    plot.set_defaults(command=_plot)

    known = commands.add_parser("list", help="show the environments with tuned settings")
    known.set_defaults(command=_list)
    return parser


def _settings(config):
    """Name -> field of those settings of a config that are options."""
    return {field.name: field for field in dataclasses.fields(config) if field.name != "searcher"}


def _add_setting(group, field):
    option, text = f"--{field.name.replace('_', '-')}", field.metadata["help"]
    if field.type is bool:
        group.add_argument(option, action=argparse.BooleanOptionalAction, help=text)
    elif field.name == "hidden_units":
        group.add_argument(option, type=int, nargs="+", metavar="N", help=text)
    elif field.name == "seed":
        group.add_argument(option, type=int, default=0, metavar="N", help=f"{text}; default: %(default)s")
    elif field.type is str:
        group.add_argument(option, metavar="NAME", help=text)
    else:
        number, metavar = (int, "N") if field.type in (int, int | None) else (float, "X")
        group.add_argument(option, type=number, metavar=metavar, help=text)


def _train(options):
    if options.threads < 1:
        raise ValueError(f"`--threads` must be at least 1. Received: {options.threads}")
    total_steps, config = _config(options)
    _set_threads(options.threads)
    start = time.perf_counter()
    settings = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    agent = AGENTS[options.agent](options.env, **settings)
    run = _new_folder(options.out, f"{options.env.replace('/', '-')}-{options.agent}-seed{config.seed}")
    agent.save(run)
    print(f"{options.agent} on {options.env}, seed {config.seed}, {total_steps} steps, into {run}")
    logs = [
        ProgressBar(total_steps),
        MetricsFile(run / "metrics.csv"),
        keras.callbacks.TensorBoard(run / "tensorboard", write_graph=False),
    ]
    try:
        agent.learn(total_steps, logs)
    except KeyboardInterrupt:
        print(f"\nstopped after {agent.steps} steps")
    agent.save(run)
    evaluation = agent.evaluate(100, seed=config.seed)
    (run / "evaluation.json").write_text(json.dumps(dataclasses.asdict(evaluation)) + "\n")
    if agent.steps:
        plotting.learning_curve([run]).savefig(run / "learning_curve.png", dpi=120)
    print(f"{options.env}: {evaluation} after {agent.steps} steps, {time.perf_counter() - start:.1f} s; saved in {run}")
    return 0


def _config(options):
    """Total steps and settings of the agent: those given, else the tuned ones."""
    own = _settings(AGENTS[options.agent].Config)
    given = {name: getattr(options, name) for name in (_settings(PPOConfig) | _settings(ESConfig))}
    given = {name: tuple(x) if isinstance(x, list) else x for name, x in given.items() if x is not None}
    for name in given:
        if name not in own:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"`{option}` must go with an agent that has it. Received: --agent {options.agent}")
    if options.agent == "ppo":
        return tuned_config(options.env, options.steps, **given)
    return tuned_search(options.env, options.agent, options.steps, **given)


def _set_threads(threads):
    # A thread handing over to another costs more than a small network does.
    with contextlib.suppress(RuntimeError):  # TensorFlow runs already, within a process of the caller's
        tf.config.threading.set_intra_op_parallelism_threads(threads)


def _new_folder(folder, name):
    """`folder` if it is new or empty; a new numbered one under `runs` if it is None."""
    if folder is None:
        number = 1
        while (folder := Path("runs") / f"{name}-{number}").exists():
            number += 1
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"`--out` must be a new or empty folder. Received: {folder}")
    return folder


def _evaluate(options):
    agent_name = checkpoint.read_config(options.run)["agent"]
    if agent_name not in list(AGENTS):
        raise ValueError(f"The run's agent must be one of {', '.join(sorted(AGENTS))}. Received: {agent_name}")
    agent = AGENTS[agent_name].load(options.run)
    evaluation = agent.evaluate(options.episodes, deterministic=not options.stochastic, seed=options.seed)
    print(f"{agent.env}: {evaluation}")
    return 0


def _plot(options):
    out = options.out or options.runs[0] / "learning_curve.png"
    if out.is_dir():
        raise ValueError(f"`--out` must be an image file, not a folder. Received: {out}")
    plotting.learning_curve(options.runs).savefig(out, dpi=120)
    print(out)
    return 0


def _list(options):
    for env in TUNED:
        print(env)
        for agent, known in ({"ppo": TUNED[env]} | TUNED_SEARCHES.get(env, {})).items():
            settings = ", ".join(
                f"{name}={value}{' -> 0' if name in known.decay else ''}" for name, value in known.settings.items()
            )
            print(f"  {agent}, {known.total_steps} steps: {settings}")
    return 0
