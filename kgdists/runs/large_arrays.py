"""Large arrays in a checkpoint: files of their own, written and read one by one, so that memory holds one of them."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kgdists.core.lazy_array import LazyArray

__all__ = ["read_large", "write_large"]

FOLDER = "large/"


def write_large(archive: zipfile.ZipFile, arrays: Mapping[str, Any]) -> None:
    """Write those arrays that are lazy ones to an archive."""
    for name, x in arrays.items():
        if isinstance(x, LazyArray):
            with archive.open(f"{FOLDER}{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(x), allow_pickle=False)


def read_large(file: Path) -> dict[str, Any]:
    """Name -> array, lazy ones again, of what `write_large` wrote to the archive `file`."""
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.startswith(FOLDER)]
        return {name.removeprefix(FOLDER).removesuffix(".npy"): _lazy(archive, file, name) for name in names}


def _lazy(archive, file, name):
    with archive.open(name) as opened:
        np.lib.format.read_magic(opened)
        shape, _, dtype = np.lib.format.read_array_header_1_0(opened)

    def read():
        with zipfile.ZipFile(file) as archive, archive.open(name) as opened:
            return np.lib.format.read_array(opened, allow_pickle=False)

    return LazyArray(shape, dtype, read)
