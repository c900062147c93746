"""What is the same for all search distributions, and what each of them is for."""

import functools

import keras
import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

import kgdists as kg
from kgdists import random
from kgdists.evolution import (
    ExpGaussian,
    ExpSeparableGaussian,
    SeparableGaussian,
    SymmetricSeparableGaussian,
    noise,
)
from kgdists.evolution.gaussians.exp_gaussian import exponentials

RNG = np.random.default_rng
KEY = random.key(3)
CLASSES = (SeparableGaussian, SymmetricSeparableGaussian, ExpSeparableGaussian, ExpGaussian)
METHODS = ("raw", "linear", "centered", "normalized", "nes")

each_class = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)


def make(kind, batch=(), length=3, dtype="float64", **parameters):
    rng = RNG(0)
    mu, sigma = rng.normal(size=(*batch, length)), np.exp(rng.normal(size=(*batch, length)))
    if kind is ExpGaussian:
        sigma = sigma[..., None] * np.eye(length) + 0.3 * rng.normal(size=(*batch, length, length))
    return kind({"mu": mu.astype(dtype), "sigma": sigma.astype(dtype)} | parameters)


def step(distribution, fitnesses, samples=None, rate=0.2, method="centered"):
    """The distribution after an update by its own samples."""
    samples = distribution.sample(fitnesses.shape[-1], generator=KEY) if samples is None else samples
    gradients = distribution.compute_gradients(samples, fitnesses, objective_sense="min", ranking_method=method)
    return distribution.update_parameters(gradients, learning_rates={"mu": rate, "sigma": rate})


def assert_same(got, want, **options):
    assert type(got) is type(want)
    for name, x in want.parameters.items():
        np.testing.assert_allclose(got.parameters[name], x, err_msg=name, **options)


# Values.


@each_class
def test_a_distribution_is_a_tree_of_tensors(kind):
    distribution = make(kind)
    for tree in (tf.nest, keras.tree):
        leaves = tree.flatten(distribution)
        assert len(leaves) == len(distribution.TENSORS)
        assert_same(tree.pack_sequence_as(distribution, leaves), distribution)
    assert distribution.parameters.keys() == set(distribution.TENSORS)


def test_options_are_part_of_the_tree_structure():
    distribution = make(SeparableGaussian, parenthood_ratio=0.5, divide_mu_grad_by="num_solutions")
    again = tf.nest.map_structure(tf.identity, distribution)
    assert again.parameters["parenthood_ratio"] == 0.5
    assert again.parameters["divide_mu_grad_by"] == "num_solutions"
    assert "divide_sigma_grad_by" not in again.parameters
    traced = tf.function(lambda distribution: distribution.parenthood_ratio or 0.0, autograph=False)
    assert [traced(x) for x in (distribution, make(SeparableGaussian), distribution)] == [0.5, 0.0, 0.5]


@each_class
def test_nothing_given_is_changed(kind):
    mu, sigma = np.zeros(3, "float32"), np.ones(3, "float32")
    given = {"mu": mu, "sigma": sigma}
    distribution = kind(given)
    rates = {"mu": 0.5, "sigma": 0.5}
    gradients = distribution.compute_gradients(
        distribution.sample(4, generator=1), np.arange(4.0), objective_sense="max"
    )
    before = dict(gradients)
    updated = distribution.update_parameters(gradients, learning_rates=rates)
    assert given == {"mu": mu, "sigma": sigma}
    assert rates == {"mu": 0.5, "sigma": 0.5}
    assert gradients == before
    assert (mu == 0.0).all() and (sigma == 1.0).all()
    mu += 1.0
    distribution.parameters["mu"] = None
    np.testing.assert_array_equal(distribution.mu, np.zeros(3))
    assert not np.array_equal(updated.mu, distribution.mu)
    with pytest.raises(AttributeError, match="is immutable"):
        distribution.mu = mu
    with pytest.raises(AttributeError, match="is immutable"):
        del distribution.sigma


@each_class
def test_modified_copies(kind):
    distribution = make(kind, dtype="float32")
    moved = distribution.modified_copy(mu=[1.0, 2.0, 3.0])
    np.testing.assert_array_equal(moved.mu, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(moved.sigma, distribution.sigma)
    assert distribution.modified_copy(dtype="float64").dtype == "float64"
    assert_same(distribution.to("CPU:0"), distribution)
    assert distribution.to("CPU:0").device.endswith("CPU:0")
    wide = distribution.modified_copy(sigma=[2.0, 2.0, 2.0])
    if kind is ExpGaussian:
        np.testing.assert_array_equal(wide.sigma_inv, 0.5 * np.eye(3))


def test_dtypes():
    assert SeparableGaussian({"mu": [0, 1], "sigma": [1, 1]}).dtype == keras.config.floatx()
    assert SeparableGaussian({"mu": np.zeros(2), "sigma": [1, 1]}).dtype == "float64"
    assert SeparableGaussian({"mu": np.zeros(2), "sigma": [1, 1]}, dtype="float32").dtype == "float32"


@each_class
def test_plain_numbers_keep_their_digits(kind):
    distribution = kind({"mu": [0.1, 0.2], "sigma": [0.3, 0.7]}, dtype="float64")
    np.testing.assert_array_equal(distribution.mu, [0.1, 0.2])
    gradients = (
        {"d": np.ones(2), "M": np.zeros((2, 2))} if kind is ExpGaussian else {"mu": np.ones(2), "sigma": np.ones(2)}
    )
    moved = distribution.update_parameters(gradients, learning_rates={"mu": 0.1, "sigma": 0.1})
    want = [0.13, 0.27] if kind is ExpGaussian else [0.2, 0.3]
    np.testing.assert_allclose(moved.mu, want, rtol=1e-15)


def test_repr_is_short():
    distribution = make(SeparableGaussian, parenthood_ratio=0.5)
    assert repr(distribution) == "SeparableGaussian(mu=<float64 (3,)>, sigma=<float64 (3,)>, parenthood_ratio=0.5)"


# Samples.


@each_class
@pytest.mark.parametrize("batch", [(), (2, 2)])
def test_samples_have_mean_and_covariance_of_the_distribution(kind, batch):
    distribution, count = make(kind, batch), 20_000
    x = distribution.sample(count, generator=KEY).numpy()
    assert x.shape == (*batch, count, 3)
    covariance = distribution.cov.numpy() if kind is ExpGaussian else distribution.sigma.numpy()[..., None] ** 2
    covariance = covariance * (1.0 if kind is ExpGaussian else np.eye(3))
    spread = np.sqrt(np.einsum("...ii->...i", covariance))
    np.testing.assert_array_less(np.abs(x.mean(-2) - distribution.mu), 4.5 * spread / np.sqrt(count))
    centred = x - distribution.mu.numpy()[..., None, :]
    got = np.einsum("...ni,...nj->...ij", centred, centred) / count
    scale = spread[..., :, None] * spread[..., None, :]
    # Pairs are half as many independent draws.
    np.testing.assert_array_less(np.abs(got - covariance), 5.0 * scale * 2.0 / np.sqrt(count))


@pytest.mark.few(6)
@each_class
@pytest.mark.parametrize("batch", [(), (2,)])
def test_rows_are_those_of_the_population(kind, batch):
    distribution = make(kind, batch)
    whole = distribution.sample(12, generator=KEY)
    for first in (4, tf.constant(4, tf.int64)):
        np.testing.assert_array_equal(distribution.sample_rows(KEY, first, 6), whole[..., 4:10, :])
    variable = tf.Variable(tf.zeros((*batch, 12, 3), "float64"))
    assert distribution.sample(out=variable, generator=KEY) is variable
    np.testing.assert_array_equal(variable, whole)
    assert not np.isclose(distribution.sample(12), distribution.sample(12)).any()


def test_rows_of_a_symmetric_population_are_pairs():
    distribution = make(SymmetricSeparableGaussian)
    deviations = distribution.sample(10, generator=KEY) - distribution.mu
    np.testing.assert_allclose(deviations[0::2], -deviations[1::2], rtol=1e-12)


def test_searches_of_a_batch_have_noise_of_their_own():
    distribution = SeparableGaussian({"mu": np.zeros((4, 5)), "sigma": np.ones((4, 5))})
    x = distribution.sample(200, generator=KEY).numpy().reshape(4, -1)
    assert np.abs(np.corrcoef(x) - np.eye(4)).max() < 5.0 / np.sqrt(1000)


# Gradients and updates.


@each_class
def test_a_search_of_a_batch_moves_like_one_alone(kind):
    batch = make(kind, (2,))
    samples, fitnesses = batch.sample(8, generator=KEY), RNG(1).normal(size=(2, 8))
    together = step(batch, fitnesses, samples)
    for i in range(2):
        one = kind({"mu": batch.mu[i], "sigma": batch.sigma[i]})
        want = step(one, fitnesses[i], samples[i])
        assert_same(tf.nest.map_structure(lambda x, i=i: x[i], together), want, rtol=1e-10)


@each_class
def test_sums_over_parts_of_a_population_add_up(kind):
    distribution = make(kind)
    samples = distribution.sample(12, generator=KEY)
    weights = distribution.weights(RNG(1).normal(size=12), objective_sense="max", ranking_method="nes")
    whole = distribution.weighted_sums(samples, weights)
    first = distribution.weighted_sums(samples[:4], weights[:4])
    second = distribution.weighted_sums(samples[4:], weights[4:])
    for name, x in whole.items():
        np.testing.assert_allclose(first[name] + second[name], x, rtol=1e-12, atol=1e-12)


def log_density(kind, parameters, x):
    mu, sigma = parameters
    if kind is ExpGaussian:
        z = tf.linalg.solve(sigma, tf.transpose(x - mu))
        return -0.5 * tf.reduce_sum(z**2, axis=0) - tf.linalg.slogdet(sigma)[1]
    return tf.reduce_sum(-0.5 * ((x - mu) / sigma) ** 2 - tf.math.log(sigma), axis=-1)


@pytest.mark.parametrize("kind", [SeparableGaussian, ExpSeparableGaussian, ExpGaussian], ids=lambda kind: kind.__name__)
def test_gradients_are_natural_gradients(kind):
    # The gradient of the weighted log-density, by the inverse of the Fisher information of the coordinates of a step.
    distribution, method = make(kind), "nes"
    x, fitnesses = distribution.sample(9, generator=KEY), RNG(1).normal(size=9)
    got = distribution.compute_gradients(x, fitnesses, objective_sense="max", ranking_method=method)
    weights = distribution.weights(fitnesses, objective_sense="max", ranking_method=method)
    mu, sigma = distribution.mu, distribution.sigma
    mu_step, sigma_step = (tf.zeros_like(parameter) for parameter in (mu, sigma))
    with tf.GradientTape() as tape:
        tape.watch((mu_step, sigma_step))
        moved = {
            SeparableGaussian: lambda: (mu + mu_step, sigma + sigma_step),
            ExpSeparableGaussian: lambda: (mu + mu_step, sigma * tf.exp(0.5 * sigma_step)),
            ExpGaussian: lambda: (
                mu + tf.linalg.matvec(sigma, mu_step),
                tf.matmul(sigma, tf.linalg.expm(0.25 * (sigma_step + tf.transpose(sigma_step)))),
            ),
        }[kind]()
        value = tf.reduce_sum(weights * log_density(kind, moved, x))
    plain = tape.gradient(value, (mu_step, sigma_step))
    # Inverse Fisher information of each step, at zero.
    inverse = {
        SeparableGaussian: (sigma**2, sigma**2),  # of sigma it is half of that
        ExpSeparableGaussian: (sigma**2, 2.0),
        ExpGaussian: (1.0, 2.0),
    }[kind]
    for name, gradient, factor in zip(distribution.GRADIENTS, plain, inverse, strict=True):
        np.testing.assert_allclose(got[name], gradient * factor, rtol=1e-9, atol=1e-9)


@pytest.mark.few(8)
@each_class
@pytest.mark.parametrize("method", METHODS)
def test_constant_fitness_moves_nothing(kind, method):
    distribution = make(kind)
    for value in (0.1, np.nan):
        assert_same(step(distribution, np.full(6, value), method=method), distribution, rtol=1e-14, atol=1e-15)


@each_class
@pytest.mark.parametrize("method", METHODS)
def test_a_nan_fitness_repels(kind, method):
    distribution = make(kind, length=1)
    z = np.array([[-1.0], [1.0], [-0.5], [0.5]])  # symmetric pairs
    samples = distribution.mu + (z * distribution.sigma if kind is not ExpGaussian else z @ distribution.sigma)
    fitnesses = np.array([np.nan, 1.0, 3.0, 2.0])
    assert (step(distribution, fitnesses, samples, method=method).mu > distribution.mu).numpy().all()


@pytest.mark.few(8)
@each_class
@pytest.mark.parametrize("method", ["linear", "centered", "nes"])
def test_updates_by_rank_see_only_the_order_of_fitnesses(kind, method):
    distribution, fitnesses = make(kind), RNG(1).normal(size=8)
    assert_same(
        step(distribution, np.exp(5.0 * fitnesses), method=method),
        step(distribution, fitnesses, method=method),
        rtol=0.0,
    )


def test_sigma_stays_positive():
    for kind in CLASSES[:3]:
        distribution = make(kind)
        gradients = {"mu": np.zeros(3), "sigma": np.full(3, -1e4)}
        for _ in range(3):
            distribution = distribution.update_parameters(gradients)
            assert (distribution.sigma.numpy() > 0.0).all()
    with pytest.raises(ValueError, match="`sigma` must be finite and > 0. Received: -1.0"):
        SeparableGaussian({"mu": [0.0], "sigma": [-1.0]})


class Half:
    def ascent(self, gradient):
        return 0.5 * gradient


@each_class
def test_an_optimizer_takes_the_place_of_a_learning_rate(kind):
    distribution, fitnesses = make(kind), RNG(1).normal(size=8)
    samples = distribution.sample(8, generator=KEY)
    gradients = distribution.compute_gradients(samples, fitnesses, objective_sense="max")
    got = distribution.update_parameters(gradients, learning_rates={"sigma": 0.1}, optimizers={"mu": Half()})
    assert_same(got, distribution.update_parameters(gradients, learning_rates={"sigma": 0.1, "mu": 0.5}))
    with pytest.raises(ValueError, match="Learning rates and optimizers are those of"):
        distribution.update_parameters(gradients, learning_rates={"centre": 0.1})


# Elites.


def test_an_elite_of_ties_is_shared():
    distribution = SeparableGaussian({"mu": [0.0], "sigma": [1.0]}, dtype="float64").modified_copy(parenthood_ratio=0.5)
    samples = np.array([[1.0], [2.0], [4.0], [7.0]])
    weights = distribution.weights([0.0, 5.0, 5.0, 9.0], objective_sense="max")
    np.testing.assert_allclose(weights, [0.0, 0.25, 0.25, 0.5])
    gradients = distribution.compute_gradients(samples, [0.0, 5.0, 5.0, 9.0], objective_sense="max")
    np.testing.assert_allclose(gradients["mu"], [5.0])
    with pytest.raises(ValueError, match="An elite must have at least 2 solutions"):
        distribution.compute_gradients(samples[:2], [0.0, 1.0], objective_sense="max")


# Full covariance.


def test_updates_are_the_same_in_any_coordinates():
    distribution, transform = make(ExpGaussian), RNG(5).normal(size=(3, 3))
    samples, fitnesses = distribution.sample(9, generator=KEY), RNG(1).normal(size=9)
    other = ExpGaussian({"mu": transform @ distribution.mu.numpy(), "sigma": transform @ distribution.sigma.numpy()})
    one, two = step(distribution, fitnesses, samples), step(other, fitnesses, samples @ transform.T)
    np.testing.assert_allclose(two.mu, transform @ one.mu.numpy(), rtol=1e-9)
    np.testing.assert_allclose(two.cov, transform @ one.cov.numpy() @ transform.T, rtol=1e-9)


@pytest.mark.exhaustive
def test_the_inverse_does_not_drift():
    scales = tf.constant([1.0, 1e2, 1e4, 1e6])

    def generation(number, distribution):
        samples = distribution.sample_rows(noise.generation_key(KEY, number), 0, 12)
        return number + 1, step(distribution, tf.reduce_sum(scales * samples**2, axis=-1), samples, method="nes")

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def search(distribution):
        return tf.while_loop(lambda number, _: number < 3000, generation, (tf.constant(0, tf.int64), distribution))[1]

    distribution = search(ExpGaussian({"mu": np.full(4, 10.0, "float32"), "sigma": np.ones(4, "float32")}))
    assert np.abs(distribution.mu).max() < 1e-6
    residual = tf.matmul(distribution.A, distribution.A_inv) - tf.eye(4)
    assert np.abs(residual).max() < 1e-5  # 1e-3 without a correction


@pytest.mark.parametrize("norm", [0.0, 1e-9, 0.3, 5.0, 60.0])
def test_exponentials_are_those_of_scipy(norm):
    x = RNG(2).normal(size=(2, 5, 5))
    x = (x + x.swapaxes(-1, -2)) * norm / 10.0
    for got, want in zip(exponentials(tf.constant(x)), (scipy.linalg.expm(x), scipy.linalg.expm(-x)), strict=True):
        scale = np.abs(want).max((-1, -2), keepdims=True)
        np.testing.assert_allclose(got / scale, want / scale, atol=1e-12)


def test_exponentials_of_nan_are_nan():
    assert np.isnan(exponentials(tf.fill((2, 2), np.nan))).all()


def test_what_is_no_square_root_of_a_covariance():
    for sigma in (np.zeros((2, 2)), np.ones((2, 2)), np.full((2, 2), np.nan), np.ones((3, 3)), np.zeros(2)):
        with pytest.raises(ValueError, match="`sigma` must|`mu` and `sigma` must"):
            ExpGaussian({"mu": np.zeros(2), "sigma": sigma})
    with pytest.raises(ValueError, match="`sigma_inv` must be the inverse of `sigma`"):
        ExpGaussian({"mu": np.zeros(2), "sigma": np.ones(2), "sigma_inv": 2.0 * np.eye(2)})


# Relative entropy.


def as_normal(distribution):
    sigma = distribution.sigma
    root = np.linalg.cholesky(distribution.cov) if isinstance(distribution, ExpGaussian) else tf.linalg.diag(sigma)
    return kg.MultivariateNormalDist(distribution.mu, root)


@each_class
def test_relative_entropy_is_the_divergence_of_the_gaussians(kind):
    p, q = make(kind, (2,)), make(kind, (2,)).modified_copy(mu=RNG(9).normal(size=(2, 3)))
    q = step(q, RNG(1).normal(size=(2, 8)))
    want = as_normal(p).kl_divergence(as_normal(q))
    np.testing.assert_allclose(p.relative_entropy(q), want, rtol=1e-9)


@each_class
def test_a_small_relative_entropy_keeps_its_digits(kind):
    p = make(kind, dtype="float32")
    q = p.modified_copy(sigma=p.sigma * np.float32(1 + 2**-10))
    change = 2.0 * np.log(1 + 2.0**-10)
    np.testing.assert_allclose(p.relative_entropy(q), 1.5 * (np.expm1(-change) + change), rtol=1e-2)
    assert p.relative_entropy(p) >= 0.0


def test_relative_entropy_is_that_of_two_alike():
    p = make(SeparableGaussian)
    with pytest.raises(ValueError, match="must be of the same type, SeparableGaussian. Received: ExpSeparableGaussian"):
        p.relative_entropy(make(ExpSeparableGaussian))
    with pytest.raises(ValueError, match="must have the same shape"):
        p.relative_entropy(make(SeparableGaussian, length=4))
