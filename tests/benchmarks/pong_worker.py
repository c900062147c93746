"""Train PPO on ALE/Pong-v5 with one library, in this process, and print its speed as a line of JSON.

Each library is imported only by its own function, so that one file serves both interpreters.
"""

import argparse
import json
import platform
import time
from importlib.metadata import version

import ale_py
import gymnasium

NUM_ENVS = 8
UNTIMED = 1  # rollouts before the clocks start: they hold the compilation
SETTINGS = {
    "n_steps": 128,
    "batch_size": 256,
    "n_epochs": 4,
    "learning_rate": 2.5e-4,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_range": 0.1,
    "ent_coef": 0.01,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
}


def make_env():
    """Pong with the standard preprocessing: four frames of 84 x 84, each of four steps of the game."""
    env = gymnasium.make("ALE/Pong-v5", frameskip=1)
    return gymnasium.wrappers.FrameStackObservation(gymnasium.wrappers.AtariPreprocessing(env), 4)


def now():
    """Seconds by the clock on the wall, and of processor time."""
    return time.perf_counter(), time.process_time()


def train_kgdists(options, starts):
    """Train kgdists' agent; return its backend.

    `starts` gets `now()` at the start of each rollout.
    """
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    import keras

    from kgdists.agents import PPO

    agent = PPO(make_env, num_envs=NUM_ENVS, vectorization="sync", seed=options.seed, **SETTINGS)
    clock = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: starts.append(now()))
    agent.learn(options.steps, [clock], verbose=0)
    return f"tensorflow {tf.__version__}"


def train_peer(options, starts):
    """The same for Stable-Baselines3."""
    import torch

    torch.set_num_threads(options.threads)
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    class Clock(BaseCallback):
        def _on_rollout_start(self):
            starts.append(now())

        def _on_step(self):
            return True

    agent = PPO("CnnPolicy", make_vec_env(make_env, NUM_ENVS), device="cpu", seed=options.seed, **SETTINGS)
    agent.learn(options.steps, Clock())
    return f"torch {torch.__version__}"


LIBRARIES = {"kgdists": train_kgdists, "stable-baselines3": train_peer}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("steps", type=int, help="of the run, of which the first rollouts are not timed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="of an operation")
    options = parser.parse_args()
    gymnasium.register_envs(ale_py)
    starts = []
    backend = LIBRARIES[options.library](options, starts)
    starts.append(now())
    timed = (len(starts) - 1 - UNTIMED) * NUM_ENVS * SETTINGS["n_steps"]
    seconds, of_processor = (b - a for a, b in zip(starts[UNTIMED], starts[-1], strict=True))
    result = {
        "library": options.library,
        "version": version(options.library),
        "backend": backend,
        "threads": options.threads,
        "python": platform.python_version(),
        "steps": timed,
        "seed": options.seed,
        "steps_per_second": timed / seconds,
        "steps_per_processor_second": timed / of_processor,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
