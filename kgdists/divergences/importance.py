r"""Estimates for a density known but for its normaliser :math:`Z = \int \tilde p`: bounds and importance sampling."""

from typing import Literal

from keras import ops

from kgdists.core import shapes
from kgdists.core.checks import count
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.divergences.moments import log_moments, streamed
from kgdists.divergences.monte_carlo import kl_divergence
from kgdists.divergences.sampling import (
    NUM_SAMPLES,
    as_density,
    as_sampler,
    draws_and_log_density,
    log_density,
)
from kgdists.divergences.types import Density, Sampler

__all__ = ["effective_sample_size", "elbo", "eubo", "log_normalizer"]


def elbo(
    q: Sampler,
    log_prob: Density,
    num_samples: Integer = NUM_SAMPLES,
    seed: Seed = None,
    *,
    chunk_size: Integer | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Estimate the evidence lower bound :math:`\mathrm{E}_q [\log \tilde p - \log q] = \log Z - \mathrm{KL}(q \| p)`.

    Parameters
    ----------
    q : Distribution or target
    log_prob : Distribution, target or function x -> log of the density that lacks its normaliser
    num_samples, seed, chunk_size
        As for `entropy`.

    Returns
    -------
    value, standard_error : float tensor, shape [B...]; as for `entropy`, the gradient of `value` included.
    """
    value, standard_error = kl_divergence(q, log_prob, num_samples, seed, chunk_size=chunk_size)
    return -value, standard_error


def eubo(
    q: Density, p: Sampler, num_samples: Integer = NUM_SAMPLES, seed: Seed = None, *, chunk_size: Integer | None = None
) -> tuple[Tensor, Tensor]:
    r"""Estimate the evidence upper bound :math:`\mathrm{E}_p [\log \tilde p - \log q] = \log Z + \mathrm{KL}(p \| q)`.

    Parameters
    ----------
    q : Distribution, target or function x -> log q(x)
    p : Distribution or target
        What can be drawn from; its `log_prob` may lack the normaliser.
    num_samples, seed, chunk_size
        As for `entropy`, and so are the results.
    """
    return kl_divergence(p, q, num_samples, seed, chunk_size=chunk_size)


def log_normalizer(
    q: Density,
    p: Density,
    num_samples: Integer = NUM_SAMPLES,
    seed: Seed = None,
    *,
    drawn_from: Literal["q", "p"] = "q",
    chunk_size: Integer | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Estimate :math:`\log Z` by importance sampling.

    Parameters
    ----------
    q : Distribution, target or function x -> log q(x), normalised
    p : Distribution, target or function x -> log of the density that lacks its normaliser
    num_samples, seed
        As for `entropy`.
    drawn_from : "q" or "p"
        :math:`\log \mathrm{E}_q [\tilde p / q]` or :math:`-\log \mathrm{E}_p [q / \tilde p]`. Either is wrong, with a
        small standard error, where its draws miss what the other density covers: the first comes out too low and the
        second too high, so that it pays to look at both.
    chunk_size : None or int, >= 1
        As for `entropy`.

    Returns
    -------
    value : float tensor, shape [B...]
        Consistent; its bias is of the order of the squared standard error. A constant, without a gradient.
    standard_error : float tensor, shape [B...]
        By the delta method: that of the mean weight over the mean weight. NaN for a single sample.

    Examples
    --------
    >>> import kgdists as kg
    >>> q, p = kg.NormalDist([0.0], [1.0]), kg.NormalDist([0.5], [0.0])
    >>> value, standard_error = kg.divergences.log_normalizer(q, lambda x: p.log_prob(x) + 3.0, 1000, seed=0)
    >>> bool(abs(value - 3.0) < 4 * standard_error)
    True
    """
    num_samples = count("num_samples", num_samples)
    if drawn_from not in ("q", "p"):
        raise ValueError(f'`drawn_from` must be "q" or "p". Received: drawn_from={drawn_from!r}')
    sampler, density = (q, p) if drawn_from == "q" else (p, q)
    sampler, density = as_sampler(sampler), as_density(density)
    if chunk_size is None:
        value, variance = log_moments(_log_weights(num_samples, seed, sampler, density))
    else:
        chunk_size = count("chunk_size", chunk_size)
        value, variance = streamed(_log_weights, (sampler, density), num_samples, chunk_size, seed, is_log=True)
    return (value if drawn_from == "q" else -value), ops.sqrt(variance)


def effective_sample_size(log_weights: TensorLike) -> Tensor:
    r"""The number of draws that importance weights are worth: :math:`(\sum_i w_i)^2 / \sum_i w_i^2` (Kong 1992).

    Parameters
    ----------
    log_weights : float tensor, shape [n, B...]
        Logarithms of the weights, :math:`\log p - \log q` at draws of q; a constant may be missing.

    Returns
    -------
    float tensor, shape [B...]
        Between 1 and n; 0 if all weights are 0.

    Examples
    --------
    >>> import kgdists as kg
    >>> float(kg.divergences.effective_sample_size([0.0, 0.0, 0.0, -100.0]))
    3.0
    """
    logs = shapes.as_float(log_weights, "log_weights")
    if len(logs.shape) == 0:
        raise ValueError("`log_weights` must have shape [n, B...]. Received: log_weights of shape ()")
    largest = ops.max(logs, axis=0)
    weights = ops.exp(logs - ops.where(ops.isfinite(largest), largest, 0.0))
    squares = ops.sum(ops.square(weights), axis=0)
    return ops.square(ops.sum(weights, axis=0)) / ops.where(squares > 0, squares, 1.0)


def _log_weights(num_samples, seed, sampler, density):
    x, log_proba = draws_and_log_density(sampler, num_samples, seed)
    return ops.stop_gradient(log_density(density, x, log_proba) - log_proba)
