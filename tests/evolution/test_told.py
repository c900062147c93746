"""What a search is told: any samples, fitnesses as they came, bounds that change nothing inside the box, and copies."""

import copy
import math
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

import kgdists as kg
from kgdists.evolution import (
    CEM,
    CMAES,
    PGPE,
    SNES,
    XNES,
    ExpGaussian,
    SearchDistribution,
    Searcher,
    SymmetricSeparableGaussian,
    generations,
    rank,
)
from kgdists.evolution.bounded_space import Bounds

KINDS = {
    "snes": (SNES, {"popsize": 8}),
    "xnes": (XNES, {"popsize": 8}),
    "cmaes": (CMAES, {"popsize": 8}),
    "cmaes, separable": (CMAES, {"popsize": 8, "separable": True}),
    "pgpe": (PGPE, {"popsize": 8}),
    "cem": (CEM, {"popsize": 8, "parenthood_ratio": 0.5}),
}
TARGET = np.array([1.0, -2.0, math.pi])
each_kind = pytest.mark.parametrize("name", KINDS)


def sphere(x):
    return tf.reduce_sum(tf.square(x - tf.cast(TARGET, x.dtype)), axis=-1)


def sphere_of_arrays(x):
    return np.sum((x - TARGET) ** 2, axis=-1)


def make(name, objective=None, **options):
    kind, more = KINDS[name]
    settings = {"objective_sense": "min", "solution_length": 3, "stdev_init": 1.0, "seed": 1}
    return kind(objective, **(settings | more | options))


def begun(searcher, generations=2):
    """A state and its samples some generations on, where the dimensions of a full covariance are correlated."""
    state = searcher.init()
    for _ in range(generations):
        samples = searcher.ask(state)
        state = searcher.tell(state, samples, sphere(samples))
    return state, searcher.ask(state).numpy()


def assert_close(one, other, tolerance=1e-9):
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=tolerance, atol=tolerance)


@pytest.fixture
def uncompiled(monkeypatch):
    monkeypatch.setattr(generations, "compiled", lambda function, *specs: function)


# Samples.


@pytest.mark.few(1)
@each_kind
def test_samples_are_told_in_any_order(name):
    searcher = make(name, dtype="float64")
    state, samples = begun(searcher)
    fitnesses = sphere_of_arrays(samples)
    want = searcher.tell(state, samples, fitnesses)
    for order in (np.argsort(fitnesses), np.arange(8)[::-1], np.random.default_rng(0).permutation(8)):
        assert_close(searcher.tell(state, samples[order], fitnesses[order]), want)
        assert_close(searcher.tell(state, samples[order].tolist(), list(fitnesses[order])), want)


@pytest.mark.few(3)
@each_kind
def test_samples_of_a_batch_are_told_in_any_order(name):
    searcher = make(name, dtype="float64", center_init=np.zeros((2, 3)))
    state, samples = begun(searcher, 1)
    fitnesses = sphere_of_arrays(samples)
    order = np.argsort(fitnesses, axis=-1)
    told = np.take_along_axis(samples, order[..., None], axis=1), np.take_along_axis(fitnesses, order, axis=1)
    assert_close(searcher.tell(state, *told), searcher.tell(state, samples, fitnesses))


@pytest.mark.few(3)
@each_kind
def test_repaired_samples_are_told_as_they_are(name):
    searcher = make(name, dtype="float64", **({"optimizer": None} if name == "pgpe" else {}))
    state, samples = begun(searcher)
    repaired = np.clip(samples, samples.min(0) + 0.3, samples.max(0) - 0.3)
    fitnesses = sphere_of_arrays(repaired)
    got = searcher.tell(state, repaired, fitnesses)
    # In the coordinates in which the distribution is a standard normal, by NumPy.
    mu, sigma = (x.numpy() for x in (state.distribution.mu, state.distribution.sigma))
    a = sigma if sigma.ndim == 2 else np.diag(sigma)
    z = np.linalg.solve(a, (repaired - mu).T).T
    assert (np.linalg.norm(z, axis=1) < math.sqrt(3) + 6 / 5).all()
    if name.startswith("cmaes"):
        weights = np.empty(8)
        weights[np.argsort(fitnesses)] = searcher.rates.weights
        np.testing.assert_allclose(got.distribution.mu, mu + a @ (np.maximum(weights, 0.0) @ z), rtol=1e-9)
    elif name == "cem":
        elite = repaired[np.argsort(fitnesses)[:4]]
        np.testing.assert_allclose(got.distribution.mu, elite.mean(0), rtol=1e-9)
        np.testing.assert_allclose(got.distribution.sigma, elite.std(0, ddof=1), rtol=1e-9)
    else:
        weights = rank(fitnesses, searcher.ranking_method, False).numpy()
        step = weights @ z / (8 if name == "pgpe" else 1) * searcher.center_learning_rate
        np.testing.assert_allclose(got.distribution.mu, mu + a @ step, rtol=1e-6)


@pytest.mark.few(1)
@each_kind
def test_fewer_samples_are_told(name):
    searcher, smaller = make(name, dtype="float64"), make(name, dtype="float64", popsize=6)
    state, samples = begun(searcher)
    fitnesses = sphere_of_arrays(samples)
    keep = [0, 1, 4, 5, 6, 7]
    got = searcher.tell(state, samples[keep], fitnesses[keep])
    assert_close(got, smaller.tell(state, samples[keep], fitnesses[keep]))
    first = searcher.tell(state, samples[:6], fitnesses[:6])
    assert_close(first, smaller.tell(state, smaller.ask(state), fitnesses[:6]))


@pytest.mark.parametrize("name", ["xnes", "cmaes"])
def test_order_makes_no_difference_where_directions_are_as_thin_as_rounding(name):
    searcher = make(name)
    state = searcher.init()
    kind = type(state.distribution)
    thin = np.array([[1.0, 0.0, 0.0], [1.0, 1e-6, 0.0], [1.0, 0.0, 1e-6]])
    state = state._replace(distribution=kind({"mu": [1.0, 1.0, 1.0], "sigma": thin}, dtype="float32"))
    samples = searcher.ask(state).numpy()
    fitnesses = sphere_of_arrays(samples)
    order = np.argsort(fitnesses)
    want = searcher.tell(state, samples, fitnesses)
    got = searcher.tell(state, samples[order], fitnesses[order])
    # Not the inverse, in which so thin a direction makes thousands of a last digit of sigma.
    for field in ("mu", "sigma"):
        assert_close(getattr(got.distribution, field), getattr(want.distribution, field), 1e-6)


def test_a_far_sample_is_taken_as_far_as_one_may_come():
    for name in ("xnes", "cmaes"):
        searcher = make(name, dtype="float64")
        state, samples = begun(searcher, 0)
        samples[0] = [1e9, 0.0, 0.0]
        near = samples.copy()
        near[0] = [math.sqrt(3) + 6 / 5, 0.0, 0.0]  # Hansen (2011), D = 3
        fitnesses = np.arange(8.0)
        assert_close(searcher.tell(state, samples, fitnesses), searcher.tell(state, near, fitnesses), 1e-9)


def test_pairs_that_were_broken_are_told_like_any_samples():
    distribution = SymmetricSeparableGaussian({"mu": [1.0, 2.0], "sigma": [1.0, 0.5]}, dtype="float64")
    samples = distribution.sample(6, generator=1).numpy()
    fitnesses = np.array([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    options = {"objective_sense": "max", "ranking_method": "centered"}
    want = distribution.compute_gradients(samples, fitnesses, **options)
    for order in ([0, 2, 4, 1, 3, 5], [5, 4, 3, 2, 1, 0], [1, 2, 3, 4, 5, 0]):
        got = distribution.compute_gradients(samples[order], fitnesses[order], **options)
        for key in want:
            np.testing.assert_allclose(got[key], want[key], rtol=1e-12)


@each_kind
@pytest.mark.parametrize(
    ("samples", "fitnesses", "message"),
    [
        (np.zeros((8, 3)), np.zeros(7), "one number for each of `samples`"),
        (np.zeros((8, 3)), np.zeros((8, 1)), "one number for each of `samples`"),
        (np.zeros((8, 2)), np.zeros(8), "must have shape"),
        (np.zeros(3), 1.0, "must have shape"),
        (np.zeros((0, 3)), np.zeros(0), "must have shape"),
        (np.full((8, 3), np.nan), np.zeros(8), "`samples` must be finite"),
        (np.full((8, 3), np.inf), np.zeros(8), "`samples` must be finite"),
        (np.zeros((8, 3)), np.full(8, np.nan), "only NaN"),
        (np.zeros((8, 3)), ["a"] * 8, "real numbers"),
        (np.zeros((8, 3)), [None] * 8, "real numbers"),
        (np.zeros((8, 3)), np.ones(8, bool), "real numbers"),
        (np.zeros((8, 3)), np.ones(8, complex), "real numbers"),
        (np.zeros((8, 3)), np.ma.masked_array(np.zeros(8), [True] + 7 * [False]), "must not be masked"),
        (np.ma.masked_array(np.zeros((8, 3)), mask=True), np.zeros(8), "must not be masked"),
    ],
)
def test_what_does_not_fit_is_refused(name, samples, fitnesses, message):
    searcher = make(name)
    with pytest.raises(ValueError, match=message):
        searcher.tell(searcher.init(), samples, fitnesses)


# Fitnesses.

OFFSETS = [1e3, 1e6, 1e9, 1e15, -1e12]


@pytest.mark.few(3)
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("name", ["snes", "cmaes", "pgpe", "cem"])
def test_fitnesses_are_ranked_as_they_came(name, offset):
    searcher = make(name)
    state, samples = begun(searcher, 0)
    places = np.array([3, 1, 7, 0, 2, 6, 5, 4])
    step = np.spacing(abs(offset))
    want = searcher.tell(state, samples, places.astype("float32"))
    for fitnesses in (offset + step * places, (offset + step * places).tolist(), tf.constant(offset + step * places)):
        assert_close(searcher.tell(state, samples, fitnesses), want, 1e-6)


@pytest.mark.few(20)
@pytest.mark.parametrize("method", ["linear", "centered", "nes"])
@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize(
    "fitnesses",
    [
        np.array([2, 0, 1]) + 2**60,
        tf.constant([2, 0, 1], tf.int64) - 2**60,
        [2**62 + 2, 2**62, 2**62 + 1],
        np.array([2, 0, 1], "uint8"),
        np.array([2, 0, 1], "uint64"),
        tf.constant([2, 0, 1], tf.int32),
        (2.0, -1.0, 0.5),
        [np.float64(1e15) + 2, 1e15, 1e15 + 1],
    ],
    ids=str,
)
def test_integers_and_sequences_are_ranked_as_they_are(method, higher, fitnesses):
    np.testing.assert_allclose(rank(fitnesses, method, higher), rank([2.0, 0.0, 1.0], method, higher), rtol=1e-6)
    np.testing.assert_array_equal(rank(fitnesses, ranking_method=method, higher_is_better=higher).shape, [3])


@pytest.mark.exhaustive
@pytest.mark.parametrize("evaluation", ["numpy", "solution", "graph"])
@pytest.mark.parametrize("offset", [1e6, 1e9])
def test_a_small_difference_of_large_fitnesses_is_searched(evaluation, offset, uncompiled):
    def objective(x):
        if evaluation == "graph":
            return offset + sphere(tf.cast(x, "float64"))
        return offset + sphere_of_arrays(x.astype("float64"))

    searcher = make("snes", objective, evaluation=evaluation)
    plain = make("snes", sphere_of_arrays, evaluation="numpy")
    searcher.run(20, verbose=0)
    plain.run(20, verbose=0)
    np.testing.assert_allclose(searcher.center, plain.center, atol=1e-4)
    assert searcher.best.fitness.dtype == "float64" and searcher.history["best"].dtype == "float64"
    assert searcher.best.fitness == offset + sphere_of_arrays(searcher.best.solution.astype("float64"))


@pytest.mark.exhaustive
def test_compiled_fitnesses_are_ranked_as_they_came(tmp_path):
    searcher = make("snes", lambda x: 1e9 + sphere(tf.cast(x, "float64")))
    searcher.run(150, verbose=0)
    np.testing.assert_allclose(searcher.center, TARGET, atol=1e-3)
    assert searcher.best.fitness.dtype == "float64"
    searcher.save(tmp_path / "search")
    again = make("snes", lambda x: 1e9 + sphere(tf.cast(x, "float64")))
    again.load(tmp_path / "search")
    assert again.best.fitness == searcher.best.fitness


@pytest.mark.parametrize("fitness", [np.int32, np.int64, np.uint8, np.float16, np.float32, int, float])
def test_fitnesses_of_any_real_kind_are_searched(fitness, uncompiled):
    searcher = make("snes", lambda x: fitness(min(200, 9 * sphere_of_arrays(x))), evaluation="solution")
    searcher.run(2, verbose=0)
    assert searcher.best.fitness == searcher.history["best"].min()
    assert searcher.best.fitness == fitness(min(200, 9 * sphere_of_arrays(searcher.best.solution)))


# Bounds.

WIDE = [
    (-1e5, 1e5),
    (-1e6, 1e6),
    (-1e8, 1e8),
    (0.0, 1e9),
    ([-1e8, -5.0, -5.0], [1e8, 5.0, 5.0]),
    (-np.inf, 1e8),
    (-1e8, np.inf),
    (-np.inf, np.inf),
    (-3.4e38, 3.4e38),
    (-1e300, 1e300),
    ([-1e8, 0.0, -np.inf], [3e8, np.inf, 1e7]),
    (np.array([-1e4, -2e7, -10.0]), np.array([1e9, 1e30, 10.0])),
    (-0.3, 7.7),
]


@pytest.mark.few(10)
@pytest.mark.parametrize("bounds", WIDE, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bounds_are_the_identity_inside_the_box(bounds, dtype):
    low, high = (np.broadcast_to(bound, (3,)) for bound in bounds)
    box = Bounds(*bounds, "reflect", 3, dtype)
    near = np.random.default_rng(0).normal(1.5, 2.0, (200, 3))
    far = np.random.default_rng(1).uniform(np.maximum(low, -1e20), np.minimum(high, 1e20), (200, 3))
    inside = np.clip(np.concatenate([near, far]), low + 1e-3, high - 1e-3).astype(dtype)
    decoded = tf.function(box.decode, jit_compile=True, autograph=False) if dtype == "float32" else box.decode
    np.testing.assert_array_equal(decoded(tf.constant(inside)), inside)
    samples = (np.concatenate([near, far]) * 10.0 ** np.arange(-2, 2).repeat(100)[:, None]).astype(dtype)
    solutions = decoded(tf.constant(samples)).numpy().astype("float64")
    assert ((solutions >= low) & (solutions <= high)).all()


@pytest.mark.exhaustive
@pytest.mark.parametrize("bounds", [(-1e8, 1e8), (0.0, 1e9), (-1e4, 2e4)])
@pytest.mark.parametrize("name", KINDS)
def test_wide_bounds_are_no_bounds(name, bounds, uncompiled):
    options = {"evaluation": "numpy", "center_init": 100.0}
    bounded, free = (make(name, sphere_of_arrays, bounds=b, **options) for b in (bounds, None))
    bounded.run(4, verbose=0)
    free.run(4, verbose=0)
    np.testing.assert_array_equal(bounded.center, free.center)


@pytest.mark.parametrize("bounds", [(-1e8, 1e8), (0.0, 1e9), (-np.inf, 1e8), (-1e8, np.inf)])
def test_wide_bounds_that_transform_keep_digits(bounds):
    box = Bounds(*bounds, "transform", 1, "float32")
    x = np.array([[0.5], [1.0], [math.pi], [20.0]])
    samples, _ = box.encode(x)
    np.testing.assert_allclose(box.decode(tf.constant(samples, "float32")), x, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bounds": (0.0, 1e9)}, "must be larger than the steps between numbers"),
        ({"bounds": (-1e8, 3e8), "bounds_method": "transform", "center_init": 0.5}, "nearer to their middle"),
        ({"center_init": 1e9}, "dtype='float64'"),
        ({"bounds": (0.1, 0.1 + 1e-12), "stdev_init": 1e-13}, "numbers of float32 between them"),
    ],
)
def test_bounds_that_the_dtype_does_not_resolve_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make("snes", **options)


# Copies.

COPIES = {"deepcopy": copy.deepcopy, "copy": copy.copy, "pickle": lambda x: pickle.loads(pickle.dumps(x))}


@pytest.mark.few(1)
@pytest.mark.parametrize("how", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("name", KINDS)
def test_a_copy_goes_on_with_the_same_numbers(name, how, uncompiled):
    options = {"evaluation": "numpy", "bounds": (-5.0, 5.0)}
    if name == "pgpe":
        options["optimizer"] = keras.optimizers.Adam(0.1)
    searcher = make(name, sphere_of_arrays, **options)
    searcher.run(2, verbose=0)
    copied = how(searcher)
    assert copied.best.fitness == searcher.best.fitness and len(copied.history["best"]) == 2
    for one in (searcher, copied):
        one.run(2, verbose=0)
    np.testing.assert_array_equal(copied.center, searcher.center)
    np.testing.assert_array_equal(copied.history["best"], searcher.history["best"])
    searcher.run(1, verbose=0)
    assert len(copied.history["best"]) == 4


@pytest.mark.parametrize("how", COPIES.values(), ids=COPIES)
def test_a_state_is_copied_between_ask_and_tell(how):
    searcher = make("xnes")
    state, samples = begun(searcher, 1)
    copied, state_copied = how(searcher), how(state)
    fitnesses = sphere_of_arrays(samples)
    want, got = searcher.tell(state, samples, fitnesses), copied.tell(state_copied, samples, fitnesses)
    assert_close(want, got, 0.0)


@tf.function
def compiled_sphere(x):
    return sphere(x)


def test_a_compiled_objective_is_shared_by_copies(uncompiled):
    searcher = make("snes", compiled_sphere, evaluation="graph")
    searcher.step()
    copied = copy.deepcopy(searcher)
    copied.step()
    searcher.step()
    np.testing.assert_array_equal(copied.center, searcher.center)


# Arguments.


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        *(
            (CMAES, {name: bad}, f"`{name}` must be")
            for name in ("c_mu", "c_sigma", "c_c", "damp_sigma", "c_1")
            for bad in (0, -1, math.nan, "x")
        ),
        *(
            (CMAES, {name: bad}, f"`{name}` must be")
            for name in ("c_mu", "c_sigma", "c_c", "c_1")
            for bad in (1.5, True)
        ),
        (CMAES, {"c_m": 0.0}, "`c_m` must be"),
        (CMAES, {"c_mu_ratio": -1.0}, "`c_mu_ratio` must be"),
        (CMAES, {"c_sigma_ratio": 1e9}, "`c_sigma` must be"),
        *(
            (kind, {"solution_length": bad}, "`solution_length` must be an int >= 1")
            for kind in (CMAES, XNES, SNES, PGPE, CEM)
            for bad in (0, "3", -2, 2.5, None)
        ),
        *(
            (kind, {name: bad}, f"`{name}` must be")
            for kind in (CMAES, SNES)
            for name, bad in (
                ("stdev_min", math.nan),
                ("stdev_min", -1.0),
                ("stdev_max", math.nan),
                ("stdev_max", 0.0),
                ("stdev_min", "x"),
                ("stdev_max", [1.0, 2.0]),
            )
        ),
        (SNES, {"stdev_max_change": -0.5}, "`stdev_max_change` must be >= 0"),
        (SNES, {"stdev_max_change": math.nan}, "`stdev_max_change` must be >= 0"),
        (SNES, {"stdev_min": 2.0, "stdev_max": 1.0}, "`stdev_min` must be <= `stdev_max`"),
        (SNES, {"stdev_min": 2.0, "bounds": (0.0, 1.0), "center_init": 0.5}, "`stdev_min` must be <= `stdev_max`"),
        (CEM, {"parenthood_ratio": 0.05}, "An elite must have at least 2 solutions"),
        (SNES, {"stdev_learning_rate": math.inf}, "`stdev_learning_rate` must be"),
        (SNES, {"stdev_learning_rate": "x"}, "`stdev_learning_rate` must be"),
        (XNES, {"center_learning_rate": math.nan}, "`center_learning_rate` must be"),
        (SNES, {"tol_stdev": -1.0}, "`tol_stdev` must be"),
        (SNES, {"center_init": "x"}, "`center_init` must be"),
        (SNES, {"center_init": np.ma.masked_array(np.ones(3), [True, False, False])}, "must not be masked"),
        *(
            (PGPE, {"center_init": bound, "bounds": bounds}, "`center_init` must lie strictly inside `bounds` where")
            for bound, bounds in ((0.0, (0.0, 10.0)), (10.0, (0.0, 10.0)), (0.0, (0.0, math.inf)), ([1, 2, 0], (0, 9)))
        ),
        (SNES, {"map": 3}, "`map` must be callable"),
    ],
)
def test_arguments_are_refused_when_they_are_given(kind, options, message):
    settings = {"objective_sense": "min", "solution_length": 3, "stdev_init": 1.0, "popsize": 10}
    if kind is CEM:
        settings["parenthood_ratio"] = 0.5
    with pytest.raises(ValueError, match=message):
        kind(None, **(settings | options))


@pytest.mark.exhaustive
@pytest.mark.parametrize("options", [{"symmetric": False}, {"bounds_method": "transform", "center_init": 0.1}])
def test_a_center_on_a_bound_is_left_where_solutions_do_not_come_in_pairs(options):
    settings = {"solution_length": 3, "stdev_init": 0.3, "popsize": 20, "center_init": 0.0, "bounds": (0.0, 10.0)}
    searcher = PGPE(lambda x: tf.reduce_sum((x - 3.0) ** 2, -1), objective_sense="min", seed=0, **(settings | options))
    searcher.run(400, verbose=0)
    np.testing.assert_allclose(searcher.best[0], 3.0, atol=0.5)


def test_masked_fitnesses_of_an_objective_are_refused(uncompiled):
    for evaluation in ("numpy", "solution"):
        searcher = make("snes", lambda x: np.ma.masked_array(np.sum(x * x, -1), mask=True), evaluation=evaluation)
        with pytest.raises(ValueError, match="must not be masked"):
            searcher.run(1, verbose=0)


class Watch(keras.callbacks.Callback):
    epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1


def test_a_single_callback_is_accepted(uncompiled):
    watch = Watch()
    searcher = make("snes", sphere_of_arrays, evaluation="numpy")
    searcher.run(2, callbacks=watch, verbose=0)
    searcher.run(1, callbacks=(watch,), verbose=0)
    assert watch.epochs == 3
    for bad in (3, "x", [None], [Watch]):
        with pytest.raises(ValueError, match="`callbacks` must be"):
            searcher.run(1, callbacks=bad, verbose=0)


def py_function(x):
    return tf.py_function(sphere, [x], x.dtype)


def plain_numbers(x):
    return [sum((float(v) - 1.0) ** 2 for v in row) for row in x]


@pytest.mark.parametrize(
    "objective",
    [
        py_function,
        plain_numbers,
        lambda x: float(x[0, 0]),
        lambda x: int(x[0, 0]),
        lambda x: np.sum(np.asarray(x) ** 2, axis=-1),
        lambda x: x.numpy().sum(-1),
        lambda x: [row.sum() for row in x],
        lambda x: math.sin(x[0, 0]) + sphere(x),
        lambda x: [0.0 if x[i, 0] > 0 else 1.0 for i in range(8)],
        lambda x: x[:, 0].item(),
    ],
)
def test_an_objective_of_values_is_told_how_to_be_called(objective):
    with pytest.raises(ValueError, match='"numpy" or "solution"'):
        make("snes", objective).step()


# Distributions of one's own.


class Uniform(SearchDistribution):
    MANDATORY_PARAMETERS = {"low", "high"}

    @property
    def mu(self):
        return 0.5 * (self.low + self.high)

    @property
    def sigma(self):
        return (self.high - self.low) / math.sqrt(12.0)

    def _from_noise(self, z):
        u = 0.5 * (1.0 + tf.math.erf(z / math.sqrt(2.0)))
        return self.low[..., None, :] + (self.high - self.low)[..., None, :] * u

    def _compute_gradients(self, samples, weights, ranking_used):
        shift = tf.reduce_sum(weights[..., None] * (samples - self.mu[..., None, :]), axis=-2)
        return {"low": shift, "high": shift}

    def update_parameters(self, gradients, *, learning_rates=None, optimizers=None):
        rates = learning_rates or {}
        return self.modified_copy(
            **{name: getattr(self, name) + rates.get(name, 1.0) * gradients[name] for name in gradients}
        )


class Point(SearchDistribution):
    MANDATORY_PARAMETERS = {"place"}

    def _from_noise(self, z):
        return self.place[..., None, :] + 0.1 * z


class Mixed(SearchDistribution):
    MANDATORY_PARAMETERS = frozenset({"weights", "means", "scale"})
    OPTIONAL_PARAMETERS = frozenset({"kind"})

    def _from_noise(self, z):
        return tf.reduce_sum(self.weights[:, None] * self.means, axis=0) + self.scale * z


@pytest.mark.exhaustive
def test_a_distribution_has_parameters_of_its_own():
    uniform = Uniform({"low": [-1.0, -2.0], "high": [4.0, 4.0]})
    assert (uniform.solution_length, uniform.batch_shape, uniform.dtype) == (2, (), "float32")
    samples = uniform.sample(500.0, generator=1).numpy()
    assert samples.shape == (500, 2) and (samples >= [-1.0, -2.0]).all() and (samples <= 4.0).all()
    assert abs(samples.mean(0) - [1.5, 1.0]).max() < 4.0 * 6.0 / math.sqrt(12 * 500)
    gradients = uniform.compute_gradients(samples, samples[:, 0], objective_sense="max", ranking_method="nes")
    moved = uniform.update_parameters(gradients)
    assert moved.low[0] > -1.0 and float((moved.high - moved.low)[0]) == pytest.approx(5.0)
    doubled = tf.nest.map_structure(lambda x: 2.0 * x, uniform)
    np.testing.assert_array_equal(doubled.high, [8.0, 8.0])
    assert tf.function(lambda u: u.sample_rows(tf.constant([1, 2]), 0, 3))(uniform).shape == (3, 2)
    assert copy.deepcopy(uniform).solution_length == 2 and uniform.clone() is uniform


def test_parameters_of_one_s_own_may_have_any_shapes():
    point = Point({"place": np.zeros((4, 3))})
    assert (point.solution_length, point.batch_shape, point.dtype) == (3, (4,), "float64")
    assert point.sample(2, generator=1).shape == (4, 2, 3)
    mixed = Mixed(
        {"weights": [0.5, 0.5], "means": [[0.0] * 3, [2.0] * 3], "scale": 0.1, "kind": "a"}, solution_length=3
    )
    assert mixed.sample(5, generator=1).shape == (5, 3)
    assert mixed.modified_copy(scale=1.0).kind == "a"
    for bad, message in (
        (lambda: Mixed({"weights": [1.0], "means": [[0.0] * 3], "scale": 0.1}), "`solution_length` must be given"),
        (lambda: Mixed({"weights": [1.0], "means": [[0.0] * 3], "scale": 0.1}, solution_length=0), "an int >= 1"),
        (lambda: Uniform({"low": [0.0]}), "`parameters` must have 'high', 'low'"),
        (lambda: Uniform({"low": [np.nan], "high": [1.0]}), "finite"),
        (lambda: Uniform({"low": [0.0], "high": [1.0], "mu": [0.0]}), "`parameters` must have"),
    ):
        with pytest.raises(ValueError, match=message):
            bad()
    with pytest.raises(NotImplementedError, match="must define `relative_entropy`"):
        point.relative_entropy(point)


class UniformSearch(Searcher):
    def init(self, seed=None):
        low, high = self.center_init - self.stdev_init, self.center_init + self.stdev_init
        return self._first(Uniform({"low": low, "high": high}), seed=seed)

    def update(self, state, gradients):
        distribution = state.distribution.update_parameters(gradients)
        return state._replace(generation=state.generation + 1, distribution=distribution)


def test_a_searcher_searches_with_a_distribution_of_one_s_own(tmp_path, uncompiled):
    def new():
        return UniformSearch(
            sphere_of_arrays, objective_sense="min", solution_length=3, popsize=20, stdev_init=1.0, seed=1,
            ranking_method="nes", evaluation="numpy",
        )  # fmt: skip

    searcher = new()
    searcher.run(15, verbose=0)
    np.testing.assert_allclose(searcher.center, TARGET, atol=1.0)
    searcher.save(tmp_path / "search")
    again = new()
    again.load(tmp_path / "search")
    again.step()
    searcher.step()
    np.testing.assert_array_equal(again.center, searcher.center)


def test_coordinates_are_cast_like_samples():
    distribution = ExpGaussian({"mu": [1.0, 2.0], "sigma": [[1.0, 0.5], [0.0, 2.0]]}, dtype="float32")
    for z in (np.ones((3, 2)), tf.ones((3, 2), "float64"), [[1.0, 1.0]] * 3, tf.ones((3, 2))):
        x = distribution.to_global_coordinates(z)
        assert x.dtype == "float32"
        np.testing.assert_allclose(distribution.to_local_coordinates(tf.cast(x, "float64")), np.ones((3, 2)), rtol=1e-6)


def test_old_names_work():
    class Problem:
        generator = 1

    distribution = ExpGaussian({"mu": [1.0, 2.0], "sigma": [1.0, 1.0]})
    np.testing.assert_array_equal(distribution.sample(7.0, generator=Problem()), distribution.sample(7, generator=1))
    for bad in (7.5, math.nan, math.inf, "7"):
        with pytest.raises(ValueError, match="int >= 1"):
            distribution.sample(bad)


def test_values_have_their_name_of_old():
    relaxed = kg.RelaxedOneHotCategorical(0.5, probs=[0.2, 0.3, 0.5])
    x = np.array([0.1, 0.2, 0.7], "float32")
    np.testing.assert_array_equal(relaxed.log_prob(value=x), relaxed.log_prob(x))
    for bad in ({}, {"x": x, "value": x}):
        with pytest.raises(ValueError, match="One of `x` and `value`"):
            relaxed.log_prob(**bad)


# What is no argument


def quadratic(x):
    return tf.reduce_sum(x * x, axis=-1)


PLAIN = {"objective_sense": "min", "solution_length": 3, "popsize": 10, "stdev_init": 1.0}
WRONG = {
    "a center beyond the dtype": (SNES, {"center_init": 1e39}, "`center_init` must be finite in `dtype`"),
    "a deviation beyond the dtype": (SNES, {"stdev_init": 1e39}, "`stdev_init` or `radius_init` finite"),
    "a flag in words": (SNES, {"double_popsize": "no"}, "`double_popsize` must be a bool"),
    "a flag as a number": (PGPE, {"double_popsize": 1}, "`double_popsize` must be a bool"),
    "a track in words": (CEM, {"track": "x", "parenthood_ratio": 0.5}, "`track` must be a bool"),
    "a tolerance that is a bool": (SNES, {"tol_stdev": True}, "`tol_stdev` must be a number >= 0"),
    "a tolerance that is NaN": (SNES, {"tol_stdev": math.nan}, "`tol_stdev` must be a number >= 0"),
    "rates that sum above 1": (CMAES, {"c_1": 0.9, "c_mu": 0.9}, "`c_1` and `c_mu` must sum to at most 1"),
    "a half dtype": (SNES, {"dtype": tf.float16}, "`dtype` must be 'float32' or 'float64'"),
    "a seed of 64 bits": (XNES, {"seed": 2**63}, "An int `seed` must be from -2.* Received: seed=9223372036854775808"),
}


@pytest.mark.parametrize(("cls", "options", "rule"), WRONG.values(), ids=WRONG)
def test_a_wrong_option_of_a_search_is_one_line(cls, options, rule):
    with pytest.raises(ValueError, match=rule) as error:
        cls(quadratic, **PLAIN | options)
    assert "\n" not in str(error.value)


def test_a_dtype_may_be_tensorflows():
    assert SNES(quadratic, **PLAIN, dtype=tf.float64).init().distribution.mu.dtype == tf.float64


@pytest.mark.parametrize("method", ["to_local_coordinates", "to_global_coordinates"])
@pytest.mark.parametrize(
    ("x", "rule"),
    [
        (np.ones((3, 1)), r"must have shape \[B..., N, D\], D = 2. Received: shape \(3, 1\)"),
        (np.ones((3, 3)), r"must have shape .* Received: shape \(3, 3\)"),
        (np.ones(2), r"must have shape .* Received: shape \(2,\)"),
        (1.0, r"must have shape .* Received: shape \(\)"),
        ([[np.nan, 1.0]], r"must be finite. Received: nan at index \[0, 0\]"),
        ("a", "must be tensors of numbers. Received: 'a'"),
        ([["a", "b"]], "must be tensors of numbers"),
        (None, "must be tensors of numbers"),
    ],
    ids=str,
)
def test_coordinates_of_another_shape_are_one_line(method, x, rule):
    dist = ExpGaussian({"mu": np.zeros(2), "sigma": np.eye(2)})
    with pytest.raises(ValueError, match=rule):
        getattr(dist, method)(x)


def test_coordinates_there_and_back():
    dist = ExpGaussian({"mu": np.array([1.0, -2.0]), "sigma": np.array([[2.0, 0.0], [1.0, 0.5]])})
    x = np.random.default_rng(0).normal(size=(2, 5, 2))
    np.testing.assert_allclose(dist.to_global_coordinates(dist.to_local_coordinates(x)), x, rtol=1e-12)
    np.testing.assert_allclose(dist.to_local_coordinates(x), (x - [1.0, -2.0]) @ np.linalg.inv(dist.sigma).T)


def test_a_parameter_of_ones_own_class_that_is_none_is_one_line():
    class Uniform(SearchDistribution):
        MANDATORY_PARAMETERS = {"low", "high"}

        def _from_noise(self, z):
            return self.low + z

    with pytest.raises(ValueError, match="The parameters 'low' must have values. Received: None"):
        Uniform({"low": None, "high": [1.0]})
    with pytest.raises(ValueError, match="The parameters 'mu', 'sigma' must have values"):
        ExpGaussian({"mu": None, "sigma": None})


def test_two_names_of_one_argument_are_not_both_given():
    np.testing.assert_array_equal(rank([1.0, 2.0], "centered"), rank([1.0, 2.0], ranking_method="centered"))
    with pytest.raises(ValueError, match="two names of one argument"):
        rank([1.0, 2.0], "centered", True, ranking_method="nes")


@pytest.mark.parametrize("device", ["cuda:0", "cuda", 3, b"CPU:0", "gpu zero"])
def test_a_device_that_tensorflow_does_not_know_is_one_line(device):
    dist = ExpGaussian({"mu": [0.0], "sigma": [[1.0]]})
    with pytest.raises(ValueError, match="`device` must be as TensorFlow's, 'CPU:0' or 'GPU:0'. Received: device="):
        dist.to(device)
    assert dist.to("CPU:0").mu.device.endswith("CPU:0") and dist.to("/cpu:0").mu.device.endswith("CPU:0")
