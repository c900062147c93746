"""`kgdists evaluate`."""

import argparse
from pathlib import Path

from kgdists.cli.agents import agent_of
from kgdists.cli.evaluations import Evaluating, add_evaluating

__all__ = ["add_to", "evaluate"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser("evaluate", help="play episodes with a trained policy")
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    add_evaluating(parser, "100", episodes="--episodes", max_steps="--max-steps")
    parser.add_argument("--seed", type=int, metavar="N", help="of the environments")
    parser.add_argument("--stochastic", action="store_true", help="draw actions instead of taking the most probable")
    parser.set_defaults(command=evaluate)


def evaluate(options: argparse.Namespace) -> int:
    """Print the evaluation of a run's policy."""
    evaluating = Evaluating.of(options)
    agent = agent_of(options.run).load(options.run)
    evaluation = agent.evaluate(
        evaluating.episodes or 100,
        deterministic=not options.stochastic,
        seed=options.seed,
        max_steps=evaluating.max_steps,
        eval_envs=evaluating.envs,
    )
    print(f"{agent.env}: {evaluation}")
    return 0
