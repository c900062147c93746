"""Losses whose minimum is at the least divergence: forward KL from samples, reverse KL from a density."""

from typing import Any, Literal

import keras
from keras import ops

from kgdists.core.checks import count
from kgdists.core.types import Integer, Seed, Tensor
from kgdists.distributions import GaussianMixtureDist
from kgdists.distributions.distribution import Distribution
from kgdists.divergences.sampling import as_density, exact_draws, log_density
from kgdists.divergences.types import Density

__all__ = ["forward_kl_loss", "reverse_kl_loss"]


def forward_kl_loss(q: Distribution, x: Any) -> Tensor:
    r"""Mean negative log-likelihood :math:`-\mathrm{mean}(\log q(x))` of samples x of p.

    It is the forward divergence :math:`\mathrm{KL}(p \| q)` but for the entropy of p, which `q` cannot change.

    Parameters
    ----------
    q : Distribution
        What is fitted; the gradient goes through its parameters.
    x : tensor, shape [..., B..., *event_shape]
        Samples of p; the mean is over the axes in front of the batch.

    Returns
    -------
    float tensor, shape [B...].

    Examples
    --------
    >>> import kgdists as kg
    >>> q = kg.NormalDist([0.0], [0.0])
    >>> round(float(kg.divergences.forward_kl_loss(q, [[-1.0], [1.0]])), 4)
    1.4189
    """
    if not isinstance(q, Distribution):
        raise TypeError(f"`q` must be a Distribution. Received: {type(q).__name__}")
    log_q = q.log_proba(x)
    return -ops.mean(log_q, axis=tuple(range(len(log_q.shape) - len(q.batch_shape))))


def reverse_kl_loss(
    q: Distribution,
    log_prob: Density,
    num_samples: Integer = 500,
    seed: Seed = None,
    estimator: Literal["score", "pathwise"] = "score",
) -> Tensor:
    r"""Estimate the reverse divergence :math:`\mathrm{KL}(q \| p) = \mathrm{E}_q [\log q - \log p]` from draws of `q`.

    Parameters
    ----------
    q : Distribution
        What is fitted; the gradient goes through its parameters.
    log_prob : function, Distribution or target
        The log-density of p, which may lack a constant: x of shape [n, B..., *event_shape] -> [n, B...].
    num_samples : int, >= 1, for `"score"` >= 2
    seed : None, int or keras.random.SeedGenerator
    estimator : "score" or "pathwise"
        How the gradient is estimated, in both cases without bias.

        `"score"` needs no gradient of `log_prob`: each draw weighs its score by how far its term is above the mean of
        all others (leave-one-out baseline: Mnih and Rezende 2016, Kool et al. 2019).

        `"pathwise"` moves the draws with the parameters. A mixture is stratified: every component draws the same
        number of points, `num_samples / K` rounded up, and their mean terms are weighted by the components' weights,
        so that the choice of a component needs no relaxation. The part of the gradient that has mean zero is left out
        (Roeder et al. 2017): where q equals p nothing is left of the noise.

    Returns
    -------
    float tensor, shape [B...]
        Unbiased. Without bias is also its gradient, not that of functions of it.

    Examples
    --------
    >>> import kgdists as kg
    >>> p = kg.NormalDist([1.0], [0.0])
    >>> q = kg.GaussianMixtureDist([0.0, 0.0], mu=[[1.0], [1.0]], logvar=[[0.0], [0.0]])
    >>> abs(float(kg.divergences.reverse_kl_loss(q, p, num_samples=100, seed=0))) < 1e-6
    True
    """
    if not isinstance(q, Distribution):
        raise TypeError(f"`q` must be a Distribution. Received: {type(q).__name__}")
    if estimator not in ("score", "pathwise"):
        raise ValueError(f'`estimator` must be "score" or "pathwise". Received: estimator={estimator!r}')
    q, p = as_density(q), as_density(log_prob)
    if estimator == "score":
        num_samples = count("num_samples", num_samples, least=2)
        return _by_score(q, p, num_samples, seed)
    num_samples = count("num_samples", num_samples)
    if isinstance(q, GaussianMixtureDist):
        return _by_strata(q, p, num_samples, seed)
    if not q.REPARAMETERIZED:
        raise TypeError(
            f'`q` must be a mixture or have reparameterised samples for estimator="pathwise". '
            f"Received: {type(q).__name__}"
        )
    x, log_q = q.sample_and_log_proba(num_samples, seed)
    return ops.mean(log_q - log_density(p, x, log_q), axis=0)


def _by_score(q, p, num_samples, seed):
    x = exact_draws(q, num_samples, seed)
    log_q = q.log_proba(x)
    terms = ops.stop_gradient(log_q - log_density(p, x, log_q))
    value = ops.mean(terms, axis=0)
    # A term minus the mean of the others is n / (n - 1) times itself minus the mean of all.
    surrogate = ops.sum((terms - value) * (log_q - ops.stop_gradient(log_q)), axis=0) / (num_samples - 1)
    return value + surrogate


def _by_strata(q, p, num_samples, seed):
    k, rank = q.num_components, len(q.batch_shape)
    drawn = q.components.sample(-(-num_samples // k), seed)
    strata = ops.moveaxis(drawn, rank + 1, 1)
    x = ops.reshape(strata, (-1, *ops.shape(strata)[2:]))
    constant_q = keras.tree.map_structure(ops.stop_gradient, q)
    log_q = constant_q.log_proba(x)
    terms = log_q - log_density(p, x, log_q)
    terms = ops.mean(ops.reshape(terms, ops.shape(strata)[:-1]), axis=0)
    weights = ops.moveaxis(ops.exp(q.log_weights), rank, 0)
    return ops.sum(weights * terms, axis=0)
