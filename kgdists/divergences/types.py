"""Types of what is drawn from and of densities: distributions, targets, functions."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from kgdists.core.types import Seed, Tensor

__all__ = ["Density", "Sampler", "SupportsLogProb"]


class SupportsLogProb(Protocol):
    """What has a log-density: a distribution or a target."""

    def log_prob(self, x: Any, /) -> Tensor: ...


class Sampler(SupportsLogProb, Protocol):
    """What can also be drawn from."""

    def sample(self, num_samples: int, /, seed: Seed) -> Tensor: ...


Density: TypeAlias = SupportsLogProb | Callable[[Tensor], Tensor]
