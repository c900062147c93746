"""Draws and log-densities of whatever has them: distributions, targets, functions."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Seed, Tensor
from kgdists.distributions import GaussianMixtureDist
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import HALF

__all__ = [
    "NUM_SAMPLES",
    "as_density",
    "as_mixture",
    "as_sampler",
    "draws_and_log_density",
    "exact_draws",
    "log_density",
    "stream_of",
]

NUM_SAMPLES = 1000  # by default: the standard error is 3 % of the deviation of a term


def as_sampler(p: Any) -> Any:
    """What stands for `p`, which has `sample(n, seed)` and `log_prob(x)`: a distribution if `p` is a target of one."""
    p = as_density(p)
    if not (hasattr(p, "sample") and hasattr(p, "log_prob")):
        raise TypeError(
            "What is drawn from must be a distribution or target, with `sample(n, seed)` and `log_prob(x)`. "
            f"Received: {type(p).__name__}"
        )
    return p


def as_density(q: Any) -> Any:
    """What stands for `q`, which has `log_prob(x)` or is such a function: a distribution if `q` is a target of one.

    A distribution of half precision becomes one of full precision.
    """
    its = getattr(q, "distribution", None)
    q = its if isinstance(its, Distribution) else q
    if not (q is None or hasattr(q, "log_prob") or callable(q)):
        raise TypeError(f"A density must have `log_prob(x)` or be a function of x. Received: {type(q).__name__}")
    if not isinstance(q, Distribution) or q.dtype not in HALF:
        return q
    return keras.tree.map_structure(lambda x: ops.cast(x, "float32") if shapes.dtype_of(x) in HALF else x, q)


def log_density(q: Any, x: Tensor, like: Tensor | None = None) -> Tensor:
    """Log-density of `q` at points `x`, one number for each: nothing is broadcast.

    Parameters
    ----------
    q : Distribution, target or function x -> log q(x)
    x : tensor or tree of tensors, shape [n, B..., *event_shape]
    like : None or float tensor, shape [n, B...]
        What the result is compared with, and whose shape and dtype it has. With None, `q` is what `x` was drawn from.

    Raises
    ------
    ValueError
        If the result has another shape or is not of numbers.
    """
    if like is not None and isinstance(q, Distribution):
        batch_shape, own = tuple(like.shape)[1:], tuple(q.batch_shape)
        if own and not shapes.matches(own, batch_shape):
            raise ValueError(
                "A density must have the batch shape of what it is compared with, or none: nothing is broadcast. "
                f"Received: batch shape {own}, compared with batch shape {batch_shape}"
            )
    value = q.log_prob(x) if hasattr(q, "log_prob") else q(x)
    value = _as_numbers(value, "A log-density", "float32" if like is None else shapes.dtype_of(like))
    if like is None:
        return value if isinstance(q, Distribution) else _own_log_density(q, value, x)
    if getattr(value.shape, "rank", 0) is None:  # of a function that TensorFlow cannot look into
        value = ops.reshape(value, ops.shape(like))
    if not shapes.matches(value.shape, like.shape):
        raise ValueError(_wrong_shape(value, x, tuple(like.shape)))
    return ops.cast(value, like.dtype)


def draws_and_log_density(p: Any, num_samples: int, seed: Seed = None) -> tuple[Tensor, Tensor]:
    """Exact draws of `p`, shape [num_samples, B..., ...], and its log-density there, shape [num_samples, B...].

    The draws move with the parameters if `p` is reparameterised, and are constants else.
    """
    if isinstance(p, Distribution) and p.REPARAMETERIZED:
        x, log_p = p.sample_and_log_proba(num_samples, seed)
    else:
        x = exact_draws(p, num_samples, seed)
        log_p = log_density(p, x)
    if isinstance(p, Distribution) and not shapes.matches(log_p.shape, (num_samples, *p.batch_shape)):
        raise ValueError(_wrong_shape(log_p, x, (num_samples, *p.batch_shape)))
    return x, log_p


def stream_of(p: Any, seed: Seed) -> Seed:
    """What to draw from: the stream of `p`, if it has one of its own, where no seed is given."""
    return p.generator(seed) if isinstance(p, Distribution) else seed


def exact_draws(p: Any, num_samples: int, seed: Seed = None) -> Tensor:
    """Draws by which `p` is distributed, never relaxed ones, as constants."""
    if not isinstance(p, Distribution):
        x = _as_numbers(p.sample(num_samples, seed), "What is drawn")
        if len(x.shape) == 0 or x.shape[0] not in (None, num_samples):
            raise ValueError(
                f"`sample({num_samples}, seed)` must give {num_samples} draws, along the first axis. "
                f"Received: draws of shape {tuple(x.shape)}"
            )
    elif p.REPARAMETERIZED or isinstance(p, GaussianMixtureDist):
        x = p.sample(num_samples, seed)
    else:
        many = keras.tree.map_structure(lambda x: ops.broadcast_to(x, (num_samples, *ops.shape(x))), p)
        x = many.sample_action(seed)
    return keras.tree.map_structure(ops.stop_gradient, x)


def _as_numbers(value, what, dtype=None):
    """A tensor of `value`, whose own dtype stays if it has one; a line if it is not of numbers."""
    dtype = None if hasattr(value, "dtype") else dtype
    try:
        value = value if np.ma.is_masked(value) else ops.convert_to_tensor(value, dtype)
    except Exception as error:  # each backend has its own
        raise ValueError(f"{what} must be a tensor of numbers. Received: {type(value).__name__}") from error
    if np.ma.is_masked(value) or not any(kind in shapes.dtype_of(value) for kind in ("float", "int")):
        received = "masked values" if np.ma.is_masked(value) else f"dtype {shapes.dtype_of(value)}"
        raise ValueError(f"{what} must be a tensor of numbers. Received: {received}")
    return value


def _own_log_density(p, value, x):
    """The log-density of what x was drawn from, whose batch shape only its result tells: a float tensor, checked."""
    rank, event_shape = len(x.shape), getattr(p, "event_shape", None)
    # Without an event shape an event is a number or has one axis or more.
    ranks = range(1, max(2, rank)) if event_shape is None else [rank - len(event_shape)]
    if not any(shapes.matches(value.shape, x.shape[:r]) for r in ranks):
        raise ValueError(_wrong_shape(value, x, tuple(x.shape[: ranks[0]])))
    dtype = shapes.dtype_of(value)
    if dtype in HALF:
        return ops.cast(value, "float32")
    return value if "float" in dtype else ops.cast(value, keras.config.floatx())


def _wrong_shape(value, x, expected):
    points = keras.tree.map_structure(lambda leaf: tuple(leaf.shape), x)
    received = tuple(value.shape)
    cure = " Drop the last axis, `y[..., 0]`." if received == (*expected, 1) else ""
    return (
        f"A log-density must give one number for each point, here shape {expected}: nothing is broadcast.{cure} "
        f"Received: shape {received} for points of shape {points}"
    )


def as_mixture(p: Any, name: str) -> GaussianMixtureDist:
    """`p`, which must be a Gaussian mixture or a target of one, in full precision."""
    p = as_density(p)
    if not isinstance(p, GaussianMixtureDist):
        raise TypeError(f"`{name}` must be a GaussianMixtureDist. Received: {type(p).__name__}")
    return p
