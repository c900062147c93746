"""Values of a policy's actions in the soft actor-critic: drawn from a box, or choices, all of them or relaxed."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from keras import ops

from kgdists import losses
from kgdists.agents.sac_config import SACConfig
from kgdists.core.types import Seed, Tensor
from kgdists.distributions import CategoricalDist
from kgdists.distributions.distribution import Distribution
from kgdists.layers import NormalHead
from kgdists.policy import split_mask
from kgdists.spaces import head_for

__all__ = ["BoxValues", "ExactValues", "RelaxedValues", "soft_values"]

Critic: TypeAlias = Callable[[Any], Tensor]

ENTROPY_OF_CHOICES = 0.3  # the default target, as a part of the highest entropy
ATTAINABLE = 0.98  # the part that no target exceeds: the highest itself would take an infinite temperature


def soft_values(space: Space, config: SACConfig) -> "BoxValues | ExactValues | RelaxedValues":
    """The way for an action space.

    Parameters
    ----------
    space : gymnasium.spaces.Space
    config : SACConfig

    Returns
    -------
    BoxValues, ExactValues or RelaxedValues

    Raises
    ------
    ValueError
        For a space of other actions.
    """
    if isinstance(space, Discrete):
        return (ExactValues if config.discrete == "exact" else RelaxedValues)(int(space.n))
    head = head_for(space, family="normal") if isinstance(space, Box) else None
    if not isinstance(head, NormalHead):
        raise ValueError(f"SAC's action space must be a Box of floats or a Discrete. Received: {space}")
    return BoxValues(head.num_dims, np.asarray(head.center, "float32"), np.asarray(head.scale, "float32"))


class BoxValues:
    """Values of actions in a box, by one draw from the policy, through which its gradient goes.

    Critics see actions in units in which finite bounds are -1 and 1, and so are densities and entropies.
    """

    num_outputs = 1

    def __init__(self, num_dims: int, center: np.ndarray, scale: np.ndarray) -> None:
        self.num_inputs = num_dims
        self.center, self.scale = center, scale
        self.log_scale = float(np.log(scale).sum())

    def target_entropy(self, observations: Any, wanted: float | None) -> Tensor:
        """The entropy that a temperature is to lead to, given or by default."""
        return -float(self.num_inputs) if wanted is None else wanted

    def taken(self, critic: Critic, observations: Any, actions: Tensor) -> Tensor:
        """Values [B, 2] of the actions taken."""
        return self._values(critic, observations, actions)

    def soft_value(self, pi: Distribution, critic: Critic, observations: Any, alpha: Tensor, seed: Seed) -> Tensor:
        """Of the policy, shape [B]: the lower of two values and, weighted with alpha, its entropy."""
        actions, log_proba = self._draw(pi, seed)
        return ops.min(self._values(critic, observations, actions), axis=1) - alpha * log_proba

    def policy_loss(
        self, pi: Distribution, critic: Critic, observations: Any, alpha: Tensor, seed: Seed
    ) -> tuple[Tensor, Tensor]:
        """The loss, a scalar, and entropies of the policy, shape [B]."""
        actions, log_proba = self._draw(pi, seed)
        values = ops.min(self._values(critic, observations, actions), axis=1)
        return losses.sac_actor(log_proba, values, alpha), -log_proba

    def _draw(self, pi, seed):
        actions, log_proba = pi.sample_and_log_proba(seed=seed)
        return actions, log_proba + self.log_scale

    def _values(self, critic, observations, actions):
        return critic([split_mask(observations)[0], (actions - self.center) / self.scale])[..., 0]


class ExactValues:
    """Values of choices: critics have one output for each, and expectations over them are exact."""

    num_inputs = 0

    def __init__(self, num_choices: int) -> None:
        self.num_outputs = num_choices

    def target_entropy(self, observations: Any, wanted: float | None) -> Tensor:
        """The entropy that a temperature is to lead to, given or by default; a mean over the rows."""
        return _target_of_choices(self.num_outputs, observations, wanted)

    def taken(self, critic: Critic, observations: Any, actions: Tensor) -> Tensor:
        """Values [B, 2] of the choices made."""
        values = critic(split_mask(observations)[0])
        return ops.take_along_axis(values, actions[:, None, None], axis=2)[..., 0]

    def soft_value(self, pi: CategoricalDist, critic: Critic, observations: Any, alpha: Tensor, seed: Seed) -> Tensor:
        """Of the policy, shape [B]: the lower of two values and, weighted with alpha, its entropy."""
        values = ops.min(critic(split_mask(observations)[0]), axis=1)
        return ops.sum(pi.probs * values, axis=-1) + alpha * pi.entropy()

    def policy_loss(
        self, pi: CategoricalDist, critic: Critic, observations: Any, alpha: Tensor, seed: Seed
    ) -> tuple[Tensor, Tensor]:
        """The loss, a scalar, and entropies of the policy, shape [B]."""
        values = ops.min(critic(split_mask(observations)[0]), axis=1)
        return losses.sac_actor_discrete(pi.log_probs, values, alpha), pi.entropy()


class RelaxedValues:
    """Values of choices by one relaxed draw, near one-hot, through which the policy's gradient goes."""

    num_outputs = 1

    def __init__(self, num_choices: int) -> None:
        self.num_inputs = num_choices

    def target_entropy(self, observations: Any, wanted: float | None) -> Tensor:
        """The entropy that a temperature is to lead to, given or by default; a mean over the rows."""
        return _target_of_choices(self.num_inputs, observations, wanted)

    def taken(self, critic: Critic, observations: Any, actions: Tensor) -> Tensor:
        """Values [B, 2] of the choices made."""
        return self._values(critic, observations, ops.one_hot(actions, self.num_inputs))

    def soft_value(self, pi: Distribution, critic: Critic, observations: Any, alpha: Tensor, seed: Seed) -> Tensor:
        """Of the policy, shape [B]: the lower of two values and, weighted with alpha, its entropy."""
        choices = ops.one_hot(pi.sample_action(seed=seed), self.num_inputs)
        return ops.min(self._values(critic, observations, choices), axis=1) + alpha * pi.entropy()

    def policy_loss(
        self, pi: Distribution, critic: Critic, observations: Any, alpha: Tensor, seed: Seed
    ) -> tuple[Tensor, Tensor]:
        """The loss, a scalar, and entropies of the policy, shape [B]."""
        values = ops.min(self._values(critic, observations, pi.sample(seed=seed)), axis=1)
        return losses.sac_actor(-pi.entropy(), values, alpha), pi.entropy()

    def _values(self, critic, observations, choices):
        return critic([split_mask(observations)[0], choices])[..., 0]


def _target_of_choices(num_choices, observations, wanted):
    _, mask = split_mask(observations)
    if mask is None:
        highest = math.log(num_choices)
        return ENTROPY_OF_CHOICES * highest if wanted is None else min(wanted, ATTAINABLE * highest)
    highest = ops.log(ops.maximum(ops.sum(ops.cast(mask, "float32"), axis=-1), 1.0))
    return ops.mean(ENTROPY_OF_CHOICES * highest if wanted is None else ops.minimum(wanted, ATTAINABLE * highest))
