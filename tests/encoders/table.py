"""Observation spaces of every kind, and how many features each has."""

import numpy as np
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    MultiBinary,
    MultiDiscrete,
    OneOf,
    Sequence,
    Space,
    Text,
    Tuple,
)


class Mission(Space):
    """Texts of no known length, by a class of one's own."""

    def __init__(self):
        super().__init__(None, str)

    def sample(self, mask=None, probability=None):
        return " ".join(["go", "to", "the", "red", "ball"][: self.np_random.integers(1, 6)])

    def contains(self, x):
        return isinstance(x, str)


SPACES = {
    "vector": (Box(-1.0, 1.0, (3,)), 3),
    "number": (Box(-1.0, 1.0, ()), 1),
    "table": (Box(-np.inf, np.inf, (5, 5)), 25),
    "bools": (Box(0, 1, (4,), bool), 4),
    "times": (Box(1764370000, 1764370009, (2,), np.int64), 2),
    "any_integer": (Box(-(2**63), 2**63 - 1, (2,), np.int64), 18),
    "unsigned": (Box(0, 2**64 - 1, (), np.uint64), 9),
    "memory": (Box(0, 255, (128,), np.uint8), 128),
    "image": (Box(0, 255, (36, 40, 3), np.uint8), 512),
    "channels_first": (Box(0, 255, (3, 48, 40), np.uint8), 512),
    "gray": (Box(0.0, 1.0, (40, 40)), 512),
    "frames": (Box(0, 255, (4, 40, 40), np.uint8), 512),
    "colored_frames": (Box(0, 255, (2, 40, 40, 3), np.uint8), 512),
    "grid": (Box(0, 255, (7, 7, 3), np.uint8), 128),
    "planes": (Box(0, 1, (10, 10, 6), bool), 128),
    "label": (Discrete(5, start=-2), 5),
    "many_labels": (Discrete(5000), 64),
    "too_many_labels": (Discrete(2**40), 6),
    "labels": (MultiDiscrete([3, 4], start=[1, 2]), 7),
    "bits": (MultiBinary((2, 3)), 6),
    "text": (Text(8), 64),
    "mission": (Mission(), 64),
    "sequence": (Sequence(Discrete(3, start=1)), 65),
    "stack": (Sequence(Box(-1.0, 1.0, (2,)), stack=True), 65),
    "nested_sequence": (Sequence(Dict(a=Discrete(2), b=Tuple((Box(0.0, 1.0, (2,)), Text(3))))), 65),
    "one_of": (OneOf((Discrete(3), Box(0.0, 1.0, (2,)))), 7),
    "dict": (Dict(camera=Box(0, 255, (8, 8, 3), np.uint8), text=Text(4), inner=Dict(camera=Discrete(3))), 195),
    "tuple": (Tuple((Discrete(3), Box(-1.0, 1.0, (2,)))), 5),
}
