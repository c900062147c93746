"""Normal distribution squashed into a box."""

import math
from collections.abc import Sequence
from typing import Self

from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.box import Box, box_of, canonical, piecewise
from kgdists.distributions.distribution import Distribution
from kgdists.numerics import normal as gaussian
from kgdists.numerics import special
from kgdists.random import normal

__all__ = ["SquashedNormalDist"]

LOG_2, LOG_2PI, INF = math.log(2.0), math.log(2.0 * math.pi), float("inf")


class SquashedNormalDist(Distribution):
    r"""Distribution of a normal variable `u` of `n` independent dimensions that is squashed into a box.

    The bounds of a dimension say how: with two finite ones it is
    :math:`\mathrm{low} + (\mathrm{high} - \mathrm{low}) (\tanh u + 1) / 2`, with one
    :math:`\mathrm{low} + \mathrm{softplus}(u)` or :math:`\mathrm{high} - \mathrm{softplus}(-u)`, with none `u` itself.
    Where the bounds are equal it is a constant, which has no part in densities and divergences.

    Parameters
    ----------
    mu : float tensor, shape [B..., n]
        Mean of `u`.
    logvar : float tensor, shape [B..., n]
        Logarithm of the variance of `u`.
    low, high : float or sequence of n floats, `low <= high`
        The bounds, infinite where there are none.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Raises
    ------
    ValueError
        On shapes or dtypes that differ, on wrong bounds and, where values are at hand, on NaN or infinite parameters.

    Notes
    -----
    Far from its middle a box has no floats left for different `u`: `sample_and_log_proba` does without inverting its
    own samples. Given an action, `log_proba` tells distances to a bound apart as far as floats there do: next to a
    bound of 0 down to the smallest normal number. Elsewhere it tells them apart down to `eps / 16` times the largest of
    |low|, |high| and the width (with a single bound: of 1 and that bound), if floats are no denser than that. It takes
    smaller distances, also that of an action exactly at the bound, for that one; `eps` is 1.2e-7 in float32 and 2.2e-16
    in float64.

    Entropy, cross-entropy, mean and variance have no closed form.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.SquashedNormalDist(mu=[[0.0, 1.0]], logvar=[[0.0, -1.0]], low=0.0, high=[1.0, float("inf")])
    >>> pi.mode().shape, pi.log_proba([[0.5, 2.5]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("mu", "logvar")
    STATIC_NAMES = ("low", "high", "name")
    SUPPORT_NAMES = ("low", "high")

    mu: Tensor
    logvar: Tensor
    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    name: str

    def __init__(
        self,
        mu: TensorLike,
        logvar: TensorLike,
        low: TensorLike = -1.0,
        high: TensorLike = 1.0,
        *,
        name: str = "squashed_normal_dist",
        random_seed: Seed = None,
    ) -> None:
        params = shapes.as_floats(mu=mu, logvar=logvar)
        shapes.check_vector(**params)
        shapes.check_same(**params)
        shapes.check_finite(**params)
        low, high = canonical(low, high, params["mu"].shape[-1])
        self.set_fields(**params, low=low, high=high, name=name, random_seed=random_seed)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        r"""Squash a draw :math:`u = \mu + \sigma \epsilon`, differentiable in both parameters.

        Parameters
        ----------
        sample_shape : int or tuple of int
            Shape in front of the batch shape.
        seed : None, int or keras.random.SeedGenerator
            An int repeats the same draw.

        Returns
        -------
        float tensor, shape [*sample_shape, B..., n], between the bounds or at them.
        """
        u, _ = self._draw(sample_shape, seed)
        return self._squash(u)

    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Tensor, Tensor]:
        """A variate and its log-density, which is exact also where the variate is rounded to a bound."""
        u, noise = self._draw(sample_shape, seed)
        return self._squash(u), self._log_density(noise, self._log_det(u))

    def mode(self) -> Tensor:
        """The median, `mu` squashed, shape [B..., n]; towards the bounds the density may be higher."""
        return self._squash(self.mu)

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`\sum_i (\log \mathcal{N}(u_i; \mu_i, \sigma_i^2) - \log \mathrm{d}x_i / \mathrm{d}u_i)`.

        Parameters
        ----------
        x : float tensor, shape [B..., n]; sample axes may come in front

        Returns
        -------
        float tensor, shape [B...] behind any sample axes.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on NaN and on values outside the bounds. In a graph those
            have log-density `-inf`.
        """
        return ops.sum(self.elementwise_log_proba(x), axis=-1)

    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density of each dimension, :math:`\log \mathcal{N}(u_i; \mu_i, \sigma_i^2) - \log dx_i / du_i`."""
        x = self.as_variate(x)
        inside = self._box.inside(x)
        u, log_det = self._invert(x)
        terms = self._terms(special.standardized(u - self.mu, self.logvar), log_det)
        return terms if inside is None else ops.where(inside, terms, -INF)

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`\Phi((u_i - \mu_i) / \sigma_i)`, 0 below and 1 above the bounds; shape of `x`."""
        return self._by_side(x, gaussian.ndtr, 1.0, 0.0, 1.0)

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return self._by_side(x, special.log_ndtr, 1.0, -INF, 0.0)

    def survival(self, x: TensorLike) -> Tensor:
        r""":math:`\Phi((\mu_i - u_i) / \sigma_i)`, 1 below and 0 above the bounds; shape of `x`."""
        return self._by_side(x, gaussian.ndtr, -1.0, 1.0, 0.0)

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return self._by_side(x, special.log_ndtr, -1.0, 0.0, -INF)

    def quantile(self, q: TensorLike) -> Tensor:
        r""":math:`\mu_i + \sigma_i \Phi^{-1}(q)`, squashed; shape [..., B..., n]."""
        return self._squash(self.mu + ops.exp(0.5 * self.logvar) * gaussian.ndtri(self.as_levels(q)))

    def median(self) -> Tensor:
        """`mu` squashed, shape [B..., n]."""
        return self.mode()

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other` = q of the same bounds, shape [B...], >= 0: that of the normals,

        :math:`\frac12 \sum_i (e^{d_i} - 1 - d_i + (\mu_{p,i} - \mu_{q,i})^2 / \sigma_{q,i}^2)`,
        :math:`d = \log\sigma_p^2 - \log\sigma_q^2`.
        """
        self.check_same_kind(other)
        z = special.standardized(self.mu - other.mu, other.logvar)
        terms = 0.5 * (special.expm1_minus(self.logvar - other.logvar) + z * z)
        return ops.sum(self._without_constants(terms), axis=-1)

    @property
    def _box(self) -> Box:
        return box_of(self.low, self.high, self.dtype)

    def _draw(self, sample_shape, seed):
        """A draw of `u`, and the standard noise in it."""
        noise = normal(self.draw_shape(sample_shape), self.generator(seed), self.dtype)
        return self.mu + ops.exp(0.5 * self.logvar) * noise, noise

    def _squash(self, u):
        box = self._box
        return piecewise(
            (
                box.both,
                lambda: box.between(
                    u < 0.0,
                    lambda: ops.sigmoid(2.0 * u),
                    lambda: ops.sigmoid(-2.0 * u),
                    lambda: ops.tanh(u) * box.half + box.center,
                ),
            ),
            (box.below, lambda: ops.softplus(u) + box.low),
            (box.above, lambda: -ops.softplus(-u) + box.high),
            (box.free, lambda: u),
            (box.constant, lambda: ops.zeros_like(u) + box.low),
        )

    def _log_det(self, u):
        """The logarithm of the derivative at `u`."""
        box = self._box
        return piecewise(
            (box.both, lambda: 2.0 * (LOG_2 - u - ops.softplus(-2.0 * u)) + box.log_half),
            (box.below, lambda: -ops.softplus(-u)),
            (box.above, lambda: -ops.softplus(u)),
            (box.free | box.constant, lambda: ops.zeros_like(u)),
        )

    def _invert(self, x):
        """The `u` of `x`, and the logarithm of its derivative there."""
        box = self._box
        # From the distances to both bounds, each of which keeps its digits near that bound.
        low, high = box.distances(x)

        def between():
            log_low, log_high = ops.log(low), ops.log(high)
            # By the logarithms of both shares of the width, t and 1 - t, it is 2 width t (1 - t).
            log_det = log_low + log_high + (LOG_2 + box.log_width - 2.0 * box.log_scaled_width)
            # Next to the middle from the distance to it, which has digits there that those to the bounds have lost.
            z = (x - box.center) / box.half
            is_central = ops.abs(z) < special.SERIES_RADIUS
            u = ops.where(is_central, special.atanh_series(z), 0.5 * (log_low - log_high))
            return u, log_det

        def beyond(distance):
            # The derivative of softplus, and what its inverse adds to the distance.
            log_det = ops.log(-ops.expm1(-distance))
            return distance + log_det, log_det

        def below_high():
            u, log_det = beyond(high)
            return -u, log_det

        return piecewise(
            (box.both, between),
            (box.below, lambda: beyond(low)),
            (box.above, below_high),
            (box.free | box.constant, lambda: (x, ops.zeros_like(x))),
        )

    def _by_side(self, x, function, sign, below, above):
        """A function of the standardized `u` of `x`, one way or the other, and values below and above the box."""
        x = self.as_variate(x)
        box = self._box
        has_low, has_high = box.has_low | box.constant, box.has_high | box.constant
        is_below, is_above = has_low & (x <= box.low), has_high & (x >= box.high)
        u, _ = self._invert(ops.where(is_below | is_above, self.mode(), x))
        within = function(sign * special.standardized(u - self.mu, self.logvar))
        is_below = is_below & ~(box.constant & (x >= box.low))
        return ops.where(is_above, above, ops.where(is_below, below, within))

    def _log_density(self, z, log_det):
        return ops.sum(self._terms(z, log_det), axis=-1)

    def _terms(self, z, log_det):
        """The log-density of each dimension; a constant has none."""
        return self._without_constants(-0.5 * (LOG_2PI + self.logvar + z * z + 2.0 * log_det))

    def _without_constants(self, terms):
        constant = self._box.constant
        return ops.where(constant, 0.0, terms) if constant.any() else terms
