"""Tails of the beta distribution, with their digits and gradients, by one quadrature."""

import math

import numpy as np
from keras import ops

from kgdists.core.types import Tensor

__all__ = ["log1mexp", "log_tails"]

# The double exponential rule for half an axis (Takahasi and Mori 1974): s = exp(x - exp(-x)), equidistant in x.
STEP = 0.05
_X = np.arange(-3.7, 4.0, STEP)
NODES = np.exp(_X - np.exp(-_X))
LOG_WEIGHTS = _X - np.exp(-_X) + np.log1p(np.exp(-_X)) + math.log(STEP)


def log_tails(a: Tensor, b: Tensor, logit: Tensor, log_density: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithms of the probabilities below and above.

    The tail without the mode is integrated over the logit, in which the density is log-concave; the other is what it
    leaves of 1.

    Parameters
    ----------
    a, b : float tensors, > 0
        The concentrations, of the shape of `logit`.
    logit : float tensor
        log(t / (1 - t)) of the places t.
    log_density : float tensor
        Of the logit there.

    Returns
    -------
    log_below, log_above : float tensors like `logit`
    """
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
    rest = log1mexp(log_tail)
    return ops.where(is_below, log_tail, rest), ops.where(is_below, rest, log_tail)


def log1mexp(x: Tensor) -> Tensor:
    """`log(1 - exp(x))` of x <= 0, with its digits at both ends."""
    is_near = x > -math.log(2.0)
    near, far = ops.where(is_near, x, -1.0), ops.where(is_near, -1.0, x)
    tiny = ops.equal(near, 0.0)
    return ops.where(
        is_near,
        ops.where(tiny, -float("inf"), ops.log(-ops.expm1(ops.where(tiny, -1.0, near)))),
        ops.log1p(-ops.exp(far)),
    )


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
