"""The option of how often a run is saved, shared by `train` and `resume`."""

import argparse

__all__ = ["add_save_every"]


def add_save_every(group: argparse._ArgumentGroup) -> None:
    """Add the option."""
    group.add_argument(
        "--save-every",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="Write a checkpoint every SECONDS seconds, 0 after each update. A number >= 0. Default: %(default)g.",
    )


def _seconds(text):
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0.0:
        raise argparse.ArgumentTypeError(f"must be a number >= 0. Received: {text}")
    return seconds
