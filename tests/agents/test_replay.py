import numpy as np
import pytest
import tensorflow as tf

from kgdists import returns
from kgdists.agents.replay import Replay

GAMMA = 0.9


def experience(num_steps, num_envs=2, seed=0, start=0, end=0.3):
    """Steps [T, N] whose observation is (step, environment), with episodes that end in every way."""
    rng, shape = np.random.default_rng(seed), (num_steps, num_envs)
    at = np.stack(np.meshgrid(np.arange(num_steps) + start, np.arange(num_envs), indexing="ij"), axis=-1)
    return (
        at.astype("float32"),
        rng.integers(5, size=shape).astype("int32"),
        rng.normal(size=shape),
        (at + 0.5).astype("float32"),
        rng.random(shape) < end,
        rng.random(shape) < end,
    )


def replay_of(capacity, num_envs=2):
    return Replay((np.zeros((1, 2), "float32"), np.zeros(1, "int32")), capacity, num_envs)


def sample(replay, batch_size=500, n_steps=1, seed=0):
    batch = replay.sample(
        tf.constant([seed, 0]), batch_size, tf.constant(replay.size), tf.constant(replay.position), n_steps, GAMMA
    )
    return [x.numpy() for x in batch]


def test_what_was_added_comes_back_as_it_was():
    replay, added = replay_of(100), experience(7)
    replay.add(*added)
    batch = sample(replay)
    steps, envs = batch[0].astype(int).T
    assert set(zip(steps, envs, strict=True)) == {(t, i) for t in range(7) for i in range(2)}
    for x, y in zip(added, batch, strict=False):
        assert y.dtype == (np.float32 if x.dtype == np.float64 else x.dtype)
        np.testing.assert_array_equal(y, x[steps, envs].astype(y.dtype))
    np.testing.assert_array_equal(batch[-1], np.float32(GAMMA))


def test_the_oldest_steps_make_room_and_the_memory_stays():
    replay = replay_of(10)
    shape, start = replay.rows.shape, 0
    for num_steps in (3, 4, 1, 2, 13, 2):
        replay.add(*experience(num_steps, start=start))
        start += num_steps
        kept = {int(t) for t in sample(replay)[0][:, 0]}
        assert kept == set(range(max(0, start - 5), start))
        assert replay.size == len(kept) and replay.rows.shape == shape


def test_steps_are_drawn_uniformly():
    replay = replay_of(10)
    replay.add(*experience(5))
    counts = np.unique(sample(replay, 20_000)[0], axis=0, return_counts=True)[1]
    np.testing.assert_allclose(counts, 2_000, atol=200)


@pytest.mark.parametrize("n_steps", [1, 2, 5])
@pytest.mark.parametrize("capacity", [100, 18], ids=["partly filled", "overwritten"])
def test_windows_end_with_the_episode_or_at_the_latest_step(n_steps, capacity):
    replay, added = replay_of(capacity), experience(12, end=0.15)
    for part in range(0, 12, 3):
        replay.add(*(x[part : part + 3] for x in added))
    observations, _, rewards, next_observations, terminated, _, discounts = sample(replay, n_steps=n_steps)
    first = 12 - replay.size
    values = np.random.default_rng(1).normal(size=(12, 2)).astype("float32")  # by the step before
    sequence = [x[first:] for x in (added[2].astype("float32"), values, added[4], added[5])]
    expected = returns.n_step(*sequence, GAMMA, n_steps).numpy()
    steps, envs = observations.astype(int).T
    last = next_observations.astype(int)[:, 0]
    got = rewards + np.where(terminated, 0.0, discounts * values[last, envs])
    np.testing.assert_allclose(got, expected[steps - first, envs], atol=1e-5)
    np.testing.assert_array_equal(terminated, added[4][last, envs])


def test_windows_end_where_what_follows_was_cut_off():
    replay, added = replay_of(12), experience(8, end=0.0)
    replay.cut()  # nothing to cut off
    replay.add(*(x[:5] for x in added))
    replay.cut()
    replay.add(*(x[5:] for x in added))
    observations, _, _, next_observations, terminated, truncated, _ = sample(replay, n_steps=3)
    last = np.where(observations[:, 0] < 5, 4, 7)
    np.testing.assert_array_equal(next_observations[:, 0], np.minimum(observations[:, 0] + 2, last) + 0.5)
    np.testing.assert_array_equal(truncated, next_observations[:, 0] == 4.5)
    assert not terminated.any()


def test_only_the_filled_part_is_saved_and_goes_on_from_there():
    replay, twin = replay_of(10), replay_of(10)
    replay.add(*experience(4))
    arrays = replay.arrays()
    assert len(arrays["rows"]) == 8
    twin.restore(arrays)
    for x in (replay, twin):
        x.add(*experience(3, start=4))
    assert replay.position == twin.position == 2
    for x, y in zip(sample(replay), sample(twin), strict=True):
        np.testing.assert_array_equal(x, y)


def test_nested_observations_and_vectors_of_actions():
    like = {"observation": np.zeros((1, 2, 3), "float32"), "action_mask": np.zeros((1, 4), bool)}
    replay, rng = Replay((like, np.zeros((1, 2), "float32")), 6, 1), np.random.default_rng(0)
    observations = {"observation": rng.normal(size=(3, 1, 2, 3)), "action_mask": rng.random((3, 1, 4)) < 0.5}
    actions, number, flag = rng.normal(size=(3, 1, 2)), np.arange(3.0)[:, None], np.zeros((3, 1), bool)
    replay.add(observations, actions, number, observations, flag, flag)
    got, got_actions, got_number, *_ = replay.sample(tf.constant([0, 0]), 9, tf.constant(3), tf.constant(3), 1, GAMMA)
    at = got_number.numpy().astype(int)
    np.testing.assert_array_equal(got["observation"], observations["observation"][at, 0].astype("float32"))
    np.testing.assert_array_equal(got["action_mask"], observations["action_mask"][at, 0])
    np.testing.assert_array_equal(got_actions, actions[at, 0].astype("float32"))


def test_batches_are_a_function_of_the_key():
    replay = replay_of(10)
    replay.add(*experience(5))
    np.testing.assert_array_equal(sample(replay)[0], sample(replay)[0])
    assert (sample(replay)[0] != sample(replay, seed=1)[0]).any()
