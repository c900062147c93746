"""What is particular to the heads of choices: masks, and their arguments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdists.layers import (
    BernoulliHead,
    CategoricalHead,
    DiscretizedLogisticHead,
    MultiCategoricalHead,
    RelaxedOneHotHead,
)
from tests.marks import exhaustive

FEATURES = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
MASKED = {
    "categorical": (lambda **options: CategoricalHead(3, **options), [True, False, True]),
    "bernoulli": (lambda **options: BernoulliHead(3, **options), [2, 0, 1]),
    "multi_categorical": (lambda **options: MultiCategoricalHead([2, 3], **options), [1, 0, 1, 1, 0]),
}
each_masked = pytest.mark.parametrize("make, row", MASKED.values(), ids=MASKED)


def masks(row):
    return np.tile(row, (7, 1))


@each_masked
def test_an_action_mask_is_that_of_the_distribution(make, row):
    head = make(random_seed=3)
    free, masked = head(FEATURES), head(FEATURES, masks(row))
    want = type(free)(**free.params, **free._static(), mask=masks(row))
    np.testing.assert_array_equal(masked.logits, want.logits)
    np.testing.assert_array_equal(head(FEATURES, action_mask=masks(row)).logits, want.logits)
    np.testing.assert_array_equal(head(FEATURES, None).logits, free.logits)
    assert np.isinf(masked.logits).any() and np.isfinite(masked.entropy()).all()


@pytest.mark.few(1)
@each_masked
def test_a_mask_as_an_input_of_a_model(make, row, tmp_path):
    inputs = [keras.Input((4,)), keras.Input((len(row),), dtype="int8")]
    pi = make()(*inputs)
    model = keras.Model(inputs, [pi.entropy(), pi.sample_action(), pi.log_proba(pi.mode_action())])
    model.save(tmp_path / "model.keras")
    loaded, x = keras.models.load_model(tmp_path / "model.keras"), [FEATURES, masks(row).astype("int8")]
    for got, want in zip(loaded(x)[::2], model(x)[::2], strict=True):
        assert np.isfinite(got).all()
        np.testing.assert_array_equal(got, want)


@pytest.mark.exhaustive
@each_masked
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
def test_gradients_under_a_mask_are_finite(make, row, jit_compile):
    head = make(kernel_gain=1.0)
    head.build((None, 4))

    @tf.function(jit_compile=jit_compile)
    def gradients(features, mask):
        with tf.GradientTape() as tape:
            pi = head(features, mask)
            loss = tf.reduce_sum(pi.entropy() + pi.log_proba(pi.sample_action()))
        return tape.gradient(loss, head.trainable_variables)

    for gradient in gradients(FEATURES, masks(row)):
        assert np.isfinite(gradient).all() and np.any(gradient)


@each_masked
@pytest.mark.parametrize("dtype", ["mixed_float16", "float16", "bfloat16"])
def test_masks_in_half_precision(make, row, dtype):
    pi = make(dtype=dtype)(FEATURES, masks(row))
    assert pi.dtype == ("float32" if dtype.startswith("mixed") else dtype)
    assert np.isfinite(tf.cast(pi.entropy(), "float32")).all()


@each_masked
def test_a_mask_of_another_shape(make, row):
    with pytest.raises(ValueError, match="`mask` must have the shape of `logits`"):
        make()(FEATURES, masks(row)[:1])


@pytest.mark.parametrize(
    "make", [CategoricalHead, RelaxedOneHotHead, BernoulliHead, lambda n: MultiCategoricalHead(np.array([n, 2]))]
)
def test_sizes_may_be_integers_of_numpy(make):
    head = make(np.int64(3))
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert twin.get_config() == head.get_config()


@pytest.mark.parametrize("num_dims", [0, -1, 2.5, "3", None, True])
def test_bad_num_dims(num_dims):
    with pytest.raises(ValueError, match="`num_dims` must be an int >= 1. Received: num_dims="):
        BernoulliHead(num_dims)


@pytest.mark.parametrize("nvec", [[], [0, 7], 7, None, [2.5], ["3"], [True]])
def test_bad_nvec(nvec):
    with pytest.raises(ValueError, match="`nvec` must be a sequence of ints >= 1. Received: nvec="):
        MultiCategoricalHead(nvec)


@pytest.mark.parametrize("low, high", [(0, 255), (-(2**63), 2**63 - 1), ([0, 5], [9, 5]), (-3, [3, 300])])
def test_integers_start_around_the_middle_of_their_bounds(low, high):
    pi = DiscretizedLogisticHead(2, low, high, kernel_gain=0.0)(FEATURES)
    bounds = np.broadcast_to(np.asarray(low, float), 2), np.broadcast_to(np.asarray(high, float), 2)
    np.testing.assert_allclose(pi.mu, np.tile(np.mean(bounds, axis=0), (7, 1)), rtol=1e-6, atol=0.5)
    stddev = np.exp(pi.logscale) * np.pi / 3**0.5
    np.testing.assert_allclose(stddev, np.tile(0.5 * np.maximum((bounds[1] - bounds[0]) / 2, 0.5), (7, 1)), rtol=1e-4)
    assert np.isfinite(pi.log_proba(pi.sample_action())).all()


@pytest.mark.parametrize("bound", [[0], [0, 0, 0], 0.5, None])
def test_bad_bounds(bound):
    with pytest.raises(ValueError, match="`low` must be an int64 or a sequence of n = 2 of them. Received: low="):
        DiscretizedLogisticHead(2, bound, 9)
