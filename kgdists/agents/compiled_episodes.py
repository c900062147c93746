"""Whole episodes in a compiled environment, played by one program."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops, tree

from kgdists.agents.compiled_rollout import Ends, Rollout, Soundness, check_sound, play
from kgdists.core.compiled import Compiled
from kgdists.envs.functional import stepping
from kgdists.envs.functional.vector_env import CompiledVectorEnv
from kgdists.policy import Policy

__all__ = ["CompiledEpisodes"]


class CompiledEpisodes:
    """A function that plays new episodes to their end, as `collect_episodes` does step by step.

    Parameters
    ----------
    envs : CompiledVectorEnv
    policy : kgdists.Policy
    episodes : int, >= 1
        How many; those of each environment are settled before.
    n_steps : int
        Steps between two checks of whether all have ended.
    limit : int
        Steps after which an episode is cut off.
    names : sequence of str
        Entries of infos that are remembered.

    Attributes
    ----------
    compiled : Compiled
        The program.
    limit : int
        That of the environment, if it is lower.
    """

    def __init__(
        self,
        envs: CompiledVectorEnv,
        policy: Policy,
        episodes: int,
        n_steps: int,
        limit: int,
        names: Sequence[str] = (),
    ) -> None:
        self._envs, self._policy, self._n_steps, self._names = envs, policy, n_steps, names
        num_envs = envs.num_envs
        self._wanted = np.full(num_envs, episodes // num_envs) + (np.arange(num_envs) < episodes % num_envs)
        self.limit = min(limit, envs.env.max_episode_steps or limit)
        self._most = -(-self._wanted.max() * self.limit // n_steps)
        self.compiled = Compiled(self._play)

    def _play(self, seed, first):
        wanted = tf.constant(self._wanted, "int32")

        def piece(i, playing):
            start = first + ops.cast(i * self._n_steps, "int64")

            def key_of(t):
                return ops.stack([seed, start + ops.cast(t, "int64")])

            return play(self._envs, self._policy, playing, self._n_steps, key_of, self._names)

        _, *like, _ = piece(tf.constant(0), self._envs.playing())  # for its form alone; nothing is computed
        arrays = tree.map_structure(lambda x: tf.TensorArray(x.dtype, self._most, element_shape=x.shape), like)

        def body(i, playing, count, _, arrays):
            playing, rollout, ends, soundness = piece(i, playing)
            is_end = ends.ended | (ends.lengths >= self.limit)
            count = count + ops.sum(ops.cast(is_end, "int32"), axis=0)
            arrays = tree.map_structure(lambda array, x: array.write(i, x), arrays, [rollout, ends])
            return i + 1, playing, count, soundness, arrays

        sound = Soundness(tf.constant(True), tf.constant(True))
        pieces, playing, _, soundness, arrays = tf.while_loop(
            lambda i, _, count, sound, __: (i < self._most) & ops.any(count < wanted) & ops.all(ops.stack(sound)),
            body,
            (tf.constant(0), self._envs.playing(), tf.zeros_like(wanted), sound, arrays),
        )
        self._envs.assign(playing)
        rollout, ends = tree.map_structure(
            lambda array, x: ops.reshape(array.stack(), (-1, *x.shape[1:])), arrays, like
        )
        return rollout, ends, stepping.observed(self._envs.env, playing.state), pieces, soundness

    def __call__(self, seed: int, first: int) -> tuple[Rollout, np.ndarray, Ends, Any, int]:
        """Play from the present state of the environments, which have been reset.

        Parameters
        ----------
        seed : int
            Of the actions.
        first : int
            The number of the first step, of each environment.

        Returns
        -------
        rollout : Rollout
            (Nested) arrays [T, N, ...].
        is_wanted : bool array, shape [T, N]
            Which steps belong to the episodes wanted.
        ends : Ends
            Of the episodes wanted, environment by environment: arrays [E].
        observations : (nested) arrays, shape [N, ...]
            What is observed then.
        cut : int
            How many of them were cut off at the limit.

        Raises
        ------
        NotANumber, WrongReturnError
            As `check_sound`.
        """
        rollout, ends, observations, pieces, soundness = self.compiled(
            np.asarray(seed, "int64"), np.asarray(first, "int64")
        )
        check_sound(self._envs, soundness)
        steps = int(pieces) * self._n_steps
        rollout, ends = tree.map_structure(lambda x: x.numpy()[:steps], (rollout, ends))
        too_long = (ends.lengths >= self.limit) & ~ends.ended
        is_end = ends.ended | too_long
        before = np.cumsum(is_end, axis=0) - is_end
        cut = too_long & (before < self._wanted)
        # An episode that was cut off goes on, and is the last one of its environment.
        wanted = np.where(cut.any(axis=0), np.min(np.where(cut, before + 1, steps), axis=0), self._wanted)
        first_cut = cut & (np.cumsum(cut, axis=0) == 1)
        is_wanted = before < wanted
        of_wanted = is_end & is_wanted
        rollout = rollout._replace(truncated=rollout.truncated | first_cut)
        ends = tree.map_structure(lambda x: x.T[of_wanted.T], ends)
        observations = tree.map_structure(lambda x: x.numpy(), observations)
        return rollout, is_wanted, ends, observations, int(first_cut.sum())
