"""Whole episodes in a compiled environment, played by one program."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops, tree

from kgdists.agents.compiled_training import Episodes, Rollout, play
from kgdists.core.compiled import Compiled
from kgdists.envs.functional.vector_env import CompiledVectorEnv
from kgdists.envs.player import NotANumber
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
        self._limit = min(limit, envs.env.max_episode_steps or limit)
        self._most = -(-self._wanted.max() * self._limit // n_steps)
        self._program = Compiled(self._play)

    def share(self, other: "CompiledEpisodes", variables: Sequence[Any], own: Sequence[Any]) -> None:
        """Run the program of another agent of the same settings, with other variables; see `Compiled.share`."""
        self._program.share(other._program, variables, own)

    def _play(self, seed, first):
        wanted = tf.constant(self._wanted, "int32")

        def piece(i, playing):
            start = first + ops.cast(i * self._n_steps, "int64")

            def key_of(t):
                return ops.stack([seed, start + ops.cast(t, "int64")])

            return play(self._envs, self._policy, playing, self._n_steps, key_of, self._names)

        _, *like, _ = piece(tf.constant(0), self._envs.playing())  # for its form alone; nothing is computed
        arrays = tree.map_structure(lambda x: tf.TensorArray(x.dtype, self._most, element_shape=x.shape), like)

        def body(i, playing, count, is_number, arrays):
            playing, rollout, episodes, is_sound = piece(i, playing)
            ends = episodes.ended | (episodes.lengths >= self._limit)
            count = count + ops.sum(ops.cast(ends, "int32"), axis=0)
            arrays = tree.map_structure(lambda array, x: array.write(i, x), arrays, [rollout, episodes])
            return i + 1, playing, count, is_number & is_sound, arrays

        start = tf.constant(0), self._envs.playing(), tf.zeros_like(wanted), tf.constant(True), arrays
        pieces, playing, _, is_number, arrays = tf.while_loop(
            lambda i, _, count, is_number, *__: (i < self._most) & ops.any(count < wanted) & is_number, body, start
        )
        self._envs.assign(playing)
        rollout, episodes = tree.map_structure(
            lambda array, x: ops.reshape(array.stack(), (-1, *x.shape[1:])), arrays, like
        )
        return rollout, episodes, pieces, is_number

    def __call__(self, seed: int, first: int) -> tuple[Rollout, np.ndarray, Episodes, int]:
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
        episodes : Episodes, [E]
            Those wanted, environment by environment.
        cut : int
            How many of them were cut off at the limit.
        """
        arguments = np.asarray(seed, "int64"), np.asarray(first, "int64")
        rollout, episodes, pieces, is_number = self._program(*arguments)
        if not is_number:
            raise NotANumber
        steps = int(pieces) * self._n_steps
        rollout, episodes = tree.map_structure(lambda x: x.numpy()[:steps], (rollout, episodes))
        too_long = (episodes.lengths >= self._limit) & ~episodes.ended
        ends = episodes.ended | too_long
        before = np.cumsum(ends, axis=0) - ends
        cut = too_long & (before < self._wanted)
        # An episode that was cut off goes on, and is the last one of its environment.
        wanted = np.where(cut.any(axis=0), np.min(np.where(cut, before + 1, steps), axis=0), self._wanted)
        first_cut = cut & (np.cumsum(cut, axis=0) == 1)
        is_wanted = before < wanted
        whole = ends & is_wanted
        rollout = rollout._replace(truncated=rollout.truncated | first_cut)
        told = tree.map_structure(lambda x: x.T[whole.T], episodes)
        return rollout, is_wanted, told, int(first_cut.sum())
