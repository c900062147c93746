"""Atomic writes, and errors for damaged files."""

import contextlib
import os
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from kgdists.core.run_warning import RunWarning
from kgdists.core.unknown_classes import UnknownClassError, naming_unknown

try:
    import fcntl
except ImportError:  # where there is no POSIX
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "DamagedFileError",
    "atomic_write",
    "check_sizes",
    "reading",
    "damaged",
    "load_model",
    "locked",
    "not_finite",
    "reason",
]


class DamagedFileError(ValueError):
    """A file is not as it was written."""


def damaged(file: str | Path, reason: str) -> DamagedFileError:
    """The error that says so."""
    return DamagedFileError(
        f"A run's files must be as they were written; this one is damaged: {reason}. Received: {file}"
    )


@contextlib.contextmanager
def reading(file: str | Path) -> Iterator[None]:
    """Re-raise any error from reading a file as a one-line `DamagedFileError`, or as the `UnknownClassError` it is."""
    try:
        with naming_unknown():
            yield
    except (DamagedFileError, RunWarning):  # the second where warnings are errors
        raise
    except UnknownClassError as error:
        raise UnknownClassError(error.name, str(file)) from error
    except Exception as error:
        raise damaged(file, reason(error)) from error


def reason(error: BaseException) -> str:
    """Why a file cannot be read, or Keras cannot make an object: the innermost cause, in one line."""
    if isinstance(error, zipfile.BadZipFile):
        return "a checksum differs" if "CRC" in str(error) else "it is no whole zip archive"
    if isinstance(error, KeyError) and " " not in str(error):
        return f"it lacks {error}"
    before, _, inner = str(error).rpartition("Exception encountered:")
    what = before.partition(", <class ")[0] if " cannot be loaded, " in before else ""
    text = " ".join(f"{what} {inner}".split()).partition(". Make sure custom")[0].partition("Full object config:")[0]
    return text[:200].strip().removesuffix(".") or type(error).__name__


@contextlib.contextmanager
def atomic_write(file: Path) -> Iterator[Path]:
    """A path to write to that takes the place of `file` once it is written, and is on the disk before it does."""
    # Each writer has a name of its own: two at once must not write into, or take away, each other's file.
    partial = file.with_name(f"partial-{secrets.token_hex(4)}-{file.name}")
    try:
        yield partial
        with partial.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(partial, file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # where folders cannot be opened
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def locked(folder: str | Path, waits: bool = True) -> Iterator[None]:
    """Keep others that ask out of a folder; the end of this process, even a sudden one, lets them in.

    Raises
    ------
    BlockingIOError
        If another is in it, and this one does not wait.
    """
    if fcntl is None:
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except OSError as error:
            if isinstance(error, BlockingIOError):  # else it is a file system without locks
                raise
        yield
    finally:
        os.close(opened)


def check_sizes(file: str | Path) -> None:
    """Raise if what is in a zip archive takes more room than the archive: what kgdists and Keras write never does."""
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
    size = os.path.getsize(file)
    unpacked = sum(info.file_size for info in infos)
    if unpacked > size or any(info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise ValueError(f"{size} bytes unpack to {unpacked}, where nothing may be compressed")


def load_model(file: str | Path) -> keras.Model:
    """A `.keras` file, in safe mode and within the file's own size."""
    check_sizes(file)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.filename.endswith(".h5"):
                with archive.open(info) as opened, h5py.File(opened) as content:
                    _check_datasets(content, info.file_size)
    return keras.models.load_model(file, compile=False)


def _check_datasets(content, size):
    sets: list[Any] = []
    content.visititems(lambda name, x: sets.append(x) if isinstance(x, h5py.Dataset) else None)
    unpacked = sum(x.nbytes for x in sets)
    if unpacked > size or any(x.is_virtual or x.external for x in sets):
        raise ValueError(f"{size} bytes of weights unpack to {unpacked}, where nothing may be compressed")


def not_finite(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """The names of those arrays, of a dict, that hold a NaN or an infinity."""
    return [name for name, x in arrays.items() if x.dtype.kind not in "biuOSU" and not np.isfinite(x).all()]
