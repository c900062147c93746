"""Normal distribution with independent dimensions."""

import math
from collections.abc import Sequence
from typing import Any, Self

from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import in_full_precision
from kgdists.numerics import normal as gaussian
from kgdists.numerics import special
from kgdists.random import normal

__all__ = ["NormalDist"]

LOG_2PI = math.log(2.0 * math.pi)


class NormalDist(Distribution):
    r"""Normal distribution over vectors of `n` independent dimensions.

    Parameters
    ----------
    mu : float tensor, shape [B..., n]
        Mean.
    logvar : float tensor, shape [B..., n]
        Logarithm of the variance, :math:`2 \log \sigma`.
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
    >>> pi = kg.NormalDist(mu=[[0.0, 1.0]], logvar=[[0.0, -1.0]])
    >>> pi.sample().shape, pi.log_proba([[0.5, 0.5]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("mu", "logvar")
    STATIC_NAMES = ("name",)

    mu: Tensor
    logvar: Tensor
    name: str

    @classmethod
    def from_stddev(cls, mu: TensorLike, stddev: TensorLike, **fields: Any) -> Self:
        """Make a distribution of its mean and its standard deviation, a float tensor > 0, shape [B..., n]."""
        stddev = shapes.as_float(stddev, "stddev")
        shapes.check_positive(stddev=stddev)
        return cls(mu, 2.0 * ops.log(stddev), **fields)

    def __init__(self, mu: TensorLike, logvar: TensorLike, name: str = "normal_dist", random_seed: Seed = None) -> None:
        params = shapes.as_floats(mu=mu, logvar=logvar)
        shapes.check_vector(**params)
        shapes.check_same(**params)
        shapes.check_finite(**params)
        self.set_fields(**params, name=name, random_seed=random_seed)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        r"""Draw :math:`\mu + \sigma \epsilon`, differentiable in both parameters.

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
        noise = normal(self.draw_shape(sample_shape), self.generator(seed), self.dtype)
        return self._displaced(noise)

    def mode(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def mean(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def variance(self) -> Tensor:
        """The variance of each dimension, shape [B..., n]."""
        return ops.exp(self.logvar)

    @in_full_precision
    def covariance(self) -> Tensor:
        """The covariance, a diagonal matrix, shape [B..., n, n]."""
        return ops.exp(self.logvar)[..., None] * ops.eye(self.event_shape[0], dtype=self.dtype)

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`-\frac12 \sum_i (\log 2\pi + \log\sigma_i^2 + (x_i - \mu_i)^2 / \sigma_i^2)`.

        Parameters
        ----------
        x : float tensor, shape [B..., n]; sample axes may come in front

        Returns
        -------
        float tensor, shape [B...] behind any sample axes.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on NaN.
        """
        z = self._standardized(self.as_variate(x))
        return -0.5 * (self.event_shape[0] * LOG_2PI + ops.sum(self.logvar, axis=-1) + ops.sum(z * z, axis=-1))

    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density of each dimension, :math:`-\frac12 (\log 2\pi\sigma_i^2 + (x_i - \mu_i)^2 / \sigma_i^2)`."""
        z = self._standardized(self.as_variate(x))
        return -0.5 * (LOG_2PI + self.logvar + z * z)

    @in_full_precision
    def score(self, x: TensorLike) -> Tensor:
        r"""Gradient of the log-density in `x`: :math:`-(x - \mu) / \sigma^2`, shape of `x`; `x` as for `log_proba`."""
        return -self._pulls(self._standardized(self.as_variate(x)))

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`\Phi((x_i - \mu_i) / \sigma_i)`, shape of `x`."""
        return gaussian.ndtr(self._standardized(self.as_variate(x)))

    def log_cdf(self, x: TensorLike) -> Tensor:
        r""":math:`\log \Phi((x_i - \mu_i) / \sigma_i)`, shape of `x`."""
        return gaussian.log_ndtr(self._standardized(self.as_variate(x)))

    def survival(self, x: TensorLike) -> Tensor:
        r""":math:`\Phi((\mu_i - x_i) / \sigma_i)`, shape of `x`."""
        return gaussian.ndtr(-self._standardized(self.as_variate(x)))

    def log_survival(self, x: TensorLike) -> Tensor:
        r""":math:`\log \Phi((\mu_i - x_i) / \sigma_i)`, shape of `x`."""
        return gaussian.log_ndtr(-self._standardized(self.as_variate(x)))

    def quantile(self, q: TensorLike) -> Tensor:
        r""":math:`\mu_i + \sigma_i \Phi^{-1}(q)`, shape [..., B..., n]."""
        return self._displaced(gaussian.ndtri(self.as_levels(q)))

    def _tail_quantile(self, log_tail: Tensor, is_upper: Any) -> Tensor:
        z = gaussian.log_ndtri(log_tail)
        return self._displaced(ops.where(is_upper, -z, z))

    def median(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def crps(self, x: TensorLike) -> Tensor:
        r""":math:`\sum_i \sigma_i (z_i (2 \Phi(z_i) - 1) + 2 \phi(z_i) - \pi^{-1/2})`, :math:`z = (x - \mu) / \sigma`.

        Gneiting and Raftery (2007), section 4.2; shape [B...] behind any sample axes.
        """
        return ops.sum(ops.exp(0.5 * self.logvar) * gaussian.crps(self._standardized(self.as_variate(x))), axis=-1)

    def entropy(self) -> Tensor:
        r"""Entropy :math:`\frac12 \sum_i (1 + \log 2\pi + \log\sigma_i^2)`, shape [B...]."""
        return 0.5 * (self.event_shape[0] * (1.0 + LOG_2PI) + ops.sum(self.logvar, axis=-1))

    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy :math:`-\mathrm{E}_p \log q` to `other` = q, shape [B...]:

        :math:`\frac12 \sum_i (\log 2\pi + \log\sigma_{q,i}^2
        + (\sigma_{p,i}^2 + (\mu_{p,i} - \mu_{q,i})^2) / \sigma_{q,i}^2)`.
        """
        self.check_same_kind(other)
        z = special.standardized(self.mu - other.mu, other.logvar)
        return 0.5 * ops.sum(LOG_2PI + other.logvar + ops.exp(self.logvar - other.logvar) + z * z, axis=-1)

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other` = q, shape [B...], >= 0:

        :math:`\frac12 \sum_i (e^{d_i} - 1 - d_i + (\mu_{p,i} - \mu_{q,i})^2 / \sigma_{q,i}^2)`,
        :math:`d = \log\sigma_p^2 - \log\sigma_q^2`.
        """
        self.check_same_kind(other)
        z = special.standardized(self.mu - other.mu, other.logvar)
        return ops.sum(0.5 * (special.expm1_minus(self.logvar - other.logvar) + z * z), axis=-1)

    # By these, which `MultivariateNormalDist` has too, a mixture knows its components. With L L^T the covariance:

    def _displaced(self, noise: Tensor) -> Tensor:
        """`mu + L noise`, where `noise` is broadcast to the batch."""
        return self.mu + ops.exp(0.5 * self.logvar) * noise

    def _standardized(self, x: Tensor) -> Tensor:
        """`L^-1 (x - mu)`, where `x` is broadcast to the batch."""
        return special.standardized(x - self.mu, self.logvar)

    def _pulls(self, z: Tensor) -> Tensor:
        """`L^-T z`: of z in standard coordinates minus the gradient of the log-density in x."""
        return special.standardized(z, self.logvar)

    def _half_log_det(self) -> Tensor:
        """`log det L`."""
        return 0.5 * ops.sum(self.logvar, axis=-1)
