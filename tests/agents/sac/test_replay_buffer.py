import numpy as np
import pytest
import tensorflow as tf

from kgdists import returns
from kgdists.agents import SAC
from kgdists.agents.sac.replay_buffer import ReplayBuffer

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
    return ReplayBuffer((np.zeros((1, 2), "float32"), np.zeros(1, "int32")), capacity, num_envs)


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
    replay, rng = ReplayBuffer((like, np.zeros((1, 2), "float32")), 6, 1), np.random.default_rng(0)
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


def chain(num_steps, num_envs, starts=None, episode=7):
    """Steps [T, N] of environments that count: each observes (count, environment), and is rewarded with 1."""
    starts = np.zeros(num_envs) if starts is None else np.asarray(starts, float)
    counts = starts + np.arange(num_steps)[:, None]
    at = np.stack([counts, np.broadcast_to(np.arange(num_envs), counts.shape)], axis=-1).astype("float32")
    ends = (counts + 1) % episode == 0
    return at, counts.astype("int32"), np.ones(counts.shape), at + np.float32([1, 0]), ends & False, ends


def check_windows(replay, n_steps):
    """Each window is of one environment, and moves by as many counts as it has rewards."""
    observations, _, rewards, following, *_, discounts = sample(replay, 2000, n_steps)
    steps = np.round(np.log(discounts) / np.log(GAMMA))
    np.testing.assert_array_equal(following[:, 1], observations[:, 1])
    np.testing.assert_array_equal(following[:, 0] - observations[:, 0], steps)
    np.testing.assert_allclose(rewards, (1 - GAMMA**steps) / (1 - GAMMA), rtol=1e-5)
    return steps


GAPS = [[5.0, 5.0], [6.0, 5.0], [5.0, 9.0], [105.0, 50.0], [0.0, 0.0], [4.0, 5.0]]


@pytest.mark.few(6)
@pytest.mark.parametrize("n_steps", [1, 3, 5])
@pytest.mark.parametrize("capacity", [100, 14])
@pytest.mark.parametrize("starts", GAPS, ids=str)
def test_no_window_goes_over_a_gap(starts, capacity, n_steps):
    replay = replay_of(capacity)
    replay.add(*chain(5, 2, episode=1000))
    more = chain(6, 2, starts, episode=1000)
    replay.cut(more[0][0])
    replay.add(*more)
    replay.cut(more[3][-1])
    steps = check_windows(replay, n_steps)
    assert steps.max() == n_steps


def test_without_a_gap_windows_go_on():
    replay = replay_of(100)
    replay.add(*chain(5, 2))
    before = replay.rows.numpy()
    replay.cut(chain(1, 2, [5.0, 5.0])[0][0])
    np.testing.assert_array_equal(replay.rows, before)


@pytest.mark.few(8)
@pytest.mark.parametrize("added", [0, 1, 3, 20, 33, 50])
@pytest.mark.parametrize("old, new", [(2, 1), (2, 4), (4, 2), (3, 5), (5, 3), (1, 8), (8, 1), (4, 1)])
def test_a_replay_of_other_environments_is_rearranged(old, new, added):
    source, replay = replay_of(40, old), replay_of(40, new)
    for t in range(0, added, 3):  # in pieces, so that the ring goes round
        piece = min(3, added - t, source.capacity)
        source.add(*chain(piece, old, np.full(old, t)))
    replay.restore(source.arrays(), old)
    total = source.size * old
    assert replay.size <= replay.capacity and 0 <= total - replay.size * new < max(old, new)
    assert replay.position == replay.size % replay.capacity
    if not replay.size:
        return
    kept, known = ({tuple(x) for x in each.rows.numpy()[: each.size * each.num_envs, :2]} for each in (replay, source))
    assert kept <= known and len(kept) == replay.size * new
    check_windows(replay, 4)
    replay.add(*chain(4, new, np.full(new, 1000)))
    check_windows(replay, 4)


@pytest.mark.exhaustive
def test_an_interrupt_before_steps_are_written_leaves_no_rows_that_were_never_there(eagerly, monkeypatch):
    agent = SAC("Pendulum-v1", num_envs=2, hidden_units=(4,), epoch_steps=16, learning_starts=8, batch_size=8, seed=0)

    def interrupt(*inputs, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(agent, "_compiled_turn", interrupt)
        with pytest.raises(KeyboardInterrupt):
            agent.learn(64)
    agent.learn(16)
    rows = agent.replay.rows.numpy()[: agent.replay.size * 2]
    assert rows.any(axis=1).all()
