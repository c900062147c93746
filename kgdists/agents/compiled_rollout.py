"""Rollouts in a compiled environment, for traced functions."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops, tree

from kgdists.core.types import Tensor
from kgdists.envs.checked_env import WrongReturnError
from kgdists.envs.functional import stepping
from kgdists.envs.functional.actions import action_tensors
from kgdists.envs.functional.vector_env import CompiledVectorEnv
from kgdists.envs.player import NotANumber, are_numbers
from kgdists.policy import Policy

__all__ = ["Ends", "Rollout", "Soundness", "check_sound", "play"]


class Rollout(NamedTuple):
    """T steps of N environments: (nested) tensors [T, N, ...], as `Rollouts.collect` returns them."""

    observations: Any
    actions: Any
    rewards: Tensor
    next_observations: Any
    terminated: Tensor
    truncated: Tensor


class Ends(NamedTuple):
    """Where episodes end, and what they have come to: tensors or arrays [T, N].

    Attributes
    ----------
    ended : bool
    returns, lengths : float64, int32
        Of the episodes with this step.
    info : dict of str to float
    """

    ended: Any
    returns: Any
    lengths: Any
    info: dict[str, Any]


class Soundness(NamedTuple):
    """Whether a rollout can be learned from: bools, tensors of shape [].

    Attributes
    ----------
    has_acted : bool
        Whether the policy had a distribution to act by in all steps.
    is_finite : bool
        Whether all observations and rewards are finite.
    """

    has_acted: Any
    is_finite: Any


def play(
    envs: CompiledVectorEnv,
    policy: Policy,
    playing: stepping.Playing,
    n_steps: int,
    key_of: Callable[[Tensor], Tensor],
    names: Sequence[str] = (),
) -> tuple[stepping.Playing, Rollout, Ends, Soundness]:
    """Let a policy act for T steps of N environments.

    Parameters
    ----------
    envs : CompiledVectorEnv
    policy : kgdists.Policy
    playing : Playing
        The episodes being played.
    n_steps : int
        T.
    key_of : callable
        The number of a step, an int32 scalar, -> the key of its actions.
    names : sequence of str
        Entries of infos that are remembered.

    Returns
    -------
    playing : Playing
        Those that are being played then.
    rollout : Rollout
    ends : Ends
    soundness : Soundness
    """
    weights = [(variable, tf.convert_to_tensor(variable)) for variable in policy.variables]

    def step(i, playing):
        observations = stepping.observed(envs.env, playing.state)
        with keras.StatelessScope(state_mapping=weights):  # read once, not in each step
            pi = policy(observations)
            actions = pi.sample_action(seed=key_of(i))
            is_number = are_numbers(pi, actions)
        taken = action_tensors(envs.single_action_space, actions)
        playing, stepped = stepping.step(envs.env, playing, taken)
        ended = stepped.terminated | stepped.truncated
        info = {name: stepping.told(stepped, name) for name in names}
        rollout = Rollout(
            observations, actions, stepped.rewards, stepped.observations, stepped.terminated, stepped.truncated
        )
        return playing, (rollout, Ends(ended, stepped.returns, stepped.lengths, info), is_number)

    _, like = step(tf.constant(0), playing)  # for its form alone; nothing is computed
    arrays = tree.map_structure(lambda x: tf.TensorArray(x.dtype, n_steps, element_shape=x.shape), like)

    def body(i, playing, arrays):
        playing, row = step(i, playing)
        return i + 1, playing, tree.map_structure(lambda array, x: array.write(i, x), arrays, row)

    _, playing, arrays = tf.while_loop(lambda i, *_: i < n_steps, body, (tf.constant(0), playing, arrays))
    rollout, ends, are_all_numbers = tree.map_structure(lambda array: array.stack(), arrays)
    seen = tree.flatten((rollout.observations, rollout.next_observations, rollout.rewards))
    is_finite = [ops.all(ops.isfinite(x)) for x in seen if x.dtype.is_floating]
    return playing, rollout, ends, Soundness(ops.all(are_all_numbers), ops.all(ops.stack(is_finite)))


def check_sound(envs: CompiledVectorEnv, soundness: Soundness) -> None:
    """Raise if what was played cannot be learned from.

    Raises
    ------
    NotANumber
        If the policy had no distribution to act by.
    WrongReturnError
        If the environment returned what is not finite.
    """
    if not soundness.has_acted:
        raise NotANumber
    if not soundness.is_finite:
        raise WrongReturnError(
            f"Observations and rewards of {type(envs.env).__name__} must be finite. Received: NaN or infinity"
        )
