"""SAC where images are observed, alone and beside numbers."""

import zipfile

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Discrete
from keras import tree

from kgdists.agents import SAC
from kgdists.agents.sac.frame_replay import FrameReplay
from kgdists.core import memory
from tests.agents.helpers import weights

eager = pytest.mark.usefixtures("eagerly")
ACTIONS = {"box": Box(-1.0, 1.0, (2,)), "discrete": Discrete(3)}


class Pixels(gymnasium.Env):
    """Images of noise, in episodes that end at random or after 9 steps; what happened is written down."""

    def __init__(self, actions="discrete", size=8):
        self.observation_space = Box(0, 255, (size, size, 3), "uint8")
        self.action_space = ACTIONS[actions]
        self.steps = []

    def _look(self):
        self.image = self.np_random.integers(256, size=self.observation_space.shape, dtype="uint8")
        return self.image

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.length = 0
        return self._look(), {}

    def step(self, action):
        before, self.length = self.image, self.length + 1
        result = self._look(), float(before[0, 0, 0]) / 255, bool(self.np_random.random() < 0.1), self.length == 9, {}
        self.steps.append((before, *result))
        return result


def small(env, **config):
    default = {"n_steps": 8, "epoch_steps": 16, "gradient_steps": 1, "batch_size": 8, "hidden_units": (4,), "seed": 0}
    return SAC(env, **default | {"learning_starts": 8, "buffer_size": 40, "n_step_returns": 2} | config)


def replayed(agent, n_steps=1, batch_size=200):
    now = tf.constant(agent.replay.size), tf.constant(agent.replay.position)
    batch = agent.replay.sample(tf.constant([0, 0]), batch_size, *now, n_steps, 1.0)
    return tree.map_structure(lambda x: x.numpy(), batch)


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize("actions", ["box", "discrete"])
def test_images_are_replayed_as_they_were_seen(actions):
    env = Pixels(actions)
    agent = small(lambda: env)
    agent.learn(64)
    assert isinstance(agent.replay, FrameReplay) and agent.replay.size == 40
    assert np.isfinite(weights(agent)).all()
    known = {before.tobytes(): others for before, *others in env.steps[-40:]}
    observations, _, rewards, following, terminated, truncated, _ = replayed(agent)
    assert observations.dtype == following.dtype == np.uint8
    seen = set()
    for x, reward, then, *flags in zip(observations, rewards, following, terminated, truncated, strict=True):
        image, *others, _ = known[x.tobytes()]
        assert others == [pytest.approx(reward), *flags]
        assert flags[0] or then.tobytes() == image.tobytes()
        seen.add(x.tobytes())
    assert len(seen) > 36


@eager
@pytest.mark.exhaustive
@pytest.mark.parametrize("num_envs", [1, 3])
def test_a_run_with_images_goes_on_to_the_same_bits(tmp_path, num_envs):
    agent = small(Pixels, num_envs=num_envs, learning_starts=40)
    agent.learn(48)
    agent.save(tmp_path)
    with zipfile.ZipFile(tmp_path / "checkpoints" / f"{agent.steps}.zip") as archive:
        written = archive.getinfo("large/replay_frames_0_0.npy").file_size
    assert written <= 128 + 192 * agent.replay.frames.capacity
    twin = SAC.load(tmp_path, Pixels)
    for x, y in zip(*map(replayed, (agent, twin)), strict=True):
        np.testing.assert_array_equal(x, y)
    assert replayed(twin)[0].dtype == np.uint8
    for x in (agent, twin):
        x.learn(16)
    np.testing.assert_array_equal(weights(agent), weights(twin))
    assert (agent.replay.size, agent.replay.position) == (twin.replay.size, twin.replay.position)


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize("num_envs", [1, 4])
def test_a_run_with_images_goes_on_with_other_environments(tmp_path, num_envs):
    agent = small(Pixels, num_envs=2)
    agent.learn(64)
    agent.save(tmp_path)
    envs = gymnasium.vector.SyncVectorEnv([Pixels] * num_envs, autoreset_mode="SameStep")
    with pytest.warns(UserWarning, match="The run had 2 environments"):
        loaded = SAC.load(tmp_path, envs)
    assert 0.8 * 40 <= loaded.replay.size * num_envs <= 40
    known, kept = (transitions(replayed(x, batch_size=1000)) for x in (agent, loaded))
    assert kept <= known and len(kept) > 25
    loaded.learn(32)


def transitions(batch):
    observations, _, _, following, terminated, *_ = batch
    goes_on = ~terminated
    return {(x.tobytes(), y.tobytes()) for x, y in zip(observations[goes_on], following[goes_on], strict=True)}


@eager
def test_a_replay_of_images_larger_than_memory_is_refused_in_one_line():
    most = memory.available() // 192
    with pytest.raises(
        ValueError, match=r"^A replay of `buffer_size` .* GiB are there; buffer_size=\d+ fits\. Received"
    ):
        small(Pixels, buffer_size=10 * most)
