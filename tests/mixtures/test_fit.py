import keras
import numpy as np
import pytest
import tensorflow as tf

import kgdists as kg
from kgdists import mixtures

RNG = np.random.default_rng

# The target of the divergence tutorial.
WEIGHTS = [0.2, 0.3, 0.2, 0.3]
MEANS = [[1.0, 0.0], [6.0, 4.0], [-2.0, 2.0], [4.0, -2.0]]
COVARIANCES = [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.5], [0.5, 1.0]], [[1.0, -0.5], [-0.5, 1.0]], [[0.5, 0.0], [0.0, 4.0]]]
ENTROPY = 4.1225187717817695
TARGET = kg.GaussianMixtureDist(
    np.log(WEIGHTS).astype("float32"),
    np.array(MEANS, "float32"),
    scale_tril=np.linalg.cholesky(COVARIANCES).astype("float32"),
)


def kl(p, q, count=100_000):
    """Monte Carlo in float64, the draws' control variate included: its standard error is below a tenth of itself."""
    x = p.sample(count, seed=0)
    log_ratio = np.float64(q.log_proba(x)) - np.float64(p.log_proba(x))
    return np.mean(np.expm1(log_ratio) - log_ratio)


def clusters(count=3000, n=2, dtype="float64"):
    """Three clusters of different spread, far from the origin."""
    rng = RNG(0)
    centres = 100.0 + np.array([[0.0] * n, [8.0] * n, [-9.0] + [9.0] * (n - 1)])
    x = centres[rng.choice(3, size=count, p=[0.5, 0.3, 0.2])]
    return (x + rng.normal(size=x.shape) * np.linspace(0.5, 1.5, n)).astype(dtype)


# By gradient descent.


@pytest.mark.exhaustive
def test_forward_fits_of_the_tutorial_find_all_of_it():
    divergences = [kl(TARGET, mixtures.fit(TARGET, 4, seed=seed).distribution) for seed in range(5)]
    assert sum(divergence < 0.01 for divergence in divergences) >= 4


@pytest.mark.exhaustive
@pytest.mark.parametrize("divergence", ["forward", "reverse"])
def test_any_matrix_makes_a_covariance(divergence):
    options = {"parameterization": "a_at", "divergence": divergence, "iterations": 1000, "num_samples": 200}
    p, q = TARGET, mixtures.fit(TARGET, 4, initial=TARGET, seed=0, **options).distribution
    assert kl(p, q) < 0.01


@pytest.mark.exhaustive
def test_one_component_covers_all_by_forward_divergence_and_one_mode_by_reverse():
    forward = mixtures.fit(TARGET, 1, iterations=2000, seed=0)
    np.testing.assert_allclose(forward.distribution.mean(), TARGET.mean(), atol=0.15)
    np.testing.assert_allclose(forward.distribution.covariance(), TARGET.covariance(), atol=0.6)
    np.testing.assert_allclose(forward.loss, 4.97921842157877, atol=0.02)  # by quadrature
    reverse = mixtures.fit(TARGET, 1, divergence="reverse", iterations=2000, seed=0)
    mean = reverse.distribution.mean()
    assert np.linalg.norm(mean - np.array(MEANS), axis=-1).min() < 0.5
    assert np.trace(reverse.distribution.covariance()) < 0.5 * np.trace(TARGET.covariance())


@pytest.mark.exhaustive
@pytest.mark.parametrize("estimator", ["score", "pathwise"])
def test_reverse_fits_of_the_tutorial_with_restarts(estimator):
    fitted = mixtures.fit(
        TARGET,
        4,
        divergence="reverse",
        estimator=estimator,
        restarts=8,
        initial_spread=4.0,
        iterations=3000,
        num_samples=100,
        seed=0,
    )
    assert kl(fitted.distribution, TARGET) < 0.05
    assert fitted.losses.shape == (8,) and fitted.losses.min() == fitted.loss
    np.testing.assert_allclose(fitted.loss, 0.0, atol=0.05)
    # Some have missed a mode: restarts are of use.
    assert fitted.losses.max() > 0.1


@pytest.mark.exhaustive
def test_a_fit_is_reproducible_and_independent_of_the_state_of_the_optimizer():
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), momentum=0.9)
    options = {"iterations": 20, "num_samples": 64, "optimizer": optimizer, "initial": "random"}
    first, other, again = (mixtures.fit(TARGET, 2, seed=seed, **options) for seed in (3, 4, 3))
    np.testing.assert_array_equal(first.history["losses"], again.history["losses"])
    np.testing.assert_array_equal(first.distribution.mu, again.distribution.mu)
    assert np.all(first.history["loss"] != other.history["loss"])
    assert int(optimizer.iterations) == 0


@pytest.mark.exhaustive
def test_a_fit_does_not_depend_on_the_units_of_its_samples():
    x = clusters(500)
    options = {"iterations": 50, "num_samples": 64, "seed": 0}
    fitted, scaled = (mixtures.fit(samples, 3, **options) for samples in (x, 1e4 * x - 7e6))
    np.testing.assert_allclose(scaled.distribution.mu, 1e4 * fitted.distribution.mu - 7e6, rtol=1e-6)
    np.testing.assert_allclose(scaled.loss, fitted.loss + 2 * np.log(1e4), rtol=1e-5)


@pytest.mark.exhaustive
def test_samples_datasets_and_batches_are_fitted_alike():
    x = clusters(500, dtype="float32")

    class Samples:
        def get_samples(self):
            return x

    options = {"iterations": 50, "num_samples": 64, "seed": 0}
    array, dataset = (mixtures.fit(data, 3, **options).distribution for data in (x, Samples()))
    np.testing.assert_array_equal(array.mu, dataset.mu)
    batches = mixtures.fit(tf.data.Dataset.from_tensor_slices(x).batch(100), 3, **options)
    np.testing.assert_allclose(batches.loss, mixtures.fit(x, 3, **options).loss, rtol=0.05)


@pytest.mark.exhaustive
def test_targets_and_their_datasets():
    target = kg.targets.GaussianMixture.create_tutorial()
    options = {"iterations": 200, "num_samples": 100, "seed": 0}
    dataset = target.load_dataset("train", 1000)
    for source in (target, dataset, dataset.as_tf_dataset(128)):
        fitted = mixtures.fit(source, 4, **options)
        np.testing.assert_allclose(fitted.loss, ENTROPY, atol=0.15)
    dicts = dataset.as_tf_dataset(128).map(lambda x: {"samples": x})
    np.testing.assert_array_equal(mixtures.fit(dicts, 4, **options).history["loss"], fitted.history["loss"])
    reverse = mixtures.fit(target, 1, divergence="reverse", **options)
    assert reverse.history["loss"][-20:].mean() < reverse.history["loss"][:20].mean()


@pytest.mark.exhaustive
def test_a_density_known_up_to_a_constant_is_a_target():
    def log_density(x):
        return 3.0 - 0.5 * tf.reduce_sum(tf.square((x - 1.0) / 0.5), axis=-1)

    fitted = mixtures.fit(
        log_density,
        1,
        divergence="reverse",
        estimator="pathwise",
        covariance="diag",
        num_dims=2,
        iterations=1000,
        num_samples=64,
        seed=0,
    )
    np.testing.assert_allclose(fitted.distribution.mu, [[1.0, 1.0]], atol=0.02)
    np.testing.assert_allclose(fitted.distribution.logvar, np.full((1, 2), np.log(0.25)), atol=0.1)
    np.testing.assert_allclose(fitted.loss, -3.0 - np.log(2 * np.pi * 0.25), atol=0.02)


@pytest.mark.exhaustive
def test_a_restart_that_breaks_is_not_kept():
    def log_density(x):
        return tf.where(x[..., 0] > 0, -0.5 * tf.reduce_sum(x * x, axis=-1), float("nan"))

    initial = kg.GaussianMixtureDist([[0.0], [0.0]], [[[9.0]], [[-9.0]]], [[[-2.0]], [[-2.0]]])
    options = {"divergence": "reverse", "num_dims": 1, "iterations": 5, "num_samples": 16, "covariance": "diag"}
    fitted = mixtures.fit(log_density, 1, initial=initial, restarts=2, **options)
    assert np.isfinite(fitted.losses[0]) and np.isinf(fitted.losses[1])
    assert fitted.distribution.mu[0, 0] > 8.0
    initial = kg.GaussianMixtureDist([[0.0], [0.0]], [[[-8.0]], [[-9.0]]], [[[-2.0]], [[-2.0]]])
    with pytest.raises(ValueError, match="The loss must stay finite.* Received: losses .* after 5 iterations"):
        mixtures.fit(log_density, 1, initial=initial, restarts=2, **options)


@pytest.mark.exhaustive
def test_the_progress_bar(capsys):
    options = {"iterations": 50, "num_samples": 64, "seed": 0}
    for method in ("gradient", "em"):
        mixtures.fit(clusters(500), 3, method=method, verbose=1, **options)
        shown = capsys.readouterr().out
        assert ("50/50" in shown) == (method == "gradient") and "loss" in shown
        mixtures.fit(clusters(500), 3, method=method, verbose=0, **options)
        assert not capsys.readouterr().out


def test_a_fit_is_silent_unless_it_takes_a_second_or_is_asked(capsys, monkeypatch):
    options = {"method": "em", "iterations": 5, "tolerance": -1.0}
    monkeypatch.setattr("kgdists.mixtures.progress.DELAY", 1e9)
    mixtures.fit(clusters(200), 3, **options)
    assert not capsys.readouterr().out
    monkeypatch.setattr("kgdists.mixtures.progress.DELAY", 1e-9)
    mixtures.fit(clusters(200), 3, **options)
    assert capsys.readouterr().out.startswith("5/5 ")
    mixtures.fit(clusters(200), 3, verbose=2, **options)
    assert len(capsys.readouterr().out.splitlines()) in range(1, 6)
    with pytest.raises(ValueError, match="`verbose` must be"):
        mixtures.fit(clusters(200), 3, verbose="loud", **options)


def test_a_fit_that_converges_is_at_its_end(capsys):
    fitted = mixtures.fit(clusters(500), 3, method="em", verbose=1)
    iterations = len(fitted.history["loss"])
    assert iterations < 500 and capsys.readouterr().out.splitlines()[-1].startswith(f"{iterations}/{iterations} ")


# By expectation maximisation.


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_expectation_maximisation_raises_the_likelihood_to_a_maximum(covariance):
    x = clusters()
    fitted = mixtures.fit(x, 3, method="em", covariance=covariance, restarts=2, tolerance=1e-9, seed=0)
    dist, losses = fitted.distribution, fitted.history["losses"]
    assert (np.diff(losses, axis=0) < 1e-9).all()
    np.testing.assert_allclose(fitted.loss, -np.mean(dist.log_proba(x)), rtol=1e-9)
    np.testing.assert_allclose(np.sort(np.exp(dist.log_weights)), [0.2, 0.3, 0.5], atol=0.03)
    # Where the likelihood is stationary the moments of the mixture are those of the samples.
    np.testing.assert_allclose(dist.mean(), x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(dist.variance(), x.var(axis=0), rtol=1e-3)
    assert dist.dtype == "float64"


def test_expectation_maximisation_is_that_of_the_textbook():
    """One iteration, written out with densities."""
    x, initial = clusters(501), mixtures.fit(clusters(), 3, method="em", iterations=1, seed=1).distribution
    fitted = mixtures.fit(x, 3, method="em", initial=initial, iterations=1, min_stddev=1e-6).distribution
    shares = np.float64(initial.responsibilities(x))
    counts = shares.sum(axis=0)
    means = shares.T @ x / counts[:, None]
    steps = x[:, None] - means
    covariances = np.einsum("ik,ikm,ikn->kmn", shares, steps, steps) / counts[:, None, None]
    np.testing.assert_allclose(np.exp(fitted.log_weights), counts / len(x), rtol=1e-9)
    np.testing.assert_allclose(fitted.mu, means, rtol=1e-9)
    np.testing.assert_allclose(
        fitted.scale_tril @ np.swapaxes(fitted.scale_tril, -2, -1), covariances, rtol=1e-6, atol=1e-9
    )


@pytest.mark.exhaustive
def test_components_that_collapse_leave_a_proper_mixture():
    # Three distinct points, each many times, and a dimension that does not vary.
    x = np.repeat([[0.0, 5.0], [1.0, 5.0], [7.0, 5.0]], 20, axis=0)
    for options in ({"method": "em"}, {"iterations": 200, "num_samples": 32}):
        dist = mixtures.fit(x, 4, seed=0, **options).distribution
        assert all(np.isfinite(value).all() for value in dist.params.values())
        assert np.isfinite(dist.log_proba(x)).all()


def test_more_components_than_samples():
    dist = mixtures.fit(clusters(4), 6, method="em", seed=0).distribution
    assert np.isfinite(dist.log_proba(clusters(4))).all()


# Arguments.


@pytest.mark.exhaustive
def test_initial_values_are_taken_over():
    for covariance, spread in (
        ("full", {"scale_tril": TARGET.scale_tril}),
        ("diag", {"logvar": np.zeros((4, 2), "f")}),
    ):
        initial = kg.GaussianMixtureDist(TARGET.logits, TARGET.mu, **spread)
        options = {"initial": initial, "covariance": covariance, "iterations": 1, "num_samples": 64}
        fitted = mixtures.fit(TARGET, 4, optimizer=keras.optimizers.SGD(1e-9), seed=0, **options).distribution
        for value, want in zip(fitted.params.values(), initial.params.values(), strict=True):
            np.testing.assert_allclose(value, want, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"divergence": "both"}, "`divergence` must be one of forward, reverse. Received: divergence='both'"),
        ({"method": "mcmc"}, "`method` must be one of gradient, em"),
        ({"covariance": "tied"}, "`covariance` must be one of full, diag"),
        ({"initial": "here"}, "`initial` must be one of kmeans\\+\\+, random"),
        ({"num_components": 0}, "`num_components` must be an int >= 1. Received: num_components=0"),
        ({"iterations": 1.5}, "`iterations` must be an int >= 1"),
        ({"min_stddev": 0.0}, "`min_stddev` must be a finite number > 0"),
        ({"scale": [1.0, -1.0]}, "`scale` > 0"),
        ({"center": [1.0, 1.0, 1.0]}, "`center` and `scale` must be numbers or have length 2"),
        ({"num_dims": 3}, "`num_dims` must be that of the target, 2. Received: num_dims=3"),
        ({"method": "em", "divergence": "reverse"}, '`method="em"` is maximum likelihood'),
        ({"initial": TARGET}, "`initial` must have 2 components over 2 dimensions"),
        ({"target_or_samples": np.zeros(3)}, r"Samples must have shape \[N, n\], .* Received: shape \(3,\)"),
        (
            {"target_or_samples": np.array([[0.0], [np.nan]])},
            r"Samples must be finite. Received: nan at index \[1, 0\]",
        ),
        ({"target_or_samples": np.array([["a"]])}, "Samples must be numbers"),
        ({"target_or_samples": len}, "A forward fit needs samples, or a target that has `sample`"),
        ({"target_or_samples": len, "divergence": "reverse"}, "`num_dims` must be given"),
    ],
)
def test_bad_arguments(options, text):
    arguments = {"target_or_samples": TARGET, "num_components": 2, "iterations": 1} | options
    with pytest.raises(ValueError, match=text):
        mixtures.fit(**arguments)
