"""A compiled environment as an environment of Gymnasium."""

import copy
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from keras import tree

from kgdists.envs.functional.compiled_env import CompiledEnv
from kgdists.envs.functional.vector_env import CompiledVectorEnv
from kgdists.random.seeds import stream

__all__ = ["CompiledGymEnv"]


class CompiledGymEnv(gymnasium.Env):
    """One compiled environment, for whatever takes a `gymnasium.Env`: other libraries, wrappers, `check`, videos.

    Parameters
    ----------
    env : CompiledEnv or callable
        One itself, or what makes it.
    render_mode : None or "rgb_array"
    **kwargs
        For what makes it.

    Examples
    --------
    >>> import kgdists as kg
    >>> env = kg.envs.CompiledGymEnv(kg.envs.compiled("kgdists/Breakout-v0"), render_mode="rgb_array")
    >>> observation, info = env.reset(seed=0)
    >>> observation.shape, env.render().shape
    ((10, 10, 4), (160, 160, 3))
    """

    def __init__(
        self, env: CompiledEnv | Callable[..., CompiledEnv], render_mode: str | None = None, **kwargs: Any
    ) -> None:
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 30}
        self.compiled = env if isinstance(env, CompiledEnv) else env(**kwargs)
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"`render_mode` must be None or rgb_array. Received: render_mode={render_mode!r}")
        self.render_mode = render_mode
        # Each with a generator of its own, which `sample` draws from.
        spaces = self.compiled.observation_space, self.compiled.action_space
        self.observation_space, self.action_space = map(copy.deepcopy, spaces)
        self._envs = CompiledVectorEnv(self.compiled, 1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        # All that is random follows from the generator, which Gymnasium's wrappers may set.
        observations, _ = self._envs.reset(seed=stream(self.np_random.integers(2**31).item(), "compiled"))
        return _only(observations), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        is_nested = isinstance(self.action_space, gymnasium.spaces.OneOf)
        actions = (action,) if is_nested else tree.map_structure(lambda x: np.asarray(x)[None], action)
        observations, rewards, terminated, truncated, infos = self._envs.step(actions)
        observation = infos["final_obs"][0] if "final_obs" in infos else _only(observations)
        info = {name: x[0] for name, x in infos.get("final_info", {}).items()}
        return observation, float(rewards[0]), bool(terminated[0]), bool(truncated[0]), info

    def render(self) -> np.ndarray | None:
        """The picture of `CompiledEnv.render`."""
        if self.render_mode is None:
            return None
        return self.compiled.render(tree.map_structure(lambda x: x.numpy()[0], self._envs.playing().state))


def _only(observations):
    return tree.map_structure(lambda x: x[0], observations)
