"""Evolution strategies as agents: a search for the weights of a policy."""

import dataclasses
import functools
import warnings
from typing import Any

import numpy as np

from kgdists.agents.agent import Agent
from kgdists.agents.config import Config, check, check_count, is_number, is_positive, setting
from kgdists.agents.networks import policy_network
from kgdists.envs.given_env import check_alone, is_alone
from kgdists.envs.make import Env
from kgdists.evolution.algorithms import SEARCHERS
from kgdists.evolution.policy_search.search import PolicySearch
from kgdists.policy import Policy

__all__ = ["ES", "ESConfig"]

SETTINGS = (
    "searcher",
    "popsize",
    "episodes",
    "num_envs",
    "max_steps",
    "num_interactions",
    "popsize_max",
    "sample_actions",
    "log_info",
    "seed",
    "stdev_init",
)
OF_SEARCH = ("run", "step", "state", "searcher", "popsize", "popsize_max", "num_interactions", "num_episodes", "seed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ESConfig(Config):
    """Hyperparameters of `ES`. What is None is as the searcher has it by default."""

    TOTAL_STEPS = 1_000_000

    hidden_units: tuple[int, ...] = setting((16,), "widths of the hidden layers of the default network")
    searcher: str = setting("pgpe", f"algorithm of the search: {', '.join(SEARCHERS)}")
    popsize: int = setting(100, "solutions of a generation, or at a time with `num_interactions`")
    episodes: int = setting(1, "episodes of each solution, whose fitness is their mean return")
    num_envs: int | None = setting(
        None, "environments that play side by side; by default one for each episode of a population"
    )
    max_steps: int | None = setting(
        None,
        "steps after which an episode is cut off; by default 10,000, or the limit of the environment if that is more",
    )
    num_interactions: int | None = setting(
        None, "environment steps that a generation has at least, by drawing more solutions; one population by default"
    )
    popsize_max: int | None = setting(
        None, "most solutions of a generation with `num_interactions`; unbounded by default"
    )
    stdev_init: float = setting(0.1, "standard deviation of the weights at the start")
    center_learning_rate: float | None = setting(None, "learning rate of the center; for pgpe, the step size of ClipUp")
    stdev_learning_rate: float | None = setting(None, "learning rate of the standard deviations")
    parenthood_ratio: float | None = setting(
        None, "share of a population that cem draws the next about; 0.2 by default"
    )
    sample_actions: bool = setting(False, "draw actions instead of taking the most probable ones")

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, "searcher", f"one of {', '.join(SEARCHERS)}", lambda x: x in tuple(SEARCHERS))
        for name in ("popsize", "episodes"):
            check_count(self, name)
        for name in ("num_envs", "max_steps", "num_interactions", "popsize_max"):
            check_count(self, name, optional=True)
        check(self, "stdev_init", "a finite number > 0", is_positive)
        for name in ("center_learning_rate", "stdev_learning_rate"):
            check(self, name, "None or a finite number > 0", lambda x: x is None or is_positive(x))
        check(self, "parenthood_ratio", "None or in (0, 1]", lambda x: x is None or (is_number(x) and 0.0 < x <= 1.0))
        if self.parenthood_ratio is not None and self.searcher != "cem":
            raise ValueError(f"`parenthood_ratio` is a setting of cem alone. Received: searcher={self.searcher!r}")
        if self.searcher == "cem" and self.popsize * self.elite < 2.0:
            raise ValueError(
                "cem needs at least two solutions of which the next population is drawn about. "
                f"Received: popsize={self.popsize}, parenthood_ratio={self.elite}"
            )

    @property
    def elite(self) -> float:
        """The parenthood ratio, of which cem itself has no default."""
        return 0.2 if self.parenthood_ratio is None else self.parenthood_ratio


class ES(Agent):
    """An agent that searches for the weights of a policy with an evolution strategy.

    Parameters
    ----------
    env : str, callable, gymnasium.Env or gymnasium.vector.VectorEnv
        An id, a function that makes one environment, one environment itself, or a vector environment.
    policy : None or kgdists.Policy
        Observations -> distribution over actions; None makes tanh layers and the head for the action space.
    **config
        Fields of `ESConfig`.

    Attributes
    ----------
    search : kgdists.evolution.PolicySearch
        The search itself, whose generations are the epochs of the agent.

    Examples
    --------
    >>> import kgdists as kg
    >>> agent = kg.agents.ES("CartPole-v1", searcher="snes", popsize=10, stdev_init=0.5, seed=0)
    >>> history = agent.learn(500)
    >>> agent.evaluate(episodes=10).mean > 0.0
    True
    """

    Config = ESConfig

    config: ESConfig

    def __init__(self, env: Env, *, policy: Policy | None = None, **config: Any) -> None:
        self.env, self.config = env, ESConfig(**config)
        if is_alone(env):
            check_alone(self.config.num_envs or 1, "sync")
        num_envs = 1 if is_alone(env) else getattr(env, "num_envs", self.config.num_envs)
        if self.config.num_envs not in (None, num_envs):
            raise ValueError(
                "`num_envs` must be that of the vector environment, or None. "
                f"Received: num_envs={self.config.num_envs}, environments {num_envs}"
            )
        options = {name: getattr(self.config, name) for name in (*SETTINGS, "encoding")}
        if self.config.searcher == "cem":
            options["parenthood_ratio"] = self.config.elite
        for name in ("center_learning_rate", "stdev_learning_rate"):
            if getattr(self.config, name) is not None:
                options[name] = getattr(self.config, name)
        self.search = PolicySearch(policy or functools.partial(policy_network, config=self.config), env, **options)
        self.envs, self.policy = self.search.envs, self.search.policy
        self._prepare_acting(self.search.example())

    @property
    def name(self) -> str:
        """That of the searcher."""
        return self.config.searcher

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names that its agents may have: those of the searchers."""
        return tuple(SEARCHERS)

    @property
    def epochs(self) -> int:
        """Generations so far."""
        return int(self.search.state.generation)

    @property
    def steps(self) -> int:
        """Steps of all environments together, so far."""
        return self.search.steps

    @steps.setter
    def steps(self, value: int) -> None:
        self.search.steps = value

    @property
    def is_sound(self) -> bool:
        """Whether a checkpoint of it is one to go on from."""
        return self.search.is_sound

    @is_sound.setter
    def is_sound(self, value: bool) -> None:
        self.search.is_sound = value

    @property
    def recent_returns(self) -> Any:
        """Undiscounted returns of the last 100 episodes of the search."""
        return self.search.recent_returns

    @property
    def recent_lengths(self) -> Any:
        """Lengths of the last 100 episodes of the search."""
        return self.search.recent_lengths

    def _check_learning(self, total_steps: int) -> None:
        self.search.check()

    def _train_epoch(self) -> dict[str, float]:
        try:
            return self.search.step()
        except FloatingPointError as error:
            good = f". The last good checkpoint is {self.checkpoint}" if self.checkpoint else ""
            raise FloatingPointError(f"{error}{good}") from error

    def arrays(self) -> dict[str, np.ndarray]:
        """Name -> array of all that a search remembers beside its policy."""
        return self.search.arrays()

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from the arrays of an agent of the same settings, whose policy this one has."""
        self.search.restore(arrays)

    def __getattr__(self, name: str) -> Any:
        if name in OF_SEARCH:
            warnings.warn(
                f"`{name}` is now `search.{name}`: its old name goes in 0.3", DeprecationWarning, stacklevel=2
            )
            return getattr(self.search, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
