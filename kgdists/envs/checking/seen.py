"""What was seen of an environment in random play: its episodes, rewards, and the spread of its observations."""

import dataclasses
import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import TimeLimit

from kgdists.encoders import encoder_for
from kgdists.envs.checking.leaves import boxes
from kgdists.envs.checking.trial import Moment

__all__ = ["Episode", "Seen", "Spread", "limit_of"]


@dataclasses.dataclass(frozen=True)
class Episode:
    """A whole episode, with the info of its last step."""

    length: int
    terminated: bool
    truncated: bool
    info: Any


class Spread:
    """The least and the greatest of each number in a Box, its size, and the default encoder for it."""

    def __init__(self, box: gymnasium.spaces.Box) -> None:
        self.box, self.encoder = box, encoder_for(box)
        self.low, self.high = np.full(box.shape, math.inf), np.full(box.shape, -math.inf)
        self._squares, self._count = np.zeros(box.shape), 0

    def add(self, x: Any) -> None:
        """Add an array; what is not finite counts as 0."""
        x = np.nan_to_num(np.asarray(x, "float64"), posinf=0.0, neginf=0.0)
        self.low, self.high = np.minimum(self.low, x), np.maximum(self.high, x)
        self._squares, self._count = self._squares + np.square(x), self._count + 1

    @property
    def root_mean_square(self) -> np.ndarray:
        """The size of each number."""
        return np.sqrt(self._squares / max(self._count, 1))


class Seen:
    """What a trial has shown so far.

    Parameters
    ----------
    space : gymnasium.Space
        Of the observations.
    limit : None or int
        Steps after which the environment is known to end an episode.
    """

    def __init__(self, space: gymnasium.Space, limit: int | None) -> None:
        self.space, self.limit = space, limit
        self.episodes: list[Episode] = []
        self.rewards: list[float] = []
        self.spreads: dict[str, Spread] = {}
        self.last: Moment | None = None

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return len(self.rewards)

    def add(self, moment: Moment) -> None:
        """Add a moment."""
        self.last = moment
        for name, box, x in boxes(self.space, moment.kept):
            if name not in self.spreads:
                self.spreads[name] = Spread(box)
            self.spreads[name].add(x)
        if moment.step:
            self.rewards.append(moment.reward)
        if moment.is_last:
            self.episodes.append(Episode(moment.step, moment.terminated, moment.truncated, moment.info))


def limit_of(env: gymnasium.Env) -> int | None:
    """Steps after which a `TimeLimit` among the wrappers of an environment ends an episode."""
    limits = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, TimeLimit):
            limits.append(env.get_wrapper_attr("_max_episode_steps"))
        env = env.env
    return min(limits, default=None)
