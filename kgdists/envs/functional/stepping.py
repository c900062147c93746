"""Episodes of compiled environments: started, stepped, and started anew in the step in which one ends."""

import math
from typing import Any, NamedTuple

import keras
from keras import ops, tree

from kgdists.core.types import Tensor
from kgdists.envs.functional.compiled_env import CompiledEnv

__all__ = ["Playing", "Stepped", "begin", "observed", "step", "told"]


class Playing(NamedTuple):
    """The episodes that N environments are playing.

    Attributes
    ----------
    state : (nested) tensors, shape [N, ...]
    lengths : int32 tensor, shape [N]
        Steps so far.
    returns : float64 tensor, shape [N]
        Sums of their rewards so far.
    clock : int64 tensor, shape []
        Steps so far since the environments were seeded, each reset counting as one.
    seed : int64 tensor, shape []
        Of all that is random in the environments; the numbers of a step are a function of it and the clock.
    """

    state: Any
    lengths: Tensor
    returns: Tensor
    clock: Tensor
    seed: Tensor


class Stepped(NamedTuple):
    """What came of a step of N environments.

    Attributes
    ----------
    observations : (nested) tensors, shape [N, ...]
        In which the step ended: final ones, where an episode has ended.
    rewards : float32 tensor, shape [N]
    terminated, truncated : bool tensors, shape [N]
    lengths, returns : tensors, shape [N]
        Of the episodes, with this step.
    info : dict of str to tensor, shape [N]
    """

    observations: Any
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    lengths: Tensor
    returns: Tensor
    info: dict[str, Tensor]


def begin(env: CompiledEnv, num_envs: int, seed: Tensor, clock: Tensor) -> Playing:
    """Episodes at their start, by a seed and the steps so far, int64 scalars."""
    state = env.initial(num_envs, ops.stack([seed, 2 * clock - 1]))
    return Playing(
        tree.map_structure(ops.convert_to_tensor, state),
        ops.zeros(num_envs, "int32"),
        ops.zeros(num_envs, "float64"),
        clock,
        seed,
    )


def step(env: CompiledEnv, playing: Playing, actions: Any) -> tuple[Playing, Stepped]:
    """One step of all environments by actions of the action space [N, ...]; those that end start anew in it."""
    of_transition, of_start = (ops.stack([playing.seed, 2 * playing.clock + i]) for i in range(2))
    state = _like(playing.state, env.transition(playing.state, actions, of_transition), "transition")
    rewards = ops.cast(_of_each(playing, "reward", env.reward(playing.state, actions, state)), "float32")
    lengths, returns = playing.lengths + 1, playing.returns + ops.cast(rewards, "float64")
    terminated = ops.cast(_of_each(playing, "terminal", env.terminal(state)), "bool")
    limit = env.max_episode_steps
    truncated = ops.zeros_like(terminated) if limit is None else lengths >= limit
    ended = terminated | truncated
    stepped = Stepped(observed(env, state), rewards, terminated, truncated, lengths, returns, env.info(state))
    first = _like(state, env.initial(ended.shape[0], of_start), "initial")
    playing = Playing(
        tree.map_structure(lambda new, old: _where(ended, new, old), first, state),
        ops.where(ended, 0, lengths),
        ops.where(ended, ops.zeros_like(returns), returns),
        playing.clock + 1,
        playing.seed,
    )
    return playing, stepped


def observed(env: CompiledEnv, state: Any) -> Any:
    """Observations of states, floats among them as float32."""
    return tree.map_structure(_as_observed, env.observation(state))


def told(stepped: Stepped, name: str) -> Tensor:
    """An entry of the infos of a step, float32 [N]; NaN if there is none of that name."""
    given = stepped.info.get(name)
    return ops.full(stepped.rewards.shape, math.nan, "float32") if given is None else ops.cast(given, "float32")


def _as_observed(x):
    x = ops.convert_to_tensor(x)
    return ops.cast(x, "float32") if keras.backend.is_float_dtype(x.dtype) else x


def _where(where, x, y):
    return ops.where(ops.reshape(where, (-1, *[1] * (len(y.shape) - 1))), x, y)


def _of_each(playing, function, returned):
    """What a function returned, if it is one number for each environment."""
    returned = ops.convert_to_tensor(returned)
    if returned.shape != playing.lengths.shape:
        raise ValueError(
            f"`{function}` must return a tensor with one number for each environment, of shape "
            f"{tuple(playing.lengths.shape)}. Received: shape {tuple(returned.shape)}"
        )
    return returned


def _like(state, returned, function):
    """A returned state, if it has the structure, shapes and dtypes of a state."""
    returned = tree.map_structure(ops.convert_to_tensor, returned)
    forms = [tree.map_structure(lambda x: (tuple(x.shape), x.dtype), x) for x in (state, returned)]
    if forms[0] != forms[1]:
        raise ValueError(
            f"`{function}` must return states of one structure, shape and dtype: {forms[0]}. Received: {forms[1]}"
        )
    return returned
