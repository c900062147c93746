"""Losses over the steps of episodes alone, where some rows are none: their weights are 0, and 1 on average over all."""

from typing import TypeAlias

from keras import ops

from kgdists import losses
from kgdists.core.types import Tensor

__all__ = ["Weights", "value_loss", "weighted", "weighted_mean"]

Weights: TypeAlias = Tensor | None  # of rows, shape [B]: one number or 0; None is 1 for all


def weighted(x: Tensor, weights: Weights) -> Tensor:
    """Rows times their weights: what a plain mean makes a weighted one."""
    return x if weights is None else weights * x


def weighted_mean(x: Tensor, weights: Weights) -> Tensor:
    """The mean over the rows that count."""
    return ops.mean(weighted(x, weights))


def value_loss(
    values: Tensor, returns: Tensor, old_values: Tensor, clip_range: float | None, weights: Weights
) -> Tensor:
    """`kgdists.losses.value` over the rows that count.

    Parameters
    ----------
    values, returns, old_values : float tensors, shape [B]
    clip_range : None or float, > 0
        None: `old_values` are not asked.
    weights : None or float tensor, shape [B]

    Returns
    -------
    float scalar, >= 0.
    """
    if weights is None:
        return losses.value(values, returns, None if clip_range is None else old_values, clip_range)
    values, old_values = (ops.where(weights > 0.0, x, returns) for x in (values, old_values))  # no error, no weight
    return ops.max(weights) * value_loss(values, returns, old_values, clip_range, None)
