"""Objectives: four kinds of functions that give solutions their fitnesses."""

import copy
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import tensorflow as tf

from kgdists.core import backend
from kgdists.core.checks import choice
from kgdists.core.types import Tensor
from kgdists.evolution.ranking import as_fitnesses

__all__ = ["EVALUATIONS", "Evaluation", "Objective", "uncompiled"]

Evaluation: TypeAlias = Literal["tensorflow", "graph", "numpy", "solution"]
EVALUATIONS = ("tensorflow", "graph", "numpy", "solution")

# What a function raises that is written for values, not for tensors of a graph.
UNTRACEABLE = (AttributeError, NotImplementedError, TypeError, ValueError, tf.errors.OpError)


class Objective:
    """A user's function as one from solutions [B..., N, D] to fitnesses [B..., N], which are checked.

    Parameters
    ----------
    function : callable
    evaluation : {"tensorflow", "graph", "numpy", "solution"}
        "tensorflow": tensor [B..., N, D] -> tensor [B..., N], traced and compiled together with the search.
        "graph": the same, traced but not compiled, called once per generation. "numpy": the same of arrays.
        "solution": array [D] -> number, called once per solution through `map`.
    map : callable
        For "solution": Python's `map`, or the `map` of a pool of processes or of an executor.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        evaluation: Evaluation = "tensorflow",
        map: Callable[..., Iterable[Any]] = map,
    ) -> None:
        choice("evaluation", evaluation, EVALUATIONS)
        if not callable(function):
            raise ValueError(f"`objective` must be callable. Received: objective={function!r}")
        self.function = function
        self.evaluation = evaluation
        self.map = map

    @property
    def is_compiled(self) -> bool:
        """Whether the function is part of the compiled search, rather than called between its parts."""
        return self.evaluation == "tensorflow"

    def __call__(self, solutions: Tensor) -> Tensor:
        """The fitnesses of `solutions`, a tensor: as they come, in float32, float64 or int64."""
        if self.evaluation in ("tensorflow", "graph"):
            try:
                fitnesses = tf.convert_to_tensor((self.function if self.is_compiled else self._graph)(solutions))
                shape = tuple(fitnesses.shape)  # raises where it is unknown, as `tf.py_function` leaves it
                if None in shape:
                    raise ValueError("Fitnesses are of an unknown shape")
            except UNTRACEABLE as error:
                raise (uncompiled(error) if self.is_compiled else _untraced(error)) from error
            _check(shape, fitnesses.dtype.name, tuple(solutions.shape[:-1]))
            return as_fitnesses(fitnesses)
        values = solutions.numpy()
        if self.evaluation == "numpy":
            fitnesses = np.asarray(backend.unmasked(self.function(values)))
            _check(fitnesses.shape, fitnesses.dtype.name, values.shape[:-1])
        else:
            rows = list(values.reshape(-1, values.shape[-1]))
            fitnesses = np.asarray([_number(fitness) for fitness in self.map(self.function, rows)])
            _check(fitnesses.shape, fitnesses.dtype.name, (len(rows),))
            fitnesses = fitnesses.reshape(values.shape[:-1])
        return as_fitnesses(fitnesses)

    def dtype(self, shape: Sequence[int], dtype: str | tf.DType) -> tf.DType:
        """The dtype of the fitnesses of solutions of a shape and a dtype, of a function that is compiled."""
        traced = tf.function(self, autograph=False).get_concrete_function(tf.TensorSpec(shape, dtype))
        return traced.structured_outputs.dtype

    def __reduce__(self) -> tuple[Any, ...]:
        # Pools and executors do not go to another process: there it is Python's own `map`.
        return type(self), (self.function, self.evaluation)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Functions are shared, as Python shares them, also those of TensorFlow; objects that can be called are copied.
        is_function = hasattr(self.function, "get_concrete_function")
        function = self.function if is_function else copy.deepcopy(self.function, memo)
        return type(self)(function, self.evaluation, self.map)

    @functools.cached_property
    def _graph(self):
        return tf.function(self.function)


def uncompiled(error: Exception) -> ValueError:
    """What to raise for an objective that cannot be compiled."""
    return ValueError(
        'An objective must be a function of tensors that XLA compiles; others need `evaluation="graph"`, "numpy" or '
        f'"solution". Received: {_reason(error)}'
    )


def _untraced(error):
    return ValueError(
        'An objective of `evaluation="graph"` must be a function of tensors; others need "numpy" or "solution". '
        f"Received: {_reason(error)}"
    )


def _reason(error):
    line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {line.partition('. ')[0]}"


def _number(fitness):
    array = np.asarray(backend.unmasked(fitness))
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise ValueError(f"An objective of one solution must return a number. Received: {fitness!r}")
    return array.item()


def _check(shape, dtype, expected):
    if shape != expected:
        raise ValueError(
            f"An objective must return one fitness for each solution, of shape {expected}. Received: shape {shape}"
        )
    if "float" not in dtype and "int" not in dtype:
        raise ValueError(f"An objective must return real numbers. Received: dtype {dtype}")
