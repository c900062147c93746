"""Beta distribution on a box."""

import math

import numpy as np
from keras import ops

from kgdists import bounds, numerics, shapes
from kgdists.distribution import Distribution, draws, in_full_precision
from kgdists.random import log_gamma

__all__ = ["BetaDist"]

LOG_2, INF = math.log(2.0), float("inf")
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
    Given an action, `log_proba` tells distances to a bound apart down to `eps / 16` times the largest of |low|, |high|
    and the width, and takes smaller ones, also that of an action exactly at the bound, for that one; `eps` is 1.2e-7 in
    float32 and 2.2e-16 in float64. `sample_and_log_proba` is exact.

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

    def __init__(self, alpha, beta, low=0.0, high=1.0, *, name="beta_dist", random_seed=None):
        alpha, beta = shapes.as_float(alpha, "alpha"), shapes.as_float(beta, "beta")
        shapes.check_vector(alpha=alpha, beta=beta)
        shapes.check_same(alpha=alpha, beta=beta)
        shapes.check_positive(alpha=alpha, beta=beta)
        low, high = bounds.canonical(low, high, alpha.shape[-1])
        if not np.isfinite(low).all() or not np.isfinite(high).all():
            raise ValueError(f"`low` and `high` must be finite. Received: low={low}, high={high}")
        self._set(alpha=alpha, beta=beta, low=low, high=high, name=name, random_seed=random_seed)

    @draws
    @in_full_precision
    def sample(self, sample_shape=(), seed=None):
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
        return self._scale(ops.sigmoid(self._draw_logit(sample_shape, seed)))

    @draws
    @in_full_precision
    def sample_and_log_proba(self, sample_shape=(), seed=None):
        """A variate and its log-density, which is exact also where the variate is rounded to a bound."""
        logit = self._draw_logit(sample_shape, seed)
        log_proba = self._log_density(-ops.softplus(-logit), -ops.softplus(logit))
        return self._scale(ops.sigmoid(logit)), log_proba

    @in_full_precision
    def mode(self):
        r"""The peak :math:`(\alpha - 1) / (\alpha + \beta - 2)`, shape [B..., n].

        Without a peak inside it is the bound with more of the probability, `low` if they have the same, and the middle
        for the uniform distribution.
        """
        alpha, beta = self.alpha, self.beta
        inside = (alpha > 1.0) & (beta > 1.0)
        excess = ops.where(inside, alpha - 1.0, 1.0)
        peak = excess / (excess + ops.where(inside, beta - 1.0, 1.0))
        uniform = ops.equal(alpha, 1.0) & ops.equal(beta, 1.0)
        bound = ops.where(alpha > beta, ops.ones_like(alpha), ops.zeros_like(alpha))
        return self._scale(ops.where(inside | uniform | ops.isnan(alpha + beta), peak, bound))

    @in_full_precision
    def mean(self):
        r"""Mean :math:`\mathrm{low} + (\mathrm{high} - \mathrm{low}) \alpha / (\alpha + \beta)`, shape [B..., n]."""
        return self._scale(self.alpha / (self.alpha + self.beta))

    @in_full_precision
    def variance(self):
        r"""The variance of each dimension, shape [B..., n]:

        :math:`(\mathrm{high} - \mathrm{low})^2 \alpha \beta / ((\alpha + \beta)^2 (\alpha + \beta + 1))`.
        """
        total, width = self.alpha + self.beta, 2.0 * self._box.half
        variance = (self.alpha / total * width) * (self.beta / total * width) / (total + 1.0)
        return bounds.piecewise(
            (self._box.both, lambda: variance), (self._box.constant, lambda: ops.zeros_like(variance))
        )

    @in_full_precision
    def log_proba(self, x):
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
        x = self._variate(x)
        box = self._box
        inside = box.inside(x)
        low, high = box.half_distances(x)
        log_proba = self._log_density(ops.log(low) - box.log_half, ops.log(high) - box.log_half)
        return log_proba if inside is None else ops.where(inside, log_proba, -INF)

    @in_full_precision
    def entropy(self):
        r"""Entropy, shape [B...]:

        :math:`\sum_i (\log \mathrm{B}(\alpha_i, \beta_i) - (\alpha_i - 1) \psi(\alpha_i) - (\beta_i - 1) \psi(\beta_i)
        + (\alpha_i + \beta_i - 2) \psi(\alpha_i + \beta_i) + \log (\mathrm{high}_i - \mathrm{low}_i))`.
        """
        return self.cross_entropy(self)

    @in_full_precision
    def cross_entropy(self, other):
        r"""Cross-entropy :math:`-\mathrm{E}_p \log q` to `other` = q of the same bounds, shape [B...]:

        :math:`\sum_i (\log \mathrm{B}(\alpha_{q,i}, \beta_{q,i}) - (\alpha_{q,i} - 1) \mathrm{E}_p \log t_i
        - (\beta_{q,i} - 1) \mathrm{E}_p \log (1 - t_i) + \log (\mathrm{high}_i - \mathrm{low}_i))`.
        """
        self._check_other(other)
        mean_log, mean_log_1_minus = _slope(self.alpha, self.beta)
        terms = (other.alpha - 1.0) * mean_log + (other.beta - 1.0) * mean_log_1_minus
        return self._sum(other._log_normalizer() - terms)

    @in_full_precision
    def kl_divergence(self, other):
        r"""Kullback-Leibler divergence to `other` = q of the same bounds, shape [B...], >= 0:

        :math:`\sum_i (F(q_i) - F(p_i) - \nabla F(p_i) \cdot (q_i - p_i))`, :math:`F = \log \mathrm{B}`.
        """
        self._check_other(other)
        of_p, of_q = ops.zeros_like(self.alpha), ops.zeros_like(other.alpha)  # for one of two without a batch
        return self._sum(_kl(self.alpha + of_q, self.beta + of_q, other.alpha + of_p, other.beta + of_p))

    @property
    def _box(self):
        return bounds.box(self.low, self.high, self.dtype)

    def _scale(self, t):
        """From (0, 1) to the box."""
        box = self._box
        # Halves, because the width may overflow where the bounds do not; clipped, because it may round to beyond one.
        return ops.maximum(ops.minimum(2.0 * (t * box.half + 0.5 * box.low), box.high), box.low)

    def _draw_logit(self, sample_shape, seed):
        """A draw of log(t / (1 - t))."""
        shape = (2, *self._draw_shape(sample_shape))
        lift = (slice(None), *(None,) * (len(shape) - 1 - len(self.alpha.shape)))
        concentrations = ops.broadcast_to(ops.stack([self.alpha, self.beta])[lift], shape)
        of_alpha, of_beta = ops.unstack(log_gamma(concentrations, self._seed(seed)), 2)
        return of_alpha - of_beta

    def _log_normalizer(self):
        return _log_beta(self.alpha, self.beta) + (self._box.log_half + LOG_2)

    def _log_density(self, log_t, log_1_minus_t):
        return self._sum((self.alpha - 1.0) * log_t + (self.beta - 1.0) * log_1_minus_t - self._log_normalizer())

    def _sum(self, terms):
        """Over all dimensions but constants."""
        constant = self._box.constant
        return ops.sum(ops.where(constant, 0.0, terms) if constant.any() else terms, axis=-1)


# F = log B. Its three parts, of a, b and a + b, are not stacked: XLA does not see through that, and takes three times
# as long.


def _log_beta(a, b):
    """F."""
    return numerics.lgamma(a) + numerics.lgamma(b) - numerics.lgamma(a + b)


def _slope(a, b):
    """The gradient of F: the means of log t and of log(1 - t)."""
    of_total = numerics.digamma(a + b)
    return numerics.digamma(a) - of_total, numerics.digamma(b) - of_total


def _divergence(a, b, c, d):
    """`F(q) - F(p) - F'(p) (q - p)` of p = (a, b) and q = (c, d), dimension by dimension."""
    to_c, to_d = c - a, d - b
    slope_a, slope_b = _slope(a, b)
    far = _log_beta(c, d) - _log_beta(a, b) - (to_c * slope_a + to_d * slope_b)
    # Nearby the difference cancels: there the remainder of Taylor's formula, an integral of second derivatives.
    near = (ops.abs(to_c) < 0.3 * a) & (ops.abs(to_d) < 0.3 * b)
    remainder = _remainder(a, b, ops.where(near, to_c, 0.0), ops.where(near, to_d, 0.0))
    return ops.maximum(ops.where(near, remainder, far), 0.0)


@numerics.with_gradient
def _kl(a, b, c, d):
    # Of the formula itself: without the rounding, and the time, of the gradient of its two forms.
    def gradient(upstream):
        to_c, to_d, total = c - a, d - b, a + b
        of_a, of_b, of_total = (numerics.trigamma_minus(x) + 1.0 / x for x in (a, b, total))
        common = of_total * (to_c + to_d)
        (p_a, p_b), (q_a, q_b) = _slope(a, b), _slope(c, d)
        to_p = common - of_a * to_c, common - of_b * to_d
        return tuple(upstream * x for x in (*to_p, q_a - p_a, q_b - p_b))

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
        excess = numerics.trigamma_minus(x) * to_c * to_c + numerics.trigamma_minus(y) * to_d * to_d
        second = second + excess - numerics.trigamma_minus(total) * step * step
        integral = integral + 0.5 * float(weight) * (1.0 - s) * second
    return integral
