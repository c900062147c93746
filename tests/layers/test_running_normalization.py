import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdists.layers import RunningNormalization


def batches(*sizes, shape=(3,), offset=0.0):
    rng = np.random.default_rng(0)
    return [(offset + rng.normal(size=(n, *shape)) * np.exp(rng.normal())).astype("float32") for n in sizes]


def made(*updates, shape=(3,), **options):
    layer = RunningNormalization(**options)
    layer.build((None, *shape))
    for x in updates:
        layer.update(x)
    return layer


def test_statistics_are_those_of_everything_seen():
    seen = batches(5, 1, 17, 64)
    layer, everything = made(*seen), np.concatenate(seen).astype("float64")
    np.testing.assert_allclose(layer.mean, everything.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.variance, everything.var(axis=0), rtol=1e-5)
    assert layer.count == 87


def test_far_offsets_cost_no_more_than_their_rounding():
    seen = batches(50, 50, offset=1000.0)
    layer, everything = made(*seen), np.concatenate(seen).astype("float64")
    np.testing.assert_allclose(layer.variance, everything.var(axis=0), rtol=1e-3)


def test_a_batch_may_be_given_by_its_moments():
    seen = batches(5, 17)
    layer = made()
    for x in seen:
        layer.update_moments(len(x), x.mean(axis=0), x.var(axis=0))
    for mine, theirs in zip(layer.variables, made(*seen).variables, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.exhaustive
def test_many_batches():
    seen = batches(*[8] * 200)
    layer, everything = made(*seen), np.concatenate(seen).astype("float64")
    np.testing.assert_allclose(layer.mean, everything.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.variance, everything.var(axis=0), rtol=1e-4)


def test_seen_values_come_out_with_mean_0_and_variance_1():
    (x,) = batches(500, offset=3.0)
    normalised = made(x)(x).numpy()
    np.testing.assert_allclose(normalised.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(normalised.var(axis=0), 1.0, rtol=1e-4)


def test_before_the_first_update_it_only_clips():
    np.testing.assert_allclose(made()(np.array([[-20.0, 0.5, 20.0]])), [[-10.0, 0.5, 10.0]])


def test_clip():
    (x,) = batches(500)
    assert np.abs(made(x, clip=1.5)(100.0 * x)).max() == 1.5


def test_a_constant_dimension_becomes_zero():
    x = np.full((10, 3), 7.0, "float32")
    np.testing.assert_array_equal(made(x)(x), np.zeros((10, 3)))


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_observations_of_every_rank(shape):
    (x,) = batches(50, shape=shape)
    layer = made(x, shape=shape)
    np.testing.assert_allclose(layer.mean, x.mean(axis=0), atol=1e-5)
    assert layer(x).shape == x.shape


def test_update_takes_several_batch_axes():
    (x,) = batches(24)
    np.testing.assert_array_equal(made(x.reshape(4, 6, 3)).variance, made(x).variance)


def test_update_inside_xla():
    seen = batches(8, 8)
    compiled, eager = made(), made(*seen)
    update = tf.function(compiled.update, jit_compile=True)
    for x in seen:
        update(tf.constant(x))
    np.testing.assert_allclose(compiled.mean, eager.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(compiled.variance, eager.variance, rtol=1e-5)


def test_calling_does_not_change_the_statistics():
    layer = made(*batches(9))
    before = layer.get_weights()
    layer(batches(9)[0], training=True)
    np.testing.assert_equal(layer.get_weights(), before)


def test_nothing_to_train():
    assert made().trainable_variables == []


@pytest.mark.parametrize("policy", ["float16", "mixed_float16", "mixed_bfloat16", "float64"])
def test_dtype_policies_keep_the_precision_of_the_statistics(policy):
    x = np.array([[7.0, 1e5, 3.0], [7.0, -1e5, 4.0]], "float32")  # constant, beyond float16, ordinary
    layer = made(x, dtype=policy)
    normalised = layer(x)
    assert normalised.dtype == layer.compute_dtype
    np.testing.assert_allclose(tf.cast(normalised, "float32"), [[0.0, 1.0, -1.0], [0.0, -1.0, 1.0]], atol=1e-3)


def test_saved_with_the_model(tmp_path):
    (x,) = batches(50, offset=3.0)
    layer = RunningNormalization(clip=2.0, epsilon=1e-3)
    model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(2)])
    layer.update(x)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.layers[0].count == 50


def test_config_round_trip():
    layer = RunningNormalization(clip=2.0, epsilon=1e-3, name="observations")
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(twin) is RunningNormalization and twin.get_config() == layer.get_config()


@pytest.mark.parametrize("number", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["clip", "epsilon"])
def test_bad_arguments(name, number):
    with pytest.raises(ValueError, match=f"`{name}` must be a finite number > 0. Received: {name}={number}"):
        RunningNormalization(**{name: number})
