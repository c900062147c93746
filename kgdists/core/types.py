"""Types of arguments and results. Shapes, dtypes and ranges stand in the docstrings."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

__all__ = ["Integer", "Number", "Optimizer", "Schedule", "Seed", "SupportsArray", "Tensor", "TensorLike"]

# A tensor of Keras' backend, or a symbolic one: neither Keras nor TensorFlow publishes a type for it.
Tensor: TypeAlias = Any


class SupportsArray(Protocol):
    """What NumPy makes an array of: arrays, NumPy numbers, tensors and variables."""

    def __array__(self) -> np.ndarray: ...


class Schedule(Protocol):
    """A `keras.optimizers.schedules.LearningRateSchedule`: a step -> the value of a setting."""

    def __call__(self, step: Any) -> Any: ...


class Optimizer(Protocol):
    """A `keras.optimizers.Optimizer`."""

    def get_config(self) -> dict[str, Any]: ...


Integer: TypeAlias = int | np.integer[Any]
Number: TypeAlias = float | SupportsArray
# What becomes a tensor. Texts, dicts and None do not.
TensorLike: TypeAlias = Number | Sequence[Number] | Sequence[Sequence[Number]] | Sequence[Sequence[Sequence[Number]]]
# None, an int, a keras.random.SeedGenerator or, on TensorFlow, a key: a tensor of shape [2].
Seed: TypeAlias = Any
