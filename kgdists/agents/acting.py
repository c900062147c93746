"""Actions in rollouts, where a function is called once for each step of the environments."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from kgdists.core import backend
from kgdists.core.compiled import by_xla_where_fast
from kgdists.core.numpy_program import NumpyProgram, UnsuitableForNumpy
from kgdists.core.types import Tensor
from kgdists.envs.player import NotANumber, are_numbers
from kgdists.policy import Policy

__all__ = ["CompiledPolicy", "RolloutActions"]

KEY = tf.TensorSpec((2,), tf.int64)
FEW_STEPS = 8  # by which freezing the weights that act costs more than reading them each time


class CompiledPolicy:
    """A fast function of observations of all environments and a key to actions, arrays or nested ones.

    Small networks act by NumPy, in less time than TensorFlow takes to call a function, others by XLA.

    Parameters
    ----------
    policy : kgdists.Policy
    example : array, shape [1, *shape], or dict of them
        Like the observations of one environment.
    num_envs : int
    deterministic : bool
        Take the most probable action, or draw one.
    """

    def __init__(self, policy: Policy, example: Any, num_envs: int, deterministic: bool = False) -> None:
        self.policy, self._deterministic = policy, deterministic
        self._observations = tree.map_structure(lambda x: tf.TensorSpec((num_envs, *x.shape[1:]), x.dtype), example)
        self._like: Any = None

    def _choose(self, observations, key, *weights):
        # A pure function, of the weights too: each variable to read, or a generator's counter to write, takes time.
        with keras.StatelessScope(state_mapping=list(zip(self.policy.variables, weights, strict=True))):
            pi = self.policy(observations)
            actions = pi.mode_action() if self._deterministic else pi.sample_action(seed=key)
            return actions, are_numbers(pi, actions)

    @functools.cached_property
    def _program(self):
        def act(key, *others):
            weights, observed = others[: len(self._weights)], others[len(self._weights) :]
            self._like = self._choose(tree.pack_sequence_as(self._observations, observed), key, *weights)
            return tree.flatten(self._like)

        try:
            return NumpyProgram(act, KEY, self._weights, tree.flatten(self._observations))
        except UnsuitableForNumpy:
            return None

    @property
    def _weights(self):
        return [tf.TensorSpec(x.shape, x.dtype) for x in self.policy.variables]

    @functools.cached_property
    def _act(self):
        return by_xla_where_fast(self._choose, self._observations, KEY, *self._weights)[0]

    @functools.cached_property
    def _read_and_act(self):
        def act(observations, key):
            return self._choose(observations, key, *map(backend.read, self.policy.variables))

        return by_xla_where_fast(act, self._observations, KEY)[0]

    def draws(self, keys: np.ndarray) -> list[Any]:
        """What `acting` takes at the steps that have such int64 keys [T, 2]."""
        # Made in one call: a tensor made from an array costs as much as a layer.
        return tf.unstack(keys) if self._program is None else self._program.draws(keys)

    def acting(self, n_steps: int | None = None, weights: Sequence[Tensor] | None = None) -> Callable[[Any, Any], Any]:
        """A function of observations [num_envs, ...] and one of `draws` to actions, which raises `NotANumber`.

        Parameters
        ----------
        n_steps : None or int
            How often it will be called, None is often.
        weights : None or list of tensors
            By which it acts, whatever becomes of those of the policy; None takes these of this moment.
        """
        if self._program is None and weights is None and n_steps is not None and n_steps <= FEW_STEPS:
            return functools.partial(self._call, self._read_and_act)
        kept = list(map(backend.read, self.policy.variables)) if weights is None else weights
        if self._program is None:
            return lambda observations, key: self._call(self._act, observations, key, *kept)
        act = self._program.of_weights([x.numpy() for x in kept])

        def by_numpy(observations, draw):
            *actions, is_sound = act(draw, _leaves(observations))
            return self._actions(actions, is_sound, self._like[0])

        return by_numpy

    def _call(self, act, observations, key, *weights):
        others = key, *weights
        results = backend.run(act, _leaves(observations), others, (observations, *others))
        *actions, is_sound = [x.numpy() for x in results]
        return self._actions(actions, is_sound, act.structured_outputs[0])

    def _actions(self, actions, is_sound, like):
        if not is_sound:
            raise NotANumber
        return tree.pack_sequence_as(like, actions) if tree.is_nested(like) else actions[0]

    def first(self, observations: Any, key: Tensor) -> tuple[Any, Tensor]:
        """For traced functions: the first actions of a `RolloutActions`, and whether they are numbers."""
        return self._act(observations, key, *map(tf.convert_to_tensor, self.policy.variables))

    def start(self, observations: Any, key: Tensor) -> dict[str, Any]:
        """For traced functions: what a `RolloutActions` starts from, its weights and, unless by NumPy, `first`."""
        first = {} if self._program is not None else {"first": self.first(observations, key)}
        return first | {"weights": list(map(tf.convert_to_tensor, self.policy.variables))}


def _leaves(observations):
    return [observations] if type(observations) is np.ndarray else tree.flatten(observations)


class RolloutActions:
    """What a policy does in one rollout: a function of observations of all environments to actions, step by step.

    Parameters
    ----------
    actor : CompiledPolicy
    keys : int64 array, shape [T, 2]
        Of the steps.
    draws : None or list
        What `actor.draws` makes of them, where it was made for several rollouts at once.
    first : None or tuple
        Actions of the first step, (nested) tensors, and whether they are numbers, where `CompiledPolicy` made them in
        a traced function.
    weights : None or list of tensors
        By which the others are chosen, those of this moment by default.
    """

    def __init__(
        self,
        actor: CompiledPolicy,
        keys: np.ndarray,
        draws: Sequence[Any] | None = None,
        first: tuple[Any, Tensor] | None = None,
        weights: Sequence[Tensor] | None = None,
    ) -> None:
        self.actor, self.keys = actor, keys
        self._draws = iter(actor.draws(keys) if draws is None else draws)
        self._first, self._weights = first, weights

    @functools.cached_property
    def _act(self):
        return self.actor.acting(len(self.keys), self._weights)

    def __call__(self, observations: Any) -> Any:
        draw, first, self._first = next(self._draws), self._first, None
        if first is None:
            return self._act(observations, draw)
        actions, is_sound = tree.map_structure(lambda x: x.numpy(), first)
        if not is_sound:
            raise NotANumber
        return actions
