import contextlib
import math

import gymnasium
import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from keras.optimizers.schedules import PolynomialDecay

import kgdists as kg
from kgdists import random
from kgdists.agents import SAC, SACConfig
from kgdists.agents.acting import RolloutActions
from kgdists.agents.sac.soft_values import ExactValues, RelaxedValues
from kgdists.core.backend import read
from kgdists.core.run_warning import RunWarning
from tests.agents.helpers import Bandit, Broken, Counter, Noise, Strict, Trap, weights
from tests.marks import exhaustive

eager = pytest.mark.usefixtures("eagerly")
BOX = Box(np.float32([-1.0, 0.0]), np.float32([3.0, 0.5]))


def small(env=Noise, **config):
    """An agent of one gradient step an update, and of 16 steps an epoch."""
    default = {"n_steps": 8, "epoch_steps": 16, "gradient_steps": 1, "batch_size": 16, "hidden_units": (8,), "seed": 0}
    return SAC(env, **default | {"learning_starts": 0, "buffer_size": 100} | config)


def box_noise():
    env = Noise()
    env.action_space = BOX
    return env


def collected(env, **config):
    """An agent with steps to replay, and nothing learned."""
    agent = small(env, **{"learning_starts": 10**6, "buffer_size": 10**4} | config)
    agent.learn(32)
    return agent


def with_sgd(agent, learning_rate=1.0):
    agent.optimizer = keras.optimizers.SGD(learning_rate)
    agent.optimizer.build(agent.variables)
    return agent


def batch_of(agent):
    """What the next gradient step replays, and the keys of its draws."""
    key = tf.constant([agent.seed, int(agent.optimizer.iterations)], "int64")
    for_batch, *keys = random.split(key, 3)
    replay, config = agent.replay, agent.config
    size, position = tf.constant(replay.size), tf.constant(replay.position)
    return replay.sample(for_batch, config.batch_size, size, position, config.n_step_returns, config.gamma), keys


def lower(critic, inputs):
    return tf.reduce_min(critic(inputs), axis=1)


def gradients_by_hand(agent):
    """Of the three losses as in the paper: formulas, for a box in its units and for choices one by one."""
    (x, actions, rewards, then, terminated, _, discounts), (for_target, for_policy) = batch_of(agent)
    alpha, target = math.exp(float(agent.log_alpha)), keras.models.clone_model(agent.critic)
    target.set_weights([v.numpy() for v in agent.target])
    is_box = isinstance(agent.envs.single_action_space, Box)
    center, half = [1.0, 0.25], [2.0, 0.25]
    with tf.GradientTape(persistent=True) as tape:
        pi, pi_then = agent.policy(x), agent.policy(then)
        if is_box:
            drawn, log_proba = pi.sample_and_log_proba(seed=for_policy)
            drawn_then, log_proba_then = pi_then.sample_and_log_proba(seed=for_target)
            log_proba, log_proba_then = (y + math.log(half[0] * half[1]) for y in (log_proba, log_proba_then))
            following = lower(target, [then, (drawn_then - center) / half])[:, 0] - alpha * log_proba_then
            taken = agent.critic([x, (actions - center) / half])[:, :, 0]
            policy_loss = tf.reduce_mean(alpha * log_proba - lower(agent.critic, [x, (drawn - center) / half])[:, 0])
            entropy = -log_proba
        else:
            p, p_then = tf.nn.softmax(pi.logits), tf.nn.softmax(pi_then.logits)
            following = tf.reduce_sum(p_then * (lower(target, then) - alpha * tf.math.log(p_then)), axis=-1)
            taken = tf.gather(agent.critic(x), actions, axis=2, batch_dims=1)
            policy_loss = tf.reduce_mean(tf.reduce_sum(p * (alpha * tf.math.log(p) - lower(agent.critic, x)), axis=-1))
            entropy = -tf.reduce_sum(p * tf.math.log(p), axis=-1)
        targets = tf.stop_gradient(rewards + tf.where(terminated, 0.0, discounts * following))
        critic_loss = 0.5 * tf.reduce_mean(tf.reduce_sum((taken - targets[:, None]) ** 2, axis=1))
    of_policy = tape.gradient(policy_loss, agent.policy.trainable_variables)
    of_critic = tape.gradient(critic_loss, agent.critic.trainable_variables)
    aim = -2.0 if is_box else 0.3 * math.log(2.0)
    return [*of_policy, *of_critic, tf.reduce_mean(entropy) - aim]


def clipped():
    """A policy whose draws at a bound have no gradient."""
    return kg.Policy(keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)]), kg.head_for(BOX, family="clipped"))


def flat(tensors):
    return np.concatenate([np.ravel(x) for x in tensors])


# A gradient step


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("env", [box_noise, Noise], ids=["Box", "Discrete"])
@pytest.mark.parametrize("n_step_returns", [1, 3])
def test_a_gradient_step_is_that_of_the_three_losses(env, n_step_returns):
    agent = with_sgd(collected(env, n_step_returns=n_step_returns, initial_ent_coef=0.3))
    for target in agent.target:
        target.assign(0.8 * target)
    expected, before = flat(gradients_by_hand(agent)), weights(agent)
    agent.update()
    got = before - weights(agent)
    assert np.abs(got).max() > 0.01
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.exhaustive
def test_xla_makes_the_same_update():
    agents = [collected(box_noise, jit_compile=jit_compile) for jit_compile in (False, True)]
    metrics = [agent.update(3) for agent in agents]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-4)
    np.testing.assert_allclose(weights(agents[0]), weights(agents[1]), atol=1e-5)


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize(
    ("end", "value"), [("terminated", 0.0), ("truncated", 0.5), ("both", 0.0)], ids=["terminated", "truncated", "both"]
)
def test_only_truncated_episodes_have_a_value_after_their_end(end, value):
    agent = with_sgd(collected(lambda: Counter(1, end), ent_coef=1e-9, gamma=0.5, batch_size=1, buffer_size=1))
    for variable in agent.critic.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    for target in agent.target:
        target.assign(tf.zeros_like(target) + float(target.shape == (2,)))  # the biases of the last layers
    agent.target[-1].assign([5.0, 5.0])  # the other critic has the lower values
    (_, _, rewards, *_), _ = batch_of(agent)
    loss = agent.update()["critic_loss"]
    np.testing.assert_allclose(loss, (float(rewards[0]) + value) ** 2, rtol=1e-5)


@pytest.mark.exhaustive
@eager
def test_target_critics_move_by_tau():
    agent = collected(box_noise, tau=0.25, learning_rate=0.1)
    before = flat(agent.target)
    agent.update()
    after = flat(agent.critic.trainable_variables)
    assert np.abs(after - before).max() > 0.05
    np.testing.assert_allclose(flat(agent.target), before + 0.25 * (after - before), atol=1e-6)


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize(("target_entropy", "sign"), [(-50.0, -1.0), (50.0, 1.0)])
def test_the_temperature_rises_while_the_entropy_is_below_its_target(target_entropy, sign):
    agent = collected(box_noise, target_entropy=target_entropy, learning_rate=0.01)
    agent.update(3)
    np.testing.assert_allclose(float(agent.log_alpha), sign * 0.03, atol=1e-3)


@pytest.mark.exhaustive
@eager
def test_a_given_temperature_stays():
    agent = collected(box_noise, ent_coef=0.2)
    assert not any(variable is agent.log_alpha for variable in agent.variables)
    assert agent.update(2)["ent_coef"] == pytest.approx(0.2)


@pytest.mark.few(1)
@pytest.mark.parametrize("gradient_steps", [0, -1, 1.5, "3", None])
def test_a_wrong_number_of_gradient_steps_is_refused(gradient_steps):
    with pytest.raises(ValueError, match=f"`gradient_steps` must be an int >= 1. Received: .*{gradient_steps}"):
        collected(box_noise).update(gradient_steps)


def test_an_update_without_steps_to_replay_is_refused():
    with pytest.raises(ValueError, match="needs steps to replay"):
        small().update()


def test_the_expectation_over_choices_is_that_of_draws():
    rng = np.random.default_rng(0)
    pi = kg.CategoricalDist(rng.normal(size=(1, 3)).astype("float32"), mask=[[True, True, False]])
    values = rng.normal(size=(1, 2, 3)).astype("float32")
    exact = ExactValues(3).soft_value(pi, lambda _: tf.constant(values), None, 0.7, None)
    labels = pi.sample((200_000,), seed=1).numpy()[:, 0].argmax(axis=-1)
    sampled = values.min(axis=1)[0, labels] - 0.7 * pi.log_probs.numpy()[0, labels]
    np.testing.assert_allclose(exact[0], sampled.mean(), atol=5 * sampled.std() / 200_000**0.5)


@pytest.mark.exhaustive
@eager
def test_the_learning_rate_follows_its_schedule():
    agent = collected(Noise, learning_rate=PolynomialDecay(0.1, 2, 0.0))
    before = weights(agent)
    agent.update(2)
    between = weights(agent)
    agent.update(2)
    assert np.abs(between - before).max() > 0.01
    np.testing.assert_array_equal(weights(agent), between)


@pytest.mark.exhaustive
def test_several_gradient_steps_in_one_call_are_those_of_other_calls():
    agent = collected(box_noise, n_step_returns=2)
    models, arrays = [agent.policy.get_weights(), agent.critic.get_weights()], agent.arrays()

    def after(*calls):
        agent.policy.set_weights(models[0])
        agent.critic.set_weights(models[1])
        agent.restore(arrays)
        for gradient_steps in calls:
            agent.update(gradient_steps)
        return np.concatenate([weights(agent), flat(agent.target), flat(agent.optimizer.variables)])

    np.testing.assert_array_equal(after(6), after(2, 4))
    np.testing.assert_array_equal(after(1, 1, 1), after(1, 1, 1))
    # A single step is another program, of the same numbers but for their rounding.
    np.testing.assert_allclose(after(1, 1, 1), after(3), rtol=1e-5, atol=1e-7)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("env", "config"), [("Pendulum-v1", {"n_steps": 1}), ("CartPole-v1", {"gradient_steps": 3, "jit_compile": True})]
)
def test_an_epoch_is_acting_keeping_and_improving_in_turn(env, config):
    agent, by_hand = (small(env, **config) for _ in range(2))
    agent.learn(16)
    n_steps = agent.config.n_steps
    for first in range(0, 16, n_steps):
        keys = by_hand._keys(np.arange(first, first + n_steps))
        by_hand.replay.add(*by_hand.rollouts.collect(RolloutActions(by_hand._act, keys)))
        by_hand.update(agent.config.gradient_steps)
    np.testing.assert_allclose(agent.replay.rows, by_hand.replay.rows, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weights(agent), weights(by_hand), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "config",
    [
        {"n_steps": 1},
        *exhaustive({"n_steps": 4, "gradient_steps": 3}, {"n_steps": 2, "optimizer": "lion", "activation": "gelu"}),
    ],
)
def test_with_overlap_a_rollout_is_acted_by_weights_that_are_one_update_old(config):
    agent, by_hand = (small("Pendulum-v1", overlap=True, **config) for _ in range(2))
    agent.learn(16)
    n_steps, kept, placed = agent.config.n_steps, None, False
    for first in range(0, 16, n_steps):
        keys = by_hand._keys(np.arange(first, first + n_steps))
        kept = kept or list(map(read, by_hand.policy.variables))
        experience = by_hand.rollouts.collect(RolloutActions(by_hand._act, keys, weights=kept))
        if placed:
            by_hand.update(agent._gradient_steps)
        kept = list(map(read, by_hand.policy.variables))
        by_hand.replay.add(*experience)
        placed = by_hand.replay.size >= agent.config.learning_starts
    by_hand.update(agent._gradient_steps)
    assert agent.optimizer.iterations == by_hand.optimizer.iterations > 2
    np.testing.assert_allclose(agent.replay.rows, by_hand.replay.rows, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weights(agent), weights(by_hand), rtol=1e-5, atol=1e-6)


def test_an_error_of_the_environment_waits_for_what_is_being_learned():
    class Breaking(gymnasium.Wrapper):
        def step(self, action):
            self.count = getattr(self, "count", 0) + 1
            if self.count == 20:
                raise RuntimeError("broken")
            return self.env.step(action)

    agent = small(lambda: Breaking(gymnasium.make("Pendulum-v1")), overlap=True, n_steps=1, learning_starts=10)
    with pytest.raises(RuntimeError, match="broken"):
        agent.learn(64)
    assert agent.replay.size == 19
    assert agent.optimizer.iterations == 10  # by the 10th to the 19th step
    rows = np.asarray(agent.replay.rows)
    assert rows[18].any() and not rows[19:].any()


# Learning


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("space", "config", "best"),
    [
        (Box(-1.0, 1.0, (2,)), {}, -0.02),
        (Discrete(4, start=3), {"target_entropy": 0.1}, 0.99),
        (Discrete(4), {"target_entropy": 0.1, "discrete": "relaxed"}, 0.99),
    ],
    ids=["Box", "Discrete", "relaxed Discrete"],
)
def test_bandits_are_learned(space, config, best):
    config = {"learning_rate": 0.01, "hidden_units": (16,), "n_steps": 50, "gradient_steps": 50, "seed": 0} | config
    agent = SAC(lambda: Bandit(space), batch_size=64, buffer_size=1000, epoch_steps=500, **config)
    history = agent.learn(1000).history
    assert agent.evaluate(10).mean >= best
    aim = -2.0 if isinstance(space, Box) else 0.1
    assert abs(history["entropy"][-1] - aim) < 0.5


@pytest.mark.exhaustive
@eager
def test_masks_are_kept():
    env = Trap()
    agent = small(lambda: env)
    agent.learn(32)
    assert env.wrong == 0 and np.isfinite(weights(agent)).all()


@pytest.mark.exhaustive
@eager
def test_nothing_is_learned_before_the_start():
    agent = small(learning_starts=33, normalize_observations=True)
    before = weights(agent)
    history = agent.learn(32)
    assert history.history["steps"] == [16, 32] and np.isnan(history.history["critic_loss"]).all()
    np.testing.assert_array_equal(weights(agent), before)
    assert np.isfinite(agent.learn(16).history["critic_loss"]).all()
    assert int(agent.optimizer.iterations) == 2
    assert all(layer.count == 48.0 for layer in agent.normalizations) and len(agent.normalizations) == 2


@pytest.mark.exhaustive
@eager
def test_noise_is_held_for_some_steps():
    env = Counter(100, action_space=Box(-1.0, 1.0, (1,)))
    small(lambda: env, learning_starts=100, noise_repeat=4).learn(16)
    actions = np.ravel(env.actions).reshape(4, 4)
    assert np.ptp(actions, axis=1).max() < 0.2 < np.ptp(actions[:, 0])


@pytest.mark.exhaustive
@eager
def test_a_loss_that_is_not_finite_ends_the_training():
    with pytest.raises(FloatingPointError, match="critic_loss"):
        small(lambda: Broken(20)).learn(48)


# Files


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize("save_replay", [True, False])
def test_a_saved_agent_goes_on_as_it_was(tmp_path, save_replay):
    agent = small(save_replay=save_replay, env=box_noise, tau=0.1)
    agent.learn(32)
    agent.save(tmp_path)
    with contextlib.nullcontext() if save_replay else pytest.warns(RunWarning, match="replay was not saved"):
        twin = SAC.load(tmp_path, box_noise)
    assert (twin.replay.size == agent.replay.size) == save_replay
    for x, y in ((weights(agent), weights(twin)), (flat(agent.target), flat(twin.target))):
        np.testing.assert_array_equal(x, y)
    if save_replay:
        agent.learn(16)
        twin.learn(16)
        np.testing.assert_array_equal(weights(agent), weights(twin))


# Arguments


@eager
@pytest.mark.parametrize(
    ("env", "config", "match"),
    [
        (lambda: Counter(action_space=MultiBinary(2)), {}, "Box of floats or a Discrete"),
        (lambda: Counter(action_space=Box(0, 9, (1,), "int32")), {}, "Box of floats or a Discrete"),
        (box_noise, {"policy": clipped()}, "reparameterised"),
        (
            Noise,
            {"critic": keras.Sequential([keras.Input((2,)), keras.layers.Dense(6), keras.layers.Reshape((3, 2))])},
            "`critic` must return",
        ),
    ],
)
def test_what_cannot_be_learned_is_refused(env, config, match):
    with pytest.raises(ValueError, match=match):
        small(env, **config)


@pytest.mark.parametrize(
    "config",
    [
        {"tau": 0.0},
        {"batch_size": 0},
        {"gradient_steps": 0},
        {"learning_starts": -1},
        {"ent_coef": -1.0},
        {"target_entropy": math.nan},
        {"discrete": "soft"},
        {"box_family": "beta"},
        {"learning_rate": 0.0},
        {"n_step_returns": True},
    ],
    ids=str,
)
def test_wrong_settings_are_refused(config):
    with pytest.raises(ValueError, match=f"`{next(iter(config))}` must be.*Received"):
        SACConfig(**config)


ALLOWED = [(50, 2, None), (50, 1, None), (50, 50, None), (4, 3, None), (1000, 2, None), (50, 2, 3.0), (50, 2, 0.69)]
ALLOWED += [(50, 2, 0.1), (50, 1, 1.0), (2, 2, 0.6), (50, 7, 1.9), (1, 1, None)]


@pytest.mark.parametrize("kind", [ExactValues, RelaxedValues])
@pytest.mark.parametrize("choices, allowed, wanted", ALLOWED)
def test_the_entropy_aimed_at_is_one_that_the_allowed_choices_have(kind, choices, allowed, wanted):
    mask = np.zeros((6, choices), bool)
    mask[:, :allowed] = True
    observations = {"observation": np.zeros((6, 2), "float32"), "action_mask": tf.constant(mask)}
    target = float(kind(choices).target_entropy(observations, wanted))
    highest = math.log(allowed)
    assert target < highest or highest == target == 0.0
    assert target == pytest.approx(0.3 * highest if wanted is None else min(wanted, 0.98 * highest))
    if allowed == choices:
        assert target == pytest.approx(kind(choices).target_entropy(np.zeros((6, 2)), wanted))


class Few(Noise):
    """Observes which 2 of 50 choices are allowed."""

    action_space = Discrete(50)
    observation_space = Dict(observation=Noise.observation_space, action_mask=Box(0, 1, (50,), "int8"))

    def _observation(self):
        mask = np.zeros(50, "int8")
        mask[self.np_random.choice(50, 2, replace=False)] = 1
        return {"observation": super()._observation(), "action_mask": mask}


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize("discrete", ["exact", *exhaustive("relaxed")])
def test_the_temperature_of_masked_choices_does_not_run_away(discrete):
    agent = small(Few, discrete=discrete, learning_rate=0.05, epoch_steps=64, n_steps=2)
    history = agent.learn(128).history
    assert history["ent_coef"][-1] < 0.7 and history["critic_loss"][-1] < 100.0


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize("discrete", ["exact", *exhaustive("relaxed")])
def test_a_rate_far_too_high_ends_as_diverged(discrete):
    with pytest.raises(FloatingPointError, match="Training diverged after 0 steps: .* not finite"):
        small(Strict, discrete=discrete, learning_rate=1e30, epoch_steps=64).learn(64)


class Far(Noise):
    """Observes numbers of 10^15."""

    def _observation(self):
        return 1e15 * super()._observation()


@pytest.mark.exhaustive
@eager
def test_observations_far_too_large_are_named_where_training_diverges():
    with pytest.raises(
        FloatingPointError, match="diverged .* Observations are as large as .*e.1[45]: standardize them"
    ):
        small(Far, activation="relu").learn(64)
    small(Far, normalize_observations=True).learn(32)


class Faulty(Counter):
    """A counter whose episodes do not end, and that fails at given steps, after it has counted."""

    def __init__(self, *at):
        super().__init__(10_000)
        self.at, self.calls = at, 0

    def step(self, action):
        self.calls += 1
        result = super().step(action)
        if self.calls in self.at:
            raise RuntimeError("the machine stumbled")
        return result


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize(
    "at", [(19,), (17,), (20, 26), (24,), (25, 26, 27), (32,), (1,), (33, 41), (18,), (23, 47)], ids=str
)
@pytest.mark.parametrize("n_steps", [2, *exhaustive(1, 8)])
def test_every_replayed_transition_is_one_step_whatever_failed(at, n_steps):
    agent = small(lambda: Faulty(*at), n_step_returns=5, n_steps=n_steps, learning_starts=1000)
    for _ in range(6):
        with contextlib.suppress(RuntimeError):
            agent.learn(16)
    sampled = agent.replay.sample(
        tf.constant([0, 0]), 500, *map(tf.constant, (agent.replay.size, agent.replay.position)), 5, 1.0
    )
    observations, _, rewards, following, *_ = (x.numpy() for x in sampled)
    steps = following[:, 1] - observations[:, 1]
    np.testing.assert_array_equal(following[:, 0], observations[:, 0])  # of one episode
    assert set(steps) <= {1.0, 2.0, 3.0, 4.0, 5.0} and 5.0 in steps
    first = observations[:, 1]
    np.testing.assert_allclose(rewards, steps * first + steps * (steps + 1) / 2)


def several(num_envs):
    return SyncVectorEnv([box_noise] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


@eager
@pytest.mark.exhaustive
@pytest.mark.parametrize("num_envs", [1, 3, 4, 7])
def test_a_run_goes_on_with_another_number_of_environments(tmp_path, num_envs):
    agent = small(several(2), n_step_returns=3)
    agent.learn(64)
    agent.save(tmp_path)
    with pytest.warns(RunWarning, match=f"The run had 2 environments, this one has {num_envs}"):
        loaded = SAC.load(tmp_path, several(num_envs))
    assert loaded.replay.size == agent.replay.size * 2 // num_envs
    assert np.abs(loaded.replay.rows[: loaded.replay.size * num_envs]).sum(axis=1).min() > 0.0
    np.testing.assert_array_equal(loaded.predict(np.ones((5, 2))), agent.predict(np.ones((5, 2))))
    assert len(loaded.evaluate(3).returns) == 3
    loaded.learn(32)
    assert np.isfinite(weights(loaded)).all()
