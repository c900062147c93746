import re

import gymnasium
import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, OneOf, Sequence, Text, Tuple
from gymnasium.vector.utils import batch_space, iterate

import kgdists as kg
from kgdists.layers import CategoricalHead, NormalHead
from kgdists.spaces import BOX_FAMILIES, decode_action, encode_action, encode_mask, head_for

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
CHOICES = [
    MultiDiscrete([2, 3]),
    MultiDiscrete([[2, 3], [4, 1]], start=[[1, 0], [-3, 2]], dtype=np.int32),
    MultiBinary(3),
    MultiBinary((2, 3)),
]
INTEGERS = [
    Box(-2, 3, (2,), dtype=np.int8),
    Box(0, 1, (3,), dtype=bool),
    Box(0, 255, (2, 3), dtype=np.uint8),
    Box(np.array([0, -100]), np.array([0, 1000]), dtype=np.int32),
    Box(-INF, INF, (2,), dtype=np.int64),
    Box(0, np.iinfo(np.uint64).max, (), dtype=np.uint64),
]
NESTED = [
    Dict({"move": Discrete(2, start=1), "push": Box(-1.0, 1.0, (2,))}),
    Tuple([MultiBinary(2), Dict({"a": MultiDiscrete([2, 3]), "b": Tuple([Box(0, 9, (1,), dtype=np.int64)])})]),
    OneOf([Discrete(3, start=2), Box(2.0, 3.0, (2,)), Dict({"x": OneOf([Discrete(2), Box(5.0, 6.0, (1,))])})]),
    Tuple([OneOf([Discrete(2), Discrete(3)]), Discrete(2)]),
]
UNSUPPORTED = [
    Text(4),
    Sequence(Discrete(2)),
    Graph(Discrete(2), None),
    Box(-1.0, 1.0, (0,)),
    Dict({}),
    Tuple([]),
]
each_box = pytest.mark.parametrize("space", BOXES, ids=repr)
each_discrete = pytest.mark.parametrize("space", DISCRETE, ids=repr)
each_space = pytest.mark.parametrize("space", DISCRETE + BOXES + CHOICES + INTEGERS, ids=repr)
each_nested = pytest.mark.parametrize("space", NESTED, ids=repr)


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


@pytest.mark.few(45)
@each_space
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_every_sample_of_any_precision_is_an_action(space, dtype):
    assert_all_contained(space, decode_action(space, wide(space, dtype=dtype)(FEATURES).sample_action()))


@each_space
def test_one_sample_without_a_batch_is_an_action(space):
    single = keras.tree.map_structure(lambda x: x[0], wide(space)(FEATURES))
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


HEADS = {
    "Discrete": (Discrete(3), "CategoricalHead"),
    "MultiDiscrete": (MultiDiscrete([2, 3]), "MultiCategoricalHead"),
    "MultiBinary": (MultiBinary((2, 2)), "BernoulliHead"),
    "Box": (Box(-1.0, 1.0, (2,)), "SquashedNormalHead"),
    "few integers": (Box(-3, 28, (2,), dtype=np.int64), "MultiCategoricalHead"),
    "many integers": (Box(-3, 29, (2,), dtype=np.int64), "DiscretizedLogisticHead"),
    "Dict": (NESTED[0], "CompositeHead"),
    "Tuple": (NESTED[1], "CompositeHead"),
    "OneOf": (NESTED[2], "OneOfHead"),
}


@pytest.mark.parametrize("space, head", HEADS.values(), ids=HEADS)
def test_the_head_of_each_kind_of_space(space, head):
    assert type(head_for(space)).__name__ == head


@pytest.mark.parametrize("family", BOX_FAMILIES)
def test_the_families_of_a_box(family):
    space = Box(np.array([-1.0, 2.0], "float32"), np.array([1.0, 6.0], "float32"))
    pi = head_for(space, family=family)(FEATURES)
    assert type(head_for(space, family=family)) is BOX_FAMILIES[family] and pi.event_shape == (2,)
    assert_all_contained(space, decode_action(space, pi.sample_action(seed=0)))
    assert_all_contained(space, decode_action(space, pi.mode_action()))
    assert np.isfinite(pi.log_proba(encode_action(space, actions_of(space, len(FEATURES))))).all()


def test_a_family_is_one_of_four():
    with pytest.raises(ValueError, match="`family` must be one of .*Received: family='cauchy'"):
        head_for(Box(-1.0, 1.0, (2,)), family="cauchy")


@pytest.mark.parametrize("space", [Box(0.0, INF, (2,)), Box(-INF, INF, (2,))], ids=repr)
def test_a_beta_distribution_needs_bounds(space):
    with pytest.raises(ValueError, match="finite.*Received"):
        head_for(space, family="beta")


def test_discrete_actions_count_from_start():
    space = Discrete(3, start=-1)
    np.testing.assert_array_equal(decode_action(space, tf.constant([0, 1, 2])), [-1, 0, 1])
    np.testing.assert_array_equal(encode_action(space, np.array([-1, 0, 1])), [0, 1, 2])


def test_every_discrete_action_is_drawn():
    space = Discrete(4, start=3)
    assert set(decode_action(space, head_for(space)(FEATURES).sample_action(seed=0))) == {3, 4, 5, 6}


def test_a_box_starts_in_its_middle_with_half_its_width():
    pi = head_for(
        Box(np.array([-1.0, 10.0], "float32"), np.array([1.0, 40.0], "float32")), family="normal", initial_stddev=0.5
    )(np.zeros((1, 4), "float32"))
    np.testing.assert_allclose(pi.mu, [[0.0, 25.0]])
    np.testing.assert_allclose(np.sqrt(pi.variance()), [[0.5, 7.5]], rtol=1e-5)


def test_an_open_dimension_counts_as_minus_one_to_one():
    head = head_for(Box(np.array([-INF, 5.0], "float32"), np.array([5.0, INF], "float32")), family="normal")
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
    head = head_for(Box(0.0, 4.0, (2,)), family="normal", state_dependent=True, center=1.0)
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
def test_an_unsupported_space_is_named(space):
    with pytest.raises(ValueError, match="action space must be.*Received: " + re.escape(repr(space))):
        head_for(space)


@pytest.mark.parametrize("function", [decode_action, encode_action, encode_mask])
def test_a_space_without_codec_is_named(function):
    with pytest.raises(ValueError, match="action space must be.*Received: Text"):
        function(Text(4), None)


def test_an_unsupported_space_inside_another_is_named():
    with pytest.raises(ValueError, match="action space must be.*Received: Text"):
        head_for(Dict({"say": Text(4), "move": Discrete(2)}))


# Nested spaces.


def rows_of(space, actions, n):
    """The actions of single environments, as a vector environment takes them out."""
    return list(iterate(batch_space(space, n), actions))


@each_nested
@pytest.mark.parametrize("draw", ["sample_action", "mode_action"])
def test_nested_actions_are_actions(space, draw):
    pi = head_for(space, random_seed=0)(FEATURES)
    rows = rows_of(space, decode_action(space, getattr(pi, draw)()), len(FEATURES))
    assert len(rows) == len(FEATURES) and all(map(space.contains, rows))


@each_nested
def test_nested_decode_undoes_encode(space):
    space.seed(0)
    for _ in range(5):
        action = space.sample()
        assert repr(decode_action(space, encode_action(space, action))) == repr(action)


@each_nested
def test_nested_actions_keep_their_probability(space):
    pi = head_for(space, random_seed=0)(FEATURES)
    drawn = pi.sample_action()
    encoded = encode_action(space, decode_action(space, drawn))
    np.testing.assert_allclose(pi.log_proba(encoded), pi.log_proba(drawn), rtol=1e-5, atol=1e-5)


def test_branches_of_one_seed_start_and_draw_differently():
    space = Tuple([Box(-1.0, 1.0, (3,)), Box(-1.0, 1.0, (3,))])
    first, second = (head_for(space, random_seed=7, kernel_gain=1.0)(FEATURES) for _ in range(2))
    a, b = first.mode()
    assert np.any(a != b)
    a, b = first.sample()
    assert np.any(a != b)
    np.testing.assert_array_equal(second.mode()[0], first.mode()[0])


def test_the_family_reaches_nested_boxes():
    head = head_for(Dict({"move": Discrete(2), "push": Box(-1.0, 1.0, (2,))}), family="normal", initial_stddev=0.5)
    assert [type(branch).__name__ for branch in head.branches] == ["CategoricalHead", "NormalHead"]


# Masks in Gymnasium's formats.

MASKS = {
    "discrete": (Discrete(3, start=2), np.array([1, 0, 1], np.int8)),
    "multi_discrete": (MultiDiscrete([2, 3]), (np.array([0, 1], np.int8), np.array([1, 1, 0], np.int8))),
    "multi_discrete_of_rank_2": (
        MultiDiscrete([[2, 2], [3, 1]]),
        (
            (np.array([0, 1], np.int8), np.array([1, 1], np.int8)),
            (np.array([0, 1, 1], np.int8), np.array([1], np.int8)),
        ),
    ),
    "multi_binary": (MultiBinary((2, 2)), np.array([[0, 1], [2, 2]], np.int8)),
    "dict": (
        Dict({"a": Discrete(2), "b": Box(-1.0, 1.0, (2,)), "c": MultiBinary(2)}),
        {"a": np.array([0, 1], np.int8), "b": None, "c": np.array([2, 0], np.int8)},
    ),
    "tuple": (Tuple([Discrete(2), Discrete(3)]), (np.array([0, 1], np.int8), None)),
    "one_of": (OneOf([Discrete(2), Box(-1.0, 1.0, (1,))]), (np.array([0, 1], np.int8), None)),
}
each_mask = pytest.mark.parametrize("space, mask", MASKS.values(), ids=MASKS)


def batched(mask):
    return keras.tree.map_structure(lambda x: np.broadcast_to(x, (len(FEATURES), *x.shape)), mask)


@pytest.mark.few(6)
@each_mask
def test_masked_actions_are_those_that_gymnasium_draws(space, mask):
    """The same set of actions, of all that either ever draws."""
    pi = head_for(space, random_seed=0)(FEATURES, batched(encode_mask(space, mask)))
    space.seed(0)
    ours = [row for _ in range(5) for row in rows_of(space, decode_action(space, pi.sample_action()), len(FEATURES))]
    theirs = [space.sample(mask=mask) for _ in range(300)]
    assert all(map(space.contains, ours))
    if not any(name in repr(space) for name in ("Box", "OneOf")):
        assert set(map(repr, ours)) == set(map(repr, theirs))
    log_proba = pi.log_proba(pi.sample_action())
    assert np.isfinite(log_proba).all()


@each_mask
def test_no_mask_allows_everything(space, mask):
    pi = head_for(space, random_seed=0, kernel_gain=1.0)
    free = pi(FEATURES, batched(encode_mask(space, None)))
    keras.tree.map_structure(np.testing.assert_array_equal, free.mode_action(), pi(FEATURES).mode_action())


def test_what_is_ruled_out_has_no_probability():
    space, mask = MASKS["multi_discrete"]
    pi = head_for(space)(FEATURES[:1], batched(encode_mask(space, mask))[:1])
    assert pi.log_proba([[0, 0]]) == pi.log_proba([[1, 2]]) == -INF
    assert np.isfinite(pi.log_proba([[1, 1]])).all()


def test_a_box_has_no_masks():
    with pytest.raises(ValueError, match="A Box has no masks"):
        encode_mask(Box(-1.0, 1.0, (2,)), np.ones(2))


def test_a_mask_of_another_length():
    with pytest.raises(ValueError, match="among 3 must have 3 entries. Received"):
        encode_mask(Discrete(3), np.ones(2, np.int8))
    with pytest.raises(ValueError, match="one array for each choice"):
        encode_mask(MultiDiscrete([2, 3]), (np.ones(2, np.int8),))


def test_what_is_no_space_is_named():
    with pytest.raises(ValueError, match="Received: 4"):
        head_for(4)
