"""Losses of the policy gradient theorem, on a policy's own actions and on another's."""

from keras import ops

from kgdists.core.shapes import check_same, check_scalar
from kgdists.core.types import Tensor
from kgdists.numerics import special

__all__ = ["policy_gradient", "vtrace_policy_gradient"]


def policy_gradient(log_proba: Tensor, advantages: Tensor) -> Tensor:
    r"""Policy-gradient loss :math:`-\mathrm{mean}(A \log\pi(a))` (Sutton et al. 2000, theorem 1).

    Parameters
    ----------
    log_proba : float tensor, shape [B...]
        Log-probabilities of the actions taken; the gradient goes through them.
    advantages : float tensor, shape [B...]
        Taken as constants.

    Returns
    -------
    float scalar, 0 for a batch of no rows.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> float(kg.losses.policy_gradient(keras.ops.array([-1.0, -2.0]), keras.ops.array([1.0, 0.5])))
    1.0
    """
    check_same(log_proba=log_proba, advantages=advantages)
    return -special.mean(ops.stop_gradient(advantages) * log_proba)


def vtrace_policy_gradient(
    log_proba: Tensor, old_log_proba: Tensor, advantages: Tensor, clip_ratio: float | Tensor = 1.0
) -> Tensor:
    r"""Policy-gradient loss of another policy's actions: :math:`-\mathrm{mean}(\min(r, \bar\rho) A \log\pi(a))`.

    Espeholt et al. 2018, section 4.2, with :math:`r = \pi(a) / \pi_\mathrm{old}(a)` as a constant weight. With
    `log_proba = old_log_proba` it is `policy_gradient`.

    Parameters
    ----------
    log_proba, old_log_proba : float tensors, shape [B...]
        Log-probabilities of the actions under the policy and under the one that took them, a constant.
    advantages : float tensor, shape [B...]
        Taken as constants; those of `kgdists.returns.vtrace`.
    clip_ratio : float or scalar tensor, > 0
        Bound of the weights.

    Returns
    -------
    float scalar, 0 for a batch of no rows.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    check_same(log_proba=log_proba, old_log_proba=old_log_proba, advantages=advantages)
    check_scalar(clip_ratio=clip_ratio)
    ratio = ops.exp(ops.stop_gradient(log_proba) - ops.stop_gradient(old_log_proba))
    return policy_gradient(log_proba, ops.minimum(ratio, ops.cast(clip_ratio, ratio.dtype)) * advantages)
