"""Environments as agents step them: several at once, which reset in the step in which an episode ends."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import gymnasium
from gymnasium.spaces import Box, Dict
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from kgdists.core.checks import choice, count
from kgdists.core.types import Integer
from kgdists.envs.action_mask import ActionMask, observes_mask
from kgdists.envs.async_envs import AsyncEnvs
from kgdists.envs.checked_env import CheckedEnv, WrongReturnError, checked, in_short
from kgdists.envs.episode_record import EpisodeRecord
from kgdists.envs.same_step import has_native_envs, native_envs
from kgdists.envs.sync_envs import SyncEnvs

__all__ = ["VECTORIZATIONS", "Env", "check_maker", "make_env", "make_envs"]

# An id, a function that makes one environment, or a vector environment.
Env: TypeAlias = str | Callable[[], gymnasium.Env] | VectorEnv

VECTORIZATIONS = ("auto", "sync", "async", "native")
MAX_FLAT = 10**6  # numbers that discrete observations may make
NATIVE_PAYS_FROM = 16  # environments, for which CartPole-v1 is stepped twice as fast


def make_envs(env: Env, num_envs: Integer, vectorization: str = "sync") -> VectorEnv:
    """Make `num_envs` copies of an environment, stepped together, whose observations are arrays of numbers.

    They reset in the very step in which an episode ends and hand out its final observation in the info, so that no
    reset step ever counts as a step of the environment. Where they observe an action mask, `ActionMask` keeps it apart.
    What an environment returns is checked and copied by a `CheckedEnv`; infos hold nothing but final observations.

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
        For a single environment, a vector environment of another autoreset mode, "native" without there being one, or
        an environment whose spaces, or whose `reset`, cannot be used.
    """
    if isinstance(env, VectorEnv):
        _check_vector_env(env)
        _check_members(env)
        return env
    check_maker(env)
    num_envs = count("num_envs", num_envs)
    choice("vectorization", vectorization, VECTORIZATIONS)
    if vectorization == "auto":
        vectorization = "native" if num_envs >= NATIVE_PAYS_FROM and has_native_envs(env) else "sync"
    if vectorization == "native":
        envs = native_envs(env, num_envs)
        _check_vector_env(envs)
        return envs

    makers = [functools.partial(make_env, env, i) for i in range(num_envs)]
    return AsyncEnvs(makers) if vectorization == "async" else SyncEnvs(makers)


def check_maker(env: Any) -> None:
    """Raise unless environments can be made of what was given: an id, or a function that makes one."""
    if isinstance(env, gymnasium.Env) or not (isinstance(env, str) or callable(env)):
        raise ValueError(
            f"`env` must be an id, a function that makes an environment, or a VectorEnv. Received: {env!r}"
        )


def make_env(env: str | Callable[[], gymnasium.Env], index: int = 0, records: bool = True) -> gymnasium.Env:
    """Make one environment as those of `make_envs`, of an id or a function that makes one.

    Parameters
    ----------
    env : str or callable
    index : int
        Its place among others, which errors name.
    records : bool
        Whether it records its episodes, so that they can be played again; see `EpisodeRecord`.

    Returns
    -------
    gymnasium.Env
    """
    if isinstance(env, str) and env.startswith("."):
        raise ValueError(f"The module in the id of an environment must have its full name. Received: {env}")
    # `CheckedEnv` takes the place of Gymnasium's own checks, which stop at the first step and cost more.
    single = checked(gymnasium.make(env, disable_env_checker=True) if isinstance(env, str) else env(), index)
    space: Any = single.observation_space
    if not isinstance(space, Box) and not observes_mask(space, single.action_space):
        has_mask = isinstance(space, Dict) and "action_mask" in space.keys()
        count = _num_observed(space) - (_num_observed(space["action_mask"]) if has_mask else 0)
        if not 0 < count <= MAX_FLAT:
            rule = f"at most {MAX_FLAT:,} numbers where it observes no Box" if count else "numbers of a fixed count"
            raise WrongReturnError(
                f"Environment {index} ({env}) must observe {rule}: wrap it in a `gymnasium.ObservationWrapper` that "
                f"makes them. Received: {in_short(space)}{f', {count:,} numbers' if count else ''}"
            )
        single = ActionMask(single) if has_mask else gymnasium.wrappers.FlattenObservation(single)
    return EpisodeRecord(single) if records else single


def _num_observed(space):
    """How many numbers a space makes when it is flattened; 0 if it cannot be."""
    try:
        return gymnasium.spaces.flatdim(space) if space.is_np_flattenable else 0
    except (NotImplementedError, ValueError):  # of a space of one's own
        return 0


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


def _check_members(envs):
    """Let Gymnasium's own vector environment check and copy what its environments return."""
    inner = envs.unwrapped
    if not isinstance(inner, SyncVectorEnv) or inner.metadata.get("is_checked"):
        return
    if not isinstance(inner.envs[0], CheckedEnv):  # wrappers around it may read infos
        inner.envs = [CheckedEnv(env, i, keeps_info=inner is not envs) for i, env in enumerate(inner.envs)]
    if inner is envs:
        inner.metadata = inner.metadata | {"is_checked": True}
