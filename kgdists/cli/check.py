"""`kgdists check`."""

import argparse

from kgdists.cli.environments import add_environment, env_of
from kgdists.cli.tensorflow import start_tensorflow

__all__ = ["add_to", "check"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "check",
        help="look at an environment before training",
        description="Play an environment by random actions, and print a line for each error and each piece of advice. "
        "The exit status is 0 without an error, else 1.",
    )
    run, environment = (parser.add_argument_group(title) for title in ("run", "environment"))
    add_environment(parser, environment)
    run.add_argument(
        "--steps",
        type=int,
        default=1_000,
        metavar="N",
        help="Take N random steps. A whole number >= 1. Default: %(default)s.",
    )
    run.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="Set the seed of the environment and the actions. A whole number >= 0. Default: %(default)s.",
    )
    parser.set_defaults(command=check)


def check(options: argparse.Namespace) -> int:
    """Print what is found about an environment."""
    start_tensorflow()
    from kgdists.envs import check as check_env

    report = check_env(env_of(options), steps=options.steps, seed=options.seed)
    print(report)
    return 0 if report.is_good else 1
