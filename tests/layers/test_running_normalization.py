import io
import zipfile

import h5py
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


# offset, later shift, rows of an update, updates
LONG_RUNS = [
    (1000.0, 3.0, 1, 200_000),
    (100.0, 0.0, 1, 200_000),
    (-1000.0, -1.0, 1, 100_000),
    (0.0, 0.5, 1, 100_000),
    (1e4, 10.0, 40, 50_000),
    (100.0, 1.0, 40, 50_000),
    (1e6, 1.0, 8, 50_000),
    (0.1, 0.0, 3, 50_000),
    (1e4, 0.01, 2, 50_000),
    (-3.0, 3.0, 16, 50_000),
]


@pytest.mark.few(1)
@pytest.mark.parametrize("offset, shift, rows, updates", LONG_RUNS)
def test_statistics_stay_right_however_many_updates_come(offset, shift, rows, updates):
    pool = (offset + np.random.default_rng(0).normal(size=1000)).astype("float32")
    later = pool + np.float32(shift)
    layer, half = made(shape=()), updates // 2

    @tf.function(jit_compile=True)
    def run(pool, first):
        def step(i):
            layer.update(tf.gather(pool, (i * rows + tf.range(rows)) % 1000))
            return (i + 1,)

        tf.while_loop(lambda i: i < first + half, step, [first])

    for numbers, first in ((pool, 0), (later, half)):
        run(tf.constant(numbers), tf.constant(first))
    seen = np.arange(2 * half * rows) % 1000
    everything = np.where(np.arange(len(seen)) < half * rows, pool.astype(float)[seen], later.astype(float)[seen])
    deviation = everything.std()
    assert abs(float(layer.mean) - everything.mean()) < 1e-3 * deviation
    assert abs(float(layer.variance) ** 0.5 - deviation) < 1e-3 * deviation


@pytest.mark.few(4)
@pytest.mark.parametrize("rows", [1, 40, 2048])
@pytest.mark.parametrize("offset", [0.0, 100.0, 1000.0, -1e5])
def test_a_billion_updates_leave_the_statistics_able_to_move(offset, rows):
    layer = made(shape=())
    count = 1e9 * rows
    layer.mean.assign(offset)
    layer.count.assign(count)
    for _ in range(20):
        layer.update(np.full(rows, offset + 3.0, "float32"))
    share = 20 * rows / (count + 20 * rows)
    assert float(layer.count) == count + 20 * rows
    np.testing.assert_allclose(float(layer.mean) - offset, 3.0 * share, rtol=1e-2)
    np.testing.assert_allclose(float(layer.variance) - 1.0, share * (9.0 * (1.0 - share) - 1.0), rtol=1e-2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_reaches_no_statistics(bad):
    first, second = batches(5, 6)
    worse = second.copy()
    worse[3, 1] = bad
    layer, twin = made(first, worse, second), made(first, second)
    for mine, theirs in zip(layer.variables, twin.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("size", [1e-8, 1e18, 1e30, 3e38])
def test_observations_of_any_size_that_float32_holds_are_standardized(size):
    x = (size * np.array([[-1.0], [0.5], [0.5]])).astype("float32")
    layer = made(x, shape=(1,), epsilon=1e-60)
    np.testing.assert_allclose(layer(x), x / x.std(dtype="float64"), rtol=1e-4)


def test_no_rows_change_nothing():
    layer = made(*batches(5))
    before = layer.get_weights()
    layer.update(np.zeros((0, 3), "float32"))
    np.testing.assert_equal(layer.get_weights(), before)


def test_a_file_with_float32_statistics_loads(tmp_path):
    model = keras.Sequential([keras.Input((3,)), RunningNormalization()])
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO(files["model.weights.h5"])
    expected = [np.float32([0.1, 1e6, -3.0]), np.float32([0.5, 2.0, 1e-3]), np.float32(17.0)]
    with h5py.File(weights, "r+") as h5:
        group = h5["layers/running_normalization/vars"]
        for i, x in enumerate(expected):
            del group[str(i)]
            group[str(i)] = x
    files["model.weights.h5"] = weights.getvalue()
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    loaded = keras.models.load_model(tmp_path / "old.keras")
    np.testing.assert_equal(loaded.layers[0].get_weights(), [x.astype("float64") for x in expected])


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
