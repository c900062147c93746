"""The warning about runs, which the command line shows in a line."""

__all__ = ["RunWarning"]


class RunWarning(UserWarning):
    """A run cannot go on quite as it would have."""
