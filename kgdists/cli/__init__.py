"""The command line, one file a command."""

from kgdists.cli.main import main

__all__ = ["main"]
