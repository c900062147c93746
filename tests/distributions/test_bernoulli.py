"""`BernoulliDist` against reference numbers, scipy, and the hard points."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from keras import ops

from kgdists import BernoulliDist, CategoricalDist
from tests.golden import gradient_of, reference_test, with_gradients
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng
LOGITS = np.float32(RNG(3).normal(size=(4, 3)))
COMPILED = pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])


def f32(x):
    return np.asarray(x, "float32")


# Reference numbers.


def answer_single(logits, x):
    answers = {"probs": BernoulliDist(logits).probs}
    answers |= with_gradients("log_prob", lambda logits: BernoulliDist(logits).log_proba(x), logits=logits)
    return answers | with_gradients("entropy", lambda logits: BernoulliDist(logits).entropy(), logits=logits)


def answer_pair(**params):
    def divergence(name):
        return lambda p_logits, q_logits: getattr(BernoulliDist(p_logits), name)(BernoulliDist(q_logits))

    return with_gradients("cross_entropy", divergence("cross_entropy"), **params) | with_gradients(
        "kl_divergence", divergence("kl_divergence"), **params
    )


test_reference_numbers = reference_test("bernoulli", single=answer_single, pair=answer_pair)


# scipy, and identities.


def test_log_proba_entropy_and_moments_are_those_of_scipy():
    logits = RNG(0).normal(size=(7, 5))
    dist, want = BernoulliDist(logits), scipy.stats.bernoulli(scipy.special.expit(logits))
    x = RNG(1).integers(2, size=(7, 5))
    np.testing.assert_allclose(dist.log_proba(x), want.logpmf(x).sum(axis=-1), rtol=1e-12)
    np.testing.assert_allclose(dist.entropy(), want.entropy().sum(axis=-1), rtol=1e-12)
    np.testing.assert_allclose(dist.mean(), want.mean(), rtol=1e-12)
    np.testing.assert_allclose(dist.variance(), want.var(), rtol=1e-12)


def test_probabilities_of_all_vectors_sum_to_one():
    vectors = np.indices((2,) * 5).reshape(5, -1).T
    log_proba = BernoulliDist(3.0 * RNG(0).normal(size=5)).log_proba(vectors)
    np.testing.assert_allclose(scipy.special.logsumexp(log_proba), 0.0, atol=1e-12)


def test_one_dimension_is_a_categorical_of_two():
    p_logits, q_logits = 2.0 * RNG(0).normal(size=(2, 100, 1))
    p, q = BernoulliDist(p_logits), BernoulliDist(q_logits)
    two_p, two_q = (CategoricalDist(np.concatenate([0 * x, x], axis=-1)) for x in (p_logits, q_logits))
    for method in ("cross_entropy", "kl_divergence"):
        np.testing.assert_allclose(getattr(p, method)(q), getattr(two_p, method)(two_q), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(p.entropy(), two_p.entropy(), rtol=1e-12)
    np.testing.assert_allclose(p.log_proba(np.ones((100, 1), int)), two_p.log_proba(np.ones(100, int)), rtol=1e-12)


# The divergence of nearly equal policies.


@pytest.mark.parametrize("magnitude", [1, 3, 10])
def test_kl_of_nearly_equal_policies_keeps_its_digits(magnitude):
    """Divergences from 1e-9 on, in float32, as PPO meets them."""
    rng = RNG(magnitude)
    p_logits = f32(magnitude * rng.normal(size=(20_000, 3)))
    q_logits = f32(p_logits + 10 ** rng.uniform(-5, -1, size=(20_000, 1)) * rng.normal(size=(20_000, 3)))
    got = np.array(BernoulliDist(p_logits).kl_divergence(BernoulliDist(q_logits)))
    p, q = (x.astype("longdouble") for x in (p_logits, q_logits))
    one, zero = (np.logaddexp(0, -s * q) - np.logaddexp(0, -s * p) for s in (1, -1))
    want = np.sum(one / (1 + np.exp(-p)) + zero / (1 + np.exp(p)), axis=-1).astype("float64")
    counted = want >= 1e-9
    assert counted.sum() > 5000 and want[counted].min() < 2e-9
    assert (got >= 0).all()
    np.testing.assert_allclose(got[counted], want[counted], rtol=1e-3)


@pytest.mark.exhaustive
@COMPILED
def test_float32_divergences_and_gradients_agree_with_float64_across_their_forms(jit_compile):
    rng = RNG(0)
    p = rng.normal(size=(6000, 1)) * np.repeat([0.3, 3.0, 20.0], 2000)[:, None]
    steps = rng.choice([-1, 1], size=p.shape) * np.tile([1e-3, 0.249, 0.251, 0.999, 1.001, 8.0], 1000)[:, None]
    p, q = f32(p), f32(p + steps)

    def evaluate(p, q):
        value, gradients = gradient_of(lambda p, q: BernoulliDist(p).kl_divergence(BernoulliDist(q)), p, q)
        return value[:, None], *gradients

    got = tf.function(evaluate, jit_compile=jit_compile)(p, q)
    for x, want in zip(got, evaluate(p.astype("float64"), q.astype("float64")), strict=True):
        np.testing.assert_allclose(x, want, rtol=1e-5)


@pytest.mark.few(7)
@pytest.mark.parametrize("magnitude", [1, 10, 100, 10_000])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_kl_is_never_negative(magnitude, dtype):
    p, q = ops.cast(magnitude * RNG(0).normal(size=(2, 5000, 4)), dtype)
    near = p * (1 + ops.cast(1e-3, dtype))
    for other in (q, near, -p):
        assert np.min(BernoulliDist(p).kl_divergence(BernoulliDist(other))) >= 0


# Hard points.

HARD = [0.0, 1.0, -1.0, 1e-4, -30.0, 30.0, -103.5, 103.5, 1e4, -1e4, INF, -INF]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients_are_finite(dtype):
    logits = np.array(HARD, dtype)[:, None]
    for method in ("entropy", "variance", "mean"):
        value, (gradient,) = gradient_of(lambda x, name=method: getattr(BernoulliDist(x), name)(), logits)
        assert np.isfinite(value).all() and np.isfinite(gradient).all(), method
    for x in (BernoulliDist(logits).mode(), BernoulliDist(logits).mode_action(), BernoulliDist(logits).sample(seed=0)):
        value, (gradient,) = gradient_of(lambda logits, x=x: BernoulliDist(logits).log_proba(x), logits)
        assert np.isfinite(value).all() and np.isfinite(gradient).all()
    soft, (gradient,) = gradient_of(lambda x: BernoulliDist(x).sample(50, seed=0), logits)
    assert np.isfinite(soft).all() and np.isfinite(gradient).all()


@pytest.mark.few(1)
@COMPILED
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["cross_entropy", "kl_divergence"])
def test_divergences_of_hard_pairs(name, dtype, jit_compile):
    """Infinite where q rules out what p does not, or by little more than the range of the dtype; else finite."""
    p, q = np.array(np.meshgrid(HARD, HARD), dtype).reshape(2, -1, 1)

    @tf.function(jit_compile=jit_compile)
    def evaluate(p, q):
        return gradient_of(lambda p, q: getattr(BernoulliDist(p), name)(BernoulliDist(q)), p, q)

    value, gradients = evaluate(p, q)
    mass_ruled_out = scipy.special.expit(np.where(q == INF, -p, np.where(q == -INF, p, -INF)))[:, 0] > 0
    np.testing.assert_array_equal(np.isposinf(value), mass_ruled_out)
    assert not np.isnan(value).any() and (np.array(value) >= 0).all()
    assert np.isfinite(np.array(gradients)[:, ~mass_ruled_out]).all()


def test_large_logits_cost_their_size():
    dist = BernoulliDist(f32([1e4, -1e4]))
    np.testing.assert_array_equal(dist.log_proba([1, 0]), 0.0)
    np.testing.assert_array_equal(dist.log_proba([0, 0]), -1e4)
    np.testing.assert_array_equal(dist.kl_divergence(BernoulliDist(f32([-1e4, -1e4]))), 1e4)


# Variates and actions.

X = np.array([[0, 1, 1], [1, 1, 1], [0, 0, 0], [1, 0, 1]])
FORMS = {
    "int32": X.astype("int32"),
    "int64": X,
    "uint8": X.astype("uint8"),
    "int8": X.astype("int8"),
    "bool": X.astype(bool),
    "float32": f32(X),
    "float64": X.astype("float64"),
    "float16": X.astype("float16"),
    "list": X.tolist(),
    "list_of_bools": X.astype(bool).tolist(),
    "tensor": tf.constant(X),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("x", FORMS.values(), ids=FORMS)
def test_forms_of_zeros_and_ones(x):
    want = scipy.stats.bernoulli(scipy.special.expit(LOGITS)).logpmf(X).sum(axis=-1)
    for log_proba in (BernoulliDist(LOGITS).log_proba, tf.function(BernoulliDist(LOGITS).log_proba)):
        assert log_proba(x).dtype == "float32"
        np.testing.assert_allclose(log_proba(x), want, rtol=1e-5)


@pytest.mark.parametrize("front", [(1,), (5,), (2, 5), (1, 1)])
def test_sample_axes_in_front(front):
    dist = BernoulliDist(LOGITS)
    x = RNG(0).integers(2, size=(*front, 4, 3))
    want = np.array([dist.log_proba(rows) for rows in x.reshape(-1, 4, 3)]).reshape(x.shape[:-1])
    np.testing.assert_array_equal(dist.log_proba(x), want)
    np.testing.assert_array_equal(dist.log_proba(f32(x)), want)


def test_without_a_batch():
    dist = BernoulliDist(LOGITS[0])
    assert dist.log_proba([0, 1, 1]).shape == dist.entropy().shape == ()
    assert dist.sample().shape == dist.sample_action().shape == (3,)


def test_values_between_weigh_the_log_probabilities():
    x = f32([[0.9, 0.25, 0.0]] * 4)
    log_one, log_zero = scipy.special.log_expit(LOGITS), scipy.special.log_expit(-LOGITS)
    want = (x * log_one + (1 - x) * log_zero).sum(axis=-1)
    np.testing.assert_allclose(BernoulliDist(LOGITS).log_proba(x), want, rtol=1e-5)


@pytest.mark.few(3)
@pytest.mark.parametrize("wrong", [-1, 2, 1.5, -0.001])
def test_values_out_of_range(wrong):
    x = np.where(np.arange(12).reshape(4, 3) == 4, np.asarray(wrong), X)
    with pytest.raises(ValueError, match=f"`x` must be of zeros and ones, or lie between. Received: {wrong}"):
        BernoulliDist(LOGITS).log_proba(x)
    for jit_compile in (False, True):
        got = tf.function(BernoulliDist(LOGITS).log_proba, jit_compile=jit_compile)(tf.constant(x))
        np.testing.assert_array_equal(np.isneginf(got), [False, True, False, False])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("tau", [0.01, 0.2, 1.0, 10.0])
def test_hard_samples_are_exactly_zeros_and_ones(tau, dtype):
    x = np.array(BernoulliDist(LOGITS.astype(dtype), tau).sample(500, seed=0, hard=True))
    assert x.dtype == dtype and set(x.flat) == {0, 1}


def test_hard_samples_have_the_gradient_of_soft_ones():
    weights = f32([1, 2, 3])
    soft, (want,) = gradient_of(lambda x: BernoulliDist(x).sample(9, seed=0) * weights, LOGITS)
    hard, (got,) = gradient_of(lambda x: BernoulliDist(x).sample(9, seed=0, hard=True) * weights, LOGITS)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(soft / weights > 0.5, hard / weights > 0.5)


def test_the_mode_is_0_of_equals():
    dist = BernoulliDist(f32([0.0, 1e-30, -1e-30]))
    np.testing.assert_array_equal(dist.mode_action(), [0, 1, 0])
    np.testing.assert_array_equal(dist.mode(), [0, 1, 0])


def test_actions_are_distributed_exactly_and_independently():
    logits = f32([0.0, 1.0, -2.0])
    x = np.array(BernoulliDist(np.tile(logits, (100_000, 1))).sample_action(seed=0))
    counts = np.bincount(x @ [4, 2, 1], minlength=8)
    vectors = np.indices((2, 2, 2)).reshape(3, -1).T
    want = np.exp(BernoulliDist(logits.astype("float64")).log_proba(vectors))
    assert scipy.stats.chisquare(counts, 100_000 * want).pvalue > 1e-3


def test_samples_round_to_actions_that_are_distributed_exactly():
    x = np.round(BernoulliDist(f32([0.0, 1.0, -2.0, 5.0])).sample(100_000, seed=0)).sum(axis=0)
    for count, p in zip(x, scipy.special.expit([0.0, 1.0, -2.0, 5.0]), strict=True):
        assert scipy.stats.binomtest(int(count), 100_000, p).pvalue > 1e-3


# Masks.

MASK = np.array([[2, 0, 2], [2, 2, 2], [1, 0, 2], [0, 1, 1]])
MASKED = np.where(MASK == 0, -INF, np.where(MASK == 1, INF, LOGITS)).astype("float32")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float32"])
def test_a_mask_is_the_same_as_infinite_logits(dtype):
    masked, infinite = BernoulliDist(LOGITS, mask=MASK.astype(dtype)), BernoulliDist(MASKED)
    np.testing.assert_array_equal(masked.logits, infinite.logits)
    for method in ("entropy", "mode", "mode_action", "mean", "variance"):
        np.testing.assert_array_equal(getattr(masked, method)(), getattr(infinite, method)())


def test_masks_may_be_lists_and_tensors():
    for mask in (MASK.tolist(), tf.constant(MASK)):
        np.testing.assert_array_equal(BernoulliDist(LOGITS, mask=mask).logits, MASKED)


@pytest.mark.exhaustive
def test_what_a_mask_rules_out_is_never_drawn():
    dist = BernoulliDist(LOGITS, mask=MASK)
    fixed = MASK != 2
    for x in (dist.mean(), dist.mode(), dist.mode_action(), *dist.sample(200), *dist.sample(200, hard=True)):
        np.testing.assert_array_equal(np.array(x)[fixed], MASK[fixed])
    for _ in range(200):
        np.testing.assert_array_equal(np.array(dist.sample_action())[fixed], MASK[fixed])


def test_log_proba_under_a_mask():
    dist = BernoulliDist(LOGITS, mask=MASK)
    np.testing.assert_array_equal(
        np.isneginf(dist.log_proba([[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]])), [1, 0, 0, 1]
    )
    assert dist.log_proba([[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 1]])[3] == 0


def test_masked_logits_get_no_gradient():
    def objective(logits):
        dist = BernoulliDist(logits, mask=MASK)
        other = BernoulliDist(ops.stop_gradient(0.5 * logits), mask=MASK)
        return (
            dist.entropy() + dist.log_proba(dist.mode()) + ops.sum(dist.sample(seed=0), -1) + dist.kl_divergence(other)
        )

    _, (gradient,) = gradient_of(objective, LOGITS)
    np.testing.assert_array_equal(np.array(gradient) != 0, MASK == 2)


def test_masks_in_graphs_and_models():
    want = BernoulliDist(MASKED).entropy()
    entropy = tf.function(lambda logits, mask: BernoulliDist(logits, mask=mask).entropy(), jit_compile=True)
    np.testing.assert_allclose(entropy(LOGITS, MASK), want, rtol=1e-5)
    inputs = [keras.Input((3,)), keras.Input((3,), dtype="int8")]
    model = keras.Model(inputs, BernoulliDist(inputs[0], mask=inputs[1]).entropy())
    np.testing.assert_allclose(model([LOGITS, MASK.astype("int8")]), want, rtol=1e-5)


@pytest.mark.parametrize(
    "mask, text",
    [
        (
            MASK[:1],
            r"`mask` must have the shape of `logits`.* Received: mask of shape \(1, 3\), logits of shape \(4, 3\)",
        ),
        (MASK + 1, r"`mask` must be of 0, 1 and 2 \(both allowed\). Received: values \[1 2 3\]"),
        (MASK.astype(str), "`mask` must be of numbers.* Received: mask of dtype str"),
        (MASK == 2, "`mask` must be of 0, 1 and 2.* Received: mask of dtype bool"),
        (0.5 * MASK, r"`mask` must be of 0, 1 and 2.* Received: values \[0.  0.5 1. \]"),
    ],
)
def test_bad_masks(mask, text):
    with pytest.raises(ValueError, match=text):
        BernoulliDist(LOGITS, mask=mask)


@pytest.mark.exhaustive
@COMPILED
def test_values_of_a_mask_that_mean_nothing_in_a_graph(jit_compile):
    """NaN for what is a number, -1 for what is an action; the row beside it is not touched."""

    @tf.function(jit_compile=jit_compile)
    def evaluate(mask):
        dist = BernoulliDist(LOGITS[:2], mask=mask)
        return [dist.entropy(), dist.log_proba([[1, 1, 1]] * 2)], [dist.sample_action(), dist.mode_action()]

    numbers, actions = evaluate(tf.constant([[2, 3, 2], [2, 1, 2]]))
    for x in numbers:
        np.testing.assert_array_equal(np.isnan(x), [True, False])
    for x in actions:
        np.testing.assert_array_equal(np.array(x) == -1, [[False, True, False], [False] * 3])


@pytest.mark.exhaustive
@COMPILED
def test_nan_logits_in_a_graph(jit_compile):
    @tf.function(jit_compile=jit_compile)
    def evaluate(logits):
        dist = BernoulliDist(logits)
        numbers = [dist.log_proba([[1, 1], [1, 1]]), dist.entropy(), dist.kl_divergence(dist)]
        return numbers, [dist.sample(), dist.sample(hard=True), dist.mean()], [dist.sample_action(), dist.mode_action()]

    numbers, variates, actions = evaluate(f32([[NAN, 1], [0, 2]]))
    for x in numbers:
        np.testing.assert_array_equal(np.isnan(x), [True, False])
    for x in variates:
        np.testing.assert_array_equal(np.isnan(x), [[True, False], [False, False]])
    for x in actions:
        np.testing.assert_array_equal(np.array(x) == -1, [[True, False], [False, False]])


# The constructor.


@pytest.mark.parametrize("tau", [0, -1.0, INF, NAN, "1", None, True, [0.2]])
def test_boltzmann_tau_must_be_a_positive_number(tau):
    with pytest.raises(ValueError, match="`boltzmann_tau` must be a finite number > 0. Received: boltzmann_tau="):
        BernoulliDist(LOGITS, tau)
