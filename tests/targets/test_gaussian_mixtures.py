"""Gaussian mixtures as targets against reference numbers, and against `GaussianMixtureDist`."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import kgdists as kg
from kgdists.targets import DiagonalGaussianMixture, GaussianMixture, density, rows
from tests.golden import TOLERANCE, assert_close, cases

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng
KINDS = ["diag", "full"]


def of_case(case):
    inputs = case["inputs"]
    if "diag_stds" in inputs:
        return DiagonalGaussianMixture(inputs["means"], inputs["diag_stds"], inputs["logits"])
    return GaussianMixture(inputs["means"], inputs["covs"], weights=inputs["weights"])


def make(kind, k=3, n=2, dtype="float64", **options):
    """A random mixture."""
    rng = RNG(0)
    means, logits = 2 * rng.normal(size=(k, n)).astype(dtype), rng.normal(size=k)
    if kind == "diag":
        return DiagonalGaussianMixture(means, rng.uniform(0.5, 1.5, size=(k, n)), logits, **options)
    factors = rng.normal(size=(k, n, n))
    covariances = factors @ np.swapaxes(factors, 1, 2) + np.eye(n)
    return GaussianMixture(means, (covariances + np.swapaxes(covariances, 1, 2)) / 2, logits, **options)


def derivatives(function, x):
    """The gradient in `x` of some number made of all that `function` returns."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        number = sum(tf.reduce_sum(tf.sin(y)) for y in tf.nest.flatten(function(x)))
    return tape.gradient(number, x)


def all_of(target, x):
    return target.log_prob(x), target.score(x), *target.log_prob_and_score(x), target.responsibilities(x)


def all_of_distribution(dist, x):
    log_proba, score = dist.log_proba(x), dist.score(x)
    return log_proba, score, log_proba, score, dist.responsibilities(x)


def assert_all_close(got, want, tolerance=1e-9):
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# Reference numbers.

GOLDEN = [
    pytest.param(case, dtype, id=f"{case['id']}-{dtype}")
    for dtype in TOLERANCE
    for case in cases("gmm_diag", "mixture", dtype)
    + cases("gmm_diag", "factory", dtype)
    + cases("gmm_full", "density", dtype)
]


def check(case, dtype, log_prob, score, shares):
    tolerance = 1e-10 if (case["id"].split("/")[0], dtype) == ("gmm_full", "float64") else TOLERANCE[dtype]
    for name, got in {"log_prob": log_prob, "score": score, "responsibilities": shares}.items():
        assert got.dtype == dtype
        assert_close(got, case["expected"][name], tolerance, case.get("scale", {}).get(name, 0.0))


@pytest.mark.few(16)
@pytest.mark.parametrize("case, dtype", GOLDEN)
def test_reference_numbers(eagerly, case, dtype):
    target, x = of_case(case), np.array(case["inputs"]["x"], dtype)
    check(case, dtype, target.log_prob(x), target.log_prob_and_score(x)[1], target.responsibilities(x))


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_reference_numbers_under_xla(dtype):
    chosen = [param.values[0] for param in GOLDEN if param.values[1] == dtype]
    chosen = [case for case in chosen if case["id"].endswith("k3-d2")]

    @tf.function(jit_compile=True)
    def answer(xs):
        return [
            (*of_case(case).log_prob_and_score(x), of_case(case).responsibilities(x))
            for case, x in zip(chosen, xs, strict=True)
        ]

    answers = answer([tf.constant(case["inputs"]["x"], dtype) for case in chosen])
    for case, numbers in zip(chosen, answers, strict=True):
        check(case, dtype, *numbers)


@pytest.mark.parametrize("case", cases("gmm_diag", "factory"), ids=lambda case: case["id"])
def test_factories_make_the_parameters_of_the_reference_bit_for_bit(case):
    call, inputs = case["inputs"]["call"], case["inputs"]
    target = getattr(DiagonalGaussianMixture, call["factory"])(**call["arguments"])
    np.testing.assert_array_equal(target.means, inputs["means"])
    np.testing.assert_array_equal(target.diag_stds, inputs["diag_stds"])
    np.testing.assert_allclose(target.log_weights, inputs["logits"], rtol=1e-14)


def test_gmm40_is_an_isotropic_mixture_of_uniform_means():
    a = DiagonalGaussianMixture.create_gmm40()
    b = DiagonalGaussianMixture.create_isotropic_uniform(1.0, 40, 2, (-40, 40), seed=0)
    for name in ("means", "diag_stds", "logits"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert (a.logits == -np.log(40)).all()


def test_the_tutorial_target_is_that_of_the_reference():
    (case,) = (case for case in cases("gmm_full", "density") if case["id"].endswith("tutorial-target"))
    target = GaussianMixture.create_tutorial()
    np.testing.assert_array_equal(target.means, case["inputs"]["means"])
    np.testing.assert_array_equal(target.covariances, case["inputs"]["covs"])
    np.testing.assert_allclose(target.weights, case["inputs"]["weights"], rtol=1e-14)
    np.testing.assert_allclose(target.scale_tril, case["expected"]["scale_tril"], rtol=1e-12)


# What goes in comes out.


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_its_distribution_in_all_modes_and_differentiable(kind):
    """In value and in first derivatives, those of the score too, eagerly, in a graph and under XLA."""
    target = make(kind, k=2)
    dist, x = target.distribution, tf.constant(RNG(1).normal(size=(7, 2)))
    want = all_of_distribution(dist, x)
    slope = derivatives(dist.log_proba, x) + derivatives(dist.score, x)

    def evaluate(x):
        return *all_of(target, x), derivatives(target.log_prob, x) + derivatives(target.score, x)

    for run in (evaluate, tf.function(evaluate, jit_compile=True)):
        assert_all_close(run(x), (*want, slope))
    assert_all_close(tf.function(all_of)(target, x), want)


def test_scores_are_gradients_of_the_density():
    target, x = make("full"), tf.constant(RNG(1).normal(size=(7, 2)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(target.distribution.log_proba(x))
    np.testing.assert_allclose(target.score(x), tape.gradient(total, x), rtol=1e-10)


MANY = [("diag", 7, 3), ("diag", 9, 1), ("diag", 3, 40), ("full", 3, 3), ("full", 2, 40)]


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind, k, n", MANY)
def test_many_components_and_dimensions(monkeypatch, eagerly, kind, k, n):
    """More than are written out."""
    monkeypatch.setattr(density, "WRITTEN_OUT", 8)
    monkeypatch.setattr(density, "IN_A_STEP", 4)
    target, x = make(kind, k, n), tf.constant(2 * RNG(1).normal(size=(7, n)))
    dist = target.distribution
    assert_all_close(all_of(target, x), all_of_distribution(dist, x), 1e-7)
    slope = derivatives(dist.log_proba, x) + derivatives(dist.score, x)
    assert_all_close([derivatives(target.log_prob, x) + derivatives(target.score, x)], [slope], 1e-6)


@pytest.mark.exhaustive
def test_many_components_under_xla(monkeypatch):
    monkeypatch.setattr(density, "IN_A_STEP", 4)
    target, x = make("diag", 7, 1), RNG(1).normal(size=(7, 1))
    got = tf.function(target.log_prob_and_score, jit_compile=True)(tf.constant(x))
    assert_all_close(got, (target.distribution.log_proba(x), target.distribution.score(x)))


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_computed_in_blocks_of_two_sizes(monkeypatch, kind):
    """Whatever their number, in as many compilations as there are sizes."""
    monkeypatch.setattr(rows, "FEW", 4)
    monkeypatch.setattr(rows, "MANY", 32)
    target, x = make(kind), RNG(1).normal(size=(100, 2))
    want = target.distribution.log_proba(x).numpy()
    for count in (0, 1, 3, 4, 5, 8, 9, 31, 32, 33, 40, 41, 64, 100):
        np.testing.assert_allclose(target.log_prob(x[:count]), want[:count], rtol=1e-12)
    assert target._log_prob._compiled.experimental_get_tracing_count() == 2


@pytest.mark.few(1)
@pytest.mark.parametrize("shape", [(2,), (0, 2), (5, 2), (3, 4, 2)], ids=str)
def test_shapes_and_dtypes_are_those_of_the_points(eagerly, shape):
    target, x = make("diag"), RNG(1).normal(size=shape)
    for dtype in ("float16", "float32", "float64"):
        for kind, points in ((np.ndarray, x.astype(dtype)), (tf.Tensor, tf.constant(x, dtype))):
            log_prob, score, _, _, shares = all_of(target, points)
            assert all(isinstance(y, kind) and y.dtype == dtype for y in (log_prob, score, shares)) or shape == (2,)
            assert (log_prob.shape, score.shape, shares.shape) == (shape[:-1], shape, (*shape[:-1], 3))


def test_plain_numbers_are_points():
    target = make("diag")
    np.testing.assert_array_equal(target.log_prob([0, 1]), target.log_prob(np.array([0.0, 1.0])))
    assert target.score([[0.0, 1.0]]).dtype == "float64"


def test_half_precision_is_computed_in_single(eagerly):
    target, x = make("diag"), RNG(1).normal(size=(50, 2)).astype("float16")
    np.testing.assert_array_equal(target.log_prob(x), target.log_prob(x.astype("float32")).astype("float16"))


def test_what_it_is_made_of():
    target = make("full", kB_T=2.0, procedural_seed=7)
    assert (target.dim, target.num_components, target.logZ, target.kB_T, target.procedural_seed) == (2, 3, 0.0, 2.0, 7)
    np.testing.assert_allclose(target.weights.sum(), 1.0)
    with pytest.raises(ValueError, match="read-only"):
        target.means[0, 0] = 0.0
    assert make("diag", dtype="float32").sample(3, seed=0).dtype == "float32"


def test_a_component_without_weight_changes_nothing(eagerly):
    with_it = DiagonalGaussianMixture([[0.0], [5.0], [1.0]], np.ones((3, 1)), [0.0, -INF, 0.5])
    without = DiagonalGaussianMixture([[0.0], [1.0]], np.ones((2, 1)), [0.0, 0.5])
    x = np.array([[5.0], [0.3], [1e30]])
    np.testing.assert_array_equal(with_it.log_prob(x), without.log_prob(x))
    np.testing.assert_array_equal(with_it.score(x), without.score(x))
    assert (with_it.responsibilities(x)[:, 1] == 0).all()
    full = GaussianMixture([[0.0], [5.0]], np.ones((2, 1, 1)), weights=[3.0, 0.0])
    np.testing.assert_array_equal(full.weights, [1.0, 0.0])


def test_infinite_points_have_no_density(eagerly):
    np.testing.assert_array_equal(make("diag").log_prob([[INF, 0.0], [1e200, 0.0]]), [-INF, -INF])


# Draws.


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_exact(kind):
    """Their projections have the distribution functions of mixtures."""
    target = make(kind)
    x, direction = target.sample(20_000, seed=0), np.array([0.6, -0.8])
    dist = target.distribution
    spread = np.exp(dist.logvar)[..., None] * np.eye(2) if kind == "diag" else target.covariances
    stds = np.sqrt(np.einsum("i,kij,j->k", direction, spread, direction))

    def cdf(y):
        return scipy.stats.norm.cdf((y[:, None] - target.means @ direction) / stds) @ target.weights

    assert scipy.stats.kstest(x @ direction, cdf).pvalue > 1e-3
    np.testing.assert_allclose(np.cov(x.T), dist.covariance(), atol=0.15)


@pytest.mark.exhaustive
def test_draws_of_a_seed_have_a_stable_prefix_in_all_modes():
    target = make("full")
    x = target.sample(50, seed=3)
    assert isinstance(x, np.ndarray)
    np.testing.assert_array_equal(target.sample(20, seed=3), x[:20])
    np.testing.assert_array_equal(target.sample(50, keras.random.SeedGenerator(3)), x)
    for jit_compile in (False, True):
        draw = tf.function(lambda: target.sample(50, seed=3), jit_compile=jit_compile)
        np.testing.assert_array_equal(draw(), x)
    assert not np.isin(target.sample(50, seed=4), x).any()
    assert not np.isin(target.load_dataset("train", 50).get_samples(), target.sample(50, seed=0)).any()


def test_unseeded_draws_differ_and_follow_set_random_seed(eagerly):
    def twice():
        keras.utils.set_random_seed(1)
        return make("diag").sample(5), make("diag").sample(5)

    first, second = twice()
    assert not np.isin(first, second).any()
    np.testing.assert_array_equal(twice(), (first, second))


def test_a_generator_goes_on(eagerly):
    generator = keras.random.SeedGenerator(0)
    assert not np.isin(make("diag").sample(5, generator), make("diag").sample(5, generator)).any()


# Errors.

EYE = [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    "arguments, text",
    [
        (([0.0], [[1.0]], [0.0]), r"`means` must have shape \[K, D\], all >= 1. Received: means of shape \(1,\)"),
        (([[0.0]], [[1.0, 1.0]], [0.0]), "`means` and `diag_stds` must have the same shape. Received"),
        (([[0.0]], [[1.0]], [0.0, 0.0]), "`logits` must have one entry for each of the means. Received"),
        (([[0.0]], [[1.0]], [NAN]), "`logits` must be finite or -inf"),
        (([[0.0]], [[1.0]], [-INF]), "`logits` must be finite or -inf, not all of them -inf"),
        (([[NAN]], [[1.0]], [0.0]), r"`means` must be finite. Received: nan at index \[0, 0\] of means"),
        (([[0.0]], [[0.0]], [0.0]), "`diag_stds` must be finite and > 0. Received: 0.0"),
        (([[0.0]], [[-1.0]], [0.0]), "`diag_stds` must be finite and > 0. Received: -1.0"),
        (([[0.0]], [[INF]], [0.0]), "`diag_stds` must be finite and > 0. Received: inf"),
        (([["a"]], [[1.0]], [0.0]), "`means` must be of numbers"),
    ],
)
def test_bad_diagonal_mixtures(arguments, text):
    with pytest.raises(ValueError, match=text):
        DiagonalGaussianMixture(*arguments)


@pytest.mark.parametrize(
    "means, covariances, options, text",
    [
        ([[0.0, 0.0]], [EYE], {}, "Exactly one of `logits` and `weights` must be given. Received: neither"),
        ([[0.0, 0.0]], [EYE], {"logits": [0.0], "weights": [1.0]}, "Received: both"),
        ([[0.0, 0.0]], [EYE], {"weights": [-1.0]}, "`weights` must be finite and >= 0"),
        ([[0.0, 0.0]], [EYE], {"weights": [0.0]}, "`logits` must be finite or -inf, not all"),
        ([[0.0]], [EYE], {"logits": [0.0]}, "`covariances` must have the shape of `means` and one more axis"),
        ([[0.0, 0.0]], [[[1.0, 2.0], [0.0, 1.0]]], {"logits": [0.0]}, "`covariances` must be symmetric.* at index 0"),
        ([[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]], {"logits": [0.0]}, "`covariances` must be positive definite"),
        ([[0.0, 0.0]], [[[NAN, 0.0], [0.0, 1.0]]], {"logits": [0.0]}, "`covariances` must be finite"),
    ],
)
def test_bad_full_mixtures(means, covariances, options, text):
    with pytest.raises(ValueError, match=text):
        GaussianMixture(means, covariances, **options)


@pytest.mark.parametrize("std", [0.0, -1.0, NAN])
def test_an_isotropic_standard_deviation_must_be_positive(std):
    with pytest.raises(ValueError, match="must be finite and > 0"):
        DiagonalGaussianMixture.create_isotropic([[0.0]], std, [0.0])


@pytest.mark.parametrize(
    "options, text",
    [
        ({"n_components": 0}, "`n_components` must be an int >= 1. Received: n_components=0"),
        ({"dim": 1.5}, "`dim` must be an int >= 1. Received: dim=1.5"),
        ({"loc_scaling": -1.0}, "`mean_range` must be two finite numbers"),
        ({"kB_T": 0.0}, "`kB_T` must be a finite number > 0. Received: kB_T=0.0"),
        ({"procedural_seed": 0.5}, "`procedural_seed` must be an int. Received: procedural_seed=0.5"),
    ],
)
def test_bad_options_of_factories(options, text):
    with pytest.raises(ValueError, match=text):
        DiagonalGaussianMixture.create_gmm40(**options)


@pytest.mark.parametrize(
    "x, text",
    [
        (np.zeros(()), r"`x` must have shape \[..., 2\]. Received: x of shape \(\)"),
        (np.zeros((2, 3)), r"`x` must have shape \[..., 2\]. Received: x of shape \(2, 3\)"),
        (np.array([0.0, NAN]), "`x` must be free of NaN"),
        (np.array(["a", "b"]), "`x` must be a float tensor"),
    ],
)
def test_bad_points(x, text):
    with pytest.raises((ValueError, TypeError), match=text):
        make("diag").log_prob(x)


@pytest.mark.parametrize("n_samples", [-1, 1.5, True, None])
def test_bad_numbers_of_samples(n_samples):
    with pytest.raises(ValueError, match="`n_samples` must be an int >= 0. Received: n_samples="):
        make("diag").sample(n_samples)


def test_it_is_public():
    assert kg.targets.DiagonalGaussianMixture is DiagonalGaussianMixture
