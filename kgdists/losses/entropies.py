"""The loss that rewards exploration."""

from kgdists import numerics

__all__ = ["entropy_bonus"]


def entropy_bonus(entropy):
    r"""Loss that rewards exploration: :math:`-\mathrm{mean}(H)`.

    Parameters
    ----------
    entropy : float tensor, shape [B...]

    Returns
    -------
    float scalar, 0 for a batch of no rows.
    """
    return -numerics.mean(entropy)
