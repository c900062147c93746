"""Beta distribution on a box."""

import math

import numpy as np
from keras import ops

from kgdists import bounds, numerics, shapes
from kgdists.distribution import Distribution, draws, in_full_precision
from kgdists.random import log_gamma

__all__ = ["BetaDist"]

LOG_2, INF = math.log(2.0), float("inf")
# Gauss and Legendre's rule on [-1, 1].
NODES, WEIGHTS = np.polynomial.legendre.leggauss(4)


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
        mean_log, mean_log_1_minus = ops.unstack(_slope(ops.stack([self.alpha, self.beta])), 2)
        terms = (other.alpha - 1.0) * mean_log + (other.beta - 1.0) * mean_log_1_minus
        return self._sum(other._log_normalizer() - terms)

    @in_full_precision
    def kl_divergence(self, other):
        r"""Kullback-Leibler divergence to `other` = q of the same bounds, shape [B...], >= 0:

        :math:`\sum_i (F(q_i) - F(p_i) - \nabla F(p_i) \cdot (q_i - p_i))`, :math:`F = \log \mathrm{B}`.
        """
        self._check_other(other)
        of_p, of_q = ops.zeros_like(self.alpha), ops.zeros_like(other.alpha)  # for one of two without a batch
        p = ops.stack([self.alpha + of_q, self.beta + of_q])
        q = ops.stack([other.alpha + of_p, other.beta + of_p])
        is_symbolic = shapes.is_symbolic(p) or shapes.is_symbolic(q)
        return self._sum(_divergence(p, q) if is_symbolic else _kl(p, q))

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
        return _log_beta(ops.stack([self.alpha, self.beta])) + (self._box.log_half + LOG_2)

    def _log_density(self, log_t, log_1_minus_t):
        return self._sum((self.alpha - 1.0) * log_t + (self.beta - 1.0) * log_1_minus_t - self._log_normalizer())

    def _sum(self, terms):
        """Over all dimensions but constants."""
        constant = self._box.constant
        return ops.sum(ops.where(constant, 0.0, terms) if constant.any() else terms, axis=-1)


# Of F = log B at concentrations c = (alpha, beta), stacked along the first axis: with their sum they are one tensor,
# which takes a third of the operations.


def _with_total(c):
    return ops.concatenate([c, ops.sum(c, axis=0, keepdims=True)])


def _log_beta(c):
    """F."""
    of_alpha, of_beta, of_total = ops.unstack(numerics.lgamma(_with_total(c)), 3)
    return of_alpha + of_beta - of_total


def _slope(c):
    """The gradient of F: the means of log t and of log(1 - t)."""
    of_alpha, of_beta, of_total = ops.unstack(numerics.digamma(_with_total(c)), 3)
    return ops.stack([of_alpha - of_total, of_beta - of_total])


def _divergence(p, q):
    """`F(q) - F(p) - F'(p) (q - p)`, dimension by dimension."""
    step = q - p
    far = _log_beta(q) - _log_beta(p) - ops.sum(step * _slope(p), axis=0)
    # Nearby the difference cancels: there the remainder of Taylor's formula, an integral of second derivatives.
    near = ops.all(ops.abs(step) < 0.1 * p, axis=0)
    return ops.maximum(ops.where(near, _remainder(p, ops.where(near, step, 0.0)), far), 0.0)


@ops.custom_gradient
def _kl(p, q):
    # Of the formula itself: without the rounding, and the time, of the gradient of its two forms.
    def gradient(upstream):
        step = q - p
        curvature = numerics.trigamma_minus(_with_total(p)) + 1.0 / _with_total(p)
        to_p = curvature[2:] * ops.sum(step, axis=0, keepdims=True) - curvature[:2] * step
        return upstream * to_p, upstream * (_slope(q) - _slope(p))

    return _divergence(p, q), gradient


def _remainder(p, step):
    """The integral of (1 - s) times the second derivative of F along the step, s from 0 to 1."""
    dtype = shapes.dtype_of(step)
    shares = ((1.0 + NODES) / 2.0).astype(dtype).reshape(-1, *[1] * (len(step.shape) - 1))
    step_a, step_b = ops.unstack(step, 2)
    a, b = p[0] + step_a * shares, p[1] + step_b * shares
    total, step = a + b, step_a + step_b
    excess = ops.unstack(numerics.trigamma_minus(ops.stack([a, b, total])), 3)
    # The parts 1 / x of the trigamma functions in one square.
    across = step_a * (b / total) - step_b * (a / total)
    second = across * across * (total / a) / b
    second = second + excess[0] * step_a * step_a + excess[1] * step_b * step_b - excess[2] * step * step
    return ops.sum(second * (WEIGHTS * (1.0 - NODES) / 4.0).astype(dtype).reshape(shares.shape), axis=0)
