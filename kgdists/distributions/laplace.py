"""Laplace distribution with independent dimensions."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import in_full_precision
from kgdists.numerics import special
from kgdists.random import uniform

__all__ = ["LaplaceDist"]

LOG_2 = math.log(2.0)
FAR = 50.0  # scales, beyond which exp(-x) is nothing beside 1


class LaplaceDist(Distribution):
    r"""Laplace distribution, two exponential ones back to back, over vectors of `n` independent dimensions.

    Parameters
    ----------
    mu : float tensor, shape [B..., n]
        Mean, mode and median.
    scale : float tensor, shape [B..., n], > 0
        The mean distance from `mu`, in the units of the variates; the standard deviation is :math:`\sqrt2` times that.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Raises
    ------
    ValueError
        On shapes or dtypes that differ and, where values are at hand, on NaN or infinite ones and on a scale that is
        not > 0.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.LaplaceDist(mu=[[0.0, 1.0]], scale=[[1.0, 0.5]])
    >>> pi.sample().shape, pi.log_proba([[0.5, 0.5]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("mu", "scale")
    STATIC_NAMES = ("name",)

    mu: Tensor
    scale: Tensor
    name: str

    @classmethod
    def from_stddev(cls, mu: TensorLike, stddev: TensorLike, **fields: Any) -> Self:
        """Make a distribution of its mean and its standard deviation, a float tensor > 0, shape [B..., n]."""
        deviation = shapes.as_float(stddev, "stddev")
        shapes.check_positive(stddev=deviation)
        return cls(mu, math.sqrt(0.5) * deviation, **fields)

    def __init__(
        self, mu: TensorLike, scale: TensorLike, *, name: str = "laplace_dist", random_seed: Seed = None
    ) -> None:
        params = shapes.as_floats(mu=mu, scale=scale)
        shapes.check_vector(**params)
        shapes.check_same(**params)
        shapes.check_finite(mu=params["mu"])
        shapes.check_positive(scale=params["scale"])
        self.set_fields(**params, name=name, random_seed=random_seed)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        r"""Draw :math:`\mu - s \, \mathrm{sign}(u) \log(1 - |u|)`, u uniform on (-1, 1), differentiable in both
        parameters.

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
        u = 2.0 * uniform(self.draw_shape(sample_shape), self.generator(seed), self.dtype) - 1.0
        return self.mu - self.scale * (ops.sign(u) * ops.log1p(-ops.abs(u)))

    def mode(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def mean(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def variance(self) -> Tensor:
        """The variance of each dimension, twice the square of the scale, shape [B..., n]."""
        return 2.0 * self.scale * self.scale

    def stddev(self) -> Tensor:
        r"""The standard deviation of each dimension, :math:`\sqrt2 s`, shape [B..., n]."""
        return math.sqrt(2.0) * self.scale

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`-\sum_i (\log 2 s_i + |x_i - \mu_i| / s_i)`; its gradient at the peak is 0.

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
        return ops.sum(self.elementwise_log_proba(x), axis=-1)

    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density of each dimension by itself, :math:`-\log 2 s_i - |x_i - \mu_i| / s_i`, shape of `x`."""
        return -LOG_2 - ops.log(self.scale) - ops.abs(self._standardized(x))

    @in_full_precision
    def score(self, x: TensorLike) -> Tensor:
        r"""Gradient of the log-density in `x`: :math:`-\mathrm{sign}(x - \mu) / s`, shape of `x`."""
        return -ops.sign(self._standardized(x)) / self.scale

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`\frac12 e^{z_i}` below the mean and :math:`1 - \frac12 e^{-z_i}` above,
        :math:`z = (x - \mu) / s`; shape of `x`."""
        return _cdf(self._standardized(x))

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return _log_cdf(self._standardized(x))

    def survival(self, x: TensorLike) -> Tensor:
        """One minus `cdf`, with its digits in the upper tail; shape of `x`."""
        return _cdf(-self._standardized(x))

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return _log_cdf(-self._standardized(x))

    def quantile(self, q: TensorLike) -> Tensor:
        r""":math:`\mu_i + s_i \log 2q` up to one half and :math:`\mu_i - s_i \log(2 (1 - q))` above.

        Shape [..., B..., n].
        """
        levels = self.as_levels(q)
        is_low = levels < 0.5
        log_tail = ops.log(2.0 * ops.where(is_low, levels, 1.0 - levels))
        return self.mu + self.scale * ops.where(is_low, log_tail, -log_tail)

    def median(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def crps(self, x: TensorLike) -> Tensor:
        r""":math:`\sum_i s_i (|z_i| + e^{-|z_i|} - \frac34)`, :math:`z = (x - \mu) / s`.

        Jordan, Krueger and Lerch (2019), appendix A; shape [B...] behind any sample axes.
        """
        return ops.sum(self.scale * (special.expm1_minus(-ops.abs(self._standardized(x))) + 0.25), axis=-1)

    def entropy(self) -> Tensor:
        r"""Entropy :math:`\sum_i (1 + \log 2 s_i)`, shape [B...]."""
        return ops.sum(1.0 + LOG_2 + ops.log(self.scale), axis=-1)

    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy :math:`-\mathrm{E}_p \log q` to `other` = q, shape [B...]:

        :math:`\sum_i (\log 2 s_{q,i} + (d_i + s_{p,i} e^{-d_i / s_{p,i}}) / s_{q,i})`, :math:`d = |\mu_p - \mu_q|`.
        """
        self.check_same_kind(other)
        distance, near = self._distances(other)
        far = distance / other.scale + self.scale / other.scale * ops.exp(-near)
        return ops.sum(LOG_2 + ops.log(other.scale) + far, axis=-1)

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other` = q, shape [B...], >= 0:

        :math:`\sum_i (r_i (e^{-a_i} - 1 + a_i) + r_i - 1 - \log r_i)`, :math:`r = s_p / s_q`,
        :math:`a = |\mu_p - \mu_q| / s_p`.
        """
        self.check_same_kind(other)
        distance, near = self._distances(other)
        log_ratio = ops.log(self.scale) - ops.log(other.scale)
        ratio = ops.minimum(self.scale / other.scale, float(np.finfo(self.dtype).max))
        of_means = ops.where(
            distance < FAR * self.scale, ratio * special.expm1_minus(-near), distance / other.scale - ratio
        )
        return ops.sum(of_means + special.expm1_minus(log_ratio), axis=-1)

    def _standardized(self, x: TensorLike) -> Tensor:
        """`(x - mu) / scale`."""
        return (self.as_variate(x) - self.mu) / self.scale

    def _distances(self, other: Self) -> tuple[Tensor, Tensor]:
        """That of the means, and in scales of this one, of which those beyond `FAR` are `FAR`."""
        distance = ops.abs(self.mu - other.mu)
        is_near = distance < FAR * self.scale
        return distance, ops.where(is_near, ops.where(is_near, distance, 0.0) / self.scale, FAR)


def _cdf(z):
    is_low = z < 0.0
    low, high = ops.where(is_low, z, 0.0), ops.where(is_low, 0.0, z)
    return ops.where(is_low, 0.5 * ops.exp(low), 1.0 - 0.5 * ops.exp(-high))


def _log_cdf(z):
    is_low = z < 0.0
    low, high = ops.where(is_low, z, 0.0), ops.where(is_low, 0.0, z)
    return ops.where(is_low, low - LOG_2, ops.log1p(-0.5 * ops.exp(-high)))
