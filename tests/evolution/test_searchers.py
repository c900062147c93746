"""What the searchers do, by the properties that define them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdists.evolution import CEM, CMAES, PGPE, SNES, XNES, ClipUp, ExpGaussian, FullGaussian

LENGTH = 4
OPTIONS = {
    "pgpe": (PGPE, {"popsize": 8}),
    "pgpe, not symmetric": (PGPE, {"popsize": 7, "symmetric": False, "optimizer": None}),
    "pgpe, Adam": (PGPE, {"popsize": 8, "optimizer": keras.optimizers.Adam(0.1)}),
    "snes": (SNES, {}),
    "snes, ClipUp": (SNES, {"optimizer": ClipUp(0.1)}),
    "xnes": (XNES, {}),
    "cem": (CEM, {"popsize": 10, "parenthood_ratio": 0.5}),
    "cmaes": (CMAES, {}),
    "cmaes, more solutions than dimensions": (CMAES, {"popsize": 12, "active": False, "csa_squared": True}),
    "cmaes, separable": (CMAES, {"separable": True}),
}
RANKED = [name for name in OPTIONS if name != "pgpe, Adam"]


def make(name, objective=None, **options):
    kind, more = OPTIONS[name]
    settings = {"objective_sense": "min", "solution_length": LENGTH, "stdev_init": 0.5, "seed": 3}
    return kind(objective, **(settings | more | options))


def sphere(x):
    return tf.reduce_sum(x**2, axis=-1)


def rosenbrock(x):
    return tf.reduce_sum(100.0 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1.0 - x[..., :-1]) ** 2, axis=-1)


def after(searcher, function, generations=2, state=None):
    state = searcher.init() if state is None else state
    for _ in range(generations):
        samples = searcher.ask(state)
        state = searcher.tell(state, samples, function(samples))
    return state


def assert_equal(state, other, tolerance=0.0):
    for a, b in zip(tf.nest.flatten(state), tf.nest.flatten(other), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=tolerance, atol=tolerance)


# Searches that end where they should.


@pytest.mark.exhaustive
def test_snes_finds_the_minimum_of_a_sphere():
    searcher = SNES(
        sphere, objective_sense="min", solution_length=100, popsize=40, center_init=1.0, stdev_init=0.5, seed=0
    )
    searcher.run(1200, verbose=0)
    assert searcher.best.fitness < 1e-8


@pytest.mark.exhaustive
def test_pgpe_finds_the_minimum_of_a_sphere():
    searcher = PGPE(
        sphere,
        objective_sense="min",
        solution_length=100,
        popsize=100,
        center_learning_rate=1.0,
        stdev_learning_rate=0.2,
        optimizer=None,
        center_init=1.0,
        stdev_init=0.5,
        seed=0,
    )
    searcher.run(1500, verbose=0)
    assert searcher.best.fitness < 1e-8


@pytest.mark.exhaustive
def test_xnes_learns_the_covariance_of_a_rotated_quadratic():
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(10, 10)))
    hessian = rotation * 10.0 ** np.linspace(0, 4, 10) @ rotation.T
    searcher = XNES(
        lambda x: tf.reduce_sum(tf.matmul(x, tf.constant(hessian)) * x, axis=-1),
        objective_sense="min",
        solution_length=10,
        popsize=100,
        center_init=1.0,
        stdev_init=1.0,
        seed=0,
        dtype="float64",
    )
    searcher.run(700, verbose=0)
    # The best covariance is a multiple of the inverse Hessian, whose condition is 10^4.
    ratios = np.linalg.eigvals(hessian @ searcher.state.distribution.cov.numpy()).real
    assert ratios.max() / ratios.min() < 3.0
    assert searcher.best.fitness < 1e-8


@pytest.mark.exhaustive
def test_xnes_goes_on_where_solutions_differ_by_less_than_their_rounding():
    searcher = XNES(rosenbrock, objective_sense="min", solution_length=6, stdev_init=1.0, seed=1)
    searcher.run(2500, verbose=0)
    assert searcher.best.fitness < 1e-9
    sizes = np.linalg.svd(searcher.state.distribution.A, compute_uv=False)
    assert 1e-10 < sizes.min() < sizes.max() < 1e-6


@pytest.mark.exhaustive
def test_cem_gets_through_the_valley_of_rosenbrock():
    searcher = CEM(
        rosenbrock,
        objective_sense="min",
        solution_length=10,
        popsize=1000,
        parenthood_ratio=0.1,
        stdev_learning_rate=0.02,
        stdev_init=0.3,
        seed=0,
    )
    searcher.run(2000, verbose=0)
    assert searcher.best.fitness < 0.1


@pytest.mark.exhaustive
def test_cmaes_gets_through_the_valley_of_rosenbrock():
    searcher = CMAES(rosenbrock, objective_sense="min", solution_length=10, stdev_init=0.5, seed=0, dtype="float64")
    searcher.run(800, verbose=0)
    assert searcher.best.fitness < 1e-12
    np.testing.assert_allclose(searcher.center, 1.0, atol=1e-6)


# What a search does not depend on.


@pytest.mark.few(3)
@pytest.mark.parametrize("name", RANKED)
def test_only_the_order_of_fitnesses_counts(name):
    searcher = make(name, dtype="float64")
    assert_equal(after(searcher, sphere), after(searcher, lambda x: tf.exp(sphere(x)) - 5.0))


@pytest.mark.few(3)
@pytest.mark.parametrize("name", OPTIONS)
def test_the_maximum_is_the_minimum_of_the_negative(name):
    down, up = make(name, dtype="float64"), make(name, dtype="float64", objective_sense="max")
    assert_equal(after(down, sphere), after(up, lambda x: -sphere(x)))


@pytest.mark.few(1)
@pytest.mark.parametrize(("kind", "distribution"), [(XNES, ExpGaussian), (CMAES, FullGaussian)])
def test_linear_maps_of_the_space_make_no_difference(kind, distribution):
    matrix = np.random.default_rng(0).normal(size=(LENGTH, LENGTH))
    shift = np.arange(LENGTH) - 1.0
    searcher = kind(None, objective_sense="min", solution_length=LENGTH, stdev_init=0.5, seed=0, dtype="float64")
    state = searcher.init()
    mapped = state._replace(distribution=distribution({"mu": shift, "sigma": 0.5 * matrix}, dtype="float64"))

    def on_mapped(y):
        return rosenbrock(tf.constant(np.linalg.solve(matrix, (y.numpy() - shift).T).T))

    one, other = (after(searcher, f, 4, x).distribution for f, x in ((rosenbrock, state), (on_mapped, mapped)))
    np.testing.assert_allclose(matrix @ one.mu.numpy() + shift, other.mu.numpy(), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(matrix @ one.sigma.numpy(), other.sigma.numpy(), rtol=1e-8, atol=1e-8)


@pytest.mark.few(8)
@pytest.mark.parametrize("name", OPTIONS)
def test_fitnesses_that_are_alike_move_nothing(name):
    searcher = make(name)
    start = searcher.init()
    state = after(searcher, lambda x: tf.ones(x.shape[:-1]), generations=1)
    assert_equal(state.distribution, start.distribution)


@pytest.mark.few(3)
@pytest.mark.parametrize("name", OPTIONS)
def test_nan_is_worse_than_anything(name):
    searcher = make(name)

    def with_nan(x):
        return tf.where(x[..., 0] > 0.1, np.nan, sphere(x))

    def with_bad(x):
        return tf.where(x[..., 0] > 0.1, 1e9, sphere(x))

    assert_equal(after(searcher, with_nan), after(searcher, with_bad))


@pytest.mark.few(3)
@pytest.mark.parametrize("name", [name for name in OPTIONS if "Adam" not in name])
def test_searches_of_a_batch_do_not_meet(name):
    centers = np.array([[1.0] * LENGTH, [-2.0] * LENGTH])
    options = {"center_learning_rate": 0.2} if name.startswith("pgpe") else {}
    searcher = make(name, center_init=centers, dtype="float64", **options)
    state = after(searcher, sphere)
    other = after(searcher, lambda x: tf.stack([sphere(x[0]), -sphere(x[1])]))
    for a, b in zip(tf.nest.flatten(state.distribution), tf.nest.flatten(other.distribution), strict=True):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-9, atol=1e-9)
    assert np.abs(state.distribution.mu[1] - other.distribution.mu[1]).max() > 1e-3


@pytest.mark.few(5)
@pytest.mark.parametrize("name", OPTIONS)
def test_states_are_values(name):
    searcher = make(name)
    state = searcher.init()
    before = [x.numpy() for x in tf.nest.flatten(state)]
    assert_equal(after(searcher, sphere, 1, state), after(searcher, sphere, 1, state))
    for old, x in zip(before, tf.nest.flatten(state), strict=True):
        np.testing.assert_array_equal(old, x.numpy())


# Keras optimizers and limits.


def test_a_keras_optimizer_moves_the_center_as_it_moves_a_variable():
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5))
    searcher = make("pgpe", optimizer=optimizer)
    state = searcher.init()
    variable = keras.Variable(state.distribution.mu)
    reference = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    for _ in range(3):
        samples = searcher.ask(state)
        gradients = state.distribution.compute_gradients(
            samples, sphere(samples), objective_sense="min", ranking_method="centered"
        )
        reference.apply([-gradients["mu"]], [variable])
        state = searcher.tell(state, samples, sphere(samples))
        np.testing.assert_allclose(state.distribution.mu, variable.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["pgpe", "snes", "xnes", "cem", "cmaes", "cmaes, separable"])
def test_standard_deviations_stay_within_their_limits(name):
    searcher = make(name, stdev_min=0.45, stdev_max=0.55)
    distribution = after(searcher, sphere).distribution
    sigma = distribution.sigma.numpy()
    stdev = np.linalg.norm(sigma, axis=-1) if sigma.ndim == 2 else sigma
    assert (stdev > 0.4499).all()
    assert (stdev < 0.5501).all()
    assert np.abs(stdev - 0.5).max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (PGPE, {"popsize": 7}, "must be even"),
        (SNES, {"center_learning_rate": 0.0}, "`center_learning_rate`"),
        (SNES, {"optimizer": "adamant"}, "`optimizer`"),
        (SNES, {"ranking_method": "best"}, "`ranking_method` must be one of raw"),
        (CMAES, {"popsize": 3}, "`popsize` must be >= 4"),
        (CEM, {"popsize": 10, "parenthood_ratio": 2.0}, "`parenthood_ratio`"),
        (CMAES, {"ranking_method": "nes"}, "`ranking_method`"),
    ],
)
def test_unusable_settings_are_refused(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(None, **({"objective_sense": "min", "solution_length": 3, "stdev_init": 1.0} | options))
