"""Rollouts in a compiled environment, and what an agent learns from them, as one program."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree

from kgdists.core.compiled import Compiled
from kgdists.core.types import Tensor
from kgdists.envs.checked_env import WrongReturnError
from kgdists.envs.functional import stepping
from kgdists.envs.functional.actions import action_tensors
from kgdists.envs.functional.vector_env import CompiledVectorEnv
from kgdists.envs.player import NotANumber, are_numbers
from kgdists.policy import Policy

__all__ = ["CompiledTraining", "Episodes", "Rollout", "play"]


class Rollout(NamedTuple):
    """T steps of N environments: (nested) tensors [T, N, ...], as `Rollouts.collect` returns them."""

    observations: Any
    actions: Any
    rewards: Tensor
    next_observations: Any
    terminated: Tensor
    truncated: Tensor


class Episodes(NamedTuple):
    """What the steps of episodes come to: (nested) tensors or arrays [..., N].

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


class _Row(NamedTuple):
    rollout: Rollout
    episodes: Episodes
    is_number: Tensor


def play(
    envs: CompiledVectorEnv,
    policy: Policy,
    playing: stepping.Playing,
    n_steps: int,
    key_of: Callable[[Tensor], Tensor],
    names: Sequence[str] = (),
) -> tuple[stepping.Playing, Rollout, Episodes, Tensor]:
    """Let a policy act for T steps of N environments; for traced functions.

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
    episodes : Episodes, [T, N]
    are_numbers : bool tensor, shape []
        Whether the policy had a distribution to act by in all steps.
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
        info = {name: ops.cast(stepped.info.get(name, np.nan + ops.zeros(ended.shape)), "float32") for name in names}
        rollout = Rollout(
            observations, actions, stepped.rewards, stepped.observations, stepped.terminated, stepped.truncated
        )
        return playing, _Row(rollout, Episodes(ended, stepped.returns, stepped.lengths, info), is_number)

    _, like = step(tf.constant(0), playing)  # for its form alone; nothing is computed
    arrays = tree.map_structure(lambda x: tf.TensorArray(x.dtype, n_steps, element_shape=x.shape), like)

    def body(i, playing, arrays):
        playing, row = step(i, playing)
        return i + 1, playing, tree.map_structure(lambda array, x: array.write(i, x), arrays, row)

    _, playing, arrays = tf.while_loop(lambda i, *_: i < n_steps, body, (tf.constant(0), playing, arrays))
    rows = tree.map_structure(lambda array: array.stack(), arrays)
    return playing, rows.rollout, rows.episodes, ops.all(rows.is_number)


class CompiledTraining:
    """A function of a number of updates that an agent makes in one call, with their rollouts.

    Parameters
    ----------
    envs : CompiledVectorEnv
    policy : kgdists.Policy
    update : callable
        Improve by a `Rollout`, for traced functions: dict of str to scalar tensor.
    n_steps : int
        Steps of each environment in a rollout.
    num_updates : int
        The most of a call.
    key_step : callable
        The number of a step -> that of its key.
    undefined_at_times : sequence of str
        Metrics of which NaN is left out of the mean.
    names : sequence of str
        Entries of infos that are remembered.
    """

    def __init__(
        self,
        envs: CompiledVectorEnv,
        policy: Policy,
        update: Callable[..., dict[str, Tensor]],
        n_steps: int,
        num_updates: int,
        key_step: Callable[[Tensor], Tensor],
        undefined_at_times: Sequence[str] = (),
        names: Sequence[str] = (),
    ) -> None:
        self._envs, self._policy, self._update, self._key_step = envs, policy, update, key_step
        self._n_steps, self._num_updates = n_steps, num_updates
        self._undefined_at_times, self._names = undefined_at_times, names
        self._program = Compiled(self._updates)

    def share(self, other: "CompiledTraining", variables: Sequence[Any], own: Sequence[Any]) -> None:
        """Run the program of another agent of the same settings, with other variables; see `Compiled.share`."""
        self._program.share(other._program, variables, own)

    @functools.cached_property
    def _one(self):
        """A rollout and an update, traced once."""
        scalar = tf.TensorSpec((), "int64")
        return tf.function(self._rollout_and_update, autograph=False).get_concrete_function(scalar, scalar)

    def _rollout_and_update(self, seed, first):
        def key_of(i):
            return ops.stack([seed, self._key_step(first + ops.cast(i, "int64"))])

        playing, rollout, episodes, is_number = play(
            self._envs, self._policy, self._envs.playing(), self._n_steps, key_of, self._names
        )
        self._envs.assign(playing)
        seen = rollout.observations, rollout.next_observations, rollout.rewards
        is_finite = ops.all(ops.stack([ops.all(ops.isfinite(x)) for x in tree.flatten(seen) if x.dtype.is_floating]))
        names: list[str] = []

        def improve():
            metrics = self._update(*rollout)
            names.extend(metrics)
            return [ops.cast(x, "float32") for x in metrics.values()]

        # Nothing is learned from what is no number: the weights stay those of before.
        metrics = tf.cond(is_number & is_finite, improve, lambda: [tf.zeros(()) for _ in names])
        return dict(zip(names, metrics, strict=True)), episodes, is_number, is_finite

    def _updates(self, num_updates, seed, first):
        metrics, episodes, *_ = self._one.structured_outputs
        sums = {name: (tf.zeros(()), tf.zeros(())) for name in metrics}
        arrays = tree.map_structure(
            lambda x: tf.TensorArray(x.dtype, self._num_updates, element_shape=x.shape), episodes
        )

        def body(i, is_number, is_finite, sums, arrays):
            metrics, episodes, is_number, is_finite = self._one(seed, first + ops.cast(i, "int64") * self._n_steps)
            counted = {name: self._counted(name, x) for name, x in metrics.items()}
            sums = tree.map_structure(lambda x, y: x + y, sums, counted)
            arrays = tree.map_structure(lambda array, x: array.write(i, x), arrays, episodes)
            return i + 1, is_number, is_finite, sums, arrays

        start = tf.constant(0), tf.constant(True), tf.constant(True), sums, arrays
        _, is_number, is_finite, sums, arrays = tf.while_loop(
            lambda i, is_number, is_finite, *_: (i < num_updates) & is_number & is_finite, body, start
        )
        means = {name: total / count for name, (total, count) in sums.items()}
        episodes = tree.map_structure(lambda array: array.stack(), arrays)
        now = stepping.observed(self._envs.env, self._envs.playing().state)
        return means, episodes, now, is_number, is_finite

    def _counted(self, name, x):
        """A metric and how often it counts."""
        if name not in self._undefined_at_times:
            return x, tf.ones(())
        is_defined = ops.isfinite(x)
        return ops.where(is_defined, x, 0.0), ops.cast(is_defined, "float32")

    def __call__(self, num_updates: int, seed: int, first: int) -> tuple[dict[str, float], Episodes, Any]:
        """Make this many updates.

        Parameters
        ----------
        num_updates : int
        seed : int
            Of the actions.
        first : int
            The number of the first step, of each environment.

        Returns
        -------
        metrics : dict of str to float
            Their means over the updates.
        episodes : Episodes, [E]
            Those that have ended, in their order.
        observations : (nested) arrays, shape [N, ...]
            What is observed then.

        Raises
        ------
        NotANumber
            If the policy had no distribution to act by.
        WrongReturnError
            If the environment returned what is not finite; nothing was learned from it.
        """
        counts = np.asarray(num_updates, "int32"), np.asarray(seed, "int64"), np.asarray(first, "int64")
        metrics, episodes, observations, is_number, is_finite = self._program(*counts)
        if not is_number:
            raise NotANumber
        if not is_finite:
            raise WrongReturnError(
                f"Observations and rewards of {type(self._envs.env).__name__} must be finite. Received: NaN or infinity"
            )
        episodes = tree.map_structure(lambda x: x.numpy()[:num_updates], episodes)
        ended = episodes.ended
        # By time, and within a step by environment.
        episodes = tree.map_structure(lambda x: x[ended], episodes)
        return (
            {name: x.numpy().item() for name, x in metrics.items()},
            episodes,
            tree.map_structure(lambda x: x.numpy(), observations),
        )
