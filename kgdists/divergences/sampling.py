"""Draws and log-densities of whatever has them: distributions, targets, functions."""

import keras
from keras import ops

from kgdists.distribution import Distribution
from kgdists.distributions import GaussianMixtureDist

__all__ = ["as_distribution", "check_count", "exact_draws", "log_density"]


def as_distribution(p):
    """The distribution that a target of mixtures stands for, if `p` is one; else `p` itself."""
    its = getattr(p, "distribution", None)
    return its if isinstance(its, Distribution) else p


def log_density(p):
    """The function `x -> log p(x)` of a distribution, of a target, or of a function, which it is already."""
    function = getattr(as_distribution(p), "log_prob", p)
    if not callable(function):
        raise TypeError(f"A density must have `log_prob` or be a function. Received: {type(p).__name__}")
    return function


def exact_draws(p, num_samples, seed=None):
    """Draws by which `p` is distributed, never relaxed ones, as constants: shape [num_samples, B..., ...]."""
    p = as_distribution(p)
    if isinstance(p, GaussianMixtureDist):
        x = p.sample(num_samples, seed, hard=True)
    elif not isinstance(p, Distribution):
        if not hasattr(p, "sample"):
            raise TypeError(f"What is drawn from must have `sample` and `log_prob`. Received: {type(p).__name__}")
        x = ops.convert_to_tensor(p.sample(num_samples, seed))
    elif p.REPARAMETERIZED:
        x = p.sample(num_samples, seed)
    else:
        many = keras.tree.map_structure(lambda x: ops.broadcast_to(x, (num_samples, *ops.shape(x))), p)
        x = many.sample_action(seed)
    return keras.tree.map_structure(ops.stop_gradient, x)


def check_count(least=1, **counts):
    """Raise unless each is an int of at least `least`."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < least:
            raise ValueError(f"`{name}` must be an int >= {least}. Received: {name}={count!r}")
