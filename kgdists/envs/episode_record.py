"""Environments that remember how their present episode came about, so that another process can bring it about again."""

import json
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from gymnasium.vector import VectorEnv
from keras import tree

from kgdists.envs.functional.vector_env import STATE, CompiledVectorEnv

__all__ = ["EpisodeRecord", "are_of", "arrays_of", "has_episodes", "records_episodes", "replay"]

ARRAYS = (Box, Discrete, MultiBinary, MultiDiscrete)  # spaces whose samples are arrays of one shape
MAX_STEPS = 100_000  # of an episode that is played again
GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


class EpisodeRecord(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """Keep the state of the environment's generator before the episode, and the actions since.

    A Gymnasium environment cannot be saved; but one whose only randomness is its generator `np_random` does the same
    again from the same state of it and by the same actions. So `PPO.load` and the like go on in the very middle of
    the episodes in which an agent was saved. Agents wrap the environments that they make; a `VectorEnv` that is given
    to one goes on with new episodes unless its environments have this wrapper as their outermost. An episode of more
    than 100,000 steps is not kept: where it is left, a new one is started.

    Parameters
    ----------
    env : gymnasium.Env

    Examples
    --------
    >>> import gymnasium, kgdists as kg
    >>> envs = gymnasium.vector.SyncVectorEnv(
    ...     [lambda: kg.agents.EpisodeRecord(gymnasium.make("CartPole-v1"))] * 2,
    ...     autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
    ... )
    >>> agent = kg.agents.PPO(envs, n_steps=32, seed=0)
    """

    def __init__(self, env: gymnasium.Env) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self.metadata = dict(env.metadata) | {"records_episodes": True}
        self.to_replay: Any = None
        # The bytes of an action take a tenth of the room of its array.
        self._is_array = isinstance(env.action_space, (Box, MultiBinary, MultiDiscrete))
        self._dtype, self._shape = env.action_space.dtype, env.action_space.shape or ()
        self._start: dict[str, Any] | None = None
        self._actions, self._left = self._no_actions(), MAX_STEPS

    def _no_actions(self) -> Any:
        return bytearray() if self._is_array else []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if options is not None:
            self._start = None  # which may be anything
        elif seed is not None:
            self._start = {"seed": int(seed)}
        else:
            self._start = self._generator()
        self._actions, self._left = self._no_actions(), MAX_STEPS
        return self.env.reset(seed=seed, options=options)

    def _generator(self):
        """The state of Gymnasium's generator; None of another, which cannot be set again."""
        try:
            return {"generator": self.unwrapped.np_random.bit_generator.state}
        except Exception:  # there is no end of what stands under that name
            return None

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        if self._left:
            self._left -= 1
            if self._is_array:
                self._actions += np.asarray(action, self._dtype).tobytes()
            else:
                self._actions.append(action)
        elif self._start is not None:
            self._start, self._actions = None, self._no_actions()
        return self.env.step(action)

    def episode(self) -> tuple[dict[str, Any] | None, list[Any] | np.ndarray]:
        """How the present episode started, None if that cannot be repeated, and its actions."""
        if not self._is_array:
            return self._start, self._actions
        return self._start, np.frombuffer(bytes(self._actions), self._dtype).reshape(-1, *self._shape)

    def replay(self) -> tuple[Any, bool]:
        """Do again what `to_replay` holds, a dict of `start`, `actions`, and what must come of them.

        Returns
        -------
        observation
            The present one.
        is_same : bool
            Whether `observation` and `total`, the sum of the rewards, have come of it; if not, this is a new episode,
            started with `seed`.
        """
        given, self.to_replay = self.to_replay, None
        try:
            observation, total = self._repeated(given["start"], given["actions"])
        except Exception:  # an environment in another state may refuse an action in any way
            observation, total = None, None
        if total is not None and _are_equal(total, given["total"]) and _are_equal(observation, given["observation"]):
            return observation, True
        return self.reset(seed=given["seed"])[0], False

    def _repeated(self, start, actions):
        if start is None:
            return None, None
        if "generator" in start:
            self.unwrapped.np_random = _generator(start["generator"])
        observation, _ = self.reset(seed=start.get("seed"))
        total = 0.0
        for action in actions:
            observation, reward, terminated, truncated, _ = self.step(action)
            total += float(reward)
            if terminated or truncated:
                return None, None
        return observation, total


def records_episodes(envs: VectorEnv) -> bool:
    """Whether the environments of a vector environment are `EpisodeRecord`s, or compiled ones, whose state is known."""
    if isinstance(envs, CompiledVectorEnv):
        return True
    # A wrapper around them has their metadata, but no `call`, by which they are asked for their records.
    return bool(envs.metadata.get("records_episodes")) and hasattr(envs, "call")


def has_episodes(arrays: dict[str, np.ndarray]) -> bool:
    """Whether there are episodes among arrays."""
    return "starts" in arrays or f"{STATE}_0" in arrays


def are_of(envs: VectorEnv, arrays: dict[str, np.ndarray]) -> bool:
    """Whether the episodes in arrays are those of such environments."""
    return ("starts" in arrays) is not isinstance(envs, CompiledVectorEnv)


def arrays_of(envs: VectorEnv) -> dict[str, np.ndarray]:
    """Name -> array of the present episodes of environments that `records_episodes`."""
    if isinstance(envs, CompiledVectorEnv):
        return envs.arrays()
    members: Any = envs  # `VectorEnv` itself has no `call`
    starts, actions = zip(*members.call("episode"), strict=True)
    space = envs.single_action_space
    if isinstance(space, ARRAYS):
        packed = [np.asarray(x) for x in actions]
    else:
        packed = [np.asarray(json.dumps(space.to_jsonable(x), default=_plain)) for x in actions]
    return {"starts": np.asarray(json.dumps(starts, default=_plain))} | {
        f"actions_{i}": x for i, x in enumerate(packed)
    }


def replay(
    envs: VectorEnv, arrays: dict[str, np.ndarray], observations: Any, totals: np.ndarray, seed: int | None
) -> tuple[Any, np.ndarray]:
    """Replay the episodes recorded by `arrays_of`.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
    arrays : dict of str to array
    observations : (nested) arrays, shape [N, ...]
        What must come of it.
    totals : array, shape [N]
        The sums of the rewards that must come of it.
    seed : None or int
        Of new episodes, where something else does.

    Returns
    -------
    observations : (nested) arrays, shape [N, ...]
    is_same : array of bool, shape [N]
    """
    if isinstance(envs, CompiledVectorEnv):
        envs.restore(arrays)
        return observations, np.ones(envs.num_envs, bool)
    space = envs.single_action_space
    starts = json.loads(arrays["starts"].item())
    packed = [arrays[f"actions_{i}"] for i in range(envs.num_envs)]
    if len(starts) != envs.num_envs:
        raise ValueError(f"There must be an episode for each of {envs.num_envs} environments. Received: {len(starts)}")
    actions = [list(x) if isinstance(space, ARRAYS) else space.from_jsonable(json.loads(x.item())) for x in packed]
    envs.reset(seed=seed)
    members: Any = envs  # `VectorEnv` itself has neither `call` nor `set_attr`
    members.set_attr(
        "to_replay",
        [
            {
                "start": starts[i],
                "actions": actions[i],
                "observation": tree.map_structure(lambda x, i=i: x[i], observations),
                "total": totals[i],
                "seed": None if seed is None else seed + i,
            }
            for i in range(envs.num_envs)
        ],
    )
    replayed, is_same = zip(*members.call("replay"), strict=True)
    flat = zip(tree.flatten(observations), *map(tree.flatten, replayed), strict=True)
    leaves = [np.stack([np.asarray(x, like.dtype) for x in xs]) for like, *xs in flat]
    return tree.pack_sequence_as(observations, leaves), np.array(is_same)


def _generator(state):
    if state["bit_generator"] not in GENERATORS:
        raise ValueError(f"A generator must be one of {', '.join(GENERATORS)}. Received: {state['bit_generator']}")
    bits = getattr(np.random, state["bit_generator"])()
    bits.state = state
    return np.random.Generator(bits)


def _are_equal(new, old):
    """Whether observations are those that were kept, as the kept ones' dtypes."""
    pairs = zip(tree.flatten(new), tree.flatten(old), strict=True)
    return all(np.array_equal(np.asarray(x, np.asarray(y).dtype), y, equal_nan=True) for x, y in pairs)


def _plain(x):
    return x.tolist()
