"""`kgdists list`."""

import argparse
from collections.abc import Mapping

from kgdists.agents.tuned import TUNED, Tuned, known_settings

__all__ = ["add_to", "show"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "list",
        help="show the environments with tuned settings",
        description="Show the settings that are tuned for environments, those of the default agent first.",
    )
    parser.add_argument(
        "env", nargs="?", metavar="ENV", help="Show those of this environment alone. Default: those of all."
    )
    parser.set_defaults(command=show)


def show(options: argparse.Namespace) -> int:
    """Print tuned settings."""
    if options.env is None:
        for env, agents in TUNED.items():
            _show(env, agents)
        return 0
    known = known_settings(options.env)
    if not known:
        print(f"{options.env}: nothing is tuned; `kgdists train {options.env}` takes ppo's defaults")
        return 0
    _show(options.env if options.env in TUNED else _row(known), known)
    return 0


def _show(env: str, agents: Mapping[str, Tuned]) -> None:
    print(env)
    for agent, known in agents.items():
        settings = ", ".join(
            f"{name}={value}{' -> 0' if name in known.decay else ''}" for name, value in known.settings.items()
        )
        print(f"  {agent}, {known.total_steps} steps: {settings}")


def _row(known):
    """The row of the table in which settings stand."""
    return next(row for row, agents in TUNED.items() if agents is known)
