"""REINFORCE, the policy gradient of whole episodes (Williams 1992)."""

import functools
import itertools
from typing import Any, Self, cast

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree

from kgdists import losses
from kgdists.agents import diagnostics
from kgdists.agents.compiled_episodes import CompiledEpisodes
from kgdists.agents.networks import as_float32, check_values, flat, penalty, value_network, values_of
from kgdists.agents.optimizers import make_optimizer
from kgdists.agents.reinforce_config import REINFORCEConfig
from kgdists.agents.rollout_agent import RolloutAgent
from kgdists.core.compiled import CompiledUpdate
from kgdists.core.sharing import trainable
from kgdists.envs.evaluation import step_limit
from kgdists.envs.functional.vector_env import CompiledVectorEnv
from kgdists.envs.given_rollout import as_rollout
from kgdists.envs.make import Env
from kgdists.envs.whole_episodes import collect_episodes, padded, warn_of_cut
from kgdists.policy import Policy
from kgdists.returns import discounted

__all__ = ["REINFORCE"]


class REINFORCE(RolloutAgent):
    """An agent that makes actions likelier by the return that followed them, in episodes that one policy played.

    The return of a step is the discounted sum of the rewards up to the end of its episode, and its gradient is not
    discounted by its place in it. If an episode was cut off, the baseline, if there is one, stands for what is left.

    Parameters
    ----------
    env : str, callable, gymnasium.Env or gymnasium.vector.VectorEnv
        An id, a function that makes one environment, one environment itself, or a vector environment.
    policy : None or kgdists.Policy
        Observations -> distribution over actions; None makes dense layers and the head for the action space.
    value : None or keras.Model
        The baseline: observations [B, *shape], without action masks, -> values [B, 1]; None makes dense layers. Not
        trained, nor asked, if `baseline` is False.
    **config
        Fields of `REINFORCEConfig`.

    Examples
    --------
    >>> import kgdists as kg
    >>> agent = kg.agents.REINFORCE("CartPole-v1", num_envs=2, episodes=4, seed=0)
    >>> history = agent.learn(300, verbose=0)
    >>> history.history["steps"][-1] >= 300.0
    True
    """

    name = "reinforce"
    Config = REINFORCEConfig
    MODELS = ("policy", "value")
    RUNS_COMPILED = True

    config: REINFORCEConfig

    def __init__(
        self, env: Env, *, policy: Policy | None = None, value: keras.Model | None = None, **config: Any
    ) -> None:
        super().__init__(env, policy=policy, **config)
        settings = self.config
        self.value = value or value_network(self.envs, settings)
        check_values(self.value, self._example)
        trained = (self.policy, self.value) if settings.baseline else (self.policy,)
        self.variables = trainable(*trained)
        self._find_normalizations(self.MODELS if settings.baseline else ("policy",))
        self.optimizer = make_optimizer(settings, self.variables, {"adam": {"epsilon": 1e-5}})
        self.ent_coef = tf.Variable(settings.ent_coef, trainable=False, dtype="float32")
        self.optimizers = {"optimizer": self.optimizer}
        self.policy.optimizer = self.optimizer  # where Keras' callbacks look for it
        self._steps = settings.num_envs
        self._compiled_update = CompiledUpdate(self._update)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of all environments together in the last epoch; episodes have no fixed number of them."""
        return self._steps

    @property
    def epochs(self) -> int:
        """Epochs so far, each of one gradient step."""
        return int(self.optimizer.iterations)

    def _last_epoch(self, total_steps: int) -> None:
        return None  # as long as the episodes will be

    def _running(self):
        return {}  # all episodes of an update have ended

    def _train(self) -> dict[str, float]:
        experience, is_wanted = self._collect()
        self._steps = is_wanted.size
        return self.update(*experience, is_wanted)

    def _collect(self) -> tuple[tuple[Any, Any, np.ndarray, Any, np.ndarray, np.ndarray], np.ndarray]:
        """New episodes: arrays as `Rollouts.collect` returns them, and which of their steps belong to the episodes."""
        if self.is_compiled:
            return self._collect_compiled()
        act, first = self._act.acting(), self.steps // self.config.num_envs
        pieces = (
            self._keys(np.arange(self.config.n_steps) + start) for start in itertools.count(first, self.config.n_steps)
        )
        draws = (draw for piece in pieces for draw in self._act.draws(piece))
        config = self.config
        return collect_episodes(
            self.rollouts, lambda observations: act(observations, next(draws)), config.episodes, config.max_steps
        )

    @functools.cached_property
    def program(self) -> CompiledEpisodes:
        """What plays the episodes in a compiled environment, in one call."""
        envs, config = cast(CompiledVectorEnv, self.envs), self.config
        limit = step_limit(envs, config.max_steps)
        return CompiledEpisodes(envs, self.policy, config.episodes, config.n_steps, limit, config.log_info)

    def share_program(self, other: Self) -> None:
        variables, own = other.all_variables(), self.all_variables()
        self.program.compiled.share(other.program.compiled, variables, own)
        self._compiled_update.share(other._compiled_update, variables, own)

    def _collect_compiled(self):
        self.rollouts.reset()
        played = self.program(self.seed, self.steps // self.config.num_envs)
        rollout, is_wanted, ends, observations, cut = played
        if cut:
            warn_of_cut(cut, self.config.episodes, self.program.limit)
        self._take_in(ends, observations)
        return rollout, is_wanted

    def _train_compiled(self):
        return self._train(), self.steps_per_epoch

    def update(
        self,
        observations: Any,
        actions: Any,
        rewards: np.ndarray,
        next_observations: Any,
        terminated: np.ndarray,
        truncated: np.ndarray,
        is_wanted: np.ndarray,
    ) -> dict[str, float]:
        """Improve policy and baseline on episodes: (nested) arrays [T, N, ...] as `Rollouts.collect` returns them.

        Parameters
        ----------
        is_wanted : bool array, shape [T, N]
            The steps that belong to the episodes; they start with the first step and follow each other.

        Returns
        -------
        dict of name -> float, the losses and diagnostics.

        Raises
        ------
        ValueError
            For arrays that are not of T steps of the agent's `num_envs` environments, or where no step is wanted.
        """
        experience = observations, actions, rewards, next_observations, terminated, truncated, is_wanted
        experience = as_rollout(self._example, self.config.num_envs, None, *experience)
        if not experience[-1].any():
            raise ValueError("`is_wanted` must be true of a step. Received: steps of which none is wanted")
        return self._compiled_update(*padded(experience, self.config.n_steps))

    def _update(self, observations, actions, rewards, next_observations, terminated, truncated, is_wanted):
        config = self.config
        rows, taken = tree.map_structure(flat, (observations, actions))
        weights = as_float32(flat(is_wanted))
        weights = weights / ops.mean(weights)  # so that a weighted mean is one over the steps wanted
        if config.baseline:
            after = values_of(self.value, tree.map_structure(flat, next_observations))
        else:
            after = ops.zeros_like(weights)
        returns = flat(discounted(rewards, ops.reshape(after, rewards.shape), terminated, truncated, config.gamma))
        with tf.GradientTape() as tape:
            pi = self.policy(rows)
            log_proba = as_float32(pi.log_proba(taken))
            values = values_of(self.value, rows) if config.baseline else ops.zeros_like(returns)
            advantages = returns - ops.stop_gradient(values)
            if config.normalize_advantages:
                centered = advantages - ops.mean(weights * advantages)
                standardised = centered / (ops.sqrt(ops.mean(weights * ops.square(centered))) + 1e-8)
                # A single one minus itself would be 0, and teach nothing.
                advantages = ops.where(ops.sum(as_float32(is_wanted)) > 1.0, standardised, advantages)
            entropies = {
                name: ops.mean(weights * as_float32(x)) for name, x in diagnostics.entropies(pi, self.generator).items()
            }
            policy_loss = losses.policy_gradient(log_proba, weights * advantages)
            loss = policy_loss - self.ent_coef * entropies["entropy"] + penalty(self.variables)
            metrics = {"policy_loss": policy_loss, **entropies}
            if config.baseline:
                root = ops.sqrt(weights)
                metrics["value_loss"] = losses.value(root * values, root * returns)
                loss += config.vf_coef * metrics["value_loss"]
        gradients = tape.gradient(loss, self.variables)
        self.optimizer.apply(gradients, self.variables)
        for layer in self.normalizations:
            x = ops.cast(self._seen(layer, rows), "float64")
            weights = ops.reshape(ops.cast(flat(is_wanted), "float64"), (-1, *[1] * (len(x.shape) - 1)))
            weights = weights / ops.mean(weights)
            mean = ops.mean(weights * x, axis=0)
            variance = ops.mean(weights * ops.square(x - mean), axis=0)
            layer.update_moments(ops.sum(as_float32(is_wanted)), mean, variance)
        return metrics | {
            "gradient_norm": diagnostics.gradient_norm(gradients),
            "learning_rate": ops.convert_to_tensor(self.optimizer.learning_rate),
        }

    def _settings(self):
        return [self.ent_coef]
