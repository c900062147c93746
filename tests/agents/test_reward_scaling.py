import numpy as np
import pytest
import tensorflow as tf

from kgdists.agents.reward_scaling import RewardNormalizer


def scaled(rewards, ended, gamma=0.9, calls=1):
    scaling = RewardNormalizer(num_envs=rewards.shape[1], gamma=gamma)
    for _ in range(calls):
        result = scaling(tf.constant(rewards), tf.constant(ended))
    return result.numpy(), scaling


def rollout(kind):
    rng, ended = np.random.default_rng(0), np.zeros((50, 2), bool)
    match kind:
        case "one-step episodes":
            return np.ones((50, 2), "float32"), ~ended
        case "nothing":
            return np.zeros((50, 2), "float32"), ended
        case "the same return at each end":
            ended[4::5] = True
            return np.where(ended, 7.0, 0.0).astype("float32"), ended
        case "one goal":
            rewards = np.zeros((50, 2), "float32")
            rewards[30, 0] = 1000.0
            return rewards, ended
        case "tiny noise":
            return rng.normal(size=(50, 2), scale=1e-7).astype("float32"), ~ended
    return (float(kind) * rng.normal(size=(50, 2))).astype("float32"), ended


KINDS = ["one-step episodes", "nothing", "the same return at each end", "one goal", "tiny noise"]


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", [*KINDS, "1.0", "1e-6", "1e15", "1e20", "1e30", "1e37"])
@pytest.mark.parametrize("gamma", [0.0, 0.99, 1.0])
def test_scaled_rewards_are_finite_and_at_most_10(kind, gamma):
    rewards, ended = rollout(kind)
    result, _ = scaled(rewards, ended, gamma, calls=3)
    assert result.dtype == "float32" and np.isfinite(result).all() and np.abs(result).max() <= 10.0
    assert np.all(np.sign(result) == np.sign(rewards))


@pytest.mark.parametrize("unit", [0.1, 1e10, 1e20, 1e30, 1e37])
def test_the_unit_of_rewards_does_not_matter(unit):
    rewards, ended = rollout("1.0")
    np.testing.assert_allclose(
        scaled((unit * rewards).astype("float32"), ended)[0], scaled(rewards, ended)[0], rtol=1e-4
    )


@pytest.mark.parametrize("offset", [0.0, 1.0, 1000.0])
def test_the_deviation_stays_right_after_a_million_updates(offset):
    rewards = (offset + np.random.default_rng(0).normal(size=(5, 8))).astype("float32")
    _, scaling = scaled(rewards, np.ones((5, 8), bool), gamma=0.0)
    scaling.statistics.count.assign(40e6)
    mean, variance = float(scaling.statistics.mean), float(scaling.statistics.variance)
    later, ended = tf.constant(rewards + 3.0), tf.ones((5, 8), bool)
    for _ in range(10):
        scaling(later, ended)
    np.testing.assert_allclose(float(scaling.statistics.mean) - mean, 3.0 * 400 / 40e6, rtol=1e-3)
    np.testing.assert_allclose(float(scaling.statistics.variance) - variance, 9.0 * 400 / 40e6, rtol=1e-3)
