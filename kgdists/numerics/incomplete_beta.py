"""Tails of the beta distribution and their inverse, with their digits and gradients, by one quadrature."""

import math

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.loops import repeated
from kgdists.core.types import Tensor
from kgdists.numerics import log_beta, special

__all__ = ["log_tails", "logit_of"]

# Of the quantile: steps of Newton's method, and the logits at which the shares leave the range of floats.
STEPS, FURTHEST = 20, {"float32": 87.0, "float64": 700.0}

# The double exponential rule for half an axis (Takahasi and Mori 1974): s = exp(x - exp(-x)), equidistant in x.
STEP = 0.05
_X = np.arange(-3.7, 4.0, STEP)
NODES = np.exp(_X - np.exp(-_X))
LOG_WEIGHTS = _X - np.exp(-_X) + np.log1p(np.exp(-_X)) + math.log(STEP)


def log_tails(a: Tensor, b: Tensor, logit: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithms of the probabilities below and above.

    The tail without the mode is integrated over the logit, in which the density is log-concave; the other is what it
    leaves of 1.

    Parameters
    ----------
    a, b : float tensors, > 0
        The concentrations, of the shape of `logit`.
    logit : float tensor
        log(t / (1 - t)) of the places t.

    Returns
    -------
    log_below, log_above : float tensors like `logit`
    """
    return _log_tails(a, b, logit, log_beta.log_density_of_logit(a, b, logit))


def logit_of(a: Tensor, b: Tensor, log_tail: Tensor) -> Tensor:
    """The logit with that much below it, by Newton's method on the logarithm of the lower tail.

    Parameters
    ----------
    a, b : float tensors, > 0
    log_tail : float tensor of their shape, <= log(1/2)

    Returns
    -------
    float tensor like `log_tail`; its gradient is that of the implicit function.
    """
    furthest = FURTHEST[shapes.dtype_of(a)]
    fixed_a, fixed_b, goal = (ops.stop_gradient(x) for x in (a, b, log_tail))
    # The tail's asymptote, from which the steps climb: the function is concave.
    logit = ops.maximum((goal + ops.log(fixed_a) + log_beta.log_beta(fixed_a, fixed_b)) / fixed_a, -furthest)

    def nearer(logit):
        below, log_density = _log_tail_and_density(fixed_a, fixed_b, logit)
        return (ops.clip(logit + (goal - below) * ops.exp(below - log_density), -furthest, furthest),)

    logit = ops.stop_gradient(*repeated(STEPS, nearer, logit))
    below, log_density = _log_tail_and_density(a, b, logit)
    change = (log_tail - below) * ops.stop_gradient(ops.exp(below - log_density))
    return logit + (change - ops.stop_gradient(change))


def _log_tail_and_density(a, b, logit):
    log_density = log_beta.log_density_of_logit(a, b, logit)
    return _log_tails(a, b, logit, log_density)[0], log_density


def _log_tails(a, b, logit, log_density):
    t, u = ops.sigmoid(logit), ops.sigmoid(-logit)
    slope = a * u - b * t
    is_below = slope > 0.0
    # Downwards from t, or, mirrored, upwards.
    a, b, t, u, v = (ops.where(is_below, x, y) for x, y in ((a, b), (b, a), (t, u), (u, t), (logit, -logit)))
    slope = ops.abs(slope)
    curvature = ops.sqrt((a + b) * t * u)
    scale = ops.stop_gradient(1.0 / (slope + ops.minimum(curvature, a)))
    nodes, weights = (np.reshape(x, (-1, *(1,) * len(v.shape))) for x in (NODES, LOG_WEIGHTS))
    nodes, weights = (ops.convert_to_tensor(x, v.dtype) for x in (nodes, weights))
    log_ratios = _log_ratio(a, b, t, u, v, slope, nodes * scale)
    log_tail = log_density + ops.log(scale) + ops.logsumexp(log_ratios + weights, axis=0)
    rest = special.log1mexp(log_tail)
    return ops.where(is_below, log_tail, rest), ops.where(is_below, rest, log_tail)


def _log_ratio(a, b, t, u, v, slope, s):
    """The logarithm of the density at `v - s`, relative to that at v: a line, and what the curvature takes off."""
    is_near = s < 1.0
    step = ops.where(is_near, s, 0.0)
    is_small = t < 0.5
    # log(u + t e^-s) + t s, by the smaller of the two shares.
    near = ops.where(
        is_small,
        ops.log1p(t * ops.expm1(-step)) + t * step,
        ops.log1p(u * ops.expm1(step)) - u * step,
    )
    log_u = -ops.softplus(v)
    far = log_u + ops.softplus(v - s) + t * s
    return -slope * s - (a + b) * ops.where(is_near, near, far)
