"""Log-normal distribution with independent dimensions."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions import half_line
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.normal import NormalDist
from kgdists.distributions.wrappers import in_full_precision
from kgdists.numerics import normal as gaussian
from kgdists.numerics import special
from kgdists.random import normal

__all__ = ["LogNormalDist"]

LOG_2PI = math.log(2.0 * math.pi)
INF = float("inf")
# Gauss and Legendre's rule on [0, 1].
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)


class LogNormalDist(Distribution):
    r"""Distribution of :math:`e^y`, y normal, over vectors of `n` independent dimensions: of prices and sizes.

    Parameters
    ----------
    mu : float tensor, shape [B..., n]
        The mean of the logarithms, and the logarithm of the median.
    logvar : float tensor, shape [B..., n]
        The logarithm of the variance of the logarithms, :math:`2 \log \sigma`.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Raises
    ------
    ValueError
        On shapes or dtypes that differ and, where values are at hand, on NaN or infinite ones.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.LogNormalDist(mu=[[0.0, 1.0]], logvar=[[0.0, -1.0]])
    >>> pi.sample().shape, pi.log_proba([[0.5, 0.5]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("mu", "logvar")
    STATIC_NAMES = ("name",)

    mu: Tensor
    logvar: Tensor
    name: str

    @classmethod
    def from_mean(cls, mean: TensorLike, stddev: TensorLike, **fields: Any) -> Self:
        """Make a distribution of its mean and its standard deviation, float tensors > 0, shape [B..., n]."""
        given = shapes.as_floats(mean=mean, stddev=stddev)
        shapes.check_same(**given)
        shapes.check_positive(**given)
        variance = ops.log1p(ops.square(given["stddev"] / given["mean"]))
        return cls(ops.log(given["mean"]) - 0.5 * variance, ops.log(variance), **fields)

    def __init__(
        self, mu: TensorLike, logvar: TensorLike, *, name: str = "log_normal_dist", random_seed: Seed = None
    ) -> None:
        params = shapes.as_floats(mu=mu, logvar=logvar)
        shapes.check_vector(**params)
        shapes.check_same(**params)
        shapes.check_finite(**params)
        self.set_fields(**params, name=name, random_seed=random_seed)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        r"""Draw :math:`\exp(\mu + \sigma \epsilon)`, differentiable in both parameters.

        Parameters
        ----------
        sample_shape : int or tuple of int
            Shape in front of the batch shape.
        seed : None, int or keras.random.SeedGenerator
            An int repeats the same draw.

        Returns
        -------
        float tensor, shape [*sample_shape, B..., n].
        """
        return ops.exp(self._displaced(self._noise(sample_shape, seed)))

    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Tensor, Tensor]:
        """A variate and its log-density, which is exact also where the variate leaves the range of floats."""
        noise = self._noise(sample_shape, seed)
        log_x = self._displaced(noise)
        return ops.exp(log_x), ops.sum(self._log_density(noise, log_x), axis=-1)

    def mode(self) -> Tensor:
        r"""The peak :math:`\exp(\mu_i - \sigma_i^2)`, shape [B..., n]."""
        return ops.exp(self.mu - ops.exp(self.logvar))

    def mean(self) -> Tensor:
        r"""Mean :math:`\exp(\mu_i + \sigma_i^2 / 2)`, shape [B..., n]."""
        return ops.exp(self.mu + 0.5 * ops.exp(self.logvar))

    def variance(self) -> Tensor:
        r"""The variance of each dimension, :math:`(e^{\sigma_i^2} - 1) \exp(2 \mu_i + \sigma_i^2)`, shape [B..., n]."""
        return ops.exp(2.0 * self._log_stddev())

    def stddev(self) -> Tensor:
        """The standard deviation of each dimension, shape [B..., n]."""
        return ops.exp(self._log_stddev())

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`-\sum_i (\frac12 (\log 2\pi + \log\sigma_i^2 + (\log x_i - \mu_i)^2 / \sigma_i^2)
        + \log x_i)`.

        Parameters
        ----------
        x : float tensor, shape [B..., n], >= 0; sample axes may come in front

        Returns
        -------
        float tensor, shape [B...] behind any sample axes; `-inf` at 0.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on NaN and on values below 0. In a graph those have
            log-density `-inf`.
        """
        return ops.sum(self.elementwise_log_proba(x), axis=-1)

    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        """Log-density of each dimension by itself, shape of `x`."""
        variate = self.as_variate(x)
        half_line.check_not_negative(variate)
        half_line.check_not_tiny(variate)
        log_x = ops.log(half_line.inside_or_one(variate))
        log_density = self._log_density(special.standardized(log_x - self.mu, self.logvar), log_x)
        return half_line.by_place(variate, log_density, -INF, -INF)

    @in_full_precision
    def score(self, x: TensorLike) -> Tensor:
        r"""Gradient of the log-density in `x`: :math:`-(1 + (\log x - \mu) / \sigma^2) / x`, shape of `x`."""
        variate = self.as_variate(x)
        z = special.standardized(ops.log(variate) - self.mu, self.logvar)
        return -(1.0 + special.standardized(z, self.logvar)) / variate

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`\Phi((\log x_i - \mu_i) / \sigma_i)`, 0 below 0; shape of `x`."""
        return self._at(x, self._log.cdf, 0.0, 1.0)

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return self._at(x, self._log.log_cdf, -INF, 0.0)

    def survival(self, x: TensorLike) -> Tensor:
        r""":math:`\Phi((\mu_i - \log x_i) / \sigma_i)`, 1 below 0; shape of `x`."""
        return self._at(x, self._log.survival, 1.0, 0.0)

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return self._at(x, self._log.log_survival, 0.0, -INF)

    def quantile(self, q: TensorLike) -> Tensor:
        r""":math:`\exp(\mu_i + \sigma_i \Phi^{-1}(q))`, shape [..., B..., n]."""
        return ops.exp(self._log.quantile(q))

    def median(self) -> Tensor:
        r""":math:`e^{\mu_i}`, shape [B..., n]."""
        return ops.exp(self.mu)

    def crps(self, x: TensorLike) -> Tensor:
        r""":math:`\sum_i (x (2 \Phi(z) - 1) - 2 m (\Phi(z - \sigma) + \Phi(\sigma / \sqrt2) - 1))`.

        :math:`z = (\log x - \mu) / \sigma` and m is the mean; Baran and Lerch (2015), equation 8. Of x below 0 its
        distance is added. Shape [B...] behind any sample axes.
        """
        variate = self.as_variate(x)
        inside = half_line.inside_or_one(variate)
        log_x = ops.log(inside)
        z, variance, scale = self._standardized(log_x), ops.exp(self.logvar), ops.exp(0.5 * self.logvar)
        log_mean, sign = self.mu + 0.5 * variance, ops.erf(math.sqrt(0.5) * z)
        # Of narrow distributions by the distance to the mean, and by the integral of the density over one deviation.
        narrow = scale < 1.0
        small, weights = ops.where(narrow, scale, 0.5), zip(NODES.tolist(), WEIGHTS.tolist(), strict=True)
        mass = small * sum(0.5 * w * gaussian.density(z - 0.5 * (1.0 + t) * small) for t, w in weights)
        mean, apart = ops.exp(log_mean), log_x - log_mean
        near = ops.abs(apart) < 1.0
        gap = ops.where(near, mean * ops.expm1(ops.where(near, apart, 0.0)), inside - mean)
        of_narrow = gap * sign + mean * (2.0 * mass - ops.erf(0.5 * small))
        at_zero = 2.0 * ops.exp(log_mean + gaussian.log_ndtr(-math.sqrt(0.5) * scale))
        of_wide = inside * sign - 2.0 * ops.exp(log_mean + gaussian.log_ndtr(z - scale)) + at_zero
        score = ops.where(narrow, of_narrow, of_wide)
        score = ops.where(variate <= 0.0, at_zero - variate, ops.where(ops.equal(variate, INF), INF, score))
        return ops.sum(score, axis=-1)

    def entropy(self) -> Tensor:
        r"""Entropy :math:`\sum_i (\frac12 (1 + \log 2\pi + \log\sigma_i^2) + \mu_i)`, shape [B...]."""
        return self._log.entropy() + ops.sum(self.mu, axis=-1)

    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy :math:`-\mathrm{E}_p \log q` to `other` = q, shape [B...]:

        :math:`\sum_i (\frac12 (\log 2\pi + \log\sigma_{q,i}^2
        + (\sigma_{p,i}^2 + (\mu_{p,i} - \mu_{q,i})^2) / \sigma_{q,i}^2) + \mu_{p,i})`.
        """
        self.check_same_kind(other)
        return self._log.cross_entropy(other._log) + ops.sum(self.mu, axis=-1)

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other` = q, shape [B...], >= 0: that of the normal distributions,

        :math:`\frac12 \sum_i (e^{d_i} - 1 - d_i + (\mu_{p,i} - \mu_{q,i})^2 / \sigma_{q,i}^2)`,
        :math:`d = \log\sigma_p^2 - \log\sigma_q^2`.
        """
        self.check_same_kind(other)
        return self._log.kl_divergence(other._log)

    @property
    def _log(self) -> NormalDist:
        """The distribution of log(x)."""
        # Not by the constructor: all has been checked.
        return NormalDist._unflatten((NormalDist.PARAM_NAMES, "log", self._stream), (self.mu, self.logvar))

    def _noise(self, sample_shape, seed):
        return normal(self.draw_shape(sample_shape), self.generator(seed), self.dtype)

    def _displaced(self, noise):
        return self.mu + ops.exp(0.5 * self.logvar) * noise

    def _standardized(self, log_x):
        return special.standardized(log_x - self.mu, self.logvar)

    def _log_density(self, z, log_x):
        return -0.5 * (LOG_2PI + self.logvar + z * z) - log_x

    def _at(self, x, function, below, at_infinity):
        """`function` of log(x) inside of the half line."""
        x = self.as_variate(x)
        inside = function(ops.log(half_line.inside_or_one(x)))
        return half_line.by_place(x, inside, below, at_infinity)

    def _log_stddev(self):
        variance = ops.exp(self.logvar)
        return self.mu + variance + 0.5 * special.log1mexp(-variance)
