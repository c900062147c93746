"""Fitnesses as utilities: what a search distribution weighs its samples by."""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kgdists.core import backend, shapes
from kgdists.core.checks import choice
from kgdists.core.types import Tensor, TensorLike

__all__ = ["METHODS", "as_fitnesses", "rank", "share", "utilities"]

EXACT = 2.0**53  # integers up to this are float64 numbers
METHODS = ("raw", "linear", "centered", "normalized", "nes")


def rank(
    fitnesses: TensorLike,
    method: str | None = None,
    higher_is_better: bool = True,
    *,
    ranking_method: str | None = None,
) -> Tensor:
    """Rank solutions by their fitness: the better, the higher.

    Equal fitnesses share the mean of the utilities of their places. NaN is as bad as the worst fitness there is: it
    shares the lowest place with the worst infinity, and `"raw"` and `"normalized"` count it and infinities as the
    worst or best finite fitness. A single solution, and solutions all alike, get 0, except from `"raw"`.

    Parameters
    ----------
    fitnesses : tensor or sequence of float or int, shape [B..., N]
        N, of static size, solutions in each search of a batch. They are ranked as they are, in float32, float64 or
        int64.
    method : str
        `"raw"`: the fitness, negated where lower is better. `"normalized"`: shifted and scaled to mean 0 and standard
        deviation 1. `"linear"`: equal steps from 0 to 1. `"centered"`: equal steps from -1/2 to 1/2
        (Salimans et al. 2017). `"nes"`: `max(0, log(N / 2 + 1) - log(k))` for the k-th best, scaled to sum 1, less
        1 / N (Wierstra et al. 2014).
    higher_is_better : bool
    ranking_method : str
        Another name of `method`, that of EvoTorch.

    Returns
    -------
    tensor like `fitnesses`; of integers and of plain Python numbers, of `keras.config.floatx()`.

    Examples
    --------
    >>> from kgdists.evolution import rank
    >>> rank([3.0, 1.0, 3.0, 2.0, 0.0], "centered").numpy()
    array([ 0.375, -0.25 ,  0.375,  0.   , -0.5  ], dtype=float32)
    """
    if method is not None and ranking_method is not None:
        raise ValueError(
            "`method` and `ranking_method` are two names of one argument: give one of them. "
            f"Received: method={method!r}, ranking_method={ranking_method!r}"
        )
    method = ranking_method if method is None else method
    method = choice("method", method, METHODS)
    given = getattr(fitnesses, "dtype", "int64")
    numbers = as_fitnesses(fitnesses)
    shapes.check_vector(fitnesses=numbers)
    if given in ("float16", "bfloat16"):
        raise ValueError(f"`fitnesses` must be of float32 or float64. Received: {tf.as_dtype(given).name}")
    is_float = given in ("float32", "float64")
    return tf.cast(utilities(numbers, method, higher_is_better), given if is_float else keras.config.floatx())


def as_fitnesses(x: TensorLike) -> Tensor:
    """Real numbers as a tensor that is ranked without rounding: of float32, float64 or int64.

    Integers that a float64 holds are float64 where they are at hand, and where they have at most 32 bits.

    Parameters
    ----------
    x : tensor, array or (nested) sequence of numbers
    """
    found: Any = backend.unmasked(x)
    if not tf.is_tensor(found):
        try:
            found = np.asarray(found)
        except (TypeError, ValueError):
            found = np.asarray(None)
    kind = found.dtype.name
    if kind in ("float32", "float64"):
        return tf.convert_to_tensor(found)
    if kind in ("float16", "bfloat16"):
        return tf.cast(found, tf.float32)
    if kind.startswith("float"):
        return tf.constant(found, tf.float64)
    if not kind.startswith(("int", "uint")):
        raise ValueError(f"Fitnesses must be real numbers. Received: dtype {kind}")
    values = backend.concrete(found)
    if not kind.endswith("64") or (values is not None and abs(values.astype("float64")).max(initial=0.0) <= EXACT):
        return tf.cast(found, tf.float64)
    if kind == "uint64" and values is not None and (values > np.uint64(2**63 - 1)).any():
        raise ValueError(f"Fitnesses that are integers must be below 2^63. Received: {values.max()}")
    return tf.cast(found, tf.int64)


def utilities(fitnesses: Tensor, method: str, higher_is_better: bool = True) -> Tensor:
    """The same as `rank`, for what `as_fitnesses` returns: a tensor like it, of float64 for integers."""
    if method not in ("raw", "normalized"):
        return share(fitnesses, _table(method, fitnesses.shape[-1]), higher_is_better)
    if fitnesses.dtype == tf.int64:
        fitnesses = tf.cast(fitnesses, tf.float64)
    fitnesses = _finite(fitnesses if higher_is_better else -fitnesses)
    return fitnesses if method == "raw" else _standardized(fitnesses)


def share(fitnesses: Tensor, table: np.ndarray, higher_is_better: bool = True) -> Tensor:
    """A table of utilities dealt out by fitness, to the worst first; equal fitnesses share theirs equally.

    Parameters
    ----------
    fitnesses : tensor of float32, float64 or int64, shape [B..., N]
        NaN is as bad as the worst infinity.
    table : float64 array, shape [N]
    higher_is_better : bool

    Returns
    -------
    tensor like `fitnesses`, of float64 for integers; 0 where all are alike.
    """
    if fitnesses.dtype == tf.int64:
        keys, dtype = fitnesses if higher_is_better else tf.bitwise.invert(fitnesses), tf.float64
    else:
        keys, dtype = _as_integers(fitnesses if higher_is_better else -fitnesses), fitnesses.dtype
    ordered = _sorted(keys)
    below = _count(ordered, keys, "left")
    tied = tf.reduce_any(ordered[..., 1:] == ordered[..., :-1])
    up_to = tf.cond(tied, lambda: _count(ordered, keys, "right"), lambda: below + 1)
    sums = tf.constant(np.concatenate([[0.0], np.cumsum(table)]))
    shared = (tf.gather(sums, up_to) - tf.gather(sums, below)) / tf.cast(up_to - below, "float64")
    return tf.where(ordered[..., :1] < ordered[..., -1:], tf.cast(shared, dtype), 0.0)


def _as_integers(x):
    """Integers in the order of floats, whose bits they are; NaN is `-inf`, and both zeros are one."""
    x = tf.where(tf.math.is_nan(x), tf.constant(-np.inf, x.dtype), tf.where(x != 0.0, x, 0.0))
    kind = tf.int32 if x.dtype == tf.float32 else tf.int64
    bits = tf.bitcast(x, kind)
    return tf.where(bits < 0, tf.bitwise.bitwise_xor(bits, tf.constant(kind.max, kind)), bits)


def _sorted(keys):
    return tf.sort(keys, axis=-1) if tf.executing_eagerly() else _compiled_sorted(keys)


@functools.partial(tf.function, jit_compile=True, autograph=False)
def _compiled_sorted(keys):
    # XLA's own operation, which TensorFlow's functions do not reach: theirs sort several times more slowly.
    return keys.graph.create_op("XlaSort", [keys], [keys.dtype], name="sort").outputs[0]


def _count(ordered, values, side):
    """How many of `ordered` come before ("left") or do not come after each of `values`, both [B..., N]."""
    if tf.executing_eagerly():
        return tf.searchsorted(ordered, values, side)
    # A binary search, because XLA makes of TensorFlow's a comparison of each with each.
    precedes = tf.less if side == "left" else tf.less_equal
    length, batch = ordered.shape[-1], len(ordered.shape) - 1
    step = 1 << length.bit_length() - 1
    beyond = [[0, 0]] * batch + [[0, 2 * step - 1 - length]]
    ordered = tf.pad(ordered, beyond, constant_values=ordered.dtype.max)
    count = tf.zeros_like(values, "int32")
    while step:
        last = tf.gather(ordered, count + (step - 1), batch_dims=batch)
        count += step * tf.cast(precedes(last, values), "int32")
        step //= 2
    return count


def _finite(fitnesses):
    """The fitnesses, higher being better, with what is not finite replaced by the best or the worst that is."""
    finite = tf.math.is_finite(fitnesses)
    best = tf.reduce_max(tf.where(finite, fitnesses, fitnesses.dtype.min), axis=-1, keepdims=True)
    worst = tf.reduce_min(tf.where(finite, fitnesses, fitnesses.dtype.max), axis=-1, keepdims=True)
    some = best >= worst
    best, worst = tf.where(some, best, 0.0), tf.where(some, worst, 0.0)
    return tf.where(finite, fitnesses, tf.where(fitnesses == np.inf, best, worst))


def _standardized(fitnesses):
    length = fitnesses.shape[-1]
    deviations = fitnesses - tf.reduce_mean(fitnesses, axis=-1, keepdims=True)
    # Of numbers of order one, whose squares neither overflow nor underflow.
    deviations = tf.math.divide_no_nan(deviations, tf.reduce_max(tf.abs(deviations), axis=-1, keepdims=True))
    variance = tf.reduce_sum(deviations**2, axis=-1, keepdims=True) / max(length - 1, 1)
    alike = tf.reduce_max(fitnesses, -1, keepdims=True) == tf.reduce_min(fitnesses, -1, keepdims=True)
    return tf.where(~alike, tf.math.divide_no_nan(deviations, tf.sqrt(variance)), 0.0)


@functools.cache
def _table(method, length):
    """The utilities of this many places, the worst first."""
    places = np.arange(length)
    if method == "nes":
        utilities = np.maximum(0.0, np.log(length / 2 + 1) - np.log(length - places))
        return utilities / utilities.sum() - 1 / length
    return places / max(length - 1, 1) - (0.5 if method == "centered" else 0.0)
