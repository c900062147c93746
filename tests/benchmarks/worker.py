"""Train PPO on CartPole-v1 with one library, in this process, and print its speed as a line of JSON.

Each library is imported only by its own function, so that one file serves both interpreters.
"""

import argparse
import json
import platform
import statistics
import time
from importlib.metadata import version

NUM_ENVS = 8
UNTIMED = 2  # rollouts before the clock starts: they hold the compilation
EPISODES = 100
COMMON = {"clip_range": 0.2, "ent_coef": 0.0, "vf_coef": 0.5, "max_grad_norm": 0.5}
SETTINGS = {
    "short": COMMON
    | {"n_steps": 32, "batch_size": 256, "n_epochs": 20, "learning_rate": 1e-3, "gamma": 0.98, "gae_lambda": 0.8},
    "long": COMMON
    | {"n_steps": 256, "batch_size": 64, "n_epochs": 10, "learning_rate": 3e-4, "gamma": 0.99, "gae_lambda": 0.95},
}
DECAYED = {"short": ("learning_rate", "clip_range"), "long": ()}  # linearly to 0 over the run


def train_kgdists(settings, decayed, options, starts):
    """Train kgdists' agent; return its final return, its evaluation, its backend and the threads.

    `starts` gets the time at the start of each rollout and at the end of the training.
    """
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    import keras
    from keras.optimizers.schedules import PolynomialDecay

    from kgdists.agents import PPO

    per_update = NUM_ENVS * settings["n_steps"]
    updates = -(-options.steps // per_update)
    gradient_steps = updates * settings["n_epochs"] * per_update // settings["batch_size"]
    schedules = {name: PolynomialDecay(settings[name], gradient_steps, 0.0) for name in decayed}
    agent = PPO("CartPole-v1", num_envs=NUM_ENVS, seed=options.seed, **(settings | schedules))
    clock = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: starts.append(time.perf_counter()))
    history = agent.learn(options.steps, [clock], verbose=0)
    starts.append(time.perf_counter())
    evaluation = agent.evaluate(EPISODES).mean if options.evaluate else None
    return history.history["return"][-1], evaluation, f"tensorflow {tf.__version__}", "1"


def train_peer(settings, decayed, options, starts):
    """The same for Stable-Baselines3 or SBX."""
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    if options.library == "sbx-rl":
        from sbx import PPO
    else:
        from stable_baselines3 import PPO

    class Clock(BaseCallback):
        def _on_rollout_start(self):
            starts.append(time.perf_counter())

        def _on_step(self):
            return True

    schedules = {name: lambda remaining, first=settings[name]: first * remaining for name in decayed}
    envs = make_vec_env("CartPole-v1", NUM_ENVS)
    agent = PPO("MlpPolicy", envs, device="cpu", seed=options.seed, **(settings | schedules))
    agent.learn(options.steps, Clock())
    starts.append(time.perf_counter())
    final_return = statistics.fmean(episode["r"] for episode in agent.ep_info_buffer)
    evaluation = evaluate_policy(agent, envs, EPISODES, deterministic=True)[0] if options.evaluate else None
    threads = f"{torch.get_num_threads()} ({'as set' if options.threads else 'default'})"
    if options.library == "sbx-rl":
        return final_return, evaluation, f"jax {version('jax')}", f"jax's default, torch's {threads}"
    return final_return, evaluation, f"torch {torch.__version__}", threads


LIBRARIES = {"kgdists": train_kgdists, "stable-baselines3": train_peer, "sbx-rl": train_peer}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("setting", choices=SETTINGS)
    parser.add_argument("steps", type=int, help="of the run, of which the first rollouts are not timed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--evaluate", action="store_true", help="play 100 episodes after training")
    options = parser.parse_args()

    settings, decayed, starts = SETTINGS[options.setting], DECAYED[options.setting], []
    per_rollout = NUM_ENVS * settings["n_steps"]
    if options.steps <= UNTIMED * per_rollout:
        parser.error(f"`steps` must be more than {UNTIMED * per_rollout}. Received: {options.steps}")
    final_return, evaluation, backend, threads = LIBRARIES[options.library](settings, decayed, options, starts)
    rollouts = len(starts) - 1
    seconds = starts[-1] - starts[UNTIMED]
    result = {
        "library": options.library,
        "version": version(options.library),
        "backend": backend,
        "threads": threads,
        "python": platform.python_version(),
        "setting": options.setting,
        "steps": rollouts * per_rollout,
        "seed": options.seed,
        "steps_per_second": (rollouts - UNTIMED) * per_rollout / seconds,
        "seconds": seconds,
        "final_return": final_return,
        "evaluation": evaluation,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
