"""A wave of episodes, one in each compiled environment, played by one program."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from keras import ops, tree

from kgdists.core.compiled import Compiled
from kgdists.envs.checked_env import WrongReturnError
from kgdists.envs.functional import stepping
from kgdists.envs.functional.actions import action_tensors
from kgdists.envs.functional.vector_env import CompiledVectorEnv
from kgdists.evolution.policy_search.members import Members
from kgdists.policy import split_mask

__all__ = ["CompiledWave", "Wave"]


class Wave(NamedTuple):
    """What came of an episode in each of N environments: arrays.

    Attributes
    ----------
    returns, lengths : float64 and int32, shape [N]
    is_cut : bool, shape [N]
        Which were cut off at the limit of steps.
    info : dict of str to float32, shape [N]
        What episodes tell at their ends; NaN of those that were cut off.
    sums : dict of int to tuple of float64
        Of the leaves of what was observed: how many, about which point, the sum about it, and that of squares.
    is_finite : bool, shape []
        Whether all that was observed and paid is.
    """

    returns: Any
    lengths: Any
    is_cut: Any
    info: dict[str, Any]
    sums: dict[int, Any]
    is_finite: Any


class CompiledWave:
    """A function that plays an episode in each environment, as `Episodes` does step by step.

    Parameters
    ----------
    envs : CompiledVectorEnv
    names : sequence of str
        Entries of infos that are remembered.
    """

    def __init__(self, envs: CompiledVectorEnv, names: Sequence[str] = ()) -> None:
        self._envs, self._names = envs, names
        self._programs: dict[Any, Compiled] = {}

    def __call__(
        self,
        members: Members,
        rows: np.ndarray,
        seeds: tuple[int, int],
        count: int,
        max_steps: int,
        sample_actions: bool = False,
        leaves: Sequence[int] = (),
    ) -> Wave:
        """Play new episodes.

        Parameters
        ----------
        members : Members
        rows : float32 array, shape [M, D]
            Their weights; each member acts in N / M environments that follow each other.
        seeds : tuple of int
            Of the environments and of drawn actions.
        count : int
            Only the first so many environments play.
        max_steps : int
            Steps after which an episode is cut off.
        sample_actions : bool
            Draw actions instead of taking the most probable ones.
        leaves : sequence of int
            Which leaves of observations to take the sums of.

        Raises
        ------
        WrongReturnError
            If the environment returned what is not finite.
        """
        known = id(members), sample_actions, tuple(leaves)
        if known not in self._programs:

            def play(*arguments):
                return self._play(members, sample_actions, leaves, *arguments)

            self._programs[known] = Compiled(play)
        numbers = (*(np.asarray(x, "int64") for x in seeds), *(np.asarray(x, "int32") for x in (count, max_steps)))
        wave = Wave(*tree.map_structure(lambda x: x.numpy(), tuple(self._programs[known](rows, *numbers))))
        if not wave.is_finite:
            raise WrongReturnError(
                f"Observations and rewards of {type(self._envs.env).__name__} must be finite. Received: NaN or infinity"
            )
        return wave

    def _play(self, members, sample_actions, leaves, rows, env_seed, noise_seed, count, max_steps):
        env, num_envs, space = self._envs.env, self._envs.num_envs, self._envs.single_action_space
        lanes = rows.shape[0], num_envs // rows.shape[0]
        playing = stepping.begin(env, num_envs, env_seed, ops.cast(0, "int64"))
        active = ops.arange(num_envs) < count
        seen = self._seen(playing)
        points = {leaf: ops.cast(seen[leaf][0], "float64") for leaf in leaves}
        wave = Wave(
            ops.zeros(num_envs, "float64"),
            ops.zeros(num_envs, "int32"),
            ops.zeros(num_envs, "bool"),
            {name: ops.full((num_envs,), np.nan, "float32") for name in self._names},
            {leaf: (ops.cast(0, "float64"), x, ops.zeros_like(x), ops.zeros_like(x)) for leaf, x in points.items()},
            tf.constant(True),
        )

        def body(i, playing, active, wave):
            observations = stepping.observed(env, playing.state)
            seen = self._seen(playing)
            sums = {leaf: _added(x, seen[leaf], active) for leaf, x in wave.sums.items()}
            inputs = tree.map_structure(lambda x: ops.reshape(x, (*lanes, *x.shape[1:])), observations)
            pi = members.distribution(rows, inputs)
            key = ops.stack([noise_seed, ops.cast(i, "int64")])
            actions = pi.sample_action(seed=key) if sample_actions else pi.mode_action()
            actions = tree.map_structure(lambda x: ops.reshape(x, (num_envs, *x.shape[2:])), actions)
            playing, stepped = stepping.step(env, playing, action_tensors(space, actions))
            ends = active & (stepped.terminated | stepped.truncated)
            is_cut = active & ~ends & (i + 1 >= max_steps)
            told = {name: ops.where(ends, stepping.told(stepped, name), x) for name, x in wave.info.items()}
            floats = [x for x in (*seen, stepped.rewards) if x.dtype.is_floating]
            are_finite = [ops.all(_of_rows(~active, x) | ops.isfinite(x)) for x in floats]
            wave = Wave(
                wave.returns + ops.where(active, ops.cast(stepped.rewards, "float64"), 0.0),
                wave.lengths + ops.cast(active, "int32"),
                wave.is_cut | is_cut,
                told,
                sums,
                wave.is_finite & ops.all(ops.stack(are_finite)),
            )
            return i + 1, playing, active & ~ends & ~is_cut, wave

        start = tf.constant(0), playing, active, wave
        *_, wave = tf.while_loop(lambda i, playing, active, wave: ops.any(active) & wave.is_finite, body, start)
        return tuple(wave)

    def _seen(self, playing):
        return tree.flatten(split_mask(stepping.observed(self._envs.env, playing.state))[0])


def _added(sums, x, active):
    """Sums with those of more observations."""
    count, point, total, squares = sums
    difference = ops.cast(_of_rows(active, x), "float64") * (ops.cast(x, "float64") - point)
    return (
        count + ops.sum(ops.cast(active, "float64")),
        point,
        total + ops.sum(difference, axis=0),
        squares + ops.sum(ops.square(difference), axis=0),
    )


def _of_rows(flags, x):
    """Flags [N] of rows of x [N, ...], to combine with its numbers."""
    return ops.reshape(flags, (-1, *[1] * (len(x.shape) - 1)))
