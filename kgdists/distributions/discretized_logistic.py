"""Integers between bounds, by a logistic distribution cut into cells."""

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from keras import ops

from kgdists.core import shapes, value_checks
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import in_full_precision
from kgdists.random import uniform

__all__ = ["DiscretizedLogisticDist", "as_ints"]

INF = float("inf")


class DiscretizedLogisticDist(Distribution):
    r"""Ordinal distribution over vectors of `n` independent integers from `low` to `high`.

    An integer has the mass that a logistic distribution has within half a unit of it; the bounds have the tails beyond
    too (Salimans et al. 2017, eq. 2):

    :math:`\log P(k) = \log(F(k + \tfrac12) - F(k - \tfrac12))`, :math:`F(y) = \mathrm{sigmoid}((y - \mu) / s)`.

    Unlike a categorical it knows that neighbours are alike, and two parameters serve any number of integers.

    Parameters
    ----------
    mu : float tensor, shape [B..., n]
        Location.
    logscale : float tensor, shape [B..., n]
        Logarithm of the scale s.
    low, high : int or sequence of int, length n, low <= high
        Bounds, both included, within those of int64.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Raises
    ------
    ValueError
        On shapes or dtypes that differ, on bounds that are no integers or the wrong way round and, where values are at
        hand, on NaN or infinite parameters.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.DiscretizedLogisticDist(mu=[[0.0, 100.0]], logscale=[[0.0, 3.0]], low=0, high=255)
    >>> pi.sample_action().shape, pi.log_proba([[0, 100]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("mu", "logscale")
    STATIC_NAMES = ("low", "high", "name")
    SUPPORT_NAMES = ("low", "high")
    REPARAMETERIZED = False

    mu: Tensor
    logscale: Tensor
    low: tuple[int, ...]
    high: tuple[int, ...]
    name: str

    def __init__(
        self,
        mu: TensorLike,
        logscale: TensorLike,
        low: Integer | Iterable[Integer],
        high: Integer | Iterable[Integer],
        *,
        name: str = "discretized_logistic_dist",
        random_seed: Seed = None,
    ) -> None:
        params = shapes.as_floats(mu=mu, logscale=logscale)
        shapes.check_vector(**params)
        shapes.check_same(**params)
        shapes.check_finite(**params)
        n = params["mu"].shape[-1]
        low, high = as_ints(low, n, "low"), as_ints(high, n, "high")
        if any(a > b for a, b in zip(low, high, strict=True)):
            raise ValueError(f"`low` must not exceed `high`. Received: low={low}, high={high}")
        self.set_fields(**params, low=low, high=high, name=name, random_seed=random_seed)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Draw integers as floats, with the gradient of the logistic draw before rounding (straight-through).

        Parameters
        ----------
        sample_shape : int or tuple of int
            Shape in front of the batch shape.
        seed : None, int or keras.random.SeedGenerator
            An int repeats the same draw.

        Returns
        -------
        float tensor, shape [*sample_shape, B..., n]; integers as far as the dtype has them.
        """
        x = self._logistic(sample_shape, seed)
        low, high = self._bounds()
        return ops.stop_gradient(_clip(ops.round(x), low, high)) + (x - ops.stop_gradient(x))

    def sample_action(self, seed: Seed = None) -> Tensor:
        """Draw integers: int64 tensor, shape [B..., n]."""
        return self._nearest(self._logistic((), seed))

    def mode(self) -> Tensor:
        """The most probable integers as floats, shape [B..., n]."""
        # A float may be further out than the integer that it stands for.
        return _clip(ops.cast(self.mode_action(), self.dtype), *self._bounds())

    @in_full_precision
    def mode_action(self) -> Tensor:
        """The most probable integers: int64 tensor, shape [B..., n]; the one next to `mu`, or a bound with its tail."""
        best = self._nearest(self.mu)
        for bound in (self.low, self.high):
            bound = ops.convert_to_tensor(bound, "int64") + ops.zeros_like(best)
            best = ops.where(self._log_mass(bound) > self._log_mass(best), bound, best)
        return best

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-probability :math:`\sum_i \log P(x_i)`.

        Parameters
        ----------
        x : tensor of integers, or of floats that are integers, shape [B..., n]
            Sample axes may come in front.

        Returns
        -------
        float tensor, shape [B...] behind any sample axes.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on values that are no integers, out of bounds, or NaN. In a
            graph those have log-probability `-inf`.
        """
        return ops.sum(self.elementwise_log_proba(x), axis=-1)

    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        """The log-probability of each integer by itself, shape of `x`."""
        x = shapes.as_numbers(x, "x")
        if "float" in shapes.dtype_of(x):
            x = self.as_variate(x)
            inside = ops.equal(x, _clip(ops.round(x), *self._bounds()))
            k = self._nearest(x)
        else:
            self.as_variate(ops.cast(x, self.dtype))
            k = ops.cast(x, "int64")
            inside = (k >= ops.convert_to_tensor(self.low, "int64")) & (k <= ops.convert_to_tensor(self.high, "int64"))
            if "uint" in shapes.dtype_of(x):
                inside = inside & (k >= 0)  # the largest become negative
        self._check_inside(x, inside)
        log_mass = ops.where(inside, self._log_mass(ops.where(inside, k, self._nearest(self.mu))), -INF)
        return ops.where(ops.isnan(ops.cast(x, self.dtype)), float("nan"), log_mass)

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`1 / (1 + e^{-(k_i + 1/2 - \mu_i) / s_i})` of the integer k at or below; shape of `x`."""
        return ops.exp(self.log_cdf(x))

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return self._by_side(x, -INF, lambda z: -ops.softplus(-z), 0.0)

    def survival(self, x: TensorLike) -> Tensor:
        """One minus `cdf`, with its digits in the upper tail; shape of `x`."""
        return ops.exp(self.log_survival(x))

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return self._by_side(x, 0.0, lambda z: -ops.softplus(z), -INF)

    def quantile(self, q: TensorLike) -> Tensor:
        """The smallest integers that have at least probability `q` at or below, as floats; shape [..., B..., n]."""
        levels = self.as_levels(q)
        low, high = self._bounds()
        place = self.mu + ops.exp(self.logscale) * (ops.log(levels) - ops.log1p(-levels))
        return _clip(ops.ceil(place - 0.5), low, high) + ops.zeros_like(self.mu)

    def _by_side(self, x, below, between, above):
        x = ops.floor(self.as_variate(shapes.as_numbers(x, "x")))
        low, high = self._bounds()
        z = (x + 0.5 - self.mu) * ops.exp(-self.logscale)
        return ops.where(x >= high, above, ops.where(x < low, below, between(z)))

    def _log_mass(self, k):
        at_low, at_high = ops.equal(k, ops.cast(self.low, "int64")), ops.equal(k, ops.cast(self.high, "int64"))
        # Beyond `most` the dtype has no exponentials; there one integer, or the two bounds, have all the mass anyway.
        most = 700.0 if self.dtype == "float64" else 80.0
        # Clipping has no gradient where there is NaN, which must not look like a parameter at its best.
        exponent = ops.where(ops.isnan(self.logscale), -self.logscale, ops.clip(-self.logscale, -most, most))
        width = ops.exp(exponent)
        distance = ops.cast(k, self.dtype) - self.mu
        above, below = (distance + 0.5) * width, (distance - 0.5) * width
        # F(a) - F(b) = F(a) (1 - F(b)) (1 - exp(b - a)), where a - b = 1 / s needs no difference.
        left_of_above = ops.where(at_high, 0.0, -ops.softplus(-above))
        right_of_below = ops.where(at_low, 0.0, -ops.softplus(below))
        # Of a wide distribution 1 - exp(-1 / s) is 1 / s.
        is_wide = self.logscale > 60.0
        log_share = ops.where(is_wide, -self.logscale, ops.log(-ops.expm1(-ops.where(is_wide, 1.0, width))))
        return left_of_above + right_of_below + ops.where(at_low | at_high, 0.0, log_share)

    def _logistic(self, sample_shape, seed):
        u = ops.cast(uniform(self.draw_shape(sample_shape), self.generator(seed)), self.dtype)
        return self.mu + ops.exp(self.logscale) * (ops.log(u) - ops.log1p(-u))

    def _bounds(self):
        """The outermost floats within the bounds."""
        return (ops.convert_to_tensor(_inwards(bound, self.dtype), self.dtype) for bound in (self.low, self.high))

    def _nearest(self, x):
        """The integers next to floats; those beyond the outermost floats become the bounds."""
        low, high = self._bounds()
        k = ops.cast(_clip(ops.round(x), low, high), "int64")
        k = ops.where(x <= low, ops.convert_to_tensor(self.low, "int64"), k)
        return ops.where(x >= high, ops.convert_to_tensor(self.high, "int64"), k)

    def _check_inside(self, x, inside):
        shapes.check_not_nan(x=x)
        low, high = self.low, self.high

        def check(values, good):
            if not good.all():
                raise ValueError(
                    f"`x` must be of integers from low={low} to high={high}. Received: {values[~good].flat[0]}"
                )

        value_checks.check_values(check, x, inside)


def _clip(x, low, high):
    # A Functional model with `ops.clip` to tensors cannot be saved.
    return ops.minimum(ops.maximum(x, low), high)


def as_ints(bound: Any, n: int, name: str) -> tuple[int, ...]:
    """`bound` as a tuple of n Python ints."""
    values = np.broadcast_to(np.asarray(bound, object), (n,)) if np.shape(bound) in ((), (n,)) else None
    if values is None or not all(_is_int64(x) for x in values):
        raise ValueError(f"`{name}` must be an int64 or a sequence of n = {n} of them. Received: {name}={bound}")
    return tuple(int(x) for x in values)


def _is_int64(x):
    return isinstance(x, Integral) and not isinstance(x, bool) and -(2**63) <= int(x) < 2**63


def _inwards(bound, dtype):
    """The floats next to integers, rounded towards zero."""
    floats = np.asarray([float(x) for x in bound], dtype)
    beyond = [abs(int(x)) > abs(exact) for x, exact in zip(floats, bound, strict=True)]
    return np.where(beyond, np.nextafter(floats, np.zeros_like(floats)), floats)
