"""Temperatures of relaxed draws: numbers, which are static, and tensors, which gradients reach."""

from typing import Any

import numpy as np
from keras import ops

from kgdists.core import backend, shapes
from kgdists.core.checks import positive
from kgdists.core.types import Tensor

__all__ = ["as_temperature", "of_batch", "over_events"]

INF = float("inf")


def as_temperature(name: str, value: Any, logits: Tensor) -> float | Tensor:
    """A temperature of draws from `logits`, shape [B..., n]: a number as a float, a tensor as `of_batch` makes it.

    Raises
    ------
    ValueError
        If it is neither and, where values are at hand, unless it is finite and > 0.
    """
    if not hasattr(value, "dtype") or isinstance(value, np.generic):
        return positive(name, value)
    return of_batch(name, value, logits)


def of_batch(name: str, value: Any, logits: Tensor, validate: bool = True) -> Tensor:
    """A temperature as a tensor of the batch shape and the dtype of `logits`; a variable is read.

    As all parameters have the batch shape, distributions can be split and joined along it. In a graph a temperature
    that is not finite and > 0 becomes NaN, and so do the draws.
    """
    tau = shapes.as_float(value, name)
    if len(tau.shape) and not shapes.matches(tau.shape, logits.shape[:-1]):
        raise ValueError(
            f"`{name}` must be a number or have the batch shape. Received: {name} of shape {tuple(tau.shape)} for a "
            f"batch of shape {tuple(logits.shape[:-1])}"
        )
    tau = ops.cast(tau, shapes.dtype_of(logits))
    if validate:
        shapes.check_positive(**{name: tau})
        if backend.concrete(tau) is None:
            tau = ops.where((tau > 0) & (tau < INF), tau, float("nan"))
    return ops.add(tau, ops.zeros_like(logits[..., 0]))


def over_events(tau: float | Tensor) -> float | Tensor:
    """A temperature as what divides scores of shape [..., B..., n]."""
    return tau if isinstance(tau, float) else tau[..., None]
