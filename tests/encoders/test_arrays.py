"""Observations as arrays of fixed shapes."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, OneOf, Sequence, Text, Tuple
from gymnasium.vector.utils import concatenate, create_empty_array
from keras import tree

from kgdists.encoders import array_space, encode_observation, encode_observations, example_observation
from tests.encoders.table import SPACES

each_space = pytest.mark.parametrize("space", [space for space, _ in SPACES.values()], ids=SPACES)


def samples(space, count=4):
    space.seed(0)
    return [space.sample() for _ in range(count)]


@each_space
def test_what_is_observed_becomes_a_value_of_the_array_space(space):
    arrays = array_space(space)
    assert all(arrays.contains(encode_observation(space, x)) for x in samples(space))


@each_space
def test_arrays_are_stacked_as_vector_environments_stack_them(space):
    arrays, rows = array_space(space), [encode_observation(space, x) for x in samples(space)]
    stacked = concatenate(arrays, rows, create_empty_array(arrays, len(rows)))
    tree.map_structure(lambda x, *each: np.testing.assert_array_equal(x, np.stack(each)), stacked, *rows)


@each_space
def test_a_batch_is_its_rows(space):
    given = samples(space)
    batch = concatenate(space, given, create_empty_array(space, len(given)))  # as a vector environment does
    rows = [encode_observation(space, x) for x in given]
    encoded = encode_observations(space, batch)
    tree.map_structure(lambda x, *each: np.testing.assert_array_equal(x, np.stack(each)), encoded, *rows)


@each_space
def test_an_example_is_a_batch_of_one_value(space):
    arrays = array_space(space)
    assert arrays.contains(tree.map_structure(lambda x: np.asarray(x[0]), example_observation(arrays)))


def test_a_text_is_bytes_with_zeros_behind():
    assert encode_observation(Text(6, charset="aäb"), "äb").tolist() == [0xC3, 0xA4, 98, *[0] * 9]


def test_a_sequence_is_padded_and_says_how_long_it_is():
    made = encode_observation(Sequence(Discrete(3, start=1)), (2, 3), max_length=4)
    assert made["items"].tolist() == [2, 3, 1, 1] and made["length"] == 2
    assert encode_observation(Sequence(Discrete(3)), (), max_length=2)["length"] == 0


def test_one_of_has_a_value_for_each_branch():
    index, values = encode_observation(OneOf((Discrete(3), Box(0.0, 1.0, (2,)))), (1, np.array([0.5, 1.0], "float32")))
    assert index == 1 and values[0] == 0 and values[1].tolist() == [0.5, 1.0]


WRONG = {
    "a label beyond": (Discrete(3), 3),
    "a label before": (Discrete(3, start=1), 0),
    "half a label": (Discrete(3), 0.5),
    "labels beyond": (MultiDiscrete([2, 2]), [0, 2]),
    "two bits": (MultiBinary(2), [0, 2]),
    "another shape": (Box(0.0, 1.0, (2,)), [0.0]),
    "text": (Box(0.0, 1.0, (2,)), "ab"),
    "a number for a text": (Text(3), 3),
    "a long text": (Text(2), "abc"),
    "a missing key": (Dict(a=Discrete(2)), {"b": 1}),
    "a short tuple": (Tuple((Discrete(2), Discrete(2))), (0,)),
    "no sequence": (Sequence(Discrete(2)), 1),
    "a branch beyond": (OneOf((Discrete(2),)), (1, 0)),
}


@pytest.mark.parametrize(("space", "x"), WRONG.values(), ids=WRONG)
def test_what_is_no_value_of_its_space_is_refused(space, x):
    with pytest.raises(ValueError, match="must be|must have.*"):
        encode_observation(space, x)


def test_a_longer_sequence_names_the_setting():
    with pytest.raises(ValueError, match="at most `max_length` items, 2: set `max_length` higher. Received: 3 items"):
        encode_observation(Sequence(Discrete(2)), (0, 1, 0), max_length=2)


def test_a_graph_names_what_to_register():
    with pytest.raises(ValueError, match="`@kgdists.encoders.encode_observation.register`.* Received: Graph"):
        array_space(Graph(Box(0.0, 1.0, (2,)), None))


class Word(gymnasium.Space):
    """Lists of letters: no arrays."""

    def __init__(self):
        super().__init__(None, None)

    def sample(self, mask=None, probability=None):
        return ["a", "b"]

    def contains(self, x):
        return isinstance(x, list)


def test_a_space_of_one_s_own_without_arrays_names_what_to_register():
    with pytest.raises(ValueError, match="Observations of a Word are no arrays.*encode_observation.register"):
        encode_observation(Word(), ["a"])


def test_one_registration_is_enough_for_a_space_of_one_s_own():
    class Registered(Word):
        pass

    encode_observation.register(Registered, lambda space, x, max_length: np.array([len(x), 0.5], "float32"))
    assert array_space(Registered()).shape == (2,)
    assert encode_observation(Dict(w=Registered()), {"w": ["a"]})["w"].tolist() == [1.0, 0.5]
