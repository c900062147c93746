"""Estimates against quadrature, and their standard errors against their own scatter."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists import divergences
from kgdists.divergences.moments import log_moments, moments, streamed
from tests.divergences import PAIRS, pair_of, quadrature

INF = float("inf")
RNG = np.random.default_rng


class Target:
    """Draws and log-densities in NumPy, as those of foreign targets are."""

    def __init__(self, dist):
        self.dist = dist

    def sample(self, n, seed=None):
        return np.array(self.dist.sample(n, seed))

    def log_prob(self, x):
        return np.array(self.dist.log_prob(x))


# Reference numbers.

ESTIMATES = {
    "entropy_p": lambda p, q, *args, **kwargs: divergences.entropy(p, *args, **kwargs),
    "cross_entropy": divergences.cross_entropy,
    "kl_p_q": divergences.kl_divergence,
    "kl_q_p": divergences.reverse_kl,
}


@pytest.mark.few(9)
@pytest.mark.parametrize("quantity", ESTIMATES)
@pytest.mark.parametrize("name", PAIRS)
def test_estimates_are_those_of_quadrature(name, quantity):
    n, expected = 20_000, PAIRS[name]["expected"]
    value, error = ESTIMATES[quantity](*pair_of(name), n, seed=0)
    want = expected[f"{quantity}_std"] / np.sqrt(n)
    assert abs(value - expected[quantity]) <= 3 * want
    if (name, quantity) != ("1d-missed-mode", "kl_q_p"):  # whose spread is that of draws one in ten thousand
        np.testing.assert_allclose(error, want, rtol=0.1)


@pytest.mark.exhaustive
def test_streamed_estimates_are_those_of_quadrature():
    n, expected = 50_000, PAIRS["2d-tutorial-to-standard"]["expected"]
    p, q = pair_of("2d-tutorial-to-standard", dtype="float32")
    value, error = divergences.kl_divergence(p, q, n, seed=0, chunk_size=7919)
    want = expected["kl_p_q_std"] / np.sqrt(n)
    assert abs(value - expected["kl_p_q"]) <= 3 * want
    np.testing.assert_allclose(error, want, rtol=0.05)


@pytest.mark.exhaustive
def test_the_tutorial_target_under_itself():
    p, _ = pair_of("2d-tutorial-to-standard", dtype="float32")
    value, error = divergences.entropy(p, 10**6, seed=0, chunk_size=2**16)
    assert abs(value - 4.122519) <= 3 * error < 0.003


# Every divergence by quadrature in one dimension, and whether standard errors are calibrated.


def by_quadrature(name, alpha=None):
    p, q = pair_of("1d-three-to-two")

    def integrand(x):
        log_p, log_q = np.array(p.log_prob(x)), np.array(q.log_prob(x))
        if name == "alpha":
            return np.exp(alpha * log_p + (1 - alpha) * log_q) - np.exp(log_p)
        log_m = np.logaddexp(log_p, log_q) - np.log(2)
        return 0.5 * (np.exp(log_p) * (log_p - log_m) + np.exp(log_q) * (log_q - log_m))

    return quadrature(integrand) / (1.0 if alpha is None else alpha * (alpha - 1))


CALIBRATED = {
    "entropy": (
        lambda p, q, **kw: divergences.entropy(p, 300, **kw),
        PAIRS["1d-three-to-two"]["expected"]["entropy_p"],
    ),
    "kl": (
        lambda p, q, **kw: divergences.kl_divergence(p, q, 300, **kw),
        PAIRS["1d-three-to-two"]["expected"]["kl_p_q"],
    ),
    "reverse": (
        lambda p, q, **kw: divergences.reverse_kl(p, q, 300, **kw),
        PAIRS["1d-three-to-two"]["expected"]["kl_q_p"],
    ),
    "jensen-shannon": (
        lambda p, q, **kw: divergences.jensen_shannon_divergence(p, q, 150, **kw),
        by_quadrature("jensen-shannon"),
    ),
    "alpha-half": (lambda p, q, **kw: divergences.alpha_divergence(p, q, 0.5, 300, **kw), by_quadrature("alpha", 0.5)),
    "alpha-0.2": (lambda p, q, **kw: divergences.alpha_divergence(p, q, 0.2, 300, **kw), by_quadrature("alpha", 0.2)),
    "alpha-1.3": (lambda p, q, **kw: divergences.alpha_divergence(p, q, 1.3, 300, **kw), by_quadrature("alpha", 1.3)),
    "log-normaliser": (
        lambda p, q, **kw: divergences.log_normalizer(q, lambda x: p.log_prob(x) + 2.0, 300, **kw),
        2.0,
    ),
}


@pytest.mark.few(6)
@pytest.mark.parametrize("name", CALIBRATED)
def test_standard_errors_are_calibrated(name):
    """Of 200 estimates, 90 to 99 % of the 95 % intervals hold the true value."""
    estimate, truth = CALIBRATED[name]
    value, error = estimate(*pair_of("1d-three-to-two", (200,), "float32"), seed=1)
    assert value.shape == error.shape == (200,)
    assert 0.90 <= np.mean(np.abs(value - truth) <= 1.96 * error) <= 0.99
    assert abs(np.mean(value) - truth) <= 4 * np.std(value) / np.sqrt(200)


def test_alpha_divergences_at_0_and_1_are_kl():
    p, q = pair_of("1d-three-to-two")
    for alpha, kl in ((1, divergences.kl_divergence), (0, divergences.reverse_kl)):
        assert divergences.alpha_divergence(p, q, alpha, 100, seed=0)[0] == kl(p, q, 100, seed=0)[0]
        near = divergences.alpha_divergence(p, q, alpha + 1e-7, 100, seed=0)[0]
        np.testing.assert_allclose(near, kl(p, q, 100, seed=0)[0], rtol=1e-5)


# Hard points.

OF_ITSELF = {
    "kl": lambda p, q, **kw: divergences.kl_divergence(p, q, 1000, **kw),
    "reverse": lambda p, q, **kw: divergences.reverse_kl(p, q, 1000, **kw),
    "jensen-shannon": lambda p, q, **kw: divergences.jensen_shannon_divergence(p, q, 1000, **kw),
    "alpha": lambda p, q, **kw: divergences.alpha_divergence(p, q, 0.5, 1000, **kw),
}


@pytest.mark.parametrize("name", OF_ITSELF)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_mixture_has_no_divergence_from_itself(name, dtype):
    p, q = (pair_of("2d-tutorial-to-mode", dtype=dtype)[0] for _ in "pq")
    assert [float(x) for x in OF_ITSELF[name](p, q, seed=0)] == [0.0, 0.0]


@pytest.mark.exhaustive
def test_nor_has_it_in_compiled_loops():
    p, q = pair_of("1d-identical", dtype="float32")
    compiled = tf.function(divergences.kl_divergence, jit_compile=True)
    assert [float(x) for x in compiled(p, q, num_samples=1000, seed=0)] == [0.0, 0.0]
    assert [float(x) for x in divergences.kl_divergence(p, q, 1000, seed=0, chunk_size=300)] == [0.0, 0.0]


def test_jensen_shannon_divergence_lies_between_0_and_log_2():
    p, far = kg.NormalDist([0.0], [0.0]), kg.NormalDist([1e4], [0.0])
    np.testing.assert_allclose(divergences.jensen_shannon_divergence(p, far, 10, seed=0)[0], np.log(2), rtol=1e-6)
    near = kg.NormalDist([1e-2], [0.0])
    np.testing.assert_allclose(divergences.jensen_shannon_divergence(p, near, 10_000, seed=0)[0], 1e-4 / 8, rtol=0.05)


@pytest.mark.parametrize("chunk_size", [None, 64])
def test_a_divergence_may_be_infinite(chunk_size):
    p, q = kg.CategoricalDist([0.0, 0.0]), kg.CategoricalDist([0.0, -INF])
    # A function keeps the loop from being compiled.
    assert divergences.kl_divergence(p, q.log_prob, 256, seed=0, chunk_size=chunk_size)[0] == INF
    assert np.isfinite(divergences.kl_divergence(q, p.log_prob, 256, seed=0, chunk_size=chunk_size)[0])


BY_DEFAULT = {
    "entropy": lambda p, q: divergences.entropy(p, seed=0),
    "cross_entropy": lambda p, q: divergences.cross_entropy(p, q, seed=0),
    "kl_divergence": lambda p, q: divergences.kl_divergence(p, q, seed=0),
    "reverse_kl": lambda p, q: divergences.reverse_kl(p, q, seed=0),
    "jensen_shannon": lambda p, q: divergences.jensen_shannon_divergence(p, q, seed=0),
    "alpha": lambda p, q: divergences.alpha_divergence(p, q, 0.5, seed=0),
    "elbo": lambda p, q: divergences.elbo(p, q, seed=0),
    "eubo": lambda p, q: divergences.eubo(p, q, seed=0),
    "log_normalizer": lambda p, q: divergences.log_normalizer(p, q, seed=0),
    "log_normalizer_of_p": lambda p, q: divergences.log_normalizer(p, q, seed=0, drawn_from="p"),
    "in_chunks": lambda p, q: divergences.kl_divergence(p, q, seed=0, chunk_size=300),
}


@pytest.mark.few(4)
@pytest.mark.parametrize("name", BY_DEFAULT)
def test_defaults_give_an_error_bar(name):
    """That holds the value of quadrature, for mixtures and for a target."""
    p, q = pair_of("1d-three-to-two", dtype="float32")
    x = np.linspace(-30.0, 30.0, 20_001)[:, None]
    log_p, log_q = (np.array(dist.log_prob(x.astype("float32")), "float64") for dist in (p, q))
    dx, half = x[1, 0] - x[0, 0], np.logaddexp(log_p, log_q) - np.log(2)
    kl_p_q, kl_q_p = (np.sum(np.exp(a) * (a - b)) * dx for a, b in ((log_p, log_q), (log_q, log_p)))
    cross = -np.sum(np.exp(log_p) * log_q) * dx
    jensen_shannon = 0.5 * sum(np.sum(np.exp(a) * (a - half)) * dx for a in (log_p, log_q))
    want = {
        "entropy": cross - kl_p_q,
        "cross_entropy": cross,
        "reverse_kl": kl_q_p,
        "jensen_shannon": jensen_shannon,
        "alpha": 4 - 4 * np.sum(np.exp((log_p + log_q) / 2)) * dx,
        "elbo": -kl_p_q,
    } | dict.fromkeys(["log_normalizer", "log_normalizer_of_p"], 0.0)
    for a in (p, Target(p)):
        value, error = BY_DEFAULT[name](a, q)
        assert 0.0 < error < 0.2
        assert abs(value - want.get(name, kl_p_q)) <= 4 * error


def test_a_single_sample_has_no_standard_error():
    p, q = pair_of("1d-three-to-two")
    assert np.isnan(divergences.kl_divergence(p, q, 1)[1])
    assert np.isnan(divergences.kl_divergence(p, q.log_prob, 1, chunk_size=10)[1])


def test_half_precision():
    p = pair_of("1d-identical", dtype="float32")[0]
    half = keras.tree.map_structure(lambda x: ops.cast(x, "float16"), p)
    value, error = divergences.entropy(half, 2000, seed=0)
    assert value.dtype == "float32"
    assert abs(value - PAIRS["1d-identical"]["expected"]["entropy_p"]) <= 3 * error


@pytest.mark.exhaustive
def test_estimates_in_a_function_of_the_user():
    """Loops too, and a generator goes on at each call."""
    p = pair_of("1d-identical", dtype="float32")[0]
    generator = keras.random.SeedGenerator(0)
    estimate = tf.function(lambda p: divergences.entropy(p, 100, seed=generator, chunk_size=30))
    (first, error), (second, _) = estimate(p), estimate(p)
    assert first != second
    assert abs(first - second) < 6 * error


# Gradients.


@pytest.mark.parametrize("which", [0, 1])
def test_gradients_are_without_bias(which):
    """Of KL(p || q) in the parameters of either, the mean over a batch against that of quadrature."""
    n = 2000

    def gradients(function, dists):
        leaves = list(dists[which].params.values())
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            dists = list(dists)
            dists[which] = keras.tree.pack_sequence_as(dists[which], leaves)
            value = ops.sum(function(*dists))
        return tape.gradient(value, leaves)

    x = np.linspace(-15, 15, 3001)[:, None]

    def exact(p, q):
        return ops.sum(ops.exp(p.log_prob(x)) * (p.log_prob(x) - q.log_prob(x))) * (x[1, 0] - x[0, 0])

    want = gradients(exact, pair_of("1d-three-to-two"))
    got = gradients(
        lambda p, q: divergences.kl_divergence(p, q, 50, seed=0)[0], pair_of("1d-three-to-two", (n,), "float32")
    )
    for g, w in zip(got, want, strict=True):
        assert (np.abs(np.mean(g, axis=0) - w) <= 4.5 * np.std(g, axis=0) / np.sqrt(n) + 1e-6).all()


# Targets and functions.


@pytest.mark.few(1)
@pytest.mark.parametrize("chunk_size", [None, 300])
def test_targets_and_functions_stand_for_distributions(chunk_size):
    p, q = pair_of("1d-three-to-two")
    want = PAIRS["1d-three-to-two"]["expected"]
    for a, b in ((Target(p), q), (p, q.log_prob), (Target(p), Target(q)), (p, Target(q))):
        value, error = divergences.kl_divergence(a, b, 1000, seed=0, chunk_size=chunk_size)
        assert abs(value - want["kl_p_q"]) <= 3 * error < 0.1


def test_a_target_of_a_distribution_is_that_distribution():
    p, q = pair_of("1d-three-to-two")
    target = Target(p)
    target.distribution = p
    assert divergences.kl_divergence(target, q, 10, seed=0)[0] == divergences.kl_divergence(p, q, 10, seed=0)[0]


def test_targets_of_the_library():
    target = kg.targets.GaussianMixture.create_tutorial()
    q = pair_of("2d-tutorial-to-moments", dtype="float32")[1]
    expected = PAIRS["2d-tutorial-to-moments"]["expected"]
    for value, error, truth in (
        (*divergences.kl_divergence(target, q, 2000, seed=0), expected["kl_p_q"]),
        (*divergences.reverse_kl(target, q, 2000, seed=0), expected["kl_q_p"]),
        (*divergences.entropy(target, 2000, seed=0), expected["entropy_p"]),
        (*divergences.log_normalizer(q, target, 2000, seed=0), target.logZ),
    ):
        assert abs(value - truth) <= 3 * error < 0.6
    assert divergences.jensen_shannon_divergence(target, q, 10, seed=0)[0].dtype == "float64"
    for estimator in ("score", "pathwise"):
        loss = divergences.reverse_kl_loss(q, target, 2000, seed=0, estimator=estimator)
        np.testing.assert_allclose(loss, expected["kl_q_p"], atol=4 * expected["kl_q_p_std"] / np.sqrt(2000))


@pytest.mark.exhaustive
def test_chunks_differ_and_seeds_repeat():
    p, q = pair_of("1d-identical", dtype="float32")
    q = kg.GaussianMixtureDist(q.logits, q.mu + 1.0, scale_tril=q.scale_tril)
    first, again, other = (divergences.kl_divergence(p, q, 600, seed=seed, chunk_size=300)[0] for seed in (0, 0, 1))
    assert first == again != other
    seen = []

    def draw(num_samples, seed, p):
        seen.append(np.array(p.sample(num_samples, seed)))
        return ops.convert_to_tensor(seen[-1][:, 0])

    streamed(draw, (Target(p),), 30, 10, seed=0)
    assert len(np.unique(np.concatenate(seen))) == 30


# Moments.


@pytest.mark.few(4)
@pytest.mark.parametrize("num_samples, chunk_size", [(10, 3), (9, 3), (2, 3), (20, 1)])
@pytest.mark.parametrize("is_log", [False, True])
def test_moments_of_chunks_are_those_of_all(num_samples, chunk_size, is_log):
    terms = 3.0 + RNG(0).normal(size=(21, 2)) * [1.0, 5.0]
    chunks = iter(np.split(terms[: -(-num_samples // chunk_size) * chunk_size], -(-num_samples // chunk_size)))

    def draw(n, seed, source):
        return ops.convert_to_tensor(next(chunks))

    got = streamed(draw, ("source",), num_samples, chunk_size, 0, is_log)
    terms = terms[:num_samples]
    values = np.exp(terms) if is_log else terms
    mean, variance = values.mean(axis=0), values.var(axis=0, ddof=1) / num_samples
    want = (np.log(mean), variance / mean**2) if is_log else (mean, variance)
    np.testing.assert_allclose(got, want, rtol=1e-9)
    np.testing.assert_allclose((log_moments if is_log else moments)(terms), want, rtol=1e-9)


def test_moments_keep_their_digits():
    terms = (1000.0 + RNG(0).normal(size=(2**20, 1))).astype("float32")
    mean, variance = moments(ops.convert_to_tensor(terms))
    np.testing.assert_allclose(mean, terms.mean(axis=0, dtype="float64"), rtol=2e-7)
    np.testing.assert_allclose(variance, terms.var(axis=0, dtype="float64") / 2**20, rtol=1e-4)


# Errors.


@pytest.mark.parametrize("num_samples", [0, -1, 1.5, True, None])
def test_num_samples_must_be_a_count(num_samples):
    with pytest.raises(ValueError, match="`num_samples` must be an int >= 1. Received: num_samples="):
        divergences.entropy(kg.NormalDist([0.0], [0.0]), num_samples)


def test_chunk_size_must_be_a_count():
    with pytest.raises(ValueError, match="`chunk_size` must be an int >= 1. Received: chunk_size=0"):
        divergences.entropy(kg.NormalDist([0.0], [0.0]), 10, chunk_size=0)


@pytest.mark.parametrize("alpha", [INF, float("nan"), "1", None, True])
def test_alpha_must_be_a_number(alpha):
    p = kg.NormalDist([0.0], [0.0])
    with pytest.raises(ValueError, match="`alpha` must be a finite number. Received: alpha="):
        divergences.alpha_divergence(p, p, alpha)


def test_what_cannot_be_drawn_from_says_so():
    p = kg.NormalDist([0.0], [0.0])
    with pytest.raises(TypeError, match="must be a distribution or target, .* Received: function"):
        divergences.kl_divergence(lambda x: x, p)
    with pytest.raises(TypeError, match="A density must have .* Received: float"):
        divergences.kl_divergence(p, 1.0)


@pytest.mark.parametrize("count", [np.int64(100), np.uint8(100), np.array(100)[()]])
def test_a_number_of_samples_may_be_numpys(count):
    dist = kg.NormalDist([0.3], [0.1])
    np.testing.assert_array_equal(kg.divergences.entropy(dist, count, 0)[0], kg.divergences.entropy(dist, 100, 0)[0])


@pytest.mark.parametrize("count", [True, 0, 1.5, 100.0, "100", None, np.array([100])])
def test_what_is_no_number_of_samples_is_one_line(count):
    with pytest.raises(ValueError, match="`num_samples` must be an int >= 1. Received: num_samples="):
        kg.divergences.entropy(kg.NormalDist([0.3], [0.1]), count, 0)
