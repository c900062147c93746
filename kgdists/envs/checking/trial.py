"""Random play in an environment, with what it returned as it returned it beside what agents get of it."""

import contextlib
import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Dict
from keras import tree

from kgdists.core.checks import in_short
from kgdists.envs.make import make_env

__all__ = ["Moment", "RaisedError", "Trial", "Witness", "play", "random_action"]


class RaisedError(Exception):
    """An environment raised something, where it should have returned."""


class Witness(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """Keep what an environment returned last, as it did, and say where it raises."""

    def __init__(self, env: gymnasium.Env) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self.returned: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        try:
            self.returned = self.env.reset(seed=seed, options=options)
        except Exception as error:
            raise RaisedError(f"`reset` with seed={seed} raised {in_short(error)}") from error
        return self.returned

    def step(self, action: Any) -> Any:
        try:
            self.returned = self.env.step(action)
        except Exception as error:
            raise RaisedError(f"`step` with the action {in_short(action)} raised {in_short(error)}") from error
        return self.returned


class Trial:
    """An environment with a witness: `env` is what agents step, `witness.returned` what it was made of.

    `network_space` is the space of what networks take in: observations without a mask.

    Parameters
    ----------
    env : gymnasium.Env

    Raises
    ------
    ValueError
        If agents cannot act in it because of its observation space.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        self.witness = Witness(env)
        self.env = make_env(lambda: self.witness)
        space: Any = self.env.observation_space
        has_mask = isinstance(space, Dict) and "action_mask" in space.keys()
        self.network_space = space["observation"] if has_mask else space


@dataclasses.dataclass(frozen=True)
class Moment:
    """What came of one step of an episode, or at step 0 of `reset`.

    `returned` is the tuple that the environment returned, `kept` a copy of the observation in it, and `observation`
    what agents get of it.
    """

    step: int
    returned: Any
    kept: Any
    observation: Any
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False

    @property
    def is_last(self) -> bool:
        """Whether the episode has ended."""
        return self.terminated or self.truncated

    @property
    def info(self) -> Any:
        """The info, as the environment returned it."""
        return self.returned[-1]


def play(trial: Trial, steps: int, seed: int) -> Iterator[Moment]:
    """Play episodes by random actions, `steps` steps in all; the first of them starts with the seed.

    Parameters
    ----------
    trial : Trial
    steps : int
    seed : int
        Of the environment and of the actions.

    Yields
    ------
    Moment, also of each reset.
    """
    space = copy.deepcopy(trial.env.action_space)  # drawing moves on the generator of a space
    space.seed(seed)
    moment = _reset(trial, seed)
    yield moment
    for _ in range(steps):
        if moment.is_last:
            moment = _reset(trial, None)
            yield moment
        observation, reward, terminated, truncated, _ = trial.env.step(random_action(space, moment.returned))
        ends = bool(terminated), bool(truncated)
        moment = _moment(trial, moment.step + 1, observation, float(reward), *ends)
        yield moment


def _reset(trial, seed):
    return _moment(trial, 0, trial.env.reset(seed=seed)[0])


def _moment(trial, step, *seen):
    returned = trial.witness.returned
    return Moment(step, returned, copy.deepcopy(returned[0]), *seen)


def random_action(space: gymnasium.Space, returned: Any) -> Any:
    """A random action among those that the mask allows, if the environment observes one.

    Parameters
    ----------
    space : gymnasium.Space
        Of the actions; its generator is moved on.
    returned : tuple
        By `reset` or `step`.

    Returns
    -------
    action
    """
    # One in the info alone is what agents do not see either; that beside an encoded one is in Gymnasium's format.
    for x in returned if _has_mask(returned[0]) else ():
        if _has_mask(x):
            with contextlib.suppress(Exception):  # of another form; agents say what is wrong with theirs
                return space.sample(mask=tree.map_structure(_as_int8, x["action_mask"]))
    return space.sample()


def _as_int8(x):
    return x if x is None else np.asarray(x, "int8")


def _has_mask(x):
    return isinstance(x, Mapping) and "action_mask" in x
