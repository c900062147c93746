"""Measure one library whose environments are compiled, in this process, and print its speed as a line of JSON.

Each library is imported only by its own function, so that one file serves all interpreters.
"""

import argparse
import json
import platform
import time
from importlib.metadata import version

from agents_worker import TASKS

STEPS = 10_000  # of each environment, in one call
CALLS = 5


def learn_kgdists(task, seed, clock):
    """PPO of kgdists in one program, 20 updates a call."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)  # as the command line does
    import keras

    from kgdists import agents

    agent = getattr(agents, task.agent)(task.env, num_envs=task.num_envs, seed=seed, **task.own)
    ticks = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: clock(int(logs["steps"])))
    agent.learn(task.own_steps, [ticks], verbose=0)


def learn_rejax(task, seed, clock):
    """PPO of rejax in gymnax' environments: all of a training is one call, and there are several."""
    import jax
    from rejax import PPO

    given, steps = task.settings, task.own_steps // 4
    algorithm = PPO.create(
        env=task.env,
        agent_kwargs={"activation": "tanh", "hidden_layer_sizes": (64, 64)},
        total_timesteps=steps,
        eval_freq=steps,
        skip_initial_evaluation=True,
        num_envs=task.num_envs,
        num_steps=given["n_steps"],
        num_epochs=given["n_epochs"],
        num_minibatches=given["n_steps"] * task.num_envs // given["batch_size"],
        clip_eps=given["clip_range"],
        **{
            name: given[name]
            for name in ("learning_rate", "gamma", "gae_lambda", "ent_coef", "vf_coef", "max_grad_norm")
        },
    ).replace(eval_callback=lambda *_: ())
    train = jax.jit(algorithm.train)
    for call in range(CALLS):
        jax.block_until_ready(train(jax.random.PRNGKey(seed + call)))
        clock((call + 1) * steps)


def learn_rltools(task, seed, clock):
    """PPO of rltools, whose program in C++ is compiled for the settings; it steps environments of Python."""
    import gymnasium
    from rltools import PPO

    given = task.settings
    algorithm = PPO(
        lambda: gymnasium.wrappers.RescaleAction(gymnasium.make(task.env), -1.0, 1.0),
        enable_evaluation=False,
        GAMMA=given["gamma"],
        LAMBDA=given["gae_lambda"],
        EPSILON_CLIP=given["clip_range"],
        INITIAL_ACTION_STD=1.0,
        ACTION_ENTROPY_COEFFICIENT=given["ent_coef"],
        N_EPOCHS=given["n_epochs"],
        TOTAL_STEP_LIMIT=task.steps,
        ACTOR_ACTIVATION_FUNCTION="TANH",
        CRITIC_ACTIVATION_FUNCTION="TANH",
        EPISODE_STEP_LIMIT=200,
        N_ENVIRONMENTS=task.num_envs,
        ON_POLICY_RUNNER_STEPS_PER_ENV=given["n_steps"],
        BATCH_SIZE=given["batch_size"],
        OPTIMIZER_ALPHA=given["learning_rate"],
    )
    state, steps, is_finished = algorithm.State(seed), 0, False
    while not is_finished:
        is_finished = state.step()
        steps += given["n_steps"] * task.num_envs
        clock(steps)


def step_kgdists(env, num_envs, seed, clock):
    """Random actions and steps in one program."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    import kgdists as kg
    from kgdists.envs.functional import stepping

    made = kg.envs.compiled(env)

    @tf.function(jit_compile=True, autograph=False)
    def play(seed):
        def one(i, playing, total):
            actions = tf.random.stateless_uniform((num_envs,), tf.stack([seed, tf.cast(i, "int64")]), 0, 2, "int32")
            playing, stepped = stepping.step(made, playing, actions)
            return i + 1, playing, total + tf.reduce_sum(stepped.rewards)

        start = (0, stepping.begin(made, num_envs, seed, tf.constant(1, "int64")), 0.0)
        return tf.while_loop(lambda i, *_: i < STEPS, one, start)[-1]

    for call in range(CALLS):
        play(tf.constant(seed + call, "int64")).numpy()
        clock((call + 1) * STEPS * num_envs)


def step_gymnax(env, num_envs, seed, clock):
    """The same by gymnax, whose steps start ended episodes anew, too."""
    import gymnax
    import jax
    import jax.numpy as jnp

    made, params = gymnax.make(env)

    @jax.jit
    def play(key):
        key, first = jax.random.split(key)
        _, state = jax.vmap(made.reset, (0, None))(jax.random.split(first, num_envs), params)

        def one(carry, _):
            key, state, total = carry
            key, for_actions, for_steps = jax.random.split(key, 3)
            actions = jax.random.randint(for_actions, (num_envs,), 0, 2)
            keys = jax.random.split(for_steps, num_envs)
            _, state, rewards, *_ = jax.vmap(made.step, (0, 0, 0, None))(keys, state, actions, params)
            return (key, state, total + jnp.sum(rewards)), None

        return jax.lax.scan(one, (key, state, 0.0), None, STEPS)[0][-1]

    for call in range(CALLS):
        jax.block_until_ready(play(jax.random.PRNGKey(seed + call)))
        clock((call + 1) * STEPS * num_envs)


def step_envpool(env, num_envs, seed, clock):
    """The same by envpool, written in C++ and stepped from Python."""
    import envpool
    import numpy as np

    envs, rng = envpool.make_gymnasium(env, num_envs=num_envs, seed=seed), np.random.default_rng(seed)
    envs.reset()
    for call in range(CALLS):
        for actions in rng.integers(0, 2, (STEPS, num_envs)).astype("int32"):
            envs.step(actions)
        clock((call + 1) * STEPS * num_envs)


LIBRARIES = {
    "kgdists": (learn_kgdists, step_kgdists),
    "rejax": (learn_rejax, None),
    "rltools": (learn_rltools, None),
    "gymnax": (None, step_gymnax),
    "envpool": (None, step_envpool),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("task", help="a task of agents_worker.py, or steps-N for N environments of CartPole")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    learn, step = LIBRARIES[options.library]
    start, times = time.perf_counter(), []

    def clock(steps):
        times.append((steps, time.perf_counter()))

    if options.task.startswith("steps-"):
        step("CartPole-v1", int(options.task.removeprefix("steps-")), options.seed, clock)
    else:
        learn(TASKS[options.task], options.seed, clock)
    (first, begun), (last, end) = times[0], times[-1]
    result = {
        "library": options.library,
        "version": version(options.library),
        "python": platform.python_version(),
        "task": options.task,
        "seed": options.seed,
        "steps_per_second": (last - first) / (end - begun),
        "seconds_of_the_first_call": begun - start,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
