"""Normal distribution clipped to a box."""

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.box import Box, box_of, canonical
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import in_full_precision, unwrapped
from kgdists.numerics import normal as gaussian
from kgdists.numerics import special
from kgdists.numerics.normal import NARROW, NODES, WEIGHTS
from kgdists.random import normal

__all__ = ["ClippedNormalDist"]

LOG_2PI, INF = math.log(2.0 * math.pi), float("inf")
FAR = {"float32": 1e18, "float64": 1e150}


class ClippedNormalDist(Distribution):
    r"""Distribution of a normal variable `u` of `n` independent dimensions that is clipped to a box.

    What lies beyond a finite bound is drawn together at it: that action has a probability, the others between the
    bounds a density. Where the bounds are equal the dimension is a constant, of probability one.

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

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.ClippedNormalDist(mu=[[0.0, 1.0]], logvar=[[0.0, -1.0]], low=[-1.0, 0.0], high=1.0)
    >>> pi.sample().shape, pi.log_proba([[0.5, 1.0]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("mu", "logvar")
    STATIC_NAMES = ("low", "high", "name")
    SUPPORT_NAMES = ("low", "high")
    REPARAMETERIZED = False
    HAS_ATOMS = True

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
        name: str = "clipped_normal_dist",
        random_seed: Seed = None,
    ) -> None:
        params = shapes.as_floats(mu=mu, logvar=logvar)
        shapes.check_vector(**params)
        shapes.check_same(**params)
        shapes.check_finite(**params)
        low, high = canonical(low, high, params["mu"].shape[-1])
        self.set_fields(**params, low=low, high=high, name=name, random_seed=random_seed)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        r"""Draw :math:`\mu + \sigma \epsilon`, clipped; differentiable between the bounds, without gradient at them.

        The mean of a function of the draws is differentiated right if the function is continuous, which `log_proba` is
        not: that of a bound is a probability, not a density.

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
        return self._clip(self.mu + ops.exp(0.5 * self.logvar) * noise)

    def mode(self) -> Tensor:
        """The median, `mu` clipped, shape [B..., n]: probabilities and densities do not compare."""
        return self._clip(self.mu)

    def mean(self) -> Tensor:
        """The mean of what is clipped, shape [B..., n]."""
        narrow, logvar = self._narrow()
        k, _ = self._standard_moments()
        wide = self._clip(self.mu + ops.exp(0.5 * ops.where(self._box.free, 0.0, logvar)) * k)
        z, weights = self._places(NODES, WEIGHTS)
        above, below = (ops.sum(_ndtr(side) * weights, axis=0) for side in (-z, z))
        return ops.where(narrow, above * self._box.high + below * self._box.low, wide)

    def variance(self) -> Tensor:
        """The variance of each dimension of what is clipped, shape [B..., n]."""
        narrow, logvar = self._narrow()
        _, variance = self._standard_moments()
        # Hoeffding's formula: twice the integral of P(x < s) P(x > t) over s < t.
        t, weights = self._places(NODES, WEIGHTS * NODES)
        s, inner_weights = self._places(np.outer(NODES, NODES), np.tile(WEIGHTS, (len(NODES), 1)))
        below = ops.sum(_ndtr(s) * inner_weights, axis=1)
        pairs = ops.sum(below * _ndtr(-t) * weights, axis=0)
        width = 2.0 * self._box.half
        between = 2.0 * pairs * width * width
        return ops.where(narrow, between, ops.exp(logvar) * self._without_constants(variance))

    @unwrapped
    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-probability of a bound, :math:`\log \Phi((\mathrm{low} - \mu) / \sigma)` or
        :math:`\log \Phi((\mu - \mathrm{high}) / \sigma)`, and the log-density of `u` between them; summed over the
        dimensions.

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
        return self._log_proba(x, self.dtype)

    @in_full_precision
    def _log_proba(self, x, dtype):
        return ops.sum(self._log_terms(x, dtype), axis=-1)

    @unwrapped
    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        """The log-probability of a bound, or log-density, of each dimension by itself, shape of `x`."""
        return self._log_terms(x, self.dtype)

    @in_full_precision
    def _log_terms(self, x, dtype):
        x = self.as_variate(x)
        box = self._box
        inside = box.inside(x)
        z = special.standardized(x - self.mu, self.logvar)
        at_low, at_high = box.at_bounds(x, dtype)
        log_low, log_high = self._log_tails()
        terms = ops.where(at_low, log_low, ops.where(at_high, log_high, -0.5 * (LOG_2PI + self.logvar + z * z)))
        terms = self._without_constants(terms)
        return terms if inside is None else ops.where(inside, terms, -INF)

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`\Phi((x_i - \mu_i) / \sigma_i)` within the bounds, 0 below and 1 from `high` on; shape of `x`."""
        x = self.as_variate(x)
        return self._by_side(x, 0.0, gaussian.ndtr(special.standardized(x - self.mu, self.logvar)), 1.0)

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        x = self.as_variate(x)
        return self._by_side(x, -INF, special.log_ndtr(special.standardized(x - self.mu, self.logvar)), 0.0)

    def survival(self, x: TensorLike) -> Tensor:
        r""":math:`\Phi((\mu_i - x_i) / \sigma_i)` within the bounds, 1 below and 0 from `high` on; shape of `x`."""
        x = self.as_variate(x)
        return self._by_side(x, 1.0, gaussian.ndtr(special.standardized(self.mu - x, self.logvar)), 0.0)

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        x = self.as_variate(x)
        return self._by_side(x, 0.0, special.log_ndtr(special.standardized(self.mu - x, self.logvar)), -INF)

    def quantile(self, q: TensorLike) -> Tensor:
        r""":math:`\mu_i + \sigma_i \Phi^{-1}(q)`, clipped; shape [..., B..., n]."""
        return self._clip(self.mu + ops.exp(0.5 * self.logvar) * gaussian.ndtri(self.as_levels(q)))

    def median(self) -> Tensor:
        """`mu` clipped, shape [B..., n]."""
        return self.mode()

    def crps(self, x: TensorLike) -> Tensor:
        r""":math:`\sum_i \sigma_i (\int_a^z \Phi^2 + \int_z^b (1 - \Phi)^2)`, bounds and `x` standardized: a, b, z.

        What lies outside of the bounds adds its distance from them. Shape [B...] behind any sample axes.
        """
        x = self.as_variate(x)
        box, inside = self._box, self._clip(x)
        z = special.standardized(inside - self.mu, self.logvar)
        from_low, to_high = (special.standardized(y, self.logvar) for y in (inside - box.low, box.high - inside))
        below = gaussian.squares_between(self._z(box.low), z, ops.where(box.has_low, from_low, 0.0))
        above = gaussian.squares_between(-self._z(box.high), -z, ops.where(box.has_high, to_high, 0.0))
        below = ops.where(box.has_low, below, gaussian.squares_below(z))
        above = ops.where(box.has_high, above, gaussian.squares_below(-z))
        score = self._without_constants(ops.exp(0.5 * self.logvar) * (below + above))
        return ops.sum(score + ops.abs(x - inside), axis=-1)

    def entropy(self) -> Tensor:
        """Entropy, shape [B...]: of the probabilities at the bounds and of the density between them."""
        return self.cross_entropy(self)

    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy to `other` = q of the same bounds, shape [B...]: at the bounds :math:`-P \log Q`, and between
        them :math:`-\int p \log q`, by the moments of the truncated normal distribution.
        """
        self.check_same_kind(other)
        low, high = self._tails()
        log_low, log_high = other._log_tails()
        scale = ops.exp(0.5 * (self.logvar - other.logvar))
        shift = special.standardized(self.mu - other.mu, other.logvar)
        zeroth, first, second = self._truncated_moments()
        square = scale * scale * second + 2.0 * scale * shift * first + shift * shift * zeroth
        terms = 0.5 * (zeroth * (LOG_2PI + other.logvar) + square) - _product(low, log_low) - _product(high, log_high)
        return ops.sum(self._without_constants(terms), axis=-1)

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other` = q of the same bounds, shape [B...], >= 0:

        :math:`\sum_i (\sum P (e^d - 1 - d) + \int p (e^d - 1 - d))`, :math:`d = \log q - \log p`, summed over the
        bounds and integrated between them.
        """
        self.check_same_kind(other)
        dlv = self.logvar - other.logvar
        growth = ops.expm1(0.5 * dlv)  # scale - 1
        shift = special.standardized(self.mu - other.mu, other.logvar)
        zeroth, _, _ = self._truncated_moments()
        terms = 0.5 * zeroth * (special.expm1_minus(dlv) + shift * shift)
        box = self._box
        # Each bound takes part by itself, mirrored where it is the upper one.
        for sign, mask, z in ((1.0, box.has_low, self._z(box.low)), (-1.0, box.has_high, -self._z(box.high))):
            if np.any(mask):
                terms = terms + ops.where(mask, _at_bound(z, growth, sign * shift), 0.0)
        return ops.sum(ops.maximum(self._without_constants(terms), 0.0), axis=-1)

    @property
    def _box(self) -> Box:
        return box_of(self.low, self.high, self.dtype)

    def _clip(self, x):
        box = self._box
        x = ops.where(box.has_low | box.constant, ops.maximum(x, box.low), x)
        return ops.where(box.has_high | box.constant, ops.minimum(x, box.high), x)

    def _by_side(self, x, below, within, above):
        """A value below the box, one from its upper bound on, and one between them."""
        box = self._box
        has_low, has_high = box.has_low | box.constant, box.has_high | box.constant
        return ops.where(has_high & (x >= box.high), above, ops.where(has_low & (x < box.low), below, within))

    def _without_constants(self, terms):
        return ops.where(self._box.constant, 0.0, terms)

    def _z(self, x):
        # Clipped where its square would overflow: all of the mass is on one side.
        most = FAR[self.dtype]
        return ops.maximum(ops.minimum(special.standardized(-self.mu + x, self.logvar), most), -most)

    def _log_tails(self):
        """Logarithms of the probabilities of both bounds; something finite where there is none."""
        box = self._box
        z = ops.stack([self._z(box.low), -self._z(box.high)])
        least = np.asarray(-FAR[self.dtype], self.dtype)  # Keras compares a plain number in float32
        tails = ops.where(z > least, special.log_ndtr(z), -INF)
        return tails[0], tails[1]

    def _tails(self):
        """The probabilities of both bounds, 0 where there is none."""
        low, high = self._log_tails()
        box = self._box
        return ops.where(box.has_low, ops.exp(low), 0.0), ops.where(box.has_high, ops.exp(high), 0.0)

    def _truncated_moments(self):
        """Integrals of 1, z and z^2 times the standard normal density between the bounds."""
        box = self._box
        a, b = self._z(box.low), self._z(box.high)
        # From the side on which both tails are small, so that nothing cancels far out.
        flip = (a > 0.0) & box.has_low
        from_low = ops.where(box.has_low, _ndtr(ops.where(flip, -a, a)), 0.0)
        from_high = ops.where(box.has_high, _ndtr(ops.where(flip, -b, b)), ops.where(flip, ops.zeros_like(b), 1.0))
        zeroth = ops.where(flip, from_low - from_high, from_high - from_low)
        density_a = ops.where(box.has_low, _density(a), 0.0)
        density_b = ops.where(box.has_high, _density(b), 0.0)
        return zeroth, density_a - density_b, zeroth + a * density_a - b * density_b

    def _width(self):
        """Distance of the bounds in deviations."""
        return 2.0 * special.standardized(ops.zeros_like(self.mu) + self._box.half, self.logvar)

    def _narrow(self):
        """Whether both bounds are so near that nothing is lost by an integral over the box; `logvar` where not."""
        narrow = (self._width() < NARROW) & self._box.both
        return narrow, ops.where(narrow, 0.0, self.logvar)

    def _places(self, shares, weights):
        """Places in the box at some shares of its width, standardized, and their weights; with axes in front."""
        width = ops.minimum(self._width(), NARROW)
        ones = (1,) * len(width.shape)
        shares, weights = (np.reshape(x, (*x.shape, *ones)).astype(self.dtype) for x in (shares, weights))
        return width * shares + self._z(self._box.low), weights

    def _standard_moments(self):
        """Mean and variance of (x - mu) / sigma."""
        box = self._box
        a, b = self._z(box.low), self._z(box.high)
        low, high = self._tails()
        zeroth, first, second = self._truncated_moments()
        k = low * a + high * b + first
        variance = low * ops.square(a - k) + high * ops.square(b - k) + second - 2.0 * k * first + k * k * zeroth
        return k, variance


def _product(p, log_q):
    """p log q, 0 where p = 0."""
    gone = ops.equal(p, 0)
    return p * ops.where(gone, 0.0, log_q)


def _density(z):
    return ops.exp(-0.5 * (z * z + LOG_2PI))


def _ndtr(z):
    return 0.5 * ops.erfc(-math.sqrt(0.5) * z)


def _at_bound(z, growth, shift):
    """The part of a lower bound in the divergence, where it is at `z` for p and at `z + step` for q."""
    step = growth * z + shift
    log_p, log_q = special.log_ndtr(z), special.log_ndtr(z + step)
    p, q, density = ops.exp(log_p), ops.exp(log_q), _density(z)
    # q - p - density * step cancels for small steps: there the remainder of Taylor's formula, an integral.
    is_small = ops.abs(step) < 0.5
    small = ops.where(is_small, step, 0.0)
    remainder = sum(
        -w * (1.0 - t) * (z + t * small) * _density(z + t * small)
        for t, w in zip(NODES.tolist(), WEIGHTS.tolist(), strict=True)
    )
    remainder = ops.where(is_small, small * small * remainder, q - p - density * step)
    # So does log q - log p. Of probabilities that are next to nothing it does not matter.
    is_near = is_small & (p > 1e-30)
    ratio = ops.where(is_near, density * small + remainder, 0.0) / ops.where(is_near, p, 1.0)
    is_near = is_near & (ops.abs(ratio) < 0.5)
    d = ops.where(is_near, ops.log1p(ops.where(is_near, ratio, 0.0)), log_q - log_p)
    near = p * special.expm1_minus(ops.where(is_near, d, 0.0))
    atom = ops.where(is_near, near, q - p - p * d)
    return atom + density * growth * (0.5 * growth * z + shift) - remainder
