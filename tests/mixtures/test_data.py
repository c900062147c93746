"""Fits to the data of users: narrow, far away, repeated, few, huge, tiny, weighted."""

import contextlib
import functools
import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf

import kgdists as kg
from kgdists import mixtures
from kgdists.mixtures.gradient_descent import _descent

RNG = np.random.default_rng
PAIR = RNG(0).normal([[-3.0], [3.0]], 0.5, size=(2, 100)).reshape(-1, 1)
FEW = {"iterations": 40, "num_samples": 32, "seed": 0}


def two(first, second):
    return np.concatenate([first, second]).reshape(-1, 1)


def negative_log_likelihood(dist, x, weights=None):
    """In float64, with the textbook's formula."""
    logits, mu, spread = (np.float64(value) for value in dist.params.values())
    terms = []
    for logit, mean, own in zip(logits, mu, spread, strict=True):
        factor = np.diag(np.exp(0.5 * own)) if own.ndim == 1 else own
        z = np.linalg.solve(factor, (np.float64(x) - mean).T)
        half_log_det = np.log(np.diag(factor)).sum() + 0.5 * len(mean) * np.log(2 * np.pi)
        terms.append(logit - np.logaddexp.reduce(logits) - half_log_det - 0.5 * (z * z).sum(axis=0))
    return -np.average(np.logaddexp.reduce(terms), weights=weights)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"covariance": "diag"},
        pytest.param({"parameterization": "a_at"}, marks=pytest.mark.exhaustive),
        pytest.param({"restarts": 2, "optimizer": keras.optimizers.SGD(0.01)}, marks=pytest.mark.exhaustive),
        {"method": "em"},
        {"method": "em", "covariance": "diag", "restarts": 2},
        pytest.param({"initial": "random"}, marks=pytest.mark.exhaustive),
        pytest.param({"divergence": "reverse", "estimator": "score"}, marks=pytest.mark.exhaustive),
        pytest.param(
            {"divergence": "reverse", "estimator": "pathwise", "parameterization": "a_at"}, marks=pytest.mark.exhaustive
        ),
        {"divergence": "reverse", "covariance": "diag", "restarts": 2},
    ],
)
def test_a_column_of_numbers_is_fitted_by_every_option(options):
    reverse = options.get("divergence") == "reverse"
    target = kg.GaussianMixtureDist([0.0, 0.0], [[-3.0], [3.0]], [[-1.4], [-1.4]]) if reverse else PAIR
    fitted = mixtures.fit(target, 2, **FEW, **options)
    assert fitted.distribution.event_shape == (1,) and np.isfinite(fitted.loss)
    if not reverse:
        np.testing.assert_allclose(fitted.loss, negative_log_likelihood(fitted.distribution, PAIR), rtol=1e-6)


DATA = {
    "one-hot rows": (np.eye(6)[RNG(0).integers(6, size=500)], 3),
    "more components than a sample fills": (RNG(0).normal(size=(20, 10)), 10),
    "embeddings": (RNG(0).normal(size=(80, 10)), 15),
    "counts": (RNG(0).poisson(2.0, (300, 3)), 3),
    "points in a plane": (RNG(0).normal(size=(300, 2)) @ RNG(1).normal(size=(2, 5)), 3),
    "all equal": (np.full((50, 2), 5.0), 2),
    "all zero": (np.zeros((9, 3)), 2),
    "one row": (np.ones((1, 2)), 1),
    "fewer rows than components": (RNG(0).normal(size=(3, 2)), 5),
    "as many rows as components": (RNG(0).normal(size=(4, 2)), 4),
    "one component": (RNG(0).normal(size=(60, 3)), 1),
    "tiny": (PAIR * 1e-30, 2),
    "huge": (PAIR * 1e30, 2),
    "tinier": (PAIR * 1e-300, 2),
    "huger": (PAIR * 1e300, 2),
    "tiny in float32": ((PAIR * 1e-30).astype("float32"), 2),
    "huge in float32": ((PAIR * 1e30).astype("float32"), 2),
    "far away": (1e9 + 1e-3 * PAIR, 2),
    "far away in float32": ((1e9 + 1e3 * PAIR).astype("float32"), 2),
    "float16": (PAIR.astype("float16"), 2),
    "lists": (PAIR.tolist(), 2),
    "truth values": (np.eye(4, dtype=bool)[RNG(0).integers(4, size=60)], 2),
    "seconds since 1970": (np.int64(1.7e9) + 86400 * RNG(0).integers(3, size=(300, 1)) + RNG(1).integers(60), 3),
    "outliers": (np.concatenate([PAIR, [[1e8], [-1e10]]]), 3),
    "collinear, of widths 1e9 and 1e-3": (
        np.concatenate([RNG(0).normal(size=(200, 1)) * [[1e9, 2e9]], 1e-3 * RNG(1).normal(size=(200, 2))]),
        2,
    ),
}


def check_kept(name, **options):
    x, num_components = DATA[name]
    fitted = mixtures.fit(x, num_components, seed=0, **options)
    dist = fitted.distribution
    assert all(np.isfinite(value).all() for value in dist.params.values())
    float32 = dist.dtype == "float32"
    want = negative_log_likelihood(dist, x)
    np.testing.assert_allclose(fitted.loss, want, rtol=1e-6, atol=1e-3)
    reported = -np.mean(np.float64(dist.log_proba(np.asarray(x, dist.dtype))))
    np.testing.assert_allclose(fitted.loss, reported, rtol=1e-3 if float32 else 1e-6, atol=1e-3)
    return fitted


@pytest.mark.few(12)
@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize("name", DATA)
def test_expectation_maximisation_reports_the_likelihood_of_what_it_returns(name, covariance):
    fitted = check_kept(name, method="em", covariance=covariance)
    # The means of samples near 1e9 are rounded to multiples of 64 in float32.
    assert fitted.loss <= fitted.history["loss"].min() + (1e-2 if name == "far away in float32" else 1e-3)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "name", ["one-hot rows", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("tiny", "far away"))]
)
def test_a_descent_returns_nothing_worse_than_its_start(name):
    fitted = check_kept(name, covariance="diag", iterations=300, num_samples=32)
    # A descent with steps of nothing returns the start.
    still = keras.optimizers.SGD(1e-30)
    start = mixtures.fit(*DATA[name], covariance="diag", iterations=1, num_samples=32, optimizer=still, seed=0)
    assert fitted.loss <= start.loss + 1e-6


@pytest.mark.exhaustive
@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize("name", DATA)
def test_a_descent_reports_the_likelihood_of_what_it_returns(name, covariance):
    check_kept(name, covariance=covariance, iterations=600, num_samples=64)


BREAKS = "Gradient descent broke: its loss is not finite after {} iterations"


@pytest.mark.parametrize("iterations, done", [(300, 200), (200, 200)])
def test_a_descent_that_breaks_returns_the_best_before(iterations, done):
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([150], [0.01, 1e38])
    options = {"iterations": iterations, "num_samples": 32, "covariance": "diag", "initial": "random", "seed": 0}
    with pytest.warns(mixtures.FitWarning, match=BREAKS.format(done)):
        fitted = mixtures.fit(PAIR, 2, optimizer=keras.optimizers.SGD(rates), **options)
    assert len(fitted.history["loss"]) == done
    np.testing.assert_allclose(fitted.loss, negative_log_likelihood(fitted.distribution, PAIR), rtol=1e-6)
    still = mixtures.fit(PAIR, 2, optimizer=keras.optimizers.SGD(1e-30), **options)
    assert fitted.loss < still.loss


@pytest.mark.exhaustive
def test_more_components_than_a_sample_fills():
    x, num_components = DATA["more components than a sample fills"]
    with pytest.warns(mixtures.FitWarning, match=BREAKS.format(".*")):
        fitted = mixtures.fit(x, num_components, seed=0)
    np.testing.assert_allclose(fitted.loss, negative_log_likelihood(fitted.distribution, x), rtol=1e-6, atol=1e-3)


WIDTHS = {
    "peaks of 0.01": (RNG(0).choice([200.0, 500, 700, 1000, 1500], 2000) + 0.01 * RNG(1).normal(size=2000), 5, 0.01),
    "N(0, 1) and N(1e6, 1)": (RNG(0).choice([0.0, 1e6], 1000) + RNG(1).normal(size=1000), 2, 1.0),
    "N(0, 1) and N(1e9, 1)": (RNG(0).choice([0.0, 1e9], 1000) + RNG(1).normal(size=1000), 2, 1.0),
    "bursts of 30 s": (1.7e9 + 86400.0 * RNG(0).integers(7, size=1000) + 30 * RNG(1).normal(size=1000), 7, 30.0),
    "1e-20 and 1e-14": (RNG(0).choice([0.0, 1e-14], 1000) + 1e-20 * RNG(1).normal(size=1000), 2, 1e-20),
    "0.1 about -1e5 and 1e5": (RNG(0).choice([-1e5, 1e5], 1000) + 0.1 * RNG(1).normal(size=1000), 2, 0.1),
    "1e-4 degrees": (13.4 + 0.05 * RNG(0).integers(6, size=900) + 1e-4 * RNG(1).normal(size=900), 6, 1e-4),
}


@pytest.mark.few(12)
@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize("name", WIDTHS)
def test_narrow_peaks_keep_their_widths(name, covariance):
    x, num_components, width = WIDTHS[name]
    dist = mixtures.fit(x[:, None], num_components, method="em", covariance=covariance, seed=0).distribution
    last = np.float64(dist.params[dist.PARAM_NAMES[-1]]).ravel()
    widths = last if covariance == "full" else np.exp(0.5 * last)
    np.testing.assert_allclose(widths, width, rtol=0.2)


@pytest.mark.exhaustive
def test_a_descent_keeps_narrow_widths():
    x, num_components, width = WIDTHS["peaks of 0.01"]
    dist = mixtures.fit(x[:, None], num_components, covariance="diag", **FEW).distribution
    np.testing.assert_allclose(np.exp(0.5 * np.array(dist.logvar)), width, rtol=0.2)


def test_a_component_on_the_floor_is_told():
    for name in ("one-hot rows", "all equal", "fewer rows than components"):
        with pytest.warns(mixtures.FitWarning, match="ended on the floor of widths"):
            mixtures.fit(*DATA[name], method="em", seed=0)


WEIGHTS = RNG(3).integers(0, 4, size=len(PAIR))


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_weights_count_as_repeated_rows_do(covariance):
    x = np.concatenate([PAIR, PAIR**2 + RNG(4).normal(size=PAIR.shape)], axis=1)
    options = {"method": "em", "covariance": covariance, "tolerance": 1e-12, "min_stddev": 1e-3, "seed": 0}
    repeated = mixtures.fit(np.repeat(x, WEIGHTS, axis=0), 2, **options)
    for data, weights in (
        (x, WEIGHTS),
        (x, 1e-200 * WEIGHTS),
        ({"samples": x, "weights": WEIGHTS}, None),
        (tf.data.Dataset.from_tensor_slices({"samples": x, "weights": 1.0 * WEIGHTS}).batch(7), None),
    ):
        fitted = mixtures.fit(data, 2, weights=weights, **options)
        np.testing.assert_allclose(fitted.loss, repeated.loss, rtol=1e-9)
        np.testing.assert_allclose(
            np.sort(fitted.distribution.mu, axis=0), np.sort(repeated.distribution.mu, axis=0), rtol=1e-4
        )
    np.testing.assert_allclose(fitted.loss, negative_log_likelihood(fitted.distribution, x, WEIGHTS), rtol=1e-9)


@pytest.mark.exhaustive
def test_weights_count_in_a_descent():
    weights = np.where(PAIR[:, 0] > 0, 9.0, 1.0)
    options = {"optimizer": keras.optimizers.Adam(0.05), "iterations": 300, "num_samples": 64, "seed": 0}
    fitted = mixtures.fit(PAIR, 2, weights=weights, covariance="diag", **options)
    np.testing.assert_allclose(np.sort(np.exp(fitted.distribution.log_weights)), [0.1, 0.9], atol=0.03)
    np.testing.assert_allclose(fitted.loss, negative_log_likelihood(fitted.distribution, PAIR, weights), rtol=1e-6)


@pytest.mark.parametrize(
    "weights, text",
    [
        (np.ones(3), r"shape \(200,\). Received: shape \(3,\)"),
        (np.ones((200, 1)), r"Received: shape \(200, 1\)"),
        (np.zeros(200), "must not all be 0"),
        (np.where(np.arange(200) == 7, -1.0, 1.0), "Received: -1.0 at index 7"),
        (np.where(np.arange(200) == 7, np.nan, 1.0), "Received: nan at index 7"),
        (np.where(np.arange(200) == 7, np.inf, 1.0), "Received: inf at index 7"),
        (["a"] * 200, "`weights` must be numbers"),
    ],
)
def test_bad_weights(weights, text):
    for method in ("gradient", "em"):
        with pytest.raises(ValueError, match=text):
            mixtures.fit(PAIR, 2, weights=weights, method=method)


@pytest.mark.parametrize("method", ["gradient", "em"])
@pytest.mark.parametrize(
    "options",
    [
        {"tolerance": np.nan},
        {"tolerance": "1"},
        {"parameterization": "lu"},
        {"estimator": "both"},
        {"optimizer": "adam"},
        {"initial_spread": np.nan},
        {"initial_spread": "1"},
        {"initial_stddev": -1.0},
        {"min_stddev": np.nan},
        {"num_samples": 0},
        {"num_dims": 1.5},
        {"restarts": True},
        {"covariance": ["full"]},
        {"initial": "k-means"},
        {"center": np.nan},
    ],
)
def test_options_are_checked_also_where_they_are_not_used(method, options):
    with pytest.raises(ValueError, match="Received: "):
        mixtures.fit(PAIR, 2, method=method, **options)


@pytest.mark.parametrize(
    "data",
    [np.zeros((3, 0)), np.zeros((0, 2)), [[np.inf]], [["a"]], np.zeros((2, 2, 2)), [[1.0 + 1j]], {"x": PAIR}, 3.0],
)
def test_what_is_no_data_is_refused(data):
    with pytest.raises(ValueError, match="Received: "):
        mixtures.fit(data, 1, method="em")


class Bell:
    """A density whose center may be moved."""

    center = 2.0

    def log_prob(self, x):
        return -0.5 * tf.reduce_sum((x - self.center) ** 2, axis=-1)


def bell(x, center):
    return -0.5 * tf.reduce_sum((x - center) ** 2, axis=-1)


def moved_attribute():
    target = Bell()
    return target, lambda center: setattr(target, "center", center)


def moved_bound_method():
    target = Bell()
    return target.log_prob, lambda center: setattr(target, "center", center)


def moved_class_attribute():
    kind = type("Own", (Bell,), {})
    return kind(), lambda center: setattr(kind, "center", center)


def moved_item_of_a_closure():
    centers = [0.0]
    return lambda x: bell(x, centers[0]), lambda center: centers.__setitem__(0, center)


def moved_array_in_place():
    centers = np.zeros(1, "float32")
    return lambda x: bell(x, centers), lambda center: centers.fill(center)


def moved_keyword_of_a_partial():
    function = functools.partial(bell, center=0.0)
    return function, lambda center: function.keywords.update(center=center)


def moved_default_of_a_function():
    def function(x, center=0.0):
        return bell(x, center)

    return function, lambda center: setattr(function, "__defaults__", (center,))


def moved_variable_of_tensorflow():
    variable = tf.Variable(0.0)
    return lambda x: bell(x, variable), variable.assign


def moved_variable_of_keras():
    variable = keras.Variable(0.0)
    return lambda x: bell(x, variable), variable.assign


def moved_weights_of_a_model():
    layer = keras.layers.Dense(1, kernel_initializer="ones")
    layer.build((None, 1))
    return lambda x: bell(layer(x), 0.0), lambda center: layer.bias.assign([-center])


def moved_callable_object():
    target = type("Function", (), {"center": 0.0, "__call__": lambda self, x: bell(x, self.center)})()
    return target, lambda center: setattr(target, "center", center)


def moved_traced_function():
    variable = tf.Variable(0.0)
    return tf.function(lambda x: bell(x, variable)), variable.assign


MOVED = {name.removeprefix("moved_"): make for name, make in list(globals().items()) if name.startswith("moved_")}
REVERSE = {"divergence": "reverse", "estimator": "pathwise", "covariance": "diag", "num_dims": 1}
REVERSE |= {"iterations": 200, "num_samples": 16, "seed": 0}


@pytest.mark.exhaustive
@pytest.mark.parametrize("make", MOVED.values(), ids=MOVED)
def test_a_reverse_fit_is_that_of_the_present_target(make):
    target, move = make()
    for center in (2.0, -3.0):
        move(center)
        fitted = mixtures.fit(target, 1, optimizer=keras.optimizers.Adam(0.1), **REVERSE)
        np.testing.assert_allclose(fitted.distribution.mu, [[center]], atol=0.1)


@pytest.mark.exhaustive
def test_the_trace_of_a_distribution_is_kept_because_it_does_not_change():
    dist = kg.NormalDist([1.0], [0.0])
    mixtures.fit(dist, 1, **REVERSE)
    hits = _descent.cache_info().hits
    mixtures.fit(dist, 1, **REVERSE)
    assert _descent.cache_info().hits == hits + 1


HOLES = {
    "x > 0": lambda x: tf.where(x[..., 0] > 0, -x[..., 0], float("-inf")),
    "log x": lambda x: -tf.math.log(x[..., 0]),
    "square root of x": lambda x: -tf.sqrt(x[..., 0]),
    "a uniform": lambda x: tf.where(tf.abs(x[..., 0]) < 0.5, 0.0, float("-inf")),
    "a gamma of SciPy's formula": lambda x: 2 * tf.math.log(x[..., 0]) - x[..., 0],
    "infinitely likely": lambda x: tf.where(x[..., 0] < -1, float("inf"), -(x[..., 0] ** 2)),
    "NaN": lambda x: tf.where(x[..., 0] < -1, float("nan"), -(x[..., 0] ** 2)),
    "1 / x at both ends": lambda x: -tf.exp(tf.square(20 * x[..., 0])),
    "a ball": lambda x: tf.where(tf.norm(x, axis=-1) < 1, 0.0, float("-inf")),
    "outside of a ball": lambda x: tf.where(tf.norm(x, axis=-1) > 1, -tf.norm(x, axis=-1), float("-inf")),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("density", HOLES.values(), ids=HOLES)
@pytest.mark.parametrize("estimator", ["score", "pathwise"])
def test_the_place_without_a_finite_density_is_named(density, estimator):
    options = {"divergence": "reverse", "num_dims": 1, "covariance": "diag", "estimator": estimator} | FEW
    with pytest.raises(ValueError, match=r"log-density is (-inf|inf|nan) at \[.*change variables"):
        mixtures.fit(density, 1, **options)


@pytest.mark.exhaustive
def test_a_reverse_fit_to_a_density_with_a_hole_names_the_hole():
    def exponential(x):
        return tf.where(x[..., 0] > 0, -x[..., 0], float("-inf"))

    with pytest.raises(ValueError, match=r"log-density is -inf at \[-.*change variables"):
        mixtures.fit(exponential, 1, divergence="reverse", num_dims=1, covariance="diag", **FEW)


WATCHED = tf.Variable([0.0])
TAPES = {
    "an ordinary one": tf.GradientTape,
    "a persistent one": functools.partial(tf.GradientTape, persistent=True),
    "one that watches nothing": functools.partial(tf.GradientTape, watch_accessed_variables=False),
    "forward mode": functools.partial(tf.autodiff.ForwardAccumulator, WATCHED, tf.ones(1)),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("options", [{}, {"divergence": "reverse"}, {"method": "em"}], ids=["forward", "reverse", "em"])
@pytest.mark.parametrize("first", TAPES.values(), ids=TAPES)
@pytest.mark.parametrize("second", [None, tf.GradientTape], ids=["alone", "within another"])
def test_a_fit_within_an_open_tape_is_not_recorded(options, first, second):
    target = kg.GaussianMixtureDist([0.0], [[1.0]], [[0.0]]) if "divergence" in options else PAIR
    with contextlib.ExitStack() as tapes:
        opened = [tapes.enter_context(tape()) for tape in (second, first) if tape is not None]
        fitted = mixtures.fit(target, 1, covariance="diag", **FEW, **options)
        value = WATCHED**2 * tf.exp(fitted.loss)
    assert np.isfinite(fitted.loss)
    for tape in opened:
        if isinstance(tape, tf.GradientTape):
            assert not [variable for variable in tape.watched_variables() if variable is not WATCHED]
        else:
            np.testing.assert_allclose(tape.jvp(value), [0.0])


@pytest.mark.exhaustive
def test_a_fit_within_a_function_is_refused():
    with pytest.raises(ValueError, match="outside of `tf.function`"):
        tf.function(lambda: mixtures.fit(PAIR, 1, method="em").distribution.mu)()


@pytest.mark.exhaustive
def test_diagonal_fits_make_no_full_matrices():
    # Full matrices of 3,000 dimensions would take 72 MB for each component.
    x = RNG(0).normal(size=(300, 3000)) + 3 * RNG(1).integers(3, size=(300, 1))
    tracemalloc.start()
    fitted = mixtures.fit(x, 3, method="em", covariance="diag", iterations=5, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.isfinite(fitted.loss) and peak < 10 * x.nbytes


@pytest.mark.exhaustive
def test_one_start_of_expectation_maximisation_finds_clusters_that_lie_apart():
    """Beside the optimum next to the mixture that the data are of: scikit-learn misses it in 8 to 14 of 55 sets."""
    missed = []
    for seed in range(55):
        rng = RNG(seed)
        k, n = int(rng.integers(3, 11)), int(rng.integers(1, 6))
        mu, deviations = 10 * k * rng.uniform(size=(k, n)), rng.uniform(0.5, 2.0, (k, n))
        labels = rng.integers(k, size=200 * k)
        x = mu[labels] + deviations[labels] * rng.normal(size=(200 * k, n))
        truth = kg.GaussianMixtureDist(np.zeros(k), mu, 2 * np.log(deviations))
        options = {"method": "em", "covariance": "diag", "seed": seed}
        best = min(mixtures.fit(x, k, initial=truth, **options).loss, negative_log_likelihood(truth, x))
        if mixtures.fit(x, k, **options).loss > best + 0.05:
            missed.append(seed)
    assert len(missed) <= 8, missed


@pytest.mark.parametrize("iterations", [1, 2, 29, 30, 31, 60])
def test_no_more_iterations_are_done_than_asked_for_and_each_has_its_loss(iterations):
    fitted = mixtures.fit(PAIR, 2, method="em", iterations=iterations, tolerance=-1.0, restarts=3, seed=0)
    losses = fitted.history["losses"]
    assert losses.shape == (iterations, 3) and np.all(np.diff(losses, axis=0) < 1e-9)
    assert fitted.loss <= losses[-1].min() + 1e-9


@pytest.mark.exhaustive
def test_a_start_without_one_of_its_components_is_fitted():
    start = kg.GaussianMixtureDist([0.0, -np.inf], [[-3.0], [3.0]], [[0.0], [0.0]])
    x = RNG(0).normal(size=(200, 1))
    for options in ({"iterations": 300}, {"method": "em"}):
        fitted = mixtures.fit(x, 2, initial=start, seed=0, **options)
        assert fitted.distribution.logits[1] < -600.0 and fitted.loss < 2.2
        assert fitted.loss == pytest.approx(negative_log_likelihood(fitted.distribution, x), abs=1e-5)


@pytest.mark.exhaustive
def test_a_reverse_fit_of_a_start_without_one_of_its_components_returns_what_it_reports():
    start = kg.GaussianMixtureDist([0.0, -np.inf], [[-3.0], [3.0]], [[0.0], [0.0]])
    target = kg.NormalDist([0.0], [0.0])
    fitted = mixtures.fit(target, 2, divergence="reverse", initial=start, iterations=600, seed=0)
    divergence, error = kg.divergences.kl_divergence(fitted.distribution, target, 10_000, seed=0)
    assert float(divergence) == pytest.approx(fitted.loss, abs=4 * float(error) + 0.02)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_single_precision_keeps_a_narrow_cluster_beside_large_numbers(covariance):
    x = two(RNG(0).normal(0.0, 1e-3, 300), RNG(1).normal(1e5, 1.0, 300))
    widths = []
    for dtype in ("float32", "float64"):
        dist = mixtures.fit(x.astype(dtype), 2, method="em", covariance=covariance, seed=0).distribution
        widths.append(np.sort(np.ravel(stddevs(dist))))
    np.testing.assert_allclose(widths[1], [x[:300].std(), x[300:].std()], rtol=0.02)
    np.testing.assert_allclose(widths[0], widths[1], rtol=0.01)


def stddevs(dist):
    """Of the components of a mixture over one dimension."""
    return np.exp(0.5 * dist.logvar) if "logvar" in dist.PARAM_NAMES else np.abs(dist.scale_tril)


MASKED = np.ma.masked_greater(two(np.arange(5.0), [50.0, 51.0]), 10.0)


@pytest.mark.parametrize(
    ("data", "options", "text"),
    [
        (MASKED, {}, "Numbers must not be masked"),
        (MASKED.data, {"weights": np.ma.masked_array(np.ones(7), MASKED.mask[:, 0])}, "Numbers must not be masked"),
        (MASKED.data, {"weights": np.ones(7) * (1 + 5j)}, "`weights` must be numbers. Received: ndarray"),
        (MASKED.data, {"center": "a"}, "`center` must be a number or an array of numbers"),
        (MASKED.data, {"scale": [[1.0], [1.0, 2.0]]}, "`scale` must be a number or an array of numbers"),
        ([[1.0], [1.0, 2.0]], {}, "Samples must be rows of one length"),
        (MASKED.data, {"scale": 1e300}, "give a `center`, a `scale` and a `min_stddev` that suit the samples"),
        (np.repeat([[0.0], [1.0]], 20, axis=0), {"min_stddev": 1e-300}, "a `min_stddev` that suit the samples"),
    ],
)
def test_what_cannot_be_meant_is_refused(data, options, text):
    with pytest.raises(ValueError, match=text):
        mixtures.fit(data, 2, method="em", seed=np.int64(0), **options)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (kg.CategoricalDist([0.0, 0.0]), "CategoricalDist"),
        (kg.BernoulliDist([0.0]), "BernoulliDist"),
        (kg.BetaDist([2.0], [2.0]), "BetaDist"),
        (kg.SquashedNormalDist([0.0], [0.0]), "SquashedNormalDist"),
    ],
)
def test_a_target_without_a_density_everywhere_is_refused_before_a_reverse_fit(target, name):
    with pytest.raises(
        ValueError, match=f"has a density everywhere: change variables.* Received: a {name}, of which `x`"
    ):
        mixtures.fit(target, 1, divergence="reverse", **FEW)


def test_a_density_that_is_written_for_arrays_is_one_line():
    with pytest.raises(
        ValueError, match="must be a function of tensors.* Received: NotImplementedError: Cannot convert"
    ):
        mixtures.fit(lambda x: -np.sum(np.asarray(x) ** 2, -1), 2, divergence="reverse", num_dims=2, **FEW)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_draws_of_a_mixture_in_half_precision_are_fitted(dtype):
    target = kg.GaussianMixtureDist(tf.zeros(2, dtype), tf.constant([[-3.0], [3.0]], dtype), tf.zeros((2, 1), dtype))
    fitted = mixtures.fit(target, 2, method="em", num_samples=2000, seed=0).distribution
    np.testing.assert_allclose(np.sort(np.ravel(fitted.mu)), [-3.0, 3.0], atol=0.3)


@pytest.mark.few(1)
@pytest.mark.parametrize("num_components", [40_000, 70_000])
def test_draws_of_a_mixture_of_many_components_are_fitted(num_components):
    mu = np.linspace(0.0, 1.0, num_components, dtype="float32")[:, None]
    target = kg.GaussianMixtureDist(np.zeros(num_components, "float32"), mu, np.full_like(mu, -20.0))
    fitted = mixtures.fit(target, 1, method="em", num_samples=20_000, seed=0).distribution
    assert float(fitted.mu[0, 0]) == pytest.approx(0.5, abs=0.01)
    assert float(stddevs(fitted)[0, 0, 0]) == pytest.approx(12**-0.5, abs=0.01)
