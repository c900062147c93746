"""Losses of the soft actor-critic."""

from keras import ops

from kgdists.core.shapes import check_same, check_scalar, dtype_of
from kgdists.core.types import Tensor
from kgdists.numerics import special

__all__ = ["sac_actor", "sac_actor_discrete", "sac_critic", "sac_temperature"]


def sac_critic(values_1: Tensor, values_2: Tensor, targets: Tensor) -> Tensor:
    r"""Loss of twin critics: :math:`\frac12 \mathrm{mean}((Q_1 - y)^2) + \frac12 \mathrm{mean}((Q_2 - y)^2)`.

    Haarnoja et al. 2018, eq. 5.

    Parameters
    ----------
    values_1, values_2 : float tensors, shape [B...]
        Q-values of the actions taken.
    targets : float tensor, shape [B...]
        Taken as constants: the rewards, and the discounted :math:`\min(Q_1, Q_2) - \alpha \log\pi` of the target
        critics at the observation that came after, unless the episode terminated.

    Returns
    -------
    float scalar, >= 0.

    Raises
    ------
    ValueError
        If the shapes differ, or a coefficient is not a scalar.
    """
    check_same(values_1=values_1, values_2=values_2, targets=targets)
    targets = ops.stop_gradient(targets)
    return 0.5 * (special.mean(ops.square(values_1 - targets)) + special.mean(ops.square(values_2 - targets)))


def sac_actor(log_proba: Tensor, values: Tensor, alpha: float | Tensor) -> Tensor:
    r"""Loss of the policy by its own draws: :math:`\mathrm{mean}(\alpha \log\pi(a) - Q(a))`.

    Haarnoja et al. 2018, eq. 9. The actions are reparameterised samples, and the gradient goes through them into both.

    Parameters
    ----------
    log_proba : float tensor, shape [B...]
        Log-probabilities of actions drawn from the policy.
    values : float tensor, shape [B...]
        Q-values of these actions, the lower of the two critics'.
    alpha : float or scalar tensor, >= 0
        Temperature, a constant.

    Returns
    -------
    float scalar, 0 for a batch of no rows.

    Raises
    ------
    ValueError
        If the shapes differ, or a coefficient is not a scalar.
    """
    check_same(log_proba=log_proba, values=values)
    check_scalar(alpha=alpha)
    return special.mean(_constant(alpha, log_proba) * log_proba - values)


def sac_actor_discrete(log_probs: Tensor, values: Tensor, alpha: float | Tensor) -> Tensor:
    r"""Loss of a policy over choices, its expectation: :math:`\mathrm{mean} \sum_i \pi_i (\alpha \log\pi_i - Q_i)`.

    Christodoulou 2019, eq. 12. It is least at :math:`\pi = \mathrm{softmax}(Q / \alpha)`.

    Parameters
    ----------
    log_probs : float tensor, shape [B..., n]
        Log-probabilities of all choices, `CategoricalDist.log_probs`; `-inf` where ruled out.
    values : float tensor, shape [B..., n]
        Q-values of all choices, a constant; those of choices that are ruled out do not count.
    alpha : float or scalar tensor, >= 0
        Temperature, a constant.

    Returns
    -------
    float scalar, 0 for a batch of no rows.

    Raises
    ------
    ValueError
        If the shapes differ, or a coefficient is not a scalar.
    """
    check_same(log_probs=log_probs, values=values)
    check_scalar(alpha=alpha)
    # 0 * log 0 = 0, guarded before the product so that gradients are finite too.
    is_possible = ops.isfinite(log_probs)
    log_probs = ops.where(is_possible, log_probs, 0.0)
    probs = ops.where(is_possible, ops.exp(log_probs), 0.0)
    costs = _constant(alpha, log_probs) * log_probs - ops.where(is_possible, ops.stop_gradient(values), 0.0)
    return special.mean(ops.sum(probs * costs, axis=-1))


def sac_temperature(log_alpha: Tensor, entropy: Tensor, target_entropy: float | Tensor) -> Tensor:
    r"""Loss of the temperature: :math:`\log\alpha \cdot \mathrm{mean}(H - \bar H)`.

    It raises the temperature while the entropy is below its target and lowers it above. Haarnoja et al. 2018b, eq. 18,
    has :math:`\alpha` in front, which has the same sign and the same zero, but slows down where it is small.

    Parameters
    ----------
    log_alpha : scalar float tensor or variable
        The gradient goes through it.
    entropy : float tensor, shape [B...]
        Entropies of the policy, or :math:`-\log\pi(a)` of its draws; a constant.
    target_entropy : float or scalar tensor

    Returns
    -------
    float scalar, 0 for a batch of no rows.

    Raises
    ------
    ValueError
        If `log_alpha` or `target_entropy` is not a scalar.
    """
    check_scalar(log_alpha=log_alpha, target_entropy=target_entropy)
    return log_alpha * special.mean(ops.stop_gradient(entropy) - target_entropy)


def _constant(x, like):
    return ops.stop_gradient(ops.convert_to_tensor(x, dtype_of(like)))
