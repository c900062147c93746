"""`kgdists evaluate`."""

import argparse

from kgdists.cli.environments import name_modules
from kgdists.cli.evaluations import Evaluating, add_evaluating
from kgdists.cli.run_folder import run_folder
from kgdists.cli.tensorflow import start_tensorflow

__all__ = ["add_to", "evaluate"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "evaluate",
        help="play episodes with a trained policy",
        description="Play episodes with a trained policy and print what they returned.",
    )
    parser.add_argument("run", type=run_folder, metavar="RUN", help="The run folder.")
    group = parser.add_argument_group("evaluation")
    add_evaluating(group, "100", names=("--episodes", "--max-steps"))
    group.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="Set the seed of the environments. A whole number >= 0. Default: another one each time.",
    )
    group.add_argument(
        "--stochastic",
        action="store_true",
        help="Draw actions instead of taking the most probable ones. Default: no.",
    )
    parser.set_defaults(command=evaluate)


def evaluate(options: argparse.Namespace) -> int:
    """Print the evaluation of a run's policy."""
    evaluating = Evaluating.of(options)
    start_tensorflow()
    from kgdists.agents.algorithms import class_of
    from kgdists.runs.layout import read_config

    cls = class_of(options.run)
    name_modules(read_config(options.run))
    agent = cls.load(options.run)
    evaluation = agent.evaluate(
        evaluating.episodes or 100,
        deterministic=not options.stochastic,
        seed=options.seed,
        max_steps=evaluating.max_steps,
        eval_envs=evaluating.envs,
    )
    print(f"{agent.env}: {evaluation}")
    return 0
