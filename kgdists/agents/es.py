"""Evolution strategies as agents: a search for the weights of a policy."""

import functools
import warnings
from typing import Any

import numpy as np

from kgdists.agents.agent import Agent
from kgdists.agents.es_config import ESConfig
from kgdists.agents.networks import policy_network
from kgdists.agents.other_names import check_policy
from kgdists.envs.array_observations import Encoding
from kgdists.envs.given_env import check_alone, is_alone
from kgdists.envs.make import Env
from kgdists.evolution.algorithms import SEARCHERS
from kgdists.evolution.policy_search.search import PolicySearch
from kgdists.policy import Policy

__all__ = ["ES"]

SETTINGS = (
    "searcher",
    "popsize",
    "episodes",
    "num_envs",
    "vectorization",
    "max_steps",
    "num_interactions",
    "popsize_max",
    "sample_actions",
    "log_info",
    "seed",
    "stdev_init",
)
OF_SEARCH = ("run", "step", "state", "searcher", "popsize", "popsize_max", "num_interactions", "num_episodes", "seed")


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
    >>> history = agent.learn(500, verbose=0)
    >>> agent.evaluate(episodes=10).mean > 0.0
    True
    """

    Config = ESConfig

    config: ESConfig

    def __init__(self, env: Env, *, policy: Policy | None = None, **config: Any) -> None:
        check_policy(policy)
        self.env, self.config = env, ESConfig(**config)
        if is_alone(env):
            check_alone(self.config.num_envs or 1, "sync")
        num_envs = 1 if is_alone(env) else getattr(env, "num_envs", self.config.num_envs)
        if self.config.num_envs not in (None, num_envs):
            raise ValueError(
                "`num_envs` must be that of the vector environment, or None. "
                f"Received: num_envs={self.config.num_envs}, environments {num_envs}"
            )
        options = {name: getattr(self.config, name) for name in SETTINGS}
        options["encoding"] = Encoding.of(vars(self.config))
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
    def is_compiled(self) -> bool:
        """Whether environments and population are one program."""
        return self.search.is_compiled

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
