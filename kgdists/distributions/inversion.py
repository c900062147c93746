"""Quantiles by the logarithm of a tail, where a level from below has no digits left."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core.loops import repeated
from kgdists.core.types import Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.nested import is_of_integers, unsupported

__all__ = ["tail_quantile"]

INF = float("inf")
FURTHEST = {"float32": 80.0, "float64": 600.0}  # logarithm of the distance, in that of the last quantile
STEPS = 12  # of each of bisection and Newton's method
INTEGER_STEPS = {"float32": 26, "float64": 52}


def tail_quantile(dist: Distribution, log_tail: Tensor, is_upper: Any) -> Tensor:
    """Where a tail has some probability.

    Parameters
    ----------
    dist : Distribution
        Over vectors.
    log_tail : float tensor, <= log(1/2), shape [..., B..., n]
        The logarithm of the probability above, or at or below; any negative number, also one that underflows.
    is_upper : bool, or bool tensor or array that is broadcast
        Which of the two it is.

    Returns
    -------
    float tensor like `log_tail`; its gradient is that of the implicit function. Of integers it is the smallest with no
    more above, or with as much at or below.
    """
    if hasattr(dist, "_tail_quantile"):
        return dist._tail_quantile(log_tail, is_upper)
    is_upper = ops.logical_and(is_upper, ops.ones_like(log_tail, dtype="bool"))
    fixed, goal = keras.tree.map_structure(ops.stop_gradient, dist), ops.stop_gradient(log_tail)
    info = np.finfo(dist.dtype)
    # The quantile that the level from below reaches: in the tail, but not beyond the goal.
    lower = ops.exp(ops.maximum(goal, float(np.log(4.0 * float(info.tiny)))))
    upper = 1.0 - ops.exp(ops.maximum(goal, float(np.log(info.eps))))
    start = fixed.quantile(ops.where(is_upper, upper, lower))
    if is_of_integers(dist):
        return _integer(fixed, goal, is_upper, start)
    center = fixed.quantile(0.5) + ops.zeros_like(start)
    width = ops.abs(start - center)
    step = ops.where(is_upper, width, -width)
    near, far = ops.zeros_like(start), ops.zeros_like(start) + FURTHEST[dist.dtype]

    def halved(near, far):
        middle = 0.5 * near + 0.5 * far
        is_near = _log_tail(fixed, start + step * ops.expm1(middle), is_upper) > goal
        return ops.where(is_near, middle, near), ops.where(is_near, far, middle)

    def nearer(x):
        return (x + _newton(fixed, x, goal, is_upper, 0.5 * ops.abs(x - center)),)

    near, far = repeated(STEPS, halved, near, far)
    (x,) = repeated(STEPS, nearer, start + step * ops.expm1(near))
    return x + _implicit(dist, fixed, x, log_tail, is_upper)


def _log_tail(dist, x, is_upper):
    return ops.where(is_upper, dist.log_survival(x), dist.log_cdf(x))


def _newton(dist, x, goal, is_upper, most):
    tail = _log_tail(dist, x, is_upper)
    step = (tail - goal) * ops.exp(tail - unsupported(dist, x))
    step = ops.where(ops.isfinite(step), ops.minimum(ops.maximum(step, -most), most), 0.0)
    return ops.where(is_upper, step, -step)


def _implicit(dist, fixed, x, log_tail, is_upper):
    """0, with the gradient of the implicit function."""
    x = ops.stop_gradient(x)
    tail = _log_tail(dist, x, is_upper)
    slope = ops.exp(_log_tail(fixed, x, is_upper) - unsupported(fixed, x))
    good = ops.isfinite(slope) & ops.isfinite(tail)
    change = ops.where(good, tail - log_tail, 0.0) * ops.where(good, slope, 0.0)
    change = ops.where(is_upper, change, -change)
    return change - ops.stop_gradient(change)


def _integer(dist, goal, is_upper, start):
    """By bisection, first of the logarithm of the distance."""
    sign = 2.0 * ops.cast(is_upper, dist.dtype) - 1.0
    slack = 8.0 * float(np.finfo(dist.dtype).eps) * (1.0 + ops.abs(goal))  # of levels that are those of an integer

    def is_near(distance):
        tail = _log_tail(dist, start + sign * distance, is_upper)
        return ops.where(is_upper, tail > goal + slack, tail >= goal - slack)

    near, far = ops.zeros_like(start), ops.zeros_like(start) + FURTHEST[dist.dtype] / 4.0

    def halved_logarithm(near, far):
        middle = 0.5 * near + 0.5 * far
        good = is_near(ops.floor(ops.expm1(middle)))
        return ops.where(good, middle, near), ops.where(good, far, middle)

    def halved(near, far):
        middle = ops.floor(0.5 * near + 0.5 * far)
        good = is_near(middle)
        return ops.where(good, middle, near), ops.where(good, far, middle)

    near, far = repeated(STEPS, halved_logarithm, near, far)
    near, far = ops.floor(ops.expm1(near)) - 2.0, ops.floor(ops.expm1(far)) + 2.0
    near, far = repeated(INTEGER_STEPS[dist.dtype], halved, near, far)
    # Upwards the first with no more above, downwards the last with as much at or below.
    return start + ops.where(is_upper, far, -near)
