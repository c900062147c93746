"""Classic control: the dynamics are Gymnasium's."""

import gymnasium
import numpy as np
import pytest
from keras import ops

import kgdists as kg
from kgdists.envs.functional.acrobot import Acrobot
from kgdists.envs.functional.cart_pole import CartPole
from kgdists.envs.functional.mountain_car import MountainCar, MountainCarContinuous
from kgdists.envs.functional.pendulum import Pendulum

ENVS = [CartPole, Acrobot, MountainCar, MountainCarContinuous, Pendulum]
each_env = pytest.mark.parametrize("make", ENVS)


def steered(name, state, action, rng):
    """Actions that reach states which random ones do not: uphill, upright, upswung."""
    if rng.uniform() < 0.3:
        return action
    if name == "CartPole-v1":
        return int(state[2] + 0.5 * state[3] > 0.0)
    if name == "MountainCar-v0":
        return 2 if state[1] > 0.0 else 0
    if name == "MountainCarContinuous-v0":
        return np.array([1.0 if state[1] > 0.0 else -1.0], "float32")
    if name == "Acrobot-v1":
        return 2 if state[2] > 0.0 else 0
    return np.array([2.0 if state[1] > 0.0 else -2.0], "float32")


def visited(name, steps, seed=0):
    """States that Gymnasium visits, actions there, and what came of them: arrays [T, ...]."""
    env, rng = gymnasium.make(name), np.random.default_rng(seed)
    env.action_space.seed(seed)
    env.reset(seed=seed)
    rows = []
    for _ in range(steps):
        before = np.array(env.unwrapped.state, "float64")
        action = steered(name, before, env.action_space.sample(), rng)
        observation, reward, terminated, truncated, _ = env.step(action)
        rows.append((before, action, np.array(env.unwrapped.state, "float64"), observation, reward, terminated))
        if terminated or truncated:
            env.reset()
    return [np.array(column) for column in zip(*rows, strict=True)]


def check_steps(make, steps):
    before, actions, after, observations, rewards, ends = visited(make.id, steps)
    env = make()
    state = before.astype("float32")
    reached = env.transition(state, actions, kg.random.key(0))
    # Relative to the largest number of a state, which float32 rounds; what is close to a bound may pass it.
    scale = np.maximum(np.abs(before).max(axis=1), 1.0)
    assert np.max(np.abs(reached - after).max(axis=1) / scale) <= 1e-6
    assert np.max(np.abs(env.observation(reached) - observations).max(axis=1) / scale) <= 1e-6
    assert np.max(np.abs(env.reward(state, actions, reached) - rewards) / np.maximum(np.abs(rewards), scale)) <= 4e-6
    exact = make(dtype="float64")
    reached = exact.transition(before, actions, kg.random.key(0))
    np.testing.assert_allclose(reached, after, rtol=0.0, atol=1e-7 if make is MountainCarContinuous else 1e-13)
    np.testing.assert_array_equal(exact.terminal(ops.convert_to_tensor(after)), ends)
    assert np.mean(ops.convert_to_numpy(env.terminal(after.astype("float32"))) == ends) >= 1.0 - 1e-6


@each_env
def test_a_step_is_gymnasiums(make):
    check_steps(make, 1_000)


@pytest.mark.exhaustive
@each_env
def test_a_step_is_gymnasiums_from_a_million_states(make):
    check_steps(make, 1_000_000)


def free_run(make, episodes):
    """Play episodes in Gymnasium, and from their first states in float64; a step's difference, and lengths of both."""
    env, rng = gymnasium.make(make.id), np.random.default_rng(1)
    env.action_space.seed(1)
    starts, actions, observations, lengths = [], [], [], []
    for episode in range(episodes):
        env.reset(seed=episode)
        env.unwrapped.state = np.asarray(env.unwrapped.state, "float32").astype("float64")
        if make is MountainCarContinuous:  # whose states are float32 from the first step on
            env.unwrapped.state = env.unwrapped.state.astype("float32")
        starts.append(np.array(env.unwrapped.state, "float64"))
        row = []
        while True:
            action = steered(make.id, env.unwrapped.state, env.action_space.sample(), rng)
            observation, _, terminated, truncated, _ = env.step(action)
            row.append((action, observation))
            if terminated or truncated:
                break
        lengths.append(len(row))
        actions.append([x for x, _ in row])
        observations.append([y for _, y in row])
    exact = make(dtype="float64")
    state = ops.convert_to_tensor(np.array(starts))
    own_lengths, largest = np.zeros(episodes, int), 0.0
    for t in range(max(lengths)):
        going = np.array([t < n for n in lengths])
        action = np.array([actions[i][min(t, lengths[i] - 1)] for i in range(episodes)])
        state = exact.transition(state, action, kg.random.key(0))
        ends = ops.convert_to_numpy(exact.terminal(state)) | (t + 1 >= exact.max_episode_steps)
        own_lengths[(own_lengths == 0) & ends] = t + 1
        own = ops.convert_to_numpy(exact.observation(state))
        for i in np.flatnonzero(going):
            largest = max(largest, np.abs(own[i] - observations[i][t]).max())
    return largest, own_lengths.tolist(), lengths


@pytest.mark.few(1)
@each_env
def test_an_episode_is_gymnasiums(make):
    largest, own, lengths = free_run(make, 3)
    assert own == lengths
    assert largest <= 1e-6


@pytest.mark.exhaustive
@each_env
def test_a_hundred_episodes_are_gymnasiums(make):
    largest, own, lengths = free_run(make, 100)
    assert own == lengths and largest <= 1e-6


@each_env
def test_spaces_and_limits_are_gymnasiums(make):
    env, own = gymnasium.make(make.id), make()
    assert own.observation_space == env.observation_space and own.action_space == env.action_space
    assert own.max_episode_steps == env.spec.max_episode_steps
    assert type(kg.envs.compiled(make.id)) is make


@pytest.mark.few(1)
@each_env
def test_episodes_start_where_gymnasiums_start(make):
    env, num = gymnasium.make(make.id), 4_000
    own = ops.convert_to_numpy(make().initial(num, kg.random.key(0)))
    starts = []
    for seed in range(400):
        env.reset(seed=seed)
        starts.append(env.unwrapped.state)
    starts = np.array(starts, "float64")
    for x, y in zip(own.T, starts.T, strict=True):
        half_width = np.abs(y - y.mean()).max()
        assert np.abs(x - y.mean()).max() <= 1.1 * half_width + 1e-7
        assert abs(x.mean() - y.mean()) <= 5 * half_width * np.sqrt(1 / 3 / 400) + 1e-7
        np.testing.assert_allclose(x.std(), y.std(), rtol=0.15, atol=1e-7)


@pytest.mark.few(1)
@each_env
def test_gymnasium_draws_them(make):
    env = kg.envs.CompiledGymEnv(make(), render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    for _ in range(9):
        env.step(env.action_space.sample() if isinstance(env.action_space, gymnasium.spaces.Box) else 0)
    assert first.ndim == 3 and first.dtype == "uint8" and (first != env.render()).any()
