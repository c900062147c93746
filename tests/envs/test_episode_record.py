import random
import tracemalloc

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Tuple
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from kgdists.agents import PPO
from kgdists.core.run_warning import RunWarning
from kgdists.envs import episode_record
from kgdists.envs.episode_record import EpisodeRecord, records_episodes
from kgdists.envs.make import make_envs
from kgdists.envs.rollout import Rollouts
from tests.agents.helpers import Counter, Noise, Trap, small
from tests.marks import exhaustive

ACTIONS = {
    "Box": Box(-1.0, 1.0, (2,)),
    "MultiDiscrete": MultiDiscrete([3, 2], start=[1, 0]),
    "nested": Dict(a=Discrete(3), b=Tuple((Box(-1.0, 1.0, (2,)), Discrete(2)))),
    "OneOf": OneOf((Discrete(3), Box(-1.0, 1.0, (2,)))),
}


class Listener(Noise):
    """Observes what was done to it, beside noise."""

    def __init__(self, action_space):
        self.action_space = action_space

    def step(self, action):
        observation, *rest = super().step(action)
        heard = gymnasium.spaces.flatten(self.action_space, action).sum(dtype="float32")
        return observation + heard, *rest


class Twisted(Noise):
    """Its generator is not Gymnasium's."""

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.np_random = np.random.Generator(np.random.MT19937(seed))
        return self._observation(), {}


def stepped(rollouts, n_steps, seed):
    """A rollout of so many steps by drawn actions."""
    space = rollouts.envs.single_action_space
    batch = gymnasium.vector.utils.batch_space(space, rollouts.envs.num_envs)
    batch.seed(seed)
    seen = []
    for _ in range(n_steps):
        observations, rewards, *_ = rollouts.envs.step(batch.sample())
        seen.append((observations, rewards))
    return seen


def played(make, n_steps=10, num_envs=2, **options):
    """Environments in the middle of episodes, others that were brought there, and how both go on."""
    one, other = (Rollouts(make_envs(make, num_envs, **options), n_steps, seed=3) for _ in range(2))
    one.n_steps = n_steps
    one.reset()
    draw = np.random.default_rng(0)
    one.collect(lambda x: draw.integers(2, size=num_envs))
    other.restore(one.arrays(), seed=99)
    return one, other


def same_future(one, other):
    np.testing.assert_equal(other.observations, one.observations)
    np.testing.assert_equal(stepped(other, 20, 1), stepped(one, 20, 1))


@pytest.mark.parametrize("env", ["CartPole-v1", Noise, Twisted, Trap])
@pytest.mark.parametrize("n_steps", [0, 1, 30])
def test_environments_go_on_as_they_would_have(env, n_steps):
    one, other = played(env, n_steps)
    np.testing.assert_equal([other._returns, other._lengths], [one._returns, one._lengths])
    assert other.recent_returns == one.recent_returns
    same_future(one, other)


@pytest.mark.parametrize("env", ["LunarLanderContinuous-v3", "Pendulum-v1"])
def test_physics_go_on_as_they_would_have(env):
    pytest.importorskip("Box2D")
    one, other = (Rollouts(make_envs(env, 2), 40, seed=3) for _ in range(2))
    draw, space = np.random.default_rng(0), one.envs.single_action_space
    one.collect(lambda x: draw.uniform(-1.0, 1.0, (2, *space.shape)).astype("float32"))
    other.restore(one.arrays(), seed=99)
    same_future(one, other)


@pytest.mark.parametrize("space", [*ACTIONS.values(), Discrete(3), MultiBinary(9)], ids=str)
def test_what_is_kept_of_an_episode_is_bounded(space, monkeypatch):
    monkeypatch.setattr(episode_record, "MAX_STEPS", 50)
    env = EpisodeRecord(Listener(space))
    space.seed(0)
    env.reset(seed=0)
    for i in range(1, 120):
        env.step(space.sample())
        start, actions = env.episode()
        assert (len(actions), start) == ((i, {"seed": 0}) if i <= 50 else (0, None))
    env.reset()
    env.step(space.sample())
    assert len(env.episode()[1]) == 1 and env.episode()[0] is not None


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "space", [Box(-1.0, 1.0, (2,)), *exhaustive(Discrete(3), MultiDiscrete([3, 2]), MultiBinary(9))], ids=str
)
def test_an_episode_of_many_steps_takes_little_more_than_its_actions(space):
    env = EpisodeRecord(Listener(space))
    env.reset(seed=0)
    action = space.sample()
    tracemalloc.start()
    for _ in range(20_000):
        env._left and env.step(action)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 1.5 * 20_000 * np.asarray(action).nbytes + 1e6


def test_an_episode_that_is_too_long_to_be_repeated_is_one_line(monkeypatch):
    monkeypatch.setattr(episode_record, "MAX_STEPS", 5)
    endless = lambda: Counter(10**9)  # noqa: E731
    with pytest.warns(RunWarning, match=r"Environments \[0, 1\] do not repeat their episodes: new ones are started"):
        played(endless, 6)


@pytest.mark.parametrize("space", ACTIONS.values(), ids=ACTIONS)
def test_any_actions_are_repeated(space):
    envs = [
        SyncVectorEnv([lambda: EpisodeRecord(Listener(space))] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
        for _ in "ab"
    ]
    one, other = (Rollouts(x, 1, seed=0) for x in envs)
    one.reset()
    for i in range(20):
        one.observations = stepped(one, 1, i)[0][0]
    one._returns = np.array([sum(x) for x in map(_rewards, one.envs.envs)])
    other.restore(one.arrays(), seed=99)
    same_future(one, other)


def _rewards(env):
    """The rewards of the present episode of an environment, by playing it again."""
    start, actions = env.episode()
    again = EpisodeRecord(Listener(env.action_space))
    if "generator" in start:
        again.reset(seed=0)
        again.unwrapped.np_random.bit_generator.state = start["generator"]
    again.reset(seed=start.get("seed"))
    return [again.step(action)[1] for action in actions]


def test_processes_go_on_as_they_would_have():
    one, other = played("CartPole-v1", 30, vectorization="async")
    same_future(one, other)
    for rollouts in (one, other):
        rollouts.envs.close()


def test_what_an_environment_does_not_repeat_is_a_new_episode():
    envs = iter([Noise(), Counter(100), Noise(), Counter(100)])  # the latter count their episodes over resets
    with pytest.warns(RunWarning, match=r"Environments \[1\] do not repeat their episodes: new ones are started"):
        one, other = played(lambda: next(envs), 10)
    np.testing.assert_array_equal(other.observations[0], one.observations[0])
    assert other.observations[1, 1] == 0 and one.observations[1, 1] == 10
    assert other._lengths.tolist() == [one._lengths[0], 0] and other._returns.tolist() == [one._returns[0], 0.0]


def test_an_environment_that_refuses_what_it_did_before_starts_a_new_episode():
    class Stubborn(Counter):
        def step(self, action):
            raise ValueError("no")

    one = Rollouts(make_envs(Counter, 1), 2, seed=0)
    one.collect(lambda x: np.zeros(1, int))
    other = Rollouts(make_envs(Stubborn, 1), 2, seed=0)
    with pytest.warns(RunWarning, match="new ones are started"):
        other.restore(one.arrays(), seed=1)


def test_a_rollout_that_was_cut_off_is_not_gone_on_with():
    def act(observations):
        raise RuntimeError("cut off")

    one, other = played(Noise)
    with pytest.raises(RuntimeError, match="cut off"):
        one.collect(act)
    other.restore(one.arrays(), seed=7)
    assert other.observations is None and other.seed == 7


def test_environments_that_record_nothing_start_new_episodes():
    envs = SyncVectorEnv([Noise] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    assert not records_episodes(envs)
    with pytest.warns(RunWarning, match="do not record their episodes: new ones are started"):
        Rollouts(envs, 3).restore(played(Noise)[0].arrays(), seed=1)


def test_episodes_begun_with_options_are_not_repeated():
    env = EpisodeRecord(gymnasium.make("Pendulum-v1"))
    env.reset(seed=0, options={"x_init": 0.1})
    assert env.episode()[0] is None and len(env.episode()[1]) == 0


def test_actions_are_copies():
    env, action = EpisodeRecord(Counter(action_space=Box(-1.0, 1.0, (2,)))), np.zeros(2, "float32")
    env.reset(seed=0)
    env.step(action)
    action += 1.0
    np.testing.assert_array_equal(env.episode()[1], [[0.0, 0.0]])


def test_an_unknown_generator_is_not_made():
    env = EpisodeRecord(Noise())
    env.to_replay = {"start": {"generator": {"bit_generator": "os"}}, "actions": [], "observation": 0, "total": 0}
    env.to_replay["seed"] = 5
    observation, is_same = env.replay()
    assert not is_same
    np.testing.assert_array_equal(observation, Noise().reset(seed=5)[0])


class Raises:
    def __get__(self, owner, kind):
        raise RuntimeError("no generator here")


GENERATORS = {
    "NumPy's old one": np.random.RandomState(0),
    "Python's": random.Random(0),
    "none": None,
    "a number": 3,
    "a method": lambda self: 0.5,
    "a property that raises": Raises(),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS)
def test_a_generator_of_another_kind_ends_no_training(generator, tmp_path, eagerly):
    class Old(Noise):
        np_random = generator

        def reset(self, *, seed=None, options=None):
            self.state = np.zeros(2, "float32")
            self.count = 0
            return self.state, {}

        def step(self, action):
            self.count += 1
            return self.state, 1.0, self.count == 3, False, {}

    agent = small(Old)
    agent.learn(32)
    agent.save(tmp_path)
    with pytest.warns(RunWarning, match="do not repeat their episodes: new ones are started"):
        assert PPO.load(tmp_path, Old).steps == 32
