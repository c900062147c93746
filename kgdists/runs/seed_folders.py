"""Run folders of agents that differ in their seeds, side by side in one folder."""

from collections.abc import Iterable
from pathlib import Path

__all__ = ["expanded", "seed_folder", "seed_folders"]


def seed_folder(path: str | Path, index: int) -> Path:
    """The run folder of one of several agents with seeds of their own."""
    return Path(path) / f"seed_{index}"


def seed_folders(path: str | Path) -> list[Path]:
    """The run folders of agents with seeds of their own, in their order; none for another folder."""
    found: list[Path] = []
    while (seed_folder(path, len(found)) / "config.json").is_file():
        found.append(seed_folder(path, len(found)))
    return found


def expanded(paths: Iterable[Path]) -> list[Path]:
    """Run folders, those of several seeds in place of a folder of them."""
    return [run for path in paths for run in seed_folders(path) or [path]]
