"""`MixtureDist`: against the mixture of normals and SciPy, several families, what is out, draws, and errors."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import kgdists as kg
from kgdists.distributions.mixture import log_sum
from tests.marks import exhaustive

INF = float("inf")
RNG = np.random.default_rng


def normals(batch=(5,), n=1, seed=0):
    rng = RNG(seed)
    logits, mu, logvar = rng.normal(size=(*batch, 3)), *rng.normal(size=(2, *batch, 3, n))
    return logits, 3.0 * mu, logvar


def both(batch=(5,), n=1):
    logits, mu, logvar = normals(batch, n)
    of_one = kg.MixtureDist(logits, kg.NormalDist(mu, logvar))
    of_three = kg.MixtureDist(logits, [kg.NormalDist(mu[..., k, :], logvar[..., k, :]) for k in range(3)])
    return of_one, of_three, kg.GaussianMixtureDist(logits, mu, logvar)


@pytest.mark.parametrize("n", [*exhaustive(1), 3])
def test_of_normals_it_is_a_gaussian_mixture(n):
    *mixtures, want = both(n=n)
    x = 3.0 * RNG(1).normal(size=(7, 5, n))
    methods = {"log_proba": (x,), "responsibilities": (x,), "mean": (), "variance": (), "mode": ()}
    methods |= dict.fromkeys(("cdf", "log_cdf", "survival", "log_survival"), (x,)) if n == 1 else {}
    for got in mixtures:
        for name, given in methods.items():
            np.testing.assert_allclose(getattr(got, name)(*given), getattr(want, name)(*given), rtol=1e-12, atol=1e-13)
        if n == 1:
            q = np.array([0.0, 1e-300, 1e-3, 0.5, 0.999, 1.0])[:, None, None]
            np.testing.assert_allclose(got.quantile(q), want.quantile(q), rtol=1e-12)


def test_two_families_side_by_side():
    pi = kg.MixtureDist([0.0, np.log(3.0)], (kg.BetaDist([2.0], [2.0]), kg.NormalDist([3.0], [0.0])))
    x = np.array([[-1.0], [0.3], [3.0], [8.0]], "float32")
    beta, normal = scipy.stats.beta(2, 2), scipy.stats.norm(3)
    # Outside of the support of one is none of the other's business.
    np.testing.assert_allclose(pi.log_proba(x), np.log(0.25 * beta.pdf(x) + 0.75 * normal.pdf(x))[:, 0], rtol=1e-5)
    np.testing.assert_allclose(pi.cdf(x), 0.25 * beta.cdf(x) + 0.75 * normal.cdf(x), rtol=1e-5)
    q = np.array([0.01, 0.2, 0.9], "float32")[:, None]
    np.testing.assert_allclose(pi.cdf(pi.quantile(q)), q, rtol=1e-5)
    shares = pi.responsibilities(x)
    np.testing.assert_allclose(shares[0], [0.0, 1.0])
    np.testing.assert_allclose(np.sum(shares, axis=-1), np.ones(4), rtol=1e-6)


def test_a_component_still_raises_by_itself():
    part = kg.BetaDist([2.0], [2.0])
    pi = kg.MixtureDist([0.0, 0.0], (part, kg.NormalDist([0.0], [0.0])))
    for _ in range(12):  # also once it is compiled, by either of them
        assert np.isfinite(pi.log_proba([2.0]))
        with pytest.raises(ValueError, match="`x` must lie between"):
            part.log_proba([2.0])


def test_integers_are_actions_and_have_quantiles():
    pi = kg.MixtureDist([[0.0, 1.0]], kg.DiscretizedLogisticDist([[[0.0], [5.0]]], [[[0.0], [0.3]]], -10, 10))
    k = np.arange(-10.0, 11.0)[:, None, None].astype("float32")
    mass = np.exp(pi.log_proba(k))
    np.testing.assert_allclose(mass.sum(), 1.0, rtol=1e-6)
    np.testing.assert_allclose(np.cumsum(mass), np.ravel(pi.cdf(k)), rtol=1e-5)
    np.testing.assert_array_equal(pi.quantile(pi.cdf(k)), k)
    assert pi.sample_action().dtype == pi.mode_action().dtype == "int64"
    assert np.ravel(pi.mode_action()) == k.ravel()[mass.argmax()]


@pytest.mark.parametrize("of_one", [True, *exhaustive(False)])
def test_what_is_out_counts_nothing_and_moves_nothing(of_one):
    logits, mu, logvar = normals(())
    mask = np.array([True, False, True])
    mu = tf.constant(mu)
    kept = kg.MixtureDist(logits[mask], kg.NormalDist(mu.numpy()[mask], logvar[mask]))
    x = tf.constant([0.3], "float64")
    with tf.GradientTape() as tape:
        tape.watch(mu)
        parts = kg.NormalDist(mu, logvar)
        pi = kg.MixtureDist(logits, parts if of_one else tuple(parts[k] for k in range(3)), mask=mask)
        value = pi.log_proba(x)
    np.testing.assert_allclose(value, kept.log_proba(x), rtol=1e-14)
    for name in ("mean", "variance"):
        np.testing.assert_allclose(getattr(pi, name)(), getattr(kept, name)(), rtol=1e-12)
    slope = np.ravel(tape.gradient(value, mu))
    assert slope[1] == 0.0 and np.isfinite(slope).all() and slope[0] != 0.0
    assert np.log(1e-7) < pi.log_weights[0] < 0.0 and pi.log_weights[1] == -INF


@pytest.mark.parametrize("of_one", [True, *exhaustive(False)])
def test_draws_follow_the_distribution_function(of_one):
    pi = both(())[0 if of_one else 1]
    x = np.ravel(pi.sample(100_000, seed=1))
    assert scipy.stats.kstest(x, lambda x: np.ravel(pi.cdf(x[:, None]))).pvalue > 1e-3


def test_gradients_of_quantiles_are_those_of_differences():
    pi, _, want = both()
    q = np.array([[0.1], [0.3], [0.5], [0.7], [0.9]])
    got = gradients(pi, q)
    for a, b in zip(got, gradients(want, q), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def gradients(pi, q):
    leaves = keras.tree.flatten(pi)
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        value = keras.tree.pack_sequence_as(pi, leaves).quantile(q)
    return tape.gradient(value, leaves)


def test_sums_of_infinite_terms():
    for terms, share in (
        ([-INF, -INF], [0.0, 0.0]),
        ([-INF, 1.0], [0.0, 1.0]),
        ([INF, 1.0], [1.0, 0.0]),
        ([-1e4, -1e4], [0.5, 0.5]),
    ):
        x = tf.constant(terms)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = log_sum(x, axis=-1)
        np.testing.assert_array_equal(tape.gradient(value, x), share)
        np.testing.assert_allclose(value, np.logaddexp(*terms), rtol=1e-6)


def test_mixtures_nest():
    inner = kg.MixtureDist(np.zeros((2, 2)), kg.NormalDist(np.arange(4.0).reshape(2, 2, 1), np.zeros((2, 2, 1))))
    flat = kg.MixtureDist(np.zeros(4), kg.NormalDist(np.arange(4.0)[:, None], np.zeros((4, 1))))
    pi = kg.MixtureDist(np.zeros(2), inner)
    np.testing.assert_allclose(pi.log_proba([1.7]), flat.log_proba([1.7]), rtol=1e-14)
    assert list(pi.params) == [
        "logits",
        "components/logits",
        "components/components/mu",
        "components/components/logvar",
    ]


NORMAL = kg.NormalDist(np.zeros((2, 1)), np.zeros((2, 1)))


@pytest.mark.parametrize(
    ("logits", "components", "error", "match"),
    [
        (np.zeros(3), NORMAL, ValueError, r"`components` must be of batch shape \[B..., K\].*Received"),
        (np.zeros(3), (NORMAL[0], NORMAL[1]), ValueError, "as many as the weights. Received: 2"),
        (np.zeros(2, "float32"), NORMAL, ValueError, "must have the same dtype. Received: logits of float32"),
        (np.full(2, -INF), NORMAL, ValueError, "must allow a choice in every row"),
        (
            np.zeros(2),
            3,
            TypeError,
            "must be a distribution or a tuple of distributions. Received: components of type int",
        ),
        (np.zeros(2), "normal", TypeError, "`components` must be a distribution"),
        (np.zeros(2), (NORMAL[0], kg.BernoulliDist(np.zeros(1))), ValueError, "must all have densities"),
        (np.zeros(2), kg.CompositeDist((NORMAL,)), ValueError, "over vectors"),
    ],
)
def test_what_does_not_fit_raises(logits, components, error, match):
    with pytest.raises(error, match=match):
        kg.MixtureDist(logits, components)
