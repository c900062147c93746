"""TensorFlow's operations in NumPy: functions of arrays for the nodes of a graph."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["numpy_operation"]

Function = Callable[..., Any]

ELEMENTWISE: dict[str, Function] = {
    "Abs": np.abs,
    "Add": np.add,
    "AddV2": np.add,
    "Ceil": np.ceil,
    "ClipByValue": np.clip,
    "Cos": np.cos,
    "Elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "EnsureShape": lambda x: x,
    "Equal": np.equal,
    "Exp": np.exp,
    "Expm1": np.expm1,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "Identity": lambda x: x,
    "IsFinite": np.isfinite,
    "IsInf": np.isinf,
    "IsNan": np.isnan,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Log": np.log,
    "Log1p": np.log1p,
    "LogicalAnd": np.logical_and,
    "LogicalNot": np.logical_not,
    "LogicalOr": np.logical_or,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Mul": np.multiply,
    "Neg": np.negative,
    "NotEqual": np.not_equal,
    "Pow": np.power,
    "PreventGradient": lambda x: x,
    "RealDiv": np.true_divide,
    "Relu": lambda x: np.maximum(x, 0),
    "Relu6": lambda x: np.clip(x, 0, 6),
    "Rsqrt": lambda x: 1 / np.sqrt(x),
    "SelectV2": np.where,
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Sign": np.sign,
    "Sin": np.sin,
    "Softplus": lambda x: np.logaddexp(x, x.dtype.type(0)),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Sqrt": np.sqrt,
    "Square": np.square,
    "SquaredDifference": lambda x, y: np.square(x - y),
    "StopGradient": lambda x: x,
    "Sub": np.subtract,
    "Tanh": np.tanh,
}
REDUCTIONS: dict[str, Function] = {
    "All": np.logical_and.reduce,
    "Any": np.logical_or.reduce,
    "Max": np.maximum.reduce,
    "Mean": np.mean,
    "Min": np.minimum.reduce,
    "Prod": np.multiply.reduce,
    "Sum": np.add.reduce,
}
MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


def numpy_operation(tensor: tf.Tensor) -> tuple[Function, Sequence[tf.Tensor]] | None:
    """The function that a tensor of a graph is of others, and these; None if there is none here.

    Parameters
    ----------
    tensor : tf.Tensor
        Of a known shape. What says how it is computed, as axes do, must be known as well.
    """
    name, inputs = tensor.op.type, list(tensor.op.inputs)
    if name in ELEMENTWISE:
        return ELEMENTWISE[name], inputs
    if name not in BUILDERS:
        return None
    build, count = BUILDERS[name]
    function = build(tensor)
    return None if function is None else (function, inputs[:count])


def _known(tensor):
    """The value of an input, an int or a tuple of them; None if it is not known."""
    value = tf.get_static_value(tensor)
    if value is None:
        return None
    return tuple(value.tolist()) if value.ndim else int(value)


def _reduction(tensor):
    reduce, axes = REDUCTIONS[tensor.op.type], _known(tensor.op.inputs[1])
    keepdims = tensor.op.get_attr("keep_dims")
    return None if axes is None else lambda x: reduce(x, axis=axes, keepdims=keepdims)


def _reshape(tensor):
    shape = tuple(tensor.shape)
    return lambda x: x.reshape(shape)


def _broadcast(tensor):
    shape = tuple(tensor.shape)
    return lambda x: np.broadcast_to(x, shape)


def _bias(tensor):
    return np.add if tensor.op.get_attr("data_format") == b"NHWC" else None


def _matmul(tensor):
    names = ("transpose_a", "transpose_b") if tensor.op.type == "MatMul" else ("adj_x", "adj_y")
    first, second = map(tensor.op.get_attr, names)

    def matmul(x, y):
        return np.matmul(np.swapaxes(x, -1, -2) if first else x, np.swapaxes(y, -1, -2) if second else y)

    return matmul if first or second else np.matmul


def _cast(tensor):
    dtype = tensor.dtype.as_numpy_dtype
    return lambda x: x.astype(dtype)


def _argmax(tensor):
    axis, dtype = _known(tensor.op.inputs[1]), tensor.dtype.as_numpy_dtype
    name = tensor.op.type.lower()  # the method takes a fifth of the function's time
    return None if axis is None else lambda x: getattr(x, name)(axis).astype(dtype)


def _cumsum(tensor):
    axis = _known(tensor.op.inputs[1])
    if axis is None or tensor.op.get_attr("exclusive") or tensor.op.get_attr("reverse"):
        return None
    return lambda x: np.add.accumulate(x, axis)


def _pack(tensor):
    axis = tensor.op.get_attr("axis")
    return lambda *x: np.stack(x, axis)


def _unpack(tensor):
    axis, i = tensor.op.get_attr("axis"), tensor.value_index
    return lambda x: np.take(x, i, axis)


def _split(tensor):
    axis, i = _known(tensor.op.inputs[0]), tensor.value_index
    if axis is None:
        return None
    size = tensor.shape[axis]
    return lambda _, x: np.take(x, range(i * size, (i + 1) * size), axis)


def _concat(tensor):
    axis = _known(tensor.op.inputs[-1])
    return None if axis is None else lambda *x: np.concatenate(x[:-1], axis)


def _transpose(tensor):
    axes = _known(tensor.op.inputs[1])
    return None if axes is None else lambda x: np.transpose(x, axes)


def _tile(tensor):
    times = _known(tensor.op.inputs[1])
    return None if times is None else lambda x: np.tile(x, times)


def _fill(tensor):
    shape = tuple(tensor.shape)
    return lambda _, x: np.full(shape, x)


def _slice(tensor):
    begin, shape = _known(tensor.op.inputs[1]), tensor.shape
    if begin is None:
        return None
    index = tuple(slice(first, first + n) for first, n in zip(begin, shape, strict=True))
    return lambda x: x[index]


def _strided_slice(tensor):
    bounds = [_known(x) for x in tensor.op.inputs[1:]]
    if None in bounds:
        return None
    masks = {name: tensor.op.get_attr(name) for name in MASKS}
    parts: list[Any] = []
    for i, (begin, end, step) in enumerate(zip(*bounds, strict=True)):
        is_set = {name for name, mask in masks.items() if mask >> i & 1}
        if "ellipsis_mask" in is_set:
            parts.append(Ellipsis)
        elif "new_axis_mask" in is_set:
            parts.append(None)
        elif "shrink_axis_mask" in is_set:
            parts.append(begin)
        else:
            parts.append(slice(None if "begin_mask" in is_set else begin, None if "end_mask" in is_set else end, step))
    index = tuple(parts)
    return lambda x: x[index]


def _gather(tensor):
    x, index, axis = tensor.op.inputs
    axis, batch = _known(axis), tensor.op.get_attr("batch_dims")
    if axis is None:
        return None
    if not batch:
        return lambda x, index: np.take(x, index, axis)
    if (axis, batch, index.shape.rank) != (1, 1, 1):
        return None
    rows = np.arange(x.shape[0])
    return lambda x, index: x[rows, index]


def _one_hot(tensor):
    depth = _known(tensor.op.inputs[1])
    if depth is None or tensor.op.get_attr("axis") != -1:
        return None
    choices = np.arange(depth)
    return lambda x, _, on, off: np.where(x[..., None] == choices, on, off)


def _leaky_relu(tensor):
    slope = tensor.op.get_attr("alpha")
    return lambda x: np.where(x > 0, x, x * x.dtype.type(slope))


def _identity(tensor):
    i = tensor.value_index
    return lambda *x: x[i]


def _sum_of_all(tensor):
    return lambda *x: functools.reduce(np.add, x)


# How the function of a tensor is made, and of how many of its inputs it is one, None for all.
BUILDERS: dict[str, tuple[Callable[[tf.Tensor], Function | None], int | None]] = {
    "AddN": (_sum_of_all, None),
    "ArgMax": (_argmax, 1),
    "ArgMin": (_argmax, 1),
    "BatchMatMulV2": (_matmul, None),
    "BiasAdd": (_bias, None),
    "BroadcastTo": (_broadcast, 1),
    "Cast": (_cast, None),
    "ConcatV2": (_concat, None),
    "Cumsum": (_cumsum, 1),
    "ExpandDims": (_reshape, 1),
    "Fill": (_fill, None),
    "GatherV2": (_gather, 2),
    "IdentityN": (_identity, None),
    "LeakyRelu": (_leaky_relu, None),
    "MatMul": (_matmul, None),
    "OneHot": (_one_hot, None),
    "Pack": (_pack, None),
    "Reshape": (_reshape, 1),
    "Slice": (_slice, 1),
    "Split": (_split, None),
    "Squeeze": (_reshape, 1),
    "StridedSlice": (_strided_slice, 1),
    "Tile": (_tile, 1),
    "Transpose": (_transpose, 1),
    "Unpack": (_unpack, None),
    **dict.fromkeys(REDUCTIONS, (_reduction, 1)),
}
