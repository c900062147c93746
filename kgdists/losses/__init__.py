"""Losses of policies and values: pure functions of tensors of one shape, each a scalar to be minimised."""

from kgdists.losses.entropies import entropy_bonus
from kgdists.losses.imitation import cross_entropy
from kgdists.losses.policy_gradients import policy_gradient, vtrace_policy_gradient
from kgdists.losses.proximal import ppo_clip, ppo_kl_penalty
from kgdists.losses.soft_actor_critic import sac_actor, sac_actor_discrete, sac_critic, sac_temperature
from kgdists.losses.values import value

__all__ = [
    "cross_entropy",
    "entropy_bonus",
    "policy_gradient",
    "ppo_clip",
    "ppo_kl_penalty",
    "sac_actor",
    "sac_actor_discrete",
    "sac_critic",
    "sac_temperature",
    "value",
    "vtrace_policy_gradient",
]
