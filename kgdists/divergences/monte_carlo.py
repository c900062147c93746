"""Monte Carlo estimates where there is no closed form: a value and its standard error."""

from keras import ops

from kgdists import random
from kgdists.core.checks import count, number
from kgdists.core.types import Integer, Seed, Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.divergences.moments import moments, streamed
from kgdists.divergences.sampling import (
    NUM_SAMPLES,
    as_density,
    as_sampler,
    draws_and_log_density,
    log_density,
)
from kgdists.divergences.types import Density, Sampler

__all__ = [
    "alpha_divergence",
    "cross_entropy",
    "entropy",
    "jensen_shannon_divergence",
    "kl_divergence",
    "reverse_kl",
]


def entropy(
    p: Sampler, num_samples: Integer = NUM_SAMPLES, seed: Seed = None, *, chunk_size: Integer | None = None
) -> tuple[Tensor, Tensor]:
    r"""Estimate the entropy :math:`-\mathrm{E}_p \log p`.

    Parameters
    ----------
    p : Distribution or target
        Whatever has `sample(n, seed)` and `log_prob(x)`.
    num_samples : int, >= 1
        A single sample gives an unbiased value but no standard error: that is NaN then.
    seed : None, int or keras.random.SeedGenerator
    chunk_size : None or int, >= 1
        If given, draw the samples in chunks of this size, in one compiled loop: 10^8 samples take the memory of one
        chunk. The results are then constants without a gradient.

    Returns
    -------
    value : float tensor, shape [B...], of the dtype of what draws; float32 for half precision
        Unbiased, and so is its gradient: pathwise if `p` is reparameterised, else by the score function.
    standard_error : float tensor, shape [B...]
        Computed from the draws: too small if the largest terms are at rare points that were not drawn.

    Raises
    ------
    TypeError
        If what is drawn from has no `sample` and `log_prob`, or a density is no function.
    ValueError
        If a log-density does not give one number for each point: nothing is broadcast.

    Examples
    --------
    >>> import kgdists as kg
    >>> p = kg.NormalDist([0.0], [0.0])
    >>> value, standard_error = kg.divergences.entropy(p, num_samples=1000, seed=0)
    >>> bool(abs(value - p.entropy()) < 4 * standard_error)
    True
    """
    return _estimate("entropy", p, None, num_samples, seed, chunk_size)


def cross_entropy(
    p: Sampler, q: Density, num_samples: Integer = NUM_SAMPLES, seed: Seed = None, *, chunk_size: Integer | None = None
) -> tuple[Tensor, Tensor]:
    r"""Estimate the cross-entropy :math:`-\mathrm{E}_p \log q`.

    Parameters
    ----------
    p : Distribution or target
    q : Distribution, target or function x -> log q(x)
        Of the batch shape of `p`, or without a batch. A function gets points of shape [num_samples, B..., ...] and
        returns one number for each, shape [num_samples, B...].
    num_samples, seed, chunk_size
        As for `entropy`, and so are the results.
    """
    return _estimate("cross_entropy", p, q, num_samples, seed, chunk_size)


def kl_divergence(
    p: Sampler, q: Density, num_samples: Integer = NUM_SAMPLES, seed: Seed = None, *, chunk_size: Integer | None = None
) -> tuple[Tensor, Tensor]:
    r"""Estimate the divergence :math:`\mathrm{KL}(p \| q) = \mathrm{E}_p [\log p - \log q]` , the forward one.

    Arguments and results as for `cross_entropy`. A mixture has a divergence of exactly 0 from itself.
    """
    return _estimate("kl_divergence", p, q, num_samples, seed, chunk_size)


def reverse_kl(
    p: Density, q: Sampler, num_samples: Integer = NUM_SAMPLES, seed: Seed = None, *, chunk_size: Integer | None = None
) -> tuple[Tensor, Tensor]:
    r"""Estimate the reverse divergence :math:`\mathrm{KL}(q \| p) = \mathrm{E}_q [\log q - \log p]`.

    Arguments and results as for `cross_entropy`, with the roles exchanged: draws come from `q`, and of `p` only the
    log-density is needed.
    """
    return _estimate("kl_divergence", q, p, num_samples, seed, chunk_size)


def jensen_shannon_divergence(
    p: Sampler, q: Sampler, num_samples: Integer = NUM_SAMPLES, seed: Seed = None, *, chunk_size: Integer | None = None
) -> tuple[Tensor, Tensor]:
    r"""Estimate the divergence :math:`\frac12 \mathrm{KL}(p \| m) + \frac12 \mathrm{KL}(q \| m)`, m the mean of both.

    Each of the two draws `num_samples` points x, stratified samples of m, and the term of each is
    :math:`\log 2 - H(p(x) / (p(x) + q(x)))`, H the binary entropy: between 0 and log 2.

    Parameters
    ----------
    p, q : Distribution or target
        Of one batch shape.
    num_samples, seed, chunk_size
        As for `entropy`, and so are the results.
    """
    seeds = random.split(seed, 2)
    (value_p, error_p), (value_q, error_q) = (
        _estimate("jensen_shannon", *pair, num_samples, s, chunk_size)
        for pair, s in zip(((p, q), (q, p)), seeds, strict=True)
    )
    value_q, error_q = ops.cast(value_q, value_p.dtype), ops.cast(error_q, value_p.dtype)
    return 0.5 * (value_p + value_q), 0.5 * ops.sqrt(ops.square(error_p) + ops.square(error_q))


def alpha_divergence(
    p: Density,
    q: Density,
    alpha: float,
    num_samples: Integer = NUM_SAMPLES,
    seed: Seed = None,
    *,
    chunk_size: Integer | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Estimate Amari's divergence :math:`\frac{1}{\alpha (\alpha - 1)} (\int p^\alpha q^{1 - \alpha} dx - 1)`.

    At `alpha` = 1 it is :math:`\mathrm{KL}(p \| q)` and at 0 :math:`\mathrm{KL}(q \| p)`, the limits; at 1/2 four times
    the squared Hellinger distance :math:`1 - \int \sqrt{p q}`; at 2 half of Pearson's :math:`\chi^2`
    (Cichocki and Amari 2010).

    Parameters
    ----------
    p, q : Distribution or target
        Draws come from `p` for `alpha` >= 1/2 and from `q` below, whichever has the lighter terms. Of the other one
        only the log-density is needed. Beyond 1 and below 0 the terms have no variance if the tails of the other are
        too light, and then the standard error says nothing.
    alpha : float
    num_samples, seed, chunk_size
        As for `entropy`, and so are the results.
    """
    alpha = number("alpha", alpha)
    if alpha < 0.5:
        p, q, alpha = q, p, 1.0 - alpha
    name = "kl_divergence" if alpha == 1 else "alpha_divergence"
    return _estimate(name, p, q, num_samples, seed, chunk_size, float(alpha))


def _estimate(name, p, q, num_samples, seed, chunk_size, alpha=1.0):
    num_samples = count("num_samples", num_samples)
    p, q = as_sampler(p), as_density(q)
    if chunk_size is None:
        value, variance = moments(_draw_terms(num_samples, seed, p, q, name, alpha))
    else:
        chunk_size = count("chunk_size", chunk_size)
        value, variance = streamed(_draw_terms, (p, q, name, alpha), num_samples, chunk_size, seed)
    return value, ops.stop_gradient(ops.sqrt(variance))


def _draw_terms(num_samples, seed, p, q, name, alpha):
    x, log_p = draws_and_log_density(p, num_samples, seed)
    if name == "entropy":
        terms = -log_p
    elif name == "cross_entropy":
        terms = -log_density(q, x, log_p)
    else:
        terms = DIVERGENCES[name](log_density(q, x, log_p) - log_p, alpha)
    if isinstance(p, Distribution) and not p.REPARAMETERIZED:
        # Adds nothing to the value, and to the gradient that of the draws (Williams 1992).
        weights = ops.stop_gradient(ops.where(ops.isfinite(terms), terms, 0.0))
        terms = terms + weights * (log_p - ops.stop_gradient(log_p))
    return terms


# Terms by d = log q - log p at draws of p. Each is exactly 0 at d = 0.


def _kl_divergence(d, alpha):
    return -d


def _alpha_divergence(d, alpha):
    return ops.expm1((1.0 - alpha) * d) / (alpha * (alpha - 1.0))


def _jensen_shannon(d, alpha):
    a = ops.minimum(ops.abs(d), 100.0)  # beyond, nothing is left of the rest in any precision
    return -ops.log1p(0.5 * ops.expm1(-a)) - a * ops.sigmoid(-a)


DIVERGENCES = {
    "kl_divergence": _kl_divergence,
    "alpha_divergence": _alpha_divergence,
    "jensen_shannon": _jensen_shannon,
}
