"""Entry of the command line."""

import argparse
import contextlib
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

import gymnasium
import tensorflow as tf

from kgdists.cli import check, evaluate, list_environments, plot, record, report, resume, train
from kgdists.core.files import RunWarning

__all__ = ["main"]

COMMANDS = (check, train, resume, evaluate, plot, record, report, list_environments)
ERRORS = (
    ValueError,
    OSError,
    ImportError,
    FloatingPointError,
    MemoryError,
    gymnasium.error.Error,
    tf.errors.ResourceExhaustedError,
)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : None or list of str
        Instead of those of the process.

    Returns
    -------
    int, the exit status: 0, 1 if training failed or a check found an error, 2 for wrong input, 130 if interrupted.
    """
    parser = Parser(prog="kgdists", description="Train and look at policies built from kgdists' distributions.")
    parser.add_argument("--version", action="version", version=f"kgdists {_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        with _warnings_in_one_line(parser.prog):
            return options.command(options)
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except ERRORS as error:
        print(f"{parser.prog}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1 if isinstance(error, FloatingPointError) else 2


def _version():
    try:
        return version("kgdists")
    except PackageNotFoundError:  # run from sources, which is no reason for a command to end
        return "of sources that are not installed"


@contextlib.contextmanager
def _warnings_in_one_line(prog):
    with warnings.catch_warnings():
        warnings.simplefilter("always", RunWarning)
        show = warnings.showwarning

        def show_line(message, category, *where, **options):
            if issubclass(category, RunWarning):
                print(f"{prog}: warning: {message}", file=sys.stderr)
            else:
                show(message, category, *where, **options)

        warnings.showwarning = show_line
        yield
