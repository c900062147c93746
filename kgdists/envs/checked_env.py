"""Checks of what environments return, where it comes in."""

import copy
import decimal
import inspect
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

from kgdists.core.checks import in_short
from kgdists.envs.episode_infos import as_number

__all__ = ["CheckedEnv", "WrongReturnError", "checked", "is_finite", "name_of"]

LARGEST = float(np.finfo("float32").max)  # which networks and statistics can take
STEP = "a tuple (observation, reward, terminated, truncated, info)"


class WrongReturnError(ValueError):
    """An environment returned something that cannot be learned from."""


def checked(env: gymnasium.Env, index: int = 0, keeps_info: bool = False) -> gymnasium.Env:
    """The environment as a `CheckedEnv`, unless it is one already."""
    return env if (getattr(env, "metadata", None) or {}).get("is_checked") else CheckedEnv(env, index, keeps_info)


class CheckedEnv(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """Check and copy what an environment returns, so that nothing it does later or did wrong reaches a training.

    Observations must be values of the observation space, finite as float32; they come as copies. Only the final
    observation of a terminated episode may hold numbers that are not finite, since no value follows it: they become 0.
    Rewards must be finite numbers as well. Bounds of a Box are not checked.

    Parameters
    ----------
    env : gymnasium.Env
    index : int
        Its place among others, which errors name.
    keeps_info : bool
        Whether infos are handed on; else only the action mask is and, at the end of an episode, what `keep_info` names,
        so that nothing in an info can end a training.
    """

    def __init__(self, env: gymnasium.Env, index: int = 0, keeps_info: bool = False) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self, index=index, keeps_info=keeps_info)
        name = name_of(env)
        if not isinstance(env, gymnasium.Env):
            raise WrongReturnError(f"{name} must be a gymnasium.Env. Received: {in_short(env)}")
        for which in ("observation_space", "action_space"):
            space = getattr(env, which, None)
            if not isinstance(space, Space):
                raise WrongReturnError(
                    f"{name} must have a `{which}`, a space of `gymnasium.spaces`. Received: {in_short(space)}"
                )
        _check_signatures(env, name)
        super().__init__(env)
        self.metadata = dict(env.metadata or {}) | {"is_checked": not keeps_info}
        self._called = f"Environment {index} ({name})"
        self._keeps_info, self._space = keeps_info, env.observation_space
        self._kept: tuple[str, ...] = ()
        # What most observations are told by, at each step: properties of a space take as long as a small array.
        is_box = type(self._space) is Box
        self._dtype: np.dtype | None = self._space.dtype if is_box else None
        self._shape: tuple[int, ...] | None = self._space.shape if is_box else None
        self._is_float = self._dtype is not None and self._dtype.kind == "f"
        self._length = 0

    def keep_info(self, names: Sequence[str]) -> None:
        """Hand on these entries of the info of the step in which an episode ends, as floats; NaN if they are none."""
        self._kept = tuple(dict.fromkeys((*self._kept, *names)))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._length = 0
        try:
            returned = self.env.reset(seed=seed, options=options)
        except FloatingPointError as error:
            raise self.error("`reset` must not raise a FloatingPointError", error) from error
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise self.error("`reset` must return a tuple (observation, info)", returned)
        return self._observation(returned[0]), self._info(returned[1])

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._length += 1
        try:
            returned = self.env.step(action)
        except FloatingPointError as error:  # which would mean that the training has diverged
            raise self.error("`step` must not raise a FloatingPointError", error) from error
        if not isinstance(returned, (tuple, list)) or len(returned) != 5:
            raise self.error(f"`step` must return {STEP}", returned)
        observation, reward, terminated, truncated, info = returned
        if not isinstance(reward, float) or not -LARGEST <= reward <= LARGEST:
            reward = self._reward(reward)
        if type(terminated) is not bool:
            terminated = self._flag("terminated", terminated)
        if type(truncated) is not bool:
            truncated = self._flag("truncated", truncated)
        if self._keeps_info or type(info) is not dict or info:
            info = self._info(info, self._kept if terminated or truncated else ())
        return self._observation(observation, terminated), reward, terminated, truncated, info

    def _observation(self, x, is_final=False):
        if type(x) is np.ndarray and x.dtype is self._dtype and x.shape == self._shape:
            x = x.copy()
            if not self._is_float or is_finite(x):
                return x
        try:
            return _value(self._space, x, "observation", is_final)
        except _Wrong as error:
            raise self.error(*error.args) from error.__cause__

    def _reward(self, reward):
        try:
            plain = isinstance(reward, (numbers.Real, decimal.Decimal))  # also those that no array holds
            x = np.asarray(float(reward) if plain else None if reward is np.ma.masked else reward)
        except OverflowError:
            x = np.asarray(np.inf)
        except Exception:  # there is no end of what objects raise
            x = np.asarray(None)
        if x.shape or x.dtype.kind not in "biuf":
            remedy = (
                ", as a `gymnasium.RewardWrapper` makes of several" if x.size > 1 and x.dtype.kind in "biuf" else ""
            )
            raise self.error(f"the reward must be one number{remedy}", reward)
        if not -LARGEST <= x <= LARGEST:
            raise self.error("the reward must be finite, as a float32", reward)
        return float(x)

    def _flag(self, name, flag):
        try:
            x = np.asarray(flag)
        except Exception:
            x = np.asarray(None)
        if x.shape or x.dtype.kind not in "biuf" or x not in (0, 1):
            raise self.error(f"`{name}` must be a bool", flag)
        return bool(x)

    def _info(self, info, names=()):
        if self._keeps_info:
            return info if isinstance(info, dict) else {}
        if not isinstance(info, Mapping):
            return {}
        kept = {name: as_number(info[name]) for name in names if name in info}
        return kept | ({"action_mask": info["action_mask"]} if "action_mask" in info else {})

    def wrong(self, error: ValueError) -> WrongReturnError:
        """The error that the environment has broken the rule of another one, at this step."""
        rule, _, received = str(error).partition(" Received: ")
        return self.error(rule.rstrip("."), _Found(received))

    def error(self, rule: str, received: Any) -> WrongReturnError:
        """The error that the environment has broken a rule, at this step."""
        if isinstance(received, tuple) and len(received) not in (2, 5):
            received = f"{len(received)} values, {in_short(received)}"
        elif not isinstance(received, _Found):
            received = in_short(received)
        return WrongReturnError(f"{self._called}, step {self._length} of its episode: {rule}. Received: {received}")


class _Wrong(Exception):
    """A rule, and what does not keep it."""


class _Found(str):
    """What was received, in words."""


def _check_signatures(env, name):
    """Raise where `reset` or `step` of the environment, or of a wrapper, does not take what is passed to it."""
    while True:
        for method, rule, given in (
            ("reset", "reset(self, *, seed=None, options=None)", ((), {"seed": None, "options": None})),
            ("step", "step(self, action)", ((None,), {})),
        ):
            try:
                signature = inspect.signature(getattr(env, method))
            except (TypeError, ValueError):  # of another language
                continue
            try:
                signature.bind(*given[0], **given[1])
            except TypeError as error:
                received = f"{method}{signature} of {type(env).__name__}, {error}"
                raise WrongReturnError(f"{name}: `{method}` must be `{rule}`. Received: {received}") from error
        if not isinstance(env, gymnasium.Wrapper):
            return
        env = env.env


def _value(space, x, path, is_final):
    """A copy of `x`, which must be a value of the space."""
    if isinstance(space, (Box, MultiBinary, MultiDiscrete)):
        array = _array(space, x, path)
        if array.dtype.kind == "f" and not is_finite(array):
            bad = ~_finite(array)
            if not is_final:
                at = tuple(np.argwhere(bad)[0].tolist())
                text = f"{array[at]}" + (f" at [{', '.join(map(str, at))}]" if at else "")
                raise _Wrong(f"`{path}` must be finite, as float32", _Found(text))
            array[bad] = 0.0
        if not isinstance(space, Box) and not space.contains(array):
            raise _Wrong(f"`{path}` must be in {space}", x)
        return array
    if isinstance(space, Dict):
        if not isinstance(x, Mapping):
            raise _Wrong(f"`{path}` must be a dict with {in_short(list(space.keys()))}", x)
        missing = [name for name in space.keys() if name not in x]
        if missing:
            raise _Wrong(f"`{path}` must have the key {missing[0]!r}", _Found(f"a dict with {in_short(list(x))}"))
        return {
            # A mask may be None, or nested otherwise than its space; `encode_mask` checks it.
            name: copy.deepcopy(x[name])
            if (path, name) == ("observation", "action_mask")
            else _value(branch, x[name], f"{path}[{name!r}]", is_final)
            for name, branch in space.items()
        }
    if isinstance(space, Tuple):
        if not isinstance(x, (tuple, list)) or len(x) != len(space.spaces):
            raise _Wrong(f"`{path}` must be a tuple of {len(space.spaces)}", x)
        pairs = enumerate(zip(space.spaces, x, strict=True))
        return tuple(_value(branch, part, f"{path}[{i}]", is_final) for i, (branch, part) in pairs)
    try:
        is_value = bool(space.contains(x))
    except Exception:  # of a space of one's own, too
        is_value = False
    if not is_value:
        raise _Wrong(f"`{path}` must be in {in_short(space)}", x)
    return space.dtype.type(x) if isinstance(space, Discrete) else copy.deepcopy(x)


def _array(space, x, path):
    try:
        array = np.asarray(x)
    except Exception as error:
        raise _Wrong(f"`{path}` must be an array of numbers", x) from error
    if array.dtype.kind not in "biuf":
        raise _Wrong(f"`{path}` must be an array of numbers", x)
    if array.shape != space.shape:
        raise _Wrong(f"`{path}` must have the shape of its space, {space.shape}", _Found(f"shape {array.shape}"))
    with np.errstate(all="ignore"):
        cast = np.array(array, space.dtype)
    if cast.dtype.kind != "f" and not np.array_equal(cast, array):
        raise _Wrong(f"`{path}` must have values of the dtype of its space, {space.dtype}", x)
    return cast


def is_finite(x: np.ndarray) -> bool:
    """Whether all of a float array is finite as float32."""
    # The method `all` takes four times as long for a few numbers.
    return b"\0" not in _finite(x).tobytes()


def _finite(x):
    return np.isfinite(x) if x.itemsize <= 4 else np.abs(x) <= LARGEST


def name_of(env: Any) -> str:
    """The id of an environment, else the name of its class."""
    spec = getattr(env, "spec", None)
    return getattr(spec, "id", None) or type(getattr(env, "unwrapped", env)).__name__
