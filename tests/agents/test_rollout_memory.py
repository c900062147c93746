"""PPO's rollout of images is in memory once."""

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Discrete

from kgdists.agents import PPO
from kgdists.core import backend

SHAPE = (40, 40, 3)


class Film(gymnasium.Env):
    """Observes how many steps have been taken, in episodes that are cut off after five."""

    observation_space = Box(0, 255, SHAPE, "uint8")
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(SHAPE, "uint8"), {}

    def step(self, action):
        self.count += 1
        return np.full(SHAPE, self.count, "uint8"), 1.0, False, self.count == 5, {}


def test_frames_keep_their_dtype_and_are_held_once(eagerly):
    agent = PPO(Film, num_envs=2, n_steps=8, batch_size=4, n_epochs=1, seed=0)
    rollout = agent.rollouts.collect_frames(agent._actions())
    assert rollout.frames.dtype == "uint8" and rollout.frames.shape == (9, 2, *SHAPE)
    assert sum(x.nbytes for x in (rollout.frames, rollout.finals)) < 1.3 * 16 * np.prod(SHAPE)
    assert (rollout.frames[1:6, :, 0, 0, 0] == [[1], [2], [3], [4], [0]]).all()  # the fifth is the first of another
    assert (rollout.finals[:2, 0, 0, 0] == 5).all()


def test_a_tensor_of_frames_is_their_memory(eagerly):
    agent = PPO(Film, num_envs=2, n_steps=8, batch_size=4, n_epochs=1, seed=0)
    frames = agent.rollouts.collect_frames(agent._actions()).frames
    tensor = backend._tensor(frames)
    frames[3] = 77
    assert (tensor[3].numpy() == 77).all()


@pytest.mark.exhaustive
def test_an_update_makes_no_tensor_as_large_as_its_rollout():
    agent = PPO(Film, num_envs=2, n_steps=64, batch_size=4, n_epochs=1, seed=0)
    rollout = agent.rollouts.collect_frames(agent._actions())
    update = tf.function(agent._update_frames, autograph=False).get_concrete_function(*rollout)
    graphs = [update.graph, *(branch for op in update.graph.get_operations() for branch in bodies(op))]
    handed_on = "Placeholder", "Reshape", "While", "StatelessWhile", "Identity"  # none of which copies
    made = [x for graph in graphs for op in graph.get_operations() if op.type not in handed_on for x in op.outputs]
    assert max(x.dtype.size * (x.shape.num_elements() or 0) for x in made) < rollout.frames.nbytes


def bodies(op):
    """The graphs of what a loop repeats, at any depth."""
    if op.type not in ("While", "StatelessWhile"):
        return []
    body = op.graph._get_function(op.get_attr("body").name)
    return [body.graph, *(inner for each in body.graph.get_operations() for inner in bodies(each))]
