"""`update` with a rollout of one's own: arrays, tensors or lists of the right shape, or one line."""

import numpy as np
import pytest
import tensorflow as tf

import kgdists as kg
from tests.agents.helpers import Noise, small, weights
from tests.marks import exhaustive

pytestmark = pytest.mark.usefixtures("eagerly_throughout")

T, N = 8, 2
AGENTS = {
    "ppo": lambda **config: small(Noise, n_steps=T, num_envs=N, batch_size=16, **config),
    "a2c": lambda **config: kg.agents.A2C(Noise, num_envs=N, hidden_units=(4,), seed=0, **config),
    "reinforce": lambda **config: kg.agents.REINFORCE(Noise, num_envs=N, hidden_units=(4,), seed=0),
}


def rollout(name, t=T, n=N, width=2):
    draw = np.random.default_rng(0)
    observations, following = draw.normal(size=(2, t, n, width)).astype("float32")
    parts = {
        "observations": observations,
        "actions": draw.integers(2, size=(t, n)).astype("int32"),
        "rewards": draw.normal(size=(t, n)),
        "next_observations": following,
        "terminated": np.zeros((t, n), bool),
        "truncated": np.zeros((t, n), bool),
    }
    return parts | ({"is_wanted": np.ones((t, n), bool)} if name == "reinforce" else {})


KINDS = {
    "lists": lambda x: x.tolist(),
    "tensors": tf.constant,
    "float64": lambda x: x.astype("float64") if x.dtype.kind == "f" else x,
}


@pytest.mark.few(1)
@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("kind", ["lists", "float64", "tensors"])
def test_lists_and_tensors_are_taken_as_arrays_are(name, kind):
    found = []
    for form in (lambda x: x, KINDS[kind]):
        agent = AGENTS[name]()
        logs = agent.update(**{part: form(x) for part, x in rollout(name).items()})
        found.append([*weights(agent), *logs.values()])
    np.testing.assert_array_equal(*found)


def without_a_step(parts, name):
    return parts | {name: parts[name][:-1]}


WRONG = {
    "another number of environments": lambda name: rollout(name, n=3),
    "rewards of one step less": lambda name: without_a_step(rollout(name), "rewards"),
    "actions of one step less": lambda name: without_a_step(rollout(name), "actions"),
    "ends of one step less": lambda name: without_a_step(rollout(name), "terminated"),
    "no steps": lambda name: rollout(name, t=0),
    "rewards with an axis more": lambda name: rollout(name) | {"rewards": np.ones((T, N, 1))},
    "other observations": lambda name: rollout(name, width=3),
    "rewards for one environment": lambda name: rollout(name) | {"rewards": np.ones(T)},
}


@pytest.mark.few(4)
@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_what_is_no_rollout_is_one_line(name, make):
    agent = AGENTS[name]()
    before = weights(agent)
    with pytest.raises(
        ValueError, match=r"(needs a rollout of|must be of shape \[T, N, ...\]).* Received: \("
    ) as error:
        agent.update(**make(name))
    assert "\n" not in str(error.value)
    np.testing.assert_array_equal(weights(agent), before)


def test_experience_of_which_nothing_is_wanted_is_one_line():
    agent = AGENTS["reinforce"]()
    before = weights(agent)
    with pytest.raises(ValueError, match="`is_wanted` must be true of a step"):
        agent.update(**rollout("reinforce") | {"is_wanted": np.zeros((T, N), bool)})
    np.testing.assert_array_equal(weights(agent), before)


@pytest.mark.parametrize("t", [1, *exhaustive(5, 20)])
def test_a2c_takes_a_rollout_of_any_length(t):
    assert np.isfinite([*AGENTS["a2c"](normalize_rewards=True).update(**rollout("a2c", t=t)).values()]).all()
