"""`StateDependentNormalDist`: its marginal normal, and noise that stays."""

import inspect

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists import NormalDist, StateDependentNormalDist
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng


def make(batch=(5,), f=3, n=2, seed=0):
    rng = RNG(seed)
    return StateDependentNormalDist(rng.normal(size=(*batch, n)), rng.normal(size=(*batch, f, n)))


def gradient_of(function, *xs):
    """Value and gradients of the sum of `function(*xs)`."""
    xs = [ops.convert_to_tensor(x) for x in xs]
    with tf.GradientTape() as tape:
        tape.watch(xs)
        value = function(*xs)
    return value, tape.gradient(value, xs)


# One step: independent normals.


def test_densities_and_divergences_are_those_of_scipy():
    p, q, x = make(()), make((), seed=1), RNG(2).normal(size=2)
    joints = [
        scipy.stats.multivariate_normal(dist.mu, np.diag(1e-6 + np.sum(dist.loadings**2, axis=0))) for dist in (p, q)
    ]
    np.testing.assert_allclose(p.log_proba(x), joints[0].logpdf(x), rtol=1e-12)
    np.testing.assert_allclose(p.entropy(), joints[0].entropy(), rtol=1e-12)
    np.testing.assert_allclose(p.variance(), np.diag(joints[0].cov), rtol=1e-12)
    np.testing.assert_allclose(p.kl_divergence(q), p.marginal.kl_divergence(q.marginal), rtol=1e-12)
    np.testing.assert_allclose(p.cross_entropy(q), p.entropy() + p.kl_divergence(q), rtol=1e-12)
    assert type(p.marginal) is NormalDist


def test_draws_are_those_of_the_marginal():
    dist = make(())
    x = np.array(dist.sample(100_000, seed=0))
    z = (x - dist.mean()) / np.sqrt(dist.variance())
    assert all(scipy.stats.kstest(column, "norm").pvalue > 1e-3 for column in np.array(z).T)
    assert abs(np.corrcoef(np.array(z).T)[0, 1]) < 0.015


def test_samples_move_with_the_parameters():
    mu, loadings = RNG(0).normal(size=2), RNG(1).normal(size=(3, 2))
    _, (mu_gradient, gradient) = gradient_of(lambda m, w: StateDependentNormalDist(m, w).sample(seed=0), mu, loadings)
    np.testing.assert_array_equal(mu_gradient, np.ones(2))
    assert gradient.shape == (3, 2) and np.all(gradient)


@pytest.mark.few(1)
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e15])
def test_values_and_gradients_are_finite(scale, jit_compile):
    """Also where no feature is active."""
    mu, loadings = np.zeros((4, 2), "float32"), np.full((4, 3, 2), scale, "float32")

    def evaluate(mu, loadings):
        def dist(mu, loadings):
            return StateDependentNormalDist(mu, loadings)

        methods = [
            lambda *xs: dist(*xs).log_proba(mu + 0.1),
            lambda *xs: dist(*xs).entropy(),
            lambda *xs: dist(*xs).kl_divergence(dist(mu, loadings)),
            lambda *xs: dist(*xs).sample(seed=0),
        ]
        return [gradient_of(method, mu, loadings) for method in methods]

    for value, gradients in tf.function(evaluate, jit_compile=jit_compile)(mu, loadings):
        assert np.isfinite(value).all()
        assert all(np.isfinite(gradient).all() for gradient in gradients if gradient is not None)


# Several steps: one seed, one exploration matrix.


@pytest.mark.parametrize("seed", [3, np.array([5, 7])], ids=["int", "key"])
def test_one_seed_is_one_noise_for_all_features(seed):
    """Draws are linear in the features: they follow a smooth function of the state."""
    rng = RNG(0)
    mu, stddev, features = np.zeros((5, 2)), np.exp(rng.normal(size=(3, 2))), rng.normal(size=(2, 5, 3))

    def noise(features):
        return np.array(
            StateDependentNormalDist(mu, features[..., None] * stddev).sample(
                seed=ops.convert_to_tensor(seed) if np.ndim(seed) else seed
            )
        )

    still = noise(np.zeros((5, 3)))
    first, second = (noise(x) - still for x in features)
    np.testing.assert_allclose(noise(2 * features[0] - features[1]) - still, 2 * first - second, rtol=1e-6, atol=1e-9)
    assert np.abs(still).max() < 0.01 and np.abs(first).min() > 0


def test_other_seeds_are_other_noise():
    dist = make()
    assert np.all(dist.sample(seed=1) != dist.sample(seed=2))
    assert np.all(dist.sample() != dist.sample())


def test_the_action_of_a_seed_is_its_sample():
    dist = make()
    np.testing.assert_array_equal(dist.sample_action(seed=1), dist.sample(seed=1))
    np.testing.assert_array_equal(dist.mode_action(), dist.mu)


# The constructor.


def test_arguments_and_defaults():
    assert list(inspect.signature(StateDependentNormalDist).parameters) == ["mu", "loadings", "name", "random_seed"]


@pytest.mark.parametrize("shape", [(2,), (3, 2), (4, 3, 2), (5, 3, 1), (5, 0, 2), (1, 5, 3, 2)], ids=str)
def test_shapes_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"`loadings` must have .*Received: mu of shape \(5, 2\), loadings of shape"):
        StateDependentNormalDist(np.zeros((5, 2)), np.zeros(shape))


def test_dtypes_that_do_not_fit():
    with pytest.raises(ValueError, match="same dtype. Received: mu of float32, loadings of float64"):
        StateDependentNormalDist(np.zeros(2, "float32"), np.zeros((3, 2)))


@pytest.mark.parametrize("bad", [INF, NAN])
def test_loadings_must_be_finite(bad):
    with pytest.raises(ValueError, match=rf"`loadings` must be finite. Received: {bad} at index \[0, 0\] of loadings"):
        StateDependentNormalDist(np.zeros(1), np.array([[bad]]))


# The head.


@pytest.mark.parametrize("num_features", [1, 8, 64])
def test_initial_stddev_of_features_of_mean_square_1(num_features):
    head = kg.layers.StateDependentNormalHead(2, initial_stddev=0.5, scale=[1.0, 3.0])
    features = RNG(0).choice([-1.0, 1.0], size=(7, num_features)).astype("float32")
    np.testing.assert_allclose(np.sqrt(head(features).variance()), [[0.5, 1.5]] * 7, rtol=1e-4)


def test_mean_is_that_of_a_normal_head():
    features = RNG(0).normal(size=(7, 4)).astype("float32")
    options = {"center": [1.0, 2.0], "scale": [2.0, 3.0], "kernel_gain": 1.0, "random_seed": 0}
    want = kg.layers.NormalHead(2, **options)(features).mu
    np.testing.assert_array_equal(kg.layers.StateDependentNormalHead(2, **options)(features).mu, want)


@pytest.mark.parametrize("through", [False, True])
def test_whether_the_noise_trains_the_features(through):
    head = kg.layers.StateDependentNormalHead(2, train_through_features=through)
    _, (gradient,) = gradient_of(lambda x: head(x).entropy(), np.ones((3, 4), "float32"))
    assert (gradient is not None) == through


@pytest.mark.parametrize("raw, bound", [(-1e3, 0.1), (1e3, 2.0)])
def test_stddev_stays_within_its_bounds(raw, bound):
    head = kg.layers.StateDependentNormalHead(1, min_stddev=0.1, max_stddev=2.0)
    head.build((7, 4))
    head.logvar_weight.assign(np.full((4, 1), raw))
    np.testing.assert_allclose(np.sqrt(head(np.ones((1, 4), "float32")).variance()), [[bound]], rtol=1e-3)


def test_the_loadings_are_already_state_dependent():
    with pytest.raises(ValueError, match="`state_dependent` must be False"):
        kg.layers.StateDependentNormalHead(2, state_dependent=True)
