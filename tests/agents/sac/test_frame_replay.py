"""Replays against a list of all that happened, under random episodes, gaps, sizes and numbers of environments."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from keras import tree

from kgdists.agents.sac import frames as frames_module
from kgdists.agents.sac.frame_replay import FrameReplay
from kgdists.agents.sac.replay_buffer import ReplayBuffer
from tests.marks import exhaustive

GAMMA = 0.9


def seen(numbers):
    """Frames of several dtypes, nested, that tell their numbers [...] apart."""
    numbers = np.asarray(numbers, "int64")
    image = (numbers[..., None, None] // np.array([[1, 7, 49], [2, 5, 11]]) % 251).astype("uint8")
    return {"image": image, "more": (numbers + 2**40, (numbers % 3 == 0)[..., None])}


def known(numbers):
    """Vectors of floats, as `ReplayBuffer` holds them."""
    return np.stack([numbers, -np.asarray(numbers)], axis=-1).astype("float32")


KINDS = {"frames": (FrameReplay, seen), "rows": (ReplayBuffer, known)}


def replay_of(kind, capacity, num_envs):
    replay, look = KINDS[kind]
    return replay((look([0]), np.zeros(1, "int32")), capacity, num_envs)


class World:
    """Environments whose every observation has a new number, and a list of all their steps, numbered as well."""

    def __init__(self, num_envs, seed, terminates=0.1, truncates=0.1):
        self.rng, self.num_envs, self.rates = np.random.default_rng(seed), num_envs, (terminates, truncates)
        self.count, self.steps = 0, []  # of each time a list of the steps of all environments
        self.now = self.new(np.ones(num_envs, bool))

    def new(self, which):
        numbers = np.full(self.num_envs, -1)
        numbers[which] = self.count + np.arange(np.count_nonzero(which))
        self.count += np.count_nonzero(which)
        return numbers

    def play(self, num_steps):
        """Numbers of observations [T, N], actions, rewards, numbers of the next observations, and both flags."""
        rows = []
        for _ in range(num_steps):
            then = self.new(np.ones(self.num_envs, bool))
            ends = [self.rng.random(self.num_envs) < rate for rate in self.rates]
            actions = len(self.steps) * self.num_envs + np.arange(self.num_envs)
            row = self.now, actions.astype("int32"), self.rng.normal(size=self.num_envs), then, *ends
            rows.append(row)
            self.steps.append([Step(*(x[i] for x in row)) for i in range(self.num_envs)])
            ended = ends[0] | ends[1]
            self.now = np.where(ended, self.new(ended), then)
        return tuple(map(np.stack, zip(*rows, strict=True)))

    def move_on(self, which):
        """Observe something else in some environments before their episodes end: a gap, which counts as an end."""
        self.now = np.where(which, self.new(which), self.now)
        self.end(which)

    def end(self, which):
        for i in np.flatnonzero(which) if self.steps else ():
            self.steps[-1][i].truncated = True

    def window(self, step, n_steps):
        """The first step, the sum of the rewards, the last step and the discount of a window."""
        t, i = divmod(step, self.num_envs)
        reward, discount, last = np.float32(0.0), np.float32(1.0), None
        for row in self.steps[t : t + n_steps]:
            last = row[i]
            reward, discount = reward + discount * np.float32(last.reward), discount * np.float32(GAMMA)
            if last.terminated or last.truncated:
                break
        return self.steps[t][i], reward, last, discount


@dataclasses.dataclass
class Step:
    observation: int
    action: int
    reward: float
    following: int
    terminated: bool
    truncated: bool


def draw(replay, n_steps, batch_size=400, seed=0):
    size, position = tf.constant(replay.size), tf.constant(replay.position)
    batch = replay.sample(tf.constant([seed, 0]), batch_size, size, position, n_steps, GAMMA)
    return tree.map_structure(lambda x: x.numpy(), batch)


def add(replay, world, num_steps, look):
    observations, actions, rewards, following, *ends = world.play(num_steps)
    replay.add(look(observations), actions, rewards, look(following), *ends)


def check(replay, world, n_steps, look):
    """All that is replayed is as it happened, and it is the latest steps."""
    observations, actions, rewards, following, terminated, truncated, discounts = draw(replay, n_steps)
    latest = len(world.steps) * world.num_envs
    assert set(actions.tolist()) <= set(range(latest - replay.size * world.num_envs, latest))
    if replay.size * world.num_envs < 40:
        assert len(set(actions.tolist())) == replay.size * world.num_envs
    firsts, sums, lasts, factors = zip(*(world.window(step, n_steps) for step in actions.tolist()), strict=True)
    assert_equal(observations, look([x.observation for x in firsts]))
    np.testing.assert_allclose(rewards, sums, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(discounts, factors, rtol=1e-6)
    np.testing.assert_array_equal(terminated, [x.terminated for x in lasts])
    goes_on = ~terminated  # what follows the others is worth 0
    np.testing.assert_array_equal(truncated[goes_on], np.array([x.truncated for x in lasts])[goes_on])
    expected = look([x.following for x in lasts])
    assert_equal(*(tree.map_structure(lambda x: x[goes_on], x) for x in (following, expected)))


def assert_equal(got, expected):
    for x, y in zip(tree.flatten(got), tree.flatten(expected), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def least_size(world, capacity):
    """The steps that must be there: all, or half of them where every episode is truncated."""
    steps = [step for row in world.steps[-capacity:] for step in row]
    few = sum(x.truncated and not x.terminated for x in steps) <= max(world.num_envs, len(steps) // 16)
    return min(len(world.steps), capacity if few else capacity // 2)


@pytest.mark.few(3)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_envs", [1, 2, 5])
@pytest.mark.parametrize("capacity", [1, 7, 40])
@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("rates", [(0.1, 0.1), (0.0, 0.0), (0.0, 0.9), (0.3, 0.02)], ids=str)
def test_what_is_replayed_is_what_happened(kind, num_envs, capacity, n_steps, rates):
    world, replay = World(num_envs, 0, *rates), replay_of(kind, capacity * num_envs, num_envs)
    rng, look = np.random.default_rng(0), KINDS[kind][1]
    for _ in range(12):
        add(replay, world, rng.choice([1, 1, 2, 3, 8, 40]), look)
        what = rng.choice(["nothing", "gap", "end", "look"])
        if what == "gap":
            world.move_on(rng.random(num_envs) < 0.5)
            replay.cut(look(world.now))
        elif what == "end":
            replay.cut()
            world.end(np.ones(num_envs, bool))
            if rng.random() < 0.5:
                world.now = world.new(np.ones(num_envs, bool))
        elif what == "look":
            replay.cut(look(world.now))
        assert least_size(world, capacity) <= replay.size <= capacity
        check(replay, world, n_steps, look)
        if rng.random() < 0.3:
            arrays = {name: np.asarray(x) for name, x in replay.arrays().items()}
            twin, replay = replay, replay_of(kind, capacity * num_envs, num_envs)
            replay.restore(arrays)
            for x, y in zip(draw(twin, n_steps), draw(replay, n_steps), strict=True):
                assert_equal(x, y)


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("old, new", [(2, 1), (2, 4), (3, 5), (5, 3), (1, 8), (8, 1), (2, 2)])
@pytest.mark.parametrize("num_steps", [0, 1, 4, 19, 60])
def test_a_replay_of_other_environments_or_an_older_version_is_taken_over(kind, old, new, num_steps, monkeypatch):
    monkeypatch.setattr(frames_module, "PIECE", 50)
    look = {"frames": seen, "rows": as_before}[kind]
    example = look([0]), np.zeros(1, "int32")
    world, source, replay = World(old, 0), KINDS[kind][0](example, 40, old), FrameReplay(example, 40, new)
    for _ in range(num_steps):
        add(source, world, 1, look)
    replay.restore(source.arrays(), old)
    total = source.size * old
    assert 0 <= total - replay.size * new < max(old, new) + 5  # for final frames there may be no room
    if not replay.size:
        return
    for n_steps in (1, 3):
        check_parts(replay, world, n_steps, look)
    other = World(new, 1)
    other.count = world.count
    add(replay, other, 3, look)
    assert min(total // new + 3, replay.capacity) // 2 <= replay.size <= replay.capacity


def as_before(numbers):
    """Frames whose values float32 holds, as rows of older versions had them."""
    frames = seen(numbers)
    return frames | {"more": (np.asarray(numbers, "int64"), frames["more"][1])}


def check_parts(replay, world, n_steps, look):
    """All that is replayed is as it happened; windows may end where the steps of an environment were divided."""
    observations, actions, rewards, following, terminated, _, discounts = draw(replay, n_steps)
    lengths = np.round(np.log(discounts) / np.log(GAMMA)).astype(int)
    windows = [world.window(step, n) for step, n in zip(actions.tolist(), lengths.tolist(), strict=True)]
    firsts, sums, lasts, factors = zip(*windows, strict=True)
    assert_equal(observations, look([x.observation for x in firsts]))
    np.testing.assert_allclose(rewards, sums, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(discounts, factors, rtol=1e-6)
    expected = look([x.following for x in lasts])
    assert_equal(*(tree.map_structure(lambda x: x[~terminated], x) for x in (following, expected)))


@pytest.mark.parametrize("jit_compile", [True, *exhaustive(False)])
def test_compiled_functions_replay_the_same(jit_compile):
    world, replay = World(2, 0, 0.0, 0.5), replay_of("frames", 30, 2)
    for _ in range(40):
        add(replay, world, 1, seen)
    assert replay.size < replay.capacity  # some have left
    sample = tf.function(lambda *now: replay.sample([3, 0], 50, *now, 3, GAMMA), jit_compile=jit_compile)
    compiled = sample(tf.constant(replay.size), tf.constant(replay.position))
    assert_equal(tree.map_structure(lambda x: x.numpy(), compiled), draw(replay, 3, 50, seed=3))


def test_a_frame_is_held_once():
    replay = replay_of("frames", 200, 1)
    numbers, no = np.arange(101)[:, None], np.zeros((100, 1), bool)
    replay.add(seen(numbers[:-1]), numbers[:-1], no, seen(numbers[1:]), no, no)
    assert replay.frames.count == 101
    ends = no.copy()
    ends[9::10] = True
    after = numbers[1:] + 1000 * ends  # the last ones of their episodes
    for terminated, truncated, more in ((ends, no, 0), (no, ends, 10)):
        before = replay.frames.count
        replay.add(seen(numbers[:-1]), numbers[:-1], no, seen(after), terminated, truncated)
        assert replay.frames.count - before == 101 - terminated[-1, 0] + more - truncated[-1, 0]


def test_frames_are_read_while_they_are_kept():
    replay, world = replay_of("frames", 10, 1), World(1, 0)
    add(replay, world, 5, seen)
    arrays = replay.arrays()
    add(replay, world, 20, seen)
    with pytest.raises(RuntimeError, match="while they are kept. Received: number 0"):
        np.asarray(arrays["frames_0_0"])


def test_an_episode_that_starts_with_the_frame_a_terminated_one_ended_with():
    replay, no = replay_of("frames", 10, 1), np.zeros((1, 1), bool)
    for now, then, ends in ((1, 2, ~no), (2, 3, no)):
        replay.add(seen([[now]]), np.int32([[now]]), no, seen([[then]]), ends, no)
    observations, actions, *_ = draw(replay, 1)
    assert_equal(observations, seen(actions))
