"""Evolution strategies as agents: a search for the weights of a policy."""

import functools

from gymnasium.spaces import Box

from kgdists.agents.es_config import ESConfig
from kgdists.agents.networks import policy_network
from kgdists.envs.make import make_env, make_envs
from kgdists.envs.player import predictor
from kgdists.evolution.policy_search.search import PolicySearch
from kgdists.runs import checkpoint

__all__ = ["ES"]

SETTINGS = (
    "searcher",
    "popsize",
    "episodes",
    "num_envs",
    "max_steps",
    "num_interactions",
    "popsize_max",
    "sample_actions",
    "seed",
    "stdev_init",
)


class ES(PolicySearch):
    """An agent that searches for the weights of a policy with an evolution strategy.

    Parameters
    ----------
    env : str, callable or gymnasium.vector.VectorEnv
        An id, a function that makes one environment, or a vector environment with same-step autoreset.
    policy : None or kgdists.Policy
        Observations -> distribution over actions; None makes tanh layers and the head for the action space.
    **config
        Fields of `ESConfig`.

    Examples
    --------
    >>> import kgdists as kg
    >>> agent = kg.agents.ES("CartPole-v1", searcher="snes", popsize=10, stdev_init=0.5, seed=0)
    >>> history = agent.learn(500)
    >>> agent.evaluate(episodes=10).mean > 0.0
    True
    """

    Config = ESConfig
    MODELS = ("policy",)

    def __init__(self, env, *, policy=None, **config):
        self.config = ESConfig(**config)
        envs = make_envs(env, 1)
        if envs is env and self.config.num_envs not in (None, env.num_envs):
            raise ValueError(
                "`num_envs` must be that of the vector environment, or None. "
                f"Received: num_envs={self.config.num_envs}, environments {env.num_envs}"
            )
        if envs is not env:
            envs.close()  # before others are made: an environment may be one of a kind
        is_masked = not isinstance(envs.single_observation_space, Box) and envs is not env
        options = {name: getattr(self.config, name) for name in SETTINGS}
        if self.config.searcher == "cem":
            options["parenthood_ratio"] = self.config.elite
        for name in ("center_learning_rate", "stdev_learning_rate"):
            if getattr(self.config, name) is not None:
                options[name] = getattr(self.config, name)
        super().__init__(
            policy or policy_network(envs, self.config),
            functools.partial(make_env, env) if is_masked else env,
            **options,
        )
        self.env = env
        self._predict = predictor(self.policy, self._episodes.envs.single_action_space, self._episodes.example())
        self.checkpoint, self.owned = None, checkpoint.Ownership()

    @property
    def name(self):
        """That of the searcher."""
        return self.config.searcher

    @property
    def epochs(self):
        """Generations so far."""
        return int(self.state.generation)

    def step(self):
        """One generation; see `PolicySearch.step`."""
        try:
            return super().step()
        except FloatingPointError as error:
            if self.checkpoint is None:
                raise
            raise FloatingPointError(f"{error}. The last good checkpoint is {self.checkpoint}") from error

    def predict(self, observations, deterministic=True):
        """Actions for the environment; see `PPO.predict`."""
        return self._predict(observations, deterministic)

    def save(self, path, overwrite=False):
        """Save the agent to a run folder, as `checkpoints/STEPS.zip`; see `PPO.save`."""
        self.checkpoint = checkpoint.save(self, path, overwrite)

    @classmethod
    def load(cls, path, env=None):
        """Load an agent that `save` wrote, which goes on bit for bit as the saved one would have.

        Parameters
        ----------
        path : str or path
            A run folder, for its last checkpoint that is not damaged, or a checkpoint.
        env : None, str, callable or gymnasium.vector.VectorEnv
            May be left out if the agent was made with an id.

        Returns
        -------
        ES
        """
        return checkpoint.load(cls, path, env)
