"""`OneOfDist`: enumerated, against Monte Carlo, and with values outside the support in branches not chosen."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from keras import ops

from kgdists import (
    BernoulliDist,
    CategoricalDist,
    CompositeDist,
    NormalDist,
    OneOfDist,
    RelaxedOneHotCategorical,
    SquashedNormalDist,
)
from tests.golden import gradient_of
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng
COMPILED = pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])


def noise(*shape, seed=0):
    return RNG(seed).normal(size=shape)


def discrete(seed=0):
    """A choice between three labels, two bits, and a label with a bit: of 3 + 4 + 4 outcomes."""
    last = CompositeDist({"a": CategoricalDist(noise(2, seed=seed + 3)), "b": BernoulliDist(noise(1, seed=seed + 4))})
    values = (CategoricalDist(noise(3, seed=seed + 1)), BernoulliDist(noise(2, seed=seed + 2)), last)
    return OneOfDist((CategoricalDist(noise(3, seed=seed)), values))


def outcomes():
    zeros = (0, [0, 0], {"a": 0, "b": [0]})
    bits = [(i, j) for i in range(2) for j in range(2)]
    yield from ((0, (label, *zeros[1:])) for label in range(3))
    yield from ((1, (0, [i, j], zeros[2])) for i, j in bits)
    yield from ((2, (0, [0, 0], {"a": i, "b": [j]})) for i, j in bits)


def mixed(batch=(5,), seed=0, dtype="float32"):
    """A label or a point in a box: zeros are outside of it."""
    params = noise(2, *batch, 2, seed=seed).astype(dtype)
    values = (CategoricalDist(noise(*batch, 3, seed=seed + 1).astype(dtype)), SquashedNormalDist(*params, 1.0, 2.0))
    return OneOfDist((CategoricalDist(noise(*batch, 2, seed=seed + 2).astype(dtype)), values))


def normals(seed=0):
    values = tuple(NormalDist(*noise(2, 5, n, seed=seed + n)) for n in (1, 2, 3))
    return OneOfDist((CategoricalDist(noise(5, 3, seed=seed)), values))


def repeated(dist, times):
    return keras.tree.map_structure(lambda x: ops.broadcast_to(x, (times, *x.shape)), dist)


# Enumeration.


def test_masses_of_all_outcomes_sum_to_one():
    log_proba = np.array([discrete().log_proba(x) for x in outcomes()])
    np.testing.assert_allclose(scipy.special.logsumexp(log_proba), 0.0, atol=1e-12)


def test_entropy_and_divergences_are_those_of_all_outcomes():
    p, q = discrete(), discrete(seed=10)
    log_p, log_q = (np.array([dist.log_proba(x) for x in outcomes()]) for dist in (p, q))
    np.testing.assert_allclose(p.entropy(), -np.sum(np.exp(log_p) * log_p), rtol=1e-12)
    np.testing.assert_allclose(p.cross_entropy(q), -np.sum(np.exp(log_p) * log_q), rtol=1e-12)
    np.testing.assert_allclose(p.kl_divergence(q), np.sum(np.exp(log_p) * (log_p - log_q)), rtol=1e-12)


def test_density_integrates_to_one():
    dist = mixed((), dtype="float64")
    nodes, weights = np.polynomial.legendre.leggauss(60)
    nodes, weights = 1.5 + 0.5 * nodes, 0.5 * weights
    points = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    labels = np.exp([dist.log_proba((0, (label, [1.5, 1.5]))) for label in range(3)]).sum()
    box = (
        np.exp(dist.log_proba((np.ones(3600, int), (np.zeros(3600, int), points)))) @ np.outer(weights, weights).ravel()
    )
    np.testing.assert_allclose([labels, box], dist.choice.probs, rtol=1e-3)


def test_entropy_and_kl_are_those_of_monte_carlo():
    times = 20_000
    p, q = normals(), normals(seed=20)
    many, other = repeated(p, times), repeated(q, times)
    x = many.sample_action(seed=0)
    surprise, difference = -np.array(many.log_proba(x)), np.array(many.log_proba(x) - other.log_proba(x))
    for terms, want in ((surprise, p.entropy()), (difference, p.kl_divergence(q))):
        assert (np.abs(terms.mean(axis=0) - want) < 4 * terms.std(axis=0) / np.sqrt(times)).all()


# Branches that are not chosen.


def test_values_of_branches_not_chosen_are_zeros():
    many = repeated(mixed(), 200)
    for choice, (label, point) in (many.sample_action(seed=0), many.mode_action()):
        choice, label, point = (np.array(x) for x in (choice, label, point))
        assert choice.shape == label.shape == (200, 5) and point.shape == (200, 5, 2)
        assert set(choice.flat) == {0, 1}
        assert (label[choice == 1] == 0).all() and (point[choice == 0] == 0).all()
        assert (point[choice == 1] >= 1).all()


@pytest.mark.exhaustive
@COMPILED
@pytest.mark.parametrize("unchosen", [0.0, -5.0, 1e30, NAN, INF])
def test_values_of_branches_not_chosen_count_nothing(unchosen, jit_compile):
    """In value and gradient, although they lie outside the support; neither do labels out of range."""
    dist = mixed()
    choice, label = np.array([0, 1, 0, 1, 0]), np.array([1, 99, 2, -7, 0])
    point = np.float32(np.where(choice[:, None] == 1, 1.25, np.full((5, 2), unchosen)))

    def log_proba(*leaves):
        return keras.tree.pack_sequence_as(dist, leaves).log_proba((choice, (label, point)))

    want = np.array(dist.choice.log_proba(choice))
    want += np.where(choice == 0, dist.values[0].log_proba(np.where(choice == 0, label, 0)), 0)
    want += np.where(choice == 1, dist.values[1].log_proba(np.full((5, 2), 1.25, "float32")), 0)
    compiled = tf.function(lambda *leaves: gradient_of(log_proba, *leaves), jit_compile=jit_compile)
    for evaluate in (lambda *leaves: gradient_of(log_proba, *leaves), compiled):
        value, gradients = evaluate(*keras.tree.flatten(dist))
        np.testing.assert_allclose(value, want, rtol=1e-5)
        assert all(np.isfinite(g).all() for g in gradients)
        for branch, gradient in ((0, gradients[1]), (1, gradients[2]), (1, gradients[3])):
            np.testing.assert_array_equal(np.any(np.array(gradient) != 0, axis=-1), choice == branch)


@pytest.mark.exhaustive
@COMPILED
def test_a_branch_may_have_no_mode(jit_compile):
    def log_proba(choice_logits, logits):
        point = RelaxedOneHotCategorical(0.5, logits=logits)
        dist = OneOfDist((CategoricalDist(choice_logits), (point, CategoricalDist(logits))))
        return dist.log_proba(([0, 1], (points, [1, 2])))

    logits, choice_logits, points = noise(2, 3), noise(2, 2, seed=1), np.array([[0.2, 0.3, 0.5], [1.0, NAN, 7.0]])
    value, gradients = gradient_of(tf.function(log_proba, jit_compile=jit_compile), choice_logits, logits)
    first = RelaxedOneHotCategorical(0.5, logits=logits[0]).log_proba(points[0])
    second = CategoricalDist(logits[1]).log_proba(2)
    want = CategoricalDist(choice_logits).log_proba([0, 1]) + np.stack([first, second])
    np.testing.assert_allclose(value, want, rtol=1e-12)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_only_modes_need_the_modes_of_the_branches():
    point = RelaxedOneHotCategorical(0.5, logits=noise(5, 3))
    dist = OneOfDist((CategoricalDist(noise(5, 1)), (point,)), random_seed=0)
    for x in (dist.sample(), (np.zeros(5, int), (point.sample(),)), dist.sample_action()):
        assert np.isfinite(dist.log_proba(x)).all()
    assert np.isfinite(dist.sample_and_log_proba()[1]).all()
    with pytest.raises(NotImplementedError, match="RelaxedOneHotCategorical has no closed form of `mode`"):
        dist.mode()


def test_a_one_hot_choice_is_the_same_as_its_label():
    dist = mixed()
    choice, values = dist.sample_action(seed=0)
    one_hot = np.eye(2, dtype="float32")[np.array(choice)]
    np.testing.assert_allclose(dist.log_proba((one_hot, values)), dist.log_proba((choice, values)), rtol=1e-6)
    _, gradients = gradient_of(
        lambda *leaves: keras.tree.pack_sequence_as(dist, leaves).log_proba((one_hot, values)),
        *keras.tree.flatten(dist),
    )
    assert all(np.isfinite(g).all() for g in gradients)


def test_variates_weigh_the_branches():
    dist = mixed()
    choice, (one_hot, point) = dist.sample(seed=0)
    terms = [dist.values[0].log_proba(one_hot), dist.values[1].log_proba(point)]
    want = dist.choice.log_proba(choice) + sum(choice[..., i] * term for i, term in enumerate(terms))
    np.testing.assert_allclose(dist.log_proba((choice, (one_hot, point))), want, rtol=1e-5)


def test_labels_with_variates_of_the_branches():
    dist = mixed((3,))  # as many rows as labels
    _, (one_hot, point) = dist.sample(seed=0)
    choice = np.array([0, 1, 0])
    want = dist.choice.log_proba(choice) + np.where(
        choice == 0, dist.values[0].log_proba(one_hot), dist.values[1].log_proba(point)
    )
    np.testing.assert_allclose(dist.log_proba((choice, (one_hot, point))), want, rtol=1e-5)


@pytest.mark.exhaustive
@COMPILED
def test_a_branch_without_probability_counts_nothing(jit_compile):
    """Even where its divergence is infinite: also in the gradient."""
    full, masked = np.float32([0, 1]), np.float32([0, -INF])

    @tf.function(jit_compile=jit_compile)
    def evaluate(logits):
        def kl(logits):
            choice = CategoricalDist(logits, mask=[True, False])
            p = OneOfDist((choice, (NormalDist(logits, logits), CategoricalDist(full))))
            q = OneOfDist((CategoricalDist(full), (NormalDist(full, full), CategoricalDist(masked))))
            return p.kl_divergence(q) + p.cross_entropy(q) + p.entropy()

        return gradient_of(kl, logits)

    value, (gradient,) = evaluate(np.float32([0.5, 0.25]))
    assert np.isfinite(value) and np.isfinite(gradient).all()


# Forms of values.


def test_columns_and_lists_of_labels():
    dist = mixed()
    point = np.full((5, 2), 1.5, "float32")
    for choice in (np.array([0, 1, 0, 1, 1]), np.array([0] * 5)):
        label = np.array([2, 0, 1, 0, 0])
        want = dist.log_proba((choice, (label, point)))
        assert want.shape == (5,)
        for a, b in ((choice[:, None], label), (choice, label[:, None]), (choice[:, None], label[:, None])):
            np.testing.assert_array_equal(dist.log_proba((a, (b, point))), want)
        np.testing.assert_array_equal(dist.log_proba([choice.tolist(), [label.tolist(), point.tolist()]]), want)


@pytest.mark.parametrize("front", [(1,), (4,), (2, 3)])
def test_sample_axes_in_front(front):
    dist = mixed()
    choice, label = RNG(0).integers(2, size=(*front, 5)), RNG(1).integers(3, size=(*front, 5))
    point = np.float32(RNG(2).uniform(1.1, 1.9, size=(*front, 5, 2)))
    got = dist.log_proba((choice, (label, point)))
    rows = zip(choice.reshape(-1, 5), label.reshape(-1, 5), point.reshape(-1, 5, 2), strict=True)
    want = np.array([dist.log_proba((c, (a, b))) for c, a, b in rows]).reshape(*front, 5)
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize(
    "label, point, text",
    [
        ([0] * 4, np.ones((5, 2)), r"values of each branch must have shape \(5,\).* Received: values of shape \(4,\)"),
        (
            [0] * 5,
            np.ones((5, 1)),
            r"values of each branch must have shape \(5, 2\).* Received: values of shape \(5, 1\)",
        ),
        (
            [0] * 5,
            np.ones((1, 2)),
            r"values of each branch must have shape \(5, 2\).* Received: values of shape \(1, 2\)",
        ),
        ([0] * 5, np.ones(2), r"values of each branch must have shape \(5, 2\).* Received: values of shape \(2,\)"),
        ([3] * 5, np.ones((5, 2)), "`x` of labels must lie in 0 ... 2. Received: label 3"),
        ([0] * 5, np.zeros((5, 2)), "`x` must lie between `low` and `high`"),
    ],
)
def test_bad_values(label, point, text):
    with pytest.raises(ValueError, match=text):
        mixed().log_proba((np.array([0, 1, 0, 1, 0]), (label, point)))


@pytest.mark.parametrize("x", [([0] * 5,), ([0] * 5, ([0] * 5,)), {"choice": 0}], ids=str)
def test_values_of_another_structure(x):
    with pytest.raises(ValueError, match="Nested values must be a tuple of length 2. Received: "):
        mixed().log_proba(x)


@pytest.mark.exhaustive
@COMPILED
def test_an_improper_choice_in_a_graph(jit_compile):
    """-1 for the choice, and NaN for what is a number."""

    @tf.function(jit_compile=jit_compile)
    def evaluate(mask):
        logits = ops.zeros((2, 2))
        dist = OneOfDist((CategoricalDist(logits, mask=mask), (CategoricalDist(logits), NormalDist(logits, logits))))
        return dist.sample_action(), dist.mode_action(), dist.entropy(), dist.log_proba(dist.sample_action())

    drawn, best, *numbers = evaluate(tf.constant([[False, False], [True, False]]))
    np.testing.assert_array_equal([drawn[0], best[0]], [[-1, 0], [-1, 0]])
    for x in numbers:
        np.testing.assert_array_equal(np.isfinite(x), [False, True])


# The constructor, and saving.


@pytest.mark.parametrize(
    "make, text",
    [
        (
            lambda choice, normal: choice,
            "`dists` must be a tuple of a CategoricalDist and .* Received: CategoricalDist",
        ),
        (lambda choice, normal: {"a": choice, "b": (normal,)}, "`dists` must be a tuple .* Received: dict"),
        (lambda choice, normal: (normal, (normal, normal)), r"`dists` must .* \['NormalDist', 'tuple'\]"),
        (lambda choice, normal: (choice, normal), r"`dists` must .* \['CategoricalDist', 'NormalDist'\]"),
        (lambda choice, normal: (choice, {"a": normal, "b": normal}), r"`dists` must .* \['CategoricalDist', 'dict'\]"),
        (lambda choice, normal: (choice, (normal,)), "as many branches as categories. Received: 2 .*, 1 branches"),
        (lambda choice, normal: (choice, (normal,), (normal,)), r"`dists` must .* 'tuple', 'tuple'\]"),
    ],
)
def test_bad_dists(make, text):
    with pytest.raises(ValueError, match=text):
        OneOfDist(make(CategoricalDist([0.0, 0.0]), NormalDist([0.0], [0.0])))


def test_round_trips():
    dist = mixed()
    for got in (OneOfDist.from_config(dist.get_config()), OneOfDist.from_params(dist.params, **dist._static())):
        assert type(got) is OneOfDist and got._static() == dist._static()
        keras.tree.map_structure(np.testing.assert_array_equal, got, dist)


def test_one_of_within_one_of():
    inner = mixed()
    outer = OneOfDist((CategoricalDist(np.float32(noise(5, 2))), (inner, NormalDist(*np.float32(noise(2, 5, 1))))))
    x = outer.sample_action(seed=0)
    choice, (value, point) = x
    want = outer.choice.log_proba(choice) + np.where(
        choice == 0,
        inner.log_proba((value[0], (value[1][0], np.maximum(value[1][1], 1)))),
        outer.values[1].log_proba(point),
    )
    chosen = np.array(choice) == 0
    np.testing.assert_allclose(np.array(outer.log_proba(x))[~chosen], want[~chosen], rtol=1e-5)
    np.testing.assert_allclose(np.array(outer.log_proba(x))[chosen], want[chosen], rtol=1e-5)
