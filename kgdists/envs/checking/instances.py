"""Findings about several environments at once: the instances that a check plays in, and whether they are apart.

Each function takes the instances and returns a line or None.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import gymnasium

from kgdists.core.checks import in_short
from kgdists.envs.checking.repetition import are_equal
from kgdists.envs.checking.trial import Moment, Trial, play
from kgdists.envs.registered import make_registered

__all__ = ["Instances", "apart", "second", "shared"]


class Instances:
    """Up to two environments: one that was given, or two of an id or of a function.

    Parameters
    ----------
    env : str, callable or gymnasium.Env
    """

    def __init__(self, env: str | Callable[[], gymnasium.Env] | gymnasium.Env) -> None:
        self._given = env
        self.first: Any = _made(env)
        self.second: Any = None
        self.problem: Exception | None = None

    @property
    def is_one(self) -> bool:
        """Whether it is an environment itself that was given, and not what makes it."""
        return isinstance(self._given, gymnasium.Env)

    @property
    def are_shared(self) -> bool:
        """Whether the second one is the first again, or wrapped around the same."""
        return self.second is not None and _inner(self.first) is _inner(self.second)

    def make_second(self) -> None:
        """Make another one, if that is possible."""
        if self.is_one:
            return
        try:
            self.second = _made(self._given)
        except Exception as error:  # a robot, a licence, a port: there is no end of what exists once
            self.problem = error

    def close(self) -> None:
        """Close what was made here: neither what was given, nor what a function holds on to."""
        if self.is_one or self.are_shared:
            return
        for env in (self.first, self.second):
            if hasattr(env, "close"):
                with contextlib.suppress(Exception):
                    env.close()


def _made(env):
    if isinstance(env, gymnasium.Env):
        return env
    return make_registered(env) if isinstance(env, str) else env()


def _inner(env):
    return getattr(env, "unwrapped", env)


def shared(instances: Instances) -> str | None:
    """A function that returns one environment again and again."""
    if not instances.are_shared:
        return None
    return (
        "the function returned the same environment twice, so that several would step one: make a new one in it, or "
        "train with `num_envs=1`"
    )


def second(instances: Instances) -> str | None:
    """An environment that can only be made once."""
    if instances.problem is None:
        return None
    return (
        "a second environment could not be made beside the first: train with `num_envs=1`. "
        f"Received: {in_short(instances.problem)}"
    )


def apart(first: list[Moment], one: Trial, other: Trial, seed: int) -> str | None:
    """Two environments of which one is changed by a step of the other.

    Parameters
    ----------
    first : list of Moment
        What `play` of the seed gives in the one as often as it is repeated.
    one, other : Trial
    seed : int
    """
    beside = play(other, len(first), seed + 1)
    for moment, again, _ in zip(first, play(one, len(first), seed), beside, strict=False):
        if not are_equal(moment, again):
            return (
                "a step of one environment changed another one: keep what an episode changes in the instance, not "
                "in the class or the module"
            )
    return None
