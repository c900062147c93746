"""Whatever the action space: every action is one of it, and its probability survives the way there and back."""

import gymnasium
import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Tuple
from gymnasium.vector.utils import batch_space, iterate
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from kgdists.spaces import decode_action, encode_action, head_for
from tests.marks import exhaustive

ROWS = 3
FEATURES = np.random.default_rng(0).normal(size=(ROWS, 2)).astype("float32")
SHAPES = [(1,), (3,), (2, 2), (1, 2, 2)]  # Gymnasium takes a vector of scalars apart into what is no array


@st.composite
def float_boxes(draw):
    """Bounds of every kind, dimension by dimension."""
    shape, dtype = draw(st.sampled_from(SHAPES)), draw(st.sampled_from(["float16", "float32", "float64"]))
    n = int(np.prod(shape))
    low = draw(st.lists(st.sampled_from([-50.0, -1.0, 0.0, 0.3, 7.5]), min_size=n, max_size=n))
    width = draw(st.lists(st.sampled_from([0.0, 0.01, 1.0, 100.0]), min_size=n, max_size=n))
    kinds = draw(st.lists(st.sampled_from(["box", "box", "above", "below", "free"]), min_size=n, max_size=n))
    lows = [-np.inf if kind in ("below", "free") else a for a, kind in zip(low, kinds, strict=True)]
    highs = [np.inf if kind in ("above", "free") else a + b for a, b, kind in zip(low, width, kinds, strict=True)]
    lows, highs = (np.array(x, dtype).reshape(shape) for x in (lows, highs))
    return Box(lows, highs, shape, getattr(np, dtype))


@st.composite
def integer_boxes(draw):
    shape, dtype = draw(st.sampled_from(SHAPES)), draw(st.sampled_from(["bool", "int8", "uint8", "int32", "int64"]))
    n = int(np.prod(shape))
    least, most = (0, 1) if dtype == "bool" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    least, most = max(least, -(2**60)), min(most, 2**60)  # beyond, Gymnasium's own draws fail
    bounds = draw(st.lists(st.tuples(st.integers(least, most), st.integers(least, most)), min_size=n, max_size=n))
    if draw(st.booleans()):
        bounds = [(a, min(a + abs(b) % 20, most)) for a, b in bounds]
    low = np.array([min(pair) for pair in bounds], dtype).reshape(shape)
    high = np.array([max(pair) for pair in bounds], dtype).reshape(shape)
    return Box(low, high, shape, np.dtype(dtype).type)


DISCRETE = st.builds(Discrete, st.integers(1, 6), start=st.integers(-9, 9))
BINARY = st.builds(MultiBinary, st.sampled_from([1, 4, (2, 3), (1, 1)]))


@st.composite
def multi_discrete(draw):
    shape = draw(st.sampled_from(SHAPES))
    n = int(np.prod(shape))
    nvec = draw(st.lists(st.integers(1, 5), min_size=n, max_size=n))
    start = draw(st.lists(st.integers(-5, 5), min_size=n, max_size=n))
    return MultiDiscrete(np.reshape(nvec, shape), start=np.reshape(start, shape))


def nested(spaces):
    return st.one_of(
        st.builds(Dict, st.dictionaries(st.sampled_from(["a", "b", "c"]), spaces, min_size=1, max_size=3)),
        st.builds(Tuple, st.lists(spaces, min_size=1, max_size=3)),
        st.builds(OneOf, st.lists(spaces, min_size=1, max_size=2)),
    )


LEAVES = st.one_of(DISCRETE, BINARY, multi_discrete(), float_boxes(), integer_boxes())


def loses_digits(space):
    """Whether the actions of a float32 policy are rounded on their way into the space."""
    parts = getattr(space, "spaces", None)
    if parts is None:
        return space.dtype == "float16"
    return any(map(loses_digits, parts.values() if isinstance(parts, dict) else parts))


def joined(join, *nested):
    return keras.tree.map_structure(lambda *x: join([np.asarray(leaf) for leaf in x]), *nested)


def same(x, y, rtol):
    keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol), x, y)


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", [0, *exhaustive(1, 2, 3, 4)])
def test_a_thousand_spaces(part):
    """Four parts of 250 that run side by side, and a few for the quick tests."""
    some = settings(
        max_examples=250 if part else 40, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    seed(part)(some(given(space=st.recursive(LEAVES, nested, max_leaves=4))(check)))()


def check(space: gymnasium.Space):
    pi = head_for(space, random_seed=0)(FEATURES)
    drawn = joined(np.concatenate, pi.sample_action(), pi.mode_action())
    actions = decode_action(space, drawn)
    for row in iterate(batch_space(space, 2 * ROWS), actions):
        assert space.contains(row), row
    encoded = encode_action(space, actions)
    again = encode_action(space, decode_action(space, encoded))
    keras.tree.map_structure(np.testing.assert_array_equal, again, encoded)
    both = joined(np.stack, encoded, drawn)  # one call, which takes as long as that of a single row
    both = keras.tree.map_structure(lambda x: x.reshape(2, 2, ROWS, *x.shape[2:]), both)
    log_proba, log_proba_of_drawn = np.asarray(pi.log_proba(both))
    assert log_proba.shape == (2, ROWS) and np.isfinite(log_proba).all()
    if not loses_digits(space):
        same(encoded, drawn, 1e-6)
        np.testing.assert_allclose(log_proba, log_proba_of_drawn, rtol=1e-5, atol=1e-5)
    space.seed(0)
    action = space.sample()
    assert repr(decode_action(space, encode_action(space, action))) == repr(action)
