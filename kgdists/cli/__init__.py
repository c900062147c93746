"""The command line, one file a command."""

from kgdists.cli.entry import main

__all__ = ["main"]
