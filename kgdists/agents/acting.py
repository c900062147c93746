"""Actions in rollouts: compiled functions that are called once for each step of the environments."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from kgdists.core import backend
from kgdists.core.compiled import by_xla_where_fast
from kgdists.core.types import Tensor
from kgdists.envs.player import NotANumber, are_numbers
from kgdists.policy import Policy

__all__ = ["CompiledPolicy", "RolloutActions"]

FEW_STEPS = 8  # by which freezing the weights that act costs more than reading them each time


class CompiledPolicy:
    """A fast function of observations of all environments and a key to actions, arrays or nested ones.

    Parameters
    ----------
    policy : kgdists.Policy
    example : array, shape [1, *shape], or dict of them
        Like the observations of one environment.
    num_envs : int
    """

    def __init__(self, policy: Policy, example: Any, num_envs: int) -> None:
        self.policy = policy
        observations = tree.map_structure(lambda x: tf.TensorSpec((num_envs, *x.shape[1:]), x.dtype), example)
        self._inputs = observations, tf.TensorSpec((2,), tf.int64)
        # A pure function, of the weights too: each variable to read, or a generator's counter to write, takes time.
        self._act = self._compiled(self._sample_action, *(tf.TensorSpec(v.shape, v.dtype) for v in policy.variables))

    def _sample_action(self, observations, key, *weights):
        with keras.StatelessScope(state_mapping=list(zip(self.policy.variables, weights, strict=True))):
            pi = self.policy(observations)
            actions = pi.sample_action(seed=key)
            return actions, are_numbers(pi, actions)

    def _compiled(self, function, *more):
        return by_xla_where_fast(function, *self._inputs, *more)[0]

    @functools.cached_property
    def _read_and_act(self):
        def act(observations, key):
            return self._sample_action(observations, key, *map(backend.read, self.policy.variables))

        return self._compiled(act)

    def __call__(self, observations: Any, key: Tensor) -> Any:
        """Actions [num_envs, ...] by the weights of this moment and an int64 key [2]; raises `NotANumber`."""
        return _called(self._read_and_act, observations, key)

    def start(self, observations: Any, key: Tensor) -> dict[str, Any]:
        """For traced functions: what a `RolloutActions` starts from, its first actions and its weights."""
        weights = list(map(tf.convert_to_tensor, self.policy.variables))
        return {"first": self._act(observations, key, *weights), "weights": weights}

    def of_rollout(self, n_steps: int) -> Callable[[Any, Tensor], Any]:
        """The fastest variant for a rollout of `n_steps` with fixed weights."""
        return self if n_steps <= FEW_STEPS else self.frozen()

    def frozen(self, weights: Sequence[Tensor] | None = None) -> Callable[[Any, Tensor], Any]:
        """The same function with given weights, or those of this moment, whatever becomes of them."""
        act, kept = self._act, weights or list(map(backend.read, self.policy.variables))
        return lambda observations, key: _called(act, observations, key, *kept)


def _called(act, observations, *others):
    arrays = [observations] if type(observations) is np.ndarray else tree.flatten(observations)
    *actions, is_sound = [x.numpy() for x in backend.run(act, arrays, others, (observations, *others))]
    if not is_sound:
        raise NotANumber
    like, _ = act.structured_outputs
    return tree.pack_sequence_as(like, actions) if tree.is_nested(like) else actions[0]


class RolloutActions:
    """What a policy does in one rollout: a function of observations of all environments to actions, step by step.

    Parameters
    ----------
    actor : CompiledPolicy
    keys : int64 array, shape [T, 2]
        Of the steps.
    tensors : None or iterator of tensors
        Of these keys, where they have been made for several rollouts at once.
    first : None or tuple
        Actions of the first step, (nested) tensors, and whether they are numbers, where `CompiledPolicy.start` made
        them.
    weights : None or list of tensors
        By which the others are chosen, those of this moment by default.
    """

    def __init__(
        self,
        actor: CompiledPolicy,
        keys: np.ndarray,
        tensors: Iterator[Tensor] | None = None,
        first: tuple[Any, Tensor] | None = None,
        weights: Sequence[Tensor] | None = None,
    ) -> None:
        # Made in one call: a tensor made from an array costs as much as a layer.
        self.actor, self.keys, self._tensors = actor, keys, tensors or iter(tf.unstack(keys))
        self._act = actor.of_rollout(len(keys)) if weights is None else actor.frozen(weights)
        self._first = first

    def __call__(self, observations: Any) -> Any:
        key, first, self._first = next(self._tensors), self._first, None
        if first is None:
            return self._act(observations, key)
        actions, is_sound = tree.map_structure(lambda x: x.numpy(), first)
        if not is_sound:
            raise NotANumber
        return actions
