"""Temperatures that are tensors: read when the value is made, a parameter of it, with gradients."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import kgdists as kg

RNG = np.random.default_rng
B = 4
LOGITS = RNG(0).normal(size=(B, 5))
MU = RNG(1).normal(size=(B, 5, 2))


def composite(tau, choice=kg.CategoricalDist):
    return kg.CompositeDist((choice(LOGITS, boltzmann_tau=tau), kg.NormalDist(LOGITS, LOGITS)))


# By class: the name of the temperature, a constructor, and a relaxed draw of what it makes.
CLASSES = {
    "categorical": ("boltzmann_tau", lambda tau: kg.CategoricalDist(LOGITS, tau), lambda d, **k: d.sample(**k)),
    "bernoulli": ("boltzmann_tau", lambda tau: kg.BernoulliDist(LOGITS, tau), lambda d, **k: d.sample(**k)),
    "multi_categorical": (
        "boltzmann_tau",
        lambda tau: kg.MultiCategoricalDist(LOGITS, [2, 3], tau),
        lambda d, **k: d.sample(**k),
    ),
    "gaussian_mixture": (
        "gumbel_tau",
        lambda tau: kg.GaussianMixtureDist(LOGITS, MU, MU, gumbel_tau=tau),
        lambda d, **k: d.relaxed_sample(**k),
    ),
    "relaxed_one_hot": (
        "temperature",
        lambda tau: kg.RelaxedOneHotCategorical(tau, logits=LOGITS),
        lambda d, **k: d.rsample(**k),
    ),
    "composite": ("0/boltzmann_tau", composite, lambda d, **k: d.sample(**k)[0]),
    "one_of": (
        "0/boltzmann_tau",
        lambda tau: kg.OneOfDist(
            (kg.CategoricalDist(LOGITS, tau), tuple(kg.NormalDist(LOGITS, LOGITS) for _ in range(5)))
        ),
        lambda d, **k: d.sample(**k)[0],
    ),
}
each_class = pytest.mark.parametrize("name, make, draw", CLASSES.values(), ids=CLASSES)


@each_class
def test_a_tensor_temperature_is_a_parameter_of_the_batch_shape(name, make, draw):
    number, tensor, rows = make(0.3), make(tf.constant(0.3, "float64")), make(np.linspace(0.1, 0.9, B))
    for dist in (tensor, rows):
        assert tuple(dist.params[name].shape) == (B,) and dist.batch_shape == number.batch_shape
    np.testing.assert_allclose(draw(tensor, seed=0), draw(number, seed=0), rtol=1e-9)
    np.testing.assert_array_equal(rows[1:3].params[name], rows.params[name][1:3])


@pytest.mark.few(5)
@each_class
def test_gradients_reach_a_temperature(name, make, draw):
    weights = RNG(2).normal(size=draw(make(1.0), sample_shape=3, seed=0).shape)

    def value(tau):
        return ops.sum(weights * draw(make(tau), sample_shape=3, seed=0))

    for tau in (tf.Variable(0.4, dtype="float64"), tf.Variable(np.linspace(0.3, 0.9, B))):
        with tf.GradientTape() as tape:
            total = value(tau)
        gradient = np.sum(tape.gradient(total, tau))
        up, down = (float(value(tf.constant(tau + step))) for step in (1e-6, -1e-6))
        assert gradient != 0
        np.testing.assert_allclose(gradient, (up - down) / 2e-6, rtol=1e-5, atol=1e-8)


@each_class
def test_a_variable_is_read_when_the_value_is_made(name, make, draw):
    tau = tf.Variable(0.5, dtype="float64")
    dist = make(tau)
    before = np.array(draw(dist, seed=0))
    tau.assign(5.0)
    np.testing.assert_array_equal(draw(dist, seed=0), before)


@pytest.mark.few(3)
@each_class
def test_a_tensor_temperature_survives_copies_files_and_functions(name, make, draw):
    dist = make(np.linspace(0.1, 0.9, B))
    config = keras.saving.serialize_keras_object(dist)
    through = tf.function(lambda d: d, autograph=False)(dist)
    twins = [keras.saving.deserialize_keras_object(config), copy.deepcopy(dist), pickle.loads(pickle.dumps(dist))]
    for twin in (*twins, through, type(dist).from_params(dist.params, **dist._static())):
        assert twin.params.keys() == dist.params.keys() and twin._static() == dist._static()
        np.testing.assert_array_equal(draw(twin, seed=0), draw(dist, seed=0))


@pytest.mark.few(2)
@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
@each_class
def test_a_new_number_in_a_tensor_does_not_trace_again(name, make, draw, jit_compile):
    traces = []

    @tf.function(jit_compile=jit_compile, autograph=False)
    def drawn(tau):
        traces.append(tau)
        return draw(make(tau), seed=0)

    for tau in (0.2, 1.0):
        np.testing.assert_allclose(drawn(tf.constant(tau, "float64")), draw(make(tau), seed=0), rtol=1e-5, atol=1e-7)
    assert len(traces) == 1


@pytest.mark.few(2)
@each_class
def test_a_temperature_from_a_graph_that_is_not_positive_makes_draws_nan(name, make, draw):
    drawn = tf.function(lambda tau: draw(make(tau), seed=0), autograph=False)
    for bad in (0.0, -1.0, float("inf"), float("nan")):
        assert np.isnan(drawn(tf.constant(bad, "float64"))).all()


@each_class
def test_bad_temperatures_are_one_line(name, make, draw):
    last = name.split("/")[-1]
    for bad, text in (
        (tf.constant(0.0), "finite and > 0. Received: 0.0"),
        (tf.Variable(float("nan")), "finite and > 0. Received: nan"),
        (np.array([1.0, 1.0, -2.0, 1.0]), r"finite and > 0. Received: -2.0 at index \[2\]"),
        (np.ones(3), r"a number or have the batch shape. Received: .* of shape \(3,\) for a batch of shape \(4,\)"),
        (np.ones((B, 1)), "a number or have the batch shape"),
        (tf.constant(True), "a float tensor"),
        (tf.constant("cold"), "a float tensor"),
    ):
        with pytest.raises(ValueError, match=f"`{last}` must be {text}"):
            make(bad)


def test_draws_in_a_functional_model_take_the_temperature_from_an_input():
    inputs, tau = keras.Input((5,)), keras.Input(())
    model = keras.Model([inputs, tau], kg.CategoricalDist(inputs, tau).sample(seed=0))
    x = LOGITS.astype("float32")
    cold, hot = (model([x, np.full(B, t, "float32")]) for t in (1e-3, 1e3))
    np.testing.assert_allclose(np.max(cold, axis=-1), 1.0, atol=1e-3)
    np.testing.assert_allclose(hot, 0.2, atol=0.01)


def test_divergences_do_not_ask_for_the_temperature():
    p, q = (kg.MultiCategoricalDist(LOGITS, [2, 3], tau) for tau in (tf.constant(0.3), 0.2))
    np.testing.assert_allclose(p.kl_divergence(q), 0.0, atol=1e-12)
    np.testing.assert_allclose(q.cross_entropy(p), p.entropy(), rtol=1e-12)
