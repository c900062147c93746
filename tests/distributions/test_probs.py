"""`probs` in the place of `logits`, for every class of choices."""

import copy

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from keras import ops

import kgdists as kg

INF = float("inf")


def mixture(**given):
    dtype = getattr(next(iter(given.values()), None), "dtype", "float32")
    mu = ops.convert_to_tensor([[-1.0], [0.0], [2.0]], dtype)
    return kg.GaussianMixtureDist(mu=mu, logvar=mu, **given)


# By class: a constructor, probabilities with an exact zero, and what reads them back.
CLASSES = {
    "categorical": (kg.CategoricalDist, [0.0, 0.3, 0.7], lambda d: d.probs),
    "bernoulli": (kg.BernoulliDist, [0.0, 0.3, 1.0], lambda d: d.probs),
    "multi_categorical": (
        lambda **given: kg.MultiCategoricalDist(nvec=[2, 3], **given),
        [0.4, 0.6, 0.0, 0.3, 0.7],
        lambda d: d.probs,
    ),
    "gaussian_mixture": (
        mixture,
        [0.0, 0.3, 0.7],
        lambda d: ops.exp(d.log_weights),
    ),
    "relaxed_one_hot": (
        lambda **given: kg.RelaxedOneHotCategorical(0.5, **given),
        [0.0, 0.3, 0.7],
        lambda d: d.probs,
    ),
}
each_class = pytest.mark.parametrize("make, probs, read", CLASSES.values(), ids=CLASSES)
NORMALIZED = [name for name in CLASSES if name not in ("bernoulli", "relaxed_one_hot")]


@each_class
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_probabilities_come_back_and_zeros_are_exact(make, probs, read, dtype):
    dist = make(probs=np.array(probs, dtype))
    assert dist.dtype == dtype and next(iter(dist.params)) == "logits"
    np.testing.assert_allclose(read(dist), probs, rtol=1e-6 if dtype == "float32" else 1e-14)
    np.testing.assert_array_equal(np.isneginf(dist.logits), np.array(probs) == 0)
    for twin in (type(dist).from_config(dist.get_config()), copy.deepcopy(dist)):
        np.testing.assert_array_equal(twin.logits, dist.logits)
    again = type(dist).from_params(dist.params, **dist._static())
    np.testing.assert_array_equal(again.logits, dist.logits)


def test_draws_have_the_frequencies_given():
    probs = np.array([0.1, 0.2, 0.7])
    many = kg.CategoricalDist(probs=np.tile(probs, (5000, 1)))
    assert scipy.stats.chisquare(np.bincount(many.sample_action(seed=0)), 5000 * probs).pvalue > 1e-3
    assert (
        scipy.stats.binomtest(
            int(kg.BernoulliDist(probs=np.full((1, 5000), 0.3)).sample_action(seed=0).numpy().sum()), 5000, 0.3
        ).pvalue
        > 1e-3
    )


@each_class
def test_gradients_reach_probabilities_and_are_finite_beside_zeros(make, probs, read):
    variable = tf.Variable(np.array(probs, "float64"))
    with tf.GradientTape() as tape:
        value = ops.sum(ops.square(read(make(probs=variable))))
    gradient = tape.gradient(value, variable).numpy()
    assert np.isfinite(gradient).all() and np.any(gradient[1:]) and gradient[np.array(probs) == 0].tolist() in ([0], [])


def test_the_gradient_is_that_of_the_logarithm():
    p = tf.constant([0.25, 0.75], "float64")
    with tf.GradientTape() as tape:
        tape.watch(p)
        value = kg.BernoulliDist(probs=p).log_proba(np.array([1.0, 0.0]))
    np.testing.assert_allclose(tape.gradient(value, p), [4.0, -4.0], rtol=1e-12)
    with tf.GradientTape() as tape:
        tape.watch(p)
        value = kg.CategoricalDist(probs=p).log_proba([1])
    np.testing.assert_allclose(tape.gradient(value, p), [-1.0, 1.0 / 0.75 - 1.0], rtol=1e-12)  # of p / sum(p)


@pytest.mark.parametrize("name", [n for n in CLASSES if n != "gaussian_mixture"])  # whose means have no batch here
def test_probabilities_may_be_symbolic(name):
    make, probs, _ = CLASSES[name]
    inputs = keras.Input((len(probs),))
    model = keras.Model(inputs, [make(probs=inputs).sample_action(), make(probs=inputs).probs])
    x = np.tile(np.array(probs, "float32"), (4, 1))
    np.testing.assert_allclose(model(x)[1], x, rtol=1e-6)
    assert len(model(x)[0]) == 4


@each_class
def test_exactly_one_of_probs_and_logits(make, probs, read):
    for given, received in (({}, "neither"), ({"probs": probs, "logits": probs}, "both")):
        with pytest.raises(
            ValueError, match=f"Exactly one of `probs` and `logits` must be given. Received: {received}"
        ):
            make(**given)


@pytest.mark.parametrize("name", [n for n in CLASSES if n != "relaxed_one_hot"])
@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan"), INF])
def test_probabilities_are_from_0_to_1(name, bad):
    make, probs, _ = CLASSES[name]
    with pytest.raises(ValueError, match=r"`probs` must be from 0 to 1. Received: .* at index \[1\]"):
        make(probs=[probs[0], bad, *probs[2:]])


@pytest.mark.parametrize("name", NORMALIZED)
def test_probabilities_sum_to_one(name):
    make, probs, _ = CLASSES[name]
    off = np.array(probs)
    off[-1] -= 0.01
    with pytest.raises(ValueError, match="`probs` must sum to 1 for each choice: .* Received: 0.99"):
        make(probs=off)
    traced = tf.function(lambda x: make(probs=x).logits)
    assert np.isnan(traced(off)).any() and not np.isnan(traced(np.array(probs))).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_softmax_of_many_sums_to_one_to_rounding(dtype):
    x = ops.softmax(ops.cast(np.random.default_rng(0).normal(size=(3, 2000)), dtype))
    assert kg.CategoricalDist(probs=x).dtype == dtype


def test_a_mask_takes_its_part_of_the_probabilities():
    pi = kg.CategoricalDist(probs=[0.2, 0.3, 0.5], mask=[True, False, True])
    np.testing.assert_allclose(pi.probs, [2 / 7, 0.0, 5 / 7], rtol=1e-6)
