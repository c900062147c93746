"""Vector environments that are one program, made to reset in the step in which an episode ends."""

import contextlib
import functools
import importlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from keras import tree

from kgdists.envs.autoreset import mode_of
from kgdists.envs.env_id import EnvId

__all__ = ["SameStep", "has_native_envs", "in_time", "native_envs", "restart"]


class SameStep(VectorWrapper):
    """A vector environment that starts a new episode in the very step in which one ends.

    Gymnasium's own vector environments do so one step later, which is no step of the environment and must not count as
    one. Here the final observation is in the info, as `"final_obs"`, and the observation is the next episode's first.

    Parameters
    ----------
    env : gymnasium.vector.VectorEnv
        Either one without autoreset, `AutoresetMode.DISABLED`, whose `reset` takes Gymnasium's option `reset_mask`, or
        one for whose class `restart` is registered.

    Examples
    --------
    >>> import gymnasium, kgdists as kg
    >>> envs = kg.agents.SameStep(gymnasium.make_vec("CartPole-v1", num_envs=4))
    >>> agent = kg.agents.PPO(envs, n_steps=16, seed=0)
    """

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        mode = mode_of(env)
        if not _can_be_in_time(env):
            raise ValueError(
                "A VectorEnv must either reset by `options={'reset_mask': ...}`, its autoreset mode being DISABLED, or "
                "`kgdists.envs.same_step.restart` must be registered for its class, its mode being NEXT_STEP. "
                f"Received: {env} of mode {mode}"
            )
        self.metadata = env.metadata | {"autoreset_mode": AutoresetMode.SAME_STEP}
        self._restart = _by_mask if mode == AutoresetMode.DISABLED else restart

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        ended = np.logical_or(terminated, truncated)
        if ended.any():
            final = tree.map_structure(np.array, observations)
            finals = np.full(self.num_envs, None)
            for i in np.flatnonzero(ended):
                finals[i] = tree.map_structure(lambda x, i=i: x[i], final)
            terminated, truncated = np.array(terminated), np.array(truncated)
            observations = self._restart(self.env, ended)
            infos = infos | {"final_obs": finals, "_final_obs": ended}
        return observations, rewards, terminated, truncated, infos


def in_time(envs: VectorEnv) -> VectorEnv:
    """The vector environment, as a `SameStep` where it can be one and does not start episodes in time by itself."""
    return SameStep(envs) if _can_be_in_time(envs) else envs


def _can_be_in_time(envs):
    mode = mode_of(envs)
    is_known = restart.dispatch(type(envs)) is not restart.dispatch(object)
    return mode == AutoresetMode.DISABLED or (mode == AutoresetMode.NEXT_STEP and is_known)


def _by_mask(envs, ended):
    return envs.reset(options={"reset_mask": ended})[0]


@functools.singledispatch
def restart(envs: VectorEnv, ended: np.ndarray) -> Any:
    """Start new episodes in some of the environments; a function for each class of vector environments.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
        After a step, before the one in which it would reset by itself; it must not do so any more.
    ended : array of bool, shape [N]
        Where episodes have ended.

    Returns
    -------
    observations of all environments
    """
    raise NotImplementedError(f"`restart` must be registered for {type(envs).__name__}")


@restart.register
def _(envs: CartPoleVectorEnv, ended):
    state = np.asarray(envs.state)
    state[:, ended] = envs.np_random.uniform(envs.low, envs.high, (4, np.count_nonzero(ended)))
    envs.steps[ended] = 0
    envs.prev_done[ended] = False
    return state.T.astype("float32")


NATIVE = {"gymnasium.envs.classic_control.cartpole:CartPoleVectorEnv"}  # for whose classes `restart` is registered


def has_native_envs(env: Any) -> bool:
    """Whether an id has a vector environment of its own that `native_envs` is known to make."""
    return _own_envs(env) in NATIVE


def _own_envs(env):
    """Where the vector environment of an id's own is found, or None; the id may name the module that registers it."""
    if not isinstance(env, str) or isinstance(env, EnvId) and env.options():
        return None
    module, _, name = env.rpartition(":")
    if module:
        with contextlib.suppress(ImportError):  # which `gymnasium.make` tells better
            importlib.import_module(module)
    spec = gymnasium.registry.get(name)
    return None if spec is None else spec.vector_entry_point


def native_envs(env: Any, num_envs: int) -> VectorEnv:
    """The vector environment of an id's own, resetting in the step in which an episode ends."""
    if _own_envs(env) is None:
        raise ValueError(
            'With `vectorization="native"`, `env` must be an id with a vector environment of its own. '
            f"Received: {env!r}"
        )
    envs = gymnasium.make_vec(env, num_envs, vectorization_mode="vector_entry_point")
    return envs if envs.metadata.get("autoreset_mode") == AutoresetMode.SAME_STEP else SameStep(envs)
