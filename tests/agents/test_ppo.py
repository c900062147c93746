import csv
import math
import random

import gymnasium
import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Text, Tuple
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from keras.optimizers.schedules import PiecewiseConstantDecay, PolynomialDecay

import kgdists as kg
from kgdists import losses
from kgdists.agents import PPO, PPOConfig
from kgdists.core.run_warning import RunWarning
from kgdists.layers import CategoricalHead, NormalHead, RunningNormalization
from kgdists.returns import vtrace
from kgdists.spaces import BOX_FAMILIES
from tests.agents.helpers import Bandit, Broken, Counter, Noise, counters, score, small, weights
from tests.marks import exhaustive, quick

PLAIN = {"normalize_advantages": False, "vf_coef": 0.0, "max_grad_norm": None}
eager = pytest.mark.usefixtures("eagerly")


def experience(seed=0, n_steps=8, num_envs=2):
    """A rollout as `update` takes it, with episodes that end in every way."""
    rng, shape = np.random.default_rng(seed), (n_steps, num_envs)
    return (
        rng.normal(size=(*shape, 2)).astype("float32"),
        rng.integers(2, size=shape).astype("int32"),
        rng.normal(size=shape),
        rng.normal(size=(*shape, 2)).astype("float32"),
        rng.random(shape) < 0.2,
        rng.random(shape) < 0.2,
    )


def rows(x):
    return x.reshape(-1, *x.shape[2:])


def values_of(agent, observations):
    return agent.value(rows(observations)).numpy().reshape(observations.shape[:2])


def advantages_by_hand(agent, observations, actions, rewards, next_observations, terminated, truncated):
    """Sums of discounted errors that look ahead to the end of the episode or of the rollout."""
    gamma, gae_lambda = agent.config.gamma, agent.config.gae_lambda
    values, next_values = values_of(agent, observations), values_of(agent, next_observations)
    errors = rewards + gamma * np.where(terminated, 0.0, next_values) - values
    advantages = np.zeros_like(rewards)
    for t, i in np.ndindex(rewards.shape):
        for ahead in range(t, len(rewards)):
            advantages[t, i] += (gamma * gae_lambda) ** (ahead - t) * errors[ahead, i]
            if terminated[ahead, i] or truncated[ahead, i]:
                break
    return advantages.astype("float32")


def gradients_by_hand(agent, rollout, advantages=None):
    """Of the policy-gradient loss, the value loss and the entropy bonus, the whole rollout in one batch."""
    observations, actions = rows(rollout[0]), rows(rollout[1])
    by_hand = advantages_by_hand(agent, *rollout)
    returns = rows(by_hand + values_of(agent, rollout[0]))
    advantages = rows(by_hand) if advantages is None else advantages(rows(by_hand))
    with tf.GradientTape() as tape:
        pi = agent.policy(observations)
        loss = losses.policy_gradient(pi.log_proba(actions), advantages)
        loss += agent.config.vf_coef * losses.value(agent.value(observations)[:, 0], returns)
        loss -= agent.config.ent_coef * tf.reduce_mean(pi.entropy())
    return tape.gradient(loss, agent.variables)


def flat(tensors):
    return np.concatenate([np.ravel(x) for x in tensors])


def with_sgd(agent, learning_rate=1.0):
    """Gradient descent instead of Adam, whose first step hardly depends on the size of a gradient."""
    agent.optimizer = keras.optimizers.SGD(learning_rate)
    agent.optimizer.build(agent.variables)
    return agent


def change(agent, *rollouts):
    before = weights(agent)
    for rollout in rollouts:
        agent.update(*rollout)
    return weights(agent) - before


# The update


@eager
def test_the_first_gradient_step_is_the_policy_gradient():
    agent = with_sgd(small(**PLAIN))
    expected = gradients_by_hand(agent, experience())
    got = change(agent, experience())
    policy_size = sum(math.prod(variable.shape) for variable in agent.policy.trainable_variables)
    assert np.abs(got[:policy_size]).max() > 0.01
    np.testing.assert_array_equal(got[policy_size:], 0.0)
    np.testing.assert_allclose(got[:policy_size], -flat(expected[: len(agent.policy.trainable_variables)]), atol=1e-6)


@eager
def test_value_loss_and_entropy_bonus_come_with_their_weights():
    agent = with_sgd(small(**PLAIN | {"vf_coef": 0.3, "ent_coef": 0.1}))
    expected = gradients_by_hand(agent, experience())
    np.testing.assert_allclose(change(agent, experience()), -flat(expected), atol=1e-6)


@eager
def test_advantages_are_standardized_in_a_batch():
    agent = with_sgd(small(**PLAIN | {"vf_coef": 1.0, "normalize_advantages": True}))
    expected = gradients_by_hand(agent, experience(), lambda x: (x - x.mean()) / x.std())
    np.testing.assert_allclose(change(agent, experience()), -flat(expected), atol=1e-6)


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("advantage", [-3.0, 1e-3, 2.0])
def test_batches_of_one_step_move_the_policy(advantage):
    agent = small(num_envs=1, n_steps=1, batch_size=1)
    observations, actions, rewards, following, terminated, truncated = (x[:1, :1] for x in experience())
    value = values_of(agent, observations).item()
    rewards = np.full_like(rewards, value + advantage)
    moved = change(agent, (observations, actions, rewards, following, ~(terminated & False), truncated & False))
    assert np.abs(moved[: len(flat(agent.policy.trainable_variables))]).max() > 1e-5


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("n_steps, num_envs", [(4, 2), (16, 2), (8, 1), (8, 3), (2, 8), (9, 2), (7, 2), (1, 1)])
def test_a_rollout_of_another_length_is_refused(n_steps, num_envs):
    agent = small()
    before = weights(agent)
    with pytest.raises(ValueError, match=r"`update` needs a rollout .*\[8, 2, .* Received: .*"):
        agent.update(*experience(n_steps=n_steps, num_envs=num_envs))
    np.testing.assert_array_equal(weights(agent), before)


@pytest.mark.few(2)
@eager
@pytest.mark.parametrize("index", range(6))
def test_a_rollout_whose_parts_differ_in_length_is_refused(index):
    rollout = [x if i != index else x[:-1] for i, x in enumerate(experience())]
    with pytest.raises(ValueError, match="`update` needs a rollout"):
        small().update(*rollout)


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("config", [{"max_grad_norm": 0.01}, {"max_grad_norm": None}, {"learning_rate": 0.1}], ids=str)
def test_the_step_is_that_of_adam_with_the_norm_of_the_gradient_bounded(config):
    agent, twin = (small(**{"normalize_advantages": False, "ent_coef": 0.1} | config) for _ in range(2))
    adam = keras.optimizers.Adam(
        config.get("learning_rate", 3e-4), epsilon=1e-5, global_clipnorm=config.get("max_grad_norm", 0.5)
    )
    adam.apply(gradients_by_hand(twin, experience()), twin.variables)
    agent.update(*experience())
    np.testing.assert_allclose(weights(agent), weights(twin), atol=1e-7)


@eager
def test_an_epoch_takes_each_step_once():
    tiny = 1e-4
    agent = with_sgd(small(batch_size=4, **PLAIN | {"vf_coef": 1.0}), tiny)
    expected = flat(gradients_by_hand(agent, experience()))
    # Steps this small leave the gradients as they are: four batches, each the mean over a quarter of the steps.
    np.testing.assert_allclose(change(agent, experience()) / tiny, -4.0 * expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.exhaustive
@eager
def test_the_batches_of_an_epoch_are_shuffled():
    agents = [with_sgd(small(batch_size=4, seed=0, **PLAIN)) for _ in range(2)]
    agents[1].generator.state.assign(agents[1].generator.state + 1)
    assert np.abs(change(agents[0], experience()) - change(agents[1], experience())).max() > 1e-4


@eager
def test_a_second_epoch_clips_the_ratio():
    clip_range, agent = 0.01, with_sgd(small(n_epochs=2, clip_range=0.01, **PLAIN))
    twin, (observations, actions, *_) = small(**PLAIN), experience()
    twin.policy.set_weights(agent.policy.get_weights())
    advantages = rows(advantages_by_hand(twin, *experience()))
    old_log_proba = twin.policy(rows(observations)).log_proba(rows(actions))
    for _ in range(2):
        with tf.GradientTape() as tape:
            log_proba = twin.policy(rows(observations)).log_proba(rows(actions))
            loss = losses.ppo_clip(log_proba, old_log_proba, advantages, clip_range)
        for variable, gradient in zip(
            twin.policy.trainable_variables, tape.gradient(loss, twin.policy.trainable_variables), strict=True
        ):
            variable.assign_sub(gradient)
    logs = agent.update(*experience())
    np.testing.assert_allclose(weights(agent), weights(twin), atol=1e-6)
    assert 0.0 < logs["clip_fraction"] <= 0.5


@eager
def test_the_clip_range_follows_its_schedule():
    constant, falling = (
        with_sgd(small(n_epochs=2, clip_range=clip_range, **PLAIN))
        for clip_range in (10.0, PiecewiseConstantDecay([0], [10.0, 1e-6]))
    )
    assert constant.update(*experience())["clip_fraction"] == 0.0
    assert falling.update(*experience())["clip_fraction"] == 0.5
    assert np.abs(weights(constant) - weights(falling)).max() > 1e-3


@pytest.mark.exhaustive
@eager
def test_a_constant_schedule_is_a_constant():
    agents = [
        small(n_epochs=3, learning_rate=learning_rate, clip_range=clip_range)
        for learning_rate, clip_range in ((0.01, 0.1), (PolynomialDecay(0.01, 5, 0.01), PolynomialDecay(0.1, 5, 0.1)))
    ]
    np.testing.assert_allclose(change(agents[0], experience()), change(agents[1], experience()), atol=1e-7)


@pytest.mark.exhaustive
@eager
def test_the_learning_rate_follows_its_schedule():
    agent = small(n_epochs=2, learning_rate=PolynomialDecay(0.1, 4, 0.0))
    assert np.abs(change(agent, experience(), experience(1))).max() > 0.01
    np.testing.assert_array_equal(change(agent, experience(2)), 0.0)


@pytest.mark.exhaustive
@eager
def test_learning_rates_of_a_schedule_are_reported():
    schedule = PolynomialDecay(0.1, 4, 0.0)
    history = small(n_epochs=2, learning_rate=schedule).learn(48)
    np.testing.assert_allclose(history.history["learning_rate"], [schedule(2), schedule(4), schedule(6)], atol=1e-7)


@pytest.mark.exhaustive
@eager
def test_an_update_ends_early_once_the_policy_has_moved_too_far():
    agent, unbounded = (small(n_epochs=10, learning_rate=0.1, target_kl=target_kl) for target_kl in (1e-4, None))
    agent.update(*experience())
    unbounded.update(*experience())
    assert int(agent.optimizer.iterations) == 2 and int(unbounded.optimizer.iterations) == 10


@eager
def test_an_update_ends_early_in_the_middle_of_an_epoch():
    agent = small(n_epochs=3, batch_size=2, learning_rate=0.1, target_kl=1e-4)
    agent.update(*experience())
    assert int(agent.optimizer.iterations) == 2


@eager
def test_the_next_update_starts_afresh_after_an_early_end():
    agent = small(n_epochs=10, learning_rate=0.1, target_kl=1e-4)
    agent.update(*experience())
    agent.update(*experience(1))
    assert int(agent.optimizer.iterations) == 4


@pytest.mark.exhaustive
@eager
def test_a_wide_bound_of_the_divergence_changes_nothing():
    agents = [small(n_epochs=3, target_kl=target_kl) for target_kl in (1e3, None)]
    np.testing.assert_array_equal(change(agents[0], experience()), change(agents[1], experience()))


@eager
def test_metrics_are_means_over_the_gradient_steps_taken():
    agent = small(n_epochs=10, learning_rate=0.1, target_kl=1e-4)
    logs = agent.update(*experience())
    assert logs["kl"] > 1e-4 and 0.6 < logs["entropy"] < 0.7 and logs["value_loss"] > 0.1


@eager
def test_explained_variance_by_hand():
    agent = small(gae_lambda=1.0)
    advantages, values = advantages_by_hand(agent, *experience()), values_of(agent, experience()[0])
    expected = 1.0 - np.var(advantages) / np.var(advantages + values)
    np.testing.assert_allclose(agent.update(*experience())["explained_variance"], expected, rtol=1e-4)


@eager
def test_the_change_of_values_can_be_bounded():
    plain, bounded = (with_sgd(small(n_epochs=2, clip_range_value=bound)) for bound in (None, 1e-6))
    assert np.abs(change(plain, experience()) - change(bounded, experience())).max() > 1e-3


@eager
def test_values_are_bounded_around_those_before_the_update():
    agent = with_sgd(small(n_epochs=2, clip_range_value=0.05, **PLAIN | {"vf_coef": 1.0}))
    twin = small()
    old_values = rows(values_of(twin, experience()[0]))
    returns = rows(advantages_by_hand(twin, *experience())) + old_values
    for _ in range(2):
        with tf.GradientTape() as tape:
            values = twin.value(rows(experience()[0]))[:, 0]
            loss = losses.value(values, returns, old_values, 0.05)
        for variable, gradient in zip(
            twin.value.trainable_variables, tape.gradient(loss, twin.value.trainable_variables), strict=True
        ):
            variable.assign_sub(gradient)
    agent.update(*experience())
    for mine, by_hand in zip(agent.value.get_weights(), twin.value.get_weights(), strict=True):
        np.testing.assert_allclose(mine, by_hand, atol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["eager", "xla"])
def test_the_ratio_is_exactly_1_on_the_first_minibatch_of_saturated_actions(jit_compile):
    space = Box(-1.0, 1.0, (2,))
    agent = small(lambda: Counter(100, action_space=space), initial_stddev=50.0)
    rollout = agent._collect()
    assert np.mean(np.abs(rollout[1]) == 1.0) > 0.5
    tf.config.run_functions_eagerly(not jit_compile)
    try:
        metrics = agent.update(*rollout)
    finally:
        tf.config.run_functions_eagerly(False)
    assert metrics["kl"] == metrics["clip_fraction"] == 0.0


@eager
def test_the_ratio_of_the_first_minibatch_does_not_depend_on_what_was_computed_before():
    agent = with_sgd(small(batch_size=8), 0.0)
    call, noise = agent.policy.call, iter([1.001])  # as another compiled computation might round
    agent.policy.call = lambda x: kg.CategoricalDist(call(x).logits * next(noise, 1.0))
    seen = []
    loss = losses.ppo_clip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "ppo_clip", lambda new, old, *rest: seen.append(new - old) or loss(new, old, *rest))
        agent.update(*experience())
    first, second = (np.abs(x).max() for x in seen)
    assert first == 0.0 < second


@eager
def test_a_penalty_on_the_divergence_alone():
    agent = with_sgd(small(**PLAIN, n_epochs=2, clip_range=math.inf, kl_coef=3.0), 0.1)
    twin = with_sgd(small(**PLAIN), 0.1)
    rollout = experience()
    observations, actions = rows(rollout[0]), rows(rollout[1])
    old = twin.policy(observations)
    advantages = rows(advantages_by_hand(twin, *rollout))
    for _ in range(2):
        with tf.GradientTape() as tape:
            pi = twin.policy(observations)
            ratio = tf.exp(pi.log_proba(actions) - old.log_proba(actions))
            loss = tf.reduce_mean(3.0 * old.kl_divergence(pi) - ratio * advantages)
        for variable, gradient in zip(
            twin.policy.trainable_variables, tape.gradient(loss, twin.policy.trainable_variables), strict=True
        ):
            variable.assign_sub(0.1 * gradient)
    agent.update(*rollout)
    np.testing.assert_allclose(flat(agent.policy.get_weights()), flat(twin.policy.get_weights()), atol=1e-6)


@pytest.mark.exhaustive
@eager
def test_a_penalty_without_a_closed_form_is_estimated():
    head = kg.layers.GaussianMixtureHead(num_components=2, num_dims=1, random_seed=0)
    policy = kg.Policy(keras.Sequential([keras.Input((1,)), keras.layers.Dense(4)]), head)
    agent = small(lambda: Bandit(Box(-np.inf, np.inf, (1,))), policy=policy, n_epochs=2, kl_coef=1.0)
    assert np.isfinite(agent.learn(16).history["policy_loss"]).all()


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("adaptive_kl, factor", [(1e6, 0.5), (1e-12, 2.0), (None, 1.0)])
def test_the_penalty_adapts_to_the_divergence_aimed_at(adaptive_kl, factor):
    agent = small(kl_coef=0.5, adaptive_kl=adaptive_kl, learning_rate=0.01)
    assert agent.update(*experience())["kl_coef"] == 0.5
    assert agent.update(*experience())["kl_coef"] == 0.5 * factor


@eager
def test_vtrace_corrects_the_later_epochs():
    agent = with_sgd(small(**PLAIN, n_epochs=2, vtrace=True, clip_range=math.inf), 0.5)
    twin = with_sgd(small(**PLAIN), 0.5)
    rollout = experience()
    observations, actions = rows(rollout[0]), rows(rollout[1])
    old = twin.policy(observations).log_proba(actions)
    twin.update(*rollout)
    values, next_values = values_of(twin, rollout[0]), values_of(twin, rollout[3])
    log_ratio = tf.reshape(twin.policy(observations).log_proba(actions) - old, rollout[2].shape)
    rewards, gamma, gae_lambda = rollout[2].astype("float32"), twin.config.gamma, twin.config.gae_lambda
    advantages, _ = vtrace(rewards, values, next_values, *rollout[4:], log_ratio, gamma, gae_lambda)
    with tf.GradientTape() as tape:
        ratio = tf.exp(twin.policy(observations).log_proba(actions) - old)
        loss = -tf.reduce_mean(ratio * tf.reshape(advantages, (-1,)))
    for variable, gradient in zip(
        twin.policy.trainable_variables, tape.gradient(loss, twin.policy.trainable_variables), strict=True
    ):
        variable.assign_sub(0.5 * gradient)
    agent.update(*rollout)
    np.testing.assert_allclose(flat(agent.policy.get_weights()), flat(twin.policy.get_weights()), atol=1e-6)


@pytest.mark.exhaustive
@eager
def test_vtrace_changes_nothing_in_the_first_epoch():
    agents = [small(batch_size=8, vtrace=is_on) for is_on in (False, True)]
    changes = [change(agent, experience()) for agent in agents]
    np.testing.assert_allclose(*changes, atol=1e-6)


@pytest.mark.exhaustive
def test_the_compiled_update_is_the_eager_one():
    config = {"n_epochs": 2, "batch_size": 8, "normalize_observations": True, "normalize_rewards": True}
    config |= {"vtrace": True, "kl_coef": 0.1, "adaptive_kl": 0.01}
    compiled, by_steps = small(**config), small(**config)
    logs = compiled.update(*experience())
    tf.config.run_functions_eagerly(True)
    try:
        eager_logs = by_steps.update(*experience())
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(weights(compiled), weights(by_steps), atol=1e-6)
    np.testing.assert_allclose([*logs.values()], [*eager_logs.values()], rtol=1e-3, atol=1e-6)


# Normalisation


def normalizations(agent):
    return [
        layer
        for model in (agent.policy.trunk, agent.value)
        for layer in model.layers
        if isinstance(layer, RunningNormalization)
    ]


@eager
def test_statistics_of_observations_are_those_of_all_rollouts():
    agent = small(normalize_observations=True)
    agent.update(*experience(0))
    agent.update(*experience(1))
    seen = np.concatenate([rows(experience(seed)[0]) for seed in (0, 1)])
    assert len(normalizations(agent)) == 2
    for layer in normalizations(agent):
        np.testing.assert_allclose(layer.mean, seen.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(layer.variance, seen.var(axis=0), rtol=1e-5)


@eager
def test_statistics_of_observations_are_saved_with_the_policy(tmp_path):
    agent, (observations, *_) = small(normalize_observations=True), experience()
    agent.update(*experience())
    agent.policy.save(tmp_path / "policy.keras")
    loaded = keras.models.load_model(tmp_path / "policy.keras")
    np.testing.assert_array_equal(loaded(observations[0]).logits, agent.policy(observations[0]).logits)
    assert np.any(loaded.trunk.layers[0].mean != 0.0)


@eager
def test_statistics_of_observations_do_not_move_within_an_update():
    agent = small(normalize_observations=True)
    agent.update(*experience(0))
    logs = agent.update(*experience(1))
    np.testing.assert_allclose(logs["kl"], 0.0, atol=1e-6)


@eager
def test_observations_are_not_normalised_unless_asked_for():
    assert normalizations(small()) == []


@eager
def test_rewards_are_divided_by_the_deviation_of_the_discounted_return():
    observations, actions, rewards, next_observations, terminated, truncated = experience()
    totals, total = np.zeros_like(rewards), np.zeros(2)
    for t, ended in enumerate(terminated | truncated):
        totals[t] = total = rewards[t] + 0.9 * total
        total = np.where(ended, 0.0, total)
    scaled = (observations, actions, rewards / totals.std(), next_observations, terminated, truncated)
    agent, plain = (small(gamma=0.9, normalize_rewards=normalized) for normalized in (True, False))
    logs, expected = agent.update(*experience()), plain.update(*scaled)
    np.testing.assert_allclose(logs["value_loss"], expected["value_loss"], rtol=1e-5)
    np.testing.assert_allclose(weights(agent), weights(plain), atol=1e-6)


@pytest.mark.exhaustive
@eager
def test_with_normalised_rewards_their_unit_does_not_matter():
    agents = [small(lambda scale=scale: Bandit(scale=scale), normalize_rewards=True) for scale in (1.0, 1024.0)]
    for agent in agents:
        agent.learn(48)
    np.testing.assert_allclose(weights(agents[0]), weights(agents[1]), atol=1e-6)


@pytest.mark.exhaustive
@eager
def test_statistics_of_rewards_written_in_float32_are_gone_on_from():
    agent, twin = (small(normalize_rewards=True) for _ in range(2))
    agent.learn(32)
    arrays = agent.arrays()
    kept = {name for name in arrays if name.startswith(("return_statistics", "discounted_return"))}
    twin.restore({name: x.astype("float32") if name in kept else x for name, x in arrays.items()})
    for name in kept:
        np.testing.assert_allclose(twin.arrays()[name], arrays[name], rtol=1e-6)
        assert twin.arrays()[name].dtype == "float64"


@eager
def test_returns_are_reported_in_the_environment_s_unit():
    history = small(counters(3, 3), normalize_rewards=True).learn(16)
    assert history.history["return"] == [6.0]


# Learning


BANDITS = {
    "discrete": (Discrete(4), 1.0),
    "multi_discrete": (MultiDiscrete([[3, 2], [2, 4]], start=[[0, 1], [2, 3]]), 1.0),
    "multi_binary": (MultiBinary((2, 2)), 1.0),
    "integers": (Box(0, 2, (3,), "int32"), -0.75),
    "dict": (Dict(choose=Discrete(4), inner=Dict(push=Box(-1.0, 1.0, (2,)), bits=MultiBinary(2))), 1.95),
    "tuple": (Tuple((MultiDiscrete([3, 2]), Box(0.0, 1.0, (1,)))), 0.95),
    "one_of": (OneOf((Discrete(2), Discrete(4))), 1.0),
}


def learnt_bandit(space, **config):
    default = {"num_envs": 8, "n_steps": 32, "batch_size": 64, "n_epochs": 5, "learning_rate": 0.02}
    agent = small(lambda: Bandit(space), **(default | config))
    agent.learn(256 * 15)
    return agent


@pytest.mark.exhaustive
@pytest.mark.parametrize("space, worst", quick(["integers"], BANDITS))
def test_a_bandit_is_learnt(space, worst):
    agent = learnt_bandit(space)
    assert agent.evaluate(1).mean >= worst
    action = agent.predict(np.ones(1))
    assert space.contains(action) and score(space, action) >= worst


@pytest.mark.parametrize(
    "config", exhaustive(*({"box_family": family} for family in BOX_FAMILIES), {"sde_sample_freq": 4}), ids=str
)
def test_a_box_is_learnt_with_each_family(config):
    agent = learnt_bandit(Box(-1.0, 1.0, (2,)), **config)
    assert agent.evaluate(1).mean >= -0.02


@pytest.mark.exhaustive
def test_cart_pole_is_learnt():
    agent = PPO("CartPole-v1", n_steps=128, batch_size=256, learning_rate=1e-3, hidden_units=(32, 32), seed=0)
    history = agent.learn(15_000).history
    assert history["return"][-1] > 80.0 > 40.0 > history["return"][0]
    assert agent.evaluate(20, seed=0).mean > 80.0


@pytest.mark.exhaustive
def test_pendulum_trains():
    agent = small("Pendulum-v1", n_steps=128, batch_size=64, n_epochs=2, initial_stddev=0.5)
    history = agent.learn(1024).history
    assert np.isfinite([history[name] for name in ("policy_loss", "value_loss", "entropy", "kl")]).all()
    assert -2000.0 < history["return"][-1] < 0.0
    assert agent.envs.single_action_space.contains(agent.predict(np.zeros(3), deterministic=False))


@pytest.mark.exhaustive
@eager
def test_the_default_policy_is_of_the_family_asked_for():
    spaces = Box(-1.0, 1.0, (2,)), Dict(push=Box(-1.0, 1.0, (2,)), choose=Discrete(2))
    for family, kind in (("squashed", kg.SquashedNormalDist), ("normal", kg.NormalDist)):
        agents = [small(lambda space=space: Counter(action_space=space), box_family=family) for space in spaces]
        alone, among = (agent.policy(np.zeros((1, 2), "float32")) for agent in agents)
        assert type(alone) is kind and type(among["push"]) is kind


@pytest.mark.exhaustive
@eager
def test_an_entropy_without_a_closed_form_is_estimated():
    agent = small(lambda: Counter(action_space=Box(-1.0, 1.0, (2,))), n_epochs=6, learning_rate=1e-9)
    pi = agent.policy(np.zeros((10_000, 2), "float32"))
    entropies = agent.learn(32).history["entropy"]  # of 32 draws with a deviation of 0.31
    np.testing.assert_allclose(np.mean(entropies), -np.mean(pi.sample_and_log_proba()[1]), atol=0.2)


@pytest.mark.exhaustive
@eager
def test_the_entropy_bonus_widens_a_distribution_without_a_closed_form():
    policies = []
    for ent_coef in (0.0, 1.0):
        agent = small(
            lambda: Bandit(Box(-1.0, 1.0, (1,)), scale=0.0), ent_coef=ent_coef, initial_stddev=0.1, learning_rate=0.02
        )
        agent.learn(320)
        policies.append(agent.policy(np.ones((1, 1), "float32")))
    assert policies[1].logvar > policies[0].logvar + 0.1


@eager
def test_a_draw_of_state_dependent_exploration_lasts_for_its_steps():
    agent = small(lambda: Counter(100, action_space=Box(-1.0, 1.0, (2,))), sde_sample_freq=4)
    assert agent._keys(np.arange(8))[:, 1].tolist() == [0, 0, 0, 0, 4, 4, 4, 4]


@eager
def test_state_dependent_exploration_needs_a_box():
    with pytest.raises(ValueError, match="`sde_sample_freq` .* Received: "):
        small(sde_sample_freq=4)


@eager
def test_the_default_policy_starts_with_the_deviation_asked_for():
    box = Box(-3.0, 1.0, (2,))
    agent = small(lambda: Counter(action_space=box), initial_stddev=0.25, box_family="normal")
    pi = agent.policy(np.zeros((1, 2), "float32"))
    np.testing.assert_allclose(pi.variance(), [[0.25, 0.25]], rtol=1e-5)
    np.testing.assert_allclose(pi.mean(), [[-1.0, -1.0]], atol=1e-6)


@pytest.mark.exhaustive
@eager
def test_learning_goes_on_where_it_stopped():
    once, twice = small(), small()
    once.learn(64)
    twice.learn(32)
    history = twice.learn(32)
    assert history.history["steps"] == [48, 64]
    assert int(twice.optimizer.iterations) == 4
    np.testing.assert_array_equal(weights(once), weights(twice))


@pytest.mark.exhaustive
@eager
def test_steps_are_rounded_up_to_whole_rollouts():
    agent = small()
    assert agent.learn(17).history["steps"] == [16, 32]
    assert agent.steps == 32


@pytest.mark.few(4)
@eager
@pytest.mark.parametrize("total_steps", [0, -1, 2.5, "10", None], ids=repr)
def test_a_wrong_number_of_steps_is_refused(total_steps):
    with pytest.raises(ValueError, match="`total_steps` must be an int >= 1. Received: total_steps="):
        small().learn(total_steps)


@pytest.mark.exhaustive
@eager
def test_returns_and_lengths_are_means_over_the_finished_episodes():
    history = small(counters(4, 12)).learn(32).history
    assert history["length"] == [4.0, (4 * 4.0 + 12.0) / 5]
    assert history["return"] == [10.0, (4 * 10.0 + 78.0) / 5]


@eager
def test_without_a_finished_episode_the_return_is_unknown():
    history = small(counters(100, 100)).learn(16).history
    assert math.isnan(history["return"][0]) and math.isnan(history["length"][0])


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("first_bad_step, steps", [(0, 0), (20, 32)])
def test_rewards_that_no_loss_can_hold_stop_the_training_and_name_the_steps(first_bad_step, steps):
    with pytest.raises(FloatingPointError, match=f"after {steps} steps: .*value_loss.* not finite"):
        small(lambda: Broken(first_bad_step)).learn(160)


# Seeds


def learnt(seed):
    agent = small(batch_size=8, seed=seed)
    history = agent.learn(32).history
    del history["steps_per_second"]
    return history, weights(agent)


@pytest.mark.exhaustive
@eager
def test_the_same_seed_gives_the_same_history_and_weights():
    (history, vector), (again, same) = learnt(3), learnt(3)
    np.testing.assert_equal(history, again)
    np.testing.assert_array_equal(vector, same)


@pytest.mark.exhaustive
@eager
def test_another_seed_gives_other_weights_and_episodes():
    (history, vector), (other, different) = learnt(3), learnt(4)
    assert history["return"] != other["return"]
    assert np.abs(vector - different).max() > 0.1


@pytest.mark.exhaustive
@eager
def test_no_seed_gives_another_run_each_time():
    assert np.any(learnt(None)[1] != learnt(None)[1])


@pytest.mark.exhaustive
@eager
def test_global_random_numbers_are_left_alone():
    def draws():
        return np.random.random(), random.random(), float(keras.random.uniform(())), float(tf.random.uniform(()))

    keras.utils.set_random_seed(0)
    expected = draws()
    keras.utils.set_random_seed(0)
    agent = small(batch_size=4)
    agent.learn(32)
    agent.evaluate(2, deterministic=False, seed=0)
    agent.predict(np.zeros(2), deterministic=False)
    assert draws() == expected


# Callbacks

LOGS = {
    "steps",
    "return",
    "length",
    "running_return",
    "running_length",
    "policy_loss",
    "value_loss",
    "entropy",
    "kl",
    "clip_fraction",
    "explained_variance",
    "gradient_norm",
    "learning_rate",
    "weight_norm",
    "steps_per_second",
}


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """A trained agent, its history, the folder its callbacks wrote to, and what callbacks were called with."""
    folder, calls = tmp_path_factory.mktemp("callbacks"), []
    agent = PPO("CartPole-v1", num_envs=2, n_steps=32, batch_size=16, n_epochs=2, hidden_units=(8,), seed=0)
    history = agent.learn(
        256,
        [
            keras.callbacks.CSVLogger(folder / "metrics.csv"),
            keras.callbacks.ModelCheckpoint(folder / "policy.keras"),
            keras.callbacks.TensorBoard(folder / "tensorboard"),
            keras.callbacks.LambdaCallback(
                on_train_begin=lambda logs: calls.append("train begins"),
                on_epoch_begin=lambda epoch, logs: calls.append(("epoch begins", epoch)),
                on_epoch_end=lambda epoch, logs: calls.append((epoch, logs)),
                on_train_end=lambda logs: calls.append("train ends"),
            ),
        ],
    )
    return agent, history, folder, calls


def test_learn_returns_keras_history(observed):
    _, history, _, _ = observed
    assert isinstance(history, keras.callbacks.History)
    assert history.epoch == [0, 1, 2, 3] and set(history.history) == LOGS
    assert history.history["steps"] == [64, 128, 192, 256]


def test_every_number_of_the_history_makes_sense(observed):
    _, history, _, _ = observed
    metrics = {name: np.array(column) for name, column in history.history.items()}
    assert (metrics["return"] > 5.0).all() and (metrics["return"] == metrics["length"]).all()
    assert (metrics["kl"] > -1e-6).all() and (metrics["value_loss"] > 0.0).all()
    assert ((metrics["entropy"] > 0.0) & (metrics["entropy"] < 0.6932)).all()
    assert ((metrics["clip_fraction"] >= 0.0) & (metrics["clip_fraction"] <= 1.0)).all()
    assert (metrics["steps_per_second"] > 0.0).all() and (metrics["explained_variance"] <= 1.0).all()


def test_callbacks_are_called_as_keras_calls_them(observed):
    _, history, _, calls = observed
    assert [call if isinstance(call, str) else call[0] for call in calls] == [
        "train begins",
        *(name for epoch in range(4) for name in ("epoch begins", epoch)),
        "train ends",
    ]
    logs = [call[1] for call in calls if isinstance(call, tuple) and isinstance(call[0], int)]
    assert [log["return"] for log in logs] == history.history["return"]
    assert all(set(log) == LOGS for log in logs)


def test_a_csv_logger_writes_the_history(observed):
    _, history, folder, _ = observed
    with (folder / "metrics.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    for name, column in history.history.items():
        np.testing.assert_allclose([float(row[name]) for row in table], column)


def test_a_model_checkpoint_writes_the_policy(observed):
    agent, _, folder, _ = observed
    policy = keras.models.load_model(folder / "policy.keras")
    np.testing.assert_array_equal(policy(np.ones((3, 4))).logits, agent.policy(np.ones((3, 4))).logits)


def test_tensorboard_gets_the_logs(observed):
    _, _, folder, _ = observed
    (file,) = (folder / "tensorboard" / "train").glob("events.out.tfevents.*")
    assert b"rollout/return" in file.read_bytes()


def test_the_update_is_traced_once(observed):
    agent, *_ = observed
    assert agent._compiled_update.num_traces == 1


@pytest.mark.exhaustive
@eager
def test_early_stopping_stops():
    agent = small(counters(4, 4))
    history = agent.learn(160, [keras.callbacks.EarlyStopping("return", mode="max", patience=2)])
    assert history.history["steps"] == [16, 32, 48] and agent.steps == 48


@pytest.mark.exhaustive
@eager
def test_an_agent_that_was_stopped_learns_on():
    agent = small(counters(4, 4))
    agent.learn(160, [keras.callbacks.EarlyStopping("return", mode="max", patience=1)])
    assert len(agent.learn(80).history["steps"]) == 5


@pytest.mark.exhaustive
@eager
def test_early_stopping_restores_the_best_policy():
    agent, kept = small(counters(4, 4)), []
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(agent.policy.get_weights()))
    stop = keras.callbacks.EarlyStopping("return", mode="max", patience=2, restore_best_weights=True)
    agent.learn(160, [keep, stop])
    for mine, best in zip(agent.policy.get_weights(), kept[0], strict=True):
        np.testing.assert_array_equal(mine, best)


@pytest.mark.exhaustive
@eager
def test_a_callback_may_set_the_learning_rate():
    history = small().learn(48, [keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))])
    np.testing.assert_allclose(history.history["learning_rate"], [0.1, 0.05, 0.1 / 3], rtol=1e-6)


@eager
def test_the_model_of_a_callback_is_the_policy():
    callback, agent = keras.callbacks.Callback(), small()
    agent.learn(16, [callback])
    assert callback.model is agent.policy


# Own networks and spaces


def network(*layers):
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "relu"), *layers])


@pytest.mark.exhaustive
@eager
def test_own_networks_are_the_ones_that_learn():
    policy, value = kg.Policy(network(), CategoricalHead(2)), network(keras.layers.Dense(1))
    agent = small(policy=policy, value=value)
    before = [model.get_weights() for model in (policy, value)]
    agent.learn(16)
    assert agent.policy is policy and agent.value is value
    for model, old in zip((policy, value), before, strict=True):
        assert all(np.any(x != y) for x, y in zip(model.get_weights(), old, strict=True))


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("nested", [False, True])
def test_statistics_in_an_own_trunk_are_gathered(nested):
    normalization = RunningNormalization()
    first = keras.Sequential([normalization]) if nested else normalization
    trunk = keras.Sequential([keras.Input((2,)), first, keras.layers.Dense(4)])
    agent = small(policy=kg.Policy(trunk, CategoricalHead(2)))
    agent.update(*experience())
    np.testing.assert_allclose(normalization.mean, rows(experience()[0]).mean(axis=0), atol=1e-6)


@eager
def test_without_hidden_layers_the_networks_are_linear():
    agent = small(hidden_units=())
    agent.learn(16)
    assert [tuple(variable.shape) for variable in agent.variables] == [(2, 2), (2,), (2, 1), (1,)]


@eager
@pytest.mark.parametrize("head", [CategoricalHead(3), NormalHead(2)], ids=["categorical", "normal"])
def test_a_policy_of_another_action_space_is_refused(head):
    with pytest.raises(ValueError, match="Received: "):
        small(policy=kg.Policy(network(), head))


@eager
@pytest.mark.parametrize("layer", [keras.layers.Dense(2), keras.layers.Reshape((1, 4))], ids=["two", "rank_3"])
def test_values_of_another_shape_are_refused(layer):
    with pytest.raises(ValueError, match=r"`value` must map observations \[B, ...\] to \[B, 1\]. Received: shape"):
        small(value=network(layer))


@eager
def test_dict_observations_keep_their_structure():
    class Parts(Counter):
        def __init__(self):
            super().__init__()
            self.observation_space = Dict(near=Box(-1.0, 1.0, (2,)), far=Discrete(3))

        def _observation(self):
            return {"near": np.zeros(2, "float32"), "far": self.count % 3}

    agent = small(Parts)
    agent.learn(16)
    assert {name: x.shape for name, x in agent.policy.trunk.input.items()} == {"near": (None, 2), "far": (None,)}


@eager
def test_images_are_flattened_behind_the_input():
    class Image(Counter):
        def __init__(self):
            super().__init__()
            self.observation_space = Box(0, 255, (3, 4, 1), "uint8")

        def _observation(self):
            return np.full((3, 4, 1), self.count, "uint8")

    agent = small(Image)
    agent.learn(16)
    assert agent.predict(np.zeros((3, 4, 1), "uint8")) in (0, 1)
    assert agent.predict(np.zeros((5, 3, 4, 1), "uint8")).shape == (5,)


@eager
def test_an_action_space_without_a_head_is_refused():
    with pytest.raises(ValueError, match="Received: Text"):
        small(lambda: Counter(action_space=Text(3)))


@pytest.mark.exhaustive
@eager
def test_a_vector_env_brings_its_number_of_environments():
    envs = SyncVectorEnv([lambda: Counter(4)] * 4, autoreset_mode=AutoresetMode.SAME_STEP)
    agent = small(envs)
    assert agent.config.num_envs == 4
    assert agent.learn(32).history["steps"] == [32]
    assert agent.evaluate(8).lengths == (4,) * 8
    assert agent.learn(32).history["length"] == [4.0]


@eager
def test_an_environment_s_class_is_a_function_that_makes_one():
    assert small(Counter).envs.num_envs == 2


# Configuration

WRONG = {
    "num_envs": (0, -1, 2.5),
    "n_steps": (0, 2.5, "8"),
    "batch_size": (0, 5, 32, 4.0),
    "n_epochs": (0, 1.5),
    "learning_rate": (0.0, -1e-3, math.nan, math.inf, None, "fast"),
    "clip_range": (0.0, -0.1, math.nan, None),
    "clip_range_value": (0.0, -1.0),
    "gamma": (2, -0.1, math.nan, None, "high"),
    "gae_lambda": (1.5, -0.5),
    "ent_coef": (math.nan, math.inf, None),
    "vf_coef": (math.nan, -1.0, None),
    "max_grad_norm": (0.0, -1.0, math.nan),
    "target_kl": (0.0, -0.1, math.nan),
    "hidden_units": ((0,), (8, -1), (2.5,), 8, "8"),
    "initial_stddev": (0.0, -1.0, math.inf, None),
    "box_family": ("gaussian", None, 1),
    "sde_sample_freq": (0, -1, 2.5),
    "seed": (-1, 1.5, "a"),
}


@eager
@pytest.mark.parametrize("name, value", [(name, value) for name, column in WRONG.items() for value in column], ids=repr)
def test_a_wrong_setting_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"`{name}` .*Received: .*{name}="):
        small(**{name: value})


@eager
def test_an_unknown_setting_is_refused():
    with pytest.raises(TypeError, match="learning_rates"):
        small(learning_rates=1e-3)


def test_a_configuration_does_not_change():
    with pytest.raises(AttributeError):
        PPOConfig().gamma = 0.5


def test_batches_divide_what_a_vector_env_steps():
    envs = SyncVectorEnv([Counter] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(ValueError, match="`batch_size` must divide .* Received: batch_size=16, n_steps . num_envs=24"):
        small(envs)


# Acting


@pytest.fixture(scope="module")
def actors():
    """Agents of several action spaces that did not learn."""
    spaces = (Discrete(3, start=3), Box(-0.1, 0.1, (2, 3), "float64"), MultiDiscrete([[3, 2]]), MultiBinary(3))
    return [small(lambda space=space: Counter(action_space=space)) for space in spaces]


@pytest.mark.exhaustive
def test_one_observation_gives_one_action(actors):
    for agent in actors:
        space = agent.envs.single_action_space
        for deterministic in (True, False):
            action = agent.predict(np.zeros(2), deterministic)
            assert space.contains(action) and action.dtype == space.dtype


@pytest.mark.exhaustive
def test_several_observations_give_several_actions(actors):
    for agent in actors:
        space = agent.envs.single_action_space
        for deterministic in (True, False):
            actions = agent.predict(np.zeros((5, 2)), deterministic)
            assert actions.shape == (5, *space.shape) and all(space.contains(action) for action in actions)


@pytest.mark.exhaustive
def test_a_deterministic_action_is_the_mode(actors):
    for agent in actors:
        x = np.random.default_rng(0).normal(size=(7, 2)).astype("float32")
        expected = kg.decode_action(agent.envs.single_action_space, agent.policy(x).mode_action())
        np.testing.assert_allclose(agent.predict(x), expected, atol=1e-6)
        np.testing.assert_allclose(agent.predict(x[3]), expected[3], atol=1e-6)


@pytest.mark.exhaustive
def test_drawn_actions_differ(actors):
    for agent in actors:
        x = np.zeros((20, 2))
        assert np.any(agent.predict(x, deterministic=False) != agent.predict(x, deterministic=False))


@pytest.mark.parametrize("shape", [(), (3,), (5, 3), (1, 5, 2)], ids=str)
def test_observations_of_another_shape_are_refused(actors, shape):
    with pytest.raises(ValueError, match=r"`observations` must have shape \(2,\).* Received: "):
        actors[0].predict(np.zeros(shape))


def test_a_raw_observation_may_be_anything_like_an_array(actors):
    assert actors[0].predict([0.0, 1.0]) == actors[0].predict(np.array([0, 1]))


# Evaluation


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("episodes", [1, 7, 100, 150])
def test_as_many_episodes_are_played_as_asked_for(episodes):
    evaluation = small(lambda: Counter(2)).evaluate(episodes)
    assert evaluation.returns == (3.0,) * episodes and evaluation.lengths == (2,) * episodes


@eager
@pytest.mark.parametrize("episodes", [0, -1, 1.5, None], ids=repr)
def test_a_wrong_number_of_episodes_is_refused(episodes):
    with pytest.raises(ValueError, match="`episodes` must be an int >= 1. Received: episodes="):
        small().evaluate(episodes)


@eager
def test_the_same_seed_gives_the_same_episodes():
    agent = small()
    assert agent.evaluate(5, seed=1) == agent.evaluate(5, seed=1) != agent.evaluate(5, seed=20)


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize("deterministic", [True, False])
def test_an_evaluation_does_not_touch_the_training(deterministic):
    plain, evaluated = small(), small()
    for agent in (plain, evaluated):
        agent.learn(16)
    evaluated.evaluate(3, deterministic)
    for agent in (plain, evaluated):
        agent.learn(16)
    np.testing.assert_array_equal(weights(plain), weights(evaluated))


@pytest.mark.exhaustive
@eager
def test_a_stochastic_evaluation_draws_its_actions():
    agent = small(lambda: Bandit(Discrete(4)))
    returns = agent.evaluate(100, deterministic=False).returns
    assert 0.0 < np.mean(returns) < 1.0
    assert set(agent.evaluate(100).returns) in ({0.0}, {1.0})


@eager
def test_an_environment_is_given_by_its_id():
    gymnasium.register("kgdists/Noise-v0", Noise, max_episode_steps=5)
    try:
        assert max(small("kgdists/Noise-v0").evaluate(50, seed=0).lengths) == 5
    finally:
        del gymnasium.registry["kgdists/Noise-v0"]


@eager
@pytest.mark.exhaustive
@pytest.mark.parametrize("num_envs", [1, 3, 4, 5])
@pytest.mark.parametrize("cls", [PPO, kg.agents.A2C, kg.agents.REINFORCE])
def test_a_run_goes_on_with_another_number_of_environments(tmp_path, cls, num_envs):
    def several(num_envs):
        return SyncVectorEnv([Noise] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)

    config = {PPO: {"batch_size": 16, "n_steps": 8}, kg.agents.A2C: {"epoch_steps": 16}}.get(cls, {"episodes": 2})
    if cls is not kg.agents.REINFORCE:
        config |= {"normalize_rewards": True, "normalize_observations": True}
    agent = cls(several(2), hidden_units=(8,), seed=0, **config)
    agent.learn(16)
    agent.save(tmp_path)
    with pytest.warns(RunWarning, match=f"The run had 2 environments, this one has {num_envs}"):
        loaded = cls.load(tmp_path, several(num_envs))
    np.testing.assert_array_equal(loaded.predict(np.ones((5, 2))), agent.predict(np.ones((5, 2))))
    assert len(loaded.evaluate(3).returns) == 3 and loaded.steps == agent.steps
    loaded.learn(16)
    assert np.isfinite(weights(loaded)).all() and not np.array_equal(weights(loaded), weights(agent))


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize("at", [1, 3, 8, 9, 15, 16])
def test_the_step_after_an_error_starts_a_new_episode(at):
    class Faulty(Counter):
        calls = 0

        def step(self, action):
            self.calls += 1
            result = super().step(action)
            if self.calls == at:
                raise RuntimeError("the machine stumbled")
            return result

    agent = small(lambda: Faulty(1000), num_envs=1, n_steps=8, batch_size=8)
    seen, update = [], agent.update
    agent.update = lambda *rollout: (seen.append(rollout), update(*rollout))[1]
    for _ in range(3):
        try:
            agent.learn(8)
        except RuntimeError:
            continue
    for observations, _, rewards, following, *_ in seen:
        np.testing.assert_array_equal(following - observations, np.broadcast_to([0.0, 1.0], following.shape))
        np.testing.assert_array_equal(rewards, following[..., 1])
