"""An actor-critic loop written by hand in `tf.function`, from distributions, losses and returns alone."""

import argparse

import gymnasium
import keras
import numpy as np
import tensorflow as tf
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import kgdists as kg

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=100_000)
steps = parser.parse_args().steps

keras.utils.set_random_seed(0)
num_envs, n_steps, gamma = 8, 32, 0.99
envs = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def network(outputs):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(64, "tanh"), keras.layers.Dense(outputs)])


actor, critic = network(2), network(1)


def over_time(network, observations):
    """Apply a network to observations of shape [T, N, 4]: outputs [T, N, outputs]."""
    return tf.reshape(network(tf.reshape(observations, (-1, 4))), (n_steps, num_envs, -1))


variables = actor.trainable_variables + critic.trainable_variables
optimizer = keras.optimizers.Adam(5e-3, global_clipnorm=0.5)
optimizer.build(variables)


@tf.function(jit_compile=True)
def act(observations):
    return kg.CategoricalDist(actor(observations)).sample_action()


@tf.function(jit_compile=True)
def update(observations, actions, rewards, next_observations, terminated, truncated):
    with tf.GradientTape() as tape:
        pi = kg.CategoricalDist(over_time(actor, observations))
        values = over_time(critic, observations)[..., 0]
        next_values = over_time(critic, next_observations)[..., 0]
        advantages, returns = kg.returns.gae(rewards, values, next_values, terminated, truncated, gamma, 0.95)
        loss = (
            kg.losses.policy_gradient(pi.log_proba(actions), advantages)
            + 0.5 * kg.losses.value(values, returns)
            + 0.01 * kg.losses.entropy_bonus(pi.entropy())
        )
    optimizer.apply(tape.gradient(loss, variables), variables)
    return loss


observations = envs.reset(seed=0)[0]
episode_return, finished = np.zeros(num_envs), []
for i in range(max(1, steps // (num_envs * n_steps))):
    rows = []
    for _ in range(n_steps):
        actions = act(observations).numpy()
        following, rewards, terminated, truncated, info = envs.step(actions)
        episode_return += rewards
        last = following.copy()
        for k in np.flatnonzero(terminated | truncated):
            last[k] = info["final_obs"][k]  # the episode's own last observation: `following` starts the next one
            finished.append(episode_return[k])
            episode_return[k] = 0.0
        rows.append((observations, actions, rewards.astype("float32"), last, terminated, truncated))
        observations = following
    loss = update(*(np.stack(column) for column in zip(*rows, strict=True)))
    if i % 40 == 0:
        mean = np.mean(finished[-50:]) if finished else float("nan")
        print(f"{(i + 1) * num_envs * n_steps:7d} steps: loss {float(loss):7.2f}, return {mean:6.1f}")
print(f"mean return of the last 50 episodes: {np.mean(finished[-50:]) if finished else float('nan'):.1f}")
