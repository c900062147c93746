"""Expectation maximisation."""

__all__ = ["maximise"]


def maximise(*args):
    raise NotImplementedError
