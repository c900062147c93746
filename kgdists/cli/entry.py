"""Entry of the command line."""

import argparse
import sys

import gymnasium

from kgdists.cli import evaluate, known, plot, train

__all__ = ["main"]

COMMANDS = (train, evaluate, plot, known)
ERRORS = (ValueError, OSError, ImportError, FloatingPointError, gymnasium.error.Error)


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
    parser = Parser(prog="kgdists", description="Train and look at policies built from kgdists' distributions.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        return options.command(options)
    except ERRORS as error:
        print(f"{parser.prog}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1 if isinstance(error, FloatingPointError) else 2
