"""Advantage actor-critic, the synchronous form of A3C (Mnih et al. 2016)."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree

from kgdists import losses
from kgdists.agents import diagnostics
from kgdists.agents.a2c_config import A2CConfig
from kgdists.agents.acting import RolloutActions
from kgdists.agents.kl_penalty import kl_to_old_policy
from kgdists.agents.networks import as_float32, check_values, flat, penalty, value_network, values_of
from kgdists.agents.optimizers import make_optimizer
from kgdists.agents.reward_scaling import RewardNormalizer
from kgdists.agents.rollout_agent import RolloutAgent
from kgdists.agents.weighting import value_loss as value_loss_of
from kgdists.agents.weighting import weighted, weighted_mean
from kgdists.core.compiled import CompiledUpdate
from kgdists.core.sharing import trainable
from kgdists.envs.given_rollout import as_rollout
from kgdists.envs.make import Env
from kgdists.policy import Policy
from kgdists.returns import gae, vtrace

__all__ = ["A2C"]


class A2C(RolloutAgent):
    """An agent that follows the policy gradient of short rollouts, with a value function as its baseline.

    Parameters
    ----------
    env : str, callable, gymnasium.Env or gymnasium.vector.VectorEnv
        An id, a function that makes one environment, one environment itself, or a vector environment.
    policy : None or kgdists.Policy
        Observations -> distribution over actions; None makes dense layers and the head for the action space.
    value : None or keras.Model
        Observations [B, *shape], without action masks, -> values [B, 1]; None makes dense layers.
    strategy : None or tf.distribute.Strategy
        A `MirroredStrategy` or a `MultiWorkerMirroredStrategy` whose replicas share the gradient steps; environments
        and settings are those of each process.
    **config
        Fields of `A2CConfig`.

    Examples
    --------
    >>> import kgdists as kg
    >>> agent = kg.agents.A2C("CartPole-v1", num_envs=2, epoch_steps=50, seed=0)
    >>> history = agent.learn(100, verbose=0)
    >>> history.history["steps"]
    [50.0, 100.0]
    """

    name = "a2c"
    Config = A2CConfig
    MODELS = ("policy", "value")
    HAS_REPLICAS = True
    LEARNS_FROM_ROLLOUTS = True
    RUNS_COMPILED = True

    config: A2CConfig

    def __init__(
        self,
        env: Env,
        *,
        policy: Policy | None = None,
        value: keras.Model | None = None,
        strategy: tf.distribute.Strategy | None = None,
        **config: Any,
    ) -> None:
        super().__init__(env, policy=policy, strategy=strategy, **config)
        settings = self.config
        self.replicas.check("n_steps * num_envs", settings.n_steps * settings.num_envs)
        self.replicas.check_model(value)
        self.value = value or value_network(self.envs, settings)
        check_values(self.value, self._example)
        self.variables = trainable(self.policy, self.value)
        self._find_normalizations(self.MODELS)
        own = {"rmsprop": {"rho": 0.99, "epsilon": settings.epsilon}, "adam": {"epsilon": settings.epsilon}}
        self.optimizer = make_optimizer(settings, self.variables, own)
        self.ent_coef = tf.Variable(settings.ent_coef, trainable=False, dtype="float32")
        self.optimizers = {"optimizer": self.optimizer}
        self.policy.optimizer = self.optimizer  # where Keras' callbacks look for it
        self.reward_normalizer = RewardNormalizer(settings.num_envs, settings.gamma, self.replicas.update)
        self._compiled_update, self._compiled_turn = (
            CompiledUpdate(function, jit_compile=strategy is None) for function in (self._improve, self._turn)
        )

    @property
    def _updates_per_epoch(self) -> int:
        return -(-self.config.epoch_steps // self.steps_per_update)

    def _updates_left(self) -> int:
        return self._updates_per_epoch

    def _train(self) -> dict[str, float]:
        config, first = self.config, self.steps // self.config.num_envs
        keys = self._keys(first + np.arange(self.steps_per_epoch // config.num_envs + 1))
        draws, updates = self._act.draws(keys), []
        started: dict[str, Any] = {}
        for i in range(0, len(keys) - 1, config.n_steps):
            end = i + config.n_steps
            rollout = self.rollouts.collect(RolloutActions(self._act, keys[i:end], draws[i:end], **started))
            updates.append(self._updated(self._compiled_turn, rollout, self.rollouts.observations, keys[end]))
            started = updates[-1].pop("started")
        return {name: float(np.mean([update[name] for update in updates])) for name in updates[0]}

    def update(
        self,
        observations: Any,
        actions: Any,
        rewards: np.ndarray,
        next_observations: Any,
        terminated: np.ndarray,
        truncated: np.ndarray,
        is_step: np.ndarray | None = None,
    ) -> dict[str, float]:
        """Improve policy and values on one rollout: (nested) arrays [T, N, ...] as `Rollouts.collect` returns them.

        Parameters
        ----------
        is_step : None or bool array, shape [T, N]
            Which steps are steps of an episode, None is all; from the others nothing is learned.

        Returns
        -------
        dict of name -> float, the losses and diagnostics averaged over the gradient steps.

        Raises
        ------
        ValueError
            For arrays that are not of T steps of the agent's `num_envs` environments.
        """
        flags = (terminated, truncated) if is_step is None else (terminated, truncated, is_step)
        rollout: tuple[Any, ...] = observations, actions, rewards, next_observations, *flags
        rollout = as_rollout(self._example, self.config.num_envs, None, *rollout)
        return self._updated(self._compiled_update, rollout)

    def _updated(self, compiled, rollout, *others):
        self.replicas.agree(self.policy, self.value, self.optimizer)
        observations, actions, rewards, *rest = rollout
        return compiled(observations, actions, rewards.astype("float32"), *rest, *others)

    def _turn(self, *rollout_and_next):
        """Improve, and start the next rollout: one call for what would be several."""
        *rollout, observations, key = rollout_and_next
        return self._improve(*rollout) | {"started": self._act.start(observations, key)}

    def _improve(self, observations, actions, rewards, next_observations, terminated, truncated, *is_step):
        if self.config.normalize_rewards:
            rewards = self.reward_normalizer(rewards, terminated | truncated, *is_step)
        weights = tuple(map(self.replicas.weights, map(flat, is_step)))
        old, steps = None, []  # the policy that acted, and what it thought of the actions
        for _ in range(self.config.n_epochs):
            metrics, now = self._gradient_step(
                observations, actions, rewards, next_observations, terminated, truncated, weights, old
            )
            old = old or now
            steps.append(metrics)
        for layer in self.normalizations:
            self.replicas.update(layer, self._seen(layer, observations), *is_step)
        means = {name: sum(metrics[name] for metrics in steps) / len(steps) for name in steps[0]}
        return means | {"learning_rate": ops.convert_to_tensor(self.optimizer.learning_rate)}

    def _gradient_step(self, observations, actions, rewards, next_observations, terminated, truncated, weights, old):
        config = self.config
        rows, taken = tree.map_structure(flat, (observations, actions))
        values, next_values = (values_of(self.value, x) for x in (rows, tree.map_structure(flat, next_observations)))
        pi = self.policy(rows)
        log_proba = as_float32(pi.log_proba(taken))
        old_pi, old_log_proba = old = old or (pi, log_proba)
        of_steps = [ops.reshape(x, rewards.shape) for x in (values, next_values, log_proba - old_log_proba)]
        advantages, returns = self._advantages(rewards, terminated, truncated, *of_steps)
        if config.normalize_advantages:
            advantages = self.replicas.standardized(advantages, *weights)
        gradients, metrics = self.replicas.gradients(
            self._loss,
            [self.policy, self.value],
            self.variables,
            [rows, taken, advantages, returns, old_pi, old_log_proba, weights],
            self.generator,
            self.optimizer.iterations,
        )
        self.optimizer.apply(gradients, self.variables)
        metrics |= {
            "explained_variance": diagnostics.explained_variance(values, returns, *weights),
            **diagnostics.saturation(self.envs.single_action_space, taken),
            "gradient_norm": diagnostics.gradient_norm(gradients),
        }
        return metrics, old

    def _loss(self, observations, actions, advantages, returns, old_pi, old_log_proba, weights, seed):
        config, weights = self.config, next(iter(weights), None)
        pi = self.policy(observations)
        log_proba = as_float32(pi.log_proba(actions))
        log_ratio, advantages = log_proba - old_log_proba, weighted(advantages, weights)
        if config.vtrace:
            policy_loss = losses.vtrace_policy_gradient(log_proba, old_log_proba, advantages)
        else:
            policy_loss = losses.policy_gradient(log_proba, advantages)
        entropies = {name: weighted_mean(as_float32(x), weights) for name, x in diagnostics.entropies(pi, seed).items()}
        value_loss = value_loss_of(values_of(self.value, observations), returns, returns, None, weights)
        loss = (
            policy_loss + config.vf_coef * value_loss - self.ent_coef * entropies["entropy"] + penalty(self.variables)
        )
        if config.kl_coef > 0.0:
            loss += config.kl_coef * weighted_mean(kl_to_old_policy(old_pi, pi, log_ratio), weights)
        metrics = {"policy_loss": policy_loss, "value_loss": value_loss, **entropies}
        if config.n_epochs > 1:
            metrics["kl"] = diagnostics.approximate_kl(log_ratio, weights)
        return loss, metrics

    def _advantages(self, rewards, terminated, truncated, values, next_values, log_ratio):
        """Advantages and returns of the steps [T, N], each as [T N]."""
        gamma, lambda_ = self.config.gamma, self.config.gae_lambda
        if self.config.vtrace:
            both = vtrace(rewards, values, next_values, terminated, truncated, log_ratio, gamma, lambda_)
        else:
            both = gae(rewards, values, next_values, terminated, truncated, gamma, lambda_)
        return tuple(map(flat, both))

    def _settings(self):
        return [self.ent_coef]

    def _state(self):
        return super()._state() | self.reward_normalizer.variables
