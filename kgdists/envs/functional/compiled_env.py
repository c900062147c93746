"""The protocol of environments that are pure functions of tensors."""

from typing import Any, ClassVar

import gymnasium

from kgdists.core.types import Seed, Tensor

__all__ = ["CompiledEnv"]


class CompiledEnv:
    """An environment as functions of tensors, each for N environments at once.

    A subclass sets `observation_space` and `action_space` and defines the functions below, in `keras.ops` or
    TensorFlow. They are pure: what an episode remembers is its state, and what is random comes from a `seed`. Agents
    compile them into one program with the policy and its update; so they hold no Python branches on values.

    A state is a tensor, or a nested dict or tuple of tensors, whose first axis is that of the environments. An agent
    takes an environment itself, `kgdists.agents.PPO(MyEnv())`; `kgdists.envs.register` gives it an id.

    Attributes
    ----------
    observation_space, action_space : gymnasium.spaces.Space
        Of one environment. Observations are arrays, or nested dicts and tuples of them; where actions are masked, as
        `kgdists.agents.ActionMask` observes them.
    max_episode_steps : None or int, >= 1
        Steps after which an episode is truncated.
    id : str
        By which Gymnasium knows the environment, `""` if it does not.

    Examples
    --------
    >>> import gymnasium, kgdists as kg
    >>> from keras import ops
    >>> class Walk(kg.envs.CompiledEnv):
    ...     observation_space = gymnasium.spaces.Box(-10.0, 10.0, (1,))
    ...     action_space = gymnasium.spaces.Discrete(2)
    ...     max_episode_steps = 20
    ...
    ...     def initial(self, num_envs: int, seed: Seed) -> Any:
    ...         return kg.random.uniform((num_envs, 1), seed)
    ...
    ...     def transition(self, state: Any, action: Any, seed: Seed) -> Any:
    ...         return state + ops.cast(2 * action - 1, "float32")[:, None]
    ...
    ...     def observation(self, state: Any) -> Any:
    ...         return state
    ...
    ...     def reward(self, state: Any, action: Any, next_state: Any) -> Tensor:
    ...         return -ops.abs(next_state[:, 0])
    ...
    ...     def terminal(self, state: Any) -> Tensor:
    ...         return ops.abs(state[:, 0]) > 8.0
    >>> agent = kg.agents.PPO(Walk(), num_envs=4, n_steps=32, seed=0)
    >>> history = agent.learn(256, verbose=0)
    """

    observation_space: gymnasium.Space
    action_space: gymnasium.Space
    max_episode_steps: int | None = None
    id: ClassVar[str] = ""

    def initial(self, num_envs: int, seed: Seed) -> Any:
        """The states in which N episodes start.

        Parameters
        ----------
        num_envs : int
            N.
        seed : key
            An integer tensor of shape [2], for `kgdists.random`.

        Returns
        -------
        (nested) tensors, shape [N, ...]
        """
        raise NotImplementedError(f"{type(self).__name__} must define `initial`")

    def transition(self, state: Any, action: Any, seed: Seed) -> Any:
        """The states that follow.

        Parameters
        ----------
        state : (nested) tensors, shape [N, ...]
        action : tensor, shape [N, *action_shape], or nested ones
            Of the action space. For a OneOf the index [N], and the values of all its spaces.
        seed : key
            Another one in each step.

        Returns
        -------
        (nested) tensors like `state`
        """
        raise NotImplementedError(f"{type(self).__name__} must define `transition`")

    def observation(self, state: Any) -> Any:
        """What is observed in states: (nested) tensors [N, ...] as the observation space has them."""
        raise NotImplementedError(f"{type(self).__name__} must define `observation`")

    def reward(self, state: Any, action: Any, next_state: Any) -> Tensor:
        """What the transitions between states are worth: a float tensor [N]."""
        raise NotImplementedError(f"{type(self).__name__} must define `reward`")

    def terminal(self, state: Any) -> Tensor:
        """Whether episodes end in states: a bool tensor [N]."""
        raise NotImplementedError(f"{type(self).__name__} must define `terminal`")

    def info(self, state: Any) -> dict[str, Tensor]:
        """Name -> tensor [N] of what else can be told of states; `log_info` logs them at the ends of episodes."""
        return {}

    def render(self, state: Any) -> Any:
        """A picture of one state, whose arrays have no batch axis: a uint8 array [height, width, 3], or None."""
        return None
