"""The loss that rewards exploration."""

from keras import ops

__all__ = ["entropy_bonus"]


def entropy_bonus(entropy):
    r"""Loss that rewards exploration: :math:`-\mathrm{mean}(H)`.

    Parameters
    ----------
    entropy : float tensor, shape [B...]

    Returns
    -------
    float scalar.
    """
    return -ops.mean(entropy)
