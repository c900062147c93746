"""Files that are always whole ones, and those that are not."""

import contextlib
import os
import zipfile

__all__ = ["DamageError", "RunWarning", "aside", "damage", "damaged"]


class DamageError(ValueError):
    """A file is not as it was written."""


def damaged(file, reason):
    """The error that says so."""
    return DamageError(f"A run's files must be as they were written; this one is damaged: {reason}. Received: {file}")


class RunWarning(UserWarning):
    """A run cannot go on quite as it would have."""


@contextlib.contextmanager
def damage(file):
    """Turn into one clear line whatever is raised by what reads a file: there is no end of it."""
    try:
        yield
    except (DamageError, RunWarning):  # the second where warnings are errors
        raise
    except Exception as error:
        raise damaged(file, _reason(error)) from error


def _reason(error):
    if isinstance(error, zipfile.BadZipFile):
        return "a checksum differs" if "CRC" in str(error) else "it is no whole zip archive"
    if isinstance(error, KeyError) and " " not in str(error):
        return f"it lacks {error}"
    return " ".join(str(error).split())[:200].strip("'\" .") or type(error).__name__


@contextlib.contextmanager
def aside(file):
    """A path to write to that takes the place of `file` once it is written, and is on the disk before it does."""
    partial = file.with_name(f"partial-{file.name}")
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
