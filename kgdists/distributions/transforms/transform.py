"""`Transform`: a monotone map of each dimension by itself, as an immutable value."""

from collections.abc import Callable
from typing import Any

import numpy as np

from kgdists.core import shapes
from kgdists.core.types import Tensor
from kgdists.core.value import Value

__all__ = ["Transform", "image", "number"]


class Transform(Value):
    """A strictly monotone and differentiable map of all real numbers, dimension by dimension: what a subclass defines.

    A transform of one's own is a subclass with `forward`, `inverse`, `log_det` and `ends`; it is a value as a
    distribution is, saved and found by its class.
    """

    def forward(self, u: Tensor) -> Tensor:
        """`x = g(u)`, shape of `u`, float tensor [..., n]."""
        raise NotImplementedError(f"{type(self).__name__} must define `forward`")

    def inverse(self, x: Tensor) -> Tensor:
        """`u = g^-1(x)`, shape of `x`; what is at an end of the range, or beyond, is taken for the float next to it."""
        raise NotImplementedError(f"{type(self).__name__} must define `inverse`")

    def log_det(self, u: Tensor) -> Tensor:
        r""":math:`\log |g'(u)|`, shape of `u`: of the volume that each dimension gains."""
        raise NotImplementedError(f"{type(self).__name__} must define `log_det`")

    def ends(self, low: Any, high: Any, dtype: str) -> tuple[Any, Any]:
        """The image of an interval: its lower and its upper end, numbers or what is broadcast against [..., n]."""
        raise NotImplementedError(f"{type(self).__name__} must define `ends`")

    @property
    def is_increasing(self) -> Any:
        """Whether the map keeps the order: a bool, or bools that are broadcast against [..., n]."""
        return True

    @property
    def is_affine(self) -> bool:
        """Whether the map is affine, so that moments and modes go along."""
        return False

    def check_vectors(self, shape: tuple[int | None, ...], dtype: str) -> None:
        """Raise unless the map is one of vectors of a shape [B..., n] and a dtype."""


def number(x: Any, dtype: str) -> Any:
    """A static number as a float, several as an array of a dtype."""
    return float(np.asarray(x, dtype)) if np.ndim(x) == 0 else np.asarray(x, dtype)


def image(of_number: Callable[[Any], Any], of_tensor: Callable[[Any], Tensor], end: Any, *limits: float) -> Any:
    """An increasing function at an end of an interval; at infinite ones its two limits."""
    if shapes.is_tensor(end):
        return of_tensor(end)
    if np.ndim(end) == 0 and np.isinf(end):
        return limits[int(end > 0)]
    values = of_number(np.asarray(end))
    return float(values) if values.ndim == 0 else values
