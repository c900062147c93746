"""Proper scores of what was observed, estimated from draws."""

from typing import Any

from keras import ops

from kgdists.core import shapes
from kgdists.core.checks import count
from kgdists.core.types import Integer, Seed, Tensor
from kgdists.distributions import ClippedNormalDist, DiscretizedLogisticDist, GaussianMixtureDist
from kgdists.distributions.distribution import Distribution
from kgdists.divergences.moments import moments
from kgdists.divergences.sampling import exact_draws, stream_of

__all__ = ["crps", "energy_score"]

# Their draws move with the parameters, and the mean of what is continuous in them is differentiated right.
CONTINUOUS = ClippedNormalDist, DiscretizedLogisticDist


def crps(p: Distribution, x: Any, num_samples: Integer = 100, seed: Seed = None) -> tuple[Tensor, Tensor]:
    r"""Estimate the continuous ranked probability score, summed over the dimensions; the lower the better.

    :math:`\sum_i (\mathrm{E} |X_i - x_i| - \frac12 \mathrm{E} |X_i - X'_i|)`, X and X' independent draws (Gneiting and
    Raftery 2007, equation 21).

    Parameters
    ----------
    p : Distribution
    x : tensor, shape [B..., n]
        What was observed; labels of flags and integers too.
    num_samples : int, >= 2
        Pairs of draws.
    seed : None, int or keras.random.SeedGenerator

    Returns
    -------
    value : float tensor, shape [B...]
        Unbiased; its gradient too, if `p` is reparameterised.
    standard_error : float tensor, shape [B...]

    Examples
    --------
    >>> import kgdists as kg
    >>> p = kg.NormalDist([0.0], [0.0])
    >>> value, standard_error = kg.divergences.crps(p, [1.0], num_samples=1000, seed=0)
    >>> bool(abs(value - p.crps([1.0])) < 4 * standard_error)
    True
    """
    return _score(p, x, num_samples, seed, lambda difference: ops.sum(ops.abs(difference), axis=-1))


def energy_score(p: Distribution, x: Any, num_samples: Integer = 100, seed: Seed = None) -> tuple[Tensor, Tensor]:
    r"""Estimate the energy score, the ranked probability score of vectors; the lower the better.

    :math:`\mathrm{E} \|X - x\| - \frac12 \mathrm{E} \|X - X'\|` (Gneiting and Raftery 2007, equation 22). It also tells
    whether dimensions depend on each other as they should. Arguments and results as for `crps`.
    """
    return _score(p, x, num_samples, seed, _norm)


def _score(p, x, num_samples, seed, norm):
    if not isinstance(p, Distribution):
        raise TypeError(f"`p` must be a distribution. Received: {type(p).__name__}")
    pairs = count("num_samples", num_samples, least=2)
    mixture = p if isinstance(p, GaussianMixtureDist) else None
    # Of a mixture its components are drawn, each of which counts by its weight: so the weights have gradients too.
    drawn = p if mixture is None else mixture.components
    moves = drawn.REPARAMETERIZED or isinstance(p, CONTINUOUS)
    draws = drawn.sample(2 * pairs, stream_of(p, seed)) if moves else exact_draws(p, 2 * pairs, seed)
    if not hasattr(draws, "dtype"):
        raise TypeError(f"`p` must have events of one tensor. Received: {type(p).__name__}")
    draws = ops.cast(draws, p.dtype)
    observed = ops.cast(ops.convert_to_tensor(x), p.dtype)
    shape = (*p.batch_shape, *(draws.shape[1 + len(drawn.batch_shape) :]))
    if not shapes.matches(observed.shape, shape):
        raise ValueError(
            f"`x` must have the shape of a draw, {shape}: nothing is broadcast. "
            f"Received: x of shape {tuple(observed.shape)}"
        )
    one, other = draws[:pairs], draws[pairs:]
    if mixture is None:
        near, apart = 0.5 * (norm(one - observed) + norm(other - observed)), norm(one - other)
    else:
        weights, observed = ops.exp(mixture.log_weights), observed[..., None, :]
        near = 0.5 * ops.sum(weights * (norm(one - observed) + norm(other - observed)), axis=-1)
        distances = norm(one[..., :, None, :] - other[..., None, :, :])
        apart = ops.sum(weights[..., :, None] * weights[..., None, :] * distances, axis=(-2, -1))
    value, variance = moments(near - 0.5 * apart)
    return value, ops.sqrt(variance)


def _norm(difference):
    """The Euclidean norm, whose gradient is 0 at 0."""
    square = ops.sum(difference * difference, axis=-1)
    is_zero = ops.equal(square, 0.0)
    return ops.where(is_zero, 0.0, ops.sqrt(ops.where(is_zero, 1.0, square)))
