"""Environments of ids, with the packages and the wrappers that are customary."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from kgdists.agents import PPO, make_envs
from kgdists.envs import Encoding, registered
from kgdists.envs.registered import make_registered, preprocessed

ATARI = Encoding(preprocessing="atari")


class Screen:
    """What `AtariPreprocessing` asks of an emulator."""

    def getScreenGrayscale(self, buffer):
        buffer[...] = 7

    def lives(self):
        return 1


class Game(gymnasium.Env):
    """A game with Atari's interface: the screen is gray, and the time is paid."""

    observation_space = Box(0, 255, (210, 160, 3), np.uint8)
    action_space = Discrete(3)
    _frameskip = 1

    def __init__(self, frameskip=4):
        self._frameskip = frameskip
        self.ale = Screen()

    def get_action_meanings(self):
        return ["NOOP", "LEFT", "RIGHT"]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros((210, 160, 3), np.uint8), {}

    def step(self, action):
        return np.zeros((210, 160, 3), np.uint8), 1.0, False, False, {}


@pytest.fixture
def game():
    gymnasium.register("ALE/Game-v5", entry_point=Game, max_episode_steps=50, kwargs={"frameskip": 4})
    yield "ALE/Game-v5"
    gymnasium.registry.pop("ALE/Game-v5")


def test_atari_s_customary_wrappers_stack_four_small_gray_screens(game):
    pytest.importorskip("cv2")
    env = preprocessed(make_registered(game, "atari"), "atari")
    observation, _ = env.reset(seed=0)
    assert observation.shape == (4, 84, 84) and observation.dtype == "uint8"
    assert env.step(1)[1] == 4.0  # of four frames


def test_wrappers_of_atari_go_with_atari_alone():
    with pytest.raises(ValueError, match='`preprocessing="atari"` must go with an environment of ale-py. Received: '):
        PPO("CartPole-v1", preprocessing="atari")


def test_vector_environments_have_their_own_wrappers():
    envs = gymnasium.make_vec("CartPole-v1", 2)
    with pytest.raises(ValueError, match="`preprocessing` must be none for vector environments"):
        make_envs(envs, 2, encoding=ATARI)
    with pytest.raises(ValueError, match="`preprocessing` must be .*none.*atari.* Received: .*'doom'"):
        PPO("CartPole-v1", preprocessing="doom")


def test_an_id_of_one_s_own_that_begins_as_a_package_s_is_not_taken_for_one():
    with pytest.raises(gymnasium.error.NameNotFound, match="parking-mine"):
        PPO("parking-mine-v0")


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(registered.PACKAGES, ("Nowhere-",), ("no_such_module", "'kgdists[nowhere]'"))
    with pytest.raises(
        ImportError, match=r"environment of no_such_module, which `pip install 'kgdists\[nowhere\]'` brings"
    ):
        PPO("Nowhere-v0")
