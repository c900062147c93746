"""Environments as agents step them: several at once, which reset in the step in which an episode ends."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import gymnasium
from gymnasium.spaces import Dict
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from keras import tree

from kgdists.core.checks import choice, count, in_short
from kgdists.core.types import Integer
from kgdists.encoders.arrays import example_observation
from kgdists.envs.action_mask import ActionMask, observes_mask
from kgdists.envs.array_observations import ArrayObservations, Encoding, VectorArrayObservations
from kgdists.envs.async_envs import AsyncEnvs
from kgdists.envs.checked_env import CheckedEnv, WrongReturnError, checked
from kgdists.envs.episode_record import EpisodeRecord
from kgdists.envs.same_step import has_native_envs, native_envs
from kgdists.envs.sync_envs import SyncEnvs

__all__ = ["VECTORIZATIONS", "Env", "check_maker", "make_env", "make_envs"]

# An id, a function that makes one environment, or a vector environment.
Env: TypeAlias = str | Callable[[], gymnasium.Env] | VectorEnv

VECTORIZATIONS = ("auto", "sync", "async", "native")
NATIVE_PAYS_FROM = 16  # environments, for which CartPole-v1 is stepped twice as fast


def make_envs(env: Env, num_envs: Integer, vectorization: str = "sync", encoding: Encoding | None = None) -> VectorEnv:
    """Make `num_envs` copies of an environment, stepped together, whose observations are (nested) arrays of numbers.

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
    encoding : None or kgdists.envs.array_observations.Encoding
        How other observations than arrays become arrays, texts for instance; None is the default one.

    Returns
    -------
    gymnasium.vector.VectorEnv

    Raises
    ------
    ValueError
        For a single environment, a vector environment of another autoreset mode, "native" without there being one, or
        an environment whose spaces, or whose `reset`, cannot be used.
    """
    encoding = Encoding() if encoding is None else encoding
    if isinstance(env, VectorEnv):
        _check_vector_env(env)
        _check_masks(env, encoding)
        _check_members(env)
        space = env.single_observation_space
        return env if encoding.space(space) == space else VectorArrayObservations(env, encoding)
    check_maker(env)
    num_envs = count("num_envs", num_envs)
    choice("vectorization", vectorization, VECTORIZATIONS)
    if vectorization == "auto":
        vectorization = "native" if num_envs >= NATIVE_PAYS_FROM and has_native_envs(env) else "sync"
    if vectorization == "native":
        envs = native_envs(env, num_envs)
        _check_vector_env(envs)
        return envs

    makers = [functools.partial(make_env, env, i, encoding=encoding) for i in range(num_envs)]
    return AsyncEnvs(makers) if vectorization == "async" else SyncEnvs(makers)


def check_maker(env: Any) -> None:
    """Raise unless environments can be made of what was given: an id, or a function that makes one."""
    if isinstance(env, gymnasium.Env) or not (isinstance(env, str) or callable(env)):
        raise ValueError(
            f"`env` must be an id, a function that makes an environment, or a VectorEnv. Received: {env!r}"
        )


def make_env(
    env: str | Callable[[], gymnasium.Env], index: int = 0, records: bool = True, encoding: Encoding | None = None
) -> gymnasium.Env:
    """Make one environment as those of `make_envs`, of an id or a function that makes one.

    Parameters
    ----------
    env : str or callable
    index : int
        Its place among others, which errors name.
    records : bool
        Whether it records its episodes, so that they can be played again; see `EpisodeRecord`.
    encoding : None or kgdists.envs.array_observations.Encoding
        How other observations than arrays become arrays; None is the default one.

    Returns
    -------
    gymnasium.Env
    """
    if isinstance(env, str) and env.startswith("."):
        raise ValueError(f"The module in the id of an environment must have its full name. Received: {env}")
    encoding = Encoding() if encoding is None else encoding
    # `CheckedEnv` takes the place of Gymnasium's own checks, which stop at the first step and cost more.
    single = checked(gymnasium.make(env, disable_env_checker=True) if isinstance(env, str) else env(), index)
    space: Any = single.observation_space
    try:
        if isinstance(space, Dict) and "action_mask" in space.keys():
            if not observes_mask(space, single.action_space, encoding):
                single = ActionMask(single, encoding)
        elif encoding.space(space) != space:
            single = ArrayObservations(single, encoding)
        if not _num_observed(single.observation_space):
            raise ValueError(f"It must observe numbers. Received: {in_short(space)}")
    except ValueError as error:
        raise WrongReturnError(f"Environment {index} ({env}): {error}") from error
    if single.has_wrapper_attr("observed_space"):  # also where `ActionMask` was there before
        observed = {"observed_space": single.get_wrapper_attr("observed_space")}
        single.metadata = dict(single.metadata or {}) | observed
    return EpisodeRecord(single) if records else single


def _num_observed(space):
    """How many numbers an observation of arrays consists of, without its mask."""
    example = example_observation(space)
    if isinstance(example, dict):
        example.pop("action_mask", None)
    return sum(x.size for x in tree.flatten(example))


def _check_vector_env(envs):
    mode = envs.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise ValueError(
            "A VectorEnv must reset in the step in which an episode ends: make it with "
            "`autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP`, or wrap it in `kgdists.agents.SameStep`. "
            f"Received: {mode}"
        )


def _check_masks(envs, encoding):
    space = envs.single_observation_space
    if isinstance(space, Dict) and "action_mask" in space.keys():
        if not observes_mask(space, envs.single_action_space, encoding):
            raise ValueError(
                "A VectorEnv whose environments observe action masks must have them in `kgdists.agents.ActionMask`. "
                f"Received: {space}"
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
