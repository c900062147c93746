"""Beta distribution on a box."""

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from keras import ops

from kgdists.core import backend, shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.box import Box, box_of, canonical, piecewise, smallest
from kgdists.distributions.distribution import Distribution, draws, in_full_precision
from kgdists.numerics import special
from kgdists.numerics.incomplete_beta import log_tails
from kgdists.random import log_gamma

__all__ = ["BetaDist"]

LOG_2PI, INF = math.log(2.0 * math.pi), float("inf")
# Of the quantile: steps of Newton's method, and the logits at which the shares leave the range of floats.
STEPS, FURTHEST = 20, {"float32": 87.0, "float64": 700.0}
# Gauss and Legendre's rule on [-1, 1], to the last digits of each dtype.
RULES = {"float32": np.polynomial.legendre.leggauss(4), "float64": np.polynomial.legendre.leggauss(8)}


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

    @draws
    @in_full_precision
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

    @draws
    @in_full_precision
    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Tensor, Tensor]:
        """A variate and its log-density, which is exact also where the variate is rounded to a bound."""
        logit = self._draw_logit(sample_shape, seed)
        t, u = ops.sigmoid(logit), ops.sigmoid(-logit)
        return self._scale(t, u), self._log_density(t, u, -ops.softplus(-logit), -ops.softplus(logit))

    @in_full_precision
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

    @in_full_precision
    def mean(self) -> Tensor:
        r"""Mean :math:`\mathrm{low} + (\mathrm{high} - \mathrm{low}) \alpha / (\alpha + \beta)`, shape [B..., n]."""
        total = self.alpha + self.beta
        return self._scale(self.alpha / total, self.beta / total)

    @in_full_precision
    def variance(self) -> Tensor:
        r"""The variance of each dimension, shape [B..., n]:

        :math:`(\mathrm{high} - \mathrm{low})^2 \alpha \beta / ((\alpha + \beta)^2 (\alpha + \beta + 1))`.
        """
        total, width = self.alpha + self.beta, 2.0 * self._box.half
        variance = (self.alpha / total * width) * (self.beta / total * width) / (total + 1.0)
        return piecewise((self._box.both, lambda: variance), (self._box.constant, lambda: ops.zeros_like(variance)))

    @in_full_precision
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
        x = self.as_variate(x)
        box = self._box
        inside = box.inside(x)
        low, high = box.distances(x)
        logs = ops.log(low) - box.log_scaled_width, ops.log(high) - box.log_scaled_width
        log_proba = self._log_density(low / box.scaled_width, high / box.scaled_width, *logs)
        return log_proba if inside is None else ops.where(inside, log_proba, -INF)

    @in_full_precision
    def cdf(self, x: TensorLike) -> Tensor:
        r"""The regularized incomplete beta function :math:`I_t(\alpha_i, \beta_i)`, shape of `x`."""
        return ops.exp(self._log_tails(x)[0])

    @in_full_precision
    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return self._log_tails(x)[0]

    @in_full_precision
    def survival(self, x: TensorLike) -> Tensor:
        r"""The regularized incomplete beta function :math:`I_{1 - t}(\beta_i, \alpha_i)`, shape of `x`."""
        return ops.exp(self._log_tails(x)[1])

    @in_full_precision
    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return self._log_tails(x)[1]

    @in_full_precision
    def quantile(self, q: TensorLike) -> Tensor:
        """Where `cdf` is `q`, by Newton's method on the logarithm of the nearer tail; shape [..., B..., n].

        Its gradient is that of the implicit function.
        """
        levels = self.as_levels(q) + ops.zeros_like(self.alpha)
        is_low = levels <= 0.5
        tail = ops.where(is_low, levels, 1.0 - levels)
        inside = tail > 0.0
        target = ops.log(ops.where(inside, tail, 0.5))
        a, b = (ops.where(is_low, x, y) for x, y in ((self.alpha, self.beta), (self.beta, self.alpha)))
        fixed_a, fixed_b, goal = (ops.stop_gradient(x) for x in (a, b, target))
        # The tail's asymptote, from which the steps climb: the function is concave.
        logit = ops.maximum((goal + ops.log(fixed_a) + _log_beta(fixed_a, fixed_b)) / fixed_a, -FURTHEST[self.dtype])
        for _ in range(STEPS):
            log_tail, log_density = _log_tail_and_density(fixed_a, fixed_b, logit)
            step = (goal - log_tail) * ops.exp(log_tail - log_density)
            logit = ops.clip(logit + step, -FURTHEST[self.dtype], FURTHEST[self.dtype])
        logit = ops.stop_gradient(logit)
        log_tail, log_density = _log_tail_and_density(a, b, logit)
        change = (target - log_tail) * ops.stop_gradient(ops.exp(log_tail - log_density))
        logit = logit + ops.where(inside, change - ops.stop_gradient(change), 0.0)
        t, u = ops.sigmoid(logit), ops.sigmoid(-logit)
        t, u = ops.where(inside, t, 0.0), ops.where(inside, u, 1.0)
        return self._scale(ops.where(is_low, t, u), ops.where(is_low, u, t))

    @in_full_precision
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
        below, _ = _log_tails_of(a, b, logit)
        below_next, _ = _log_tails_of(a + 1.0, b, logit)
        spread = 2.0 * ops.exp(_rest(2.0 * a, 2.0 * b) - 2.0 * _rest(a, b)) / (a + b)
        score = t * (2.0 * ops.exp(below) - 1.0) + a / (a + b) * (1.0 - 2.0 * ops.exp(below_next)) - spread
        outside = ops.maximum(x - box.high, 0.0) + ops.maximum(box.low - x, 0.0)
        return self._sum(2.0 * box.half * ops.maximum(score, 0.0) + outside)

    @in_full_precision
    def entropy(self) -> Tensor:
        r"""Entropy, shape [B...]:

        :math:`\sum_i (\log \mathrm{B}(\alpha_i, \beta_i) - (\alpha_i - 1) \psi(\alpha_i) - (\beta_i - 1) \psi(\beta_i)
        + (\alpha_i + \beta_i - 2) \psi(\alpha_i + \beta_i) + \log (\mathrm{high}_i - \mathrm{low}_i))`.
        """
        return self._sum(_entropy(self.alpha, self.beta) + self._box.log_width)

    @in_full_precision
    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy :math:`-\mathrm{E}_p \log q` to `other` = q of the same bounds, shape [B...]:

        :math:`\sum_i (\log \mathrm{B}(\alpha_{q,i}, \beta_{q,i}) - (\alpha_{q,i} - 1) \mathrm{E}_p \log t_i
        - (\beta_{q,i} - 1) \mathrm{E}_p \log (1 - t_i) + \log (\mathrm{high}_i - \mathrm{low}_i))`.
        """
        self.check_same_kind(other)
        return self._sum(_cross_entropy(*self._pair(other)) + self._box.log_width)

    @in_full_precision
    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other` = q of the same bounds, shape [B...], >= 0:

        :math:`\sum_i (F(q_i) - F(p_i) - \nabla F(p_i) \cdot (q_i - p_i))`, :math:`F = \log \mathrm{B}`.
        """
        self.check_same_kind(other)
        return self._sum(_kl(*self._pair(other)))

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

    def _log_density(self, t, u, log_t, log_u):
        """Of t and u = 1 - t, both with their digits."""
        shares, drawn = _log_shares(self.alpha, self.beta), ops.zeros_like(t)
        a, b, log_p, log_q = (x + drawn for x in (self.alpha, self.beta, *shares))
        terms = _log_odds(a, b, log_p, log_q, t, u, log_t, log_u) - log_t - log_u
        return self._sum(terms - _rest(self.alpha, self.beta) - self._box.log_width)

    def _log_tails(self, x):
        """The logarithms of the probabilities at or below, and above, each dimension of `x`."""
        x = self.as_variate(x)
        box = self._box
        low, high = box.distances(ops.clip(x, box.low, box.high))
        a, b = (part + ops.zeros_like(low) for part in (self.alpha, self.beta))
        below, above = _log_tails_of(a, b, ops.log(low) - ops.log(high))
        is_above, is_below = x >= box.high, (x <= box.low) & ~(x >= box.high)
        log_cdf = ops.where(is_above, 0.0, ops.where(is_below, -INF, below))
        return log_cdf, ops.where(is_above, -INF, ops.where(is_below, 0.0, above))

    def _sum(self, terms):
        """Over all dimensions but constants."""
        constant = self._box.constant
        return ops.sum(ops.where(constant, 0.0, terms) if constant.any() else terms, axis=-1)


# With p = a / (a + b) and q = b / (a + b), log B(a, b) is a log p + b log q, which is huge for huge a and b, and a rest
# G that is not. What is huge cancels on paper: in a density it makes a divergence of (p, q) from (t, 1 - t), a sum of
# two terms of one sign, and in the entropy nothing. F = log B.


def _log_shares(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """log p and log q."""
    small, large = ops.minimum(a, b), ops.maximum(a, b)
    log_ratio = ops.log(ops.maximum(small / large, smallest(shapes.dtype_of(a))))
    log_large = -ops.log1p(small / large)
    is_a = a < b
    return ops.where(is_a, log_ratio, 0.0) + log_large, ops.where(is_a, 0.0, log_ratio) + log_large


@backend.with_gradient
def _rest(a, b):
    """G."""

    def gradient(upstream):
        return -upstream * special.digamma_gap(a, b), -upstream * special.digamma_gap(b, a)

    small, large = ops.minimum(a, b), ops.maximum(a, b)
    half_log = 0.5 * (ops.log1p(small / large) - ops.log(small) + LOG_2PI)
    return half_log + special.stirling_remainder(a, b), gradient


def _log_density_of_logit(a, b, logit):
    t, u = ops.sigmoid(logit), ops.sigmoid(-logit)
    logs = -ops.softplus(-logit), -ops.softplus(logit)
    return _log_odds(a, b, *_log_shares(a, b), t, u, *logs) - _rest(a, b)


def _log_tails_of(a, b, logit):
    return log_tails(a, b, logit, _log_density_of_logit(a, b, logit))


def _log_tail_and_density(a, b, logit):
    log_density = _log_density_of_logit(a, b, logit)
    return log_tails(a, b, logit, log_density)[0], log_density


def _log_beta(a, b):
    log_p, log_q = _log_shares(a, b)
    return a * log_p + b * log_q + _rest(a, b)


def _mean_logs(a, b):
    """The means of log t and of log(1 - t): the gradient of F."""
    log_p, log_q = _log_shares(a, b)
    return log_p - special.digamma_gap(a, b), log_q - special.digamma_gap(b, a)


@backend.with_gradient
def _log_odds(a, b, log_p, log_q, t, u, log_t, log_u):
    """`a log(t / p) + b log(u / q)`, <= 0, of t and u = 1 - t; all logarithms are given, and where t is they count."""
    value, to_a, to_b = _log_odds_and_ratios(a, b, log_p, log_q, t, u, log_t, log_u)

    def gradient(upstream):
        nothing = ops.zeros_like(value)
        # a and b minus (a + b) t and (a + b) u, which amount to nothing, for t d(log t) + u d(log u) = 0.
        step = upstream * (u * a - t * b)
        return upstream * to_a, upstream * to_b, nothing, nothing, nothing, nothing, step, -step

    return value, gradient


def _log_odds_and_ratios(a, b, log_p, log_q, t, u, log_t, log_u):
    """The value of `_log_odds`, and log(t / p) and log(u / q)."""
    # a (t / p - 1), and minus the same for u and b: what the two terms have in common.
    excess = t * b - u * a

    def term(a, relative, excess, log_ratio):
        near = ops.abs(relative) < special.SERIES_RADIUS
        relative = ops.where(near, relative, 0.0)
        series = special.log1p_minus(relative)
        return ops.where(near, a * series, a * log_ratio - excess), ops.where(near, series + relative, log_ratio)

    term_a, ratio_a = term(a, excess / a, excess, log_t - log_p)
    term_b, ratio_b = term(b, -excess / b, -excess, log_u - log_q)
    return term_a + term_b, ratio_a, ratio_b


@backend.with_gradient
def _entropy(a, b):
    """log B(a, b) minus (a - 1) times the mean of log t and (b - 1) times that of log(1 - t)."""

    def gradient(upstream):
        total = a + b
        common = (total - 2.0) * special.trigamma_minus(total) - 2.0 / total
        return tuple(upstream * (common - (x - 1.0) * special.trigamma_minus(x) + 1.0 / x) for x in (a, b))

    log_p, log_q = _log_shares(a, b)
    gaps = (a - 1.0) * special.digamma_gap(a, b) + (b - 1.0) * special.digamma_gap(b, a)
    return _rest(a, b) + log_p + log_q + gaps, gradient


def _cross_entropy(a, b, c, d):
    """The same with c and d in front, of p = (a, b) and q = (c, d)."""
    gaps = (c - 1.0) * special.digamma_gap(a, b) + (d - 1.0) * special.digamma_gap(b, a)
    return _rest(c, d) - _at_mean(a, b, c, d) + gaps


@backend.with_gradient
def _at_mean(a, b, c, d):
    """The logarithm of `t^(c - 1) (1 - t)^(d - 1)` at the mean t of (a, b), without what is huge of log B(c, d)."""
    total = a + b
    t, u = a / total, b / total
    value, to_c, to_d = _log_odds_and_ratios(c, d, *_log_shares(c, d), t, u, *_log_shares(a, b))

    def gradient(upstream):
        slope = t * d - u * c + (b - a) / total
        return tuple(upstream * x for x in (-slope / a, slope / b, to_c, to_d))

    log_t, log_u = _log_shares(a, b)
    return value - log_t - log_u, gradient


def _divergence(a, b, c, d):
    """`F(q) - F(p) - F'(p) (q - p)` of p = (a, b) and q = (c, d), dimension by dimension."""
    to_c, to_d, total = c - a, d - b, a + b
    log_odds, _, _ = _log_odds_and_ratios(c, d, *_log_shares(c, d), a / total, b / total, *_log_shares(a, b))
    gaps = to_c * special.digamma_gap(a, b) + to_d * special.digamma_gap(b, a)
    far = _rest(c, d) - _rest(a, b) - log_odds + gaps
    # Nearby the difference cancels: there the remainder of Taylor's formula, an integral of second derivatives.
    near = (ops.abs(to_c) < 0.3 * a) & (ops.abs(to_d) < 0.3 * b)
    remainder = _remainder(a, b, ops.where(near, to_c, 0.0), ops.where(near, to_d, 0.0))
    return ops.maximum(ops.where(near, remainder, far), 0.0)


@backend.with_gradient
def _kl(a, b, c, d):
    # Of the formula itself: without the rounding, and the time, of the gradient of its two forms.
    def gradient(upstream):
        to_c, to_d, total = c - a, d - b, a + b
        across = to_c * (b / total) - to_d * (a / total)
        of_total = special.trigamma_minus(total)
        to_p = (
            of_total * to_d - special.trigamma_gap(a, b) * to_c - across / a,
            of_total * to_c - special.trigamma_gap(b, a) * to_d + across / b,
        )
        _, ratio_c, ratio_d = _log_odds_and_ratios(c, d, *_log_shares(c, d), a / total, b / total, *_log_shares(a, b))
        to_q = (
            special.digamma_gap(a, b) - special.digamma_gap(c, d) - ratio_c,
            special.digamma_gap(b, a) - special.digamma_gap(d, c) - ratio_d,
        )
        return tuple(upstream * x for x in (*to_p, *to_q))

    return _divergence(a, b, c, d), gradient


def _remainder(a, b, to_c, to_d):
    """The integral of (1 - s) times the second derivative of F along the step, s from 0 to 1."""
    integral = ops.zeros_like(a)
    for node, weight in zip(*RULES[shapes.dtype_of(a)], strict=True):
        s = (1.0 + float(node)) / 2.0
        x, y = a + s * to_c, b + s * to_d
        total, step = x + y, to_c + to_d
        # The parts 1 / x of the trigamma functions in one square.
        across = to_c * (y / total) - to_d * (x / total)
        second = across * across * (total / x) / y
        excess = special.trigamma_minus(x) * to_c * to_c + special.trigamma_minus(y) * to_d * to_d
        second = second + excess - special.trigamma_minus(total) * step * step
        integral = integral + 0.5 * float(weight) * (1.0 - s) * second
    return integral
