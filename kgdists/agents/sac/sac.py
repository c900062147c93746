"""Soft actor-critic (Haarnoja et al. 2018b), for boxes of floats and for choices (Christodoulou 2019)."""

import math
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from gymnasium.spaces import Box
from keras import ops, tree

from kgdists import losses, random
from kgdists.agents import diagnostics
from kgdists.agents.acting import RolloutActions
from kgdists.agents.networks import penalty
from kgdists.agents.optimizers import make_optimizer
from kgdists.agents.rollout_agent import RolloutAgent
from kgdists.agents.sac.critics import twin_critic
from kgdists.agents.sac.fused_optimizers import FUSED
from kgdists.agents.sac.replay import make_replay
from kgdists.agents.sac.replay_buffer import ReplayBuffer
from kgdists.agents.sac.soft_values import soft_values
from kgdists.agents.sac_config import SACConfig
from kgdists.core import backend
from kgdists.core.checks import count
from kgdists.core.compiled import CompiledUpdate
from kgdists.core.run_warning import RunWarning
from kgdists.core.sharing import trainable
from kgdists.core.types import Integer
from kgdists.envs.autoreset import resets_late
from kgdists.envs.make import Env
from kgdists.policy import Policy

__all__ = ["SAC"]


class SAC(RolloutAgent):
    """An agent that learns twin critics from replayed experience, and a policy that follows them and keeps its entropy.

    Parameters
    ----------
    env : str, callable, gymnasium.Env or gymnasium.vector.VectorEnv
        An id, a function that makes one environment, one environment itself, or a vector environment. Its actions are
        a Box of floats or a Discrete.
    policy : None or kgdists.Policy
        Observations -> distribution over actions; None makes dense layers and the head for the action space. For a Box
        it must be reparameterised: a normal, squashed or not, or a beta distribution.
    critic : None or keras.Model
        A list of observations [B, *shape], without action masks, and actions [B, n] -> values [B, 2, 1], those of two
        critics. Actions are in units of half the width of a Box, so that finite bounds are -1 and 1; relaxed choices
        are one-hot. For a Discrete and its exact expectation: observations -> values [B, 2, n] of all choices. None
        makes dense layers.
    **config
        Fields of `SACConfig`.

    Examples
    --------
    >>> import kgdists as kg
    >>> agent = kg.agents.SAC("Pendulum-v1", hidden_units=(16,), epoch_steps=64, learning_starts=32, seed=0)
    >>> history = agent.learn(128, verbose=0)
    >>> history.history["steps"]
    [64.0, 128.0]
    """

    name = "sac"
    Config = SACConfig
    MODELS = ("policy", "critic")
    METRICS: tuple[str, ...] = ("critic_loss", "policy_loss", "entropy", "value", "ent_coef")

    config: SACConfig

    def __init__(
        self, env: Env, *, policy: Policy | None = None, critic: keras.Model | None = None, **config: Any
    ) -> None:
        super().__init__(env, policy=policy, **config)
        settings = self.config
        self.values = soft_values(self.envs.single_action_space, settings)
        pi = self.policy(self._example)
        if isinstance(self.envs.single_action_space, Box) and not pi.REPARAMETERIZED:
            raise ValueError(f"`policy` must be reparameterised to act in a Box. Received: {type(pi).__name__}")
        actions = pi.sample_action(seed=0).numpy()
        has_gaps = resets_late(self.envs)
        self.replay = make_replay((self._example, actions), settings.buffer_size, settings.num_envs, has_gaps)
        self.critic = critic or twin_critic(self.envs, settings, self.values.num_inputs, self.values.num_outputs)
        self._check_critic(actions)
        self.target = [tf.Variable(x, trainable=False) for x in self.critic.trainable_variables]
        self.log_alpha = keras.Variable(math.log(settings.initial_ent_coef), name="log_alpha")
        temperature = [self.log_alpha] if settings.ent_coef is None else []
        self.variables = trainable(self.policy, self.critic) + temperature
        self.optimizer = make_optimizer(settings, self.variables, classes=FUSED)
        self.optimizers = {"optimizer": self.optimizer}
        self._is_adam = isinstance(self.optimizer, keras.optimizers.Adam)
        if not self._is_adam:
            self.METRICS = (*self.METRICS, "gradient_norm")
        self.policy.optimizer = self.optimizer  # where Keras' callbacks look for it
        self._find_normalizations(self.MODELS)
        self._compiled_update, self._compiled_turn, self._compiled_learn = (
            CompiledUpdate(function, settings.jit_compile or type(self.optimizer) not in FUSED.values())
            for function in (self._update, self._turn, self._learn)
        )
        self._compiled_normalize = tf.function(self._normalize, jit_compile=True, autograph=False)

    def _inputs(self, name, example):
        inputs = super()._inputs(name, example)
        width = self.values.num_inputs
        return [inputs, np.zeros((1, width), "float32")] if name == "critic" and width else inputs

    def _check_critic(self, actions):
        observations = tree.map_structure(ops.convert_to_tensor, self._example)
        shape = tuple(self.values.taken(self.critic, observations, ops.convert_to_tensor(actions)).shape)
        if shape != (1, 2):
            raise ValueError(f"`critic` must return values [B, 2, {self.values.num_outputs}]. Received: {shape}")

    @property
    def steps_per_epoch(self) -> int:
        """Steps of all environments together in one epoch: whole updates."""
        return -(-self.config.epoch_steps // self._steps_per_update) * self._steps_per_update

    @property
    def _steps_per_update(self) -> int:
        return self.config.n_steps * self.config.num_envs

    @property
    def _gradient_steps(self):
        return self.config.gradient_steps or self._steps_per_update

    def _train(self) -> dict[str, float]:
        config, n_steps = self.config, self.config.n_steps
        steps = np.arange(self.steps_per_epoch // config.num_envs + 1) + self.steps // config.num_envs
        keys = self._keys(steps - steps % config.noise_repeat)
        draws, start = self._act.draws(keys), min(config.learning_starts, config.buffer_size)
        updates, actions = [], []
        placed: tuple[Any, ...] = ()  # of what nothing was learned yet
        # What is learned beside must not change the weights of the steps that are being taken.
        started: dict[str, Any] = {"weights": list(map(backend.read, self.policy.variables))} if config.overlap else {}
        self.replay.cut(None if self.rollouts.starts_anew else self.rollouts.observations)
        with ThreadPoolExecutor(1) as beside:
            for i in range(0, len(keys) - 1, n_steps):
                part = slice(i, i + n_steps)
                acting = RolloutActions(self._act, keys[part], draws[part], **started)
                learning = beside.submit(self._learned, self._compiled_learn, *placed) if placed else None
                experience = self.rollouts.collect(acting)
                del acting  # as long as its weights were in use, the next step would have to move a copy of them
                if learning is not None:
                    updates.append(learning.result())
                actions.append(experience[1])
                placed = self._placed(experience)
                if self.replay.size * config.num_envs < start:
                    self.replay.write(*placed)
                    placed = ()
                elif not config.overlap:
                    others = self.rollouts.observations, keys[i + n_steps]
                    updates.append(self._learned(self._compiled_turn, *placed, *others))
                    placed = ()
                if updates:
                    started = updates[-1].pop("started")
        if placed:
            updates.append(self._learned(self._compiled_learn, *placed))
        self._has_learned = bool(updates)
        saturation = diagnostics.saturation(self.envs.single_action_space, np.concatenate(actions))
        return {
            **{name: float(np.mean([x[name] for x in updates])) if updates else math.nan for name in self.METRICS},
            **{name: float(x) for name, x in saturation.items()},
            **({"gradient_norm": self._adam_gradient_norm(updates)} if self._is_adam else {}),
        }

    def _placed(self, experience):
        """Take in what was observed: where rows for replay go, and these."""
        experience, is_step = experience[:6], experience[6:]
        if self.normalizations:
            self._normalize_by(experience[0], *is_step)
        index, rows = self.replay.place(*experience)
        if isinstance(self.replay, ReplayBuffer) and self.replay.is_step is not None:
            self.replay.leave_out(index, *is_step or (np.ones_like(experience[4]),))
        return index, rows

    def _learned(self, compiled, index, rows, *others):
        """Write what was placed for replay, and improve."""
        try:
            return compiled(self._now(), index, rows, *others, count=self._gradient_steps)
        except BaseException:  # an interrupt, too: what is counted must be there
            self.replay.write(index, rows)
            raise

    def _adam_gradient_norm(self, updates):
        return diagnostics.adam_gradient_norm(self.optimizer) if updates else math.nan

    def update(self, gradient_steps: Integer = 1) -> dict[str, float]:
        """Improve policy and critics on what is kept for replay, by batches drawn from it.

        Parameters
        ----------
        gradient_steps : int, >= 1
            All of them are one call of one program, which is compiled for each number of them.

        Returns
        -------
        dict of name -> float, the losses and diagnostics averaged over the gradient steps.

        Raises
        ------
        ValueError
            For another number of gradient steps, or if nothing is kept for replay yet.
        """
        gradient_steps = count("gradient_steps", gradient_steps)
        if not self.replay.size:
            raise ValueError("`update` needs steps to replay: call `learn` first, which takes some")
        return self._compiled_update(self._now(), count=gradient_steps)

    def _now(self):
        # One argument, because each costs time.
        return np.array([self.seed, self.replay.size, self.replay.position])

    def _turn(self, now, index, rows, observations, key, count):
        """Write what was placed for replay, improve, and start the next rollout: one call for what would be three."""
        metrics = self._update_by(now, index, rows, count)
        return metrics | {"started": {"first": self._act.first(observations, key)}}

    def _learn(self, now, index, rows, count):
        """The same while the environments are stepped, which the next rollout's weights are for."""
        metrics = self._update_by(now, index, rows, count)
        return metrics | {"started": {"weights": list(map(tf.convert_to_tensor, self.policy.variables))}}

    def _update_by(self, now, index, rows, count):
        self.replay.write(index, rows)
        return self._update(now, count)

    def _update(self, now, count):
        seed, size, position = tf.unstack(now)

        def step(i, totals):
            key = tf.stack([seed, tf.cast(self.optimizer.iterations, "int64")])
            return i + 1, totals + self._gradient_step(key, size, position)

        start = (0, tf.zeros(len(self.METRICS)))
        # A loop, even if it ends after one step, costs a twentieth of the step.
        _, totals = step(*start) if count == 1 else tf.while_loop(lambda i, _: i < count, step, start)
        return dict(zip(self.METRICS, tf.unstack(totals / count), strict=True))

    def _gradient_step(self, key, size, position):
        config, values = self.config, self.values
        for_batch, for_target, for_policy = random.split(key, 3)
        observations, actions, rewards, next_observations, terminated, _, discounts = self.replay.sample(
            for_batch, config.batch_size, size, position, config.n_step_returns, config.gamma
        )
        alpha = ops.exp(self.log_alpha) if config.ent_coef is None else tf.constant(config.ent_coef, "float32")
        following = values.soft_value(
            self.policy(next_observations), self._frozen(self.target), next_observations, alpha, for_target
        )
        targets = rewards + tf.where(terminated, 0.0, discounts * following)
        with tf.GradientTape() as tape:
            taken = values.taken(self.critic, observations, actions)
            critic_loss = losses.sac_critic(taken[:, 0], taken[:, 1], targets)
            critic = self._frozen([tf.stop_gradient(x) for x in self.critic.trainable_variables])
            policy_loss, entropy = values.policy_loss(
                self.policy(observations), critic, observations, alpha, for_policy
            )
            loss = critic_loss + policy_loss + penalty(self.variables)
            if config.ent_coef is None:
                target_entropy = values.target_entropy(observations, config.target_entropy)
                loss += losses.sac_temperature(self.log_alpha, entropy, target_entropy)
        gradients = tape.gradient(loss, self.variables)
        self.optimizer.apply(gradients, self.variables)
        for target, weight in zip(self.target, self.critic.trainable_variables, strict=True):
            target.assign_add(config.tau * (weight - target))
        norm = [] if self._is_adam else [diagnostics.gradient_norm(gradients)]
        return tf.stack([critic_loss, policy_loss, ops.mean(entropy), ops.mean(taken), alpha, *norm])

    def _frozen(self, weights):
        """The critics with other weights, as a function of their inputs."""
        others = self.critic.non_trainable_variables
        return lambda inputs: self.critic.stateless_call(weights, others, inputs)[0]

    def _normalize(self, seen):
        for layer, x in zip(self.normalizations, seen, strict=True):
            layer.update(x)

    def _normalize_by(self, observations, is_step=None):
        """Take what was observed, in steps of episodes, into the statistics of observations."""
        seen = [self._seen(layer, observations) for layer in self.normalizations]
        if is_step is None:
            self._compiled_normalize(seen)
        else:
            self._normalize([x[is_step] for x in seen])

    def _check_finite(self, metrics):
        if self._has_learned:
            super()._check_finite(metrics)

    def arrays(self) -> dict[str, np.ndarray]:
        """Name -> array of all that training changes and the models' files do not hold."""
        replay = self.replay.arrays() if self.config.save_replay else {}
        return super().arrays() | {f"replay_{name}": x for name, x in replay.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from the arrays of an agent whose models this one has."""
        super().restore(arrays)
        if "replay_rows" in arrays:
            of_replay = [name for name in arrays if name.startswith("replay_")]
            replay = {name.removeprefix("replay_"): arrays[name] for name in of_replay}
            self.replay.restore(replay, int(arrays.get("num_envs", self.config.num_envs)))
        elif self.steps:
            warnings.warn("The replay was not saved (`save_replay`): training goes on with an empty one", RunWarning, 2)

    def _state(self):
        targets = {f"target_{i}": variable for i, variable in enumerate(self.target)}
        return super()._state() | targets | {"log_alpha": self.log_alpha}
