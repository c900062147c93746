import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Discrete

from kgdists import losses
from kgdists.agents import A2C, A2CConfig
from kgdists.agents.acting import RolloutActions
from tests.agents.helpers import Bandit, Broken, Noise, Strict, counters, weights
from tests.agents.test_ppo import advantages_by_hand, change, experience, flat, gradients_by_hand, rows, with_sgd
from tests.marks import quick

PLAIN = {"vf_coef": 0.0, "max_grad_norm": None}
eager = pytest.mark.usefixtures("eagerly")


def small(env=Noise, **config):
    """An agent of 16 steps an update and an epoch."""
    default = {"num_envs": 2, "n_steps": 8, "epoch_steps": 16, "hidden_units": (8,), "seed": 0}
    return A2C(env, **{**default, **config})


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("config", [{}, {"gae_lambda": 0.9}, {"vtrace": True, "gae_lambda": 0.9}], ids=str)
def test_the_gradient_is_the_policy_gradient_with_generalised_advantages(config):
    agent = with_sgd(small(**PLAIN, **config))
    expected = gradients_by_hand(agent, experience())
    size = len(flat(agent.policy.trainable_variables))
    np.testing.assert_allclose(change(agent, experience())[:size], -flat(expected[: len(expected) // 2]), atol=1e-6)


@eager
def test_value_loss_and_entropy_bonus_come_with_their_weights():
    agent = with_sgd(small(max_grad_norm=None, vf_coef=0.7, ent_coef=0.3))
    expected = flat(gradients_by_hand(agent, experience()))
    np.testing.assert_allclose(change(agent, experience()), -expected, atol=1e-5)


@eager
def test_advantages_may_be_standardized():
    agent = with_sgd(small(**PLAIN, normalize_advantages=True))
    expected = gradients_by_hand(agent, experience(), lambda x: (x - x.mean()) / (x.std() + 1e-8))
    size = len(flat(agent.policy.trainable_variables))
    np.testing.assert_allclose(change(agent, experience())[:size], -flat(expected[: len(expected) // 2]), atol=1e-6)


@eager
def test_the_step_is_that_of_rmsprop_with_the_norm_of_the_gradient_bounded():
    agent = small(max_grad_norm=0.01, learning_rate=0.1)
    gradient = flat(gradients_by_hand(agent, experience()))
    gradient *= 0.01 / np.linalg.norm(gradient)
    expected = -0.1 * gradient / np.sqrt(0.01 * gradient**2 + 1e-10)
    np.testing.assert_allclose(change(agent, experience()), expected, atol=1e-6)


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("size", [0.0, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0])
def test_the_default_step_is_as_long_as_that_of_the_rmsprop_it_is_quoted_from(size):
    agent, square, expected = small(), 0.0, 0.0
    before = weights(agent)
    for step in range(20):
        gradient = size * (1.0 + 0.5 * (-1.0) ** step)
        agent.optimizer.clipnorm = agent.optimizer.global_clipnorm = None
        agent.optimizer.apply([tf.fill(x.shape, gradient) for x in agent.variables], agent.variables)
        square = 0.99 * square + 0.01 * gradient**2  # PyTorch's, by Stable-Baselines3's settings for A2C
        expected -= 7e-4 * gradient / (square**0.5 + 1e-5)
    moved = weights(agent) - before
    assert np.all(np.abs(moved - expected) <= 0.42 * abs(expected) + 1e-6)  # sqrt(2), where epsilon is all there is


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("config", [{}, {"gae_lambda": 0.5}, {"vtrace": True}, {"n_epochs": 2}], ids=str)
def test_one_step_of_one_environment_moves_the_policy(config):
    agent = small(num_envs=1, n_steps=1, epoch_steps=1, normalize_advantages=True, **config)
    moved = change(agent, [x[:1, :1] for x in experience()])
    assert np.abs(moved[: len(flat(agent.policy.trainable_variables))]).max() > 1e-5


@eager
def test_a_second_step_on_the_same_rollout_weighs_by_the_ratio():
    agent, twin = (with_sgd(small(**PLAIN, n_epochs=n, vtrace=True, gae_lambda=0.0), 0.5) for n in (2, 1))
    rollout = experience()
    observations, actions = rows(rollout[0]), rows(rollout[1])
    old = twin.policy(observations).log_proba(actions)
    advantages = rows(advantages_by_hand(twin, *rollout))  # those of one step have no weights of their own
    twin.update(*rollout)
    with tf.GradientTape() as tape:
        loss = losses.vtrace_policy_gradient(twin.policy(observations).log_proba(actions), old, advantages)
    for variable, gradient in zip(
        twin.policy.trainable_variables, tape.gradient(loss, twin.policy.trainable_variables), strict=True
    ):
        variable.assign_sub(0.5 * gradient)
    metrics = agent.update(*rollout)
    np.testing.assert_allclose(weights(agent), weights(twin), atol=1e-6)
    assert metrics["kl"] > 0.0


@pytest.mark.exhaustive
@eager
def test_a_penalty_keeps_later_steps_near_the_policy_that_acted():
    moved = []
    for kl_coef in (0.0, 1.0):
        agent = with_sgd(small(**PLAIN, n_epochs=5, kl_coef=kl_coef), 0.5)
        moved.append(np.abs(change(agent, experience())).max())
    assert moved[1] < 0.9 * moved[0]


@pytest.mark.exhaustive
def test_the_compiled_update_is_the_eager_one():
    config = {"n_epochs": 2, "vtrace": True, "kl_coef": 0.1, "normalize_observations": True, "normalize_rewards": True}
    compiled, by_steps = small(**config), small(**config)
    logs = compiled.update(*experience())
    tf.config.run_functions_eagerly(True)
    try:
        eager_logs = by_steps.update(*experience())
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(weights(compiled), weights(by_steps), atol=1e-6)
    np.testing.assert_allclose([*logs.values()], [*eager_logs.values()], rtol=1e-3, atol=1e-5)


@eager
@pytest.mark.exhaustive
def test_an_epoch_is_as_many_rollouts_as_make_its_steps():
    agent = small(epoch_steps=40)
    history = agent.learn(49).history
    assert history["steps"] == [48.0, 96.0]
    assert agent.optimizer.iterations == 6


@pytest.mark.exhaustive
@pytest.mark.parametrize("activation", ["tanh", "gelu"])  # by NumPy, and by XLA
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_an_epoch_is_acting_and_improving_in_turn(env, activation):
    agent, by_hand = (small(env, epoch_steps=48, activation=activation) for _ in range(2))
    assert (agent._act._program is None) == (activation == "gelu")
    agent.learn(48)
    for first in (0, 8, 16):
        keys = by_hand._keys(np.arange(first, first + 8))
        by_hand.update(*by_hand.rollouts.collect(RolloutActions(by_hand._act, keys)))
    np.testing.assert_array_equal(agent.rollouts.observations, by_hand.rollouts.observations)
    np.testing.assert_array_equal(weights(agent), weights(by_hand))


BANDITS = {"choice": (Discrete(4), 1.0), "box": (Box(-1.0, 1.0, (2,)), -0.1)}


@pytest.mark.exhaustive
@pytest.mark.parametrize("space, worst", quick(["choice"], BANDITS))
def test_a_bandit_is_learnt(space, worst):
    config = {"num_envs": 8, "n_steps": 16, "epoch_steps": 512, "learning_rate": 0.02, "normalize_advantages": True}
    agent = small(lambda: Bandit(space), **config)
    agent.learn(256 * 20)
    assert agent.evaluate(1).mean >= worst


@pytest.mark.exhaustive
@eager
def test_the_same_seed_gives_the_same_history_and_weights():
    runs = [small(counters(3, 4), epoch_steps=32) for _ in range(2)]
    histories = [agent.learn(64).history for agent in runs]
    for history in histories:
        del history["steps_per_second"]
    assert str(histories[0]) == str(histories[1])
    np.testing.assert_array_equal(weights(runs[0]), weights(runs[1]))


@pytest.mark.exhaustive
@eager
def test_rewards_that_no_loss_can_hold_stop_the_training():
    with pytest.raises(FloatingPointError, match="Training diverged after 16 steps: .*value_loss"):
        small(lambda: Broken(8)).learn(64)


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize("rate", [1e30, 1e38])
def test_a_rate_far_too_high_ends_as_diverged(rate):
    agent = small(Strict, epoch_steps=64, learning_rate=rate)
    with pytest.raises(FloatingPointError, match="Training diverged after 0 steps: .* not finite"):
        agent.learn(640)
    assert not agent.is_sound


@pytest.mark.exhaustive
@eager
def test_a_saved_agent_goes_on_as_it_would_have(tmp_path):
    agent = small("CartPole-v1", normalize_observations=True, normalize_rewards=True)
    agent.learn(32)
    agent.save(tmp_path)
    loaded = A2C.load(tmp_path)
    for each in (agent, loaded):
        each.learn(32)
    np.testing.assert_array_equal(weights(agent), weights(loaded))


@pytest.mark.parametrize("name, value", [("n_steps", 0), ("kl_coef", -1.0), ("gamma", 2.0), ("epoch_steps", 1.5)])
def test_a_wrong_setting_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be .* Received: {name}={value}"):
        A2CConfig(**{name: value})
