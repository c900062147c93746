"""Gamma, Weibull and Dirichlet formulas that stay exact where parameters are huge, tiny or nearly equal.

`lgamma(x)` is `x log(x) - x`, which is huge for huge x and cancels on paper, and a rest G that is not. All arguments
are float tensors of one shape, and so are all results.
"""

import math

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.backend import with_gradient
from kgdists.core.types import Tensor
from kgdists.numerics import incomplete_gamma, special

__all__ = [
    "crps",
    "crps_at_zero",
    "dirichlet_log_density",
    "divergence",
    "entropy",
    "lgamma_bend",
    "lgamma_divergence",
    "log_density",
    "log_ratio",
    "log_ratio_to_mean",
    "rest_divergence",
    "weibull_log_density",
]

INF = float("inf")
HUGE = 2.0**60
FAR = {"float32": 80.0, "float64": 700.0}  # logarithms of numbers that are about to overflow
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
# Gauss and Legendre's rule on [-1, 1], to the last digits of each dtype.
RULES = {"float32": np.polynomial.legendre.leggauss(4), "float64": np.polynomial.legendre.leggauss(8)}


def log_ratio(x: Tensor, y: Tensor) -> Tensor:
    """log(x / y) of positive numbers, to full relative accuracy where they are nearly equal."""
    near = ops.abs(x - y) < 0.5 * y
    return ops.where(near, ops.log1p(ops.where(near, x - y, 0.0) / y), ops.log(x) - ops.log(y))


def log_ratio_to_mean(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """log(b x / a) of x >= 0: with its digits next to the mean, and where b x leaves the range of floats."""
    excess = b * x - a
    near = ops.abs(excess) < 0.5 * a
    far = ops.log(ops.where(near, ops.ones_like(x), x)) + (ops.log(b) - ops.log(a))
    return ops.where(near, ops.log1p(ops.where(near, excess, 0.0) / a), far)


@with_gradient
def log_density(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Of a gamma variate of concentration a and rate b, at x >= 0."""
    is_one = ops.equal(a, 1.0)
    u = log_ratio_to_mean(a, b, x)
    # (a - 1) u - a (e^u - 1), by what the second term takes off the first.
    value = _around_peak(a, u) + (ops.log(b) - 0.5 * ops.log(a) - HALF_LOG_2PI - special.lgamma_remainder(a))

    def gradient(upstream):
        near = u < 1.0
        pull = ops.where(near, -a * ops.expm1(ops.where(near, u, 0.0)), a - b * x)
        slope = ops.where(near, (pull - 1.0) / x, (a - 1.0) / x - b)
        to_x = ops.where(is_one, -b, slope)
        return upstream * (u + special.log_minus_digamma(a)), upstream * (pull / b), upstream * to_x

    return value, gradient


def _around_peak(a, u):
    """`(a - 1) u - a (exp(u) - 1)`, the limit for u = -inf."""
    near, far_up = u > -1.0, u > FAR[shapes.dtype_of(u)]
    small, large = ops.where(near, -1.0, u), ops.where(far_up, u, 0.0)
    line = ops.where(ops.equal(a, 1.0), 0.0, (a - 1.0) * small)
    inside = ops.where(
        near, -a * special.expm1_minus(ops.where(near & ~far_up, u, 0.0)) - u, line - a * ops.expm1(small)
    )
    # The exponential overflows where its product with a tiny a does not.
    return ops.where(far_up, a * (1.0 + large) - large - ops.exp(large + ops.log(a)), inside)


@with_gradient
def weibull_log_density(k: Tensor, scale: Tensor, x: Tensor) -> Tensor:
    """Of a Weibull variate of concentration k, at x >= 0."""
    is_one, log_x = ops.equal(k, 1.0), log_ratio(x, scale)
    power = ops.exp(k * log_x)
    line = ops.where(is_one, 0.0, (k - 1.0) * log_x)
    value = ops.log(k) - ops.log(scale) + line - power

    def gradient(upstream):
        pull = -ops.expm1(k * log_x)
        to_k = 1.0 / k + ops.where(ops.equal(x, 0.0), log_x, log_x * pull)
        to_x = ops.where(is_one, -1.0 / scale, (k * pull - 1.0) / x)
        return upstream * to_k, upstream * (-k * pull / scale), upstream * to_x

    return value, gradient


def dirichlet_log_density(alpha: Tensor, log_x: Tensor) -> Tensor:
    """Of points of the simplex, rows of the last axis, without that axis; -inf has precedence over inf.

    The gradient in `log_x` is alpha - 1, as if the logarithms were not bound to be those of one.
    """
    terms = _dirichlet_terms(alpha, log_x)
    impossible = ops.any(ops.equal(terms, -INF), axis=-1)
    return ops.where(impossible, -INF, ops.sum(ops.where(ops.equal(terms, -INF), 0.0, terms), axis=-1))


@with_gradient
def _dirichlet_terms(alpha, log_x):
    total = ops.sum(alpha, axis=-1, keepdims=True)
    log_share = log_ratio(alpha, total + ops.zeros_like(alpha))
    u = log_x - log_share
    k = alpha.shape[-1]
    terms = _around_peak(alpha, u) - log_share + 0.5 * ops.log(alpha) - special.lgamma_remainder(alpha)
    # What there is once, for the whole.
    shared = -0.5 * ops.log(total) + HALF_LOG_2PI + special.lgamma_remainder(total)

    def gradient(upstream):
        to_alpha = u + special.log_minus_digamma(alpha) - special.log_minus_digamma(total)
        return upstream * to_alpha, upstream * (alpha - 1.0)

    return terms + (shared / k - HALF_LOG_2PI), gradient


def entropy(a: Tensor) -> Tensor:
    """Of a gamma variate of rate 1."""
    is_huge = a > HUGE  # where 1 / (2 a) is all there is of the last factor, and may underflow
    a_minus_one = ops.where(is_huge, 0.0, a - 1.0)
    last = ops.where(is_huge, 0.5, a_minus_one * special.log_minus_digamma(ops.where(is_huge, 1.0, a)))
    return HALF_LOG_2PI + 0.5 * ops.log(a) + special.lgamma_remainder(a) + last


def divergence(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Of a gamma variate of concentration a and rate b to one of c and d, >= 0."""
    return c * special.expm1_minus(log_ratio(d, b) - log_ratio(c, a)) + rest_divergence(a, c)


def lgamma_divergence(a: Tensor, c: Tensor) -> Tensor:
    """`F(c) - F(a) - F'(a) (c - a)`, >= 0, of F = lgamma."""
    return c * special.expm1_minus(log_ratio(a, c)) + rest_divergence(a, c)


def lgamma_bend(step: Tensor) -> Tensor:
    """`F(1 + 2 step) - 2 F(1 + step)`, >= 0, of F = lgamma and step > 0."""
    near = step < 0.3
    small, large = ops.where(near, step, 0.1), ops.where(near, 1.0, step)
    middle, integral = 1.0 + small, ops.zeros_like(step)
    for node, weight in zip(*RULES[shapes.dtype_of(step)], strict=True):
        s = 0.5 * (1.0 + float(node)) * small
        second = sum(1.0 / x + special.trigamma_minus(x) for x in (middle - s, middle + s))
        integral = integral + 0.5 * float(weight) * (0.5 - 0.5 * float(node)) * second
    far = special.lgamma(1.0 + 2.0 * large) - 2.0 * special.lgamma(1.0 + large)
    return ops.where(near, small * small * integral, far)


@with_gradient
def rest_divergence(a: Tensor, c: Tensor) -> Tensor:
    """`G(c) - G(a) - G'(a) (c - a)`, >= 0, of the rest G: 0 where they are equal."""
    step = c - a
    near = ops.abs(step) < 0.3 * a
    far = 0.5 * log_ratio(a, c) + special.lgamma_remainder(c) - special.lgamma_remainder(a)
    far = far + special.log_minus_digamma(a) * step
    # Nearby the remainder of Taylor's formula, an integral of second derivatives.
    small, remainder = ops.where(near, step, 0.0), ops.zeros_like(a)
    for node, weight in zip(*RULES[shapes.dtype_of(a)], strict=True):
        s = (1.0 + float(node)) / 2.0
        remainder = remainder + 0.5 * float(weight) * (1.0 - s) * special.trigamma_minus(a + s * small)
    value = ops.where(near, remainder * small * small, ops.maximum(far, 0.0))

    def gradient(upstream):
        is_above, size = c > a, ops.abs(step)
        gap = special.digamma_gap(ops.where(is_above, a, c), ops.where(size > 0.0, size, a))
        gap = ops.where(size > 0.0, gap, 0.0)
        return upstream * -step * special.trigamma_minus(a), upstream * ops.where(is_above, gap, -gap)

    return value, gradient


def crps(a: Tensor, t: Tensor, log_t: Tensor, u: Tensor) -> Tensor:
    """Of a gamma variate of rate 1 at t > 0, u = log(t / a): from a = 1 on by the distance of t to the mean."""
    small = a < 1.0
    log_density = incomplete_gamma.log_density(a, u)
    # The distribution function of a + 1 where that of a would not have the digits of its difference to it.
    c = ops.where(small, a + 1.0, a)
    below, _ = incomplete_gamma.log_tails(c, log_t, ops.where(small, log_t - ops.log(c), u))
    next_below, density = ops.exp(below), ops.exp(log_density)
    of_small = t * (2.0 * (next_below + density / a) - 1.0) - 2.0 * a * next_below - a * ops.expm1(_spread_of_small(a))
    large = ops.where(small, 1.0, a)
    of_large = a * ops.expm1(u) * (2.0 * next_below - 1.0) + 2.0 * density - _spread(large)
    return ops.where(small, of_small, of_large)


def crps_at_zero(a: Tensor) -> Tensor:
    """The same at t = 0."""
    small = a < 1.0
    large = ops.where(small, 1.0, a)
    return ops.where(small, -a * ops.expm1(_spread_of_small(a)), large - _spread(large))


def _spread(a):
    """Half the mean difference of two variates, 1 / B(1/2, a)."""
    log_growth = a * ops.log1p(0.5 / a) - 0.5 + 0.5 * ops.log(a)
    rest = special.lgamma_remainder(a + 0.5) - special.lgamma_remainder(a)
    return ops.exp(log_growth + rest) / math.sqrt(math.pi)


def _spread_of_small(a):
    """log(1 / (a B(1/2, a))) of a < 1, by the duplication formula."""
    a = ops.minimum(a, 1.0)
    return special.lgamma1p(2.0 * a) - 2.0 * special.lgamma1p(a) - 2.0 * math.log(2.0) * a
