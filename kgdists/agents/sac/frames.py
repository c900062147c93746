"""A ring of what was observed, each frame in its own dtype and structure, and read inside compiled functions."""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import tensorflow as tf
from keras import tree

from kgdists.core.lazy_array import LazyArray
from kgdists.core.types import Tensor

__all__ = ["Frames"]

PIECE = 2**26  # bytes that are read at a time


class Frames:
    """The latest frames, which are counted: frame number n is in slot `n % capacity`.

    Each leaf is a variable of fixed shape, which is written in place, and is never copied. It takes memory as it is
    filled.

    Parameters
    ----------
    example : nested arrays, shape [1, ...]
        Of any dtypes.
    capacity : int, >= 1

    Examples
    --------
    >>> import numpy as np
    >>> from kgdists.agents.sac.frames import Frames
    >>> frames = Frames({"image": np.zeros((1, 2, 2), "uint8"), "speed": np.zeros((1, 1), "float32")}, capacity=5)
    >>> frames.append({"image": np.ones((3, 2, 2), "uint8"), "speed": np.ones((3, 1), "float32")})
    >>> frames.count, frames.read([2])["image"].dtype
    (3, tf.uint8)
    """

    def __init__(self, example: Any, capacity: int) -> None:
        self._like = example
        self.capacity = capacity
        self.count = 0
        self.leaves = [
            tf.Variable(tf.raw_ops.Empty(shape=(capacity, *x.shape[1:]), dtype=x.dtype, init=False), trainable=False)
            for x in tree.flatten(example)
        ]

    def append(self, frames: Any) -> None:
        """Count frames [M, ...], and write them in the place of the oldest ones."""
        leaves = tree.flatten(frames)
        count = self.count + len(leaves[0])
        slots = np.arange(max(self.count, count - self.capacity), count) % self.capacity
        for variable, x in zip(self.leaves, leaves, strict=True):
            updates = np.asarray(x[len(x) - len(slots) :], variable.dtype.as_numpy_dtype)
            tf.raw_ops.ResourceScatterUpdate(resource=variable.handle, indices=slots, updates=updates)
        self.count = count

    def read(self, slots: Tensor) -> Any:
        """The frames in slots [B], (nested) tensors [B, ...]; also for traced functions."""
        return tree.pack_sequence_as(self._like, [tf.gather(x, slots) for x in self.leaves])

    def numbers(self, slots: np.ndarray) -> np.ndarray:
        """The numbers of the frames that are in slots."""
        return self.count - 1 - (self.count - 1 - slots) % self.capacity

    def arrays(self, first: int) -> dict[str, np.ndarray]:
        """Name -> array of all frames from a number on, in pieces that are read when they are looked at."""
        length = max(1, PIECE // max(1, sum(x.nbytes for x in tree.flatten(self._like))))
        return {
            f"frames_{i}_{k}": self._piece(x, start, min(start + length, self.count))
            for k, start in enumerate(range(first, self.count, length))
            for i, x in enumerate(self.leaves)
        }

    def _piece(self, variable, start, end):
        def read():
            if start < self.count - self.capacity:
                raise RuntimeError(f"Frames must be looked at while they are kept. Received: number {start}, later on")
            return tf.gather(variable, np.arange(start, end) % self.capacity).numpy()

        return cast(np.ndarray, LazyArray((end - start, *variable.shape[1:]), variable.dtype.as_numpy_dtype, read))

    def pieces(self, arrays: dict[str, np.ndarray]) -> Iterator[Any]:
        """The frames that another ring gave by `arrays`, piece by piece, the oldest first."""
        k = 0
        while f"frames_0_{k}" in arrays:
            leaves = [np.asarray(arrays[f"frames_{i}_{k}"]) for i in range(len(self.leaves))]
            yield tree.pack_sequence_as(self._like, leaves)
            k += 1
