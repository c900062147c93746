"""Encoders: every observation space has features, which tell its values apart."""

import gymnasium
import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiDiscrete, Sequence, Text
from keras import tree

import kgdists as kg
from kgdists.encoders import EncodedNetwork, ImageEncoder, IntegerEncoder, OneHotEncoder, encode_observation
from tests.encoders.table import SPACES
from tests.marks import exhaustive


def batch(space, count=3):
    space.seed(0)
    rows = [encode_observation(space, space.sample()) for _ in range(count)]
    return tree.map_structure(lambda *x: np.stack(x), *rows)


def network(space, rows, **options):
    return EncodedNetwork(kg.encoder_for(space, random_seed=0, **options), [keras.layers.Dense(2)], rows)


@pytest.mark.parametrize(("space", "width"), SPACES.values(), ids=SPACES)
def test_every_space_has_features(space, width):
    features = kg.encoder_for(space, random_seed=0, normalize=True)(tree.map_structure(tf.constant, batch(space)))
    assert features.shape == (3, width) and np.isfinite(features).all()


@pytest.mark.parametrize("name", ["image", "dict", *exhaustive(*sorted(SPACES.keys() - {"image", "dict"}))])
def test_encoders_are_saved_and_loaded_in_safe_mode(name, tmp_path):
    space, _ = SPACES[name]
    rows = batch(space)
    policy = kg.Policy(network(space, rows, normalize=True), kg.layers.CategoricalHead(3))
    expected = policy(rows).logits.numpy()
    policy.save(tmp_path / "policy.keras")
    loaded = keras.models.load_model(tmp_path / "policy.keras")
    assert np.array_equal(loaded(rows).logits, expected)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SPACES)
def test_compiled_encoders_give_what_they_give_at_once(name):
    space, _ = SPACES[name]
    rows = tree.map_structure(tf.constant, batch(space))
    model = network(space, rows)
    for jit_compile in (False, True):
        compiled = tf.function(lambda x: model(x), jit_compile=jit_compile, autograph=False)
        np.testing.assert_allclose(compiled(rows), model(rows), rtol=1e-4, atol=1e-4)


def test_one_seed_makes_one_encoder():
    space, _ = SPACES["dict"]
    rows = batch(space)
    one, same, other = (kg.encoder_for(space, random_seed=seed)(rows) for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


# Images


def test_images_are_scaled_whatever_their_numbers():
    x = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3))
    of_bytes = kg.encoder_for(Box(0, 255, (8, 8, 3), np.uint8), random_seed=0)(x.astype("uint8"))
    of_floats = kg.encoder_for(Box(0.0, 255.0, (8, 8, 3)), random_seed=0)(x.astype("float32"))
    of_shares = kg.encoder_for(Box(0.0, 1.0, (8, 8, 3)), random_seed=0)((x / 255.0).astype("float32"))
    np.testing.assert_allclose(of_bytes, of_floats, rtol=1e-6)
    np.testing.assert_allclose(of_bytes, of_shares, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("network", ["nature", *exhaustive("impala", "small")])
def test_images_do_not_depend_on_how_keras_orders_their_axes(network):
    x = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3)).astype("uint8")
    expected = ImageEncoder(network, random_seed=0)(x)
    keras.config.set_image_data_format("channels_first")
    try:
        assert np.array_equal(ImageEncoder(network, random_seed=0)(x), expected)
    finally:
        keras.config.set_image_data_format("channels_last")


def test_channels_and_frames_may_be_anywhere():
    x = np.random.default_rng(0).integers(0, 256, (2, 9, 8, 3)).astype("uint8")
    last = kg.encoder_for(Box(0, 255, (9, 8, 3), np.uint8), random_seed=0)
    first = kg.encoder_for(Box(0, 255, (3, 9, 8), np.uint8), random_seed=0)
    expected = last(x)
    np.testing.assert_allclose(first(np.moveaxis(x, -1, 1)), expected, rtol=1e-5, atol=1e-6)
    frames = kg.encoder_for(Box(0, 255, (3, 9, 8, 1), np.uint8), random_seed=0)
    np.testing.assert_allclose(frames(np.moveaxis(x, -1, 1)[..., None]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "network"),
    [((36, 36, 3), "nature"), ((84, 84, 4), "nature"), ((35, 40, 3), "small"), ((7, 7, 3), "small")],
    ids=str,
)
def test_large_images_get_the_network_of_nature(shape, network):
    encoder = kg.encoder_for(Box(0, 255, shape, np.uint8))
    encoder.build((None, *shape))
    assert encoder.layers_of_network.name == network


def test_the_network_of_nature_is_that_of_the_paper():
    encoder = ImageEncoder("nature")
    encoder.build((None, 84, 84, 4))
    # Weights of the convolutions and of the units that follow 7 x 7 x 64 cells.
    assert encoder.count_params() == (8 * 8 * 4 + 1) * 32 + (4 * 4 * 32 + 1) * 64 + (9 * 64 + 1) * 64 + 3137 * 512


def test_the_network_of_impala_is_that_of_the_paper():
    encoder = kg.encoder_for(Box(0, 255, (64, 64, 3), np.uint8), network="impala")
    assert encoder(np.zeros((1, 64, 64, 3), "uint8")).shape == (1, 256)
    convolutions = [x for x in encoder.layers_of_network.layers if isinstance(x, keras.layers.Conv2D)]
    assert [x.filters for x in convolutions] == [16] * 5 + [32] * 10


def test_an_image_too_small_for_a_network_is_refused():
    with pytest.raises(ValueError, match="images from 36 x 36 pixels on.* Received: 7 x 7"):
        kg.encoder_for(Box(0, 255, (7, 7, 3), np.uint8), network="nature")(np.zeros((1, 7, 7, 3)))


def test_an_untrained_network_does_not_saturate_on_images():
    x = np.random.default_rng(0).integers(0, 256, (16, 40, 40, 3)).astype("uint8")
    features = kg.encoder_for(Box(0, 255, (40, 40, 3), np.uint8), random_seed=0)(x).numpy()
    assert features.max() < 10.0 and 0.2 < np.mean(features > 0.0) < 0.8


# Integers


def test_time_stamps_are_told_apart():
    space = Box(1764370000, 1764370009, (), np.int64)
    x = np.arange(1764370000, 1764370010)
    np.testing.assert_allclose(kg.encoder_for(space)(x)[:, 0], np.arange(10) / 9.0, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32"])
def test_all_integers_are_told_apart(dtype):
    info = np.iinfo(dtype)
    space = Box(info.min, info.max, (), dtype)
    x = np.array([info.min, info.min + 1, 0, 1, 2, 1764370000, 1764370001, info.max - 1, info.max], dtype)
    features = kg.encoder_for(space)(x).numpy()
    assert len(np.unique(features, axis=0)) == len(np.unique(x)) and np.abs(features).max() < 50.0


def test_bounds_may_differ_from_number_to_number():
    features = IntegerEncoder([0, -5], [10, 5])(np.array([[5, -5], [10, 5]]))
    np.testing.assert_allclose(features, [[0.5, 0.0], [1.0, 1.0]])


# Labels


def test_labels_are_one_hot_behind_each_other():
    features = kg.encoder_for(MultiDiscrete([2, 3], start=[1, 0]))(np.array([[1, 2], [2, 0]]))
    assert features.numpy().tolist() == [[1.0, 0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0, 0.0]]


@pytest.mark.parametrize("x", [-1, 3, 0.5, np.nan], ids=str)
def test_a_label_out_of_range_is_an_error_and_no_silent_zeros(x):
    encoder = OneHotEncoder([3])
    with pytest.raises(ValueError, match=f"A label must be a whole number from 0 to 2. Received: {x}"):
        encoder(np.array([0, x]))
    compiled = tf.function(lambda x: encoder(x), autograph=False)(tf.constant([0, x]))
    assert np.isnan(compiled[1]).all() and np.isfinite(compiled[0]).all()


def test_labels_of_another_number_are_refused():
    with pytest.raises(ValueError, match="must have 2 labels. Received: shape"):
        OneHotEncoder([2, 3])(np.zeros((2, 3), int))
    with pytest.raises(ValueError, match=r"the shape of its bounds, \(2,\). Received: shape"):
        IntegerEncoder([0, 0], [1, 9])(np.zeros((2, 3), int))


# Options


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"netwrk": "small"}, "must be one of network, .*random_seed. Received: netwrk"),
        ({"network": "natur"}, "`network` must be one of auto, nature, impala, small"),
        ({"max_length": 0}, "`max_length` must be an int >= 1"),
        ({"leave_out": ("abd",)}, "`leave_out` must name parts of the observation. Received: abd"),
        ({"leave_out": "abc"}, "`leave_out` must be a tuple of names"),
    ],
    ids=str,
)
@pytest.mark.parametrize("space", [Discrete(3), Dict(abc=Discrete(2)), Box(0.0, 1.0, (3,)), Text(3)], ids=str)
def test_wrong_options_are_refused_whatever_the_space(space, options, text):
    with pytest.raises(ValueError, match=text):
        kg.encoder_for(space, **options)


def test_what_is_no_space_is_refused():
    for function in (kg.encoder_for, lambda x: encode_observation(x, 0)):
        with pytest.raises(ValueError, match="`space` must be a space of gymnasium.spaces. Received: 3"):
            function(3)


# Parts


def test_a_missing_part_is_named():
    encoder = kg.encoder_for(Dict(a=Discrete(2), b=Discrete(3)))
    with pytest.raises(ValueError, match="must have the parts 'a', 'b'. Received: "):
        encoder({"a": np.array([0])})


def test_parts_are_left_out_by_name():
    space = Dict(a=Discrete(2), text=Text(4), inner=Dict(text=Text(4), b=Discrete(3)))
    assert kg.encoder_for(space, leave_out=("text",))(batch(space)).shape == (3, 5)
    with pytest.raises(ValueError, match="at least one part"):
        kg.encoder_for(Dict(text=Text(4)), leave_out=("text",))


def test_padding_and_order_of_a_set_change_nothing():
    encoder = kg.encoder_for(Sequence(Discrete(3)), max_length=4, random_seed=0)
    items, length = np.array([[1, 2, 0, 0], [2, 1, 2, 2], [0, 0, 0, 0]]), np.array([2, 2, 0])
    features = encoder({"items": items, "length": length}).numpy()
    np.testing.assert_allclose(features[0], features[1], rtol=1e-6)
    assert not features[2].any()


def test_texts_of_other_order_have_other_features():
    space = Text(8)
    rows = np.stack([encode_observation(space, x) for x in ("ab cd", "cd ab", "")])
    features = kg.encoder_for(space, random_seed=0)(rows).numpy()
    assert not np.allclose(features[0], features[1]) and not features[2].any()


# One's own


def test_a_graph_has_no_encoder_and_says_what_to_register():
    with pytest.raises(ValueError, match="register.* Received: Graph"):
        kg.encoder_for(Graph(Box(0.0, 1.0, (2,)), None))


def test_one_registration_is_enough_for_a_space_of_one_s_own():
    class Angle(gymnasium.Space):
        def __init__(self):
            super().__init__((), np.float32)

        def sample(self, mask=None, probability=None):
            return np.float32(self.np_random.uniform(0.0, 6.28))

        def contains(self, x):
            return np.shape(x) == ()

    class Circle(keras.layers.Layer):
        def call(self, x):
            return keras.ops.stack([keras.ops.cos(x), keras.ops.sin(x)], axis=-1)

    @kg.encoder_for.register
    def _(space: Angle, **options):
        return Circle()

    encoder = kg.encoder_for(Dict(angle=Angle(), speed=Box(0.0, 1.0, (1,))))
    features = encoder({"angle": np.zeros(2, "float32"), "speed": np.ones((2, 1), "float32")})
    assert features.numpy().tolist() == [[1.0, 0.0, 1.0]] * 2
