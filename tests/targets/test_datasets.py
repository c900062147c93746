"""Datasets of draws: one sequence whatever part of it is asked for, and however."""

import hashlib
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdists.targets import DiagonalGaussianMixture, GaussianMixture, rows
from tests.marks import exhaustive
from tests.processes import run_python

FAR = 10**12
TARGETS = {"diag": DiagonalGaussianMixture.create_gmm40(), "full": GaussianMixture.create_tutorial(kB_T=2.0)}
ALL = {"include_samples": True, "include_log_probs": True, "include_scores": True}


@pytest.fixture(params=TARGETS.values(), ids=TARGETS.keys())
def target(request):
    return request.param


# One sequence.


@pytest.mark.few(1)
def test_the_first_rows_do_not_depend_on_the_length(target):
    x = target.load_dataset("train", 1500).get_samples()
    assert x.shape == (1500, 2) and x.dtype == "float64"
    for length in (0, 1, 5, 37, 200, 1024, 1025):
        np.testing.assert_array_equal(target.load_dataset("train", length).get_samples(), x[:length])
    np.testing.assert_array_equal(target.load_dataset("train", 1500).get_samples(3), x[:3])


def test_any_slice_is_that_of_the_whole(target):
    x = target.load_dataset("val", 300).get_samples()
    for start, length in ((0, 10), (1, 2), (123, 100), (299, 1)):
        part = target.load_dataset("val", length, start=start)
        assert len(part) == length
        np.testing.assert_array_equal(part.get_samples(), x[start : start + length])


def test_types_and_seeds_have_sequences_of_their_own(eagerly):
    parts = [
        GaussianMixture.create_tutorial(procedural_seed=seed).load_dataset(type, 1000).get_samples()
        for seed in (0, 1, -1)
        for type in ("train", "val", "test")
    ]
    assert len(np.unique(np.concatenate(parts)[:, 0])) == 9000
    noise = [part[:, 0] for part in parts]
    assert np.abs(np.corrcoef(noise) - np.eye(9)).max() < 0.15
    again = GaussianMixture.create_tutorial(procedural_seed=1).load_dataset("train", 1000).get_samples()
    np.testing.assert_array_equal(again, parts[3])


@pytest.mark.exhaustive
@pytest.mark.parametrize("start", [0, 5, FAR])
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
def test_rows_are_the_same_bit_for_bit_in_all_modes(target, jit_compile, start):
    want = target.load_dataset("train", 33, start=start).get_samples()
    draw = tf.function(lambda start: target.draw_rows(0, 0, start, 33), jit_compile=jit_compile)
    np.testing.assert_array_equal(draw(tf.constant(start, "int64")), want)


def test_rows_are_the_same_bit_for_bit_uncompiled(eagerly, target):
    x = target.load_dataset("train", 33, start=FAR).get_samples()
    tf.config.run_functions_eagerly(False)
    np.testing.assert_array_equal(target.load_dataset("train", 33, start=FAR).get_samples(), x)


@pytest.mark.parametrize(
    "kind, start, digest",
    [
        ("diag", 0, "4117d5083c86bc71"),
        ("diag", FAR, "0e339373f67bf3f5"),
        ("full", 0, "03f3b5e66810642c"),
        ("full", FAR, "226450d9af04c803"),
    ],
)
def test_rows_are_the_same_on_every_machine(kind, start, digest):
    x = TARGETS[kind].load_dataset("train", 1000, start=start).get_samples()
    assert hashlib.sha256(x.tobytes()).hexdigest()[:16] == digest


@pytest.mark.exhaustive
def test_many_dimensions(eagerly):
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(2, 40, 40))
    target = GaussianMixture(rng.normal(size=(2, 40)), factors @ np.swapaxes(factors, 1, 2) + np.eye(40), [0.0, 1.0])
    x = target.load_dataset("train", 20_000).get_samples()
    np.testing.assert_allclose(np.cov(x.T), target.distribution.covariance(), atol=3.0)
    compiled = tf.function(lambda: target.draw_rows(0, 0, 7, 3), jit_compile=True)
    tf.config.run_functions_eagerly(False)
    np.testing.assert_array_equal(compiled(), x[7:10])


def test_blocks_of_rows_fit_together(monkeypatch, eagerly):
    x = TARGETS["full"].load_dataset("train", 100).get_samples()
    monkeypatch.setattr(rows, "FEW", 4)
    monkeypatch.setattr(rows, "MANY", 32)
    for length in (0, 1, 4, 9, 31, 32, 33, 41, 100):
        np.testing.assert_array_equal(TARGETS["full"].load_dataset("train", length).get_samples(), x[:length])


def test_far_rows_cost_what_the_first_ones_do(target):
    datasets = [target.load_dataset("train", 1000, start=start) for start in (0, FAR)]
    times: list = [[], []]
    for _ in range(30):
        for dataset, own in zip(datasets, times, strict=True):
            begin = time.perf_counter()
            dataset.get_samples()
            own.append(time.perf_counter() - begin)
    assert min(times[1]) < 2 * min(times[0])


# What is known of the rows.


def test_log_probs_scores_energies_and_forces():
    target = TARGETS["full"]
    dataset = target.load_dataset("test", 10, start=3, **ALL)
    x = dataset.get_samples()
    np.testing.assert_array_equal(dataset.get_log_probs(), target.log_prob(x))
    np.testing.assert_array_equal(dataset.get_energies(), -2.0 * target.log_prob(x))
    np.testing.assert_array_equal(dataset.get_scores(), target.score(x))
    np.testing.assert_array_equal(dataset.get_forces(4), 2.0 * target.score(x[:4]))


# Streams.


@pytest.mark.exhaustive
def test_a_stream_goes_through_all_rows_and_past_the_length(target):
    stream = target.load_dataset("train", 10, start=5).as_tf_dataset(8, dtype="float64")
    assert stream.element_spec == tf.TensorSpec((8, 2), "float64")
    assert stream.cardinality() == tf.data.INFINITE_CARDINALITY
    got = np.concatenate(list(stream.take(4).as_numpy_iterator()))
    np.testing.assert_array_equal(got, target.load_dataset("train", 32, start=5).get_samples())


def test_a_stream_is_of_the_dtype_that_models_compute_in():
    stream = TARGETS["full"].load_dataset("train", 10).as_tf_dataset(8)
    assert stream.element_spec.dtype == "float32"


@pytest.mark.exhaustive
def test_a_stream_of_what_is_included():
    target = TARGETS["full"]
    dataset = target.load_dataset("train", 8, **ALL)
    batch = next(iter(dataset.as_tf_dataset(8, dtype="float64")))
    np.testing.assert_array_equal(batch["samples"], dataset.get_samples())
    np.testing.assert_allclose(batch["log_probs"], dataset.get_log_probs(), rtol=1e-12)
    np.testing.assert_allclose(batch["scores"], dataset.get_scores(), rtol=1e-10)
    scores = target.load_dataset("train", 8, include_samples=False, include_scores=True)
    np.testing.assert_allclose(next(iter(scores.as_tf_dataset(8)))["scores"], dataset.get_scores(), rtol=1e-4)


@pytest.mark.exhaustive
def test_shards_do_not_overlap_and_leave_nothing_out():
    dataset = TARGETS["full"].load_dataset("train", 48)
    whole = dataset.as_tf_dataset(8, dtype="float64")
    for shards in (
        [whole.shard(3, i) for i in range(3)],
        [dataset.as_tf_dataset(8, dtype="float64", num_shards=3, shard_index=i) for i in range(3)],
    ):
        batches = [list(shard.take(2).as_numpy_iterator()) for shard in shards]
        in_turn = np.concatenate([batch for turn in zip(*batches, strict=True) for batch in turn])
        np.testing.assert_array_equal(in_turn, dataset.get_samples())


@pytest.mark.exhaustive
def test_devices_get_rows_of_their_own():
    code = """
        import numpy as np
        import tensorflow as tf
        from kgdists.targets import GaussianMixture

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        dataset = GaussianMixture.create_tutorial().load_dataset("train", 24)
        stream = dataset.as_tf_dataset(8, dtype="float64")
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        batches = iter(strategy.experimental_distribute_dataset(stream.with_options(options)))
        parts = [part for _ in range(3) for part in strategy.experimental_local_results(next(batches))]
        assert [part.shape[0] for part in parts] == [4] * 6
        np.testing.assert_array_equal(np.concatenate(parts), dataset.get_samples())
    """
    run_python(code)


def test_a_model_fits_a_stream():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    stream = TARGETS["full"].load_dataset("train", 10).as_tf_dataset(32).map(lambda x: (x, x))
    history = model.fit(stream, steps_per_epoch=3, epochs=2, shuffle=False, verbose=0).history["loss"]
    assert np.isfinite(history).all()


# Errors.


@pytest.mark.parametrize(
    "arguments, options, text",
    [
        (("dev", 5), {}, "`type` must be one of train, val, test. Received: type='dev'"),
        (("train", -1), {}, "`length` must be an int >= 0. Received: length=-1"),
        (("train", 1.0), {}, "`length` must be an int >= 0. Received: length=1.0"),
        (("train", 5), {"start": -1}, "`start` must be an int >= 0. Received: start=-1"),
        (("train", 5), {"start": 2**48}, "A sequence has 281474976710656 rows. Received: start=281474976710656"),
        (("train", 5), {"include_samples": False}, "At least one of samples, log_probs and scores must be included"),
    ],
)
def test_bad_datasets(arguments, options, text):
    with pytest.raises(ValueError, match=text):
        TARGETS["full"].load_dataset(*arguments, **options)


def test_the_seed_is_that_of_the_target():
    with pytest.raises(TypeError, match="seed"):
        TARGETS["full"].load_dataset("train", 5, seed=0)


@pytest.mark.parametrize(
    "method, name",
    [("samples", "samples"), ("log_probs", "log_probs"), ("energies", "log_probs"), ("forces", "scores")],
)
def test_what_is_not_included_says_so(method, name):
    included = {"samples": "scores", "scores": "samples", "log_probs": "samples"}[name]
    dataset = TARGETS["full"].load_dataset("train", 5, **{"include_samples": False, f"include_{included}": True})
    with pytest.raises(ValueError, match=f"The dataset has no {name}: load it with include_{name}=True"):
        getattr(dataset, f"get_{method}")()


@pytest.mark.parametrize("length", [-2, 6, 1.0])
def test_bad_lengths_of_what_is_loaded(length):
    with pytest.raises(ValueError, match="`length` must be .* Received: length="):
        TARGETS["full"].load_dataset("train", 5).get_samples(length)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"batch_size": 0}, "`batch_size` must be an int >= 1. Received: batch_size=0"),
        ({"batch_size": 8, "num_shards": 0}, "`num_shards` must be an int >= 1"),
        ({"batch_size": 8, "shard_index": 1}, "`shard_index` must be below `num_shards`"),
    ],
)
def test_bad_streams(options, text):
    with pytest.raises(ValueError, match=text):
        TARGETS["full"].load_dataset("train", 5).as_tf_dataset(**options)
