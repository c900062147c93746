"""A compiled environment as a vector environment of Gymnasium."""

import contextlib
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import OneOf
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array
from keras import tree

from kgdists.core.checks import count
from kgdists.core.compiled import Compiled
from kgdists.core.types import Integer
from kgdists.envs.functional import stepping
from kgdists.envs.functional.compiled_env import CompiledEnv

__all__ = ["STATE", "CompiledVectorEnv"]

STATE = "compiled_state"  # in the arrays of a checkpoint


class CompiledVectorEnv(VectorEnv):
    """N environments of one kind, stepped by one compiled function, which start anew in the step that ends an episode.

    Agents that are given one run it in one program with their update, unless `vectorization` is "sync".

    Parameters
    ----------
    env : CompiledEnv
    num_envs : int, >= 1
        N.

    Attributes
    ----------
    env : CompiledEnv
    variables : list of tf.Variable
        The leaves of a `Playing`, of the episodes that are being played.

    Examples
    --------
    >>> import numpy as np, kgdists as kg
    >>> envs = kg.envs.CompiledVectorEnv(kg.envs.compiled("CartPole-v1"), num_envs=3)
    >>> observations, infos = envs.reset(seed=0)
    >>> observations, rewards, terminated, truncated, infos = envs.step(np.array([0, 1, 1]))
    >>> observations.shape, rewards
    ((3, 4), array([1., 1., 1.], dtype=float32))
    """

    def __init__(self, env: CompiledEnv, num_envs: Integer = 1) -> None:
        _check_attributes(env)
        self.env, self.num_envs = env, count("num_envs", num_envs)
        self.single_observation_space, self.single_action_space = env.observation_space, env.action_space
        self.observation_space = batch_space(env.observation_space, self.num_envs)
        self.action_space = batch_space(env.action_space, self.num_envs)
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "is_compiled": True}
        self.spec = EnvSpec(env.id or type(env).__name__, max_episode_steps=env.max_episode_steps)
        self._begin, self._step = Compiled(self._begun), Compiled(self._stepped)
        with _explaining_branches():
            playing, observations = self._begin(*_int64(0, 0))
        self._like = playing
        self.variables = [tf.Variable(x, trainable=False) for x in tree.flatten(playing)]
        _check_observations(env, observations, self.num_envs)
        self._check_step()
        self._is_started = False

    def _begun(self, seed, clock):
        playing = stepping.begin(self.env, self.num_envs, seed, clock)
        return playing, stepping.observed(self.env, playing.state)

    def _stepped(self, leaves, actions):
        playing, stepped = stepping.step(self.env, tree.pack_sequence_as(self._like, leaves), actions)
        return tree.flatten(playing), stepped, stepping.observed(self.env, playing.state)

    def _check_step(self):
        """Trace a step, so that what is wrong with a function is told before a training."""
        space: Any = self.single_action_space
        if isinstance(space, OneOf):
            values = tuple(create_empty_array(part, self.num_envs, np.zeros) for part in space.spaces)
            action: Any = (np.zeros(self.num_envs, "int64"), values)
        else:
            action = create_empty_array(space, self.num_envs, np.zeros)
        with _explaining_branches():
            tf.function(self._stepped, autograph=False).get_concrete_function(tree.flatten(self._like), action)

    def playing(self) -> stepping.Playing:
        """The episodes being played, tensors; for traced functions too."""
        return tree.pack_sequence_as(self._like, [tf.convert_to_tensor(x) for x in self.variables])

    def assign(self, playing: stepping.Playing) -> None:
        """Go on with other episodes."""
        for variable, x in zip(self.variables, tree.flatten(playing), strict=True):
            variable.assign(x)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start new episodes in all environments; Gymnasium's `reset`.

        Parameters
        ----------
        seed : None or int, >= 0
            Of all that is random in the environments. None goes on with the numbers of the last one, if there was one.
        options : None
            There are none.
        """
        if options:
            raise ValueError(f"Compiled environments take no options of `reset`. Received: options={options}")
        if isinstance(seed, Sequence):
            seed = seed[0]
        seed = count("seed", seed, least=0, optional=True)
        clock = 0
        if seed is None and self._is_started:
            now = self.playing()
            seed, clock = int(now.seed), int(now.clock) + 1
        seed = np.random.default_rng().integers(2**62).item() if seed is None else seed
        playing, observations = self._begin(*_int64(seed, clock))
        self.assign(playing)
        self._is_started = True
        return _arrays(observations), {}

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step all environments; Gymnasium's `step`.

        Parameters
        ----------
        actions : batch of actions
            Of the action space, [N, ...].
        """
        if not self._is_started:
            raise ValueError("`reset` must be called before `step`. Received: environments that play no episodes")
        leaves, stepped, observations = self._step([x.numpy() for x in self.variables], self._batch(actions))
        for variable, x in zip(self.variables, leaves, strict=True):
            variable.assign(x)
        observations, stepped = _arrays(observations), stepping.Stepped(*_arrays(tuple(stepped)))
        ended = stepped.terminated | stepped.truncated
        return observations, stepped.rewards, stepped.terminated, stepped.truncated, self._infos(stepped, ended)

    def _batch(self, actions):
        """Actions as (nested) arrays [N, ...] of the action space; those of a OneOf as `CompiledEnv` takes them."""
        if isinstance(self.single_action_space, OneOf):
            return _choices(self.single_action_space, actions)
        like = create_empty_array(self.single_action_space, self.num_envs)
        try:
            return tree.map_structure_up_to(like, lambda x, y: _shaped(y, x), like, actions)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`actions` must be a batch of {self.num_envs} actions of {self.single_action_space}. "
                f"Received: {actions!r}"
            ) from error

    def _infos(self, stepped, ended):
        if not ended.any():
            return {}
        finals = np.full(self.num_envs, None)
        for i in np.flatnonzero(ended).tolist():
            finals[i] = tree.map_structure(lambda x, i=i: x[i], stepped.observations)
        infos: dict[str, Any] = {"final_obs": finals, "_final_obs": ended}
        if stepped.info:
            infos |= {"final_info": stepped.info, "_final_info": ended}
        return infos

    def arrays(self) -> dict[str, np.ndarray]:
        """Name -> array of the episodes being played, from which `restore` goes on."""
        return {f"{STATE}_{i}": x.numpy() for i, x in enumerate(self.variables)}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on with the episodes of such arrays.

        Raises
        ------
        ValueError
            For arrays of other environments.
        """
        values = [arrays[f"{STATE}_{i}"] for i in range(sum(name.startswith(f"{STATE}_") for name in arrays))]
        if [(x.shape, x.dtype) for x in values] != [(tuple(x.shape), x.dtype.as_numpy_dtype) for x in self.variables]:
            raise ValueError(
                "Episodes go on in environments of the same state. "
                f"Received: shapes {[x.shape for x in values]}, not {[tuple(x.shape) for x in self.variables]}"
            )
        for variable, x in zip(self.variables, values, strict=True):
            variable.assign(x)
        self._is_started = True


def _int64(*numbers):
    return [np.asarray(x, "int64") for x in numbers]


def _arrays(nested):
    return tree.map_structure(np.asarray, nested)


def _shaped(x, like):
    x = np.asarray(x, like.dtype)
    if x.shape != like.shape:
        raise ValueError
    return x


def _choices(space, actions):
    """A tuple of actions of a OneOf as an index [N], and a batch of each of its spaces; zeros where it is not taken."""
    values = []
    for i, part in enumerate(space.spaces):
        batch = create_empty_array(part, len(actions), np.zeros)
        for row, (index, value) in enumerate(actions):
            if index == i:
                for x, y in zip(tree.flatten(batch), tree.flatten(value), strict=True):
                    x[row] = y
        values.append(batch)
    return np.array([index for index, _ in actions], "int64"), tuple(values)


def _check_attributes(env):
    for name in ("observation_space", "action_space"):
        space = getattr(env, name, None)
        if not isinstance(space, gymnasium.Space):
            raise ValueError(
                f"`{name}` of a compiled environment must be a gymnasium.spaces.Space. "
                f"Received: {space!r}, of {type(env).__name__}"
            )
    count("max_episode_steps", env.max_episode_steps, optional=True)


@contextlib.contextmanager
def _explaining_branches():
    """Say in one line what TensorFlow says in ten where a traced function asks for a value."""
    try:
        yield
    except tf.errors.OperatorNotAllowedInGraphError as error:
        raise ValueError(
            "The functions of a compiled environment are traced: choose by `keras.ops.where`, not by Python's `if`, "
            f"`and`, `or` or a loop over a tensor. Received: {str(error).partition('.')[0]}"
        ) from error


def _check_observations(env, observations, num_envs):
    like = create_empty_array(env.observation_space, num_envs)
    forms = [tree.map_structure(lambda x: (tuple(x.shape), _kind(x)), x) for x in (like, _arrays(observations))]
    if forms[0] != forms[1]:
        raise ValueError(
            f"`observation` of {type(env).__name__} must return what its space holds, (nested) arrays [N, ...] of "
            f"shapes and kinds {forms[0]}. Received: {forms[1]}"
        )


def _kind(x):
    return "f" if x.dtype.kind == "f" else x.dtype.name
