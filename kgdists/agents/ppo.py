"""Proximal policy optimisation (Schulman et al. 2017) with the clipped surrogate loss."""

import functools
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree
from keras.optimizers.schedules import LearningRateSchedule

from kgdists import losses, random
from kgdists.agents import diagnostics
from kgdists.agents.kl_penalty import adapted_kl_coef, kl_to_old_policy
from kgdists.agents.looking_back import AllAtOnce, InPieces
from kgdists.agents.networks import as_float32, check_values, flat, penalty, value_network
from kgdists.agents.optimizers import make_optimizer
from kgdists.agents.ppo_config import PPOConfig
from kgdists.agents.reward_scaling import RewardNormalizer
from kgdists.agents.rollout_agent import RolloutAgent
from kgdists.agents.shared_encoder import encoder_to_share, policy_and_values
from kgdists.agents.weighting import value_loss as value_loss_of
from kgdists.agents.weighting import weighted, weighted_mean
from kgdists.core.compiled import CompiledUpdate
from kgdists.core.sharing import trainable
from kgdists.envs.frames import as_frames, check_room, is_heavy
from kgdists.envs.given_rollout import as_rollout
from kgdists.envs.make import Env
from kgdists.policy import Policy
from kgdists.returns import gae, vtrace

__all__ = ["PPO"]


class PPO(RolloutAgent):
    """An agent that improves a policy by clipped policy gradients on its own rollouts.

    Parameters
    ----------
    env : str, callable, gymnasium.Env or gymnasium.vector.VectorEnv
        An id, a function that makes one environment, one environment itself, or a vector environment.
    policy : None or kgdists.Policy
        Observations -> distribution over actions; None makes tanh layers and the head for the action space.
    value : None or keras.Model
        Observations [B, *shape], without action masks, -> values [B, 1]; None makes tanh layers.
    strategy : None or tf.distribute.Strategy
        A `MirroredStrategy` or a `MultiWorkerMirroredStrategy` whose replicas share the gradient steps; environments
        and settings are those of each process.
    **config
        Fields of `PPOConfig`.

    Examples
    --------
    >>> import kgdists as kg
    >>> agent = kg.agents.PPO("CartPole-v1", num_envs=2, n_steps=32, seed=0)
    >>> history = agent.learn(128, verbose=0)
    >>> history.history["steps"]
    [64.0, 128.0]
    """

    name = "ppo"
    Config = PPOConfig
    MODELS = ("policy", "value")
    HAS_REPLICAS = True
    LEARNS_FROM_ROLLOUTS = True
    RUNS_COMPILED = True

    config: PPOConfig

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
        self.replicas.check("batch_size", settings.batch_size)
        self.replicas.check_model(value)
        if value is None:
            encoder = encoder_to_share(self.policy, self._example, settings.share_encoder)
            value = value_network(self.envs, settings, encoder)
        self.value = value
        check_values(self.value, self._example)
        self.variables = trainable(self.policy, self.value)
        self._find_normalizations(self.MODELS)
        self.optimizer = make_optimizer(settings, self.variables, {"adam": {"epsilon": 1e-5}})
        self.ent_coef = tf.Variable(settings.ent_coef, trainable=False, dtype="float32")
        self.optimizers = {"optimizer": self.optimizer}
        self.policy.optimizer = self.optimizer  # where Keras' callbacks look for it
        self.reward_normalizer = RewardNormalizer(settings.num_envs, settings.gamma, self.replicas.update)
        self.kl_coef = tf.Variable(settings.kl_coef)
        self._is_heavy = is_heavy(self._example)
        if self._is_heavy:
            check_room(self._example, settings.n_steps, settings.num_envs)
        update = self._update_frames if self._is_heavy else self._improve
        self._compiled_update = CompiledUpdate(update, jit_compile=strategy is None)

    def _train(self) -> dict[str, float]:
        if not self._is_heavy:
            return self.update(*self._collect())
        self._agree()
        return self._compiled_update(*self.rollouts.collect_frames(self._actions()))

    def _agree(self):
        self.replicas.agree(self.policy, self.value, self.optimizer)

    def _key_step(self, steps):
        if self.config.sde_sample_freq is None:
            return steps
        return steps - steps % self.config.sde_sample_freq  # one key, one exploration

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
            For arrays of another T or N than the agent's `n_steps` and `num_envs`.
        """
        flags = (terminated, truncated) if is_step is None else (terminated, truncated, is_step)
        rollout: tuple[Any, ...] = observations, actions, rewards, next_observations, *flags
        rollout = as_rollout(self._example, self.config.num_envs, self.config.n_steps, *rollout)
        self._agree()
        return self._compiled_update(*(as_frames(*rollout) if self._is_heavy else rollout))

    def _improve(self, observations, actions, rewards, next_observations, terminated, truncated, *is_step):
        looking = AllAtOnce(observations, next_observations)
        return self._improved(looking, actions, rewards, terminated, truncated, *is_step)

    def _update_frames(self, frames, finals, final_at, actions, rewards, terminated, truncated, is_step):
        looking = InPieces(frames, finals, final_at, self.config.batch_size)
        return self._improved(looking, actions, rewards, terminated, truncated, *is_step)

    def _improved(self, looking, actions, rewards, terminated, truncated, *is_step):
        config = self.config
        n = config.n_steps * config.num_envs
        num_batches = n // config.batch_size
        actions = tree.map_structure(flat, actions)

        def judged():
            found = looking.judge(self.policy, self.value, actions)
            return found._replace(
                **{x: ops.reshape(getattr(found, x), rewards.shape) for x in ("values", "next_values")}
            )

        pi, log_proba, values, next_values = judged()  # of the policy that acted
        if config.normalize_rewards:
            rewards = self.reward_normalizer(rewards, terminated | truncated, *is_step)
        advantages, returns = gae(rewards, values, next_values, terminated, truncated, config.gamma, config.gae_lambda)
        weights = next(map(self.replicas.weights, map(flat, is_step)), None)
        limit = math.inf if config.target_kl is None else 1.5 * config.target_kl

        def targets():
            """Advantages and returns, of the policy that acted or, by V-trace, of the present one."""
            if not config.vtrace:
                return advantages, returns
            now = judged()
            ratios = ops.reshape(now.log_proba - log_proba, rewards.shape)
            ends = terminated, truncated
            return vtrace(rewards, now.values, now.next_values, *ends, ratios, config.gamma, config.gae_lambda)

        def epoch(i, kl, sums, count):
            acted = (pi,) if config.kl_coef > 0.0 else ()
            # The order within a batch is all the same.
            order = random.permutation(n, self.generator) if num_batches > 1 else None
            rows = actions, *map(flat, targets()), flat(values), log_proba, acted, tuple(map(flat, is_step))
            kept, take = looking.batches(order, num_batches, *rows)

            def minibatch(j, kept, kl, sums):
                metrics = self._gradient_step(take(kept, j), is_first=count + j == 0)
                return j + 1, kept, metrics["kl"], {name: sums[name] + metrics[name] for name in sums}

            done, _, kl, sums = tf.while_loop(
                lambda j, _, kl, sums: (j < num_batches) & (kl <= limit), minibatch, (0, kept, kl, sums)
            )
            return i + 1, kl, sums, count + done

        entropies = diagnostics.entropies(pi, seed=0)  # for their names alone
        names = ("policy_loss", "value_loss", *entropies, "kl", "clip_fraction", "gradient_norm")
        _, _, sums, count = tf.while_loop(
            lambda i, kl, sums, count: (i < config.n_epochs) & (kl <= limit),
            epoch,
            (0, tf.constant(0.0), {name: tf.constant(0.0) for name in names}, 0),
        )
        metrics = {name: total / ops.cast(count, "float32") for name, total in sums.items()}
        if config.kl_coef > 0.0:
            metrics["kl_coef"] = tf.convert_to_tensor(self.kl_coef)
        if config.adaptive_kl is not None:
            now = judged()
            kl = weighted_mean(kl_to_old_policy(pi, now.pi, now.log_proba - log_proba), weights)
            self.kl_coef.assign(adapted_kl_coef(self.kl_coef, kl, config.adaptive_kl))
        # Only now, so that the old log-probabilities above are those of the policy that acted.
        for layer in self.normalizations:
            self.replicas.update(layer, self._seen(layer, looking.of_steps), *is_step)
        return metrics | {
            "explained_variance": diagnostics.explained_variance(flat(values), flat(returns), weights),
            **diagnostics.saturation(self.envs.single_action_space, actions),
            "learning_rate": ops.convert_to_tensor(self.optimizer.learning_rate),
            "weight_norm": tf.linalg.global_norm(self.variables),
        }

    def _gradient_step(self, rows, is_first):
        config = self.config
        clip_range = config.clip_range
        if isinstance(clip_range, LearningRateSchedule):
            clip_range = clip_range(self.optimizer.iterations)
        observations, actions, advantages, *rest, is_step = rows
        weights = tuple(map(self.replicas.weights, is_step))
        if config.normalize_advantages:
            advantages = self.replicas.standardized(advantages, *weights)
        gradients, metrics = self.replicas.gradients(
            functools.partial(self._loss, clip_range, tf.convert_to_tensor(self.kl_coef), is_first),
            [self.policy, self.value],
            self.variables,
            [observations, actions, advantages, *rest, weights],
            self.generator,
            self.optimizer.iterations,
        )
        self.optimizer.apply(gradients, self.variables)
        return metrics | {"gradient_norm": diagnostics.gradient_norm(gradients)}

    def _loss(
        self,
        clip_range,
        kl_coef,
        is_first,
        observations,
        actions,
        advantages,
        returns,
        old_values,
        old_log_proba,
        acted,
        weights,
        seed,
    ):
        config, weights = self.config, next(iter(weights), None)
        pi, values = policy_and_values(self.policy, self.value, observations)
        log_proba = as_float32(pi.log_proba(actions))
        # The policy that acted is still this one: the ratio is exactly 1 if both are of one computation.
        old_log_proba = ops.where(is_first, ops.stop_gradient(log_proba), old_log_proba)
        log_ratio = log_proba - old_log_proba
        entropies = {name: weighted_mean(as_float32(x), weights) for name, x in diagnostics.entropies(pi, seed).items()}
        kl = weighted(kl_to_old_policy(acted[0], pi, log_ratio), weights) if acted else ops.zeros_like(log_ratio)
        advantages = weighted(advantages, weights)
        if config.clip_range == math.inf:
            policy_loss = losses.ppo_kl_penalty(log_proba, old_log_proba, advantages, kl, kl_coef)
        else:
            policy_loss = losses.ppo_clip(log_proba, old_log_proba, advantages, clip_range) + kl_coef * ops.mean(kl)
        value_loss = value_loss_of(values, returns, old_values, config.clip_range_value, weights)
        loss = (
            policy_loss + config.vf_coef * value_loss - self.ent_coef * entropies["entropy"] + penalty(self.variables)
        )
        return loss, {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            **entropies,
            "kl": diagnostics.approximate_kl(log_ratio, weights),
            "clip_fraction": diagnostics.clip_fraction(log_ratio, clip_range, weights),
        }

    def _settings(self):
        return [self.ent_coef]

    def _state(self):
        return super()._state() | self.reward_normalizer.variables | {"kl_coef": self.kl_coef}
