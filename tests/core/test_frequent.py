"""Formulas that run eagerly again and again are compiled, and nothing else about them changes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kgdists as kg
from kgdists.core import frequent
from tests.marks import quick
from tests.table import DISTRIBUTIONS, QUICK

CALLS = frequent.FREQUENT + 2


def often(call):
    """What the first call returns, before anything is compiled, and the last one, which is compiled."""
    return [call() for _ in range(CALLS)][:: CALLS - 1]


def assert_same_bits(a, b):
    for x, y in zip(keras.tree.flatten(a), keras.tree.flatten(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


@pytest.mark.few(3)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", quick(QUICK, list(DISTRIBUTIONS)))
def test_frequent_calls_return_the_same_bits(name, dtype):
    p, q = (DISTRIBUTIONS[name]((5,), dtype, np.random.default_rng(seed)) for seed in (0, 1))
    assert_same_bits(*often(lambda: p.sample((2,), seed=3)))
    assert_same_bits(*often(lambda: p.sample_action(seed=3)))
    x = p.sample_action(seed=3)
    assert_same_bits(*often(lambda: p.log_proba(x)))
    levels = (lambda: p.quantile(x), lambda: p.quantile(0.3))
    for method in (p.entropy, lambda: p.cross_entropy(q), lambda: p.kl_divergence(q), *levels):
        try:
            method()
        except (NotImplementedError, ValueError):
            continue
        assert_same_bits(*often(method))


def test_calls_of_one_shape_are_compiled_once(monkeypatch):
    monkeypatch.setattr(frequent, "_calls", frequent.OrderedDict())
    for i in range(20):
        kg.NormalDist(np.full((3, 2), i, "float32"), np.ones((3, 2), "float32")).entropy()
    assert [type(x).__name__ for x in frequent._calls.values()] == ["_Compiled"]


def test_signatures_are_forgotten(monkeypatch):
    monkeypatch.setattr(frequent, "_calls", frequent.OrderedDict())
    monkeypatch.setattr(frequent, "CAPACITY", 4)
    for n in range(1, 10):
        kg.NormalDist(np.ones(n, "float32"), np.ones(n, "float32")).entropy()
    assert len(frequent._calls) == 4


P = kg.NormalDist([[0.5, 1.0]], [[0.0, 1.0]])
BOX = kg.BetaDist([[2.0, 3.0]], [[1.0, 2.0]])


@pytest.mark.parametrize(
    "dist, good, bad",
    [
        (kg.CategoricalDist([[0.0, 1.0]]), tf.constant([1]), tf.constant([2])),
        (kg.CategoricalDist([[0.0, 1.0]]), tf.constant([[0.0, 1.0]]), tf.constant([[1.0, 1.0]])),
        (kg.BernoulliDist([[0.0, 1.0]]), tf.constant([[0.0, 1.0]]), tf.constant([[0.0, 2.0]])),
        (kg.DiscretizedLogisticDist([[0.0]], [[0.0]], low=0, high=3), tf.constant([[3]]), tf.constant([[4]])),
        (P, tf.constant([[0.0, 1.0]]), tf.constant([[0.0, np.nan]])),
        (BOX, tf.constant([[0.1, 0.9]]), tf.constant([[0.1, 1.5]])),
    ],
    ids=["label", "one_hot", "bernoulli", "discretized", "nan", "box"],
)
def test_values_are_checked_in_frequent_calls_too(dist, good, bad):
    with pytest.raises(ValueError) as first:
        dist.log_proba(bad)
    often(lambda: dist.log_proba(good))
    with pytest.raises(ValueError) as last:
        dist.log_proba(bad)
    assert str(first.value) == str(last.value)


def test_frequent_calls_have_gradients_of_both_orders():
    mu = tf.constant([[0.3, -0.2]])

    def gradients():
        with tf.GradientTape() as outer:
            outer.watch(mu)
            with tf.GradientTape() as tape:
                tape.watch(mu)
                y = kg.NormalDist(mu, 0.1 * mu).kl_divergence(P)
            slope = tape.gradient(y, mu)
        return slope, outer.gradient(slope, mu)

    for first, last in zip(*often(gradients), strict=True):
        np.testing.assert_allclose(first, last, rtol=1e-6)


def test_frequent_draws_go_on_from_call_to_call():
    dist = kg.GaussianMixtureDist([0.0, 0.0], [[0.0], [1.0]], [[0.0], [0.0]], random_seed=0)
    twin = kg.GaussianMixtureDist([0.0, 0.0], [[0.0], [1.0]], [[0.0], [0.0]], random_seed=0)
    draws = [dist.sample_action().numpy().item() for _ in range(3 * CALLS)]
    assert len(set(draws)) == 3 * CALLS
    twin_draw = tf.function(twin.sample_action, autograph=False)
    np.testing.assert_allclose([twin_draw().numpy().item() for _ in range(3 * CALLS)], draws, rtol=1e-5)


def test_keras_global_seed_repeats_frequent_draws():
    def draws():
        keras.utils.set_random_seed(7)
        return [P.sample().numpy() for _ in range(CALLS)]

    np.testing.assert_array_equal(draws(), draws())


def test_without_private_parts_the_results_are_close(monkeypatch):
    x = tf.constant([[0.2, 0.7]])
    monkeypatch.setattr("kgdists.core.backend.USES_PRIVATE_PARTS", False)
    first, last = often(lambda: BOX.log_proba(x))
    np.testing.assert_allclose(first, last, rtol=1e-6)


def test_large_tensors_are_fused():
    p = kg.CategoricalDist(tf.random.stateless_normal((5000, 8), (0, 1)))
    q = kg.CategoricalDist(tf.random.stateless_normal((5000, 8), (0, 2)))
    first, last = often(lambda: p.kl_divergence(q))
    np.testing.assert_allclose(first, last, rtol=1e-5, atol=1e-6)
    assert any(
        getattr(x, "function", None) is not None and x.function.function_def.attr["_XlaMustCompile"].b
        for x in frequent._calls.values()
    )
