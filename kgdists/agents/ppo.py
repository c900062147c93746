"""Proximal policy optimisation (Schulman et al. 2017) with the clipped surrogate loss."""

import contextlib
import math
import time
from collections import deque

import keras
import numpy as np
import tensorflow as tf
from gymnasium.vector.utils import create_empty_array
from keras import ops, tree
from keras.optimizers.schedules import LearningRateSchedule

from kgdists import divergences, losses, random
from kgdists.agents import checkpoint
from kgdists.agents.envs import make_envs
from kgdists.agents.networks import mlp
from kgdists.agents.ppo_config import PPOConfig
from kgdists.agents.rollout import Rollouts, copied, evaluate
from kgdists.layers import NormalHead, RunningNormalization, StateDependentNormalHead
from kgdists.policy import Policy, split_mask
from kgdists.returns import gae
from kgdists.spaces import check_fits, decode_action, head_for

__all__ = ["PPO"]


class PPO:
    """An agent that improves a policy by clipped policy gradients on its own rollouts.

    Parameters
    ----------
    env : str, callable or gymnasium.vector.VectorEnv
        An id, a function that makes one environment, or a vector environment with same-step autoreset.
    policy : None or kgdists.Policy
        Observations -> distribution over actions; None makes tanh layers and the head for the action space.
    value : None or keras.Model
        Observations [B, *shape], without action masks, -> values [B, 1]; None makes tanh layers.
    **config
        Fields of `PPOConfig`.

    Examples
    --------
    >>> import kgdists as kg
    >>> agent = kg.agents.PPO("CartPole-v1", num_envs=2, n_steps=32, seed=0)
    >>> history = agent.learn(128)
    >>> history.history["steps"]
    [64.0, 128.0]
    """

    name = "ppo"
    Config = PPOConfig
    MODELS = ("policy", "value")

    def __init__(self, env, *, policy=None, value=None, **config):
        self.env = env
        self.envs = make_envs(env, config.get("num_envs", PPOConfig.num_envs))
        self.config = config = PPOConfig(**(config | {"num_envs": self.envs.num_envs}))
        self.policy = policy or _default_policy(self.envs, config)
        self.value = value or _default_value(self.envs, config)
        self.optimizer = keras.optimizers.Adam(config.learning_rate, epsilon=1e-5, global_clipnorm=config.max_grad_norm)
        self.steps = 0
        self.seed = np.random.default_rng(config.seed).integers(2**31).item()
        self.generator = keras.random.SeedGenerator(config.seed)
        self.return_statistics = RunningNormalization()
        self.return_statistics.build((None,))
        self.discounted_return = tf.Variable(tf.zeros(config.num_envs))
        self.rollouts = Rollouts(self.envs, config.n_steps, config.seed)
        self._build()

    def _build(self):
        self._example = copied(create_empty_array(self.envs.single_observation_space, 1, np.ones))
        check_fits(self.policy(self._example), self.envs.single_action_space)
        values = self.value(split_mask(self._example)[0])
        if tuple(values.shape) != (1, 1):
            raise ValueError(f"`value` must map observations [B, ...] to [B, 1]. Received: shape {tuple(values.shape)}")
        self.variables = self.policy.trainable_variables + self.value.trainable_variables
        self.optimizer.build(self.variables)
        self.policy.optimizer = self.optimizer  # where Keras' callbacks look for it
        self.normalizations = [*_normalizations(self.policy.trunk), *_normalizations(self.value)]
        self._act = _actor(self.policy, self._example, self.envs.num_envs)
        self._act_greedily = tf.function(lambda x: self.policy(x).mode_action(), jit_compile=True, autograph=False)
        self._act_randomly = tf.function(lambda x: self.policy(x).sample_action(), jit_compile=True, autograph=False)
        self._compiled_update = tf.function(self._update, jit_compile=True, autograph=False)

    def learn(self, total_steps, callbacks=None):
        """Train for a number of environment steps, rounded up to whole rollouts.

        Parameters
        ----------
        total_steps : int, >= 1
            Steps of all environments together, on top of those already taken.
        callbacks : None or list of keras.callbacks.Callback
            An epoch is one rollout and update; `callback.model` is the policy.

        Returns
        -------
        keras.callbacks.History
            One entry per update of `return` and `length` (means of the last 100 episodes), `steps`, and the losses
            and diagnostics of the update.

        Raises
        ------
        FloatingPointError
            If a loss or a weight stops being finite.
        """
        if not isinstance(total_steps, int) or total_steps < 1:
            raise ValueError(f"`total_steps` must be an int >= 1. Received: total_steps={total_steps!r}")
        per_update = self.config.n_steps * self.config.num_envs
        updates = -(-total_steps // per_update)
        history = keras.callbacks.History()
        callbacks = keras.callbacks.CallbackList(
            [*(callbacks or ()), history], model=self.policy, epochs=updates, first_step=self.steps
        )
        self.policy.stop_training = False
        callbacks.on_train_begin()
        try:
            for epoch in range(updates):
                callbacks.on_epoch_begin(epoch)
                start = time.perf_counter()
                losses_and_diagnostics = self.update(*self._collect())
                self.steps += per_update
                speed = {"steps_per_second": per_update / (time.perf_counter() - start)}
                callbacks.on_epoch_end(epoch, self._progress() | losses_and_diagnostics | speed)
                if self.policy.stop_training:
                    break
        finally:
            callbacks.on_train_end()
        return history

    def _collect(self):
        # Keys (seed, step) made in one call: a tensor made from an array costs as much as a layer.
        first = self.steps // self.config.num_envs
        steps = np.arange(first, first + self.config.n_steps)
        if self.config.sde_sample_freq is not None:
            steps -= steps % self.config.sde_sample_freq  # one key, one exploration
        keys = iter(tf.unstack(np.stack([np.full_like(steps, self.seed), steps], axis=1)))
        return self.rollouts.collect(lambda observations: self._act(observations, next(keys)))

    def _progress(self):
        returns, lengths = self.rollouts.recent_returns, self.rollouts.recent_lengths
        return {
            "steps": self.steps,
            "return": float(np.mean(returns)) if returns else math.nan,
            "length": float(np.mean(lengths)) if lengths else math.nan,
        }

    def update(self, observations, actions, rewards, next_observations, terminated, truncated):
        """Improve policy and values on one rollout: (nested) arrays [T, N, ...] as `Rollouts.collect` returns them.

        Returns
        -------
        dict of name -> float, the losses and diagnostics averaged over the gradient steps.
        """
        metrics = self._compiled_update(
            observations, actions, rewards.astype("float32"), next_observations, terminated, truncated
        )
        logs = {name: x.numpy().item() for name, x in metrics.items()}
        bad = [name for name, x in logs.items() if not math.isfinite(x) and name != "explained_variance"]
        if bad:
            raise FloatingPointError(f"Training diverged after {self.steps} steps: {', '.join(bad)} not finite")
        return logs

    def _update(self, observations, actions, rewards, next_observations, terminated, truncated):
        config = self.config
        n = config.n_steps * config.num_envs
        num_batches = n // config.batch_size
        values, next_values = self._values(observations), self._values(next_observations)
        if config.normalize_rewards:
            rewards = self._scaled(rewards, terminated | truncated)
        advantages, returns = gae(rewards, values, next_values, terminated, truncated, config.gamma, config.gae_lambda)
        rows = tree.map_structure(_flat, [observations, actions, advantages, returns, values])
        rows.append(_float32(self.policy(rows[0]).log_proba(rows[1])))
        limit = math.inf if config.target_kl is None else 1.5 * config.target_kl

        def minibatch(i, shuffled, kl, sums):
            metrics = self._gradient_step(*tree.map_structure(lambda x: x[i], shuffled))
            return i + 1, shuffled, metrics["kl"], {name: sums[name] + metrics[name] for name in sums}

        def epoch(i, kl, sums, count):
            shuffled = rows
            if num_batches > 1:  # the order within a batch is all the same
                order = random.permutation(n, self.generator)
                shuffled = tree.map_structure(lambda x: ops.take(x, order, axis=0), rows)
            shuffled = tree.map_structure(
                lambda x: ops.reshape(x, (num_batches, config.batch_size, *x.shape[1:])), shuffled
            )
            done, _, kl, sums = tf.while_loop(
                lambda j, _, kl, sums: (j < num_batches) & (kl <= limit), minibatch, (0, shuffled, kl, sums)
            )
            return i + 1, kl, sums, count + done

        names = ("policy_loss", "value_loss", "entropy", "kl", "clip_fraction")
        _, _, sums, count = tf.while_loop(
            lambda i, kl, sums, count: (i < config.n_epochs) & (kl <= limit),
            epoch,
            (0, tf.constant(0.0), {name: tf.constant(0.0) for name in names}, 0),
        )
        # Only now, so that the old log-probabilities above are those of the policy that acted.
        for layer in self.normalizations:
            layer.update(split_mask(observations)[0])
        metrics = {name: total / ops.cast(count, "float32") for name, total in sums.items()}
        unexplained = ops.var(returns - values) / ops.var(returns)
        return metrics | {
            "explained_variance": 1.0 - unexplained,
            "learning_rate": ops.convert_to_tensor(self.optimizer.learning_rate),
        }

    def _gradient_step(self, observations, actions, advantages, returns, old_values, old_log_proba):
        config = self.config
        clip_range = config.clip_range
        if isinstance(clip_range, LearningRateSchedule):
            clip_range = clip_range(self.optimizer.iterations)
        if config.normalize_advantages:
            advantages = (advantages - ops.mean(advantages)) / (ops.std(advantages) + 1e-8)
        with tf.GradientTape() as tape:
            pi = self.policy(observations)
            log_proba = _float32(pi.log_proba(actions))
            values = _float32(ops.squeeze(self.value(split_mask(observations)[0]), axis=-1))
            entropy_loss = losses.entropy_bonus(_float32(_entropy(pi, self.generator)))
            policy_loss = losses.ppo_clip(log_proba, old_log_proba, advantages, clip_range)
            value_loss = losses.value(
                values, returns, None if config.clip_range_value is None else old_values, config.clip_range_value
            )
            loss = policy_loss + config.vf_coef * value_loss + config.ent_coef * entropy_loss
        self.optimizer.apply(tape.gradient(loss, self.variables), self.variables)
        log_ratio = log_proba - old_log_proba
        return {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": -entropy_loss,
            "kl": ops.mean(ops.expm1(log_ratio) - log_ratio),  # Schulman's estimator: unbiased, >= 0
            "clip_fraction": ops.mean(ops.cast(ops.abs(ops.expm1(log_ratio)) > clip_range, "float32")),
        }

    def _values(self, observations):
        observations, _ = split_mask(observations)
        return _float32(ops.reshape(self.value(_flat(observations)), observations.shape[:2]))

    def _scaled(self, rewards, ended):
        """Rewards over the running standard deviation of the discounted return."""

        def step(total, at_t):
            reward, ended = at_t
            total = reward + self.config.gamma * total
            return ops.where(ended, 0.0, total), total

        last, totals = ops.scan(step, ops.convert_to_tensor(self.discounted_return), (rewards, ended))
        self.discounted_return.assign(last)
        self.return_statistics.update(totals)
        return rewards / ops.sqrt(self.return_statistics.variance + self.return_statistics.epsilon)

    def evaluate(self, episodes=100, deterministic=True, seed=None):
        """Play whole episodes without training.

        Parameters
        ----------
        episodes : int, >= 1
        deterministic : bool
            Take the most probable action, or draw one.
        seed : None or int
            Of the environments.

        Returns
        -------
        Evaluation, with `mean`, `std`, `returns` and `lengths`.
        """
        act = self._act_greedily if deterministic else self._act_randomly
        if self.env is self.envs:
            self.rollouts.observations = None  # the next rollout starts with new episodes
            return evaluate(self.envs, act, episodes, seed)
        num_envs = min(episodes, 100) if isinstance(episodes, int) and episodes > 0 else 1
        with contextlib.closing(make_envs(self.env, num_envs)) as envs:
            return evaluate(envs, act, episodes, seed)

    def predict(self, observations, deterministic=True):
        """Actions for the environment.

        Parameters
        ----------
        observations : array, shape [*shape] or [B, *shape]
            With action masks a dict as `ActionMask` makes it.
        deterministic : bool
            Take the most probable action, or draw one.

        Returns
        -------
        numpy array, shape [*action_shape] or [B, *action_shape], of the action space's dtype, or what else the action
        space consists of.
        """
        observations, is_single = _batch(observations, self._example)
        act, space = self._act_greedily if deterministic else self._act_randomly, self.envs.single_action_space
        actions = act(tree.map_structure(tf.constant, observations))
        return decode_action(space, tree.map_structure(lambda x: x.numpy()[0] if is_single else x.numpy(), actions))

    def save(self, path):
        """Save the agent to a folder: `policy.keras`, `value.keras`, `config.json`, `state.npz`.

        A folder that exists is replaced file by file, each written aside and then renamed.
        """
        checkpoint.save(self, path)

    def arrays(self):
        """Name -> array of all that training changes and the models' files do not hold."""
        return {name: np.asarray(variable) for name, variable in self._state().items()} | {
            "steps": np.asarray(self.steps),
            "seed": np.asarray(self.seed),
            "recent_returns": np.asarray(self.rollouts.recent_returns),
            "recent_lengths": np.asarray(self.rollouts.recent_lengths),
        }

    def restore(self, arrays):
        """Go on from the arrays of an agent whose models this one has."""
        for name, variable in self._state().items():
            variable.assign(arrays[name])
        self.steps, self.seed = int(arrays["steps"]), int(arrays["seed"])
        if self.config.seed is not None:
            self.rollouts.seed = self.config.seed + self.steps  # not the episodes of the start again
        for name in ("recent_returns", "recent_lengths"):
            setattr(self.rollouts, name, deque(arrays[name].tolist(), maxlen=100))

    def _state(self):
        # Keras restores no generators.
        generators = [self.generator.state, *(v for v in self.policy.variables if v.name == "seed_generator_state")]
        return (
            {f"optimizer_{i}": variable for i, variable in enumerate(self.optimizer.variables)}
            | {f"generator_{i}": state for i, state in enumerate(generators)}
            | {f"return_statistics_{i}": variable for i, variable in enumerate(self.return_statistics.variables)}
            | {"discounted_return": self.discounted_return}
        )

    @classmethod
    def load(cls, path, env=None):
        """Load an agent that `save` wrote.

        Parameters
        ----------
        path : str or path
        env : None, str, callable or gymnasium.vector.VectorEnv
            May be left out if the agent was made with an id.

        Returns
        -------
        PPO
        """
        return checkpoint.load(cls, path, env)


def _float32(x):
    return ops.cast(x, "float32")


def _normalizations(layer):
    """All layers in `layer` that keep statistics of observations."""
    if isinstance(layer, RunningNormalization):
        return [layer]
    return [found for part in getattr(layer, "layers", ()) for found in _normalizations(part)]


def _flat(x):
    return ops.reshape(x, (-1, *x.shape[2:]))


def _actor(policy, example, num_envs):
    """A fast function of observations of all environments and a key to actions, arrays or nested ones."""
    # A pure function: a generator's counter, a variable to write, would double the time of a call.
    act = tf.function(lambda x, key: policy(x).sample_action(seed=key), jit_compile=True, autograph=False)
    observations = tree.map_structure(lambda x: tf.TensorSpec((num_envs, *x.shape[1:]), x.dtype), example)
    act = act.get_concrete_function(observations, tf.TensorSpec((2,), tf.int64))
    is_nested = tree.is_nested(act.structured_outputs)

    def call(observations, key):
        # The flat call leaves out the checks of the structured one, which take as long as a small network.
        flat = map(tf.constant, tree.flatten(observations))
        actions = [x.numpy() for x in act.inference_fn.call_flat(*flat, key, *act.captured_inputs)]
        return tree.pack_sequence_as(act.structured_outputs, actions) if is_nested else actions[0]

    return call


def _batch(observations, example):
    """Observations behind a batch axis like those of `example`, and whether they had none."""
    shape = tree.map_structure(lambda x: x.shape[1:], example)
    try:
        arrays = tree.map_structure_up_to(example, lambda like, x: np.asarray(x, like.dtype), example, observations)
    except (TypeError, ValueError):
        arrays = None
    if tree.map_structure(np.shape, arrays) == shape:
        return tree.map_structure(lambda x: x[None], arrays), True
    if arrays is None or tree.map_structure(lambda x: x.shape[1:], arrays) != shape:
        received = tree.map_structure(np.shape, observations if arrays is None else arrays)
        raise ValueError(f"`observations` must have shape {shape}, behind a batch axis or not. Received: {received}")
    return arrays, False


def _entropy(pi, seed):
    """In closed form or, where there is none, an unbiased estimate by one draw."""
    try:
        return pi.entropy()
    except NotImplementedError:
        return divergences.entropy(pi, seed=seed)[0]


def _default_policy(envs, config):
    space = envs.single_action_space
    options = {"initial_stddev": config.initial_stddev, "random_seed": config.seed}
    if config.sde_sample_freq is None:
        head = head_for(space, family=config.box_family, **options)
    else:
        normal = head_for(space, family="normal", **options)
        if not isinstance(normal, NormalHead):
            raise ValueError(
                f"`sde_sample_freq` must be None unless the action space is a Box of floats. Received: {space}"
            )
        head = StateDependentNormalHead(normal.num_dims, center=normal.center, scale=normal.scale, **options)
    return Policy(keras.Sequential(mlp(envs, config, salt=1)), head)


def _default_value(envs, config):
    initializer = keras.initializers.Orthogonal(1.0, seed=config.seed)
    return keras.Sequential([*mlp(envs, config, salt=2), keras.layers.Dense(1, kernel_initializer=initializer)])
