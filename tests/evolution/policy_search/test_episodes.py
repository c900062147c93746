import gymnasium
import keras
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import kgdists as kg
from kgdists.agents import ActionMask
from kgdists.evolution.policy_search.episodes import Episodes
from kgdists.evolution.policy_search.members import Members
from tests.agents.helpers import Bandit, Counter, Noise, Trap, counters


@pytest.fixture(scope="module")
def members():
    """A policy of two numbers to two choices, linear."""
    trunk = keras.Sequential([keras.Input((2,)), keras.layers.Identity()])
    policy = kg.Policy(trunk, kg.layers.CategoricalHead(2))
    policy(np.ones((1, 2), "float32"))
    return Members(policy)


def rows_of(members, num_rows):
    return np.random.default_rng(0).normal(size=(num_rows, members.length)).astype("float32")


def played(members, env, num_envs, num_rows, episodes=1, seed=(0,), max_steps=None, **options):
    return Episodes(env, num_envs, max_steps).play(members, rows_of(members, num_rows), episodes, seed, **options)


@pytest.mark.parametrize("end", ["terminated", "truncated", "both"])
def test_every_environment_plays_one_whole_episode(members, end):
    result = played(members, counters(2, 5, 3, 1, end=end), 4, 2, episodes=2)
    np.testing.assert_array_equal(result.lengths, [[2, 5], [3, 1]])
    np.testing.assert_array_equal(result.returns, [[3.0, 15.0], [6.0, 1.0]])


def test_an_environment_whose_episode_has_ended_is_not_stepped(members):
    episodes = Episodes(counters(2, 5), 2)
    episodes.play(members, rows_of(members, 2), 1, (0,))
    assert [len(env.unwrapped.actions) for env in episodes.envs.envs] == [2, 5]


def test_a_population_larger_than_the_environments_plays_in_waves(members):
    result = played(members, counters(2, 5), 2, 5)
    np.testing.assert_array_equal(result.lengths, [[2], [5], [2], [5], [2]])


def test_episodes_are_cut_off(members):
    result = played(members, counters(2, 5), 2, 2, max_steps=3)
    np.testing.assert_array_equal(result.lengths, [[2], [3]])
    np.testing.assert_array_equal(result.returns, [[3.0], [6.0]])


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=str)
def test_environments_that_reset_by_themselves_count_one_episode(members, mode):
    make = counters(2, 5, 3)
    result = played(members, SyncVectorEnv([make] * 3, autoreset_mode=mode), 1, 3)
    np.testing.assert_array_equal(result.lengths, [[2], [5], [3]])
    np.testing.assert_array_equal(result.returns, [[3.0], [15.0], [6.0]])


def test_each_member_acts_on_what_it_observes():
    trunk = keras.Sequential([keras.Input((1,)), keras.layers.Identity()])
    policy = kg.Policy(trunk, kg.layers.CategoricalHead(4))
    policy(np.ones((1, 1), "float32"))
    chosen = np.array([2, 0, 1, 2, 3])
    rows = np.concatenate([np.zeros((5, 4)), np.eye(4)[chosen]], axis=1)  # kernel, bias
    result = Episodes(Bandit, 5).play(Members(policy), rows, 1, (0,))
    np.testing.assert_array_equal(result.returns[:, 0], chosen == 2)


def test_the_seed_decides_everything(members):
    a, again, b = (played(members, Noise, 3, 3, seed=seed, sample_actions=True) for seed in ((0, 1), (0, 1), (0, 2)))
    np.testing.assert_array_equal(a.returns, again.returns)
    np.testing.assert_array_equal(a.lengths, again.lengths)
    assert (a.returns != b.returns).all() and len(np.unique(a.returns)) == 3


def test_streams_of_one_seed_are_different(members):
    env = Noise()
    observed = []
    for seed in ((5,), (5, 0), (5, 0, 0), (0, 5)):
        Episodes(lambda: env, 1).play(members, rows_of(members, 1), 1, seed)
        observed.append(env.np_random_seed)
    assert len(set(observed)) == 4


def test_moments_are_those_of_the_observations_acted_on(members):
    result = played(members, counters(2, 5), 2, 2, leaves=(0,))
    seen = np.array([[1, count] for length in (2, 5) for count in range(length)])
    assert result.moments[0].count == 7
    np.testing.assert_allclose(result.moments[0].mean, seen.mean(axis=0))
    np.testing.assert_allclose(result.moments[0].variance, seen.var(axis=0), atol=1e-12)


def test_a_vector_environment_of_its_own_is_used_where_there_is_one():
    native, separate = Episodes("CartPole-v1", 3), Episodes("Acrobot-v1", 2)
    assert type(native.envs.unwrapped).__name__ == "CartPoleVectorEnv" and native.num_envs == 3
    assert native.example().shape == (1, 4)
    assert [env.spec.id for env in separate.envs.envs] == ["Acrobot-v1"] * 2
    separate.close()


def test_a_mask_is_kept_apart():
    assert set(Episodes(Trap, 1).example()) == {"observation", "action_mask"}


@pytest.mark.exhaustive
def test_both_kinds_of_environments_play_alike():
    trunk = keras.Sequential([keras.Input((4,)), keras.layers.Identity()])
    policy = kg.Policy(trunk, kg.layers.CategoricalHead(2))
    policy(np.ones((1, 4), "float32"))
    members = Members(policy)
    kernel = np.outer([0.1, 0.5, 1.0, 1.0], [-1.0, 1.0])  # balances the pole
    rows = np.stack([np.append(kernel.ravel(), [0.0, 0.0])] * 4)
    for env in ("CartPole-v1", lambda: gymnasium.make("CartPole-v1")):
        result = Episodes(env, 4).play(members, rows, 1, (0,))
        np.testing.assert_array_equal(result.lengths, np.full((4, 1), 500))
        np.testing.assert_array_equal(result.returns, result.lengths)


def test_masks_rule_actions_out():
    trunk = keras.Sequential([keras.Input((2,)), keras.layers.Identity()])
    policy = kg.Policy(trunk, kg.layers.CategoricalHead(4))
    episodes = Episodes(lambda: ActionMask(Trap()), 3)
    policy(episodes.example())
    members = Members(policy)
    result = episodes.play(members, rows_of(members, 3), 1, (0,), sample_actions=True, leaves=(0,))
    np.testing.assert_array_equal(result.lengths, np.full((3, 1), 5))
    assert result.moments[0].mean.shape == (2,)


def test_labels_are_observed_as_they_are():
    assert Episodes("FrozenLake-v1", 2).example().shape == (1,)


WRONG = {
    "an environment": (lambda: Counter(), 2, {}, "`num_envs` must be 1 with one environment itself"),
    "no environments": (lambda: Counter, 0, {}, "`num_envs` must be an int >= 1"),
    "no steps": (lambda: Counter, 2, {"max_steps": 0}, "`max_steps` must be None or an int >= 1"),
}


@pytest.mark.parametrize("env, num_envs, options, match", WRONG.values(), ids=WRONG)
def test_wrong_environments(env, num_envs, options, match):
    with pytest.raises(ValueError, match=match):
        Episodes(env(), num_envs, **options)


def test_episodes_that_do_not_divide_the_environments_are_played_too(members):
    result = played(members, counters(2, 5, 3), 3, 2, episodes=2)
    np.testing.assert_array_equal(result.lengths, [[2, 5], [3, 2]])
    np.testing.assert_array_equal(result.returns, [[3.0, 15.0], [6.0, 3.0]])
