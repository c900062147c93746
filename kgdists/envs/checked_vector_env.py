"""Checks of what vector environments of someone else's making return, where it comes in."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Dict
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import create_empty_array
from keras import tree

from kgdists.envs.checked_env import WrongReturnError, in_short, is_finite, name_of

__all__ = ["check_observations", "check_reset", "check_step", "final_observation"]


def check_reset(envs: VectorEnv, returned: Any, where: np.ndarray | None = None) -> np.ndarray | dict[str, Any]:
    """The observations that `reset` of a vector environment of someone else's making returned; see `check_step`."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise WrongReturnError(
            f"{name_of(envs)}: `reset` must return a tuple (observations, infos). Received: {_count(returned)}"
        )
    return check_observations(envs, returned[0], where)


def check_step(
    envs: VectorEnv, returned: Any, where: np.ndarray | None = None
) -> tuple[np.ndarray | dict[str, Any], np.ndarray, np.ndarray, np.ndarray, Mapping[str, Any]]:
    """What `step` of a vector environment of someone else's making returned, if it can be learned from.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
    returned : tuple
    where : None or bool array, shape [N]
        The environments whose numbers count; None is all.

    Returns
    -------
    observations, rewards, terminated, truncated : arrays, the last two of bools
    infos : dict
    """
    if not isinstance(returned, (tuple, list)) or len(returned) != 5:
        raise WrongReturnError(
            f"{name_of(envs)}: `step` must return a tuple (observations, rewards, terminated, truncated, infos). "
            f"Received: {_count(returned)}"
        )
    observations, rewards, *flags, infos = returned
    rewards = _of_each(envs, "rewards", "numbers", rewards)
    _check_rows(envs, "reward", rewards, where)
    for i, name in enumerate(("terminated", "truncated")):
        given, flags[i] = flags[i], _of_each(envs, f"`{name}`", "bools", flags[i])
        if not ((flags[i] == 0) | (flags[i] == 1)).all():
            raise WrongReturnError(f"{name_of(envs)}: `{name}` must be bools. Received: {in_short(given)}")
    terminated, truncated = (x.astype(bool) for x in flags)
    if envs.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
        # What ended episodes end with stands among the observations, and nobody reads it.
        goes_on = ~(terminated | truncated)
        where = goes_on if where is None else where & goes_on
    infos = infos if isinstance(infos, Mapping) else {}
    return check_observations(envs, observations, where), rewards, terminated, truncated, infos


def check_observations(
    envs: VectorEnv, observations: Any, where: np.ndarray | None = None
) -> np.ndarray | dict[str, Any]:
    """Observations as an array, or as a dict of one and of a mask, if they are such and finite."""
    space: Any = envs.single_observation_space
    name, x = "observation", observations
    is_masked = isinstance(space, Dict)
    if is_masked:
        if not isinstance(observations, Mapping) or not {"observation", "action_mask"} <= observations.keys():
            raise WrongReturnError(
                f"{name_of(envs)}: observations must be a dict with the keys 'observation' and 'action_mask'. "
                f"Received: {in_short(observations)}"
            )
        space, name, x = space["observation"], "observation['observation']", observations["observation"]
    try:
        x = np.asarray(x)
    except Exception:  # there is no end of what objects raise
        x = np.asarray(None)
    if x.dtype.kind not in "biuf" or x.shape != (envs.num_envs, *space.shape):
        raise WrongReturnError(
            f"{name_of(envs)}: `{name}` must be an array of numbers of shape {(envs.num_envs, *space.shape)}. "
            f"Received: shape {x.shape}, dtype {x.dtype}"
        )
    _check_rows(envs, name, x, where)
    if not is_masked:
        return x
    return {"observation": x, "action_mask": tree.map_structure(np.asarray, observations["action_mask"])}


def final_observation(envs: VectorEnv, infos: Mapping[str, Any], index: int) -> list[np.ndarray]:
    """The final observation of one environment, from the infos of the step in which its episode ended."""
    if "final_obs" not in infos:
        raise WrongReturnError(
            "A VectorEnv must hand out final observations in the info of `step`, as `final_obs`. "
            f"Received: an info with {list(infos)}"
        )
    space = envs.single_observation_space
    shapes = [x.shape for x in tree.flatten(create_empty_array(space, 1, np.zeros))]
    try:
        final = infos["final_obs"][index]
        found = [np.asarray(x) for x in (tree.flatten(final) if isinstance(space, Dict) else [final])]
    except Exception:
        found = []
    if [(1, *x.shape) for x in found] != shapes or any(x.dtype.kind not in "biuf" for x in found):
        raise WrongReturnError(
            f"{name_of(envs)}: `final_obs` in the info of `step` must hold one observation of {space} for each "
            f"environment whose episode has ended. Received: {in_short(infos['final_obs'])}"
        )
    return found


def _of_each(envs, what, kind, given):
    try:
        x = np.asarray(given)
    except Exception:
        x = np.asarray(None)
    if x.shape != (envs.num_envs,) or x.dtype.kind not in "biuf":
        raise WrongReturnError(
            f"{name_of(envs)}: {what} must be {kind} of shape {(envs.num_envs,)}. "
            f"Received: {in_short(given)}, shape {x.shape}"
        )
    return x


def _count(returned):
    if isinstance(returned, (tuple, list)):
        return f"{len(returned)} values, {in_short(returned)}"
    return in_short(returned)


def _check_rows(envs, name, x, where):
    if x.dtype.kind != "f" or is_finite(x):
        return
    rows = np.arange(len(x)) if where is None else np.flatnonzero(where)
    wrong = [i for i in rows.tolist() if not is_finite(x[i : i + 1])]
    if wrong:
        raise WrongReturnError(
            f"Environment {wrong[0]} of {name_of(envs)}: `{name}` must be finite, as float32. "
            f"Received: {in_short(x[wrong[0]])}"
        )
