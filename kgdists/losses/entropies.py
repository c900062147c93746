"""The loss that rewards exploration."""

from kgdists.core.types import Tensor
from kgdists.numerics import special

__all__ = ["entropy_bonus"]


def entropy_bonus(entropy: Tensor) -> Tensor:
    r"""Loss that rewards exploration: :math:`-\mathrm{mean}(H)`.

    Parameters
    ----------
    entropy : float tensor, shape [B...]

    Returns
    -------
    float scalar, 0 for a batch of no rows.
    """
    return -special.mean(entropy)
