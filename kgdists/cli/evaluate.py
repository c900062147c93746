"""`kgdists evaluate`."""

import argparse
from pathlib import Path

from kgdists.cli.agents import agent_of

__all__ = ["add_to", "evaluate"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser("evaluate", help="play episodes with a trained policy")
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("--episodes", type=int, default=100, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, metavar="N", help="of the environments")
    parser.add_argument("--stochastic", action="store_true", help="draw actions instead of taking the most probable")
    parser.set_defaults(command=evaluate)


def evaluate(options: argparse.Namespace) -> int:
    """Print the evaluation of a run's policy."""
    agent = agent_of(options.run).load(options.run)
    evaluation = agent.evaluate(options.episodes, deterministic=not options.stochastic, seed=options.seed)
    print(f"{agent.env}: {evaluation}")
    return 0
