"""Losses of proximal policy optimisation."""

from keras import ops

from kgdists.core.shapes import check_same, check_scalar
from kgdists.core.types import Tensor
from kgdists.numerics import special

__all__ = ["ppo_clip", "ppo_kl_penalty"]


def ppo_clip(log_proba: Tensor, old_log_proba: Tensor, advantages: Tensor, clip_range: float | Tensor = 0.2) -> Tensor:
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
    float scalar, 0 for a batch of no rows.

    Raises
    ------
    ValueError
        If the shapes differ, or a coefficient is not a scalar.
    """
    check_same(log_proba=log_proba, old_log_proba=old_log_proba, advantages=advantages)
    check_scalar(clip_range=clip_range)
    advantages = ops.stop_gradient(advantages)
    log_ratio = log_proba - ops.stop_gradient(old_log_proba)
    # Unless the advantage is negative a ratio this large is clipped anyway; an infinite one has a gradient of 0 * inf.
    ratio = ops.exp(ops.where(advantages < 0, log_ratio, ops.minimum(log_ratio, 10.0)))
    clipped = ops.clip(ratio, 1.0 - clip_range, 1.0 + clip_range)
    return -special.mean(ops.minimum(ratio * advantages, clipped * advantages))


def ppo_kl_penalty(
    log_proba: Tensor, old_log_proba: Tensor, advantages: Tensor, kl: Tensor, kl_coef: float | Tensor
) -> Tensor:
    r"""Surrogate loss with a penalty instead of a clip: :math:`-\mathrm{mean}(r A) + \beta\,\mathrm{mean}(D)`.

    Schulman et al. 2017, eq. 8, with :math:`r = \pi(a) / \pi_\mathrm{old}(a)` and
    :math:`D = \mathrm{KL}(\pi_\mathrm{old} \| \pi)`.

    Parameters
    ----------
    log_proba, old_log_proba : float tensors, shape [B...]
        Log-probabilities of the actions under the policy and under the one that took them, a constant.
    advantages : float tensor, shape [B...]
        Taken as constants.
    kl : float tensor, shape [B...]
        `old_pi.kl_divergence(pi)`; the gradient goes through it.
    kl_coef : float or scalar tensor, >= 0
        Beta.

    Returns
    -------
    float scalar, 0 for a batch of no rows.

    Raises
    ------
    ValueError
        If the shapes differ, or a coefficient is not a scalar.
    """
    check_same(log_proba=log_proba, old_log_proba=old_log_proba, advantages=advantages, kl=kl)
    check_scalar(kl_coef=kl_coef)
    ratio = ops.exp(log_proba - ops.stop_gradient(old_log_proba))
    return kl_coef * special.mean(kl) - special.mean(ratio * ops.stop_gradient(advantages))
