"""Packages that kgdists does not require: what is said where one is missing."""

import contextlib
from collections.abc import Iterator

__all__ = ["brought_by"]


@contextlib.contextmanager
def brought_by(extra: str) -> Iterator[None]:
    """Import packages of an extra of kgdists; where one is missing, the error names the extra.

    Parameters
    ----------
    extra : str

    Raises
    ------
    ModuleNotFoundError
        With the name of the missing module, as Python's own.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is missing, which `pip install 'kgdists[{extra}]'` brings", name=error.name
        ) from error
