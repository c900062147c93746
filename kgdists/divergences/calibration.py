"""Where observations lie in their distributions: uniform numbers if the distributions are right."""

from typing import Any

import numpy as np
from keras import ops

from kgdists.core import backend, shapes
from kgdists.core.checks import count
from kgdists.core.types import Integer
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import widened
from kgdists.divergences.sampling import NUM_SAMPLES, exact_draws

__all__ = ["probability_integral_transform"]


def probability_integral_transform(
    p: Distribution, y: Any, *, num_samples: Integer = NUM_SAMPLES, seed: Integer = 0
) -> np.ndarray:
    r"""Where each observation lies in its distribution, from 0 to 1: :math:`F(y)`, which is uniform if `p` is right.

    A value that has some probability, as a count has, gets a random place within it,
    :math:`F(y^-) + V (F(y) - F(y^-))` with V uniform (Czado, Gneiting and Held 2009, section 2).

    Parameters
    ----------
    p : Distribution
        Of numbers, with values. Each dimension is taken by itself.
    y : array, shape [B..., n]
        What was observed, for each row of the batch.
    num_samples : int, >= 1
        Draws among which an observation has its rank, where the distribution has no `cdf`.
    seed : int
        The random places, and the draws, are a function of it.

    Returns
    -------
    numpy.ndarray, shape [B..., n], from 0 to 1.

    Raises
    ------
    ValueError
        If `y` has another shape, or has NaN, or the distribution has no values.
    TypeError
        If `p` is no distribution of numbers.

    Examples
    --------
    >>> import numpy as np, kgdists as kg
    >>> p = kg.NormalDist(np.zeros((1000, 1)), np.zeros((1000, 1)))
    >>> u = kg.divergences.probability_integral_transform(p, p.sample(seed=0))
    >>> bool(abs(u.mean() - 0.5) < 0.05)
    True
    """
    if not isinstance(p, Distribution):
        raise TypeError(f"`p` must be a distribution. Received: {type(p).__name__}")
    if not isinstance(p.event_shape, tuple) or hasattr(p, "num_categories"):
        raise TypeError(f"`p` must be a distribution of numbers. Received: {type(p).__name__}")
    num_samples, seed = count("num_samples", num_samples), count("seed", seed, least=0)
    observed = backend.concrete(shapes.as_float(y, "y", p.dtype))
    shape = p.batch_shape + p.event_shape
    if observed is None or observed.shape != shape:
        raise ValueError(
            f"`y` must have the shape of the batch and the event, {shape}, and values. "
            f"Received: y of shape {tuple(np.shape(y))}"
        )
    shapes.check_not_nan(y=observed)
    observed = observed.astype("float64" if p.dtype == "float64" else "float32")
    rng = np.random.default_rng(seed)
    try:
        below, reached = _tails(p, observed)
    except NotImplementedError:
        draws = ops.convert_to_numpy(exact_draws(p, num_samples, seed=seed))
        below, reached = (draws < observed).mean(0), (draws <= observed).mean(0)
        # A rank among n draws is one of n + 1 places.
        below, reached = (x * num_samples / (num_samples + 1) for x in (below, reached))
        reached = reached + 1.0 / (num_samples + 1)
    return below + rng.random(observed.shape) * np.maximum(reached - below, 0.0)


def _tails(p: Distribution, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities below, and at or below, each observation: the next float below it tells an atom."""
    # Numbers closer to 0 than the smallest normal one are 0 to TensorFlow.
    before = np.minimum(np.nextafter(y, np.asarray(-np.inf, y.dtype)), y - np.finfo(y.dtype).tiny)
    wide = widened(p)
    below, reached = (np.clip(ops.convert_to_numpy(wide.cdf(x)).astype("float64"), 0.0, 1.0) for x in (before, y))
    return below, reached
