"""`kgdists check`."""

import argparse

from kgdists.envs import check as check_env

__all__ = ["add_to", "check"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "check",
        help="look at an environment before training",
        description="Play an environment by random actions, and print a line for each error and each piece of advice. "
        "The exit status is 0 without an error, else 1.",
    )
    parser.add_argument("env", metavar="ENV", help="a Gymnasium id, for instance CartPole-v1")
    parser.add_argument("--steps", type=int, default=1_000, metavar="N", help="random steps; default: %(default)s")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the environment and the actions; default: %(default)s"
    )
    parser.set_defaults(command=check)


def check(options: argparse.Namespace) -> int:
    """Print what is found about an environment."""
    report = check_env(options.env, steps=options.steps, seed=options.seed)
    print(report)
    return 0 if report.is_good else 1
