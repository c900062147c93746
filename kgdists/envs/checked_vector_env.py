"""Checks of what vector environments of someone else's making return, where it comes in."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Dict, Tuple
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import create_empty_array
from keras import tree

from kgdists.core.checks import in_short
from kgdists.envs.autoreset import resets_late
from kgdists.envs.checked_env import WrongReturnError, is_finite, name_of

__all__ = ["check_observations", "check_reset", "check_step", "final_observation"]


def check_reset(envs: VectorEnv, returned: Any, where: np.ndarray | None = None) -> Any:
    """The observations that `reset` of a vector environment of someone else's making returned; see `check_step`."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise WrongReturnError(
            f"{name_of(envs)}: `reset` must return a tuple (observations, infos). Received: {_count(returned)}"
        )
    return check_observations(envs, returned[0], where)


def check_step(
    envs: VectorEnv, returned: Any, where: np.ndarray | None = None
) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, Mapping[str, Any]]:
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
    if resets_late(envs):
        # What ended episodes end with stands among the observations, and is looked at where it is read.
        goes_on = ~(terminated | truncated)
        where = goes_on if where is None else where & goes_on
    infos = infos if isinstance(infos, Mapping) else {}
    if (envs.metadata or {}).get("autoreset_mode") is None and "final_obs" in infos:
        raise WrongReturnError(
            f"{name_of(envs)}: a VectorEnv that starts new episodes in the step in which one ends must say so, by "
            "`metadata['autoreset_mode'] = gymnasium.vector.AutoresetMode.SAME_STEP`. Received: metadata without"
        )
    return check_observations(envs, observations, where), rewards, terminated, truncated, infos


def check_observations(envs: VectorEnv, observations: Any, where: np.ndarray | None = None) -> Any:
    """Observations as (nested) arrays, if they are such and finite."""
    return _checked(envs, envs.single_observation_space, observations, "observation", where)


def _checked(envs, space, x, name, where):
    if isinstance(space, Dict):
        if not isinstance(x, Mapping) or not space.keys() <= x.keys():
            keys = " and ".join(map(repr, space.keys()))
            raise WrongReturnError(
                f"{name_of(envs)}: `{name}` must be a dict with the keys {keys}. Received: {in_short(x)}"
            )
        return {
            # A mask is nested as its action space is.
            key: tree.map_structure(np.asarray, x[key])
            if (name, key) == ("observation", "action_mask")
            else _checked(envs, part, x[key], f"{name}[{key!r}]", where)
            for key, part in space.items()
        }
    if isinstance(space, Tuple):
        if not isinstance(x, (tuple, list)) or len(x) != len(space.spaces):
            raise WrongReturnError(
                f"{name_of(envs)}: `{name}` must be a tuple of {len(space.spaces)}. Received: {in_short(x)}"
            )
        pairs = enumerate(zip(space.spaces, x, strict=True))
        return tuple(_checked(envs, part, of_part, f"{name}[{i}]", where) for i, (part, of_part) in pairs)
    try:
        x = np.asarray(x)
    except Exception:  # there is no end of what objects raise
        x = np.asarray(None)
    if x.dtype.kind not in "biuf" or x.shape != (envs.num_envs, *space.shape):
        raise WrongReturnError(
            f"{name_of(envs)}: `{name}` must be an array of numbers of shape {(envs.num_envs, *space.shape)}. "
            f"Received: shape {x.shape}, dtype {x.dtype}"
        )
    with np.errstate(all="ignore"):
        cast = x.astype(space.dtype, copy=False)
    if cast.dtype.kind != "f" and not np.array_equal(cast, x):
        raise WrongReturnError(
            f"{name_of(envs)}: `{name}` must have values of the dtype of its space, {space.dtype}. "
            f"Received: {in_short(x)}"
        )
    _check_rows(envs, name, x, where)
    return cast


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
        is_nested = isinstance(space, (Dict, Tuple))
        found = [np.asarray(x) for x in (tree.flatten(final) if is_nested else [final])]
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
