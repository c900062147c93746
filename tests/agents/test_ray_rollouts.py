"""Rollouts by many processes are those of one, whatever happens to them."""

import cloudpickle
import numpy as np
import pytest
from keras import tree

from kgdists.agents import ES, make_envs, ray_rollouts
from kgdists.agents.acting import RolloutActions
from kgdists.agents.ray_rollouts import RayRollouts
from tests.agents.helpers import Noise, Trap, small
from tests.processes import run_python

needs_ray = pytest.mark.skipif(not ray_rollouts.HAS_RAY, reason="Ray is not installed")


CLUSTER = """
    import os
    import signal
    import sys
    from pathlib import Path

    import numpy as np
    import ray
    import tensorflow as tf

    from kgdists.agents import PPO
    from kgdists.agents.ray_rollouts import RayRollouts
    from tests.agents.helpers import Noise

    marks = Path(sys.argv[1])
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    tf.config.run_functions_eagerly(True)


    class Marked(Noise):
        buffer = None

        def _observation(self):  # which it writes the next one over
            self.buffer = np.zeros(2, "float32") if self.buffer is None else self.buffer
            self.buffer[:] = super()._observation()
            return self.buffer

        def step(self, action):
            if (marks / "fail").exists():
                raise ZeroDivisionError("An environment of its own mind.")
            try:
                (marks / "die").unlink()
            except FileNotFoundError:
                observation, reward, *rest = super().step(action)
                return observation, reward + 0.1 * action, *rest
            os.kill(os.getpid(), signal.SIGKILL)  # amid a rollout, once


    def new_agent():
        settings = {"num_envs": 5, "n_steps": 8, "batch_size": 40, "n_epochs": 1, "learning_rate": 0.1}
        return PPO(Marked, hidden_units=(4,), seed=0, normalize_observations=True, vectorization="sync", **settings)


    def state(agent):
        weights = enumerate([*agent.policy.variables, *agent.value.variables])
        return {i: variable.numpy() for i, variable in weights} | agent.arrays()


    def are_same(one, other):
        one, other = state(one), state(other)
        return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


    alone, together = new_agent(), new_agent()
    for agent in (alone, together):
        agent.learn(40, verbose=0)
    with RayRollouts(together, 2) as rollouts:
        workers = []
        for is_deadly in (False, True):
            alone.learn(40, verbose=0)
            if is_deadly:
                (marks / "die").touch()
            together.learn(40, verbose=0)
            workers.append(set(rollouts._workers))
        print("died:", len(workers[0] - workers[1]), "same:", are_same(alone, together))
        together.save(marks / "run")
        (marks / "fail").touch()
        try:
            together.learn(40, verbose=0)
        except ZeroDivisionError as error:
            print(error, "Workers:", len(rollouts._workers))
        (marks / "fail").unlink()
    loaded = PPO.load(marks / "run", Marked)
    for agent in (alone, together, loaded):
        agent.learn(40, verbose=0)
    print("same alone again:", are_same(alone, together), "and from a file:", are_same(alone, loaded))
    """


@pytest.mark.exhaustive
@needs_ray
def test_workers_collect_the_same_bits_also_when_they_die(tmp_path):
    lines = [line for line in run_python(CLUSTER, tmp_path).splitlines() if "raylet" not in line]
    assert lines == [
        "died: 1 same: True",
        "An environment of its own mind. Workers: 0",
        "same alone again: True and from a file: True",
    ]


# One worker, in this process


def worker_of(agent, part):
    makers = [make_envs(agent.env, 1).env_fns[0]] * agent.envs.num_envs
    sources = cloudpickle.dumps(makers), ray_rollouts._to_bytes(agent.policy)
    return ray_rollouts._Worker(sources, agent.config.n_steps, (), 1, part)


@pytest.mark.exhaustive
@needs_ray
@pytest.mark.parametrize("env", [Noise, Trap])
def test_a_worker_takes_its_part_of_the_steps(env):
    agent = small(env, num_envs=4, batch_size=32)
    keys = agent._keys(np.arange(8))
    whole = agent.rollouts.collect(RolloutActions(agent._act, keys))
    worker = worker_of(agent, slice(1, 3))
    worker.restore(ray_rollouts._part_of({}, slice(1, 3)), agent._seed_of_environments() + 1)
    weights = [np.asarray(variable.value) for variable in agent.policy.variables]
    part, observations, arrays, _, messages = worker.collect(weights, keys)
    for x, y in zip(tree.flatten(whole), tree.flatten(part), strict=True):
        np.testing.assert_array_equal(x[:, 1:3], y)
    for x, y in zip(tree.flatten(agent.rollouts.observations), tree.flatten(observations), strict=True):
        np.testing.assert_array_equal(x[1:3], y)
    expected = ray_rollouts._part_of(agent.rollouts.arrays(), slice(1, 3))
    assert expected.keys() == arrays.keys() and messages == []
    np.testing.assert_array_equal(arrays["actions_1"], expected["actions_1"])
    assert arrays["starts"] == expected["starts"]


class Forgetful(Noise):
    """Does not repeat itself."""

    def _observation(self):
        return np.random.default_rng().normal(size=2).astype("float32")


@pytest.mark.exhaustive
@needs_ray
def test_new_episodes_of_environments_that_do_not_repeat_themselves_are_told(eagerly):
    agent = small(Forgetful)
    agent.learn(16)
    worker = worker_of(agent, slice(0, 1))
    worker.restore(ray_rollouts._part_of(agent.rollouts.arrays(), slice(0, 1)), None)
    weights = [np.asarray(variable.value) for variable in agent.policy.variables]
    *_, messages = worker.collect(weights, agent._keys(np.arange(8)))
    assert messages == ["Environments [0] do not repeat their episodes: new ones are started"]


# What is refused


@pytest.mark.parametrize(
    ("make", "arguments", "match"),
    [
        (
            lambda: ES("CartPole-v1", popsize=2),
            {},
            "`agent` must learn from rollouts, as PPO and A2C do. Received: agent=<",
        ),
        (
            lambda: small(make_envs(Noise, 2)),
            {},
            "must have been made with an id or a function .* Received: an agent with",
        ),
        (
            lambda: small("CartPole-v1", vectorization="native"),
            {},
            '`vectorization="sync"` or "async". Received: native',
        ),
        (small, {"num_workers": 0}, "`num_workers` must be None or an int >= 1. Received: num_workers=0"),
        (small, {"num_workers": 1.5}, "`num_workers` must be None or an int >= 1. Received: num_workers=1.5"),
    ],
)
def test_bad_arguments_are_refused(make, arguments, match, eagerly):
    with pytest.raises(ValueError, match=match):
        RayRollouts(make(), **arguments)


def test_workers_without_ray_are_refused(monkeypatch, eagerly):
    monkeypatch.setattr(ray_rollouts, "HAS_RAY", False)
    with pytest.raises(ImportError, match="Workers need Ray"):
        RayRollouts(small(), 2)
