"""Rollouts of heavy observations hold each of them once."""

import numpy as np
import pytest
from gymnasium.vector.utils import create_empty_array
from keras import tree

from kgdists.core import memory
from kgdists.envs.frames import ALIGNMENT, as_frames, check_room, is_heavy
from kgdists.envs.make import make_envs
from kgdists.envs.rollout import Rollouts
from tests.agents.helpers import Trap, counters


def act(observations):
    return np.zeros(len(tree.flatten(observations)[0]), int)


def experience_of(rollout):
    """A rollout of `Frames` as `Rollouts.collect` returns it."""
    following = tree.map_structure(lambda x: x[1:].copy(), rollout.frames)
    num_envs = rollout.rewards.shape[1]
    for row, at in enumerate(rollout.final_at.tolist()):
        if at < rollout.rewards.size:
            for x, final in zip(tree.flatten(following), tree.flatten(rollout.finals), strict=True):
                x[divmod(at, num_envs)] = final[row]
    observations = tree.map_structure(lambda x: x[:-1], rollout.frames)
    return observations, rollout.actions, rollout.rewards, following, rollout.terminated, rollout.truncated


@pytest.mark.parametrize("end", ["terminated", "truncated", "both"])
def test_each_observation_is_held_once(end):
    both = [Rollouts(make_envs(counters(2, 3, 5, end=end), 3), 7, seed=0) for _ in range(2)]
    for _ in range(2):  # the second goes on where the first ended
        expected, rollout = both[0].collect(act), both[1].collect_frames(act)
        assert rollout.frames.shape == (8, 3, 2) and rollout.frames.ctypes.data % ALIGNMENT == 0
        for converted in (rollout, as_frames(*expected)):
            for name, x, y in zip("o a r n te tr".split(), expected, experience_of(converted), strict=True):
                if name == "n":  # nothing counts behind a terminated step
                    x, y = (np.where(rollout.terminated[..., None], 0, z) for z in (x, y))
                np.testing.assert_array_equal(x, y, err_msg=name)
        assert (rollout.final_at < 21).sum() == (rollout.truncated & ~rollout.terminated)[:-1].sum()


def test_the_observations_that_come_next_are_no_part_of_the_rollout():
    rollouts = Rollouts(make_envs(counters(2, 3), 2), 4, seed=0)
    frames = rollouts.collect_frames(act).frames
    assert not np.shares_memory(rollouts.observations, frames)


def test_masks_are_frames_too():
    rollouts = Rollouts(make_envs(Trap, 2), 3, seed=0)
    frames = rollouts.collect_frames(lambda x: np.argmax(x["action_mask"], axis=1)).frames
    assert frames["observation"].shape == (4, 2, 2) and frames["action_mask"].shape == (4, 2, 4)


def test_images_are_heavy_and_vectors_are_not():
    assert is_heavy({"camera": np.zeros((1, 36, 36, 4), "uint8"), "speed": np.zeros((1, 1))})
    assert not is_heavy(create_empty_array(make_envs(counters(2), 1).single_observation_space, 1))


def test_a_rollout_that_does_not_fit_is_refused_before(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 10 * 2**20)
    image = np.zeros((1, 96, 96, 3), "uint8")
    check_room(image, 40, 8)
    with pytest.raises(memory.NotEnoughMemoryError, match=r"`n_steps` .* at most 41 fit. Received: n_steps=64"):
        check_room(image, 64, 8)
    with pytest.raises(memory.NotEnoughMemoryError, match="fewer environments"):
        check_room(image, 1, 800)
