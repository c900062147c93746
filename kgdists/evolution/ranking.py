"""Fitnesses as utilities: what a search distribution weighs its samples by."""

import functools

import numpy as np
import tensorflow as tf

from kgdists import shapes

__all__ = ["METHODS", "rank", "share"]

METHODS = ("raw", "linear", "centered", "normalized", "nes")


def rank(fitnesses, method, higher_is_better=True):
    """Rank solutions by their fitness: the better, the higher.

    Equal fitnesses share the mean of the utilities of their places. NaN is as bad as the worst fitness there is: it
    shares the lowest place with the worst infinity, and `"raw"` and `"normalized"` count it and infinities as the
    worst or best finite fitness. A single solution, and solutions all alike, get 0, except from `"raw"`.

    Parameters
    ----------
    fitnesses : float tensor, shape [B..., N]
        N, of static size, solutions in each search of a batch.
    method : str
        `"raw"`: the fitness, negated where lower is better. `"normalized"`: shifted and scaled to mean 0 and standard
        deviation 1. `"linear"`: equal steps from 0 to 1. `"centered"`: equal steps from -1/2 to 1/2
        (Salimans et al. 2017). `"nes"`: `max(0, log(N / 2 + 1) - log(k))` for the k-th best, scaled to sum 1, less
        1 / N (Wierstra et al. 2014).
    higher_is_better : bool

    Returns
    -------
    tensor like `fitnesses`.

    Examples
    --------
    >>> from kgdists.evolution import rank
    >>> rank([3.0, 1.0, 3.0, 2.0], "centered").numpy()
    array([ 0.3333333 , -0.5       ,  0.3333333 , -0.16666667], dtype=float32)
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {', '.join(METHODS)}. Received: method={method!r}")
    fitnesses = shapes.as_float(fitnesses, "fitnesses")
    shapes.check_vector(fitnesses=fitnesses)
    fitnesses = fitnesses if higher_is_better else -fitnesses
    if method == "raw":
        return _finite(fitnesses)
    if method == "normalized":
        return _standardised(_finite(fitnesses))
    return share(fitnesses, _utilities(method, fitnesses.shape[-1]))


def share(fitnesses, utilities):
    """A table of utilities dealt out by fitness, to the worst first; equal fitnesses share theirs equally.

    Parameters
    ----------
    fitnesses : float tensor, shape [B..., N]
        Higher is better; NaN is as bad as `-inf`.
    utilities : float64 array, shape [N]

    Returns
    -------
    tensor like `fitnesses`; 0 where all are alike.
    """
    fitnesses = tf.where(~tf.math.is_nan(fitnesses), fitnesses, -np.inf)
    ordered = tf.sort(fitnesses, axis=-1)
    below, up_to = _count(ordered, fitnesses, tf.less), _count(ordered, fitnesses, tf.less_equal)
    sums = tf.constant(np.concatenate([[0.0], np.cumsum(utilities)]))
    shared = (tf.gather(sums, up_to) - tf.gather(sums, below)) / tf.cast(up_to - below, "float64")
    return tf.where(ordered[..., :1] < ordered[..., -1:], tf.cast(shared, fitnesses.dtype), 0.0)


def _count(ordered, values, precedes):
    """How many of `ordered` precede each of `values`, both [B..., N]: a binary search."""
    length = ordered.shape[-1]
    count = tf.zeros_like(values, "int32")
    for step in (1 << i for i in reversed(range(length.bit_length()))):
        last = tf.gather(ordered, tf.minimum(count + step, length) - 1, batch_dims=len(values.shape) - 1)
        count += tf.where((count + step <= length) & precedes(last, values), step, 0)
    return count


def _finite(fitnesses):
    """The fitnesses, higher being better, with what is not finite replaced by the best or the worst that is."""
    finite = tf.math.is_finite(fitnesses)
    best = tf.reduce_max(tf.where(finite, fitnesses, fitnesses.dtype.min), axis=-1, keepdims=True)
    worst = tf.reduce_min(tf.where(finite, fitnesses, fitnesses.dtype.max), axis=-1, keepdims=True)
    some = best >= worst
    best, worst = tf.where(some, best, 0.0), tf.where(some, worst, 0.0)
    return tf.where(finite, fitnesses, tf.where(fitnesses == np.inf, best, worst))


def _standardised(fitnesses):
    length = fitnesses.shape[-1]
    deviations = fitnesses - tf.reduce_mean(fitnesses, axis=-1, keepdims=True)
    # Of numbers of order one, whose squares neither overflow nor underflow.
    deviations = tf.math.divide_no_nan(deviations, tf.reduce_max(tf.abs(deviations), axis=-1, keepdims=True))
    variance = tf.reduce_sum(deviations**2, axis=-1, keepdims=True) / max(length - 1, 1)
    alike = tf.reduce_max(fitnesses, -1, keepdims=True) == tf.reduce_min(fitnesses, -1, keepdims=True)
    return tf.where(~alike, tf.math.divide_no_nan(deviations, tf.sqrt(variance)), 0.0)


@functools.cache
def _utilities(method, length):
    """The utilities of so many places, the worst first."""
    places = np.arange(length)
    if method == "nes":
        utilities = np.maximum(0.0, np.log(length / 2 + 1) - np.log(length - places))
        return utilities / utilities.sum() - 1 / length
    return places / max(length - 1, 1) - (0.5 if method == "centered" else 0.0)
