"""How much memory there is for what is about to be made."""

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["NotEnoughMemoryError", "available"]

# Of both versions of control groups: their folder, and the files of the limit, of what is used, and, in the statistics,
# the line of pages that are given back when others need them.
VERSIONS = {
    2: ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    1: ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


class NotEnoughMemoryError(ValueError):
    """What a setting asks for does not fit into memory."""


def available(root: str | Path = "/") -> int | None:
    """Bytes that this process may still take: those of the system, within the limits of its control groups.

    Parameters
    ----------
    root : str or path
        Where `proc` and `sys` are.

    Returns
    -------
    int, >= 0, or None if it is not known. Where the system tells no more, it is all memory that the machine has.

    Examples
    --------
    >>> from kgdists.core import memory
    >>> memory.available() > 0
    True
    """
    root = Path(root)
    left = [x for x in (_of_system(root), *_of_groups(root)) if x is not None]
    return max(0, min(left)) if left else None


def _of_system(root: Path) -> int | None:
    of_linux = _number(root / "proc/meminfo", "MemAvailable:")
    if of_linux is not None:
        return of_linux * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_groups(root: Path) -> Iterator[int]:
    """What is left of the limit of each group that this process is in, directly or by a group around it."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        folder, limit, used, spare = VERSIONS[1 if controllers else 2]
        top = root / folder
        group = top / path.lstrip("/")
        # In a container the path may be that outside of it, where only the topmost folder is.
        for each in (group, *(x for x in group.parents if x.is_relative_to(top))):
            most, taken = _number(each / limit), _number(each / used)
            if most is not None and taken is not None:
                yield most - taken + (_number(each / "memory.stat", spare) or 0)


def _number(file: Path, name: str | None = None) -> int | None:
    """The number in a file, or in its line of that name; None if there is none."""
    for line in _lines(file):
        words = line.split()
        if name is not None and words[:1] != [name]:
            continue
        found = words[0 if name is None else 1]
        return int(found) if found.isdecimal() else None
    return None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
