"""A distribution restricted to an interval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from kgdists.core import shapes, value_checks
from kgdists.core.frequent import as_written
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.bounds import as_bounds, bound_of, check_between, is_infinite
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.inversion import tail_quantile
from kgdists.distributions.nested import (
    NestedDist,
    check_has_density,
    check_has_order,
    check_part,
    elementwise,
    is_of_integers,
    seed_of,
)
from kgdists.numerics import special
from kgdists.random import uniform

__all__ = ["Truncated"]

INF = float("inf")


class Truncated(NestedDist):
    r"""Distribution of `dist` given that each dimension lies between two bounds.

    :math:`p(x) / P(\mathrm{low} \le x \le \mathrm{high})`; all is computed from the nearer tail, so that the interval
    may lie far out in one.

    Parameters
    ----------
    dist : Distribution
        Over vectors of n dimensions: with a density, or of integers.
    low, high : float, sequence of n floats, or float tensor of shape [B..., n]
        The bounds, both included, infinite where there are none; `low <= high`. Numbers are static.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from the stream of `dist`.

    Raises
    ------
    ValueError
        On wrong bounds, or if `dist` has probabilities beside densities.
    TypeError
        If `dist` is no distribution.

    Notes
    -----
    The probability of an interval is a difference. Of one that is narrow it has the digits that the bounds themselves
    leave: relative to it, a rounding of the nearer tail.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.Truncated(kg.NormalDist([[0.0, 1.0]], [[0.0, 0.0]]), low=0.0)
    >>> pi.sample().shape, pi.log_proba([[0.5, 2.5]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("dist",)
    STATIC_NAMES = ("low", "high", "name")
    SUPPORT_NAMES = ("low", "high")

    dist: Distribution
    low: Any
    high: Any
    name: str

    def __init__(
        self,
        dist: Distribution,
        low: TensorLike = -INF,
        high: TensorLike = INF,
        *,
        name: str = "truncated",
        random_seed: Seed = None,
    ) -> None:
        check_part("dist", dist)
        check_has_density("dist", dist, may_be_integers=True)
        check_has_order("dist", dist)
        self.set_fields(dist=dist, **as_bounds(low, high, dist), name=name, random_seed=seed_of(random_seed, dist))

    @property
    def REPARAMETERIZED(self) -> bool:  # type: ignore[override]
        """Whether draws move with the parameters: all but those of integers, by implicit gradients."""
        return not is_of_integers(self.dist)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Draw exactly, by the quantile of a uniform number, from the nearer tail of `dist`.

        Parameters
        ----------
        sample_shape : int or tuple of int
            Shape in front of the batch shape.
        seed : None, int or keras.random.SeedGenerator
            An int repeats the same draw.

        Returns
        -------
        float tensor, shape [*sample_shape, B..., n], of a density with implicit gradients.
        """
        u = ops.cast(uniform(self.draw_shape(sample_shape), self.generator(seed)), self.dtype)
        with as_written():
            x = self._at(ops.log(u), ops.log1p(-u))
        return ops.stop_gradient(x) if is_of_integers(self.dist) else x

    def sample_action(self, seed: Seed = None) -> Tensor:
        """Draw in the form that `dist` does: int64 tensor of integers, shape [B..., n], else as `sample`."""
        return ops.cast(self.sample(seed=seed), "int64") if is_of_integers(self) else self.sample(seed=seed)

    def mode(self) -> Tensor:
        """The mode of `dist`, or the bound next to it, shape [B..., n]: the likeliest where `dist` has one peak."""
        return self._clip(self.dist.mode())

    def mode_action(self) -> Tensor:
        """The same in the form of `sample_action`."""
        return ops.cast(self.mode(), "int64") if is_of_integers(self) else self.mode()

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-probability :math:`\sum_i (\log p(x_i) - \log P(\mathrm{low}_i \le x_i \le \mathrm{high}_i))`.

        Parameters
        ----------
        x : tensor, shape [B..., n]; sample axes may come in front

        Returns
        -------
        float tensor, shape [B...] behind any sample axes.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on NaN and on values outside of the bounds. In a graph those
            have log-probability `-inf`.
        """
        return ops.sum(self.elementwise_log_proba(x), axis=-1)

    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        """The summands of `log_proba`, shape of `x`."""
        x = self.as_variate(shapes.as_numbers(x, "x"))
        inside = check_between(self, x)
        log_mass = _log_between(*self._ends())
        value_checks.check_values(_check_mass, log_mass)
        return ops.where(inside, elementwise(self.dist, self._clip(x)) - log_mass, -INF)

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`P(\mathrm{low} \le X \le x) / P(\mathrm{low} \le X \le \mathrm{high})`; shape of `x`."""
        return ops.exp(self._log_tails(x)[0])

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return self._log_tails(x)[0]

    def survival(self, x: TensorLike) -> Tensor:
        r""":math:`P(x < X \le \mathrm{high}) / P(\mathrm{low} \le X \le \mathrm{high})`; shape of `x`."""
        return ops.exp(self._log_tails(x)[1])

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return self._log_tails(x)[1]

    def quantile(self, q: TensorLike) -> Tensor:
        """Where `cdf` is `q`, from the nearer tail of `dist`; shape [..., B..., n].

        Of a density its gradient is that of the implicit function.
        """
        levels = self.as_levels(q) + self._zeros()
        inside = (levels > 0.0) & (levels < 1.0)
        safe = ops.where(inside, levels, 0.5)
        x = self._at(ops.log(safe), ops.log1p(-safe))
        first, last = (self._clip(ops.stop_gradient(self.dist.quantile(end))) for end in (0.0, 1.0))
        return ops.where(inside, x, ops.where(levels <= 0.0, first, last))

    def _tail_quantile(self, log_tail, is_upper):
        rest = special.log1mexp(log_tail)
        return self._at(ops.where(is_upper, rest, log_tail), ops.where(is_upper, log_tail, rest))

    def _at(self, log_level, log_rest):
        """The value with these shares of the interval's probability at or below, and above."""
        (below, _), (_, above) = low, high = self._ends()
        log_mass = _log_between(low, high)
        log_below, log_above = _log_add(below, log_level + log_mass), _log_add(above, log_rest + log_mass)
        is_upper = log_above < log_below
        return self._clip(tail_quantile(self.dist, ops.where(is_upper, log_above, log_below), is_upper))

    def _ends(self):
        """For each bound the logarithms of the probabilities on both of its sides, shape [B..., n]."""
        zeros, before = self._zeros(), 1.0 if is_of_integers(self.dist) else 0.0
        return (
            self._tails_at("low", zeros - before, (-INF, 0.0)),
            self._tails_at("high", zeros, (0.0, -INF)),
        )

    def _tails_at(self, name, shift, without):
        if is_infinite(self, name):
            return tuple(ops.zeros_like(shift) + x for x in without)
        bound = bound_of(self, name)
        is_finite = ops.isfinite(bound) if shapes.is_tensor(bound) else np.isfinite(bound)
        # Beyond a bound that is infinite there is nothing; its tails must be finite for the gradient.
        place = shift + bound
        if shapes.is_tensor(bound) or not np.all(is_finite):
            place = ops.where(is_finite, place, ops.stop_gradient(self.dist.median()))
        tails = self.dist.log_cdf(place), self.dist.log_survival(place)
        return tuple(ops.where(is_finite, tail, x) for tail, x in zip(tails, without, strict=True))

    def _log_tails(self, x):
        """The logarithms of the probabilities at or below, and above; the larger of the two from the other."""
        x = self.as_variate(shapes.as_numbers(x, "x"))
        low, high = self._ends()
        place = self._clip(x)
        at = self.dist.log_cdf(place), self.dist.log_survival(place)
        log_mass = _log_between(low, high)
        below, above = _log_between(low, at) - log_mass, _log_between(at, high) - log_mass
        log_cdf, log_survival = special.larger_from_smaller(below, above)
        is_below, is_above = x < bound_of(self, "low"), x >= bound_of(self, "high")
        log_cdf = ops.where(is_above, 0.0, ops.where(is_below, -INF, log_cdf))
        return log_cdf, ops.where(is_above, -INF, ops.where(is_below, 0.0, log_survival))

    def _clip(self, x):
        return ops.minimum(ops.maximum(x, bound_of(self, "low")), bound_of(self, "high"))


def _log_between(first, last):
    """The logarithm of the probability between two places, from the tails below and above each: the nearer ones."""
    (below_first, above_first), (below_last, above_last) = first, last
    is_upper = above_first < below_last
    larger, smaller = (
        ops.where(is_upper, above_first, below_last),
        ops.where(is_upper, above_last, below_first),
    )
    # Of nothing at all nothing is left.
    gone = ops.equal(larger, -INF)
    return ops.where(gone, -INF, larger) + special.log1mexp(
        ops.where(gone, -1.0, ops.minimum(smaller - ops.where(gone, 0.0, larger), 0.0))
    )


def _log_add(a, b):
    """`log(exp(a) + exp(b))`; a may be -inf."""
    most, least = ops.maximum(a, b), ops.minimum(a, b)
    gone = ops.equal(least, -INF)
    return most + ops.where(gone, 0.0, ops.softplus(ops.where(gone, -1.0, least - most)))


def _check_mass(log_mass):
    if np.any(log_mass == -INF):
        raise ValueError("`dist` must have some probability between `low` and `high`. Received: one without any")
