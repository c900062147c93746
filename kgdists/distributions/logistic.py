"""Logistic distribution with independent dimensions."""

import math
from collections.abc import Sequence
from typing import Any, Self

from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import in_full_precision
from kgdists.random import uniform

__all__ = ["LogisticDist"]


class LogisticDist(Distribution):
    r"""Logistic distribution over vectors of `n` independent dimensions: its distribution function is the sigmoid.

    Parameters
    ----------
    mu : float tensor, shape [B..., n]
        Mean, mode and median.
    scale : float tensor, shape [B..., n], > 0
        In the units of the variates; the standard deviation is :math:`\pi / \sqrt3` times that.
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
    >>> pi = kg.LogisticDist(mu=[[0.0, 1.0]], scale=[[1.0, 0.5]])
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
        return cls(mu, math.sqrt(3.0) / math.pi * deviation, **fields)

    def __init__(
        self, mu: TensorLike, scale: TensorLike, *, name: str = "logistic_dist", random_seed: Seed = None
    ) -> None:
        params = shapes.as_floats(mu=mu, scale=scale)
        shapes.check_vector(**params)
        shapes.check_same(**params)
        shapes.check_finite(mu=params["mu"])
        shapes.check_positive(scale=params["scale"])
        self.set_fields(**params, name=name, random_seed=random_seed)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        r"""Draw :math:`\mu + s \log(u / (1 - u))`, u uniform on (0, 1), differentiable in both parameters.

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
        u = uniform(self.draw_shape(sample_shape), self.generator(seed), self.dtype)
        return self.mu + self.scale * (ops.log(u) - ops.log1p(-u))

    def mode(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def mean(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def variance(self) -> Tensor:
        r"""The variance of each dimension, :math:`\pi^2 s_i^2 / 3`, shape [B..., n]."""
        return math.pi**2 / 3.0 * self.scale * self.scale

    def stddev(self) -> Tensor:
        r"""The standard deviation of each dimension, :math:`\pi s / \sqrt3`, shape [B..., n]."""
        return math.pi / math.sqrt(3.0) * self.scale

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`-\sum_i (\log s_i + \log(1 + e^{z_i}) + \log(1 + e^{-z_i}))`, :math:`z = (x - \mu) / s`.

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
        r"""Log-density of each dimension by itself, :math:`-\log s_i - \log(1 + e^{z_i}) - \log(1 + e^{-z_i})`."""
        z = self._standardized(x)
        return -ops.log(self.scale) - (ops.softplus(z) + ops.softplus(-z))

    @in_full_precision
    def score(self, x: TensorLike) -> Tensor:
        r"""Gradient of the log-density in `x`: :math:`-\tanh(z / 2) / s`, shape of `x`."""
        return -ops.tanh(0.5 * self._standardized(x)) / self.scale

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`1 / (1 + e^{-z_i})`, :math:`z = (x - \mu) / s`; shape of `x`."""
        return ops.sigmoid(self._standardized(x))

    def log_cdf(self, x: TensorLike) -> Tensor:
        r""":math:`-\log(1 + e^{-z_i})`, shape of `x`."""
        return -ops.softplus(-self._standardized(x))

    def survival(self, x: TensorLike) -> Tensor:
        r""":math:`1 / (1 + e^{z_i})`, shape of `x`."""
        return ops.sigmoid(-self._standardized(x))

    def log_survival(self, x: TensorLike) -> Tensor:
        r""":math:`-\log(1 + e^{z_i})`, shape of `x`."""
        return -ops.softplus(self._standardized(x))

    def quantile(self, q: TensorLike) -> Tensor:
        r""":math:`\mu_i + s_i \log(q / (1 - q))`, shape [..., B..., n]."""
        levels = self.as_levels(q)
        return self.mu + self.scale * (ops.log(levels) - ops.log1p(-levels))

    def median(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def crps(self, x: TensorLike) -> Tensor:
        r""":math:`\sum_i s_i (\log(1 + e^{z_i}) + \log(1 + e^{-z_i}) - 1)`, :math:`z = (x - \mu) / s`.

        Jordan, Krueger and Lerch (2019), appendix A; shape [B...] behind any sample axes.
        """
        z = self._standardized(x)
        return ops.sum(self.scale * (ops.softplus(z) + ops.softplus(-z) - 1.0), axis=-1)

    def entropy(self) -> Tensor:
        r"""Entropy :math:`\sum_i (\log s_i + 2)`, shape [B...]."""
        return ops.sum(ops.log(self.scale) + 2.0, axis=-1)

    def _standardized(self, x: TensorLike) -> Tensor:
        """`(x - mu) / scale`."""
        return (self.as_variate(x) - self.mu) / self.scale
