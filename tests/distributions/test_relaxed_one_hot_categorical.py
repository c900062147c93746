"""`RelaxedOneHotCategorical` against reference numbers, its own draws, and the corners of the simplex."""

import inspect

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists import CategoricalDist, RelaxedOneHotCategorical
from tests.golden import TOLERANCE, assert_close, cases
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng
LOGITS = np.array([[0.0, 1.0, -2.0], [3.0, 0.5, 0.0]], "float32")
MASKED = np.array([[0.0, -INF, 1.0, -2.0], [3.0, 0.5, -INF, -INF]], "float32")


def gradient_of(function, *xs):
    """Value and gradients of the sum of `function(*xs)`."""
    xs = [ops.convert_to_tensor(x) for x in xs]
    with tf.GradientTape() as tape:
        tape.watch(xs)
        value = function(*xs)
    return value, tape.gradient(value, xs)


# Reference numbers. One function answers all cases, so that XLA compiles only once.


def answer(temperature, log_y, y, logits=None, probs=None):
    """Parameters are repeated for each point: reference gradients are given per point."""
    rows = ops.zeros_like(log_y)
    temperature = temperature + rows[..., 0]
    if probs is not None:
        dist = RelaxedOneHotCategorical(temperature, probs=probs + rows)
        log_prob, (gradient,) = gradient_of(
            lambda tau: RelaxedOneHotCategorical(tau, probs=probs + rows).log_proba(log_x=log_y), temperature
        )
        answers = {"grad_log_prob_temperature": gradient}
    else:
        dist = RelaxedOneHotCategorical(temperature, logits=logits + rows)
        log_prob, gradients = gradient_of(
            lambda tau, logits: RelaxedOneHotCategorical(tau, logits=logits).log_proba(log_x=log_y),
            temperature,
            logits + rows,
        )
        answers = dict(zip(("grad_log_prob_temperature", "grad_log_prob_logits"), gradients, strict=True))
    answers |= {"log_prob": log_prob, "log_prob_of_log": log_prob + ops.sum(log_y, axis=-1)}
    return answers | {"log_prob_of_y": dist.log_proba(y)}


@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["eager", "xla"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_reference_numbers(dtype, jit_compile):
    def answer_all(inputs):
        return {key: answer(**arrays) for key, arrays in inputs.items()}

    found = [case for kind in ("logits", "probs") for case in cases("relaxed_one_hot", kind, dtype)]
    inputs = {case["id"]: {name: np.array(x, dtype) for name, x in case["inputs"].items()} for case in found}
    run = tf.function(answer_all, jit_compile=True, autograph=False) if jit_compile else answer_all
    answers = run(inputs)
    for case in found:
        got, expected, scales = answers[case["id"]], case["expected"], case.get("scale", {})
        if f"y_underflows_{dtype}" not in case.get("tags", []):
            expected = expected | {"log_prob_of_y": expected["log_prob"]}
            scales = scales | {"log_prob_of_y": scales.get("log_prob", 0.0)}
        for name, want in expected.items():
            assert_close(got[name], want, TOLERANCE[dtype], scales.get(name, 0.0), f"{case['id']}: {name}")


# The density: a distribution over the simplex.


@pytest.mark.parametrize("tau", [0.3, 1.0, 2.5])
def test_the_density_integrates_to_one(tau):
    dist = RelaxedOneHotCategorical(tau, logits=np.array([0.5, -0.3]))
    u = np.linspace(-40, 40, 200_001) / tau  # y = sigmoid(u), dy = y (1 - y) du
    log_y = np.stack([-np.logaddexp(0, -u), -np.logaddexp(0, u)], axis=-1)
    density = np.exp(dist.log_proba(log_x=log_y) + log_y.sum(axis=-1))
    np.testing.assert_allclose(density.sum() * (u[1] - u[0]), 1.0, rtol=1e-9)


@pytest.mark.parametrize("tau", [0.05, 0.5, 2.0])
def test_two_choices_differ_by_a_logistic_variable(tau):
    dist = RelaxedOneHotCategorical(tau, logits=np.array([0.7, -0.4]))
    log_y = np.array(dist.sample_log(20_000, seed=0))
    z = tau * (log_y[:, 0] - log_y[:, 1])
    assert scipy.stats.kstest(z, "logistic", args=(1.1,)).pvalue > 1e-3
    want = scipy.stats.logistic(1.1).logpdf(z) + np.log(tau) - log_y.sum(axis=-1)
    np.testing.assert_allclose(dist.log_proba(log_x=log_y), want, rtol=1e-10, atol=1e-10)


def test_logits_and_probs_of_any_scale_are_the_same():
    y = [[0.2, 0.3, 0.5], [0.9, 0.05, 0.05]]
    want = RelaxedOneHotCategorical(0.7, logits=LOGITS).log_proba(y)
    for dist in (
        RelaxedOneHotCategorical(0.7, logits=LOGITS + 5),
        RelaxedOneHotCategorical(0.7, probs=7 * np.exp(LOGITS)),
    ):
        np.testing.assert_allclose(dist.log_proba(y), want, rtol=1e-5)
        np.testing.assert_allclose(dist.probs, scipy.special.softmax(LOGITS, axis=-1), rtol=1e-5)


def test_the_density_of_one_choice_is_one():
    np.testing.assert_array_equal(RelaxedOneHotCategorical(0.5, logits=[[3.0]]).log_proba([[1.0]]), [0.0])


# The boundary.


@pytest.mark.few(15)
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["eager", "xla"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("tau", [0.01, 0.2, 1.0, 5.0])
def test_values_and_gradients_at_corners_and_edges_are_finite(tau, dtype, jit_compile):
    y = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [1, 1e-40, 0]])

    def evaluate(logits, tau, y):
        return gradient_of(lambda *xs: RelaxedOneHotCategorical(xs[1], logits=xs[0]).log_proba(xs[2]), logits, tau, y)

    arguments = [ops.cast(x, dtype) for x in (np.tile(LOGITS, (2, 1)), np.full(4, tau), y)]
    value, gradients = tf.function(evaluate, jit_compile=True)(*arguments) if jit_compile else evaluate(*arguments)
    for x in (value, *gradients):
        assert np.isfinite(ops.cast(x, "float64")).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_own_samples_at_a_hundredth_have_finite_densities(dtype):
    dist = RelaxedOneHotCategorical(0.01, logits=ops.cast(LOGITS, dtype))
    y, log_proba = dist.sample_and_log_proba(5000, seed=0)
    assert np.any(y == 0) and np.any(y == 1)
    assert np.isfinite(ops.cast(log_proba, "float64")).all()
    assert np.isfinite(ops.cast(dist.log_proba(y), "float64")).all()


def test_the_density_of_a_draw_does_not_go_through_the_draw():
    """In float32 most entries underflow; the density is that of float64 all the same."""
    dist = RelaxedOneHotCategorical(0.02, logits=LOGITS)
    y, log_proba = dist.sample_and_log_proba(1000, seed=0)
    log_y = dist.sample_log(1000, seed=0)
    wide = RelaxedOneHotCategorical(float(np.float32(0.02)), logits=LOGITS.astype("float64"))
    assert np.mean(y == 0) > 0.2
    np.testing.assert_allclose(y, np.exp(log_y), rtol=1e-5, atol=1e-37)
    np.testing.assert_allclose(log_proba, wide.log_proba(log_x=ops.cast(log_y, "float64")), rtol=1e-4, atol=1e-2)


def test_gradients_of_draws_and_their_densities_are_finite():
    for tau in (0.01, 0.2, 10.0):
        _, gradients = gradient_of(
            lambda logits, tau: RelaxedOneHotCategorical(tau, logits=logits).sample_and_log_proba(100, seed=0)[1],
            LOGITS,
            np.float32(tau),
        )
        assert all(np.isfinite(gradient).all() and np.any(gradient) for gradient in gradients)


# Choices that are ruled out.


def test_a_face_has_the_density_of_the_choices_that_are_left():
    dist, tau = RelaxedOneHotCategorical(0.6, logits=MASKED), 0.6
    y = np.array([[0.3, 0.0, 0.6, 0.1], [0.8, 0.2, 0.0, 0.0]])
    want = [
        RelaxedOneHotCategorical(tau, logits=MASKED[0, [0, 2, 3]]).log_proba(y[0, [0, 2, 3]]),
        RelaxedOneHotCategorical(tau, logits=MASKED[1, :2]).log_proba(y[1, :2]),
    ]
    np.testing.assert_allclose(dist.log_proba(y), want, rtol=1e-6)
    np.testing.assert_array_equal(np.isneginf(dist.log_proba([[0.3, 0.1, 0.5, 0.1], [0.8, 0.2, 0, 0]])), [True, False])
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(dist.log_proba(log_x=np.log(y)), want, rtol=1e-6)


def test_draws_stay_on_the_face():
    dist = RelaxedOneHotCategorical(0.6, logits=MASKED)
    y, log_proba = dist.sample_and_log_proba(1000, seed=0)
    assert (np.array(y)[:, MASKED == -INF] == 0).all() and np.isfinite(log_proba).all()
    np.testing.assert_allclose(log_proba, dist.log_proba(y), rtol=1e-3, atol=1e-3)
    many = RelaxedOneHotCategorical(0.6, logits=np.tile(MASKED[1], (1000, 1)))
    assert set(np.array(many.sample_action(seed=0))) == {0, 1}


@pytest.mark.parametrize("probs", [False, True], ids=["logits", "probs"])
def test_gradients_of_choices_that_are_ruled_out_are_zero(probs):
    def loss(weights, tau):
        dist = RelaxedOneHotCategorical(tau, **{"probs" if probs else "logits": weights})
        y, log_proba = dist.sample_and_log_proba(3, seed=0)
        return log_proba + dist.log_proba(y) + ops.sum(y * y, axis=-1) + dist.log_proba(np.array([0, 1]))

    _, (gradient, tau_gradient) = gradient_of(loss, np.exp(MASKED) if probs else MASKED, np.float32(0.5))
    assert (np.array(gradient)[MASKED == -INF] == 0).all()
    assert np.isfinite(gradient).all() and np.isfinite(tau_gradient) and np.any(gradient)


# Labels.


@pytest.mark.parametrize("labels", [[1, 2], [[1], [2]], [[0, 1], [2, 2], [1, 0]]])
def test_labels_have_the_probabilities_of_the_categorical(labels):
    got = RelaxedOneHotCategorical(0.3, logits=LOGITS).log_proba(labels)
    np.testing.assert_allclose(got, CategoricalDist(LOGITS).log_proba(labels), rtol=1e-6)


def test_labels_of_choices_that_are_ruled_out_and_out_of_range():
    dist = RelaxedOneHotCategorical(0.3, logits=MASKED)
    np.testing.assert_array_equal(np.isneginf(dist.log_proba([1, 1])), [True, False])
    with pytest.raises(ValueError, match=r"`x` of labels must lie in 0 ... 3. Received: label 4"):
        dist.log_proba([0, 4])
    np.testing.assert_array_equal(np.isneginf(tf.function(dist.log_proba)(np.array([0, 4]))), [False, True])


def test_actions_are_those_of_the_categorical():
    logits = np.tile(LOGITS[:1], (100_000, 1))
    dist = RelaxedOneHotCategorical(5.0, logits=logits)
    counts = np.bincount(dist.sample_action(seed=0), minlength=3)
    assert scipy.stats.chisquare(counts, 100_000 * scipy.special.softmax(LOGITS[0].astype("float64"))).pvalue > 1e-3
    np.testing.assert_array_equal(dist.mode_action()[:3], [1, 1, 1])
    assert dist.sample_action().dtype == dist.mode_action().dtype == "int32"


# Draws.


def test_the_categorical_draws_the_same():
    pi = CategoricalDist(LOGITS, 0.4)
    relaxed = pi.relaxed()
    assert type(relaxed) is RelaxedOneHotCategorical
    np.testing.assert_array_equal(relaxed.temperature, np.full(2, 0.4, "float32"))
    for hard in (False, True):
        np.testing.assert_allclose(
            relaxed.rsample(5, seed=1, hard=hard), pi.sample(5, seed=1, hard=hard), rtol=1e-5, atol=1e-7
        )
    np.testing.assert_array_equal(pi.relaxed(2.0).temperature, [2.0, 2.0])


def test_draws_of_relaxed_categoricals_differ():
    pi = CategoricalDist(LOGITS, random_seed=3)
    draws = [pi.sample(), pi.relaxed().sample(), pi.relaxed().sample()]
    assert all(np.any(a != b) for i, a in enumerate(draws) for b in draws[:i])


def test_draws_of_relaxed_categoricals_differ_in_a_model():
    logits = keras.Input((3,))
    pi = CategoricalDist(logits, random_seed=3)
    draws = keras.Model(logits, [pi.sample(), pi.relaxed().sample(), pi.relaxed().sample()])(LOGITS)
    assert all(np.any(a != b) for i, a in enumerate(draws) for b in draws[:i])


def test_masks_go_along():
    pi = CategoricalDist(LOGITS, mask=[[True, True, False], [True, False, True]]).relaxed()
    assert (np.array(pi.sample(100))[:, [0, 1], [2, 1]] == 0).all()


def test_hard_samples_are_one_hot_and_have_the_gradient_of_soft_ones():
    weights = np.array([1, 2, 3], "float32")

    def draw(logits, tau, hard):
        return RelaxedOneHotCategorical(tau, logits=logits).rsample(9, seed=0, hard=hard)

    tau = np.array([0.5, 2.0], "float32")
    soft, want = gradient_of(lambda *xs: draw(*xs, hard=False) * weights, LOGITS, tau)
    hard, got = gradient_of(lambda *xs: draw(*xs, hard=True) * weights, LOGITS, tau)
    np.testing.assert_array_equal(np.sort(hard / weights, axis=-1), np.broadcast_to([0, 0, 1], hard.shape))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(a).all() and np.any(a)


def test_samples_sharpen_with_the_temperature():
    sharpest = [np.max(RelaxedOneHotCategorical(t, logits=LOGITS).sample(1000, seed=0)) for t in (0.01, 1e3)]
    assert sharpest[0] == 1.0 and sharpest[1] < 0.34


def test_gradients_of_samples_are_central_differences():
    logits, tau = LOGITS.astype("float64"), np.array([0.5, 2.0])

    def draw(logits, tau):
        return ops.sum(RelaxedOneHotCategorical(tau, logits=logits).rsample(4, seed=0) ** 2)

    _, (_, got) = gradient_of(draw, logits, tau)
    want = [(draw(logits, tau + d) - draw(logits, tau - d)) / 2e-6 for d in 1e-6 * np.eye(2)]
    np.testing.assert_allclose(got, want, rtol=1e-6)


# The constructor.


def test_arguments_and_defaults():
    names = list(inspect.signature(RelaxedOneHotCategorical).parameters)
    assert names == ["temperature", "probs", "logits", "validate_args", "name", "random_seed"]
    assert RelaxedOneHotCategorical.PARAM_NAMES == ("logits", "temperature")


@pytest.mark.parametrize("weights, received", [({}, "neither"), ({"probs": [1.0], "logits": [0.0]}, "both")])
def test_exactly_one_of_probs_and_logits(weights, received):
    with pytest.raises(ValueError, match=f"Exactly one of `probs` and `logits` must be given. Received: {received}"):
        RelaxedOneHotCategorical(0.5, **weights)


@pytest.mark.parametrize("points, received", [({}, "neither"), ({"x": [1.0], "log_x": [0.0]}, "both")])
def test_exactly_one_of_x_and_log_x(points, received):
    with pytest.raises(ValueError, match=f"Exactly one of `x` and `log_x` must be given. Received: {received}"):
        RelaxedOneHotCategorical(0.5, logits=[0.0]).log_proba(**points)


@pytest.mark.parametrize("bad", [0.0, -1.0, INF, NAN])
def test_temperatures_must_be_positive(bad):
    with pytest.raises(ValueError, match=rf"`temperature` must be finite and > 0. Received: {bad}$"):
        RelaxedOneHotCategorical(bad, logits=LOGITS)
    with pytest.raises(ValueError, match=rf"`temperature` must be finite and > 0. Received: {bad} at index \[1\]"):
        RelaxedOneHotCategorical([1.0, bad], logits=LOGITS)


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 1), (2, 3)])
def test_temperatures_of_wrong_shape(shape):
    with pytest.raises(ValueError, match="`temperature` must be a number or have the batch shape. Received: "):
        RelaxedOneHotCategorical(np.ones(shape, "float32"), logits=LOGITS)


@pytest.mark.parametrize(
    "probs, text",
    [
        ([0.5, -0.1], r"`probs` must be finite and >= 0. Received: -0.1.* at index \[1\] of probs"),
        ([0.5, NAN], r"`probs` must be finite and >= 0. Received: nan at index \[1\] of probs"),
        ([[0.5, 0.5], [0.0, 0.0]], r"`probs` must allow a choice in every row. Received: none allowed in row \[1\]"),
    ],
)
def test_bad_probs(probs, text):
    with pytest.raises(ValueError, match=text):
        RelaxedOneHotCategorical(0.5, probs=probs)
    RelaxedOneHotCategorical(0.5, probs=probs, validate_args=False)


def test_checks_of_values_can_be_left_out():
    dist = RelaxedOneHotCategorical(-1.0, logits=[0.0, NAN], validate_args=False)
    assert np.isnan(dist.log_proba([0.5, 0.5]))
    with pytest.raises(ValueError, match="`logits` must have shape"):
        RelaxedOneHotCategorical(0.5, logits=1.0, validate_args=False)


def test_points_off_the_simplex_are_an_error():
    with pytest.raises(ValueError, match=r"rows that sum to one. Received: entries from 0.5 to 1.5"):
        RelaxedOneHotCategorical(0.5, logits=[0.0, 0.0]).log_proba([0.5, 1.5])


@pytest.mark.parametrize("method", ["mode", "mean", "variance", "entropy"])
def test_what_has_no_closed_form_says_so(method):
    with pytest.raises(NotImplementedError, match=f"RelaxedOneHotCategorical has no closed form of `{method}`"):
        getattr(RelaxedOneHotCategorical(0.5, logits=LOGITS), method)()


def test_symbolic_parameters_with_a_temperature_per_row():
    logits, tau = keras.Input((3,)), keras.Input(())
    dist = RelaxedOneHotCategorical(tau, logits=logits)
    model = keras.Model([logits, tau], [dist.log_proba(ops.softmax(logits)), dist.rsample(), dist.sample_log(2)])
    log_proba, y, log_y = model([LOGITS, np.array([0.5, 1.0], "float32")])
    want = RelaxedOneHotCategorical([0.5, 1.0], logits=LOGITS).log_proba(scipy.special.softmax(LOGITS, axis=-1))
    np.testing.assert_allclose(log_proba, want, rtol=1e-5)
    assert y.shape == (2, 3) and log_y.shape == (2, 2, 3)


# The head.


def test_a_trained_temperature_starts_where_it_is_told():
    head = kg.layers.RelaxedOneHotHead(3, temperature=0.3, train_temperature=True)
    dist = head(np.ones((2, 4), "float32"))
    assert type(dist) is RelaxedOneHotCategorical
    np.testing.assert_allclose(dist.temperature, [0.3, 0.3], rtol=1e-6)
    assert len(head.trainable_variables) == 3


def test_the_head_takes_masks():
    mask = np.array([[True, True, False], [False, True, True]])
    dist = kg.layers.RelaxedOneHotHead(3)(np.ones((2, 4), "float32"), mask)
    np.testing.assert_array_equal(np.isneginf(dist.logits), ~mask)


@pytest.mark.parametrize("bad", [0.0, -1.0, INF, NAN])
def test_the_head_refuses_bad_temperatures(bad):
    with pytest.raises(ValueError, match="`temperature` must be a finite number > 0. Received: temperature="):
        kg.layers.RelaxedOneHotHead(3, temperature=bad)
