"""Swing up Pendulum with PPO and a normal policy of our own: a trunk, and a head with state-dependent variance."""

import argparse

import gymnasium
import keras

import kgdists as kg

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=150_000)
parser.add_argument("--episodes", type=int, default=100)
options = parser.parse_args()

action_space = gymnasium.make("Pendulum-v1").action_space
trunk = keras.Sequential([keras.Input((3,)), keras.layers.Dense(64, "tanh"), keras.layers.Dense(64, "tanh")])
policy = kg.Policy(trunk, kg.head_for(action_space, state_dependent=True, random_seed=0))

agent = kg.agents.PPO(
    "Pendulum-v1",
    policy=policy,
    n_steps=128,
    batch_size=128,
    learning_rate=1e-3,
    gamma=0.95,
    normalize_rewards=True,
    seed=0,
)


def report(epoch, logs):
    if epoch % 10 == 0:
        print(f"{logs['steps']:7.0f} steps: return {logs['return']:8.1f}, entropy {logs['entropy']:.3f}")


agent.learn(options.steps, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)], verbose=0)
print(agent.evaluate(options.episodes, seed=0))
