"""A distribution as a value: rows, copies, keywords."""

import copy
import multiprocessing
import pickle

import keras
import numpy as np
import pytest

import kgdists as kg
from tests.marks import quick
from tests.table import DISTRIBUTIONS

RNG = np.random.default_rng
each = pytest.mark.parametrize("name", quick(["normal", "composite"], list(DISTRIBUTIONS)))


def leaves(pi):
    return [np.asarray(x) for x in keras.tree.flatten(pi)]


def assert_same(p, q):
    assert type(p) is type(q) and p._static() == q._static()
    for one, other in zip(leaves(p), leaves(q), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.few(4)
@each
def test_an_index_is_that_of_the_batch(name):
    pi = DISTRIBUTIONS[name]((3, 2), "float32", RNG(0))
    flags, numbers = np.array([True, False, True]), np.array([2, 0])
    for index in (np.s_[1:], np.s_[:, None], np.s_[..., 0], np.s_[1:, 1], flags, numbers, None):
        got = pi[index]
        for one, whole in zip(leaves(got), leaves(pi), strict=True):
            expected = np.moveaxis(np.moveaxis(whole, 0, 0)[index], 0, 0) if index is not None else whole[None]
            if isinstance(index, tuple) and Ellipsis in index:
                expected = whole[:, 0]
            np.testing.assert_array_equal(one, expected)
    assert pi[1:, 0].batch_shape == (2,)
    for index in ((slice(0, None), 0, 0), np.s_[9, 0], 1.0, [True, False], np.array([0, 9]), np.array([True, False])):
        with pytest.raises(IndexError, match=r"that of an array of the batch shape, \(3, 2\): .* Received: "):
            pi[index]


def test_rows_one_after_the_other():
    pi = kg.NormalDist(np.zeros((3, 2)), np.zeros((3, 2)))
    rows = list(pi)
    assert [row.batch_shape for row in rows] == [()] * 3
    assert len(pi) == 2  # the parameters, of which Keras takes the length
    assert np.asarray(pi).shape == () and np.asarray(pi).item() is pi
    with pytest.raises(TypeError, match="must have a first axis of known size"):
        iter(rows[0])


def test_a_composite_has_branches_and_rows():
    normal, flags = kg.NormalDist(np.zeros((3, 2)), np.zeros((3, 2))), kg.BernoulliDist(np.zeros((3, 1)))
    named, listed = kg.CompositeDist({"a": normal, "b": flags}), kg.CompositeDist((normal, flags))
    assert type(named["a"]) is kg.NormalDist and named[0].batch_shape == ()
    assert type(listed[1]) is kg.BernoulliDist and listed[1:].batch_shape == (2,)


@pytest.mark.few(4)
@each
def test_values_copy_and_pickle(name):
    pi = DISTRIBUTIONS[name]((2,), "float32", RNG(0))
    pi.sample()
    for twin in (copy.copy(pi), copy.deepcopy(pi), pickle.loads(pickle.dumps(pi))):
        assert_same(twin, pi)
        twin.sample()


def test_a_copy_of_a_seeded_distribution_goes_on_where_it_was():
    pi = kg.NormalDist([0.0], [0.0], random_seed=3)
    pi.sample()
    twin = pickle.loads(pickle.dumps(pi))
    assert twin.random_seed == 3
    for _ in range(2):
        np.testing.assert_array_equal(twin.sample(), pi.sample())


def test_what_a_head_and_a_model_return_is_copied(tmp_path):
    head = kg.layers.NormalHead(2, random_seed=1)
    pi = head(np.ones((2, 3), "float32"))
    first = pi.sample()
    twin = copy.deepcopy(pi)
    assert_same(twin, pi)
    np.testing.assert_array_equal(twin.sample(), pi.sample())
    assert np.any(twin.sample() != first)
    policy = kg.Policy(keras.layers.Dense(3), kg.layers.CategoricalHead(2))
    predicted = policy.predict(np.ones((4, 2), "float32"), verbose=0)
    again = pickle.loads(pickle.dumps(predicted))
    assert type(again.logits) is type(predicted.logits)
    assert_same(again, predicted)


def entropy_of(pi):
    return np.asarray(pi.entropy()).tolist()


@pytest.mark.exhaustive
def test_a_distribution_goes_to_another_process():
    pi = kg.CategoricalDist([[0.0, 1.0]])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (got,) = pool.map(entropy_of, [pi])
    assert got == pytest.approx(entropy_of(pi))


def test_targets_and_data_sets_copy_after_they_were_used():
    target = kg.targets.GaussianMixture.create_tutorial()
    x = target.sample(5, seed=0)
    log_prob = target.log_prob(x)
    dataset = target.load_dataset("train", 10)
    for twin in (copy.deepcopy(target), pickle.loads(pickle.dumps(target))):
        np.testing.assert_array_equal(twin.log_prob(x), log_prob)
        np.testing.assert_array_equal(twin.sample(5, seed=0), x)
        with pytest.raises(ValueError, match="read-only"):
            twin.means[0] = 0.0
    samples = dataset.get_samples()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(dataset)).get_samples(), samples)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: kg.NormalDist(mu=[0.0], sigma=[1.0]), r"`NormalDist.from_stddev\(mu, stddev\)`. Received: sigma"),
        (
            lambda: kg.NormalDist(loc=[0.0], scale=[1.0]),
            "For `loc` write `mu`. For `scale` write .* Received: loc, scale",
        ),
        (lambda: kg.CategoricalDist(logits=[0.0], temperature=1.0), "write `boltzmann_tau`. Received: temperature"),
        (lambda: kg.RelaxedOneHotCategorical(tau=1.0, logits=[0.0]), "For `tau` write `temperature`. Received: tau"),
        (
            lambda: kg.GaussianMixtureDist(weights=[1.0], temperature=1.0),
            "For `temperature` write `gumbel_tau`. Received",
        ),
        (lambda: kg.GaussianMixtureDist(weights=[1.0], mu=[[0.0]]), "For `weights` write `probs`. Received: weights"),
        (
            lambda: kg.GammaDist(alpha=[1.0], scale=[1.0]),
            "For `alpha` write `concentration`. For `scale` write `rate=1 / scale`. Received: alpha, scale",
        ),
        (lambda: kg.GammaDist(mean=[1.0], rate=[1.0]), "For `mean` write `GammaDist.from_mean`. Received: mean"),
        (lambda: kg.LaplaceDist(mu=[1.0], std=[1.0]), r"write `LaplaceDist.from_stddev\(mu, stddev\)`. Received: std"),
        (lambda: kg.LogNormalDist(mu=[0.0], sigma=[1.0]), r"write `logvar=2 \* keras.ops.log\(sigma\)`. Received"),
        (lambda: kg.BernoulliDist(p=[0.5]), "For `p` write `probs`. Received: p"),
        (lambda: kg.BetaDist(a=[1.0], b=[1.0]), "`BetaDist` takes alpha, beta, low, high, .* Received: a, b"),
    ],
)
def test_the_error_of_a_wrong_keyword_names_the_right_one(make, match):
    with pytest.raises(TypeError, match=match):
        make()
