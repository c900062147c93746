"""Environments as agents step them: several at once, which reset in the step in which an episode ends."""

import functools

import gymnasium
from gymnasium.spaces import Box, Dict
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from kgdists.agents.async_envs import AsyncEnvs
from kgdists.agents.episode_record import EpisodeRecord
from kgdists.agents.masks import ActionMask, observes_mask
from kgdists.agents.native_envs import has_native_envs, native_envs
from kgdists.agents.settings import VECTORIZATIONS

__all__ = ["make_env", "make_envs"]

NATIVE_PAYS_FROM = 16  # environments, for which CartPole-v1 is stepped twice as fast


def make_envs(env, num_envs, vectorization="sync"):
    """Make `num_envs` copies of an environment, stepped together, whose observations are arrays of numbers.

    They reset in the very step in which an episode ends and hand out its final observation in the info, so that no
    reset step ever counts as a step of the environment. Where they observe an action mask, `ActionMask` keeps it apart.

    Parameters
    ----------
    env : str, callable or gymnasium.vector.VectorEnv
        An id, a function that makes one `gymnasium.Env`, or a vector environment of that autoreset mode.
    num_envs : int, >= 1
    vectorization : str
        "sync": one after the other. "async": shared out among processes, with the very numbers of "sync". "native": by
        the vector environment of an id's own, with other random numbers. "auto": "native" for CartPole from 16
        environments on, else "sync". A vector environment that is given is taken as it is.

    Returns
    -------
    gymnasium.vector.VectorEnv

    Raises
    ------
    ValueError
        For a single environment, a vector environment of another autoreset mode, or "native" without there being one.
    """
    if isinstance(env, VectorEnv):
        _check_vector_env(env)
        return env
    if isinstance(env, gymnasium.Env) or not (isinstance(env, str) or callable(env)):
        raise ValueError(
            f"`env` must be an id, a function that makes an environment, or a VectorEnv. Received: {env!r}"
        )
    if not isinstance(num_envs, int) or num_envs < 1:
        raise ValueError(f"`num_envs` must be an int >= 1. Received: num_envs={num_envs!r}")
    if vectorization not in VECTORIZATIONS:
        raise ValueError(
            f"`vectorization` must be one of {', '.join(VECTORIZATIONS)}. Received: vectorization={vectorization!r}"
        )
    if vectorization == "auto":
        vectorization = "native" if num_envs >= NATIVE_PAYS_FROM and has_native_envs(env) else "sync"
    if vectorization == "native":
        envs = native_envs(env, num_envs)
        _check_vector_env(envs)
        return envs

    # Gymnasium's checks of an environment cost time at each step: one of the copies is enough.
    makers = [functools.partial(make_env, env, is_checked=i == 0) for i in range(num_envs)]
    if vectorization == "async":
        return AsyncEnvs(makers)
    return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)


def make_env(env, is_checked=False):
    """Make one environment as those of `make_envs`, of an id or a function that makes one.

    Parameters
    ----------
    env : str or callable
    is_checked : bool
        Whether Gymnasium checks what an environment of an id does.

    Returns
    -------
    gymnasium.Env
    """
    single = gymnasium.make(env, disable_env_checker=not is_checked) if isinstance(env, str) else env()
    space = single.observation_space
    if not isinstance(space, Box) and not observes_mask(space, single.action_space):
        has_mask = isinstance(space, Dict) and "action_mask" in space.keys()
        single = ActionMask(single) if has_mask else gymnasium.wrappers.FlattenObservation(single)
    return EpisodeRecord(single)


def _check_vector_env(envs):
    mode = envs.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise ValueError(
            "A VectorEnv must reset in the step in which an episode ends: make it with "
            "`autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP`, or wrap it in `kgdists.agents.SameStep`. "
            f"Received: {mode}"
        )
    space = envs.single_observation_space
    if not isinstance(space, Box) and not observes_mask(space, envs.single_action_space):
        raise ValueError(
            "A VectorEnv must observe a Box: wrap its environments in `gymnasium.wrappers.FlattenObservation`, or in "
            f"`kgdists.agents.ActionMask`. Received: {space}"
        )
