"""Whole episodes of all members of a population, played side by side."""

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium.vector import VectorEnv
from keras import tree

from kgdists.core.checks import count
from kgdists.core.types import Integer
from kgdists.encoders.arrays import example_observation
from kgdists.envs.array_observations import Encoding
from kgdists.envs.autoreset import start
from kgdists.envs.checked_vector_env import check_reset, check_step
from kgdists.envs.episode_infos import EpisodeInfos
from kgdists.envs.evaluation import step_limit
from kgdists.envs.functional.compiled_env import CompiledEnv
from kgdists.envs.functional.known import has_compiled
from kgdists.envs.functional.vector_env import CompiledVectorEnv
from kgdists.envs.given_env import check_alone, is_alone
from kgdists.envs.make import TOGETHER_FROM, Env, check_maker, make_env, make_envs
from kgdists.envs.rollout import copied
from kgdists.envs.same_step import has_native_envs, native_envs
from kgdists.envs.sync_envs import SyncEnvs
from kgdists.evolution.policy_search.compiled_wave import CompiledWave
from kgdists.evolution.policy_search.members import Members
from kgdists.policy import split_mask
from kgdists.spaces import decode_action

__all__ = ["Episodes", "Moments", "Played"]


@dataclasses.dataclass(frozen=True)
class Moments:
    """How many observations there were, their mean and variance: float64 arrays of an observation's shape."""

    count: int
    mean: np.ndarray
    variance: np.ndarray


@dataclasses.dataclass(frozen=True)
class Played:
    """Undiscounted returns and lengths of the episodes, arrays [N, E], and the moments of leaves of what was observed.

    `cut` of the episodes were cut off at the limit of steps.
    """

    returns: np.ndarray
    lengths: np.ndarray
    moments: dict[int, Moments]
    cut: int = 0


class Episodes:
    """Environments in which the members of a population each play whole episodes, none of them left out.

    All environments start together; one whose episode has ended waits, masked, until the last has. An id with a vector
    environment that `native_envs` knows is stepped as that, others one by one, the ended ones no more.

    Parameters
    ----------
    env : str, callable, gymnasium.Env or gymnasium.vector.VectorEnv
        An id, a function that makes one environment, one environment itself, or a vector environment.
    num_envs : int, >= 1
        Of a vector environment that is given, its own number counts.
    max_steps : None or int, >= 1
        Steps after which an episode is cut off; see `kgdists.envs.evaluation.step_limit`.
    encoding : None or kgdists.envs.array_observations.Encoding
        How other observations than arrays become arrays; None is the default one.
    log_info : sequence of str
        Entries of the infos at the ends of episodes that are remembered, as `infos`; see `EpisodeInfos`.
    vectorization : str
        As for `kgdists.envs.make_envs`; "auto" is "compiled" from 16 environments on, where there is such a one.
    """

    def __init__(
        self,
        env: Env,
        num_envs: Integer,
        max_steps: Integer | None = None,
        encoding: Encoding | None = None,
        log_info: Sequence[str] = (),
        vectorization: str = "auto",
    ) -> None:
        step_limit(env, max_steps)  # before there is anything to close
        self._is_given = isinstance(env, VectorEnv)
        self.envs = _make(env, num_envs, encoding, log_info, vectorization)
        self._compiled: CompiledWave | None = None
        if isinstance(self.envs, CompiledVectorEnv) and vectorization != "sync":
            self._compiled = CompiledWave(self.envs, log_info)
        self.infos = EpisodeInfos(log_info)
        self._is_checked = bool(self.envs.metadata.get("is_checked"))
        self.num_envs = self.envs.num_envs
        self.max_steps = step_limit(self.envs, max_steps)

    @property
    def is_compiled(self) -> bool:
        """Whether one program plays whole episodes."""
        return self._compiled is not None

    def example(self) -> Any:
        """One observation of ones, behind a batch axis."""
        return copied(example_observation(self.envs.single_observation_space))

    def play(
        self,
        members: Members,
        rows: np.ndarray,
        episodes: int,
        seed: Sequence[int],
        *,
        sample_actions: bool = False,
        leaves: Sequence[int] = (),
        with_infos: bool = False,
        total: int | None = None,
        max_steps: int | None = None,
    ) -> Played:
        """Let each member play this many episodes.

        Parameters
        ----------
        members : Members
        rows : array, shape [N, D]
            Their weights.
        episodes : int
            Of each member, E. One that does not divide `num_envs` takes a forward pass for each episode.
        seed : sequence of int, >= 0
            Of the environments and the actions: a seed, and further numbers for streams of their own.
        sample_actions : bool
            Draw actions instead of taking the most probable ones.
        leaves : sequence of int
            Which leaves of observations, as `keras.tree.flatten` counts them, to take the moments of.
        with_infos : bool
            Remember what these episodes tell.
        total : None or int
            Play only this many episodes in all, the first ones in the order of members and episodes.
        max_steps : None or int
            The limit of these episodes, None that of all.

        Returns
        -------
        Played
        """
        rows = np.asarray(rows, "float32")
        if self.num_envs % episodes:  # as if each episode were a member's only one
            others: dict[str, Any] = {
                "sample_actions": sample_actions,
                "leaves": leaves,
                "with_infos": with_infos,
                "max_steps": max_steps,
            }
            played = self.play(members, np.repeat(rows, episodes, axis=0), 1, seed, total=total, **others)
            of_members = {name: getattr(played, name).reshape(-1, episodes) for name in ("returns", "lengths")}
            return dataclasses.replace(played, **of_members)
        size = self.num_envs // episodes
        returns, lengths = np.zeros((len(rows), episodes)), np.zeros((len(rows), episodes), int)
        sums = {leaf: _Sums() for leaf in leaves}
        total, cut = len(rows) * episodes if total is None else total, 0
        for first in range(0, len(rows), size):
            block = slice(first, first + size)
            num_played = min(total - first * episodes, self.num_envs)
            returns[block], lengths[block], num_cut = self._wave(
                members,
                rows[block],
                episodes,
                (*seed, first),
                sample_actions,
                sums,
                num_played,
                max_steps or self.max_steps,
                with_infos,
            )
            cut += num_cut
        return Played(returns, lengths, {leaf: x.moments() for leaf, x in sums.items()}, cut)

    def _wave(self, members, rows, episodes, seed, sample_actions, sums, count, max_steps, with_infos):
        size, num_rows = self.num_envs // episodes, len(rows)
        active = np.arange(self.num_envs) < min(count, num_rows * episodes)
        rows = np.concatenate([rows, np.repeat(rows[-1:], size - num_rows, axis=0)])  # one compiled program for all
        first, *path = seed  # which, as a spawn key, tells paths apart that differ by zeros at their ends
        env_seed, noise_seed = np.random.SeedSequence(first, spawn_key=path).generate_state(2).tolist()
        env_seed %= 2**31
        if self._compiled is not None:
            wave = self._compiled(
                members,
                rows,
                (env_seed, noise_seed),
                int(min(count, num_rows * episodes)),
                int(max_steps),
                sample_actions,
                tuple(sums),
            )
            return self._told(wave, sums, with_infos, (size, episodes), num_rows)
        returned: Any = start(self.envs, env_seed)
        observations = returned[0] if self._is_checked else check_reset(self.envs, returned, active)
        returns, lengths = np.zeros(self.num_envs), np.zeros(self.num_envs, int)
        lanes = (size, episodes)
        act, weights, cut = None, tf.constant(rows), 0
        step = self.envs.step_where if isinstance(self.envs, SyncEnvs) else None
        while active.any():
            observations = copied(observations)
            if sums:
                leaves = tree.flatten(split_mask(observations)[0])
                for leaf, of_leaf in sums.items():
                    of_leaf.add(leaves[leaf], active)
            inputs = tree.map_structure(lambda x: x.reshape(*lanes, *x.shape[1:]), observations)
            act = act or members.actor(rows, inputs, sample_actions)
            key = np.array([noise_seed, lengths.max()], "int64")
            actions = act(weights, tree.map_structure(tf.constant, inputs), tf.constant(key))
            actions = tree.map_structure(lambda x: x.numpy().reshape(-1, *x.shape[2:]), actions)
            actions = decode_action(self.envs.single_action_space, actions)
            returned = step(actions, active) if step else self.envs.step(actions)
            if not self._is_checked:
                returned = check_step(self.envs, returned, active)
            observations, rewards, terminated, truncated, infos = returned
            if with_infos:
                self.infos.add(infos, active & (terminated | truncated))
            returns[active] += rewards[active]
            lengths[active] += 1
            active = active & ~(terminated | truncated)
            is_cut = active & (lengths >= max_steps)
            cut += int(np.count_nonzero(is_cut))
            active &= ~is_cut
        return returns.reshape(lanes)[:num_rows], lengths.reshape(lanes)[:num_rows], cut

    def _told(self, wave, sums, with_infos, lanes, num_rows):
        """The returns, lengths and cut-off episodes of what a program has played."""
        for leaf, of_leaf in sums.items():
            of_leaf.merge(*wave.sums[leaf])
        if with_infos and wave.info:
            ended = (wave.lengths > 0) & ~wave.is_cut
            self.infos.extend({name: x[ended].tolist() for name, x in wave.info.items()})
        returns, lengths = (x.reshape(lanes)[:num_rows] for x in (wave.returns, wave.lengths))
        return returns, lengths, int(np.count_nonzero(wave.is_cut))

    def close(self) -> None:
        """Close the environments, unless they were given."""
        if not self._is_given:
            self.envs.close()


class _Sums:
    """Sums of observations and of their squares, about a point near them."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, x: np.ndarray, active: np.ndarray) -> None:
        x = x[active].astype("float64")
        if not self.count:
            self.point = x.mean(axis=0)
            self.sum, self.squares = np.zeros_like(self.point), np.zeros_like(self.point)
        x -= self.point
        self.count += len(x)
        self.sum += x.sum(axis=0)
        self.squares += np.square(x).sum(axis=0)

    def merge(self, count: Any, point: np.ndarray, total: np.ndarray, squares: np.ndarray) -> None:
        """Take in the sums of others, about a point of theirs."""
        if not self.count:
            self.point, self.sum, self.squares = point, np.zeros_like(total), np.zeros_like(squares)
        mean = total / count
        shift = point + mean - self.point
        self.count += int(count)
        self.sum += count * shift
        self.squares += squares - total * mean + count * np.square(shift)

    def moments(self) -> Moments:
        mean = self.sum / self.count
        return Moments(self.count, self.point + mean, np.maximum(self.squares / self.count - mean**2, 0.0))


def _make(
    env: Env, num_envs: Integer, encoding: Encoding | None, log_info: Sequence[str], vectorization: str
) -> VectorEnv:
    """Environments that a population plays in; where an id has a vector environment that resets in time, that one."""
    if isinstance(env, VectorEnv):
        return make_envs(env, num_envs, encoding=encoding, log_info=log_info)
    check_maker(env)
    num_envs = count("num_envs", num_envs)
    if is_alone(env):
        check_alone(num_envs, "sync")
    is_plain = encoding is None or encoding == Encoding()
    if vectorization == "auto" and num_envs >= TOGETHER_FROM and is_plain and has_compiled(env):
        vectorization = "compiled"
    if isinstance(env, CompiledEnv) or vectorization not in ("auto", "sync"):
        return make_envs(env, num_envs, vectorization, encoding, log_info)
    if vectorization == "auto" and has_native_envs(env) and _is_as_registered(env):
        return native_envs(env, num_envs)
    make = functools.partial(make_env, env, records=False, encoding=encoding, log_info=log_info)
    return SyncEnvs([functools.partial(make, index=i) for i in range(num_envs)])


def _is_as_registered(env: Any) -> bool:
    """Whether an id's environment has no wrappers, which its vector environment would lack."""
    with contextlib.closing(gymnasium.make(env)) as single:
        return not (single.spec is None or single.spec.additional_wrappers)
