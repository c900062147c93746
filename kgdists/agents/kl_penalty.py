"""The divergence of a policy from the one that acted, and a penalty that adapts to it."""

from keras import ops

from kgdists.agents.networks import as_float32
from kgdists.core.types import Tensor
from kgdists.distributions.distribution import Distribution

__all__ = ["adapted_kl_coef", "kl_to_old_policy"]

FAR, FACTOR = 1.5, 2.0  # Schulman et al. 2017, section 4


def kl_to_old_policy(old_pi: Distribution, pi: Distribution, log_ratio: Tensor) -> Tensor:
    r"""KL divergence from the policy that acted, in closed form or else estimated by its actions.

    The estimate :math:`r - 1 - \log r` of an action is never negative, and its expectation has the right value and
    gradient.

    Parameters
    ----------
    old_pi, pi : Distribution, batch shape [B]
    log_ratio : float tensor, shape [B]
        Log-probabilities of the actions under `pi`, through which a gradient goes, less those under `old_pi`.

    Returns
    -------
    float32 tensor, shape [B], >= 0.
    """
    try:
        return as_float32(old_pi.kl_divergence(pi))
    except NotImplementedError:
        return ops.expm1(log_ratio) - log_ratio


def adapted_kl_coef(kl_coef: Tensor, kl: Tensor, target_kl: float) -> Tensor:
    """A coefficient for the next update: twice as large after a divergence far above its target, half as far below.

    Parameters
    ----------
    kl_coef, kl : float scalars
    target_kl : float, > 0

    Returns
    -------
    float scalar.

    Examples
    --------
    >>> from kgdists.agents.kl_penalty import adapted_kl_coef
    >>> [float(adapted_kl_coef(1.0, kl, target_kl=0.01)) for kl in (0.016, 0.01, 0.006)]
    [2.0, 1.0, 0.5]
    """
    grown = ops.where(kl > FAR * target_kl, FACTOR * kl_coef, kl_coef)
    return ops.where(kl < target_kl / FAR, kl_coef / FACTOR, grown)
