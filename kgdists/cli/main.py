"""Entry of the command line."""

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

import shtab

from kgdists.cli import check, evaluate, list_environments, plot, record, report, resume, train
from kgdists.cli.options import suggestion
from kgdists.core.run_warning import RunWarning

__all__ = ["main"]

COMMANDS = (check, train, resume, evaluate, plot, record, report, list_environments)
MISTYPED = (ValueError, OSError, ImportError, MemoryError)  # the last of networks that no machine holds


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
    int, the exit status: 0, 1 if something failed or a check found an error, 2 for wrong input, 130 if interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["train"] and {"-h", "--help"} & set(arguments):
        return train.show_help(arguments[1:])
    parser = Parser(prog="kgdists", description="Train and look at policies built from kgdists' distributions.")
    parser.add_argument(
        "--version", action="version", version=f"kgdists {_version()}", help="Show the version and exit."
    )
    shtab.add_argument_to(parser, "--print-completion", help="Print a script for your shell that completes commands.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = commands.choices[arguments[0]]._option_string_actions
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{suggestion(unknown[0], known)}")
    if os.getcwd() not in sys.path:  # modules of the working folder are found, after those that are installed
        sys.path.append(os.getcwd())
    try:
        with _warnings_in_one_line(parser.prog):
            return options.command(options)
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        status = _status(error)
        if status is None:
            raise
        print(f"{parser.prog}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return status


def _version():
    try:
        return version("kgdists")
    except PackageNotFoundError:  # run from sources, which is no reason for a command to end
        return "of sources that are not installed"


def _status(error):
    """The exit status of an error that its message tells, None for others."""
    # Their classes are not imported yet where an error cannot be theirs.
    if (tensorflow := sys.modules.get("tensorflow")) and isinstance(error, tensorflow.errors.ResourceExhaustedError):
        return 2
    if (gymnasium := sys.modules.get("gymnasium")) and isinstance(error, gymnasium.error.Error):
        return 2
    if isinstance(error, FloatingPointError):
        return 1
    return 2 if isinstance(error, MISTYPED) else None


@contextlib.contextmanager
def _warnings_in_one_line(prog: str) -> Iterator[None]:
    """Show warnings about runs in one line each."""
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
