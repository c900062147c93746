"""What a policy for an environment is made of."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, Sequence, Space, Text

from tests.envs.checking.helpers import Clean, found, text_of


def acting(space):
    class Acting(Clean):
        action_space = space

    return Acting


@pytest.mark.parametrize("space", [Text(5), Sequence(Discrete(2)), Dict(say=Text(3))])
def test_a_space_without_a_head_is_an_error(space):
    assert found(acting(space)) == {"head": "error"} and "head_for.register" in text_of(acting(space), "head")


class Tags(Space):
    """A space of one's own, of sets of words."""

    def __init__(self):
        super().__init__()

    def sample(self, mask=None, probability=None):
        return {"near"}

    def contains(self, x):
        return isinstance(x, set)


@pytest.mark.parametrize("space", [Graph(Box(-1.0, 1.0, (2,)), None), Dict(tags=Tags(), near=Box(-1.0, 1.0, (2,)))])
def test_observations_without_an_encoder_are_an_error(space):
    class Observing(Clean):
        observation_space = space

        def observed(self):
            return space.sample()

    assert found(Observing) == {"observation_space": "error"}
    text = text_of(Observing, "observation_space")
    assert "encode_observation.register" in text and "Environment 0" not in text


def test_a_sequence_that_is_too_long_is_an_error():
    class Long(Clean):
        observation_space = Sequence(Discrete(2))

        def observed(self):
            return tuple(self.np_random.integers(0, 2, 65))

    assert found(Long) == {"contract": "error"} and "max_length" in text_of(Long, "contract")


def test_texts_and_sequences_are_observed():
    class Telling(Clean):
        observation_space = Dict(say=Text(4, charset="ab"), seen=Sequence(Discrete(2)))

        def observed(self):
            return {"say": "ab" * int(self.np_random.integers(1, 3)), "seen": tuple(self.np_random.integers(0, 2, 3))}

    assert found(Telling) == {}


UNBOUNDED = {
    "no bounds": Box(-np.inf, np.inf, (2,), "float32"),
    "one bound": Box(0.0, np.inf, (2,), "float32"),
    "bounds for form's sake": Box(-1e8, 1e8, (2,), "float32"),
    "one of a dict": Dict(gear=Discrete(3), push=Box(-np.inf, np.inf, (1,), "float32")),
}


@pytest.mark.parametrize("name", UNBOUNDED)
def test_bounds_that_tell_no_scale_are_worth_a_line(name):
    assert found(acting(UNBOUNDED[name])) == {"unbounded_actions": "advice"}


BOUNDED = {
    "not symmetric": Box(np.array([0.0, -20.0], "float32"), np.array([500.0, -10.0], "float32")),
    "integers": Box(0, 10**6, (2,), "int64"),
    "counted from 5": Discrete(3, start=5),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_bounds_are_what_heads_scale_by(name):
    assert found(acting(BOUNDED[name])) == {}


def test_a_replay_of_images_is_computed_beforehand():
    class Camera(Clean):
        observation_space = Box(0, 255, (96, 96, 3), "uint8")

        def observed(self):
            return self.np_random.integers(0, 256, (96, 96, 3), "uint8")

    assert found(Camera, steps=20) == {"memory": "advice"}
    text = text_of(Camera, "memory", steps=20)
    assert "27,648 bytes" in text and "26 GiB" in text and "`buffer_size` such as 100,000" in text
