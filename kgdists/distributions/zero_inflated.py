"""A distribution with an extra probability of zero."""

from collections.abc import Sequence
from typing import Any, Self

from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.nested import (
    NestedDist,
    check_has_density,
    check_part,
    is_of_integers,
    seed_of,
    unsupported,
)
from kgdists.numerics import special
from kgdists.numerics.log_sum import log_sum
from kgdists.random import split, uniform

__all__ = ["ZeroInflated"]

INF = float("inf")


class ZeroInflated(NestedDist):
    r"""Zero with an extra probability :math:`\pi = \mathrm{sigmoid}(\mathrm{logits})`, else a variate of `dist`.

    Of counts the zeros of both are one: :math:`P(0) = \pi + (1 - \pi) p(0)`. Beside a density zero has the probability
    :math:`\pi` (a hurdle), and the others have the density :math:`(1 - \pi) p(x)`.

    Parameters
    ----------
    logits : float tensor, shape [B..., n]
        Log-odds of the extra zero, of each dimension by itself.
    dist : Distribution
        Over vectors of n dimensions: of integers, or with a density.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from the stream of `dist`.

    Raises
    ------
    ValueError
        On shapes or dtypes that differ, if `dist` has probabilities beside densities and, where values are at hand, on
        logits that are not finite.
    TypeError
        If `dist` is no distribution.

    Examples
    --------
    >>> import kgdists as kg
    >>> amount = kg.Transformed(kg.NormalDist([[0.0]], [[0.0]]), kg.distributions.transforms.Exp())
    >>> rain = kg.ZeroInflated([[0.0]], amount)
    >>> print(rain.prob([[0.0]]).numpy(), rain.median().numpy())
    [0.5] [[0.]]
    """

    PARAM_NAMES = ("logits", "dist")
    STATIC_NAMES = ("name",)
    REPARAMETERIZED = False

    logits: Tensor
    dist: Distribution
    name: str

    @classmethod
    def from_probs(cls, probs: TensorLike, dist: Distribution, **fields: Any) -> Self:
        """Make a distribution of the probability of the extra zero, a float tensor > 0 and < 1, shape [B..., n]."""
        values: Tensor = shapes.as_float(probs, "probs")
        shapes.check_open_unit(probs=values)
        return cls(ops.log(values) - ops.log1p(-values), dist, **fields)

    def __init__(
        self, logits: TensorLike, dist: Distribution, *, name: str = "zero_inflated", random_seed: Seed = None
    ) -> None:
        check_part("dist", dist)
        check_has_density("dist", dist, may_be_integers=True)
        scores: Tensor = shapes.as_float(logits, "logits")
        shape = (*dist.batch_shape, *dist.event_shape)
        if not shapes.matches(scores.shape, shape) or shapes.dtype_of(scores) != dist.dtype:
            raise ValueError(
                f"`logits` must have the shape and dtype of the variates of `dist`, {shape} and {dist.dtype}: nothing "
                f"is broadcast. Received: logits of shape {tuple(scores.shape)} and {shapes.dtype_of(scores)}"
            )
        shapes.check_finite(logits=scores)
        self.set_fields(logits=scores, dist=dist, name=name, random_seed=seed_of(random_seed, dist))

    @property
    def _first(self) -> Any:
        return self.dist

    @property
    def HAS_ATOMS(self) -> bool:  # type: ignore[override]
        """Whether zero has a probability beside the densities of others."""
        return not is_of_integers(self.dist)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Draw exactly. What is drawn of `dist` moves as that does; logits have no gradient here.

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
        is_zero, seed = self._draw_zeros(sample_shape, seed)
        x = ops.where(is_zero, 0.0, self.dist.sample(sample_shape, seed))
        return ops.where(ops.isnan(self.logits), float("nan"), x)

    def sample_action(self, seed: Seed = None) -> Tensor:
        """Draw in the form that `dist` does: int64 tensor of integers, shape [B..., n], else as `sample`."""
        is_zero, seed = self._draw_zeros((), seed)
        x = self.dist.sample_action(seed)
        return ops.where(is_zero, ops.zeros_like(x), x)

    def mode(self) -> Tensor:
        """Of integers the most probable; else 0 if that is drawn more often than not, or the mode of `dist`."""
        best = self.dist.mode()
        if not is_of_integers(self.dist):
            return ops.where(self.logits >= 0.0, 0.0, best)
        return ops.where(unsupported(self, 0.0 * best) >= unsupported(self, best), 0.0, best)

    def mode_action(self) -> Tensor:
        """The same in the form of `sample_action`."""
        return ops.cast(self.mode(), "int64") if is_of_integers(self) else self.mode()

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-probability :math:`\sum_i \log((1 - \pi_i) p(x_i) + \pi_i 1\{x_i = 0\})`, of counts; of a hurdle that of
        zero is :math:`\log \pi_i`, and the others have the density :math:`(1 - \pi_i) p(x_i)`.

        Parameters
        ----------
        x : tensor, shape [B..., n]; sample axes may come in front

        Returns
        -------
        float tensor, shape [B...] behind any sample axes.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on NaN and on values outside of the support. In a graph those
            have log-probability `-inf`.
        """
        return ops.sum(self.elementwise_log_proba(x), axis=-1)

    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        """The summands of `log_proba`, shape of `x`."""
        value = self.as_variate(shapes.as_numbers(x, "x"))
        is_zero = ops.equal(value, 0.0)
        log_zero, log_rest = self._logs(value)
        is_counted = is_of_integers(self.dist)
        # The density at 0 does not matter, and may be infinite.
        part = log_rest + unsupported(self.dist, value if is_counted else ops.where(is_zero, 1.0, value))
        inside = is_zero | (part > -INF) | (ops.abs(value) >= INF)
        shapes.check_each("be 0 or in the support of `dist`", value, inside)
        at_zero = log_sum(ops.stack([log_zero, part], axis=-1), axis=-1) if is_counted else log_zero
        return ops.where(is_zero, at_zero, part)

    def mean(self) -> Tensor:
        r"""Mean :math:`(1 - \pi) m`, m that of `dist`; shape [B..., n]."""
        return ops.sigmoid(-self.logits) * self.dist.mean()

    def variance(self) -> Tensor:
        r"""Variance :math:`(1 - \pi) (v + \pi m^2)`, m and v those of `dist`; shape [B..., n]."""
        return ops.sigmoid(-self.logits) * (
            self.dist.variance() + ops.sigmoid(self.logits) * ops.square(self.dist.mean())
        )

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`(1 - \pi) F(x)`, and :math:`\pi` from 0 on; shape of `x`."""
        return ops.exp(self._log_tails(x)[0])

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return self._log_tails(x)[0]

    def survival(self, x: TensorLike) -> Tensor:
        r""":math:`(1 - \pi) (1 - F(x))`, and :math:`\pi` below 0; shape of `x`."""
        return ops.exp(self._log_tails(x)[1])

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return self._log_tails(x)[1]

    def quantile(self, q: TensorLike) -> Tensor:
        """That of `dist` at the level that it has below or above zero, and zero between; shape [..., B..., n]."""
        levels = self.as_levels(q) + ops.zeros_like(self.logits)
        zero, rest = ops.sigmoid(self.logits), ops.sigmoid(-self.logits)
        before = rest * self.dist.cdf(ops.zeros_like(self.logits) - (1.0 if is_of_integers(self.dist) else 0.0))
        is_below, is_above = levels < before, levels > before + zero
        # From the nearer end.
        of_part = ops.where(is_below, levels / rest, 1.0 - (1.0 - levels) / rest)
        of_part = ops.minimum(ops.maximum(ops.where(is_below | is_above, of_part, 0.5), 0.0), 1.0)
        return ops.where(is_below | is_above, self.dist.quantile(of_part), 0.0)

    def crps(self, x: TensorLike) -> Tensor:
        r""":math:`\pi |x| + (1 - \pi) (s(x) - \pi s(0))`, s the score of `dist`; over one dimension, shape [B...]."""
        if self.event_shape != (1,):
            return super().crps(x)
        value = self.as_variate(shapes.as_numbers(x, "x"))
        zero, rest = ops.sigmoid(self.logits[..., 0]), ops.sigmoid(-self.logits[..., 0])
        at_zero = self.dist.crps(ops.zeros_like(self.logits))
        return zero * ops.abs(value[..., 0]) + rest * (self.dist.crps(value) - zero * at_zero)

    def _logs(self, x):
        """The logarithms of both probabilities, shape of `x`."""
        logits = self.logits + ops.zeros_like(x)
        return -ops.softplus(-logits), -ops.softplus(logits)

    def _draw_zeros(self, sample_shape, seed):
        """Where the extra zeros are, and the seed of the others."""
        seed, rest = split(self.generator(seed), 2)
        u = ops.cast(uniform(self.draw_shape(sample_shape), seed), self.dtype)
        return ops.log(u) - ops.log1p(-u) < self.logits, rest

    def _log_tails(self, x):
        """The logarithms of the probabilities at or below, and above; the larger of the two from the other."""
        x = self.as_variate(shapes.as_numbers(x, "x"))
        log_zero, log_rest = self._logs(ops.where(ops.isnan(x), 0.0, x))
        is_below = x < 0.0
        below, above = log_rest + self.dist.log_cdf(x), log_rest + self.dist.log_survival(x)
        below, above = (
            ops.where(alone, tail, log_sum(ops.stack([log_zero, tail], axis=-1), axis=-1))
            for alone, tail in ((is_below, below), (~is_below, above))
        )
        return special.larger_from_smaller(below, above)
