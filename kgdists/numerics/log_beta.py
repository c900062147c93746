"""Formulas of the beta distribution that stay exact where its concentrations are huge, tiny or nearly equal.

With p = a / (a + b) and q = b / (a + b), F = log B(a, b) is a log p + b log q, which is huge for huge a and b, and a
rest G that is not. What is huge cancels on paper: in a density it makes a divergence of (p, q) from (t, 1 - t), a sum
of two terms of one sign, and in the entropy nothing. All arguments are float tensors of one shape, concentrations > 0,
and so are all results.
"""

import math

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.backend import with_gradient
from kgdists.core.types import Tensor
from kgdists.numerics import special

__all__ = [
    "cross_entropy",
    "entropy",
    "kl_divergence",
    "log_beta",
    "log_density_of_logit",
    "log_odds",
    "log_shares",
    "rest",
]

LOG_2PI = math.log(2.0 * math.pi)
# Gauss and Legendre's rule on [-1, 1], to the last digits of each dtype.
RULES = {"float32": np.polynomial.legendre.leggauss(4), "float64": np.polynomial.legendre.leggauss(8)}


def log_shares(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """log p and log q."""
    small, large = ops.minimum(a, b), ops.maximum(a, b)
    log_ratio = ops.log(ops.maximum(small / large, special.smallest(shapes.dtype_of(a))))
    log_large = -ops.log1p(small / large)
    is_a = a < b
    return ops.where(is_a, log_ratio, 0.0) + log_large, ops.where(is_a, 0.0, log_ratio) + log_large


@with_gradient
def rest(a: Tensor, b: Tensor) -> Tensor:
    """G = log B(a, b) - a log p - b log q."""

    def gradient(upstream):
        return -upstream * special.digamma_gap(a, b), -upstream * special.digamma_gap(b, a)

    small, large = ops.minimum(a, b), ops.maximum(a, b)
    half_log = 0.5 * (ops.log1p(small / large) - ops.log(small) + LOG_2PI)
    return half_log + special.stirling_remainder(a, b), gradient


def log_density_of_logit(a: Tensor, b: Tensor, logit: Tensor) -> Tensor:
    """The log-density of log(t / (1 - t))."""
    t, u = ops.sigmoid(logit), ops.sigmoid(-logit)
    logs = -ops.softplus(-logit), -ops.softplus(logit)
    return log_odds(a, b, *log_shares(a, b), t, u, *logs) - rest(a, b)


def log_beta(a: Tensor, b: Tensor) -> Tensor:
    """F = log B(a, b)."""
    log_p, log_q = log_shares(a, b)
    return a * log_p + b * log_q + rest(a, b)


@with_gradient
def log_odds(
    a: Tensor, b: Tensor, log_p: Tensor, log_q: Tensor, t: Tensor, u: Tensor, log_t: Tensor, log_u: Tensor
) -> Tensor:
    """`a log(t / p) + b log(u / q)`, <= 0, of t and u = 1 - t; all logarithms are given, and where t is they count."""
    value, to_a, to_b = _log_odds_and_ratios(a, b, log_p, log_q, t, u, log_t, log_u)

    def gradient(upstream):
        nothing = ops.zeros_like(value)
        # a and b minus (a + b) t and (a + b) u, which amount to nothing, for t d(log t) + u d(log u) = 0.
        step = upstream * (u * a - t * b)
        return upstream * to_a, upstream * to_b, nothing, nothing, nothing, nothing, step, -step

    return value, gradient


def _log_odds_and_ratios(a, b, log_p, log_q, t, u, log_t, log_u):
    """The value of `log_odds`, and log(t / p) and log(u / q)."""
    # a (t / p - 1), and minus the same for u and b: what the two terms have in common.
    excess = t * b - u * a

    def term(a, relative, excess, log_ratio):
        near = ops.abs(relative) < special.SERIES_RADIUS
        relative = ops.where(near, relative, 0.0)
        series = special.log1p_minus(relative)
        return ops.where(near, a * series, a * log_ratio - excess), ops.where(near, series + relative, log_ratio)

    term_a, ratio_a = term(a, excess / a, excess, log_t - log_p)
    term_b, ratio_b = term(b, -excess / b, -excess, log_u - log_q)
    return term_a + term_b, ratio_a, ratio_b


@with_gradient
def entropy(a: Tensor, b: Tensor) -> Tensor:
    """Entropy of t: log B(a, b) minus (a - 1) times the mean of log t and (b - 1) times that of log(1 - t)."""

    def gradient(upstream):
        total = a + b
        common = (total - 2.0) * special.trigamma_minus(total) - 2.0 / total
        return tuple(upstream * (common - (x - 1.0) * special.trigamma_minus(x) + 1.0 / x) for x in (a, b))

    log_p, log_q = log_shares(a, b)
    gaps = (a - 1.0) * special.digamma_gap(a, b) + (b - 1.0) * special.digamma_gap(b, a)
    return rest(a, b) + log_p + log_q + gaps, gradient


def cross_entropy(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """The same with c and d in front: of p = (a, b) to q = (c, d)."""
    gaps = (c - 1.0) * special.digamma_gap(a, b) + (d - 1.0) * special.digamma_gap(b, a)
    return rest(c, d) - _at_mean(a, b, c, d) + gaps


@with_gradient
def _at_mean(a, b, c, d):
    """The logarithm of `t^(c - 1) (1 - t)^(d - 1)` at the mean t of (a, b), without what is huge of log B(c, d)."""
    total = a + b
    t, u = a / total, b / total
    value, to_c, to_d = _log_odds_and_ratios(c, d, *log_shares(c, d), t, u, *log_shares(a, b))

    def gradient(upstream):
        slope = t * d - u * c + (b - a) / total
        return tuple(upstream * x for x in (-slope / a, slope / b, to_c, to_d))

    log_t, log_u = log_shares(a, b)
    return value - log_t - log_u, gradient


def _divergence(a, b, c, d):
    """`F(q) - F(p) - F'(p) (q - p)` of p = (a, b) and q = (c, d), dimension by dimension."""
    to_c, to_d, total = c - a, d - b, a + b
    log_odds, _, _ = _log_odds_and_ratios(c, d, *log_shares(c, d), a / total, b / total, *log_shares(a, b))
    gaps = to_c * special.digamma_gap(a, b) + to_d * special.digamma_gap(b, a)
    far = rest(c, d) - rest(a, b) - log_odds + gaps
    # Nearby the difference cancels: there the remainder of Taylor's formula, an integral of second derivatives.
    near = (ops.abs(to_c) < 0.3 * a) & (ops.abs(to_d) < 0.3 * b)
    remainder = _remainder(a, b, ops.where(near, to_c, 0.0), ops.where(near, to_d, 0.0))
    return ops.maximum(ops.where(near, remainder, far), 0.0)


@with_gradient
def kl_divergence(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """`F(q) - F(p) - F'(p) (q - p)`, >= 0, of p = (a, b) to q = (c, d)."""

    # Of the formula itself: without the rounding, and the time, of the gradient of its two forms.
    def gradient(upstream):
        to_c, to_d, total = c - a, d - b, a + b
        across = to_c * (b / total) - to_d * (a / total)
        of_total = special.trigamma_minus(total)
        to_p = (
            of_total * to_d - special.trigamma_gap(a, b) * to_c - across / a,
            of_total * to_c - special.trigamma_gap(b, a) * to_d + across / b,
        )
        _, ratio_c, ratio_d = _log_odds_and_ratios(c, d, *log_shares(c, d), a / total, b / total, *log_shares(a, b))
        to_q = (
            special.digamma_gap(a, b) - special.digamma_gap(c, d) - ratio_c,
            special.digamma_gap(b, a) - special.digamma_gap(d, c) - ratio_d,
        )
        return tuple(upstream * x for x in (*to_p, *to_q))

    return _divergence(a, b, c, d), gradient


def _remainder(a, b, to_c, to_d):
    """The integral of (1 - s) times the second derivative of F along the step, s from 0 to 1."""
    integral = ops.zeros_like(a)
    for node, weight in zip(*RULES[shapes.dtype_of(a)], strict=True):
        s = (1.0 + float(node)) / 2.0
        x, y = a + s * to_c, b + s * to_d
        total, step = x + y, to_c + to_d
        # The parts 1 / x of the trigamma functions in one square.
        across = to_c * (y / total) - to_d * (x / total)
        second = across * across * (total / x) / y
        excess = special.trigamma_minus(x) * to_c * to_c + special.trigamma_minus(y) * to_d * to_d
        second = second + excess - special.trigamma_minus(total) * step * step
        integral = integral + 0.5 * float(weight) * (1.0 - s) * second
    return integral
