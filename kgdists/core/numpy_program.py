"""Small functions of tensors run by NumPy, which is done with a few rows before TensorFlow has begun."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from kgdists.core.compiled import Compiled
from kgdists.core.numpy_operations import numpy_operation

__all__ = ["NumpyProgram", "UnsuitableForNumpy"]

MAX_TENSORS = 300
MAX_NUMBERS = 2**16  # in one of them
MAX_PRODUCTS = 2**22  # of numbers in one product of matrices, for which NumPy takes as long as TensorFlow for a call
DTYPES = {tf.bool, tf.float32, tf.float64, tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32}
Step: TypeAlias = tuple[Callable[..., Any], Callable[[list[Any]], Sequence[Any]], int]


class UnsuitableForNumpy(ValueError):
    """A function has operations that are not known here, or takes NumPy longer than TensorFlow."""


class NumpyProgram:
    """A function of a key, weights and what is observed, in three parts by what they depend on.

    What depends on the key alone, as random numbers do, TensorFlow computes for many keys in one call. What depends on
    the weights alone is computed once for them, and the rest at each step, both by NumPy.

    Parameters
    ----------
    function : callable
        A key, and weights and observed tensors one by one, -> a list of tensors.
    key : tf.TensorSpec
    weights, observed : sequences of tf.TensorSpec
        Of known shapes.

    Raises
    ------
    UnsuitableForNumpy
    """

    def __init__(
        self,
        function: Callable[..., Any],
        key: tf.TensorSpec,
        weights: Sequence[tf.TensorSpec],
        observed: Sequence[tf.TensorSpec],
    ) -> None:
        traced = tf.compat.v1.wrap_function(function, [key, *weights, *observed])
        key, *inputs = traced.inputs[: 1 + len(weights) + len(observed)]
        self._slots: dict[Any, int] = {}
        slots = [self._slot(x) for x in inputs]
        self._weights, self._observed = slots[: len(weights)], slots[len(weights) :]
        self._variables = {inner.ref(): outer for outer, inner in traced.graph.captures}
        self._sources = _sources(traced, key, inputs[: len(weights)], inputs[len(weights) :])
        self._constants: dict[int, np.ndarray] = {}
        self._reads: list[tuple[int, Any, tf.DType]] = []
        self._once: list[Step] = []
        self._always: list[Step] = []
        self._drawn: list[tf.Tensor] = []
        self._outputs = [self._computed(x) for x in traced.outputs]
        self._values = [self._constants.get(i) for i in range(len(self._slots))]
        self._compiled_draws = self._draw_by(traced, key)

    def _slot(self, tensor):
        return self._slots.setdefault(tensor.ref(), len(self._slots))

    def _computed(self, tensor):
        """The slot of a tensor, once there are the steps that compute it."""
        if tensor.ref() in self._slots:
            return self._slot(tensor)
        sources, value = self._sources[tensor.op.name], tf.get_static_value(tensor)
        if value is not None:
            self._constants[self._slot(tensor)] = value
        elif sources == {"key"}:
            self._drawn.append(tensor)
        elif tensor.op.type == "ReadVariableOp" and tensor.op.inputs[0].ref() in self._variables:
            self._reads.append((self._slot(tensor), self._variables[tensor.op.inputs[0].ref()], tensor.dtype))
        else:
            _check(tensor)
            found = numpy_operation(tensor)
            if found is None:
                raise UnsuitableForNumpy(f"NumPy has no {tensor.op.type}")
            function, inputs = found
            arguments = [self._computed(x) for x in inputs]
            steps = self._always if sources & {"key", "observed"} else self._once
            steps.append((function, _getter(arguments), self._slot(tensor)))
            if len(self._slots) > MAX_TENSORS:
                raise UnsuitableForNumpy(f"there are more than {MAX_TENSORS} tensors")
        return self._slot(tensor)

    def _draw_by(self, traced, key):
        if not self._drawn:
            return lambda keys: []
        draw = traced.prune(key, self._drawn)
        like = [tf.TensorSpec(x.shape, x.dtype) for x in self._drawn]
        return Compiled(lambda keys: tf.map_fn(draw, keys, fn_output_signature=like))

    def draws(self, keys: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        """For each of some keys [T, ...] the arrays that depend on it alone."""
        drawn = [x.numpy() for x in self._compiled_draws(keys)]
        return list(zip(*drawn, strict=True)) if drawn else [()] * len(keys)

    def of_weights(self, weights: Sequence[np.ndarray]) -> Callable[[Sequence[Any], Sequence[np.ndarray]], list[Any]]:
        """The function with these weights: one of `draws` and observed arrays -> a list of arrays."""
        values: list[Any] = self._values.copy()
        for slot, value in zip(self._weights, weights, strict=True):
            values[slot] = value
        for slot, handle, dtype in self._reads:
            values[slot] = tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype).numpy()
        with np.errstate(all="ignore"):
            _run(self._once, values)
        changing = [*(self._slot(x) for x in self._drawn), *self._observed]

        def step(drawn, observed):
            for slot, x in zip(changing, (*drawn, *observed), strict=True):
                values[slot] = x
            with np.errstate(all="ignore"):
                _run(self._always, values)
            return [values[slot] for slot in self._outputs]

        return step


def _getter(slots):
    """A function of all values to a sequence of some, in the shortest time."""
    return itemgetter(*slots) if len(slots) > 1 else itemgetter(slice(slots[0], slots[0] + 1))


def _run(steps, values):
    for function, arguments, slot in steps:
        values[slot] = function(*arguments(values))


def _sources(traced, key, weights, observed):
    """Name of an operation -> the kinds of inputs that it depends on."""
    captured = [inner for _, inner in traced.graph.captures]
    kinds = (("key", [key]), ("weights", [*weights, *captured]), ("observed", observed))
    sources = {x.op.name: {kind} for kind, tensors in kinds for x in tensors}
    for node in traced.graph.get_operations():  # which come after their inputs
        of_inputs = set().union(*(sources[x.op.name] for x in node.inputs))
        sources[node.name] = sources.get(node.name, set()) | of_inputs
    return sources


def _check(tensor):
    shape = tensor.shape
    if not shape.is_fully_defined() or tensor.dtype not in DTYPES or shape.num_elements() > MAX_NUMBERS:
        raise UnsuitableForNumpy(f"NumPy takes no tensor of {shape} and {tensor.dtype.name}")
    if "MatMul" in tensor.op.type:
        _, y = tensor.op.inputs
        length = y.shape[-1 if tensor.op.get_attr("transpose_b" if tensor.op.type == "MatMul" else "adj_y") else -2]
        if shape.num_elements() * length > MAX_PRODUCTS:
            raise UnsuitableForNumpy(f"a product of {shape} by {length} takes NumPy longer")
