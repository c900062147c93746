import itertools

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from kgdists.agents import A2C, ES, PPO, REINFORCE, SAC, EvaluateAndKeepBest, evaluate, make_envs
from kgdists.random.seeds import stream
from tests.agents.helpers import Bandit, Noise, small

pytestmark = pytest.mark.usefixtures("eagerly")
PURPOSES = ("actions", "updates", "environments", "evaluation", "policy", "value", "values", "head", "critic")


def test_no_two_purposes_and_no_two_seeds_share_a_stream():
    seeds = [*range(200), 1000, 2001, 2**31 - 1, 2**31, 2**32, 2**64, 10**30]
    found = [stream(seed, purpose, i) for seed in seeds for purpose in PURPOSES for i in range(3)]
    assert len(set(found)) == len(found)
    assert all(0 <= x < 2**31 for x in found)
    assert min(abs(x - y) for x, y in itertools.pairwise(sorted(found))) >= 1


def test_streams_are_the_same_each_time():
    assert [stream(0, "actions"), stream(7, "critic", 1, 2)] == [stream(0, "actions"), stream(7, "critic", 1, 2)]
    assert stream(None, "actions") is None


def matrices(agent):
    """The initial kernels of an agent."""
    models = [getattr(agent, name) for name in agent.MODELS]
    return [x.numpy() for model in models for x in model.trainable_variables if len(x.shape) == 2 and min(x.shape) > 1]


AGENTS = {
    "ppo": lambda seed: PPO(Noise, num_envs=2, n_steps=8, batch_size=16, hidden_units=(8, 8, 8), seed=seed),
    "a2c": lambda seed: A2C(Noise, num_envs=2, hidden_units=(8, 8, 8), seed=seed),
    "reinforce": lambda seed: REINFORCE(Noise, num_envs=2, hidden_units=(8, 8, 8), seed=seed),
    "sac": lambda seed: SAC(lambda: Bandit(Box(-1.0, 1.0, (2,))), hidden_units=(8, 8, 8), seed=seed),
    "es": lambda seed: ES(Noise, searcher="snes", popsize=4, stdev_init=0.5, hidden_units=(8, 8, 8), seed=seed),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize(
    "apart", [1, *(pytest.param(x, marks=pytest.mark.exhaustive) for x in (2, 3, 1000, 2000, 10**9))]
)
def test_networks_of_neighbouring_seeds_share_no_matrix(name, apart):
    kernels = [kernel for seed in (0, apart) for kernel in matrices(AGENTS[name](seed))]
    for one, other in itertools.combinations(kernels, 2):
        assert one.shape != other.shape or not np.array_equal(np.abs(one), np.abs(other))
    again = matrices(AGENTS[name](0))
    assert all(np.array_equal(x, y) for x, y in zip(again, kernels, strict=False))


class Starts(Noise):
    """Remembers what episodes start with."""

    seen: list = []

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed)
        Starts.seen.append(tuple(observation.tolist()))
        return observation, info


def starts_of(act):
    Starts.seen = []
    act()
    return set(Starts.seen)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["ppo", "a2c", "es"])
def test_trainings_and_evaluations_of_neighbouring_seeds_start_from_other_episodes(name):
    config = {
        "ppo": {"num_envs": 4, "n_steps": 8, "batch_size": 8},
        "a2c": {"num_envs": 4, "epoch_steps": 40},
        "es": {"searcher": "snes", "popsize": 4, "stdev_init": 0.5},
    }[name]
    cls, found = {"ppo": PPO, "a2c": A2C, "es": ES}[name], []
    for seed in (0, 1, 2):
        agent = cls(Starts, hidden_units=(), seed=seed, **config)
        found += [starts_of(lambda agent=agent: agent.learn(1))]
        found += [starts_of(lambda agent=agent, seed=seed: agent.evaluate(20, seed=seed))]
    for one, other in itertools.combinations(found, 2):
        assert not one & other


@pytest.mark.exhaustive
def test_evaluations_of_neighbouring_seeds_share_no_episodes(tmp_path):
    envs, agent = make_envs(Starts, 4), small(Starts, num_envs=1, batch_size=8)

    def kept(seed):
        agent.learn(8, [EvaluateAndKeepBest(Starts, tmp_path / "best.keras", episodes=4, seed=seed)])

    found = [starts_of(lambda seed=seed: evaluate(envs, lambda x: np.zeros(len(x), int), 4, seed)) for seed in (0, 1)]
    starts_of(lambda: agent.learn(8))
    found += [starts_of(lambda seed=seed: kept(seed)) for seed in (0, 1)]
    assert min(map(len, found)) >= 4
    assert not found[0] & found[1] and not found[2] & found[3]


@pytest.mark.exhaustive
def test_the_same_seed_evaluates_the_same_episodes():
    agent = PPO(gymnasium.spec("CartPole-v1").make, num_envs=1, n_steps=8, batch_size=8, hidden_units=(), seed=0)
    assert agent.evaluate(5, seed=3) == agent.evaluate(5, seed=3)
