"""Environments that rule actions out: the action mask apart from the observation."""

from typing import Any, SupportsFloat

import gymnasium
from gymnasium.spaces import Box, Dict, Tuple
from keras import tree

from kgdists.envs.array_observations import Encoding
from kgdists.envs.checked_env import checked
from kgdists.spaces import encode_mask

__all__ = ["ActionMask", "observes_mask"]


class ActionMask(gymnasium.Wrapper):
    """Observe `{"observation": ..., "action_mask": ...}`: (nested) arrays, and a mask that a policy's head takes.

    The environment gives its masks in Gymnasium's format, that of `action_space.sample(mask=...)`, as the entry
    `"action_mask"` of a dict observation or, where observations have none, of the info of `reset` and `step`. None
    rules nothing out. What else it observes becomes arrays as `kgdists.encoders.encode_observation` makes them. Agents
    wrap environments of the first kind themselves.

    Parameters
    ----------
    env : gymnasium.Env
    encoding : None or kgdists.envs.array_observations.Encoding
        How other observations than arrays become arrays; None is the default one.

    Examples
    --------
    >>> import gymnasium, kgdists as kg
    >>> env = kg.agents.ActionMask(gymnasium.make("Taxi-v4"))
    >>> observation, _ = env.reset(seed=0)
    >>> observation["observation"].shape, observation["action_mask"].dtype
    ((), dtype('bool'))
    """

    def __init__(self, env: gymnasium.Env, encoding: Encoding | None = None) -> None:
        super().__init__(checked(env, keeps_info=True))
        self.encoding = Encoding() if encoding is None else encoding
        space: Any = env.observation_space
        self._is_observed = isinstance(space, Dict) and "action_mask" in space.keys()
        if self._is_observed:
            space = Dict({name: branch for name, branch in space.items() if name != "action_mask"})
            space = space["observation"] if list(space.keys()) == ["observation"] else space
        self.observed_space = space  # without masks, before it becomes arrays
        self.observation_space = Dict(observation=self.encoding.space(space), action_mask=_mask_space(env.action_space))
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
            observation = observation["observation"] if list(observation) == ["observation"] else observation
        elif "action_mask" in info:
            mask = info["action_mask"]
        else:
            raise self._error(
                '`"action_mask"` must be in a dict observation or in the info of `reset` and `step`', list(info)
            )
        try:
            observation = self.encoding.encode(self.observed_space, observation)
        except ValueError as error:
            raise self.env.get_wrapper_attr("wrong")(error) from error
        try:
            encoded = encode_mask(self.env.action_space, mask)
        except (AttributeError, TypeError, ValueError) as error:
            rule = str(error).partition(" Received: ")[0].rstrip(".") if isinstance(error, ValueError) else ""
            raise self._error(
                f"the action mask must be one for {self.env.action_space}. {rule}".rstrip(". "), mask
            ) from error
        if [x.shape for x in tree.flatten(encoded)] != self._mask_shapes:
            raise self._error(f"the action mask must be one for {self.env.action_space}", mask)
        return {"observation": observation, "action_mask": encoded}

    def _error(self, rule, received):
        return self.env.get_wrapper_attr("error")(rule, received)


def observes_mask(
    observation_space: gymnasium.Space, action_space: gymnasium.Space, encoding: Encoding | None = None
) -> bool:
    """Whether observations are of the form that `ActionMask` gives them, with that encoding.

    Parameters
    ----------
    observation_space, action_space : gymnasium.spaces.Space
        Of a single environment.
    encoding : None or kgdists.envs.array_observations.Encoding
        None is the default one.
    """
    encoding = Encoding() if encoding is None else encoding
    return (
        isinstance(observation_space, Dict)
        and observation_space.keys() == {"observation", "action_mask"}
        and encoding.space(observation_space["observation"]) == observation_space["observation"]
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
