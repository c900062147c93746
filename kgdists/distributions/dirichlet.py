"""Dirichlet distribution over points of a simplex."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from keras import ops

from kgdists.core import shapes, value_checks
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import in_full_precision
from kgdists.numerics import gamma, special
from kgdists.random import log_gamma

__all__ = ["DirichletDist"]

INF = float("inf")
SLACK = 0.01  # what entries of half precision may miss a sum of 1 by


class DirichletDist(Distribution):
    r"""Dirichlet distribution: `k` shares of a whole, numbers >= 0 that sum to 1.

    Parameters
    ----------
    concentration : float tensor, shape [B..., k], k >= 2, > 0
        :math:`\alpha`; their sum A tells how near variates are to the mean. Where all are above 1 the density has one
        peak, inside.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Raises
    ------
    ValueError
        On a single share and, where values are at hand, on concentrations that are not finite and > 0.

    Notes
    -----
    The dimensions depend on each other: there is no `cdf`, `quantile` or `crps`, nor a log-density of one of them. The
    density is that of the first k - 1 shares.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.DirichletDist(concentration=[[2.0, 3.0, 0.5]])
    >>> pi.sample().shape, pi.log_proba([[0.5, 0.3, 0.2]]).shape
    (TensorShape([1, 3]), TensorShape([1]))
    """

    PARAM_NAMES = ("concentration",)
    STATIC_NAMES = ("name",)

    concentration: Tensor
    name: str

    @classmethod
    def from_mean(cls, mean: TensorLike, total_concentration: TensorLike, **fields: Any) -> Self:
        """Make a distribution of its mean and the sum of its concentrations.

        Parameters
        ----------
        mean : float tensor, shape [B..., k], > 0
            Shares, which sum to 1.
        total_concentration : float tensor, shape [B...], > 0
        **fields
            Further arguments of the constructor.
        """
        given = shapes.as_floats(mean=mean, total_concentration=total_concentration)
        shapes.check_vector(mean=given["mean"])
        shapes.check_positive(**given)
        _check_shares(given["mean"], "mean")
        total = given["total_concentration"]
        if not shapes.matches(total.shape, given["mean"].shape[:-1]):
            raise ValueError(
                "`total_concentration` must have the batch shape of `mean`: nothing is broadcast. "
                f"Received: mean of shape {tuple(given['mean'].shape)}, total_concentration of {tuple(total.shape)}"
            )
        shares = given["mean"] / ops.sum(given["mean"], axis=-1, keepdims=True)
        return cls(ops.cast(total, shares.dtype)[..., None] * shares, **fields)

    def __init__(self, concentration: TensorLike, *, name: str = "dirichlet_dist", random_seed: Seed = None) -> None:
        params = shapes.as_floats(concentration=concentration)
        shapes.check_vector(**params)
        if params["concentration"].shape[-1] < 2:
            raise ValueError(
                "`concentration` must have shape [B..., k], k >= 2: a single share is always 1. "
                f"Received: concentration of shape {tuple(params['concentration'].shape)}"
            )
        shapes.check_positive(**params)
        self.set_fields(**params, name=name, random_seed=random_seed)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Draw exactly, by gamma variates over their sum, differentiable in the concentrations.

        Parameters
        ----------
        sample_shape : int or tuple of int
            Shape in front of the batch shape.
        seed : None, int or keras.random.SeedGenerator
            An int repeats the same draw.

        Returns
        -------
        float tensor, shape [*sample_shape, B..., k]; rows sum to 1.
        """
        return ops.exp(self._draw_log(sample_shape, seed))

    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Tensor, Tensor]:
        """A variate and its log-density, which is exact also where shares underflow."""
        log_x = self._draw_log(sample_shape, seed)
        return ops.exp(log_x), gamma.dirichlet_log_density(self.concentration + ops.zeros_like(log_x), log_x)

    def mode(self) -> Tensor:
        r"""The peak :math:`(\alpha_i - 1) / (A - k)`, shape [B..., k].

        Shares whose concentration is not above 1 are 0; without any above 1 it is the corner of the largest, and the
        middle for the uniform distribution.
        """
        alpha = self.concentration
        excess = ops.maximum(alpha - 1.0, 0.0)
        total = ops.sum(excess, axis=-1, keepdims=True)
        corner = ops.one_hot(ops.argmax(alpha, axis=-1), alpha.shape[-1], dtype=self.dtype)
        uniform = ops.all(ops.equal(alpha, 1.0), axis=-1, keepdims=True)
        end = ops.where(uniform, 1.0 / alpha.shape[-1], corner)
        return ops.where(total > 0.0, excess / ops.where(total > 0.0, total, 1.0), end)

    def mean(self) -> Tensor:
        r"""Mean :math:`\alpha_i / A`, shape [B..., k]."""
        return self.concentration / self._total()

    def variance(self) -> Tensor:
        r"""The variance of each share, :math:`\alpha_i (A - \alpha_i) / (A^2 (A + 1))`, shape [B..., k]."""
        total = self._total()
        return self.concentration / total * (self._others() / total) / (total + 1.0)

    @in_full_precision
    def covariance(self) -> Tensor:
        r"""The covariance, :math:`-\alpha_i \alpha_j / (A^2 (A + 1))` beside the diagonal, shape [B..., k, k]."""
        share = self.mean()
        across = -share[..., :, None] * share[..., None, :] / (self._total() + 1.0)[..., None]
        eye = ops.eye(self.event_shape[0], dtype=self.dtype)
        return across * (1.0 - eye) + self.variance()[..., None] * eye

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`\log \Gamma(A) + \sum_i ((\alpha_i - 1) \log x_i - \log \Gamma(\alpha_i))`.

        Parameters
        ----------
        x : float tensor, shape [B..., k], >= 0; sample axes may come in front
            Shares, which sum to 1: it is that of these divided by their sum, which rounding alone may set apart from 1.

        Returns
        -------
        float tensor, shape [B...] behind any sample axes. Where a share is 0 it is `-inf` for a concentration above 1,
        else `inf` for one below 1.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on NaN, on values below 0 and on sums that are not 1. In a
            graph those have log-density `-inf`.
        """
        variate = self.as_variate(x)
        _check_shares(variate, "x")
        total = ops.sum(variate, axis=-1)
        impossible = ops.any(variate < 0.0, axis=-1) | (ops.abs(total - 1.0) > SLACK)
        at_zero = variate <= 0.0
        log_x = ops.where(at_zero, -INF, ops.log(ops.where(at_zero, 1.0, variate)))
        log_x = log_x - ops.stop_gradient(ops.log(ops.where(impossible, 1.0, total)))[..., None]
        log_density = gamma.dirichlet_log_density(self.concentration + ops.zeros_like(variate), log_x)
        return ops.where(impossible, -INF, log_density)

    def entropy(self) -> Tensor:
        r"""Entropy, shape [B...]:

        :math:`\sum_i \log \Gamma(\alpha_i) - \log \Gamma(A) + (A - k) \psi(A) - \sum_i (\alpha_i - 1) \psi(\alpha_i)`.
        """
        alpha, total, k = self.concentration, self._total(), self.event_shape[0]
        # The entropies of k gamma variates without that of their sum, and what there is of logarithms.
        of_total = gamma.entropy(total) + (k - 1.0) * (ops.log(total) - special.log_minus_digamma(total))
        return ops.sum(gamma.entropy(alpha), axis=-1) - of_total[..., 0]

    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy :math:`-\mathrm{E}_p \log q` to `other` = q, shape [B...]: the entropy and the divergence."""
        return self.entropy() + self.kl_divergence(other)

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other` = q, shape [B...], >= 0:

        :math:`\sum_i D(\alpha_{p,i}, \alpha_{q,i}) - D(A_p, A_q)`, :math:`D(a, c) = \log \Gamma(c) - \log \Gamma(a)
        - \psi(a) (c - a)`.
        """
        self.check_same_kind(other)
        alpha = self.concentration + ops.zeros_like(other.concentration)
        its = other.concentration + ops.zeros_like(self.concentration)
        total, its_total = (ops.sum(x, axis=-1, keepdims=True) for x in (alpha, its))
        # Of what is huge in D there remains the divergence of the means.
        log_shares = gamma.log_ratio(alpha, its) - gamma.log_ratio(total, its_total)
        terms = its * special.expm1_minus(log_shares) + gamma.rest_divergence(alpha, its)
        return ops.maximum(ops.sum(terms, axis=-1) - gamma.rest_divergence(total, its_total)[..., 0], 0.0)

    def _total(self):
        return ops.sum(self.concentration, axis=-1, keepdims=True)

    def _others(self):
        """The sum of the concentrations of the other shares, with its digits."""
        k = self.event_shape[0]
        return ops.matmul(self.concentration, 1.0 - ops.eye(k, dtype=self.dtype))

    def _draw_log(self, sample_shape, seed):
        """A draw of the logarithms of shares."""
        shape = self.draw_shape(sample_shape)
        logs = log_gamma(ops.broadcast_to(self.concentration, shape), self.generator(seed))
        return logs - ops.logsumexp(logs, axis=-1, keepdims=True)


def _check_shares(x, name):
    """Raise if values are at hand and are negative or do not sum to one."""

    def check(values):
        total = values.astype("float64").sum(axis=-1)
        if (values < 0).any() or not (np.abs(total - 1.0) <= SLACK).all():
            wrong = np.where(np.abs(total - 1.0) <= SLACK, np.min(values, axis=-1), total)
            raise ValueError(
                f"`{name}` must be shares: numbers >= 0 whose rows sum to 1. Received: entries from {values.min()} to "
                f"{values.max()}, first row sum {wrong.ravel()[0]}"
            )

    value_checks.check_values(check, x)
