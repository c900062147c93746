"""Stable scalar helpers, and the few things that `keras.ops` lacks."""

import keras
import numpy as np
from keras import ops

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    def _is_concrete(x):
        return isinstance(x, (np.ndarray, tf.__internal__.EagerTensor))

else:
    import jax

    def _is_concrete(x):
        return isinstance(x, (np.ndarray, jax.Array)) and not isinstance(x, jax.core.Tracer)


__all__ = ["concrete", "expm1_minus", "kl_term", "soft_clip", "soft_clip_inverse"]


def concrete(x):
    """The values of `x` as a NumPy array where they are at hand (eager), else `None`."""
    if not _is_concrete(x):
        return None
    # NumPy cannot read a bfloat16 EagerTensor without axes.
    return np.asarray(x.numpy() if hasattr(x, "numpy") else x)


def expm1_minus(x):
    """`exp(x) - 1 - x` to full relative accuracy, hence never negative.

    Parameters
    ----------
    x : float tensor, any shape

    Returns
    -------
    tensor like `x`, >= 0; its gradient is `expm1(x)`.
    """
    # Near zero the subtraction cancels: there the Taylor series, by Horner's rule, to 1e-17.
    near = ops.abs(x) < 0.25
    small = ops.where(near, x, ops.zeros_like(x))
    series = ops.ones_like(x)
    for k in range(13, 2, -1):
        series = 1.0 + small * series / k
    large = ops.where(near, ops.ones_like(x), x)
    return ops.where(near, 0.5 * small * small * series, ops.expm1(large) - large)


def kl_term(p, q, d):
    """`p (exp(d) - 1 - d)` with `d = log(q / p)`: what one event of probability p adds to a divergence, >= 0.

    Summed over all events it is the Kullback-Leibler divergence, because the p and the q both sum to one.

    Parameters
    ----------
    p, q, d : float tensors of one shape
        `d` may be anything where p = 0; it may be `-inf` where q = 0.
    """
    gone = ops.equal(p, 0)
    near = (d < 1.0) & ~gone
    d_near, d_far = ops.where(near, d, 0.0), ops.where(near | gone, 0.0, d)
    # Far out exp(d) may overflow where p exp(d) = q does not; p = 0 leaves q.
    return ops.where(near, p * expm1_minus(d_near), q - p - p * d_far)


def soft_clip(x, low, high):
    """A smooth clip to `(low, high)`: the identity well inside, and never a zero gradient at hand.

    Parameters
    ----------
    x : float tensor, any shape
    low, high : float, `low < high`

    Returns
    -------
    tensor like `x`: `low + softplus(x - low) - softplus(x - high)`.
    """
    # The same from either end: far out only the nearer one keeps its digits and its gradient.
    from_low = low + ops.softplus(x - low) - ops.softplus(x - high)
    from_high = high - ops.softplus(high - x) + ops.softplus(low - x)
    return ops.where(x < 0.5 * (low + high), from_low, from_high)


def soft_clip_inverse(y, low, high):
    """The `x` (NumPy) for which `soft_clip(x, low, high) == y`, for `low < y < high`."""
    y = np.asarray(y, "float64")
    return y + np.log1p(-np.exp(low - y)) - np.log1p(-np.exp(y - high))
