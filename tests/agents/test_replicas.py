"""An update by several replicas is that of one device with the data of all of them."""

import json
import os
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from kgdists.agents import PPO
from kgdists.agents.replicas import Replicas
from kgdists.agents.rollout_agent import RolloutAgent
from tests.agents.helpers import Noise, small, weights
from tests.processes import run_python
from tests.test_readme import snippets

AGENTS = """
    import sys

    import keras
    import numpy as np
    import tensorflow as tf

    from kgdists.agents import A2C, PPO
    from tests.agents.helpers import Noise

    SETTINGS = {
        "ppo": {"cls": PPO, "n_steps": 8, "n_epochs": 2, "clip_range_value": 0.2, "max_grad_norm": 0.1},
        "a2c": {"cls": A2C, "n_steps": 8, "n_epochs": 2, "normalize_advantages": True, "max_grad_norm": 0.1},
    }


    def make(name, num_envs, strategy=None, seed=3, **settings):
        settings = SETTINGS[name] | settings
        both = {"normalize_observations": True, "normalize_rewards": True, "ent_coef": 0.01, "learning_rate": 0.01}
        cls = settings.pop("cls")
        return cls(Noise, num_envs=num_envs, hidden_units=(4,), seed=seed, strategy=strategy, **settings, **both)


    def rollout(agent):
        return agent.rollouts.collect(lambda x: np.arange(len(x)) % 2)


    def state(agent):
        trained = [*agent.policy.variables, *agent.value.variables, *agent.optimizer.variables]
        variables = [*trained, *agent.reward_normalizer.statistics.variables]
        return np.concatenate([np.ravel(x.numpy()) for x in variables])


    def distance(one, other):
        return np.max(np.abs(state(one) - state(other)))
    """

DEVICES = """
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for name, settings in {"ppo": {"batch_size": 16}, "a2c": {"vtrace": True, "kl_coef": 0.5}}.items():
        one, two = make(name, 4, **settings), make(name, 4, strategy, **settings)
        data = rollout(one)
        tf.config.run_functions_eagerly(True)  # of the one, which is compiled elsewhere
        theirs = one.update(*data)
        tf.config.run_functions_eagerly(name == "a2c")
        ours = two.update(*data)
        print(distance(one, two) < 1e-5, max(abs(ours[x] - theirs[x]) for x in theirs) < 1e-4)
        tf.config.run_functions_eagerly(False)
    try:
        make("ppo", 3, strategy, batch_size=3)
    except ValueError as error:
        print(error)
    with strategy.scope():
        value = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="mirrored")
    try:
        make("ppo", 4, strategy, batch_size=16, value=value)
    except ValueError as error:
        print(error)
    """


@pytest.mark.exhaustive
def test_an_update_by_two_devices_is_that_of_one():
    assert run_python(textwrap.dedent(AGENTS) + textwrap.dedent(DEVICES)).splitlines() == [
        "True True",
        "True True",
        "`batch_size` must be a multiple of the devices that share it, 2. Received: batch_size=3",
        "Models must not be made in `strategy.scope()`. Received: <Sequential name=mirrored, built=True>",
    ]


WORKER = """
    from pathlib import Path

    index, folder = int(sys.argv[1]), Path(sys.argv[2])
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    tf.config.run_functions_eagerly(True)
    both, own = make("ppo", 4, batch_size=32), make("ppo", 2, strategy, batch_size=16)
    data = rollout(both)
    part = [x[:, 2 * index : 2 * index + 2] for x in data]
    is_the_first = all(np.array_equal(x[:, :2], y) for x, y in zip(data, rollout(own), strict=True))
    print("own episodes:", is_the_first == (index == 0))
    both.update(*data)
    own.update(*part)
    print("the same update:", distance(both, own) < 1e-5)
    own = make("ppo", 2, strategy, seed=None, batch_size=8)
    own.learn(32, verbose=0)
    print("chief:", own.replicas.is_chief, "seed:", own.seed)
    own.save(folder / str(index))
    print("weights:", state(own).tobytes().hex())
    if own.replicas.is_chief:
        own.save(folder / "chief")
    strategy.reduce("SUM", strategy.run(lambda: tf.constant(0.0)), None)  # once it has been written
    loaded = PPO.load(folder / "chief", Noise, strategy)
    print("loaded:", np.array_equal(state(loaded), state(own)), loaded.steps)
    print("own random numbers:", (loaded.seed == own.seed) == own.replicas.is_chief)
    loaded.learn(16, verbose=0)
    print("weights:", state(loaded).tobytes().hex())
    """


def free_ports(num):
    sockets = [socket.socket() for _ in range(num)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def by_workers(code, *arguments):
    """What two processes print that share updates."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    processes = []
    for index in range(2):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        command = [
            sys.executable,
            "-c",
            textwrap.dedent(AGENTS) + textwrap.dedent(code),
            str(index),
            *map(str, arguments),
        ]
        processes.append(
            subprocess.Popen(
                command,
                env=os.environ | {"TF_CONFIG": config},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        outputs = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors[-4000:]
    return [output.splitlines() for output, _ in outputs]


@pytest.mark.exhaustive
def test_an_update_by_two_processes_is_that_of_one_with_the_data_of_both(tmp_path):
    chief, worker = by_workers(WORKER, tmp_path)
    assert chief[:2] == worker[:2] == ["own episodes: True", "the same update: True"]
    assert chief[2].startswith("chief: True") and worker[2].startswith("chief: False")
    assert chief[2].split()[-1] != worker[2].split()[-1]
    assert [line for line in chief if "weights" in line] == [line for line in worker if "weights" in line]
    assert chief[4:6] == worker[4:6] == ["loaded: True 32", "own random numbers: True"]
    assert (tmp_path / "0").is_dir() and not (tmp_path / "1").exists()


# In this process


@pytest.mark.exhaustive
def test_a_strategy_of_one_device_changes_nothing(eagerly):
    alone, other = small(n_epochs=2), small(n_epochs=2, strategy=tf.distribute.MirroredStrategy(["CPU:0"]))
    for agent in (alone, other):
        agent.learn(32)
    np.testing.assert_allclose(weights(other), weights(alone), atol=1e-6)


def test_agents_that_share_no_updates_take_no_strategy():
    class Alone(PPO):
        HAS_REPLICAS = False

        def __init__(self, env, **config):
            RolloutAgent.__init__(self, env, **config)

    with pytest.raises(ValueError, match="Alone takes no `strategy`. Received: strategy=<"):
        Alone(Noise, strategy=tf.distribute.MirroredStrategy(["CPU:0"]))


@pytest.mark.parametrize(
    "strategy", ["mirrored", tf.distribute.get_strategy(), tf.distribute.OneDeviceStrategy("CPU:0")]
)
def test_an_unknown_strategy_is_refused(strategy):
    with pytest.raises(ValueError, match="`strategy` must be None, a tf.distribute.MirroredStrategy or .* Received: "):
        Replicas(strategy)
    with pytest.raises(ValueError, match="`strategy` must be None, a tf.distribute.MirroredStrategy or .* Received: "):
        PPO(Noise, strategy=strategy)


@pytest.mark.exhaustive
def test_the_snippets_of_the_page_run(tmp_path, monkeypatch):
    asynchronous, given, mirrored, workers, by_ray = snippets("docs/many_envs.md")
    eagerly = "import tensorflow as tf\n\ntf.config.run_functions_eagerly(True)\n"
    monkeypatch.chdir(tmp_path)
    # A strategy of several processes comes first in a process, which without TF_CONFIG is alone.
    run_python("\n".join([eagerly, workers, mirrored, given, asynchronous.replace("async", "sync")]))
    assert (tmp_path / "run" / "policy.keras").is_file()
    compile(by_ray, "docs/many_envs.md", "exec")  # what it does is tested beside Ray
