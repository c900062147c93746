"""Seeds, keys, and the streams that distributions draw from.

Everywhere in kgdists a `seed` is `None` (Keras' global stream), an int (the same draw at every call) or a
`keras.random.SeedGenerator` (a fresh draw at every call, also inside a traced function). On TensorFlow it may also be
a key, an integer tensor of shape [2]: the draw is a pure function of it, and the caller sees to it that keys differ.

In a `tf.vectorized_map` an int, or a key from outside, draws the same in each row; None and a generator do not.
"""

import itertools
import numbers
import weakref
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import keras
from keras import ops

from kgdists.core.backend import global_generator, is_tracing, map_rows, next_state, outside_functions
from kgdists.core.types import Seed, Tensor

__all__ = ["Stream", "checked", "key", "split"]

_CHILDREN = 1_000_003  # more than one seed ever has
_ROWS = 1_048_583


def key(seed: Seed) -> Tensor:
    """A seed as a key, an integer tensor of shape [2]: of an int always the same, else another one at every call."""
    seed = checked(seed)
    if seed is None:
        with outside_functions() if is_tracing() else nullcontext():  # Keras makes it at the first draw, maybe this one
            seed = global_generator()
    if seed is None:
        return _of_row(keras.random.randint((2,), 0, 2**31 - 1, dtype="int32"))
    if isinstance(seed, int):
        return ops.convert_to_tensor([seed, 0], dtype="int64")
    return _of_row(next_state(seed)) if _is_generator(seed) else seed


def _of_row(key):
    """`key`, another one in each row of a `tf.vectorized_map`."""
    for row in map_rows():
        key = key * ops.cast([_ROWS, 1], key.dtype) + ops.stack([ops.cast(row, key.dtype), ops.cast(0, key.dtype)])
    return key


def split(seed: Seed, num: int) -> list[Seed]:
    """Seeds for `num` independent draws, a list: a generator and the global stream serve all, an int makes ints.

    Parameters
    ----------
    seed : None, int, keras.random.SeedGenerator or key
    num : int
    """
    seed = checked(seed)
    if seed is None or _is_generator(seed):
        return [seed] * num
    if _is_int(seed):
        return [(seed * _CHILDREN + i) % 2**31 for i in range(1, num + 1)]
    return [seed * ops.cast([_CHILDREN, 1], seed.dtype) + ops.cast([i, 0], seed.dtype) for i in range(1, num + 1)]


# Generators that traced functions draw from: a function may outlive the distribution that it was traced with.
_TRACED: set[keras.random.SeedGenerator] = set()

# The numbers of each generator's children, which the streams of one generator share.
_NUMBERS: weakref.WeakKeyDictionary[keras.random.SeedGenerator, Iterator[int]] = weakref.WeakKeyDictionary()


class Stream:
    """What a distribution draws from when a drawing method is given no seed.

    Streams of one seed compare equal, so that a fresh distribution does not make a `tf.function` trace again.

    Parameters
    ----------
    random_seed : None, int or keras.random.SeedGenerator
        Keras' global stream; one reproducible sequence; or the generator of a layer, which owns it.
    """

    def __init__(self, random_seed: Seed) -> None:
        if random_seed is not None and not _is_int(random_seed) and not _is_generator(random_seed):
            raise ValueError(
                "`random_seed` must be None, an int or a keras.random.SeedGenerator. "
                f"Received: random_seed={random_seed!r}"
            )
        self.random_seed = random_seed
        self._generator = random_seed if _is_generator(random_seed) else None

    def generator(self) -> keras.random.SeedGenerator | None:
        """The `SeedGenerator` to draw from, or None for the global stream."""
        if self._generator is None and self.random_seed is not None:
            with outside_functions():  # the first draw may happen inside a traced function
                self._generator = keras.random.SeedGenerator(int(self.random_seed))
        if self._generator is not self.random_seed and is_tracing():
            _TRACED.add(self._generator)
        return self._generator

    def child(self) -> int | None:
        """An int seed of its own for a layer that draws, another one at each call; None for an unseeded stream."""
        generator = self.generator()
        seed = None if generator is None else generator.get_config()["seed"]
        if seed is None:
            return None
        number = next(_NUMBERS.setdefault(generator, itertools.count(1)))
        return (seed * _CHILDREN + number) % 2**31

    def __getstate__(self) -> dict[str, Any]:
        is_generator, seed = _is_generator(self.random_seed), self.random_seed
        state = None if self._generator is None else ops.convert_to_numpy(self._generator.state.value)
        return {"seed": seed.get_config()["seed"] if is_generator else seed, "owned": is_generator, "state": state}

    def __setstate__(self, copied: dict[str, Any]) -> None:
        # A copy draws on its own, from where the original was; a layer's generator stays the layer's.
        self._generator = None if copied["state"] is None else keras.random.SeedGenerator(copied["seed"])
        if self._generator is not None:
            self._generator.state.assign(copied["state"])
        self.random_seed = self._generator if copied["owned"] else copied["seed"]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.random_seed == other.random_seed

    def __hash__(self) -> int:
        return hash(("kgdists.Stream", self.random_seed))


def _is_int(seed: Seed) -> bool:
    return isinstance(seed, numbers.Integral) and not isinstance(seed, bool)


def _is_generator(seed: Seed) -> bool:
    return isinstance(seed, keras.random.SeedGenerator)


def checked(seed: Seed) -> Seed:
    """`seed`, an int of Python where it was another one, if it is one of the four."""
    if seed is None or _is_generator(seed) or tuple(getattr(seed, "shape", ())) == (2,):
        return seed
    if _is_int(seed):
        if not -(2**63) <= seed < 2**63:
            raise ValueError(
                f"An int `seed` must be from -2**63 to 2**63 - 1: take the remainder by 2**62. Received: seed={seed!r}"
            )
        return int(seed)
    raise ValueError(
        f"`seed` must be None, an int, a keras.random.SeedGenerator or a key of shape [2]. Received: seed={seed!r}"
    )
