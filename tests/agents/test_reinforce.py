import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Discrete

from kgdists import losses
from kgdists.agents import REINFORCE, REINFORCEConfig
from kgdists.envs.rollout import Rollouts
from kgdists.envs.whole_episodes import collect_episodes, padded
from tests.agents.helpers import Bandit, Broken, Noise, counters, weights
from tests.agents.test_ppo import flat, with_sgd
from tests.marks import quick

PLAIN = {"normalize_advantages": False, "max_grad_norm": None}
eager = pytest.mark.usefixtures("eagerly")


def small(env=None, **config):
    """An agent of two environments, whose episodes have 3 and 20 steps, and of 4 episodes an update."""
    default = {"num_envs": 2, "episodes": 4, "hidden_units": (8,), "seed": 0}
    return REINFORCE(env or counters(3, 20), **{**default, **config})


def episodes_of(agent):
    """The episodes of one collection, one after the other: observations, actions and rewards."""
    (observations, actions, rewards, _, terminated, truncated), is_wanted = agent._collect()
    for i in range(rewards.shape[1]):
        ends = np.flatnonzero((terminated | truncated)[:, i] & is_wanted[:, i])
        for start, end in zip([0, *(ends[:-1] + 1)], ends + 1, strict=True):
            yield observations[start:end, i], actions[start:end, i], rewards[start:end, i]


def returns_by_hand(rewards, gamma):
    return [sum(gamma**k * r for k, r in enumerate(rewards[t:])) for t in range(len(rewards))]


# Whole episodes


@eager
def test_as_many_episodes_are_played_in_each_environment_as_settled_before():
    lengths = [len(rewards) for _, _, rewards in episodes_of(small(episodes=5))]
    assert lengths == [3, 3, 3, 20, 20]


@eager
def test_episodes_start_anew_and_are_whole():
    agent = small()
    for _ in range(2):
        for _, _, rewards in episodes_of(agent):
            assert rewards.tolist() == list(range(1, len(rewards) + 1))


@eager
def test_only_the_episodes_wanted_are_reported():
    agent = small()
    history = agent.learn(1).history
    assert history["length"] == [(3 + 3 + 20 + 20) / 4]
    assert history["return"] == [(6 + 6 + 210 + 210) / 4]


@pytest.mark.exhaustive
@eager
def test_all_steps_of_the_environments_count():
    agent = small()
    history = agent.learn(100).history
    assert history["steps"] == [96.0, 192.0]  # until the last episode ends after 40 steps, looked at every 16
    assert agent.steps == 192 and agent.epochs == 2


def test_what_is_played_beyond_is_not_wanted():
    envs = small().envs
    _, is_wanted = collect_episodes(Rollouts(envs, 16), lambda observations: np.zeros(2, int), 2)
    assert is_wanted.sum(axis=0).tolist() == [3, 20]
    assert is_wanted[:3, 0].all() and is_wanted[:20, 1].all()


@pytest.mark.parametrize("steps, length", [(16, 16), (17, 32), (48, 64), (3, 16)])
def test_lengths_are_padded_to_powers_of_two(steps, length):
    flags, observed = np.ones((steps, 2), bool), {"a": np.ones((steps, 2, 3))}
    x, _, rewards, _, ends, _, is_wanted = padded((observed, flags, np.ones((steps, 2)), observed, *[flags] * 3), 16)
    assert rewards.shape == (length, 2) and rewards.sum() == 2 * steps
    assert not ends[steps:].any() and not is_wanted[steps:].any()
    assert x["a"].shape == (length, 2, 3) and x["a"].all()  # zeros might be no observation


# The update


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("baseline", [False, True])
def test_the_gradient_is_the_policy_gradient_with_returns_of_whole_episodes(baseline):
    agent, twin = (with_sgd(small(**PLAIN, baseline=baseline, gamma=0.9)) for _ in range(2))
    observations, actions, returns = [], [], []
    for x, a, rewards in episodes_of(twin):
        observations.append(x)
        actions.append(a)
        returns.extend(returns_by_hand(rewards, 0.9))
    observations, actions = np.concatenate(observations), np.concatenate(actions)
    returns = np.array(returns, "float32")
    values = twin.value(observations)[:, 0] if baseline else 0.0
    with tf.GradientTape() as tape:
        loss = losses.policy_gradient(twin.policy(observations).log_proba(actions), returns - values)
    expected = flat(tape.gradient(loss, twin.policy.trainable_variables))
    before = flat(agent.policy.get_weights())
    agent.learn(1)
    np.testing.assert_allclose(flat(agent.policy.get_weights()) - before, -expected, rtol=1e-4, atol=1e-5)


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize("config", [{}, {"baseline": False}, {"ent_coef": 0.1}], ids=str)
def test_one_episode_of_one_step_moves_the_policy(config):
    agent = small(lambda: Bandit(Box(-1.0, 1.0, (1,))), num_envs=1, episodes=1, **config)
    before = flat(agent.policy.get_weights())
    agent.learn(1)
    agent.learn(1)
    assert np.abs(flat(agent.policy.get_weights()) - before).max() > 1e-5


@eager
@pytest.mark.exhaustive
def test_the_baseline_learns_the_returns():
    agent = with_sgd(small(**PLAIN, vf_coef=0.5), 1e-3)
    losses_ = agent.learn(1000).history["value_loss"]
    assert losses_[-1] < 0.9 * losses_[0]


@eager
def test_without_a_baseline_the_value_function_stays_as_it_is():
    agent = small(baseline=False)
    before = agent.value.get_weights()
    history = agent.learn(1).history
    assert "value_loss" not in history
    np.testing.assert_array_equal(flat(agent.value.get_weights()), flat(before))


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("baseline", [False, True])
def test_an_episode_cut_off_goes_on_as_its_baseline_says(baseline):
    agent = with_sgd(small(counters(2, 2, end="truncated"), **PLAIN, baseline=baseline, episodes=2, gamma=0.5))
    for layer in agent.value.layers:
        layer.set_weights([np.zeros_like(x) for x in layer.get_weights()])
    agent.value.layers[-1].bias.assign([8.0])
    seen, loss = [], losses.policy_gradient
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "policy_gradient", lambda x, advantages: seen.append(advantages) or loss(x, advantages))
        agent.learn(1)
    left = 8.0 if baseline else 0.0
    expected = np.array([1.0 + 0.5 * (2.0 + 0.5 * left), 2.0 + 0.5 * left]) - left
    np.testing.assert_allclose(np.reshape(seen[0], (16, 2))[:2, 0] / 8.0, expected)  # 4 of 32 steps weigh 8 times


@pytest.mark.exhaustive
@eager
def test_statistics_of_observations_are_those_of_the_episodes():
    agent = small(normalize_observations=True)
    (observations, *_), is_wanted = small()._collect()
    agent.learn(1)
    for layer in agent.normalizations:
        assert layer.count == is_wanted.sum()
        np.testing.assert_allclose(layer.mean, observations[is_wanted].mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(layer.variance, observations[is_wanted].var(axis=0), rtol=1e-5)


@pytest.mark.exhaustive
def test_the_compiled_update_is_the_eager_one():
    compiled, by_steps = small(), small()
    experience, is_wanted = compiled._collect()
    logs = compiled.update(*experience, is_wanted)
    tf.config.run_functions_eagerly(True)
    try:
        eager_logs = by_steps.update(*experience, is_wanted)
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(weights(compiled), weights(by_steps), atol=1e-6)
    np.testing.assert_allclose([*logs.values()], [*eager_logs.values()], rtol=1e-3, atol=1e-5)


# Learning


BANDITS = {"choice": (Discrete(4), 1.0), "box": (Box(-1.0, 1.0, (2,)), -0.1)}


@pytest.mark.exhaustive
@pytest.mark.parametrize("space, worst", quick(["choice"], BANDITS))
def test_a_bandit_is_learnt(space, worst):
    agent = small(lambda: Bandit(space), num_envs=8, episodes=128, learning_rate=0.05)
    agent.learn(128 * 40)
    assert agent.evaluate(1).mean >= worst


@pytest.mark.exhaustive
@eager
def test_a_saved_agent_goes_on_as_it_would_have(tmp_path):
    agent = small("CartPole-v1")
    agent.learn(100)
    agent.save(tmp_path)
    loaded = REINFORCE.load(tmp_path)
    for each in (agent, loaded):
        each.learn(100)
    np.testing.assert_array_equal(weights(agent), weights(loaded))


@pytest.mark.exhaustive
@eager
def test_epochs_are_numbered_through():
    agent, epochs = small(), []
    note = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))
    for _ in range(2):
        agent.learn(100, [note])
    assert epochs == [0, 1, 2, 3]


@eager
def test_rewards_that_no_loss_can_hold_stop_the_training():
    with pytest.raises(FloatingPointError, match="Training diverged after 0 steps: .*policy_loss"):
        small(lambda: Broken(3)).learn(64)


@pytest.mark.exhaustive
@eager
def test_the_same_seed_gives_the_same_weights():
    runs = [small(Noise) for _ in range(2)]
    for agent in runs:
        agent.learn(64)
    np.testing.assert_array_equal(*map(weights, runs))


@pytest.mark.parametrize("name, value", [("episodes", 0), ("gamma", 2.0), ("learning_rate", 0.0)])
def test_a_wrong_setting_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be .* Received: {name}={value}"):
        REINFORCEConfig(**{name: value})
