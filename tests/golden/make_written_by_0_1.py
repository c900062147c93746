"""Write runs and policies as version 0.1 did, and what becomes of them: run it with the package of commit c9400cd.

    git worktree add ../old c9400cd
    PYTHONPATH=../old python tests/golden/make_written_by_0_1.py tests/golden/written_by_0_1

Each agent's run is a zip archive of its folder, with the actions that it takes and the weights that it comes to in
`expected.npz`. The policies, one for each head of that commit's `tests/table.py`, are in `heads.zip`, each with the
parameters of its distribution.
"""

import io
import sys
import tempfile
import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import kgdists as kg
from tests.table import HEADS, HEADS_OF_0_1

SMALL = {"hidden_units": (4,), "seed": 0}
STEPS = {"num_envs": 2, "n_steps": 8} | SMALL
SEARCH = {"popsize": 10, "stdev_init": 0.5} | SMALL
RUNS = {
    "ppo": ("CartPole-v1", kg.agents.PPO, STEPS | {"batch_size": 8, "n_epochs": 2, "normalize_observations": True}),
    "a2c": ("CartPole-v1", kg.agents.A2C, STEPS | {"epoch_steps": 16}),
    "reinforce": ("CartPole-v1", kg.agents.REINFORCE, {"num_envs": 2, "episodes": 2} | SMALL),
    "sac": (
        "Pendulum-v1",
        kg.agents.SAC,
        STEPS | {"learning_starts": 8, "batch_size": 8, "epoch_steps": 16, "buffer_size": 64},
    ),
    "sac_discrete": (
        "CartPole-v1",
        kg.agents.SAC,
        STEPS | {"learning_starts": 8, "batch_size": 8, "epoch_steps": 16, "buffer_size": 64},
    ),
    **{
        name: ("CartPole-v1", kg.agents.ES, {"searcher": name} | SEARCH)
        for name in ("pgpe", "snes", "cem", "xnes", "cmaes")
    },
}


def constrained():
    """A policy whose weights a search of today would refuse, since it draws them freely."""
    layer = keras.layers.Dense(4, "tanh", kernel_constraint=keras.constraints.MaxNorm(1.0), kernel_regularizer="l2")
    return kg.Policy(keras.Sequential([keras.Input((4,)), layer]), kg.layers.CategoricalHead(2, random_seed=0))


RUNS["snes_constrained"] = (
    "CartPole-v1",
    kg.agents.ES,
    {"searcher": "snes", "popsize": 10, "stdev_init": 0.5, "seed": 0, "policy": constrained},
)
OBSERVATIONS = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")


def actions(agent, env):
    """The most probable actions for some observations."""
    x = OBSERVATIONS[:, :3] if env == "Pendulum-v1" else OBSERVATIONS
    return np.concatenate([np.ravel(leaf) for leaf in keras.tree.flatten(agent.policy(x).mode_action())])


def weights(agent):
    return np.concatenate([np.ravel(x) for x in agent.policy.get_weights()])


def archived(folder, more):
    """A folder as a zip archive, in memory, with further files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
        for name, arrays in more.items():
            packed = io.BytesIO()
            np.savez(packed, **arrays)
            archive.writestr(name, packed.getvalue())
    return content.getvalue()


def main(target):
    tf.config.run_functions_eagerly(True)
    for name, (env, cls, settings) in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            agent = cls(env, **{name: x() if name == "policy" else x for name, x in settings.items()})
            agent.learn(32)
            agent.save(folder)
            loaded = cls.load(folder)
            before = actions(loaded, env)
            loaded.learn(32)
            expected = {"actions": before, "steps": np.array(loaded.steps), "weights": weights(loaded)}
            (target / f"{name}.zip").write_bytes(archived(Path(folder), {"expected.npz": expected}))
            print(name, loaded.steps, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        expected = {}
        for name in HEADS_OF_0_1:
            head, settings, *_ = HEADS[name]
            trunk = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "tanh")])
            policy = kg.Policy(trunk, head(**settings))
            dist = policy(OBSERVATIONS)
            policy.save(Path(folder) / f"{name}.keras")
            expected[f"{name}.npz"] = {str(i): np.asarray(x) for i, x in enumerate(keras.tree.flatten(dist))}
        (target / "heads.zip").write_bytes(archived(Path(folder), expected))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
