"""Environments as agents step them: several at once, which reset in the step in which an episode ends."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import gymnasium
from gymnasium.spaces import Dict
from gymnasium.vector import SyncVectorEnv, VectorEnv
from keras import tree

from kgdists.core.checks import choice, count, in_short
from kgdists.core.choices import VECTORIZATIONS
from kgdists.core.types import Integer
from kgdists.encoders.arrays import example_observation
from kgdists.envs.action_mask import ActionMask, observes_mask
from kgdists.envs.array_observations import ArrayObservations, Encoding, VectorArrayObservations
from kgdists.envs.async_envs import AsyncEnvs
from kgdists.envs.checked_env import CheckedEnv, WrongReturnError, checked
from kgdists.envs.episode_record import EpisodeRecord
from kgdists.envs.functional.compiled_env import CompiledEnv
from kgdists.envs.functional.known import compiled, has_compiled
from kgdists.envs.functional.single_env import CompiledGymEnv
from kgdists.envs.functional.vector_env import CompiledVectorEnv
from kgdists.envs.given_env import GivenEnv, check_alone, is_alone
from kgdists.envs.registered import make_registered, preprocessed
from kgdists.envs.same_step import has_native_envs, in_time, native_envs
from kgdists.envs.sync_envs import SyncEnvs

__all__ = ["Env", "check_maker", "make_env", "make_envs", "make_others"]

# An id, a function that makes one environment, one environment itself, a vector environment, or a compiled one.
Env: TypeAlias = str | Callable[[], gymnasium.Env] | gymnasium.Env | VectorEnv | CompiledEnv

TOGETHER_FROM = 16  # environments, for which CartPole-v1 is stepped twice as fast by its own vector version


def make_envs(
    env: Env,
    num_envs: Integer,
    vectorization: str = "sync",
    encoding: Encoding | None = None,
    log_info: Sequence[str] = (),
    runs_compiled: bool = False,
) -> VectorEnv:
    """Make `num_envs` copies of an environment, stepped together, whose observations are (nested) arrays of numbers.

    They reset in the very step in which an episode ends and hand out its final observation in the info, so that no
    reset step ever counts as a step of the environment. A vector environment that is given does so by a `SameStep`, if
    that can be; of one that resets a step later, `Rollouts` tell which steps are none. Where they observe an action
    mask, `ActionMask` keeps it apart. What an environment returns is checked and copied by a `CheckedEnv`; infos hold
    nothing but final observations and what `log_info` names.

    Parameters
    ----------
    env : str, callable, gymnasium.Env, gymnasium.vector.VectorEnv or CompiledEnv
        An id, a function that makes one `gymnasium.Env`, one itself, which nobody but you closes, a vector
        environment, or a compiled one.
    num_envs : int, >= 1
        1 for one environment itself.
    vectorization : str
        "sync": one after the other. "async": shared out among processes, with the very numbers of "sync". "native": by
        the vector environment of an id's own, with other random numbers. "compiled": by one function of tensors.
        "auto": from 16 environments on "compiled" where there is such a one and `runs_compiled`, or "native" for
        CartPole, else "sync". A vector environment that is given is taken as it is.
    encoding : None or kgdists.envs.array_observations.Encoding
        How other observations than arrays become arrays, texts for instance; None is the default one.
    log_info : sequence of str
        Entries that infos keep in the step in which an episode ends, numbers in `"final_info"`.
    runs_compiled : bool
        Whether who asks runs compiled environments in one program with what else it does.

    Returns
    -------
    gymnasium.vector.VectorEnv

    Raises
    ------
    ValueError
        For several of one environment itself, "native" without there being one, or an environment whose spaces, or
        whose `reset`, cannot be used.
    """
    encoding = Encoding() if encoding is None else encoding
    env = _instance(env)
    if isinstance(env, CompiledEnv) and vectorization in ("auto", "sync"):
        vectorization = "compiled"
    if encoding.preprocessing != "none" and (isinstance(env, VectorEnv) or vectorization in ("native", "compiled")):
        raise ValueError(
            "`preprocessing` must be none for vector environments, which are made with their wrappers. "
            f"Received: preprocessing={encoding.preprocessing!r}"
        )
    if isinstance(env, VectorEnv):
        envs = in_time(env)
        _check_masks(envs, encoding)
        _check_members(envs, log_info)
        space = envs.single_observation_space
        return envs if encoding.space(space) == space else VectorArrayObservations(envs, encoding)
    check_maker(env)
    num_envs = count("num_envs", num_envs)
    choice("vectorization", vectorization, VECTORIZATIONS)
    if is_alone(env):
        check_alone(num_envs, vectorization)
    if vectorization == "auto":
        vectorization = _best(env, num_envs, runs_compiled and encoding == Encoding())
    if vectorization == "native":
        return native_envs(env, num_envs)
    if vectorization == "compiled":
        return _compiled_envs(env, num_envs, encoding)
    makers = [functools.partial(make_env, env, i, encoding=encoding, log_info=tuple(log_info)) for i in range(num_envs)]
    return AsyncEnvs(makers) if vectorization == "async" else SyncEnvs(makers)


def _instance(env):
    """One of a class of compiled environments, which is a function that makes one; all else as it is."""
    return env() if isinstance(env, type) and issubclass(env, CompiledEnv) else env


def _best(env, num_envs, runs_compiled):
    """What "auto" stands for."""
    if num_envs < TOGETHER_FROM:
        return "sync"
    if runs_compiled and has_compiled(env):
        return "compiled"
    return "native" if has_native_envs(env) else "sync"


def _compiled_envs(env, num_envs, encoding):
    envs = CompiledVectorEnv(compiled(env), num_envs)
    space = envs.single_observation_space
    _check_masks(envs, encoding)
    if encoding.space(space) != space and not (isinstance(space, Dict) and "action_mask" in space.keys()):
        raise ValueError(
            f"A compiled environment must observe arrays, (nested) boxes of fixed shapes. Received: {in_short(space)}"
        )
    return envs


def make_others(env: Env, num_envs: Integer, episodes: int, encoding: Encoding | None = None) -> VectorEnv:
    """Make environments for evaluations beside those of a training.

    Parameters
    ----------
    env : str, callable, gymnasium.Env or gymnasium.vector.VectorEnv
        What those of the training were made of.
    num_envs : int, >= 1
        How many are wanted.
    episodes : int, >= 1
        Of an evaluation: there are no more environments than these.
    encoding : None or kgdists.envs.array_observations.Encoding
        As for `make_envs`.

    Returns
    -------
    gymnasium.vector.VectorEnv

    Raises
    ------
    ValueError
        Where there are no others than those that were given.
    """
    num_envs = count("eval_envs", num_envs)
    if isinstance(env, VectorEnv) or is_alone(env):
        raise ValueError(
            "`eval_envs` must be None where environments were given, of which there may be no others: pass an id, or a "
            f"function that makes one. Received: eval_envs={num_envs}, env={in_short(env)}"
        )
    return make_envs(env, min(num_envs, episodes), encoding=encoding)


def check_maker(env: Any) -> None:
    """Raise unless there is an environment in what was given: an id, a function that makes one, or one itself."""
    if not (isinstance(env, (str, CompiledEnv)) or callable(env) or is_alone(env)):
        raise ValueError(
            "`env` must be an id, a function that makes an environment, a gymnasium.Env, or a VectorEnv. "
            f"Received: {env!r}"
        )


def make_env(
    env: str | Callable[[], gymnasium.Env] | gymnasium.Env | CompiledEnv,
    index: int = 0,
    records: bool = True,
    encoding: Encoding | None = None,
    log_info: Sequence[str] = (),
) -> gymnasium.Env:
    """Make one environment as those of `make_envs`, of an id, a function that makes one, or one itself.

    Parameters
    ----------
    env : str, callable, gymnasium.Env or CompiledEnv
    index : int
        Its place among others, which errors name.
    records : bool
        Whether it records its episodes, so that they can be played again; see `EpisodeRecord`.
    encoding : None or kgdists.envs.array_observations.Encoding
        How other observations than arrays become arrays; None is the default one.
    log_info : sequence of str
        Entries that infos keep in the step in which an episode ends.

    Returns
    -------
    gymnasium.Env
    """
    encoding = Encoding() if encoding is None else encoding
    single = checked(preprocessed(_made(env, encoding.preprocessing), encoding.preprocessing), index)
    single.get_wrapper_attr("keep_info")(log_info)
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


def _made(env, preprocessing):
    if isinstance(env, str):
        return make_registered(env, preprocessing)
    if isinstance(env, CompiledEnv):
        return CompiledGymEnv(env)
    return GivenEnv(env) if is_alone(env) else env()


def _num_observed(space):
    """How many numbers an observation of arrays consists of, without its mask."""
    example = example_observation(space)
    if isinstance(example, dict):
        example.pop("action_mask", None)
    return sum(x.size for x in tree.flatten(example))


def _check_masks(envs, encoding):
    space = envs.single_observation_space
    if isinstance(space, Dict) and "action_mask" in space.keys():
        if not observes_mask(space, envs.single_action_space, encoding):
            raise ValueError(
                "A VectorEnv whose environments observe action masks must have them in `kgdists.agents.ActionMask`. "
                f"Received: {space}"
            )


def _check_members(envs, log_info):
    """Let Gymnasium's own vector environment check and copy what its environments return, and keep these infos."""
    inner: Any = envs.unwrapped
    if inner.metadata.get("is_checked"):
        if log_info:
            inner.call("keep_info", log_info)
        return
    if not isinstance(inner, SyncVectorEnv):
        return
    if not isinstance(inner.envs[0], CheckedEnv):  # wrappers around it may read infos
        inner.envs = [CheckedEnv(env, i, keeps_info=inner is not envs) for i, env in enumerate(inner.envs)]
    if inner is envs:
        inner.metadata = inner.metadata | {"is_checked": True}
    inner.call("keep_info", log_info)
