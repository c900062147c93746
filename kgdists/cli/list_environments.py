"""`kgdists list`."""

import argparse

from kgdists.agents.tuned import TUNED

__all__ = ["add_to", "show"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser("list", help="show the environments with tuned settings")
    parser.set_defaults(command=show)


def show(options: argparse.Namespace) -> int:
    """Print the tuned settings of all environments, those of the default agent first."""
    for env, agents in TUNED.items():
        print(env)
        for agent, known in agents.items():
            settings = ", ".join(
                f"{name}={value}{' -> 0' if name in known.decay else ''}" for name, value in known.settings.items()
            )
            print(f"  {agent}, {known.total_steps} steps: {settings}")
    return 0
