"""Distributions made of others, several deep: what all of them keep, in one table."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

import kgdists as kg
from kgdists.distributions import transforms as t
from tests.marks import quick

RNG = np.random.default_rng


def normal(*batch):
    rng = RNG(0)
    return kg.NormalDist(*rng.normal(size=(2, *batch, 1)).astype("float32"))


def log_normal(*batch):
    return kg.Transformed(normal(*batch), t.Exp())


def counts(*batch):
    mu, logscale = RNG(1).normal(size=(2, *batch, 1)).astype("float32")
    return kg.DiscretizedLogisticDist(mu, logscale, 0, 20)


def logits(*shape):
    return RNG(2).normal(size=shape).astype("float32")


NESTED = {
    "mixture_of_truncated_log_normals": lambda: kg.MixtureDist(logits(5, 3), kg.Truncated(log_normal(5, 3), 0.5, 9.0)),
    "zero_inflated_truncated_counts": lambda: kg.ZeroInflated(logits(5, 1), kg.Truncated(counts(5), 1)),
    "independent_mixture": lambda: kg.Independent(kg.MixtureDist(logits(5, 2, 3), normal(5, 2, 3))),
    "censored_mixture": lambda: kg.Censored(
        kg.MixtureDist(logits(5, 2), (log_normal(5), normal(5))), high=1.0 + logits(5, 1) ** 2
    ),
    "truncated_map": lambda: kg.Truncated(kg.Transformed(normal(5), t.Affine(logits(5, 1), -2.0)), low=0.1),
    "truncated_mixture": lambda: kg.Truncated(kg.MixtureDist(logits(5, 3), normal(5, 3)), 0.2, 4.0),
    "mixture_of_hurdles": lambda: kg.MixtureDist(logits(5, 2), kg.ZeroInflated(logits(5, 2, 1), log_normal(5, 2))),
    "composite": lambda: kg.CompositeDist({"a": kg.ZeroInflated(logits(5, 1), counts(5)), "b": log_normal(5)}),
}
SLOW = ("truncated_mixture",)
each = pytest.mark.parametrize("make", quick(NESTED.keys() - SLOW, {name: (make,) for name, make in NESTED.items()}))
some = pytest.mark.parametrize(
    "make", quick(("mixture_of_truncated_log_normals",), {name: (make,) for name, make in NESTED.items()})
)


def same(got, want):
    keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5), got, want)


@each
def test_copies_and_configs_are_the_same(make):
    pi = make()
    x = pi.sample(seed=1)
    config = keras.saving.serialize_keras_object(pi)
    for twin in (copy.deepcopy(pi), pickle.loads(pickle.dumps(pi)), keras.saving.deserialize_keras_object(config)):
        same(twin.log_proba(x), pi.log_proba(x))
        same(twin.sample(seed=3), pi.sample(seed=3))
        assert repr(twin) == repr(pi) and list(twin.params) == list(pi.params)


@each
def test_rows_are_those_of_the_parts(make):
    pi = make()
    x = pi.sample(seed=1)
    rows = [3, 0]
    want = np.asarray(pi.log_proba(x))
    same(pi[np.array(rows)].log_proba(keras.tree.map_structure(lambda x: x.numpy()[rows], x)), want[rows])
    same(pi[1:3].log_proba(keras.tree.map_structure(lambda x: x[1:3], x)), want[1:3])
    assert pi[0].batch_shape == ()


@some
def test_graphs_xla_and_maps_of_rows(make):
    pi = make()
    x = pi.sample(seed=1)

    def methods(pi, x):
        return pi.log_proba(x), pi.sample(seed=3)

    for jit_compile in (False, True):
        same(tf.function(methods, jit_compile=jit_compile, autograph=False)(pi, x), methods(pi, x))
    mapped = tf.vectorized_map(lambda row: (row[0].log_proba(row[1]), row[0].sample()), (pi, x))
    same(mapped[0], pi.log_proba(x))
    drawn = keras.tree.map_structure(lambda x: tuple(x.shape), mapped[1])
    assert drawn == keras.tree.map_structure(lambda x: tuple(x.shape), x)


@some
def test_a_model_that_ends_in_one_is_saved(make, tmp_path):
    pi = make()
    leaves = keras.tree.flatten(pi)
    inputs = [keras.Input(x.shape[1:], dtype=x.dtype.name) for x in leaves]
    parameters = [keras.ops.add(x, 0.0) for x in inputs]
    model = kg.Model(inputs, type(pi).from_params(dict(zip(pi.params, parameters, strict=True)), **pi._static()))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = pi.sample(seed=1)
    for each in (model, loaded):
        same(each(leaves).log_proba(x), pi.log_proba(x))
        same(each(leaves).sample(seed=3), pi.sample(seed=3))


@each
def test_gradients_are_finite_and_reach_all_that_counts(make):
    pi = make()
    leaves = keras.tree.flatten(pi)
    x = pi.sample(20, seed=1)
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        value = keras.tree.pack_sequence_as(pi, leaves).log_proba(x)
    assert all(np.isfinite(slope).all() and np.any(slope) for slope in tape.gradient(value, leaves))
