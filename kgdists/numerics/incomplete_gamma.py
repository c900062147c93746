"""Tails of the gamma distribution and their inverse, with their digits and gradients, by a series and a quadrature."""

import math
from fractions import Fraction

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.backend import with_gradient
from kgdists.core.loops import repeated
from kgdists.core.types import Tensor
from kgdists.numerics import special

__all__ = ["implicit_gradient", "log_density", "log_quantile", "log_tails"]

INF = float("inf")
LOG_2PI = math.log(2.0 * math.pi)

# Terms of the series next to 0 and steps of the iteration for quantiles.
TERMS, STEPS = {"float32": 10, "float64": 19}, 5


def _rule(step, first, last):
    """The double exponential rule for half an axis (Takahasi and Mori 1974): s = exp(x - exp(-x)), equidistant in x."""
    x = np.arange(first, last, step)
    return np.exp(x - np.exp(-x)), x - np.exp(-x) + np.log1p(np.exp(-x)) + math.log(step)


RULES = {"float32": _rule(0.14, -2.9, 3.3), "float64": _rule(0.07, -3.7, 3.9)}


def _expansion(orders: int = 6, degrees: int = 13) -> tuple[tuple[float, ...], ...]:
    """Of `implicit_gradient`: for each power of 1 / a the coefficients of a polynomial in u = log(x / a)."""
    bernoulli = [Fraction(1)]  # of u / (exp(u) - 1)
    for n in range(1, orders + degrees):
        bernoulli.append(sum((-bernoulli[k] / math.factorial(n - k + 1) for k in range(n)), Fraction(0)))
    found = [bernoulli]
    for _ in range(1, orders):
        last = found[-1]  # its derivative without the constant, which log(a) - digamma(a) takes away
        quotient = [n * last[n] for n in range(2, len(last))]
        products = ((bernoulli[k] * quotient[n - k] for k in range(n + 1)) for n in range(len(quotient)))
        found.append([sum(terms, Fraction(0)) for terms in products])
    return tuple(tuple(map(float, terms[:degrees])) for terms in found)


EXPANSION = _expansion()


def log_tails(a: Tensor, log_x: Tensor, log_ratio: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The logarithms of the regularized incomplete gamma functions P(a, x) and Q(a, x).

    These are the probabilities of a gamma variate of concentration a and rate 1 to be below and above x. Q(k + 1, x) is
    that of a Poisson variate of rate x to be k or less.

    Parameters
    ----------
    a : float tensor, > 0
        The concentration, of the shape of `log_x`.
    log_x : float tensor
        The logarithm of x.
    log_ratio : None or float tensor
        log(x / a), where it is known in more digits, as near a huge a: then gradients alone are those in `log_x`.

    Returns
    -------
    log_below, log_above : float tensors like `log_x`
        Each to the accuracy of its arguments, also where the other is next to 1, and so are their gradients. -inf, and
        0, where x is 0 or leaves the range of floats.
    """
    log_ratio = log_x - ops.log(a) if log_ratio is None else log_ratio
    return tuple(ops.unstack(_log_tails(a, log_x, ops.stop_gradient(log_ratio)), 2))


def log_density(a: Tensor, log_ratio: Tensor) -> Tensor:
    """The log-density of log(x) where log(x / a) is `log_ratio`."""
    return -a * special.expm1_minus(log_ratio) + 0.5 * (ops.log(a) - LOG_2PI) - special.lgamma_remainder(a)


@with_gradient
def _log_tails(a, v, u):
    """Both tails, in front of the other axes; v = log(x), u = log(x / a)."""
    log_tail, log_mills, is_below, at_nodes = _own_tail(a, u)
    below, above = _both(log_tail, is_below)

    def gradient(upstream):
        of_below, of_above = ops.unstack(upstream, 2)
        of_own, of_rest = ops.where(is_below, of_below, of_above), ops.where(is_below, of_above, of_below)
        own, rest = ops.exp(-log_mills), -ops.exp(log_tail - log_mills - special.log1mexp(log_tail))
        to_a = _growth_in_a(a, u, *at_nodes)
        to_v = _product(of_own, own) + _product(of_rest, rest)
        growth = _product(of_own, to_a) + _product(of_rest, rest / own * to_a)
        return growth, ops.where(is_below, to_v, -to_v), ops.zeros_like(u)

    return ops.stack([below, above]), gradient


def _product(upstream, slope):
    """Of both, and 0 where there is nothing upstream, or where a tail has gone."""
    return ops.where(ops.equal(upstream, 0.0) | ~ops.isfinite(slope), 0.0, upstream * slope)


def _both(log_tail, is_below):
    """The logarithms of the lower and the upper tail, of one of the two."""
    rest = special.log1mexp(log_tail)
    return ops.where(is_below, log_tail, rest), ops.where(is_below, rest, log_tail)


def _own_tail(a, u):
    """The logarithms of the tail without the mode and of its ratio to the density; whether it is the lower; nodes."""
    small_a, small_u, is_small = _next_to_zero(a, u)
    # log P = a v - lgamma(1 + a) + log(1 + a S), S the sum of (-x)^n / (n! (n + a)): in all digits for tiny a too.
    rest = ops.log1p(small_a * _series(small_a, small_u, 1))
    log_a = ops.log(small_a)
    series = small_a * (small_u + log_a) - special.lgamma1p(small_a) + rest
    has_gone = u + ops.log(a) >= math.log(np.finfo(shapes.dtype_of(a)).max)
    a, u = ops.where(is_small, 2.0, a), ops.where(is_small | has_gone, 0.0, u)
    exponents, log_scale, places = _exponents(a, u)
    log_mills = log_scale + ops.logsumexp(exponents, axis=0)
    log_tail = ops.where(is_small, series, log_density(a, u) + log_mills)
    log_mills = ops.where(is_small, rest + small_a * ops.exp(small_u) - log_a, log_mills)
    log_tail = ops.where(has_gone, -INF, ops.where(log_tail > 0.0, 0.0, log_tail))
    return log_tail, log_mills, is_small | (u < 0.0), (exponents, places)


def _next_to_zero(a, u):
    """Both, where the series is taken, and where that is: a and x below 1."""
    is_small = (a < 1.0) & (u + ops.log(a) < 0.0)
    return ops.where(is_small, a, 0.5), ops.where(is_small, u, 0.0), is_small


def _series(a, u, power):
    x = a * ops.exp(u)
    terms = TERMS[shapes.dtype_of(a)]
    return x * _horner(-x, [(-1.0 / math.factorial(n)) / (n + a) ** power for n in range(1, terms)])


def _horner(x, coefficients):
    result = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        result = result * x + coefficient
    return result


def _exponents(a, u):
    """Of the density in log(x) outwards from v, relative to that at v: at the nodes, with the logarithms of weights."""
    x = a * ops.exp(u)
    slope, sign = ops.abs(a * ops.expm1(u)), ops.where(u < 0.0, -1.0, ops.ones_like(u))
    scale = 1.0 / (slope + ops.sqrt(x))
    shape = (-1, *(1,) * len(u.shape))
    nodes, weights = (ops.convert_to_tensor(np.reshape(y, shape), u.dtype) for y in RULES[shapes.dtype_of(u)])
    places = nodes * scale
    # A line, and what the curvature takes off.
    return weights - slope * places - x * special.expm1_minus(sign * places), ops.log(scale), sign * places


def _growth_in_a(a, u, exponents, places):
    """The derivative in a, for fixed x, of the logarithm of that tail."""
    small_a, small_u, is_small = _next_to_zero(a, u)
    first, second = (_series(small_a, small_u, power) for power in (1, 2))
    excess = (first - small_a * second) / (1.0 + small_a * first)
    near = small_u + ops.log(small_a) - special.digamma(1.0 + small_a) + excess
    mean = ops.sum(places * ops.softmax(exponents, axis=0), axis=0)
    return ops.where(is_small, near, u + special.log_minus_digamma(a) + mean)


def implicit_gradient(a: Tensor, log_ratio: Tensor) -> Tensor:
    r"""The derivative in a >= 100 of the logarithm of a gamma variate of concentration a whose probability is fixed.

    :math:`w = -\partial_a F / \partial_{\log x} F` solves :math:`w' - a (e^u - 1) w = \psi(a) - \log a - u`, here by
    a series in 1 / a, whose error is less than 1e-12.

    Parameters
    ----------
    a : float tensor, >= 100
    log_ratio : float tensor of its shape
        u = log(x / a) of the variates x.

    Returns
    -------
    float tensor like `a`.
    """
    v = 1.0 / a
    u = ops.maximum(ops.minimum(log_ratio, 1.0), -1.0)  # eight standard deviations of a = 100
    count = {"float32": (3, 9), "float64": (len(EXPANSION), None)}[shapes.dtype_of(a)]
    return v * _horner(v, [special.polynomial(u, terms[: count[1]]) for terms in EXPANSION[: count[0]]])


def log_quantile(a: Tensor, log_tail: Tensor, is_below: Tensor) -> Tensor:
    """The logarithm of the x that has that much below it, or above it.

    Parameters
    ----------
    a : float tensor, > 0
    log_tail : float tensor of its shape, <= log(1/2)
        The logarithm of the smaller of the two probabilities.
    is_below : bool tensor of its shape
        Whether it is the lower tail that is given.

    Returns
    -------
    float tensor like `log_tail`; its gradient is that of the implicit function.
    """
    fixed, goal = ops.stop_gradient(a), ops.stop_gradient(log_tail)
    log_a = ops.log(fixed)
    start = _first_guess(fixed, goal, is_below)
    u = ops.stop_gradient(*repeated(STEPS, lambda u: (u + _step(fixed, goal, is_below, u),), start))
    tail = ops.where(is_below, *log_tails(a, u + log_a, u))
    change = (log_tail - tail) / ops.stop_gradient(_tail_and_slope(fixed, is_below, u)[1])
    return u + log_a + (change - ops.stop_gradient(change))


def _tail_and_slope(a, is_below, u):
    """The logarithm of one of the tails and its derivative in log(x)."""
    log_tail, log_mills, is_own_below = _own_tail(a, u)[:3]
    tail = ops.where(is_below, *_both(log_tail, is_own_below))
    return tail, ops.where(is_below, 1.0, -ops.ones_like(u)) * ops.exp(log_tail - tail - log_mills)


def _first_guess(a, goal, is_below):
    """log(x / a), about."""
    t = ops.sqrt(-2.0 * goal)
    # The normal quantile (Abramowitz and Stegun 26.2.23), and a third power of it (Wilson and Hilferty 1931).
    near = ops.minimum(t, 1e4)
    above, below = (2.515517, 0.802853, 0.010328), (1.0, 1.432788, 0.189269, 0.001308)
    z = t - special.polynomial(near, above) / special.polynomial(near, below)
    root = 1.0 - 1.0 / (9.0 * a) + ops.where(is_below, -z, z) / (3.0 * ops.sqrt(a))
    cubed = ops.where(root > 0.05, 3.0 * ops.log(ops.maximum(root, 0.05)), -INF)
    # Where the exponential in the density is 1, a lower bound; the upper one is that of Boucheron et al. 2013, 2.4.
    below = ops.where(is_below, goal, special.log1mexp(goal))
    least = (below + 0.5 * (LOG_2PI + ops.log(a)) + special.lgamma_remainder(a)) / a - 1.0
    most = ops.log1p((t * ops.sqrt(a) - goal) / a)
    # Of a below 1, the upper tail's asymptote.
    rate = ops.maximum(ops.log(a) - special.lgamma1p(ops.minimum(a, 1.0)) - goal, 1.0)
    far = ops.log(rate + (ops.minimum(a, 1.0) - 1.0) * ops.log(rate)) - ops.log(a)
    small = ops.where(is_below, least, ops.where(rate > 1.0, ops.maximum(far, least), least))
    return ops.minimum(ops.where(a < 1.0, small, ops.maximum(cubed, least)), most)


def _step(a, goal, is_below, u):
    """By Halley's method on the logarithm of the lower tail, by Newton's on that of minus that of the upper."""
    tail, slope = _tail_and_slope(a, is_below, u)
    newton = (goal - tail) / slope
    bend = 0.5 * newton * (-a * ops.expm1(u) - slope)
    halley = newton / (1.0 + ops.maximum(ops.minimum(bend, 1.0), -0.5))
    return ops.where(is_below, halley, -tail / slope * ops.log(tail / goal))
