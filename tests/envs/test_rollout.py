import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Tuple
from gymnasium.vector import AutoresetMode, VectorEnv

import kgdists as kg
from kgdists.agents import Evaluation, evaluate, make_envs
from kgdists.envs.rollout import Rollouts
from tests.agents.helpers import Counter, Noise, counters

ENDS = ("terminated", "truncated", "both")
each_end = pytest.mark.parametrize("end", ENDS)
UNBOUNDED = Box(-np.inf, np.inf, (2,), "float32")


def always_zero(observations):
    return tf.zeros(len(observations), "int32")


def rollout(envs, n_steps, seed=None):
    return Rollouts(envs, n_steps, seed).collect(always_zero)


def counted(*lengths, n_steps=10, **options):
    """A rollout of one `Counter` per length."""
    return rollout(make_envs(counters(*lengths, **options), len(lengths)), n_steps)


# What a step is


def test_observations_count_through_each_episode_of_each_environment():
    observations, *_ = counted(2, 3, 7)
    np.testing.assert_array_equal(observations[:, 0, 1], [0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(observations[:, 1, 1], [0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    np.testing.assert_array_equal(observations[:, 2, 1], [0, 1, 2, 3, 4, 5, 6, 0, 1, 2])


@each_end
def test_no_step_leads_out_of_its_episode(end):
    observations, _, _, next_observations, *_ = counted(1, 2, 5, end=end)
    np.testing.assert_array_equal(next_observations - observations, np.broadcast_to([0, 1], observations.shape))


@each_end
def test_no_step_of_an_environment_is_left_out_or_made_up(end):
    envs = make_envs(counters(1, 4, end=end), 2)
    rollout(envs, 10)
    assert [len(env.unwrapped.actions) for env in envs.envs] == [10, 10]


@each_end
def test_next_observations_are_the_observations_that_follow_within_an_episode(end):
    observations, _, _, next_observations, terminated, truncated = counted(3, 4, end=end)
    goes_on = ~(terminated | truncated)[:-1]
    np.testing.assert_array_equal(next_observations[:-1][goes_on], observations[1:][goes_on])


@each_end
def test_next_observations_are_the_final_ones_at_the_end_of_an_episode(end):
    observations, _, _, next_observations, terminated, truncated = counted(3, 4, end=end)
    ended = (terminated | truncated)[:-1]
    np.testing.assert_array_equal(next_observations[:-1][ended][:, 1], np.where(np.nonzero(ended)[1] == 0, 3, 4))
    np.testing.assert_array_equal(observations[1:][ended][:, 1], 0)
    np.testing.assert_array_equal(observations[1:][ended][:, 0], next_observations[:-1][ended][:, 0] + 1)


@each_end
def test_terminated_and_truncated_are_kept_apart(end):
    *_, terminated, truncated = counted(3, end=end, n_steps=7)
    ended, never = [False, False, True, False, False, True, False], [False] * 7
    np.testing.assert_array_equal(terminated[:, 0], never if end == "truncated" else ended)
    np.testing.assert_array_equal(truncated[:, 0], never if end == "terminated" else ended)


def test_rewards_are_those_of_the_steps():
    _, _, rewards, *_ = counted(3, 4, n_steps=6)
    np.testing.assert_array_equal(rewards.T, [[1, 2, 3, 1, 2, 3], [1, 2, 3, 4, 1, 2]])


def test_actions_are_those_of_the_distribution_not_of_the_space():
    envs = make_envs(lambda: Counter(action_space=Discrete(3, start=5)), 1)
    _, actions, *_ = rollout(envs, 4)
    np.testing.assert_array_equal(actions[:, 0], 0)
    assert envs.envs[0].unwrapped.actions == [5] * 4


def test_actions_follow_the_observations_at_hand():
    envs = make_envs(counters(3, 4), 2)
    observations, actions, *_ = Rollouts(envs, 10).collect(lambda x: tf.constant(x[:, 1] % 2, "int32"))
    np.testing.assert_array_equal(actions, observations[..., 1] % 2)


# Several rollouts


def test_a_rollout_goes_on_where_the_last_one_stopped():
    rollouts = Rollouts(make_envs(counters(3, 5), 2), 4)
    first, second = rollouts.collect(always_zero), rollouts.collect(always_zero)
    longer = rollout(make_envs(counters(3, 5), 2), 8)
    for one, two, both in zip(first, second, longer, strict=True):
        np.testing.assert_array_equal(np.concatenate([one, two]), both)


def test_episode_returns_and_lengths_run_over_the_ends_of_rollouts():
    rollouts = Rollouts(make_envs(counters(6, 4, 1), 3), 5)
    for _ in range(4):
        rollouts.collect(always_zero)
    assert sorted(rollouts.recent_lengths) == [1] * 20 + [4] * 5 + [6] * 3
    assert sorted(rollouts.recent_returns) == [1.0] * 20 + [10.0] * 5 + [21.0] * 3


def test_only_recent_episodes_are_kept():
    rollouts = Rollouts(make_envs(counters(1), 1), 150)
    rollouts.collect(always_zero)
    assert len(rollouts.recent_returns) == len(rollouts.recent_lengths) == 100


def test_a_rollout_is_not_changed_by_the_next_one():
    rollouts = Rollouts(make_envs(counters(3, 5), 2), 4)
    first = rollouts.collect(always_zero)
    copies = [x.copy() for x in first]
    rollouts.collect(always_zero)
    for x, copy in zip(first, copies, strict=True):
        np.testing.assert_array_equal(x, copy)


# Seeds


def noise(seed):
    return rollout(make_envs(Noise, 3), 20, seed)


def test_the_same_seed_gives_the_same_rollout():
    for x, y in zip(noise(0), noise(0), strict=True):
        np.testing.assert_array_equal(x, y)


def test_another_seed_gives_another_rollout():
    assert np.all(noise(0)[0] != noise(10)[0])


def test_the_copies_of_an_environment_differ():
    observations, *_ = noise(0)
    assert np.all(observations[:, 0] != observations[:, 1])


def test_episodes_differ():
    rollouts = Rollouts(make_envs(Noise, 1), 20, seed=0)
    first, _ = rollouts.envs.reset(seed=0)
    observations, *_, terminated, _ = rollouts.collect(always_zero)
    starts = observations[1:][terminated[:-1]]
    assert len(starts) > 1 and not (starts == first).all(axis=-1).any()


# Environments that use their arrays again


class Buffered(VectorEnv):
    """Two environments that count without end and write everything into the same arrays."""

    num_envs = 2
    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    single_observation_space = Box(-np.inf, np.inf, (1,), "float32")
    single_action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.observations, self.rewards = np.zeros((2, 1), "float32"), np.zeros(2)
        self.terminated, self.truncated = np.zeros(2, bool), np.zeros(2, bool)
        return self.observations, {}

    def step(self, actions):
        self.observations += 1.0
        self.rewards += 1.0
        self.terminated[1] = self.rewards[1] == 3.0
        info = {"final_obs": self.observations.copy()} if self.terminated.any() else {}
        return self.observations, self.rewards, self.terminated, self.truncated, info


def test_nothing_is_read_from_buffers_that_have_moved_on():
    observations, _, rewards, next_observations, terminated, _ = rollout(Buffered(), 4)
    np.testing.assert_array_equal(observations[:, 0, 0], [0, 1, 2, 3])
    np.testing.assert_array_equal(next_observations[:, 0, 0], [1, 2, 3, 4])
    np.testing.assert_array_equal(rewards[:, 0], [1, 2, 3, 4])
    np.testing.assert_array_equal(terminated[:, 1], [False, False, True, False])


# Actions

ACTION_SPACES = {
    "discrete": Discrete(3),
    "discrete_from_3": Discrete(3, start=3),
    "discrete_from_below_0": Discrete(2, start=-1),
    "bounded": Box(-1.0, 2.0, (2,)),
    "half_bounded": Box(np.array([0.5, -np.inf], "float32"), np.array([np.inf, -0.5], "float32")),
    "unbounded": Box(-np.inf, np.inf, (2,)),
    "float64": Box(-0.1, 0.1, (2,), "float64"),
    "float16": Box(-0.1, 0.1, (2,), "float16"),
    "rank_2": Box(-1.0, 1.0, (2, 3)),
    "rank_0": Box(-1.0, 1.0, ()),
    "no_width": Box(np.array([1.0, -1.0], "float32"), np.array([1.0, 1.0], "float32")),
    "integers": Box(-1, 2, (2,), "int32"),
    "multi_discrete": MultiDiscrete([[3, 2]], start=[[1, 0]]),
    "multi_binary": MultiBinary((2, 2)),
    "dict": Dict(push=Box(-1.0, 2.0, (2,)), choose=Tuple((Discrete(3), MultiBinary(2)))),
    "tuple": Tuple((Discrete(3, start=1), Dict(bits=MultiBinary(2)))),
    "one_of": OneOf((Discrete(2), Box(0.0, 1.0, (2,)))),
}
# Gymnasium hands out the elements of an array as NumPy scalars, and warns of them itself.
SCALARS = pytest.mark.filterwarnings("ignore:.*Casting input x to numpy array:UserWarning")
each_action_space = pytest.mark.parametrize(
    "space",
    [pytest.param(space, marks=SCALARS if space.shape == () else (), id=name) for name, space in ACTION_SPACES.items()],
)


def random_policy(space):
    """A policy so wide that it often leaves a box."""
    options = {"initial_stddev": 3.0, "family": "normal"} if isinstance(space, (Box, Dict)) else {}
    head = kg.head_for(space, random_seed=0, **options)
    return lambda observations: head(observations).sample_action()


@pytest.mark.few(1)
@each_action_space
def test_every_action_of_a_rollout_is_in_the_space(space):
    envs = make_envs(lambda: Counter(action_space=space), 2)
    Rollouts(envs, 50).collect(random_policy(space))
    assert all(space.contains(action) for env in envs.envs for action in env.unwrapped.actions)


@pytest.mark.few(2)
@each_action_space
def test_every_action_of_an_evaluation_is_in_the_space(space):
    envs = make_envs(lambda: Counter(action_space=space), 2)
    evaluate(envs, random_policy(space), 10)
    assert all(space.contains(action) for env in envs.envs for action in env.unwrapped.actions)


def test_nested_actions_of_a_rollout_are_stacked():
    space = ACTION_SPACES["dict"]
    _, actions, *_ = Rollouts(make_envs(lambda: Counter(action_space=space), 3), 5).collect(random_policy(space))
    assert actions["push"].shape == (5, 3, 2) and actions["choose"][0].shape == (5, 3)
    assert actions["choose"][1].shape == (5, 3, 2)


def test_every_discrete_action_is_reached():
    envs = make_envs(lambda: Counter(action_space=Discrete(3, start=3)), 1)
    Rollouts(envs, 50).collect(random_policy(Discrete(3)))
    assert set(envs.envs[0].unwrapped.actions) == {3, 4, 5}


# Evaluation


def test_each_environment_plays_the_same_number_of_episodes():
    assert evaluate(make_envs(counters(1, 2, 10), 3), always_zero, 6).lengths == (1, 1, 2, 2, 10, 10)


def test_which_environment_plays_how_many_episodes_is_settled_before():
    assert sorted(evaluate(make_envs(counters(1, 2, 10), 3), always_zero, 4).lengths) == [1, 1, 2, 10]


@each_end
def test_returns_are_undiscounted_sums_over_episodes(end):
    returns = evaluate(make_envs(counters(3, 4, end=end), 2), always_zero, 4).returns
    assert sorted(returns) == [6.0, 6.0, 10.0, 10.0]


def test_an_evaluation_starts_new_episodes():
    envs = make_envs(counters(5), 1)
    rollout(envs, 3)
    assert evaluate(envs, always_zero, 1).lengths == (5,)


def test_the_same_seed_gives_the_same_evaluation():
    def play(seed):
        return evaluate(make_envs(Noise, 2), always_zero, 10, seed)

    assert play(0) == play(0) != play(10)


def test_an_evaluation_acts_on_what_it_observes():
    envs = make_envs(counters(4), 1)
    evaluate(envs, lambda x: tf.constant(x[:, 1] % 2, "int32"), 2)
    assert envs.envs[0].unwrapped.actions[:8] == [0, 1, 0, 1] * 2


def test_mean_and_standard_deviation_of_an_evaluation():
    evaluation = Evaluation(returns=(1.0, 2.0, 6.0), lengths=(1, 1, 1))
    assert evaluation.mean == 3.0
    np.testing.assert_allclose(evaluation.std, np.sqrt(14.0 / 3.0))


def test_an_evaluation_prints_its_mean_spread_and_number():
    assert str(Evaluation(returns=(1.0, 3.0), lengths=(1, 1))) == "return 2.0 +- 1.0 over 2 episodes"
