"""The size of observations and rewards, and what never changes."""

import numpy as np
from gymnasium.spaces import Box, Dict

from tests.envs.checking.helpers import Clean, changed, found, text_of


class Large(Clean):
    observation_space = Dict(map=Box(-1e3, 1e3, (2, 2), "float32"), near=Clean.observation_space)

    def observed(self):
        x = super().observed()
        return {"map": np.outer(x, [1.0, 200.0]).astype("float32"), "near": x}


def test_large_observations_are_to_be_normalized():
    assert found(Large) == {"large_observations": "advice"}
    text = text_of(Large, "large_observations")
    assert "`observation['map'][0, 1]` and 1 more" in text and "normalize_observations=True" in text


class Camera(Clean):
    """Observes images of numbers below 1."""

    def __init__(self, scale, *bounds):
        self.scale, self.observation_space = scale, Box(*bounds, (3, 3, 3), "float32")

    def observed(self):
        return (self.scale * self.np_random.random((3, 3, 3))).astype("float32")


def test_images_are_scaled_by_encoders():
    assert found(lambda: Camera(255.0, 0.0, 255.0)) == found(lambda: Camera(1.0, 0.0, 1.0)) == {}


def test_an_image_without_bounds_is_not_scaled():
    assert found(lambda: Camera(255.0, -np.inf, np.inf)) == {"large_observations": "advice"}
    assert "finite bounds" in text_of(lambda: Camera(255.0, -np.inf, np.inf), "large_observations")


def test_integers_are_scaled_by_encoders():
    class Counting(Clean):
        def __init__(self, high, most):
            self.observation_space, self.most = Box(0, high, (2,), "int64"), most

        def observed(self):
            return self.np_random.integers(0, self.most, 2)

    assert found(lambda: Counting(1_000, 1_000)) == found(lambda: Counting(10**15, 1_000)) == {}
    assert found(lambda: Counting(10**6, 10)) == {"unused_bounds": "advice"}


def test_an_image_that_is_scaled_already_is_not_to_be_scaled_again():
    assert found(lambda: Camera(1.0, 0.0, 255.0)) == {"unused_bounds": "advice"}
    assert "[0, 255]" in text_of(lambda: Camera(1.0, 0.0, 255.0), "unused_bounds")


def test_a_number_that_never_changes_is_named():
    class Constant(Clean):
        def observed(self):
            return super().observed() * np.array([1.0, 0.0], "float32")

    assert found(Constant) == {"constant_observations": "advice"}
    assert text_of(Constant, "constant_observations").startswith("`observation[1]` never changed in 200")
    assert found(Constant, steps=50) == {}  # which are too few to tell


def test_large_rewards_are_to_be_normalized():
    env = changed(lambda o, r, *rest: (o, 100.0 * r, *rest))
    assert found(env) == {"large_rewards": "advice"} and "normalize_rewards=True" in text_of(env, "large_rewards")


def test_a_reward_that_was_never_seen_is_told():
    env = changed(lambda o, r, *rest: (o, 0.0, *rest), at=1)
    assert found(env) == {"constant_rewards": "advice"}
    assert text_of(env, "constant_rewards").startswith("the reward was 0 at each of 200 random steps")


def test_one_point_a_step_is_something_to_learn_from_where_lengths_differ():
    assert found(changed(lambda o, r, *rest: (o, 1.0, *rest), at=1)) == {}


def test_one_point_a_step_is_nothing_where_lengths_do_not_differ():
    def equal(observation, reward, terminated, truncated, info):
        return observation, 1.0, False, True, info

    assert found(changed(equal, at=1)).keys() == {"constant_rewards", "ends_at_once"}
