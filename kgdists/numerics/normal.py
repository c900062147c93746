"""The standard normal distribution: its distribution function, quantiles and ranked probability score."""

import math

import keras
import numpy as np
from keras import ops

from kgdists.core.backend import with_gradient
from kgdists.core.types import Tensor
from kgdists.numerics.special import log_ndtr

__all__ = ["crps", "density", "log_ndtr", "log_ndtri", "ndtr", "ndtri", "squares_below", "squares_between"]

HALF_LOG_2PI, ROOT_HALF = 0.5 * math.log(2.0 * math.pi), math.sqrt(0.5)
# Hastings' approximation of the quantile (Abramowitz and Stegun 1964, 26.2.23), which two steps make exact.
NUMERATOR, DENOMINATOR = (2.515517, 0.802853, 0.010328), (1.0, 1.432788, 0.189269, 0.001308)
# Gauss and Legendre's rule on [0, 1], for integrals over less than `NARROW` deviations.
NODES, WEIGHTS = np.polynomial.legendre.leggauss(5)
NODES, WEIGHTS = (1.0 + NODES) / 2.0, WEIGHTS / 2.0
NARROW = 0.25


def density(z: Tensor) -> Tensor:
    """The density at z."""
    return ops.exp(-0.5 * z * z - HALF_LOG_2PI)


def ndtr(z: Tensor) -> Tensor:
    r"""The distribution function :math:`\Phi(z)`, with its digits in the lower tail."""
    return 0.5 * ops.erfc(-ROOT_HALF * z)


@with_gradient
def ndtri(p: Tensor) -> Tensor:
    r"""The quantile :math:`\Phi^{-1}(p)`, with its digits in both tails.

    Parameters
    ----------
    p : float tensor, any shape, 0 to 1

    Returns
    -------
    tensor like `p`; `-inf` at 0 and `inf` at 1. Its gradient is one over the density.
    """
    is_low = p < 0.5
    tail = ops.where(is_low, p, 1.0 - p)  # exact above one half
    inside = tail > 0.0
    z = _lower_quantile(ops.log(ops.where(inside, tail, 0.5)))
    z = ops.where(inside, ops.where(is_low, z, -z), ops.where(is_low, -float("inf"), float("inf")))

    def gradient(upstream):
        return upstream * ops.exp(ops.minimum(0.5 * z * z, _largest(z)) + HALF_LOG_2PI)

    return z, gradient


@with_gradient
def log_ndtri(log_p: Tensor) -> Tensor:
    r"""The quantile :math:`\Phi^{-1}(e^l)` of l <= log(1/2), with its digits also where the exponential underflows."""
    z = _lower_quantile(ops.where(ops.isfinite(log_p), log_p, -1.0))
    value = ops.where(ops.isfinite(log_p), z, log_p)

    def gradient(upstream):
        return upstream * ops.exp(log_ndtr(z) + 0.5 * z * z + HALF_LOG_2PI)

    return value, gradient


def _lower_quantile(log_tail):
    t = ops.sqrt(-2.0 * log_tail)
    z = _ratio(t) - t
    for _ in range(3):
        # Halley's step on log Phi(z) = log p, of which the derivatives are h and -h (z + h).
        log_phi = log_ndtr(z)
        h = ops.exp(-0.5 * z * z - HALF_LOG_2PI - log_phi)
        step = (log_phi - log_tail) / h
        z = z - step / (1.0 + 0.5 * step * (z + h))
    return z


def crps(z: Tensor) -> Tensor:
    r"""The continuous ranked probability score at z: :math:`z (2 \Phi(z) - 1) + 2 \phi(z) - 1 / \sqrt\pi`.

    Gneiting and Raftery (2007), section 4.2.
    """
    return z * ops.erf(ROOT_HALF * z) + 2.0 * density(z) - 1.0 / math.sqrt(math.pi)


def squares_below(z: Tensor) -> Tensor:
    r"""The integral of :math:`\Phi^2` up to z: :math:`z \Phi^2 + 2 \Phi \phi - \Phi(\sqrt2 z) / \sqrt\pi`."""
    return ops.maximum(ops.maximum(z, 0.0) + _bend(z), 0.0)


def squares_between(a: Tensor, b: Tensor, width: Tensor) -> Tensor:
    r"""The integral of :math:`\Phi^2` from a to b, with its digits also where that is a small part of a deviation.

    Parameters
    ----------
    a, b, width : float tensors of one shape
        `width` is b - a, with its digits.
    """
    is_narrow = width * (1.0 + ops.maximum(-a, 0.0)) < NARROW
    step = ops.where(is_narrow, width, 0.0)
    squares = sum(w * ops.square(ndtr(a + t * step)) for t, w in zip(NODES.tolist(), WEIGHTS.tolist(), strict=True))
    wide = ops.where(a > 0.0, width, ops.maximum(b, 0.0)) + _bend(b) - _bend(a)
    return ops.where(is_narrow, step * squares, ops.maximum(wide, 0.0))


def _bend(z):
    """What `squares_below` has more than its asymptotes, 0 and z: it is 0 far out."""
    phi, rest = ndtr(z), ndtr(-z)
    line = ops.where(z > 0.0, -z * rest * (1.0 + phi), z * phi * phi)
    return line + 2.0 * phi * density(z) - ndtr(math.sqrt(2.0) * z) / math.sqrt(math.pi)


def _ratio(t):
    above, below = ops.zeros_like(t), ops.zeros_like(t)
    for coefficient in reversed(NUMERATOR):
        above = above * t + coefficient
    for coefficient in reversed(DENOMINATOR):
        below = below * t + coefficient
    return above / below


def _largest(x):
    return 708.0 if keras.backend.standardize_dtype(x.dtype) == "float64" else 87.0
