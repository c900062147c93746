"""Solve CartPole with PPO and a categorical policy; Keras callbacks watch."""

import argparse

import keras

import kgdists as kg

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=60_000)
parser.add_argument("--episodes", type=int, default=100)
steps, episodes = (options := parser.parse_args()).steps, options.episodes

# The learning rate and the clip range go down to 0 over the training, counted in gradient steps.
num_envs, n_steps, batch_size, n_epochs = 8, 32, 256, 20
gradient_steps = -(-steps // (num_envs * n_steps)) * n_epochs * (num_envs * n_steps // batch_size)


def linear_decay(start):
    return keras.optimizers.schedules.PolynomialDecay(start, gradient_steps, 0.0)


agent = kg.agents.PPO(
    "CartPole-v1",
    num_envs=num_envs,
    n_steps=n_steps,
    batch_size=batch_size,
    n_epochs=n_epochs,
    learning_rate=linear_decay(1e-3),
    clip_range=linear_decay(0.2),
    gamma=0.98,
    gae_lambda=0.8,
    seed=0,
)


def report(epoch, logs):
    if epoch % 20 == 0:
        print(f"{logs['steps']:6.0f} steps: return {logs['return']:6.1f}, entropy {logs['entropy']:.3f}")


agent.learn(steps, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)], verbose=0)
print(agent.evaluate(episodes, seed=0))
