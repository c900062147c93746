"""The loss of a value function."""

from keras import ops

from kgdists.core.shapes import check_same, check_scalar
from kgdists.core.types import Tensor
from kgdists.numerics import special

__all__ = ["value"]


def value(
    values: Tensor, returns: Tensor, old_values: Tensor | None = None, clip_range: float | Tensor | None = None
) -> Tensor:
    r"""Value loss :math:`\mathrm{mean}((V - R)^2)`, optionally with the value clip of PPO's first implementation.

    With `clip_range` = :math:`\epsilon` the error of each value is the larger of its own and of that of
    :math:`V_\mathrm{old} + \mathrm{clip}(V - V_\mathrm{old}, -\epsilon, \epsilon)`.

    Parameters
    ----------
    values, returns : float tensors, shape [B...]
        Estimates and their targets, which are constants.
    old_values : None or float tensor, shape [B...]
        Estimates before the update.
    clip_range : None, float or scalar tensor, > 0
        Needs `old_values`.

    Returns
    -------
    float scalar, >= 0.

    Raises
    ------
    ValueError
        If the shapes differ, or one of `old_values` and `clip_range` is given without the other.
    """
    if (old_values is None) != (clip_range is None):
        raise ValueError(
            "`old_values` and `clip_range` go together. Received: "
            f"old_values {'not ' if old_values is None else ''}given, clip_range={clip_range}"
        )
    check_same(values=values, returns=returns)
    returns = ops.stop_gradient(returns)
    error = ops.square(values - returns)
    if clip_range is None:
        return special.mean(error)
    check_same(values=values, old_values=old_values)
    check_scalar(clip_range=clip_range)
    old_values = ops.stop_gradient(old_values)
    clipped = old_values + ops.clip(values - old_values, -clip_range, clip_range)
    return special.mean(ops.maximum(error, ops.square(clipped - returns)))
