"""`NestedDist`: what distributions that are made of others have in common."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops

from kgdists.core import value_checks
from kgdists.core.nested import Nested
from kgdists.core.types import Seed, Tensor
from kgdists.distributions.distribution import Distribution

__all__ = [
    "NestedDist",
    "check_has_density",
    "check_has_order",
    "check_part",
    "elementwise",
    "is_of_integers",
    "parts_of",
    "seed_of",
    "unsupported",
]


class NestedDist(Nested, Distribution):
    """A distribution of which some parameters are distributions, or other values, themselves."""

    @property
    def _first(self) -> Any:
        """The distribution that tells the batch."""
        return self.__dict__[self.PARAM_NAMES[0]]

    @property
    def dtype(self) -> str:
        """Name of the parameters' dtype."""
        return self._first.dtype

    @property
    def batch_shape(self) -> tuple[int | None, ...]:
        """Static shape of the batch, a tuple; None where unknown."""
        return self._first.batch_shape

    @property
    def event_shape(self) -> Any:
        """Static shape of one variate, a tuple."""
        return self._first.event_shape

    @property
    def REPARAMETERIZED(self) -> bool:  # type: ignore[override]
        """Whether `sample` is an exact draw that moves with the parameters."""
        return self._first.REPARAMETERIZED

    @property
    def HAS_ATOMS(self) -> bool:  # type: ignore[override]
        """Whether some single numbers have probabilities, beside the densities of others."""
        return any(part.HAS_ATOMS for part in _distributions(self._parts()))

    def _batch_sizes(self) -> tuple[Any, ...]:
        return self._first._batch_sizes()

    def _zeros(self) -> Tensor:
        """Zeros of shape [B..., n]."""
        # The first parameter has the batch shape and one more axis.
        first = next(iter(self.params.values()))
        return ops.cast(ops.zeros_like(first[..., :1]), self.dtype) * np.ones(self.event_shape, self.dtype)

    def _check_kind(self, other):
        super()._check_kind(other)
        for name in self.PARAM_NAMES:
            own, its = (list(_distributions(dist.__dict__[name])) for dist in (self, other))
            if len(own) != len(its):
                raise ValueError(f"`other` must have as many parts. Received: {len(own)} and {len(its)}")
            for part, its_part in zip(own, its, strict=True):
                part._check_kind(its_part)


def parts_of(dist: Distribution) -> list[Distribution]:
    """A distribution, and all that it is made of, at any depth."""
    parts = _distributions(dist._parts()) if isinstance(dist, NestedDist) else ()
    return [dist, *(inner for part in parts for inner in parts_of(part))]


def seed_of(random_seed: Seed, *parts: Distribution) -> Seed:
    """A `random_seed` that was given, else that of the first part which has one."""
    seeds = (random_seed, *(part.random_seed for part in parts))
    return next((seed for seed in seeds if seed is not None), None)


def check_part(name: str, dist: Any) -> None:
    """Raise unless `dist` is a distribution over vectors."""
    if not isinstance(dist, Distribution):
        raise TypeError(f"`{name}` must be a distribution. Received: {name} of type {type(dist).__name__}")
    event = dist.event_shape
    if not isinstance(event, tuple) or len(event) != 1 or not isinstance(event[0], int):
        raise ValueError(
            f"`{name}` must be a distribution over vectors, of event shape [n]. "
            f"Received: a {type(dist).__name__} of event shape {event}"
        )


def check_has_density(name: str, dist: Distribution, may_be_integers: bool = False) -> None:
    """Raise if some single numbers have probabilities; those of integers may."""
    if dist.HAS_ATOMS or (is_of_integers(dist) and not may_be_integers):
        raise ValueError(
            f"`{name}` must have a density{' or be of integers' if may_be_integers else ''}: numbers that have "
            f"probabilities must not be among others. Received: a {type(dist).__name__}"
        )


def check_has_order(name: str, dist: Distribution) -> None:
    """Raise unless each dimension is a number that has a distribution function."""
    if type(dist).cdf is Distribution.cdf:
        raise ValueError(
            f"`{name}` must have a `cdf`: its variates are numbers, and no dimension depends on another. "
            f"Received: a {type(dist).__name__}"
        )


def elementwise(dist: Distribution, x: Tensor) -> Tensor:
    """`dist.elementwise_log_proba(x)`, which of a single dimension is `log_proba` too."""
    if type(dist).elementwise_log_proba is Distribution.elementwise_log_proba and dist.event_shape == (1,):
        return ops.expand_dims(dist.log_proba(x), -1)
    return dist.elementwise_log_proba(x)


def unsupported(dist: Distribution, x: Tensor) -> Tensor:
    """The same, -inf rather than an error outside of the support."""
    with value_checks.unchecked():
        return elementwise(dist, x)


def is_of_integers(dist: Distribution) -> bool:
    """Whether the variates are integers, which have probabilities, no densities."""
    if isinstance(dist, NestedDist):
        return all(is_of_integers(part) for part in _distributions(dist._parts()))
    # Integers are the actions that are not the variates themselves, which are floats.
    return type(dist).sample_action is not Distribution.sample_action


def _distributions(tree: Any) -> Iterator[Distribution]:
    if isinstance(tree, Distribution):
        yield tree
    elif isinstance(tree, (dict, tuple)):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from _distributions(part)
