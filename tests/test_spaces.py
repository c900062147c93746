import re

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Sequence, Text, Tuple

import kgdists as kg
from kgdists.distributions import CategoricalDist, NormalDist
from kgdists.layers import CategoricalHead, NormalHead
from kgdists.spaces import decode_action, encode_action, head_for

INF = np.inf
FEATURES = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")

DISCRETE = [
    Discrete(2),
    Discrete(1),
    Discrete(5, start=-2),
    Discrete(3, start=10),
    Discrete(3, start=4, dtype=np.int32),
    Discrete(3, start=2**40),
]
BOXES = [
    Box(-1.0, 1.0, (3,)),
    Box(0.0, 255.0, (2,)),
    Box(-2.0, 2.0, ()),
    Box(-2.0, 2.0, (2, 3)),
    Box(-INF, INF, (2,)),
    Box(0.0, INF, (2,)),
    Box(-INF, 0.5, (2,)),
    Box(np.array([-1.0, -INF, 0.0, -INF], "float32"), np.array([3.0, INF, INF, 7.0], "float32")),
    Box(np.array([-1.0, 0.3], "float32"), np.array([1.0, 0.3], "float32")),
    Box(-0.1, 0.1, (2,), dtype=np.float64),
    Box(-INF, INF, (2, 1, 2), dtype=np.float64),
    Box(-0.1, 0.1, (2,), dtype=np.float16),
    Box(0.3, INF, (), dtype=np.float16),
]
UNSUPPORTED = [
    Dict({"move": Discrete(2)}),
    Tuple([Discrete(2), Discrete(3)]),
    MultiDiscrete([2, 3]),
    MultiBinary(3),
    Text(4),
    Sequence(Discrete(2)),
    Graph(Discrete(2), None),
    Box(0, 3, (2,), dtype=np.int32),
    Box(0, 255, (2,), dtype=np.uint8),
    Box(-1.0, 1.0, (0,)),
]
each_box = pytest.mark.parametrize("space", BOXES, ids=repr)
each_discrete = pytest.mark.parametrize("space", DISCRETE, ids=repr)
each_space = pytest.mark.parametrize("space", DISCRETE + BOXES, ids=repr)


def wide(space, **options):
    """A policy head that steps over the bounds of a box."""
    if isinstance(space, Box):
        options |= {"initial_stddev": 3.0}
    return head_for(space, **options)


def actions_of(space, n=8):
    space.seed(0)
    return np.stack([space.sample() for _ in range(n)])


def assert_all_contained(space, actions):
    assert isinstance(actions, np.ndarray) and actions.dtype == space.dtype
    assert actions.shape == (len(FEATURES), *space.shape)
    assert all(space.contains(action if space.shape else np.asarray(action)) for action in actions)


@each_space
def test_every_sample_is_an_action(space):
    assert_all_contained(space, decode_action(space, wide(space)(FEATURES).sample_action()))


@each_space
def test_every_mode_is_an_action(space):
    assert_all_contained(space, decode_action(space, head_for(space, kernel_gain=9.0)(FEATURES).mode_action()))


@each_space
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_every_sample_of_any_precision_is_an_action(space, dtype):
    assert_all_contained(space, decode_action(space, wide(space, dtype=dtype)(FEATURES).sample_action()))


@each_space
def test_one_sample_without_a_batch_is_an_action(space):
    pi = wide(space)(FEATURES)
    single = type(pi).from_params({name: x[0] for name, x in pi.params.items()})
    action = decode_action(space, single.sample_action(seed=0))
    assert space.contains(action) and action.dtype == space.dtype


@each_space
def test_decode_undoes_encode(space):
    actions = actions_of(space)
    decoded = decode_action(space, encode_action(space, actions))
    assert decoded.dtype == space.dtype
    np.testing.assert_allclose(decoded, actions, rtol=1e-6 if space.dtype == "float64" else 0.0)


@each_space
def test_decode_undoes_encode_without_a_batch(space):
    (action,) = actions_of(space, 1)
    decoded = decode_action(space, encode_action(space, action))
    assert decoded.shape == space.shape
    np.testing.assert_allclose(decoded, action, rtol=1e-6 if space.dtype == "float64" else 0.0)


@each_space
def test_encoded_actions_have_a_probability(space):
    log_proba = head_for(space)(FEATURES).log_proba(encode_action(space, actions_of(space, len(FEATURES))))
    assert log_proba.shape == (len(FEATURES),) and np.isfinite(log_proba).all()


@each_space
def test_an_empty_batch(space):
    none = encode_action(space, actions_of(space)[:0])
    assert decode_action(space, none).shape == (0, *space.shape)


@each_discrete
def test_the_head_of_a_discrete_space(space):
    head = head_for(space)
    assert type(head) is CategoricalHead and head.num_categories == space.n
    assert type(head(FEATURES)) is CategoricalDist


def test_discrete_actions_count_from_start():
    space = Discrete(3, start=-1)
    np.testing.assert_array_equal(decode_action(space, tf.constant([0, 1, 2])), [-1, 0, 1])
    np.testing.assert_array_equal(encode_action(space, np.array([-1, 0, 1])), [0, 1, 2])


def test_every_discrete_action_is_drawn():
    space = Discrete(4, start=3)
    assert set(decode_action(space, head_for(space)(FEATURES).sample_action(seed=0))) == {3, 4, 5, 6}


@each_box
def test_the_head_of_a_box(space):
    pi = head_for(space)(FEATURES)
    assert type(pi) is NormalDist and pi.event_shape == (np.prod(space.shape),)


def test_a_box_starts_in_its_middle_with_half_its_width():
    pi = head_for(Box(np.array([-1.0, 10.0], "float32"), np.array([1.0, 40.0], "float32")), initial_stddev=0.5)(
        np.zeros((1, 4), "float32")
    )
    np.testing.assert_allclose(pi.mu, [[0.0, 25.0]])
    np.testing.assert_allclose(np.sqrt(pi.variance()), [[0.5, 7.5]], rtol=1e-5)


def test_an_open_dimension_counts_as_minus_one_to_one():
    head = head_for(Box(np.array([-INF, 5.0], "float32"), np.array([5.0, INF], "float32")))
    assert head.center == [0.0, 0.0] and head.scale == [1.0, 1.0]


def test_a_zero_width_dimension_is_its_only_value():
    space = Box(np.array([0.3, -1.0], "float32"), np.array([0.3, 1.0], "float32"))
    actions = decode_action(space, wide(space)(FEATURES).sample_action())
    np.testing.assert_array_equal(actions[:, 0], np.full(len(FEATURES), 0.3, "float32"))


def test_actions_inside_a_box_are_not_changed():
    actions = np.linspace(-1.9, 1.9, 12, dtype="float32").reshape(2, 6)
    np.testing.assert_array_equal(decode_action(Box(-2.0, 2.0, (2, 3)), actions), actions.reshape(2, 2, 3))


def test_actions_outside_a_box_are_clipped():
    np.testing.assert_array_equal(decode_action(Box(-2.0, 2.0, (2,)), np.array([[-3.0, 5.0]])), [[-2.0, 2.0]])


def test_options_reach_the_head():
    assert head_for(Discrete(3), boltzmann_tau=0.7, name="actor").boltzmann_tau == 0.7
    head = head_for(Box(0.0, 4.0, (2,)), state_dependent=True, center=1.0)
    assert type(head) is NormalHead and head.state_dependent and head.center == 1.0 and head.scale == [2.0, 2.0]


def test_a_user_registers_a_space():
    class Gears(gymnasium.Space):
        """One of a few speeds."""

        def __init__(self, speeds):
            super().__init__((), np.float32)
            self.speeds = np.asarray(speeds, "float32")

    @head_for.register
    def _(space: Gears, **options):
        return CategoricalHead(len(space.speeds), **options)

    @decode_action.register
    def _(space: Gears, action):
        return space.speeds[np.asarray(action)]

    @encode_action.register
    def _(space: Gears, action):
        return np.searchsorted(space.speeds, action)

    space = Gears([0.0, 2.5, 9.0])
    labels = kg.head_for(space)(FEATURES).sample_action(seed=0)
    assert set(kg.decode_action(space, labels)) == {0.0, 2.5, 9.0}
    np.testing.assert_array_equal(kg.encode_action(space, kg.decode_action(space, labels)), labels)


@pytest.mark.parametrize("space", UNSUPPORTED, ids=repr)
@pytest.mark.parametrize(
    "call",
    [head_for, lambda space: decode_action(space, [0]), lambda space: encode_action(space, [0])],
    ids=["head_for", "decode_action", "encode_action"],
)
def test_an_unsupported_space_is_named(call, space):
    with pytest.raises(ValueError, match="action space must be.*Received: " + re.escape(repr(space))):
        call(space)


def test_what_is_no_space_is_named():
    with pytest.raises(ValueError, match="Received: 4"):
        head_for(4)
