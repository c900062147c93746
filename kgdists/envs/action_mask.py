"""Environments that rule actions out: the action mask apart from the observation."""

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Tuple
from keras import tree

from kgdists.envs.checked_env import checked
from kgdists.spaces import encode_mask

__all__ = ["ActionMask", "observes_mask"]


class ActionMask(gymnasium.Wrapper):
    """Observe `{"observation": ..., "action_mask": ...}`: a float32 array, and a mask that a policy's head takes.

    The environment gives its masks in Gymnasium's format, that of `action_space.sample(mask=...)`, as the entry
    `"action_mask"` of a dict observation or, where observations have none, of the info of `reset` and `step`. None
    rules nothing out. What else it observes is flattened unless it is one Box. Agents wrap environments of the first
    kind themselves.

    Parameters
    ----------
    env : gymnasium.Env

    Examples
    --------
    >>> import gymnasium, kgdists as kg
    >>> env = kg.agents.ActionMask(gymnasium.make("Taxi-v4"))
    >>> observation, _ = env.reset(seed=0)
    >>> observation["observation"].shape, observation["action_mask"].dtype
    ((500,), dtype('bool'))
    """

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(checked(env, keeps_info=True))
        space: Any = env.observation_space
        self._is_observed = isinstance(space, Dict) and "action_mask" in space.keys()
        if self._is_observed:
            space = Dict({name: branch for name, branch in space.items() if name != "action_mask"})
            space = space["observation"] if list(space.keys()) == ["observation"] else space
        self._unmasked = space
        flat: Any = space if isinstance(space, Box) else gymnasium.spaces.flatten_space(space)
        self.observation_space = Dict(
            observation=Box(flat.low.astype("float32"), flat.high.astype("float32")),
            action_mask=_mask_space(env.action_space),
        )
        self._mask_shapes = [x.shape for x in tree.flatten(encode_mask(env.action_space, None))]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._masked(observation, info), info

    def step(self, action: Any) -> tuple[dict[str, Any], SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._masked(observation, info), reward, terminated, truncated, info

    def _masked(self, observation, info):
        if self._is_observed:
            observation = dict(observation)
            mask = observation.pop("action_mask")
            observation = observation if isinstance(self._unmasked, Dict) else observation["observation"]
        elif "action_mask" in info:
            mask = info["action_mask"]
        else:
            raise self._error(
                '`"action_mask"` must be in a dict observation or in the info of `reset` and `step`', list(info)
            )
        if not isinstance(self._unmasked, Box):
            observation = gymnasium.spaces.flatten(self._unmasked, observation)
        try:
            encoded = encode_mask(self.env.action_space, mask)
        except (AttributeError, TypeError, ValueError) as error:
            rule = str(error).partition(" Received: ")[0].rstrip(".") if isinstance(error, ValueError) else ""
            raise self._error(
                f"the action mask must be one for {self.env.action_space}. {rule}".rstrip(". "), mask
            ) from error
        if [x.shape for x in tree.flatten(encoded)] != self._mask_shapes:
            raise self._error(f"the action mask must be one for {self.env.action_space}", mask)
        return {"observation": np.asarray(observation, "float32"), "action_mask": encoded}

    def _error(self, rule, received):
        return self.env.get_wrapper_attr("error")(rule, received)


def observes_mask(observation_space: gymnasium.Space, action_space: gymnasium.Space) -> bool:
    """Whether observations are of the form that `ActionMask` gives them."""
    return (
        isinstance(observation_space, Dict)
        and observation_space.keys() == {"observation", "action_mask"}
        and isinstance(observation_space["observation"], Box)
        and observation_space["action_mask"] == _mask_space(action_space)
    )


def _mask_space(space):
    return _space_of(encode_mask(space, None))


def _space_of(mask):
    if isinstance(mask, dict):
        return Dict({name: _space_of(x) for name, x in mask.items()})
    if isinstance(mask, tuple):
        return Tuple(map(_space_of, mask))
    return Box(0, 1 if mask.dtype == bool else 2, mask.shape, mask.dtype)
