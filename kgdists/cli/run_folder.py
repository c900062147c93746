"""The run folder that a command is about, checked before anything is imported."""

import argparse
from pathlib import Path

from kgdists.runs.seed_folders import seed_folder, seed_folders

__all__ = ["run_folder", "run_or_seeds"]


def run_folder(text: str) -> Path:
    """The path of a run folder, as argparse's type of an argument."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"no such run folder: {text}")
    if seed_folders(path):
        raise argparse.ArgumentTypeError(
            f"{text} has the run folders of several seeds: pass one of them, such as {seed_folder(path, 0)}"
        )
    if not (path / "config.json").is_file():
        raise argparse.ArgumentTypeError(f"a run folder must contain the file config.json. Received: {text}")
    return path


def run_or_seeds(text: str) -> Path:
    """The same, or the path of a folder with run folders of several seeds."""
    return Path(text) if seed_folders(text) else run_folder(text)
