"""Exponential distribution with independent dimensions."""

import math
from collections.abc import Sequence
from typing import Any, Self

from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions import half_line
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import in_full_precision
from kgdists.numerics import gamma, special
from kgdists.random import uniform

__all__ = ["ExponentialDist"]

INF = float("inf")


class ExponentialDist(Distribution):
    r"""Exponential distribution, of waiting times without memory, over vectors of `n` independent dimensions.

    Parameters
    ----------
    rate : float tensor, shape [B..., n], > 0
        The inverse of the mean, in 1 / the units of the variates.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Raises
    ------
    ValueError
        On wrong shapes and, where values are at hand, on rates that are not finite and > 0.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.ExponentialDist(rate=[[0.5, 2.0]])
    >>> pi.sample().shape, pi.log_proba([[0.5, 0.5]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("rate",)
    STATIC_NAMES = ("name",)

    rate: Tensor
    name: str

    @classmethod
    def from_mean(cls, mean: TensorLike, **fields: Any) -> Self:
        """Make a distribution of its mean, a float tensor > 0, shape [B..., n]."""
        given = shapes.as_float(mean, "mean")
        shapes.check_positive(mean=given)
        return cls(1.0 / given, **fields)

    def __init__(self, rate: TensorLike, *, name: str = "exponential_dist", random_seed: Seed = None) -> None:
        params = shapes.as_floats(rate=rate)
        shapes.check_vector(**params)
        shapes.check_positive(**params)
        self.set_fields(**params, name=name, random_seed=random_seed)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        r"""Draw :math:`-\log(u) / b`, u uniform on (0, 1), differentiable in the rate.

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
        return -ops.log(uniform(self.draw_shape(sample_shape), self.generator(seed), self.dtype)) / self.rate

    def mode(self) -> Tensor:
        """0, shape [B..., n]."""
        return ops.zeros_like(self.rate)

    def mean(self) -> Tensor:
        r"""Mean :math:`1 / b_i`, shape [B..., n]."""
        return 1.0 / self.rate

    def variance(self) -> Tensor:
        r"""The variance of each dimension, :math:`1 / b_i^2`, shape [B..., n]."""
        return ops.square(1.0 / self.rate)

    def stddev(self) -> Tensor:
        """The standard deviation of each dimension, which is the mean, shape [B..., n]."""
        return 1.0 / self.rate

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`\sum_i (\log b_i - b_i x_i)`.

        Parameters
        ----------
        x : float tensor, shape [B..., n], >= 0; sample axes may come in front

        Returns
        -------
        float tensor, shape [B...] behind any sample axes.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on NaN and on values below 0. In a graph those have
            log-density `-inf`.
        """
        return ops.sum(self.elementwise_log_proba(x), axis=-1)

    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density of each dimension by itself, :math:`\log b_i - b_i x_i`, shape of `x`."""
        variate = self.as_variate(x)
        half_line.check_not_negative(variate)
        log_density = ops.log(self.rate) - self.rate * ops.where(variate < 0.0, 0.0, variate)
        return ops.where(variate < 0.0, -INF, log_density)

    @in_full_precision
    def score(self, x: TensorLike) -> Tensor:
        r"""Gradient of the log-density in `x`: :math:`-b_i`, shape of `x`."""
        return -self.rate * ops.ones_like(self.as_variate(x))

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`1 - e^{-b_i x_i}`, 0 below 0; shape of `x`."""
        variate = self.as_variate(x)
        return half_line.by_place(variate, -ops.expm1(-self.rate * half_line.inside_or_one(variate)), 0.0, 1.0)

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        variate = self.as_variate(x)
        inside = half_line.inside_or_one(variate)
        waits = self.rate * inside
        tiny = waits < special.smallest(self.dtype)
        log_cdf = special.log1mexp(-ops.where(tiny, 1.0, waits))
        log_cdf = ops.where(tiny, ops.log(self.rate) + ops.log(inside), log_cdf)
        return half_line.by_place(variate, log_cdf, -INF, 0.0)

    def survival(self, x: TensorLike) -> Tensor:
        r""":math:`e^{-b_i x_i}`, 1 below 0; shape of `x`."""
        variate = self.as_variate(x)
        return half_line.by_place(variate, ops.exp(-self.rate * half_line.inside_or_one(variate)), 1.0, 0.0)

    def log_survival(self, x: TensorLike) -> Tensor:
        r""":math:`-b_i x_i`, 0 below 0; shape of `x`."""
        variate = self.as_variate(x)
        return -self.rate * ops.where(variate < 0.0, 0.0, variate)

    def quantile(self, q: TensorLike) -> Tensor:
        r""":math:`-\log(1 - q) / b_i`, shape [..., B..., n]."""
        return -ops.log1p(-self.as_levels(q)) / self.rate

    def median(self) -> Tensor:
        r""":math:`\log 2 / b_i`, shape [B..., n]."""
        return math.log(2.0) / self.rate

    def crps(self, x: TensorLike) -> Tensor:
        r""":math:`\sum_i (t_i - 2 (1 - e^{-t_i}) + \frac12) / b_i`, :math:`t = b x`.

        Jordan, Krueger and Lerch (2019), appendix A; of x below 0 its distance is added. Shape [B...] behind any
        sample axes.
        """
        variate = self.as_variate(x)
        is_far = ops.equal(variate, INF)
        waits = self.rate * ops.where((variate < 0.0) | is_far, 0.0, variate)
        score = ops.abs(variate) + (2.0 * ops.expm1(-waits) + 0.5) / self.rate
        return ops.sum(ops.where(is_far, variate, score), axis=-1)

    def entropy(self) -> Tensor:
        r"""Entropy :math:`\sum_i (1 - \log b_i)`, shape [B...]."""
        return ops.sum(1.0 - ops.log(self.rate), axis=-1)

    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy :math:`\sum_i (b_{q,i} / b_{p,i} - \log b_{q,i})` to `other` = q, shape [B...]."""
        self.check_same_kind(other)
        return ops.sum(other.rate / self.rate - ops.log(other.rate), axis=-1)

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other` = q, shape [B...], >= 0:

        :math:`\sum_i (e^{d_i} - 1 - d_i)`, :math:`d = \log b_q - \log b_p`.
        """
        self.check_same_kind(other)
        return ops.sum(special.expm1_minus(gamma.log_ratio(other.rate, self.rate)), axis=-1)
