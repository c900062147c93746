"""Seeds, and episodes that can be played again."""

import gymnasium
import numpy as np

from tests.agents.helpers import Counter
from tests.envs.checking.helpers import Clean, found


def test_a_start_that_no_seed_settles_is_noticed():
    class Unseeded(Clean):
        def reset(self, *, seed=None, options=None):
            _, info = super().reset(seed=seed)
            return np.random.default_rng().uniform(-1.0, 1.0, 2).astype("float32"), info

    assert found(Unseeded) == {"start": "advice"}


def test_a_course_that_no_seed_settles_is_noticed():
    class Unseeded(Clean):
        def step(self, action):
            observation, _, *rest = super().step(action)
            return observation, float(np.random.default_rng().random()), *rest

    assert found(Unseeded) == {"course": "advice"}


def test_what_is_left_of_the_episode_before_is_noticed():
    class Tired(Clean):
        tiredness = 0.0

        def step(self, action):
            self.tiredness += 0.01
            observation, reward, *rest = super().step(action)
            return observation, reward - self.tiredness, *rest

    assert found(Tired) == {"course": "advice"}
    assert "start" in found(lambda: Counter())  # which observes the number of the episode


def test_a_seed_that_is_ignored_is_noticed():
    class Ignoring(Clean):
        def reset(self, *, seed=None, options=None):
            return super().reset(seed=None if seed is None else 7)

    assert found(Ignoring) == {"seeds": "advice"}


def test_a_fixed_start_is_no_fault():
    class Fixed(Clean):
        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(2, "float32"), {}

    assert found(Fixed) == {}


def test_a_generator_of_ones_own_cannot_be_resumed():
    class Own(Clean):
        def reset(self, *, seed=None, options=None):
            if seed is not None:
                self.rng = np.random.default_rng(seed)
            return super().reset(seed=seed)

        def observed(self):
            return self.rng.uniform(-1.0, 1.0, 2).astype("float32")

    assert found(Own) == {"generator": "advice"}


def test_an_environment_that_is_registered_as_not_deterministic_is_not_asked():
    class Unseeded(Clean):
        def observed(self):
            return np.random.default_rng().uniform(-1.0, 1.0, 2).astype("float32")

    gymnasium.register("kgdists/Unseeded-v0", Unseeded, nondeterministic=True)
    try:
        assert found("kgdists/Unseeded-v0") == {}
    finally:
        del gymnasium.registry["kgdists/Unseeded-v0"]
