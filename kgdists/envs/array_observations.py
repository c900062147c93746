"""Environments that observe arrays of fixed shapes, whatever their observation space."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space, iterate

from kgdists.core.checks import choice, count
from kgdists.core.choices import MAX_LENGTH, PREPROCESSING
from kgdists.encoders.arrays import array_space, encode_observation, encode_observations

__all__ = ["ArrayObservations", "Encoding", "VectorArrayObservations"]


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How observations become arrays of fixed shapes.

    Parameters
    ----------
    max_length : int, >= 1
        Items of a Sequence, at most; see `kgdists.encoders.encode_observation`.
    is_flat : bool
        Whether everything but a Box becomes one vector of floats, as in runs of 0.1.
    preprocessing : str
        Wrappers that are customary before; see `kgdists.envs.registered.preprocessed`.

    Raises
    ------
    ValueError
        For another length or preprocessing.
    """

    max_length: int = MAX_LENGTH
    is_flat: bool = False
    preprocessing: str = "none"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """How observations become arrays by the settings of an agent; those that are left out are the defaults."""
        known = {name: settings[name] for name in ("max_length", "preprocessing") if name in settings}
        return cls(is_flat=settings.get("encoder") == "flat", **known)

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_length", count("max_length", self.max_length))
        choice("preprocessing", self.preprocessing, PREPROCESSING)

    def space(self, space: gymnasium.Space) -> gymnasium.Space:
        """The space of what observations of `space` become."""
        if not self.is_flat:
            return array_space(space, max_length=self.max_length)
        flat: Any = space if isinstance(space, Box) else _flattened(space)
        return Box(flat.low.astype("float32"), flat.high.astype("float32"))

    def encode(self, space: gymnasium.Space, observation: Any) -> Any:
        """One observation of `space` as (nested) arrays."""
        if not self.is_flat:
            return encode_observation(space, observation, max_length=self.max_length)
        flat = observation if isinstance(space, Box) else gymnasium.spaces.flatten(space, observation)
        return np.asarray(flat, "float32")

    def encode_batch(self, space: gymnasium.Space, observations: Any) -> Any:
        """A batch of observations of `space`, as a vector environment returns them, as (nested) arrays [B, ...]."""
        if not self.is_flat:
            return encode_observations(space, observations, max_length=self.max_length)
        if isinstance(space, Box):
            return np.asarray(observations, "float32")
        count = len(observations[0] if isinstance(observations, tuple) else observations)
        rows = iterate(batch_space(space, count), observations)
        return np.stack([self.encode(space, x) for x in rows])


def _flattened(space):
    try:
        flat = gymnasium.spaces.flatten_space(space)
    except NotImplementedError:  # of a space of one's own
        flat = None
    if not isinstance(flat, Box):
        raise ValueError(
            f'`encoder="flat"` must go with observations of as many numbers each time: take "auto". Received: {space}'
        )
    return flat


class ArrayObservations(gymnasium.ObservationWrapper, gymnasium.utils.RecordConstructorArgs):
    """Observe arrays: texts as bytes, sequences padded, as `kgdists.encoders.encode_observation` makes them.

    Parameters
    ----------
    env : gymnasium.Env
    encoding : Encoding
    """

    def __init__(self, env: gymnasium.Env, encoding: Encoding) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self, encoding=encoding)
        super().__init__(env)
        self.encoding = encoding
        self.observed_space = env.observation_space
        self.observation_space = self.encoding.space(env.observation_space)

    def observation(self, observation: Any) -> Any:
        """An observation of the environment as arrays."""
        try:
            return self.encoding.encode(self.observed_space, observation)
        except ValueError as error:
            raise self.env.get_wrapper_attr("wrong")(error) from error


class VectorArrayObservations(VectorWrapper):
    """A vector environment whose observations, the final ones too, become arrays; see `ArrayObservations`.

    Parameters
    ----------
    env : gymnasium.vector.VectorEnv
    encoding : Encoding
    """

    def __init__(self, env: VectorEnv, encoding: Encoding) -> None:
        super().__init__(env)
        self.encoding = encoding
        self.single_observation_space = encoding.space(env.single_observation_space)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self.metadata = env.metadata | {"observed_space": env.single_observation_space}

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observations, infos = self.env.reset(seed=seed, options=options)
        return self.encoding.encode_batch(self.env.single_observation_space, observations), infos

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        space = self.env.single_observation_space
        if "final_obs" in infos:
            finals = np.full(self.num_envs, None)
            for i, final in enumerate(infos["final_obs"]):
                finals[i] = None if final is None else self.encoding.encode(space, final)
            infos = infos | {"final_obs": finals}
        return self.encoding.encode_batch(space, observations), rewards, terminated, truncated, infos
