"""Weibull distribution with independent dimensions."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions import half_line
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import in_full_precision
from kgdists.numerics import gamma, incomplete_gamma, special
from kgdists.random import uniform

__all__ = ["WeibullDist"]

INF = float("inf")
LARGEST = {"float32": 88.0, "float64": 709.0}
LOG_2, EULER = math.log(2.0), float(np.euler_gamma)


class WeibullDist(Distribution):
    r"""Weibull distribution, of lifetimes, over vectors of `n` independent dimensions.

    :math:`t = (x / \lambda)^k` is exponential of rate 1.

    Parameters
    ----------
    concentration : float tensor, shape [B..., n], > 0
        k, the shape: the hazard falls with time below 1 and rises above.
    scale : float tensor, shape [B..., n], > 0
        :math:`\lambda`, in the units of the variates: what is above it has the probability 1 / e.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Raises
    ------
    ValueError
        On shapes or dtypes that differ and, where values are at hand, on parameters that are not finite and > 0.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.WeibullDist(concentration=[[2.0, 0.8]], scale=[[1.0, 0.5]])
    >>> pi.sample().shape, pi.log_proba([[0.5, 0.5]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("concentration", "scale")
    STATIC_NAMES = ("name",)

    concentration: Tensor
    scale: Tensor
    name: str

    @classmethod
    def from_mean(cls, mean: TensorLike, concentration: TensorLike, **fields: Any) -> Self:
        """Make a distribution of its mean and its concentration, float tensors > 0, shape [B..., n]."""
        given = shapes.as_floats(mean=mean, concentration=concentration)
        shapes.check_same(**given)
        shapes.check_positive(**given)
        log_gamma = _log_moment(1.0 / given["concentration"])
        return cls(given["concentration"], given["mean"] * ops.exp(-log_gamma), **fields)

    def __init__(
        self, concentration: TensorLike, scale: TensorLike, *, name: str = "weibull_dist", random_seed: Seed = None
    ) -> None:
        params = shapes.as_floats(concentration=concentration, scale=scale)
        shapes.check_vector(**params)
        shapes.check_same(**params)
        shapes.check_positive(**params)
        self.set_fields(**params, name=name, random_seed=random_seed)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        r"""Draw :math:`\lambda (-\log u)^{1 / k}`, u uniform on (0, 1), differentiable in both parameters.

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
        return self.scale * ops.exp(self._draw_log(sample_shape, seed) / self.concentration)

    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Tensor, Tensor]:
        """A variate and its log-density, which is exact also where the variate leaves the range of floats."""
        log_t = self._draw_log(sample_shape, seed)
        log_x = log_t / self.concentration
        log_density = ops.log(self.concentration) - ops.log(self.scale) - log_x + log_t - ops.exp(log_t)
        return self.scale * ops.exp(log_x), ops.sum(log_density, axis=-1)

    def mode(self) -> Tensor:
        r"""The peak :math:`\lambda_i (1 - 1 / k_i)^{1 / k_i}`, and 0 for concentrations up to 1, shape [B..., n]."""
        k = ops.maximum(self.concentration, 1.0)
        inside = k > 1.0
        peak = self.scale * ops.exp(ops.log1p(-1.0 / ops.where(inside, k, 2.0)) / k)
        return ops.where(inside, peak, 0.0)

    def mean(self) -> Tensor:
        r"""Mean :math:`\lambda_i \Gamma(1 + 1 / k_i)`, shape [B..., n]."""
        return self.scale * ops.exp(_log_moment(1.0 / self.concentration))

    def variance(self) -> Tensor:
        r"""The variance of each dimension, :math:`\lambda_i^2 (\Gamma(1 + 2 / k_i) - \Gamma(1 + 1 / k_i)^2)`."""
        return ops.square(self.stddev())

    def stddev(self) -> Tensor:
        """The standard deviation of each dimension, shape [B..., n]."""
        step = 1.0 / self.concentration
        excess = gamma.lgamma_bend(step)
        wide = excess > 1.0
        near, far = ops.where(wide, 1.0, excess), ops.where(wide, excess, 1.0)
        log_root = ops.where(wide, 0.5 * (far + special.log1mexp(-far)), 0.5 * ops.log(ops.expm1(near)))
        return self.scale * ops.exp(_log_moment(step) + log_root)

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`\sum_i (\log (k_i / \lambda_i) + (k_i - 1) \log (x_i / \lambda_i)
        - (x_i / \lambda_i)^{k_i})`.

        Parameters
        ----------
        x : float tensor, shape [B..., n], >= 0; sample axes may come in front

        Returns
        -------
        float tensor, shape [B...] behind any sample axes; at 0 `inf` for concentrations below 1, `-inf` above.

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
        inside = half_line.inside_or_one(variate, with_zero=True)
        k, scale = (part + ops.zeros_like(variate) for part in (self.concentration, self.scale))
        log_density = gamma.weibull_log_density(k, scale, inside)
        return ops.where((variate < 0.0) | ops.equal(variate, INF), -INF, log_density)

    @in_full_precision
    def score(self, x: TensorLike) -> Tensor:
        r"""Gradient of the log-density in `x`: :math:`(k - 1 - k (x / \lambda)^k) / x`, shape of `x`."""
        variate = self.as_variate(x)
        power = ops.exp(self.concentration * (ops.log(variate) - ops.log(self.scale)))
        return (self.concentration * (1.0 - power) - 1.0) / variate

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`1 - e^{-t_i}`, 0 below 0; shape of `x`."""
        return self._at(x, lambda log_t: -ops.expm1(-ops.exp(log_t)), 0.0, 1.0)

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""

        def inside(log_t):
            tiny = log_t < -20.0
            log_cdf = special.log1mexp(-ops.exp(ops.where(tiny, 0.0, log_t)))
            return ops.where(tiny, log_t - 0.5 * ops.exp(ops.minimum(log_t, 0.0)), log_cdf)

        return self._at(x, inside, -INF, 0.0)

    def survival(self, x: TensorLike) -> Tensor:
        r""":math:`e^{-t_i}`, 1 below 0; shape of `x`."""
        return self._at(x, lambda log_t: ops.exp(-ops.exp(log_t)), 1.0, 0.0)

    def log_survival(self, x: TensorLike) -> Tensor:
        r""":math:`-t_i`, 0 below 0; shape of `x`."""

        def inside(log_t):
            return ops.where(log_t < LARGEST[self.dtype], -ops.exp(log_t), -INF)

        return self._at(x, inside, 0.0, -INF)

    def quantile(self, q: TensorLike) -> Tensor:
        r""":math:`\lambda_i (-\log(1 - q))^{1 / k_i}`, shape [..., B..., n]."""
        levels = self.as_levels(q) + ops.zeros_like(self.scale)
        is_end = (levels <= 0.0) | (levels >= 1.0)
        log_t = ops.log(-ops.log1p(-ops.where(is_end, 0.5, levels)))
        inside = self.scale * ops.exp(log_t / self.concentration)
        return ops.where(is_end, ops.where(levels <= 0.0, 0.0, INF), inside)

    def median(self) -> Tensor:
        r""":math:`\lambda_i (\log 2)^{1 / k_i}`, shape [B..., n]."""
        return self.scale * ops.exp(math.log(LOG_2) / self.concentration)

    def crps(self, x: TensorLike) -> Tensor:
        r""":math:`\sum_i (x (2 F(x) - 1) - \lambda \Gamma(1 + \frac1k) (2 P(1 + \frac1k, t) - 2^{-1 / k}))`.

        P is the regularized incomplete gamma function; of x below 0 its distance is added. Shape [B...] behind any
        sample axes.
        """
        variate = self.as_variate(x)
        k, scale = (part + ops.zeros_like(variate) for part in (self.concentration, self.scale))
        inside = half_line.inside_or_one(variate)
        is_far = ops.equal(variate, INF) | (k * gamma.log_ratio(inside, scale) > LARGEST[self.dtype])
        inside = ops.where(is_far, scale, inside)
        log_ratio = gamma.log_ratio(inside, scale)
        log_t, log_mean = k * log_ratio, _log_moment(1.0 / k)
        below, _ = incomplete_gamma.log_tails(1.0 + 1.0 / k, log_t)
        at_zero = ops.exp(log_mean - LOG_2 / k)
        sign = -1.0 - 2.0 * ops.expm1(-ops.exp(log_t))
        score = ops.exp(log_ratio) * sign - 2.0 * ops.exp(log_mean + below) + at_zero
        # Far out it is the distance to what would be known for sure, the mean and half the mean difference.
        far = variate - scale * (2.0 * ops.exp(log_mean) - at_zero)
        score = scale * ops.where(variate <= 0.0, at_zero, score) + ops.where(variate < 0.0, -variate, 0.0)
        overflows = ops.equal(at_zero, INF) & ~ops.isnan(variate)
        return ops.sum(ops.where(overflows, INF, ops.where(is_far, far, score)), axis=-1)

    def entropy(self) -> Tensor:
        r"""Entropy :math:`\sum_i (\gamma (1 - 1 / k_i) + \log (\lambda_i / k_i) + 1)`, shape [B...]."""
        k = self.concentration
        return ops.sum(EULER * (1.0 - 1.0 / k) + ops.log(self.scale) - ops.log(k) + 1.0, axis=-1)

    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy :math:`-\mathrm{E}_p \log q` to `other` = q, shape [B...]: the entropy and the divergence."""
        return self.entropy() + self.kl_divergence(other)

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other` = q, shape [B...], >= 0:

        :math:`\sum_i (e^d - 1 - d + \log \Gamma(r) + \gamma (r - 1))`, :math:`r = k_q / k_p`,
        :math:`d = k_q \log (\lambda_p / \lambda_q) + \log \Gamma(1 + r)` (Bauckhage 2013, equation 11).
        """
        self.check_same_kind(other)
        of_p, of_q = ops.zeros_like(self.scale), ops.zeros_like(other.scale)
        k, scale, its_k, its_scale = (
            *(x + of_q for x in (self.concentration, self.scale)),
            *(x + of_p for x in (other.concentration, other.scale)),
        )
        ratio, step = its_k / k, (its_k - k) / k
        near = ops.abs(step) < 0.5
        small, large = ops.where(near, step, 0.0), ops.where(near, 1.0, ratio)
        log_moment = ops.where(near, ops.log1p(small) + special.lgamma1p(small), special.lgamma(1.0 + large))
        d = its_k * gamma.log_ratio(scale, its_scale) + log_moment
        return ops.sum(special.expm1_minus(d) + gamma.lgamma_divergence(ops.ones_like(ratio), ratio), axis=-1)

    def _draw_log(self, sample_shape, seed):
        """The logarithm of an exponential variate of rate 1."""
        return ops.log(-ops.log(uniform(self.draw_shape(sample_shape), self.generator(seed), self.dtype)))

    def _at(self, x, function, below, at_infinity):
        """`function` of log(t) inside of the half line."""
        x = self.as_variate(x)
        log_t = self.concentration * gamma.log_ratio(half_line.inside_or_one(x), self.scale)
        most = LARGEST[self.dtype]  # beyond, t overflows, and gradients would be products of 0 and infinity
        return half_line.by_place(x, function(ops.where(log_t > most, most, log_t)), below, at_infinity)


def _log_moment(step):
    """log Gamma(1 + step)."""
    near = step < 1.0
    small, large = ops.where(near, step, 0.0), ops.where(near, 1.0, step)
    return ops.where(near, special.lgamma1p(small), special.lgamma(1.0 + large))
