"""The run folder that a command is about, checked before anything is imported."""

import argparse
from pathlib import Path

__all__ = ["run_folder"]


def run_folder(text: str) -> Path:
    """The path of a run folder, as argparse's type of an argument."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"no such run folder: {text}")
    if not (path / "config.json").is_file():
        raise argparse.ArgumentTypeError(f"a run folder must contain the file config.json. Received: {text}")
    return path
