"""Mixture of distributions of any family."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core import backend, shapes, value_checks
from kgdists.core.loops import repeated
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions import one_hot
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.nested import NestedDist, check_part, is_of_integers, seed_of, unsupported
from kgdists.distributions.wrappers import in_full_precision
from kgdists.numerics import special
from kgdists.numerics.log_sum import log_sum, shares
from kgdists.random import split, uniform

__all__ = ["MixtureDist"]

INF = float("inf")
STEPS = {"float32": 40, "float64": 80}  # of the bisection for a quantile


class MixtureDist(NestedDist):
    r"""Mixture of K distributions over vectors of `n` dimensions: :math:`\sum_k w_k p_k`.

    Parameters
    ----------
    logits : float tensor, shape [B..., K]
        Unnormalized log-weights. `-inf` takes a component out.
    components : Distribution, or tuple of K of them
        One distribution of batch shape [B..., K], or K of batch shape [B...], which may differ in family; all of
        one event shape [n].
    mask : None or bool tensor, shape [B..., K]
        False takes a component out.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from the stream of the components.

    Raises
    ------
    ValueError
        On shapes or dtypes that do not fit and, where values are at hand, on NaN or no component at all.
    TypeError
        If a component is no distribution.

    Notes
    -----
    The components are summed over their events: a vector is of one component. Values outside of the support of every
    component have log-density `-inf`. Distribution functions and the like are those of each dimension by itself.

    Examples
    --------
    >>> import kgdists as kg
    >>> components = kg.BetaDist(alpha=[[2.0], [3.0]], beta=[[2.0], [1.5]])
    >>> pi = kg.MixtureDist(logits=[0.0, 1.0], components=components)
    >>> pi.sample(5).shape, pi.log_proba([0.5]).shape
    (TensorShape([5, 1]), TensorShape([]))
    """

    PARAM_NAMES = ("logits", "components")
    STATIC_NAMES = ("name",)
    REPARAMETERIZED = False
    IS_FUSED = False

    logits: Tensor
    components: Any
    name: str

    def __init__(
        self,
        logits: TensorLike,
        components: Distribution | Sequence[Distribution],
        *,
        mask: TensorLike | None = None,
        name: str = "mixture_dist",
        random_seed: Seed = None,
    ) -> None:
        weights: Tensor = shapes.as_float(logits, "logits")
        shapes.check_vector(logits=weights)
        own = components if isinstance(components, Distribution) else _as_tuple(components)
        _check_components(weights, own)
        if mask is not None:
            weights = ops.where(one_hot.as_mask(mask, weights), weights, -INF)
        one_hot.check_logits(weights)
        seed = seed_of(random_seed, *([own] if isinstance(own, Distribution) else own))
        self.set_fields(logits=weights, components=own, name=name, random_seed=seed)

    @property
    def _first(self) -> Any:
        return self.components if self._is_one else self.components[0]

    @property
    def batch_shape(self) -> tuple[int | None, ...]:
        """Static shape of the batch, a tuple; None where unknown."""
        return tuple(self.logits.shape[:-1])

    def _batch_sizes(self) -> tuple[Any, ...]:
        return ops.shape(self.logits)[:-1]

    @property
    def num_components(self) -> int:
        """The number of components, K."""
        return self.logits.shape[-1]

    @property
    @in_full_precision
    def log_weights(self) -> Tensor:
        """Log-probabilities of the components, shape [B..., K]."""
        return ops.log_softmax(self.logits, axis=-1)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Draw exactly: a component by its weight, then a variate of it.

        The draw moves with the parameters of its component as that does. The choice does not move: logits have no
        gradient here.

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
        index, seed = self._choose(sample_shape, seed)
        drawn = self._of_chosen(index, lambda dist, *given: dist.sample(*given), sample_shape, seed)
        return ops.where(ops.any(ops.isnan(self.logits), axis=-1)[..., None], float("nan"), drawn)

    def sample_action(self, seed: Seed = None) -> Tensor:
        """Draw in the form that the components do: int64 tensor of integers, shape [B..., n], else as `sample`."""
        index, seed = self._choose((), seed)
        return self._of_chosen(index, lambda dist, _, seed: dist.sample_action(seed), (), seed)

    def mode(self) -> Tensor:
        """The mode of a component, the one at which the density of the mixture is highest, shape [B..., n]."""
        modes, axis = self._each(lambda dist: dist.mode()), len(self.logits.shape) - 1
        densities = ops.moveaxis(self.log_proba(ops.moveaxis(modes, axis, 0)), 0, -1)
        best = ops.argmax(ops.where(self._present[..., 0], densities, -INF), axis=-1)
        return backend.gather(modes, best)

    def mode_action(self) -> Tensor:
        """The same in the form of `sample_action`."""
        return ops.cast(self.mode(), "int64") if is_of_integers(self) else self.mode()

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`\log \sum_k w_k p_k(x)`.

        Parameters
        ----------
        x : float tensor, shape [B..., n]; sample axes may come in front

        Returns
        -------
        float tensor, shape [B...] behind any sample axes; -inf outside of the support of every component.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on NaN.
        """
        return log_sum(self._joint_log_proba(x), axis=-1)

    @in_full_precision
    def responsibilities(self, x: TensorLike) -> Tensor:
        """Probabilities of the components given `x`, shape [B..., K] behind any sample axes; `x` as for `log_proba`."""
        return shares(self._joint_log_proba(x), axis=-1)

    def mean(self) -> Tensor:
        """The mean of the mixture, shape [B..., n]."""
        return self._weighted(self._each(lambda dist: dist.mean()))

    def variance(self) -> Tensor:
        """The variance of each dimension: within components and between their means, shape [B..., n]."""
        means = self._each(lambda dist: dist.mean())
        between = means - self._weighted(means)[..., None, :]
        return self._weighted(self._each(lambda dist: dist.variance()) + between * between)

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`\sum_k w_k F_k(x_i)`, shape of `x`."""
        return ops.exp(self._log_tails(x)[0])

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return self._log_tails(x)[0]

    def survival(self, x: TensorLike) -> Tensor:
        r""":math:`\sum_k w_k (1 - F_k(x_i))`, shape of `x`."""
        return ops.exp(self._log_tails(x)[1])

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return self._log_tails(x)[1]

    def quantile(self, q: TensorLike) -> Tensor:
        """Where `cdf` is `q`: by bisection between the quantiles of the components; shape [..., B..., n].

        Of densities its gradient is that of the implicit function. Integers have none, and it is the smallest that has
        at least probability `q` at or below.
        """
        levels = self.as_levels(q)
        # Each component at this level; those that are out must not widen the bracket.
        ends = self._each(
            lambda dist: dist.quantile(levels[..., None, :] if self._is_one and len(levels.shape) else levels)
        )
        present = self._present
        low = ops.min(ops.where(present, ends, INF), axis=-2)
        high = ops.max(ops.where(present, ends, -INF), axis=-2)
        fixed = keras.tree.map_structure(ops.stop_gradient, self)
        low, high, level = (ops.stop_gradient(x) for x in (low, high, levels + ops.zeros_like(low)))
        is_upper, is_integer = level > 0.5, is_of_integers(self)
        log_level = ops.log(ops.where(is_upper, 0.5, level))
        log_rest = ops.log1p(-ops.where(is_upper, level, 0.5))
        if is_integer:
            low = low - 1.0
            slack = 8.0 * float(np.finfo(self.dtype).eps)  # of levels that are those of an integer, rounded
            log_level, log_rest = log_level - slack, log_rest + slack * ops.exp(-ops.maximum(log_rest, -30.0))

        def halved(low, high):
            middle = 0.5 * low + 0.5 * high
            middle = ops.floor(middle) if is_integer else middle
            below, above = fixed._log_sums(middle)
            is_low = ops.where(is_upper, above > log_rest, below < log_level)
            return ops.where(is_low, middle, low), ops.where(is_low, high, middle)

        low, high = repeated(STEPS[self.dtype], halved, low, high)
        x = high if is_integer else 0.5 * low + 0.5 * high
        return x if is_integer else self._with_gradient(x, levels, fixed)

    def _with_gradient(self, x, q, fixed):
        """The quantile `x`, with the gradient of the implicit function where there is a density."""
        inside = ops.isfinite(x)
        place = ops.where(inside, x, 0.0)
        log_density = fixed._log_densities(place)
        good = inside & (ops.abs(log_density) < INF)
        slope = ops.exp(-ops.where(good, log_density, 0.0))
        step = ops.where(good, (q - self.cdf(place)) * slope, 0.0)
        return x + (step - ops.stop_gradient(step))

    def _log_densities(self, x):
        """The log-density of each dimension by itself."""
        densities = self._each_at(x, unsupported)
        return log_sum(self._with_weights(densities), axis=-2)

    def _log_tails(self, x):
        """The logarithms of the probabilities at or below, and above; the larger of the two from the other."""
        below, above = self._log_sums(self.as_variate(shapes.as_numbers(x, "x")))
        return special.larger_from_smaller(below, above)

    def _log_sums(self, x):
        tails = (self._each_at(x, tail) for tail in (_log_cdf, _log_survival))
        return tuple(log_sum(self._with_weights(tail), axis=-2) for tail in tails)

    def _joint_log_proba(self, x):
        """Logarithms of `w_k p_k(x)`, shape [..., B..., K]."""
        x = self.as_variate(shapes.as_numbers(x, "x"))
        with value_checks.unchecked():
            densities = self._each_at(x, lambda dist, x: dist.log_proba(x)[..., None])
        return self._with_weights(densities)[..., 0]

    @property
    def _is_one(self) -> bool:
        return isinstance(self.components, Distribution)

    @property
    def _present(self) -> Tensor:
        """Whether a component has any weight, shape [B..., K, 1]."""
        return ops.exp(self.log_weights)[..., None] > 0.0

    def _with_weights(self, logs):
        """Logarithms [..., B..., K, n] and those of the weights, of which -inf wins over all else."""
        log_weights = self.log_weights[..., None]
        gone = ops.equal(log_weights, -INF)
        return ops.where(gone, -INF, ops.where(gone, 0.0, log_weights) + ops.where(gone, 0.0, logs))

    def _each(self, function):
        """What a function makes of each component, shape [..., B..., K, n]."""
        return function(self.components) if self._is_one else ops.stack(list(map(function, self.components)), axis=-2)

    def _each_at(self, x, function):
        """The same of a function that takes `x`, shape [..., B..., n], too."""
        if self._is_one:
            return function(self.components, x[..., None, :] * np.ones((self.num_components, 1), self.dtype))
        return ops.stack([function(dist, x) for dist in self.components], axis=-2)

    def _weighted(self, values):
        """The mean of values [B..., K, n] by the weights; what has none may be infinite."""
        weights, present = ops.exp(self.log_weights)[..., None], self._present
        return ops.sum(ops.where(present, weights * ops.where(present, values, 0.0), 0.0), axis=-2)

    def _choose(self, sample_shape, seed):
        """The numbers of components by their weights, shape [*sample_shape, B...], and seeds of their draws."""
        choice_seed, chosen_seed = split(self.generator(seed), 2)
        upper = ops.cumsum(ops.exp(ops.cast(self.log_weights, "float32")), axis=-1)
        # Rounding must not reach the end, where no component is.
        u = ops.minimum(uniform(self.draw_shape(sample_shape, (1,)), choice_seed), 1.0 - 2.0**-22) * upper[..., -1:]
        return ops.sum(ops.cast(u >= upper, "int32"), axis=-1), chosen_seed

    def _of_chosen(self, index, function, sample_shape, seed):
        """What `function(dist, sample_shape, seed)` draws of the components with these numbers."""
        if not self._is_one:
            seeds = split(seed, self.num_components)
            drawn = [function(*each) for each in zip(self.components, [sample_shape] * len(seeds), seeds, strict=True)]
            result = drawn[0]
            for k, values in enumerate(drawn[1:], 1):
                result = ops.where(ops.equal(index, k)[..., None], values, result)
            return result
        sizes, rank = self._batch_sizes(), len(self.logits.shape)
        rows = ops.reshape(ops.arange(math.prod(sizes), dtype="int32"), sizes) * self.num_components + index
        chosen = keras.tree.map_structure(
            lambda x: ops.take(ops.reshape(x, (-1, *shapes.sizes(x)[rank:])), rows, axis=0), self.components
        )
        return function(chosen, (), seed)


def _as_tuple(components):
    if not isinstance(components, Sequence):
        raise TypeError(
            "`components` must be a distribution or a tuple of distributions. "
            f"Received: components of type {type(components).__name__}"
        )
    return tuple(components)


def _check_components(logits, components):
    each = [components] if isinstance(components, Distribution) else components
    for dist in each:
        check_part("components", dist)
    is_one = isinstance(components, Distribution)
    if not is_one and len(components) != logits.shape[-1]:
        raise ValueError(
            "`components` must be as many as the weights. "
            f"Received: {len(components)} of them, logits of shape {tuple(logits.shape)}"
        )
    batch = logits.shape if is_one else logits.shape[:-1]
    if len({(is_of_integers(dist), dist.HAS_ATOMS) for dist in each}) > 1:
        raise ValueError(
            "`components` must all have densities, all be of integers, or all have densities beside probabilities of "
            f"single numbers. Received: {', '.join(type(dist).__name__ for dist in each)}"
        )
    for dist in each:
        if not shapes.matches(dist.batch_shape, batch) or dist.event_shape != each[0].event_shape:
            raise ValueError(
                f"`components` must be of batch shape {'[B..., K]' if is_one else '[B...]'}, that of `logits` is "
                "[B..., K], and of one event shape: nothing is broadcast. Received: logits of shape "
                f"{tuple(logits.shape)}, components of batch {dist.batch_shape} and event {dist.event_shape}"
            )
        if dist.dtype != shapes.dtype_of(logits):
            raise ValueError(
                "`logits` and `components` must have the same dtype. "
                f"Received: logits of {shapes.dtype_of(logits)}, components of {dist.dtype}"
            )


def _log_cdf(dist, x):
    return dist.log_cdf(x)


def _log_survival(dist, x):
    return dist.log_survival(x)
