"""Draws and log-densities of whatever has them: distributions, targets, functions."""

import keras
from keras import ops

from kgdists import shapes
from kgdists.distribution import HALF, Distribution
from kgdists.distributions import GaussianMixtureDist
from kgdists.random import normal, split, uniform

__all__ = [
    "as_density",
    "as_sampler",
    "check_count",
    "draws_and_log_density",
    "exact_draws",
    "log_density",
    "stream_of",
]


def as_sampler(p):
    """What stands for `p`, which has `sample(n, seed)` and `log_prob(x)`: a distribution if `p` is a target of one."""
    p = as_density(p)
    if not (hasattr(p, "sample") and hasattr(p, "log_prob")):
        raise TypeError(
            "What is drawn from must be a distribution or target, with `sample(n, seed)` and `log_prob(x)`. "
            f"Received: {type(p).__name__}"
        )
    return p


def as_density(q):
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


def log_density(q, x, dtype=None):
    """Log-density of `q` at `x`, of a dtype of its own or of that of the distribution it is compared with."""
    value = ops.convert_to_tensor(q.log_prob(x) if hasattr(q, "log_prob") else q(x))
    return value if dtype is None else ops.cast(value, dtype)


def draws_and_log_density(p, num_samples, seed=None):
    """Exact draws of `p`, shape [num_samples, B..., ...], and its log-density there, shape [num_samples, B...].

    The draws move with the parameters if `p` is reparameterised, and are constants else.
    """
    if isinstance(p, Distribution) and p.REPARAMETERIZED:
        return p.sample_and_log_proba(num_samples, seed)
    x = exact_draws(p, num_samples, seed)
    return x, log_density(p, x)


def stream_of(p, seed):
    """What to draw from: the stream of `p`, if it has one of its own, where no seed is given."""
    return p._seed(seed) if isinstance(p, Distribution) else seed


def exact_draws(p, num_samples, seed=None):
    """Draws by which `p` is distributed, never relaxed ones, as constants."""
    if isinstance(p, GaussianMixtureDist):
        x = _mixture_draws(p, num_samples, seed)
    elif not isinstance(p, Distribution):
        x = ops.convert_to_tensor(p.sample(num_samples, seed))
    elif p.REPARAMETERIZED:
        x = p.sample(num_samples, seed)
    else:
        many = keras.tree.map_structure(lambda x: ops.broadcast_to(x, (num_samples, *ops.shape(x))), p)
        x = many.sample_action(seed)
    return keras.tree.map_structure(ops.stop_gradient, x)


def _mixture_draws(p, num_samples, seed):
    # One uniform number for the choice of a component: `sample` takes one for each, to be differentiable.
    choice_seed, noise_seed = split(stream_of(p, seed), 2)
    upper = ops.cumsum(ops.exp(ops.cast(p.log_weights, "float32")), axis=-1)
    lower = ops.concatenate([ops.zeros_like(upper[..., :1]), upper[..., :-1]], axis=-1)
    front = (num_samples, *ops.shape(upper)[:-1])
    # Rounding must not reach the end, where no component is.
    u = ops.minimum(uniform((*front, 1), choice_seed), 1.0 - 2.0**-22) * upper[..., -1:]
    is_chosen = ops.cast((lower <= u) & (u < upper), p.dtype)
    noise = normal((*front, *p.event_shape), noise_seed, p.dtype)[..., None, :]
    if "logvar" in p.PARAM_NAMES:
        steps = ops.exp(0.5 * p.logvar) * noise
    else:
        steps = ops.sum(p.scale_tril * noise[..., None, :], axis=-1)
    return ops.sum(is_chosen[..., None] * (p.mu + steps), axis=-2)


def check_count(least=1, **counts):
    """Raise unless each is an int of at least `least`."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < least:
            raise ValueError(f"`{name}` must be an int >= {least}. Received: {name}={count!r}")
