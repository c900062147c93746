"""Rollouts in a compiled environment, and what an agent learns from them, as one program."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops, tree

from kgdists.agents.compiled_rollout import Ends, check_sound, play
from kgdists.core.compiled import Compiled
from kgdists.core.types import Tensor
from kgdists.envs.functional import stepping
from kgdists.envs.functional.vector_env import CompiledVectorEnv
from kgdists.policy import Policy

__all__ = ["CompiledTraining"]


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

    Attributes
    ----------
    compiled : Compiled
        The program.
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
        self.compiled = Compiled(self._updates)

    @functools.cached_property
    def _one(self):
        """A rollout and an update, traced once."""
        scalar = tf.TensorSpec((), "int64")
        return tf.function(self._rollout_and_update, autograph=False).get_concrete_function(scalar, scalar)

    def _rollout_and_update(self, seed, first):
        def key_of(i):
            return ops.stack([seed, self._key_step(first + ops.cast(i, "int64"))])

        playing, rollout, ends, soundness = play(
            self._envs, self._policy, self._envs.playing(), self._n_steps, key_of, self._names
        )
        self._envs.assign(playing)
        names: list[str] = []

        def improve():
            metrics = self._update(*rollout)
            names.extend(metrics)
            return [ops.cast(x, "float32") for x in metrics.values()]

        # Nothing is learned from what is no number: the weights stay those of before.
        metrics = tf.cond(ops.all(ops.stack(soundness)), improve, lambda: [tf.zeros(()) for _ in names])
        return dict(zip(names, metrics, strict=True)), ends, soundness

    def _updates(self, num_updates, seed, first):
        metrics, ends, soundness = self._one.structured_outputs
        sums = {name: (tf.zeros(()), tf.zeros(())) for name in metrics}
        arrays = tree.map_structure(lambda x: tf.TensorArray(x.dtype, self._num_updates, element_shape=x.shape), ends)

        def body(i, soundness, sums, arrays):
            metrics, ends, soundness = self._one(seed, first + ops.cast(i, "int64") * self._n_steps)
            counted = {name: self._counted(name, x) for name, x in metrics.items()}
            sums = tree.map_structure(lambda x, y: x + y, sums, counted)
            return i + 1, soundness, sums, tree.map_structure(lambda array, x: array.write(i, x), arrays, ends)

        start = tf.constant(0), tree.map_structure(lambda _: tf.constant(True), soundness), sums, arrays
        _, soundness, sums, arrays = tf.while_loop(
            lambda i, soundness, *_: (i < num_updates) & ops.all(ops.stack(soundness)), body, start
        )
        means = {name: total / count for name, (total, count) in sums.items()}
        ends = tree.map_structure(lambda array: array.stack(), arrays)
        return means, ends, stepping.observed(self._envs.env, self._envs.playing().state), soundness

    def _counted(self, name, x):
        """A metric and how often it counts."""
        if name not in self._undefined_at_times:
            return x, tf.ones(())
        is_defined = ops.isfinite(x)
        return ops.where(is_defined, x, 0.0), ops.cast(is_defined, "float32")

    def __call__(self, num_updates: int, seed: int, first: int) -> tuple[dict[str, float], Ends, Any]:
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
        ends : Ends
            Of the episodes that have ended, in their order: arrays [E].
        observations : (nested) arrays, shape [N, ...]
            What is observed then.

        Raises
        ------
        NotANumber, WrongReturnError
            As `check_sound`; nothing was learned from what is not sound.
        """
        counts = np.asarray(num_updates, "int32"), np.asarray(seed, "int64"), np.asarray(first, "int64")
        metrics, ends, observations, soundness = self.compiled(*counts)
        check_sound(self._envs, soundness)
        metrics, ends, observations = tree.map_structure(lambda x: x.numpy(), (metrics, ends, observations))
        is_end = ends.ended[:num_updates]  # by time, and within a step by environment
        ends = tree.map_structure(lambda x: x[:num_updates][is_end], ends)
        return {name: x.item() for name, x in metrics.items()}, ends, observations
