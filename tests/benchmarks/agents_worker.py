"""Train one agent with one library, in this process, and print its speed as a line of JSON.

Each library is imported only by its own function, so that one file serves all interpreters.
"""

import argparse
import dataclasses
import json
import platform
import statistics
import time
from importlib.metadata import version


@dataclasses.dataclass(frozen=True)
class Task:
    """What all libraries do: the same algorithm, environment and numbers, by the names that Stable-Baselines3 has.

    `steps` are those of a run, of which the first `untimed` do not count: they hold the compilation. `own` are the
    settings of kgdists, where it has other names for them, and `own_steps` its steps, where it makes many more in a
    second.
    """

    agent: str
    env: str
    num_envs: int
    steps: int
    untimed: int
    settings: dict
    own: dict | None = None
    own_steps: int | None = None
    peers: tuple[str, ...] = ("stable-baselines3", "sbx-rl")


PPO = {
    "n_steps": 256,
    "batch_size": 64,
    "n_epochs": 10,
    "learning_rate": 3e-4,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "ent_coef": 0.0,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
}
A2C = {
    "n_steps": 5,
    "learning_rate": 7e-4,
    "gamma": 0.99,
    "gae_lambda": 1.0,
    "ent_coef": 0.0,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
}
SAC = {
    "learning_starts": 100,
    "buffer_size": 1_000_000,
    "batch_size": 256,
    "learning_rate": 3e-4,
    "gamma": 0.99,
    "tau": 0.005,
}


def sac(block):
    """One gradient step for each step of the environment, as many of both in a row as a block has."""
    peers = SAC | {"train_freq": block, "gradient_steps": block}
    own = SAC | {"n_steps": block, "gradient_steps": block, "epoch_steps": 500}
    return Task("SAC", "Pendulum-v1", 1, 4_000, 1_000, peers, own)


def compiled(env, num_envs, own_steps, own=None, **settings):
    """PPO in a compiled environment, in one program."""
    settings = PPO | settings
    own = settings | {"vectorization": "compiled"} | (own or {})
    return Task("PPO", env, num_envs, 40_960, 8_192, settings, own, own_steps)


ROOT = {"epsilon": 1e-10}  # under the root, what 1e-5 is outside it
# SBX bounds the gradients of policy and values each by itself; together, those of values leave policies next to none.
UNBOUNDED = {"max_grad_norm": None}
TASKS = {
    "ppo-pendulum": Task("PPO", "Pendulum-v1", 8, 30_720, 6_144, PPO),
    "ppo-cartpole": Task("PPO", "CartPole-v1", 8, 40_960, 6_144, PPO),
    "sac-pendulum": sac(1),
    "sac-pendulum-by-8": sac(8),
    "a2c-cartpole": Task("A2C", "CartPole-v1", 8, 60_000, 10_000, A2C, A2C | ROOT, peers=("stable-baselines3",)),
    "compiled-cartpole-short": compiled("CartPole-v1", 8, 327_680, n_steps=32, batch_size=256, n_epochs=20),
    "compiled-cartpole-long": compiled("CartPole-v1", 8, 327_680),
    "compiled-cartpole-wide": compiled("CartPole-v1", 256, 1_310_720, n_steps=32, batch_size=2048, n_epochs=4),
    "compiled-pendulum-10": compiled("Pendulum-v1", 4, 327_680, n_steps=1024),
    "compiled-pendulum-2": compiled("Pendulum-v1", 4, 1_310_720, UNBOUNDED, n_steps=1024, batch_size=256, n_epochs=2),
}


def train_kgdists(task, options, clock):
    """Train kgdists' agent; return its final return and the threads."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)  # as the command line does
    import keras

    from kgdists import agents

    settings = task.settings if task.own is None else task.own
    agent = getattr(agents, task.agent)(task.env, num_envs=task.num_envs, seed=options.seed, **settings)
    ticks = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: clock(int(logs["steps"])))
    history = agent.learn(options.steps or task.own_steps or task.steps, [ticks], verbose=0)
    return history.history["return"][-1], "1 for an operation"


def train_peer(task, options, clock):
    """The same for Stable-Baselines3 or SBX."""
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    import stable_baselines3
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    if options.library == "sbx-rl":
        import sbx as library
    else:
        library = stable_baselines3

    class Ticks(BaseCallback):
        def _on_rollout_start(self):
            clock(self.num_timesteps)

        def _on_step(self):
            return True

    envs = make_vec_env(task.env, task.num_envs)
    agent = getattr(library, task.agent)("MlpPolicy", envs, device="cpu", seed=options.seed, **task.settings)
    agent.learn(options.steps or task.steps, Ticks())
    clock(agent.num_timesteps)
    final_return = statistics.fmean(episode["r"] for episode in agent.ep_info_buffer)
    return final_return, f"torch's {torch.get_num_threads()} ({'as set' if options.threads else 'default'})"


LIBRARIES = {"kgdists": train_kgdists, "stable-baselines3": train_peer, "sbx-rl": train_peer}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--steps", type=int, help="of the run; default: the task's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of torch")
    options = parser.parse_args()

    task, times = TASKS[options.task], []
    final_return, threads = LIBRARIES[options.library](
        task, options, lambda steps: times.append((steps, time.perf_counter()))
    )
    timed = [(steps, at) for steps, at in times if steps >= task.untimed]
    (first, start), (last, end) = timed[0], timed[-1]
    result = {
        "library": options.library,
        "version": version(options.library),
        "python": platform.python_version(),
        "threads": threads,
        "task": options.task,
        "seed": options.seed,
        "steps": last,
        "steps_per_second": (last - first) / (end - start),
        "seconds": end - start,
        "final_return": final_return,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
