"""Arrays that take memory only while they are looked at."""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["LazyArray"]


class LazyArray:
    """An array that is made each time NumPy asks for it, and not kept: large ones are written to a file one by one.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy dtype, or its name
    make : callable
        Without arguments; returns the array.

    Examples
    --------
    >>> import numpy as np
    >>> from kgdists.core.lazy_array import LazyArray
    >>> np.sum(LazyArray((3,), "uint8", lambda: np.arange(3, dtype="uint8")))
    np.uint64(3)
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, make: Callable[[], np.ndarray]) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._make = make

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        made = self._make()
        return made if dtype is None else made.astype(dtype, copy=False)
