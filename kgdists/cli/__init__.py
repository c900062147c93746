"""The command line: a file for each command. What needs Keras is imported when a command runs."""

from kgdists.cli.main import main

__all__ = ["main"]
