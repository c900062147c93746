"""A distribution of which what lies beyond a bound is observed at it."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.bounds import as_bounds, bound_of, check_between, is_infinite
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.nested import (
    NestedDist,
    check_has_density,
    check_has_order,
    check_part,
    elementwise,
    is_of_integers,
    seed_of,
)
from kgdists.distributions.wrappers import in_full_precision, unwrapped

__all__ = ["Censored"]

INF = float("inf")


class Censored(NestedDist):
    r"""Distribution of :math:`x = \min(\max(y, \mathrm{low}), \mathrm{high})`, y of another one.

    A value at a bound has the probability of all that lies at it and beyond, the values between have the density of
    `dist`: the likelihood of a Tobit model and, with `high` the time of observation, of right-censored survival times.

    Parameters
    ----------
    dist : Distribution
        Of y, over vectors of n dimensions: with a density, or of integers.
    low, high : float, sequence of n floats, or float tensor of shape [B..., n]
        The bounds, infinite where there are none; `low <= high`. Numbers are static. Those of rows, such as the times
        at which they were last seen, are tensors, `inf` where a row was observed.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from the stream of `dist`.

    Raises
    ------
    ValueError
        On wrong bounds, or if `dist` has probabilities beside densities.
    TypeError
        If `dist` is no distribution.

    Examples
    --------
    Three rows, of which the last two were seen at 5 for the last time:

    >>> import kgdists as kg
    >>> time = kg.LogisticDist([[4.0], [4.0], [6.0]], [[1.0], [1.0], [1.0]])
    >>> pi = kg.Censored(time, high=[[float("inf")], [5.0], [5.0]])
    >>> pi.log_proba([[3.0], [5.0], [5.0]]).shape
    TensorShape([3])
    """

    PARAM_NAMES = ("dist",)
    STATIC_NAMES = ("low", "high", "name")
    SUPPORT_NAMES = ("low", "high")
    REPARAMETERIZED = False

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
        name: str = "censored",
        random_seed: Seed = None,
    ) -> None:
        check_part("dist", dist)
        check_has_density("dist", dist, may_be_integers=True)
        check_has_order("dist", dist)
        self.set_fields(dist=dist, **as_bounds(low, high, dist), name=name, random_seed=seed_of(random_seed, dist))

    @property
    def HAS_ATOMS(self) -> bool:  # type: ignore[override]
        """Whether the bounds have probabilities beside the densities of others."""
        return not is_of_integers(self.dist)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Draw of `dist` and clip; differentiable between the bounds as that is, without gradient at them.

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
        return self._clip(self.dist.sample(sample_shape, self.generator(seed)))

    def sample_action(self, seed: Seed = None) -> Tensor:
        """Draw in the form that `dist` does: int64 tensor of integers, shape [B..., n], else as `sample`."""
        x = self.dist.sample_action(self.generator(seed))
        return ops.cast(self._clip(ops.cast(x, self.dtype)), shapes.dtype_of(x))

    def mode(self) -> Tensor:
        """The mode of `dist`, clipped, shape [B..., n]: probabilities and densities do not compare."""
        return self._clip(self.dist.mode())

    def mode_action(self) -> Tensor:
        """The same in the form of `sample_action`."""
        return ops.cast(self.mode(), "int64") if is_of_integers(self) else self.mode()

    @unwrapped
    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-probability of a bound, :math:`\log P(y \le \mathrm{low})` or :math:`\log P(y \ge \mathrm{high})`, and
        the log-density of `dist` between them; summed over the dimensions.

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
            have log-density `-inf`.
        """
        return self._log_proba(x, self.dtype)

    @unwrapped
    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        """The summands of `log_proba`, shape of `x`."""
        return self._elementwise(x, self.dtype)

    @in_full_precision
    def _log_proba(self, x, dtype):
        return ops.sum(self._elementwise(x, dtype), axis=-1)

    @in_full_precision
    def _elementwise(self, x, dtype):
        x = self.as_variate(shapes.as_numbers(x, "x"))
        inside = check_between(self, x)
        x = self._clip(x)
        low, high = (bound_of(self, name, dtype) for name in ("low", "high"))
        result = elementwise(self.dist, x)
        if not is_infinite(self, "high"):
            # The largest below, so that it is P(y >= high).
            at, before = (x >= high) & (high < INF), 1.0 if is_of_integers(self.dist) else 0.0
            result = ops.where(at, self.dist.log_survival(ops.where(at, bound_of(self, "high") - before, x)), result)
        if not is_infinite(self, "low"):
            at = (x <= low) & (low > -INF)
            both = at & (bound_of(self, "low") >= bound_of(self, "high"))
            result = ops.where(
                both, 0.0, ops.where(at, self.dist.log_cdf(ops.where(at, bound_of(self, "low"), x)), result)
            )
        return ops.where(inside, result, -INF)

    def cdf(self, x: TensorLike) -> Tensor:
        """That of `dist` within the bounds, 0 below and 1 from `high` on; shape of `x`."""
        return self._by_side(x, 0.0, self.dist.cdf, 1.0)

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return self._by_side(x, -INF, self.dist.log_cdf, 0.0)

    def survival(self, x: TensorLike) -> Tensor:
        """That of `dist` within the bounds, 1 below and 0 from `high` on; shape of `x`."""
        return self._by_side(x, 1.0, self.dist.survival, 0.0)

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return self._by_side(x, 0.0, self.dist.log_survival, -INF)

    def quantile(self, q: TensorLike) -> Tensor:
        """That of `dist`, clipped; shape [..., B..., n]."""
        return self._clip(self.dist.quantile(q))

    def _clip(self, x):
        # A Functional model with `ops.clip` to tensors cannot be saved.
        return ops.minimum(ops.maximum(x, bound_of(self, "low")), bound_of(self, "high"))

    def _by_side(self, x, below, function, above):
        x = self.as_variate(shapes.as_numbers(x, "x"))
        low, high = bound_of(self, "low"), bound_of(self, "high")
        return ops.where(x >= high, above, ops.where(x < low, below, function(x)))
