"""Policy-gradient losses: pure functions of tensors of one shape, each a scalar to be minimised."""

from keras import ops

from kgdists.shapes import check_same

__all__ = ["entropy_bonus", "policy_gradient", "ppo_clip", "value"]


def policy_gradient(log_proba, advantages):
    r"""Policy-gradient loss :math:`-\mathrm{mean}(A \log\pi(a))` (Sutton et al. 2000, theorem 1).

    Parameters
    ----------
    log_proba : float tensor, shape [B...]
        Log-probabilities of the actions taken; the gradient goes through them.
    advantages : float tensor, shape [B...]
        Taken as constants.

    Returns
    -------
    float scalar.

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
    return -ops.mean(ops.stop_gradient(advantages) * log_proba)


def ppo_clip(log_proba, old_log_proba, advantages, clip_range=0.2):
    r"""Clipped surrogate loss :math:`-\mathrm{mean}(\min(r A, \mathrm{clip}(r, 1 - \epsilon, 1 + \epsilon) A))`.

    Schulman et al. 2017, eq. 7, with :math:`r = \pi(a) / \pi_\mathrm{old}(a)`.

    Parameters
    ----------
    log_proba, old_log_proba : float tensors, shape [B...]
        Log-probabilities of the actions under the policy and under the one that took them, a constant.
    advantages : float tensor, shape [B...]
        Taken as constants.
    clip_range : float or scalar tensor, > 0
        Epsilon.

    Returns
    -------
    float scalar.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    check_same(log_proba=log_proba, old_log_proba=old_log_proba, advantages=advantages)
    advantages = ops.stop_gradient(advantages)
    log_ratio = log_proba - ops.stop_gradient(old_log_proba)
    # Unless the advantage is negative a ratio this large is clipped anyway; an infinite one has a gradient of 0 * inf.
    ratio = ops.exp(ops.where(advantages < 0, log_ratio, ops.minimum(log_ratio, 10.0)))
    clipped = ops.clip(ratio, 1.0 - clip_range, 1.0 + clip_range)
    return -ops.mean(ops.minimum(ratio * advantages, clipped * advantages))


def value(values, returns, old_values=None, clip_range=None):
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
        return ops.mean(error)
    check_same(values=values, old_values=old_values)
    old_values = ops.stop_gradient(old_values)
    clipped = old_values + ops.clip(values - old_values, -clip_range, clip_range)
    return ops.mean(ops.maximum(error, ops.square(clipped - returns)))


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
