"""Beta distribution on a box."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.box import Box, box_of, canonical, piecewise
from kgdists.distributions.distribution import Distribution
from kgdists.numerics import incomplete_beta, log_beta
from kgdists.random import log_gamma

__all__ = ["BetaDist"]

INF = float("inf")


class BetaDist(Distribution):
    r"""Beta distribution over vectors of `n` independent dimensions, each between two bounds.

    :math:`(x - \mathrm{low}) / (\mathrm{high} - \mathrm{low})` has the density
    :math:`t^{\alpha - 1} (1 - t)^{\beta - 1} / \mathrm{B}(\alpha, \beta)`. Where the bounds are equal the dimension is
    a constant, which has no part in densities and divergences.

    Parameters
    ----------
    alpha, beta : float tensor, shape [B..., n], > 0
        Concentrations; where both are above 1 the density has one peak, inside.
    low, high : float or sequence of n floats, finite, `low <= high`
        The bounds.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Raises
    ------
    ValueError
        On shapes or dtypes that differ, on wrong bounds and, where values are at hand, on concentrations that are not
        finite and > 0.

    Notes
    -----
    Given an action, `log_proba` tells distances to a bound apart as far as floats there do: next to a bound of 0 down
    to the smallest normal number. Elsewhere it tells them apart down to `eps / 16` times the largest of |low|, |high|
    and the width, if floats are no denser than that. It takes smaller distances, also that of an action exactly at the
    bound, for that one; `eps` is 1.2e-7 in float32 and 2.2e-16 in float64. `sample_and_log_proba` is exact.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.BetaDist(alpha=[[2.0, 3.0]], beta=[[2.0, 1.5]], low=-1.0)
    >>> pi.sample().shape, pi.log_proba([[0.5, 0.5]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("alpha", "beta")
    STATIC_NAMES = ("low", "high", "name")
    SUPPORT_NAMES = ("low", "high")

    alpha: Tensor
    beta: Tensor
    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    name: str

    def __init__(
        self,
        alpha: TensorLike,
        beta: TensorLike,
        low: TensorLike = 0.0,
        high: TensorLike = 1.0,
        *,
        name: str = "beta_dist",
        random_seed: Seed = None,
    ) -> None:
        params = shapes.as_floats(alpha=alpha, beta=beta)
        shapes.check_vector(**params)
        shapes.check_same(**params)
        shapes.check_positive(**params)
        low, high = canonical(low, high, params["alpha"].shape[-1])
        if not np.isfinite(low).all() or not np.isfinite(high).all():
            raise ValueError(f"`low` and `high` must be finite. Received: low={low}, high={high}")
        self.set_fields(**params, low=low, high=high, name=name, random_seed=random_seed)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Draw exactly, by two gamma variates, differentiable in both parameters through implicit gradients.

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
        logit = self._draw_logit(sample_shape, seed)
        return self._scale(ops.sigmoid(logit), ops.sigmoid(-logit))

    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Tensor, Tensor]:
        """A variate and its log-density, which is exact also where the variate is rounded to a bound."""
        logit = self._draw_logit(sample_shape, seed)
        t, u = ops.sigmoid(logit), ops.sigmoid(-logit)
        terms = self._log_terms(t, u, -ops.softplus(-logit), -ops.softplus(logit))
        return self._scale(t, u), ops.sum(terms, axis=-1)

    def mode(self) -> Tensor:
        r"""The peak :math:`(\alpha - 1) / (\alpha + \beta - 2)`, shape [B..., n].

        Without a peak inside it is the bound with more of the probability, `low` if they have the same, and the middle
        for the uniform distribution.
        """
        alpha, beta = self.alpha, self.beta
        inside = (alpha > 1.0) & (beta > 1.0)
        low, high = ops.where(inside, alpha - 1.0, 1.0), ops.where(inside, beta - 1.0, 1.0)
        uniform = ops.equal(alpha, 1.0) & ops.equal(beta, 1.0)
        at_bound = ~(inside | uniform | ops.isnan(alpha + beta))
        t = ops.where(at_bound, ops.cast(alpha > beta, self.dtype), low / (low + high))
        return self._scale(t, ops.where(at_bound, 1.0 - t, high / (low + high)))

    def mean(self) -> Tensor:
        r"""Mean :math:`\mathrm{low} + (\mathrm{high} - \mathrm{low}) \alpha / (\alpha + \beta)`, shape [B..., n]."""
        total = self.alpha + self.beta
        return self._scale(self.alpha / total, self.beta / total)

    def variance(self) -> Tensor:
        r"""The variance of each dimension, shape [B..., n]:

        :math:`(\mathrm{high} - \mathrm{low})^2 \alpha \beta / ((\alpha + \beta)^2 (\alpha + \beta + 1))`.
        """
        total, width = self.alpha + self.beta, 2.0 * self._box.half
        variance = (self.alpha / total * width) * (self.beta / total * width) / (total + 1.0)
        return piecewise((self._box.both, lambda: variance), (self._box.constant, lambda: ops.zeros_like(variance)))

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`\sum_i ((\alpha_i - 1) \log t_i + (\beta_i - 1) \log (1 - t_i)
        - \log \mathrm{B}(\alpha_i, \beta_i) - \log (\mathrm{high}_i - \mathrm{low}_i))`.

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
        """The log-density of each dimension by itself, shape of `x`."""
        x = self.as_variate(x)
        box = self._box
        inside = box.inside(x)
        low, high = box.distances(x)
        logs = ops.log(low) - box.log_scaled_width, ops.log(high) - box.log_scaled_width
        terms = self._log_terms(low / box.scaled_width, high / box.scaled_width, *logs)
        return terms if inside is None else ops.where(inside, terms, -INF)

    def cdf(self, x: TensorLike) -> Tensor:
        r"""The regularized incomplete beta function :math:`I_t(\alpha_i, \beta_i)`, shape of `x`."""
        return ops.exp(self._log_tails(x)[0])

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return self._log_tails(x)[0]

    def survival(self, x: TensorLike) -> Tensor:
        r"""The regularized incomplete beta function :math:`I_{1 - t}(\beta_i, \alpha_i)`, shape of `x`."""
        return ops.exp(self._log_tails(x)[1])

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return self._log_tails(x)[1]

    def quantile(self, q: TensorLike) -> Tensor:
        """Where `cdf` is `q`, found from the nearer end; shape [..., B..., n].

        Its gradient is that of the implicit function.
        """
        levels = self.as_levels(q) + ops.zeros_like(self.alpha)
        is_low = levels <= 0.5
        tail = ops.where(is_low, levels, 1.0 - levels)
        inside = tail > 0.0
        target = ops.log(ops.where(inside, tail, 0.5))
        a, b = (ops.where(is_low, x, y) for x, y in ((self.alpha, self.beta), (self.beta, self.alpha)))
        logit = incomplete_beta.logit_of(a, b, target)
        t, u = ops.sigmoid(logit), ops.sigmoid(-logit)
        t, u = ops.where(inside, t, 0.0), ops.where(inside, u, 1.0)
        return self._scale(ops.where(is_low, t, u), ops.where(is_low, u, t))

    def crps(self, x: TensorLike) -> Tensor:
        r"""Of the share t of the width :math:`t (2 F(t) - 1) + \bar t (1 - 2 F_{\alpha + 1, \beta}(t)) - g`, summed.

        Here :math:`\bar t = \alpha / (\alpha + \beta)` is the mean and :math:`g = 2 \mathrm{B}(2 \alpha, 2 \beta)
        / ((\alpha + \beta) \mathrm{B}(\alpha, \beta)^2)` half the mean difference of two draws. Shape [B...] behind
        any sample axes.
        """
        x = self.as_variate(x)
        box = self._box
        low, high = box.distances(ops.clip(x, box.low, box.high))
        t, logit = low / box.scaled_width, ops.log(low) - ops.log(high)
        a, b = (part + ops.zeros_like(t) for part in (self.alpha, self.beta))
        below, _ = incomplete_beta.log_tails(a, b, logit)
        below_next, _ = incomplete_beta.log_tails(a + 1.0, b, logit)
        spread = 2.0 * ops.exp(log_beta.rest(2.0 * a, 2.0 * b) - 2.0 * log_beta.rest(a, b)) / (a + b)
        score = t * (2.0 * ops.exp(below) - 1.0) + a / (a + b) * (1.0 - 2.0 * ops.exp(below_next)) - spread
        outside = ops.maximum(x - box.high, 0.0) + ops.maximum(box.low - x, 0.0)
        return self._sum(2.0 * box.half * ops.maximum(score, 0.0) + outside)

    def entropy(self) -> Tensor:
        r"""Entropy, shape [B...]:

        :math:`\sum_i (\log \mathrm{B}(\alpha_i, \beta_i) - (\alpha_i - 1) \psi(\alpha_i) - (\beta_i - 1) \psi(\beta_i)
        + (\alpha_i + \beta_i - 2) \psi(\alpha_i + \beta_i) + \log (\mathrm{high}_i - \mathrm{low}_i))`.
        """
        return self._sum(log_beta.entropy(self.alpha, self.beta) + self._box.log_width)

    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy :math:`-\mathrm{E}_p \log q` to `other` = q of the same bounds, shape [B...]:

        :math:`\sum_i (\log \mathrm{B}(\alpha_{q,i}, \beta_{q,i}) - (\alpha_{q,i} - 1) \mathrm{E}_p \log t_i
        - (\beta_{q,i} - 1) \mathrm{E}_p \log (1 - t_i) + \log (\mathrm{high}_i - \mathrm{low}_i))`.
        """
        self.check_same_kind(other)
        return self._sum(log_beta.cross_entropy(*self._pair(other)) + self._box.log_width)

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other` = q of the same bounds, shape [B...], >= 0:

        :math:`\sum_i (F(q_i) - F(p_i) - \nabla F(p_i) \cdot (q_i - p_i))`, :math:`F = \log \mathrm{B}`.
        """
        self.check_same_kind(other)
        return self._sum(log_beta.kl_divergence(*self._pair(other)))

    @property
    def _box(self) -> Box:
        return box_of(self.low, self.high, self.dtype)

    def _scale(self, t, u):
        """From t in (0, 1), and u = 1 - t, to the box."""
        box = self._box
        # Halves, because the width may overflow where the bounds do not.
        return box.between(t < 0.5, lambda: t, lambda: u, lambda: 2.0 * (t * box.half + 0.5 * box.low))

    def _draw_logit(self, sample_shape, seed):
        """A draw of log(t / (1 - t))."""
        shape = (2, *self.draw_shape(sample_shape))
        lift = (slice(None), *(None,) * (len(shape) - 1 - len(self.alpha.shape)))
        concentrations = ops.broadcast_to(ops.stack([self.alpha, self.beta])[lift], shape)
        of_alpha, of_beta = ops.unstack(log_gamma(concentrations, self.generator(seed)), 2)
        return of_alpha - of_beta

    def _pair(self, other):
        """The concentrations of both, of one shape: one of the two may have no batch."""
        of_p, of_q = ops.zeros_like(self.alpha), ops.zeros_like(other.alpha)
        return self.alpha + of_q, self.beta + of_q, other.alpha + of_p, other.beta + of_p

    def _log_terms(self, t, u, log_t, log_u):
        """The log-density of each dimension, of t and u = 1 - t, both with their digits."""
        shares, drawn = log_beta.log_shares(self.alpha, self.beta), ops.zeros_like(t)
        a, b, log_p, log_q = (x + drawn for x in (self.alpha, self.beta, *shares))
        terms = log_beta.log_odds(a, b, log_p, log_q, t, u, log_t, log_u) - log_t - log_u
        return self._without_constants(terms - log_beta.rest(self.alpha, self.beta) - self._box.log_width)

    def _log_tails(self, x):
        """The logarithms of the probabilities at or below, and above, each dimension of `x`."""
        x = self.as_variate(x)
        box = self._box
        low, high = box.distances(ops.clip(x, box.low, box.high))
        a, b = (part + ops.zeros_like(low) for part in (self.alpha, self.beta))
        below, above = incomplete_beta.log_tails(a, b, ops.log(low) - ops.log(high))
        is_above, is_below = x >= box.high, (x <= box.low) & ~(x >= box.high)
        log_cdf = ops.where(is_above, 0.0, ops.where(is_below, -INF, below))
        return log_cdf, ops.where(is_above, -INF, ops.where(is_below, 0.0, above))

    def _sum(self, terms):
        """Over all dimensions but constants."""
        return ops.sum(self._without_constants(terms), axis=-1)

    def _without_constants(self, terms):
        constant = self._box.constant
        return ops.where(constant, 0.0, terms) if constant.any() else terms
