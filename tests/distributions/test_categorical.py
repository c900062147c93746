"""`CategoricalDist` against reference numbers, scipy, and the hard points."""

import inspect

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists import CategoricalDist
from tests.golden import gradient_of, reference_test, with_gradients
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng


def f32(x):
    return np.asarray(x, "float32")


# Reference numbers.


def answer_single(logits, labels, soft_labels=None):
    answers = {"log_probs": CategoricalDist(logits).log_probs}
    answers |= with_gradients("log_proba", lambda logits: CategoricalDist(logits).log_proba(labels), logits=logits)
    answers |= with_gradients("entropy", lambda logits: CategoricalDist(logits).entropy(), logits=logits)
    if soft_labels is not None:
        answers["log_proba_soft"] = CategoricalDist(logits).log_proba(soft_labels)
    return answers


def answer_pair(**params):
    def divergence(name):
        return lambda p_logits, q_logits: getattr(CategoricalDist(p_logits), name)(CategoricalDist(q_logits))

    return with_gradients("cross_entropy", divergence("cross_entropy"), **params) | with_gradients(
        "kl_divergence", divergence("kl_divergence"), **params
    )


test_reference_numbers = reference_test("categorical", single=answer_single, pair=answer_pair)


# scipy.


def test_log_proba_is_that_of_one_multinomial_trial():
    logits = RNG(0).normal(size=(7, 5))
    one_hot = np.eye(5)[RNG(1).integers(5, size=7)]
    want = scipy.stats.multinomial(1, scipy.special.softmax(logits, axis=-1)).logpmf(one_hot)
    np.testing.assert_allclose(CategoricalDist(logits).log_proba(one_hot), want, rtol=1e-12)


def test_entropy_and_divergence_are_those_of_scipy():
    p_logits, q_logits = RNG(0).normal(size=(2, 7, 5))
    p, q = scipy.special.softmax(p_logits, axis=-1), scipy.special.softmax(q_logits, axis=-1)
    dist, other = CategoricalDist(p_logits), CategoricalDist(q_logits)
    np.testing.assert_allclose(dist.entropy(), scipy.stats.entropy(p, axis=-1), rtol=1e-12)
    np.testing.assert_allclose(dist.kl_divergence(other), scipy.special.rel_entr(p, q).sum(axis=-1), rtol=1e-12)


def test_moments_are_those_of_one_multinomial_trial():
    logits = RNG(0).normal(size=5)
    trial = scipy.stats.multinomial(1, scipy.special.softmax(logits))
    np.testing.assert_allclose(CategoricalDist(logits).mean(), trial.mean(), rtol=1e-12)
    np.testing.assert_allclose(CategoricalDist(logits).variance(), np.diag(trial.cov()), rtol=1e-12)


# The divergence of nearly equal policies.


@pytest.mark.parametrize("magnitude", [1, 3, 10])
def test_kl_of_nearly_equal_policies_keeps_its_digits(magnitude):
    """Divergences from 1e-9 on, in float32, as PPO meets them."""
    rng = RNG(magnitude)
    p_logits = f32(magnitude * rng.normal(size=(20_000, 6)))
    q_logits = f32(p_logits + 10 ** rng.uniform(-5, -1, size=(20_000, 1)) * rng.normal(size=(20_000, 6)))
    got = np.array(CategoricalDist(p_logits).kl_divergence(CategoricalDist(q_logits)))
    p, q = (scipy.special.softmax(x.astype("longdouble"), axis=-1) for x in (p_logits, q_logits))
    want = np.sum(p * np.log(p / q), axis=-1).astype("float64")
    counted = want >= 1e-9
    assert counted.sum() > 5000 and want[counted].min() < 2e-9
    assert (got >= 0).all()
    np.testing.assert_allclose(got[counted], want[counted], rtol=1e-3)


@pytest.mark.few(15)
@pytest.mark.parametrize("magnitude", [1, 10, 100, 1000])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_kl_is_never_negative(magnitude, dtype):
    p, q = ops.cast(magnitude * RNG(0).normal(size=(2, 5000, 4)), dtype)
    assert np.min(CategoricalDist(p).kl_divergence(CategoricalDist(q))) >= 0
    assert np.min(CategoricalDist(p).kl_divergence(CategoricalDist(p + 1))) >= 0


def test_kl_ignores_a_common_offset():
    p = RNG(0).normal(size=(100, 4)).astype("float32")
    near = p + f32(1e-3) * RNG(1).normal(size=p.shape).astype("float32")
    want = np.array(CategoricalDist(p).kl_divergence(CategoricalDist(near)))
    # 64 keeps all but the last digits of the logits.
    np.testing.assert_allclose(CategoricalDist(p).kl_divergence(CategoricalDist(near + 64)), want, rtol=0.05)


# Hard points.

HARD_LOGITS = {
    "ordinary": [0.0, 1.0, -1.0],
    "equal": [0.0, 0.0, 0.0],
    "huge": [1e4, -1e4, 0.0],
    "all_huge": [1e4, 1e4, 1e4 - 1],
    "all_small": [-1e4, -1e4, -1e4 - 1],
    "underflow": [0.0, -103.5, -200.0],
    "near_deterministic": [20.0, 0.0, -20.0],
    "masked": [0.0, -INF, 1.0],
    "one_allowed": [-INF, 3.0, -INF],
    "masked_and_huge": [1e4, -INF, -1e4],
}


@pytest.mark.few(7)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("logits", HARD_LOGITS.values(), ids=HARD_LOGITS.keys())
def test_values_and_gradients_are_finite(logits, dtype):
    logits = np.array(logits, dtype)
    likeliest = logits.argmax()
    for method in ("entropy", "variance", "mean"):
        value, (gradient,) = gradient_of(lambda x, name=method: getattr(CategoricalDist(x), name)(), logits)
        assert np.isfinite(value).all() and np.isfinite(gradient).all(), method
    for x in (likeliest, np.eye(3)[likeliest].astype(dtype)):
        value, (gradient,) = gradient_of(lambda logits, x=x: CategoricalDist(logits).log_proba(x), logits)
        assert np.isfinite(value).all() and np.isfinite(gradient).all()
    soft, (gradient,) = gradient_of(lambda x: CategoricalDist(x).sample(50, seed=0), logits)
    assert np.isfinite(soft).all() and np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["cross_entropy", "kl_divergence"])
def test_divergences_of_hard_pairs_are_finite(name, dtype):
    """Each pair whose second member allows what the first does."""
    pairs = np.array([(p, q) for p in HARD_LOGITS.values() for q in HARD_LOGITS.values()], dtype)
    p, q = pairs[(np.isfinite(pairs[:, 1]) | ~np.isfinite(pairs[:, 0])).all(axis=-1)].swapaxes(0, 1)
    value, gradients = gradient_of(lambda p, q: getattr(CategoricalDist(p), name)(CategoricalDist(q)), p, q)
    assert len(value) > 70 and np.isfinite(value).all() and np.isfinite(gradients).all()


@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
@pytest.mark.parametrize("name", ["cross_entropy", "kl_divergence"])
def test_support_mismatch_is_infinite(name, jit_compile):
    full, masked, other = f32([0, 1, 2]), f32([0, 1, -INF]), f32([-INF, 1, 2])

    def between(p, q):
        return getattr(CategoricalDist(p), name)(CategoricalDist(q))

    for divergence in (between, tf.function(between, jit_compile=jit_compile)):
        assert divergence(full, masked) == divergence(masked, other) == divergence(other, masked) == INF
        assert np.isfinite(divergence(masked, full))


def test_kl_of_a_masked_policy_to_a_full_one():
    """What the mask took from p still counts: the form sum p (exp(d) - 1 - d) alone would lose it."""
    p, q = np.array([0.0, 1.0, -INF]), np.array([0.5, 0.5, 1.0])
    want = scipy.special.rel_entr(scipy.special.softmax(p), scipy.special.softmax(q)).sum()
    np.testing.assert_allclose(CategoricalDist(p).kl_divergence(CategoricalDist(q)), want, rtol=1e-12)


def test_a_choice_that_underflows_and_is_masked_in_the_other_counts_nothing():
    p, q = CategoricalDist(f32([0, -1000])), CategoricalDist(f32([0, -INF]))
    assert p.kl_divergence(q) == p.cross_entropy(q) == 0


def test_one_category_is_certain():
    dist = CategoricalDist(f32([[3.0], [-3.0]]))
    for value in (dist.entropy(), dist.kl_divergence(dist), dist.log_proba([0, 0]), dist.sample_action()):
        np.testing.assert_array_equal(value, [0, 0])
    np.testing.assert_array_equal(dist.sample(), [[1], [1]])


# Labels.

LOGITS = f32(RNG(3).normal(size=(4, 3)))
WANTED = scipy.special.log_softmax(LOGITS, axis=-1)
LABELS = np.array([0, 2, 1, 2])
LABEL_FORMS = {
    "int32": LABELS.astype("int32"),
    "int64": LABELS.astype("int64"),
    "uint8": LABELS.astype("uint8"),
    "int8": LABELS.astype("int8"),
    "uint64": LABELS.astype("uint64"),
    "list": LABELS.tolist(),
    "column": LABELS[:, None],
    "list_of_lists": LABELS[:, None].tolist(),
    "tensor": tf.constant(LABELS),
    "one_hot": np.eye(3, dtype="float32")[LABELS],
    "one_hot_float64": np.eye(3)[LABELS],
    "one_hot_float16": np.eye(3, dtype="float16")[LABELS],
    "one_hot_list": np.eye(3)[LABELS].tolist(),
}


@pytest.mark.few(3)
@pytest.mark.parametrize("labels", LABEL_FORMS.values(), ids=LABEL_FORMS.keys())
def test_label_forms(labels):
    want = np.take_along_axis(WANTED, LABELS[:, None], axis=-1)[:, 0]
    got = CategoricalDist(LOGITS).log_proba(labels)
    assert got.dtype == "float32"
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_allclose(tf.function(CategoricalDist(LOGITS).log_proba)(labels), want, rtol=1e-5)


def test_bool_labels():
    dist = CategoricalDist(LOGITS[:, :2])
    flags = np.array([True, False, True, True])
    np.testing.assert_array_equal(dist.log_proba(flags), dist.log_proba(flags.astype(int)))


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_labels_of_a_type_too_small_for_the_number_of_categories(dtype):
    dist = CategoricalDist(np.zeros((1, 300), "float32"))
    for log_proba in (dist.log_proba, tf.function(dist.log_proba)):
        np.testing.assert_allclose(log_proba(np.array([100], dtype)), [-np.log(300)], rtol=1e-6)


def test_labels_of_one_distribution():
    dist = CategoricalDist(LOGITS[0])
    for label in (2, np.int64(2), [2], np.array([2]), np.float32([0, 0, 1])):
        assert dist.log_proba(label).shape == ()
        np.testing.assert_allclose(dist.log_proba(label), WANTED[0, 2], rtol=1e-5)


@pytest.mark.parametrize("front", [(5,), (2, 5)])
def test_sample_axes_in_front(front):
    dist = CategoricalDist(LOGITS)
    labels = RNG(0).integers(3, size=(*front, 4))
    want = np.array([dist.log_proba(row) for row in labels.reshape(-1, 4)]).reshape(labels.shape)
    np.testing.assert_array_equal(dist.log_proba(labels), want)
    np.testing.assert_array_equal(dist.log_proba(labels[..., None]), want)
    np.testing.assert_allclose(dist.log_proba(np.eye(3, dtype="float32")[labels]), want, rtol=1e-6)


def test_near_one_hot_variates_weigh_the_log_probabilities():
    x = f32([[0.9, 0.1, 0.0]] * 4)
    np.testing.assert_allclose(CategoricalDist(LOGITS).log_proba(x), (x * WANTED).sum(axis=-1), rtol=1e-5)


def test_a_float_column_is_one_hot_where_there_is_one_category():
    dist = CategoricalDist(np.zeros((3, 1), "float32"))
    np.testing.assert_array_equal(dist.log_proba(np.ones((3, 1), "float32")), np.zeros(3))
    with pytest.raises(ValueError, match="`x` of floats must be .* one-hot.* Received: .* first row sum 0.0"):
        dist.log_proba(np.zeros((3, 1), "float32"))


@pytest.mark.parametrize("label", [-1, 3, 2**40])
def test_labels_out_of_range(label):
    dist = CategoricalDist(LOGITS)
    labels = np.array([0, label, 1, 2])
    with pytest.raises(ValueError, match=rf"`x` of labels must lie in 0 ... 2. Received: label {label}"):
        dist.log_proba(labels)
    for jit_compile in (False, True):
        got = np.array(tf.function(dist.log_proba, jit_compile=jit_compile)(tf.constant(labels)))
        assert got[1] == -INF and np.isfinite(got[[0, 2, 3]]).all()


def test_gradients_beside_a_label_out_of_range_are_finite():
    @tf.function
    def gradient(logits, labels):
        return gradient_of(lambda logits: CategoricalDist(logits).log_proba(labels), logits)[1][0]

    assert np.isfinite(gradient(LOGITS, tf.constant([0, 7, 1, 2]))).all()


@pytest.mark.parametrize(
    "x, text",
    [
        (LABELS.astype("float32"), r"`x` of floats must be one-hot.* Received: x of shape \(4,\) and dtype float32"),
        (LABELS[:3], r"`x` of integer labels must .* Received: x of shape \(3,\) and dtype int64"),
        (np.eye(3, dtype=int)[LABELS], r"`x` of integer labels must .* Received: x of shape \(4, 3\) and dtype int64"),
        (f32([[0.5, 0.6, 0.0]] * 4), r"`x` of floats must be .* one-hot.* Received: .* row sum 1.1"),
        (f32([[1.5, -0.5, 0.0]] * 4), r"`x` of floats must be .* one-hot.* Received: entries from -0.5 to 1.5"),
        (f32([[NAN, 1, 0]] * 4), r"`x` must be free of NaN. Received: nan at index \[0, 0\] of x"),
    ],
)
def test_neither_labels_nor_one_hot(x, text):
    with pytest.raises(ValueError, match=text):
        CategoricalDist(LOGITS).log_proba(x)


def test_a_variate_is_accepted_in_half_precision():
    dist = CategoricalDist(ops.cast(RNG(0).normal(size=(100, 50)), "bfloat16"), boltzmann_tau=10.0)
    assert np.isfinite(ops.cast(dist.log_proba(dist.sample(seed=0)), "float32")).all()


# Masks.

MASK = np.array([[True, False, True], [True, True, True], [False, False, True], [False, True, True]])


def masked_pair(mask=MASK):
    return CategoricalDist(LOGITS, mask=mask), CategoricalDist(np.where(MASK, LOGITS, -f32(INF)))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "int64"])
def test_a_mask_is_the_same_as_logits_of_minus_infinity(dtype):
    masked, infinite = masked_pair(MASK.astype(dtype))
    np.testing.assert_array_equal(masked.logits, infinite.logits)
    for method in ("probs", "log_probs"):
        np.testing.assert_array_equal(getattr(masked, method), getattr(infinite, method))
    for method in ("entropy", "mode", "mode_action", "mean", "variance"):
        np.testing.assert_array_equal(getattr(masked, method)(), getattr(infinite, method)())
    for method in ("sample", "sample_action"):
        np.testing.assert_array_equal(getattr(masked, method)(seed=1), getattr(infinite, method)(seed=1))


def test_masks_may_be_lists_and_tensors():
    for mask in (MASK.tolist(), tf.constant(MASK), MASK.astype(int).tolist()):
        np.testing.assert_array_equal(CategoricalDist(LOGITS, mask=mask).logits, masked_pair()[0].logits)


def test_masked_choices_have_no_probability_and_are_never_drawn():
    dist, _ = masked_pair()
    assert (np.array(dist.probs)[~MASK] == 0).all()
    np.testing.assert_allclose(np.sum(dist.probs, axis=-1), np.ones(4), rtol=1e-6)
    assert (np.array(dist.sample(1000))[:, ~MASK] == 0).all()
    many = CategoricalDist(np.tile(LOGITS, (1000, 1)), mask=np.tile(MASK, (1000, 1)))
    assert np.take_along_axis(np.tile(MASK, (1000, 1)), np.array(many.sample_action())[:, None], axis=-1).all()


def test_log_proba_of_a_masked_choice():
    dist, _ = masked_pair()
    np.testing.assert_array_equal(np.isneginf(dist.log_proba([1, 0, 0, 0])), [True, False, True, True])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_mask_keeps_the_dtype(dtype):
    assert CategoricalDist(ops.cast(LOGITS, dtype), mask=MASK).dtype == dtype


def test_masked_logits_get_no_gradient():
    def objective(logits):
        dist = CategoricalDist(logits, mask=MASK)
        return dist.entropy() + dist.log_proba([0, 2, 2, 1]) + ops.sum(dist.sample(seed=0) ** 2, axis=-1)

    _, (gradient,) = gradient_of(objective, LOGITS)
    assert np.isfinite(gradient).all() and (np.array(gradient)[~MASK] == 0).all()
    assert (np.array(gradient)[[0, 1, 3]][MASK[[0, 1, 3]]] != 0).all()


@pytest.mark.exhaustive
def test_masks_in_graphs_and_models():
    want = masked_pair()[0].entropy()
    entropy = tf.function(lambda logits, mask: CategoricalDist(logits, mask=mask).entropy(), jit_compile=True)
    np.testing.assert_allclose(entropy(LOGITS, MASK), want, rtol=1e-5, atol=1e-7)
    inputs = [keras.Input((3,)), keras.Input((3,), dtype="int8")]
    model = keras.Model(inputs, CategoricalDist(inputs[0], mask=inputs[1]).entropy())
    np.testing.assert_allclose(model([LOGITS, MASK.astype("int8")]), want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "mask, text",
    [
        (
            MASK[:1],
            r"`mask` must have the shape of `logits`.* Received: mask of shape \(1, 3\), logits of shape \(4, 3\)",
        ),
        (MASK[0], r"`mask` must have the shape of `logits`.* Received: mask of shape \(3,\)"),
        (MASK.astype("float32"), "`mask` must be of bools.* Received: dtype float32"),
        (2 * MASK.astype(int), r"`mask` must be of bools.* Received: values \[0 2\]"),
        (MASK & [[False], [True], [True], [True]], r"`logits` and `mask` must allow .* Received: none .* row \[0\]"),
    ],
)
def test_bad_masks(mask, text):
    with pytest.raises(ValueError, match=text):
        CategoricalDist(LOGITS, mask=mask)


def test_logits_that_allow_nothing():
    with pytest.raises(ValueError, match=r"must allow a choice in every row. Received: none allowed in row \[1\]"):
        CategoricalDist([[0.0, 1.0], [-INF, -INF]])


def test_infinite_logits():
    with pytest.raises(ValueError, match=r"`logits` must be finite or -inf. Received: inf at index \[1\] of logits"):
        CategoricalDist([0.0, INF])


@pytest.mark.exhaustive
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
@pytest.mark.parametrize("bad", [[-INF, -INF, -INF], [0.0, NAN, 1.0], [0.0, INF, INF]], ids=["nothing", "nan", "inf"])
def test_improper_rows_in_a_graph(bad, jit_compile):
    """NaN for what is a number, -1 for what is a label; the row beside it is not touched."""

    @tf.function(jit_compile=jit_compile)
    def evaluate(logits):
        dist = CategoricalDist(logits)
        numbers = [
            dist.log_proba(tf.constant([1, 1])),
            dist.entropy(),
            dist.sample(),
            dist.sample(hard=True),
            dist.mean(),
        ]
        return numbers, [dist.sample_action(), dist.mode_action()]

    numbers, labels = evaluate(f32([bad, [0.0, 1.0, 2.0]]))
    for x in numbers:
        assert np.isnan(x[0]).all() and np.isfinite(x[1]).all()
    for x in labels:
        assert x[0] == -1 and x[1] >= 0


# Draws.


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("tau", [0.01, 0.2, 1.0, 10.0])
def test_hard_samples_are_exactly_one_hot(tau, dtype):
    x = np.array(CategoricalDist(LOGITS.astype(dtype), tau).sample(500, seed=0, hard=True))
    assert x.dtype == dtype
    np.testing.assert_array_equal(np.sort(x, axis=-1), np.broadcast_to([0, 0, 1], x.shape))


def test_hard_samples_have_the_gradient_of_soft_ones():
    weights = f32([1, 2, 3])
    soft, (want,) = gradient_of(lambda x: CategoricalDist(x).sample(9, seed=0) * weights, LOGITS)
    hard, (got,) = gradient_of(lambda x: CategoricalDist(x).sample(9, seed=0, hard=True) * weights, LOGITS)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.argmax(soft / weights, axis=-1), np.argmax(hard, axis=-1))


def test_hard_samples_of_a_model():
    logits = keras.Input((3,))
    model = keras.Model(logits, CategoricalDist(logits).sample(hard=True))
    np.testing.assert_array_equal(np.sort(model(LOGITS), axis=-1), [[0, 0, 1]] * 4)


def test_samples_sharpen_with_the_temperature():
    sharpest = [np.max(CategoricalDist(LOGITS, tau).sample(1000, seed=0), axis=-1).mean() for tau in (0.01, 0.2, 1, 10)]
    assert sharpest[0] > 0.98 and sharpest[3] < 0.4
    assert sharpest == sorted(sharpest, reverse=True)


def test_the_mode_is_the_first_of_equals():
    dist = CategoricalDist(f32([[1, 2, 2], [0, 0, 0], [2, 1, 0]]))
    np.testing.assert_array_equal(dist.mode_action(), [1, 0, 0])
    np.testing.assert_array_equal(dist.mode(), [[0, 1, 0], [1, 0, 0], [1, 0, 0]])


LOGITS_DRAWN = f32([0.0, 1.0, -2.0, 2.0, -INF])
PROBS_DRAWN = scipy.special.softmax(LOGITS_DRAWN.astype("float64"))


def assert_frequencies(labels):
    counts = np.bincount(labels, minlength=5)
    assert counts[4] == 0
    assert scipy.stats.chisquare(counts[:4], len(labels) * PROBS_DRAWN[:4]).pvalue > 1e-3


def test_actions_are_distributed_exactly():
    many = CategoricalDist(np.tile(LOGITS_DRAWN, (100_000, 1)))
    assert_frequencies(np.array(many.sample_action(seed=0)))


def test_samples_point_to_actions_that_are_distributed_exactly():
    assert_frequencies(np.argmax(CategoricalDist(LOGITS_DRAWN).sample(100_000, seed=0), axis=-1))


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("tau", [0.01, 0.1, 0.2, 1.0, 10.0])
def test_a_million_samples(tau, dtype):
    draws = 1_000_000

    @tf.function(jit_compile=True)
    def summary(logits):
        x = tf.cast(CategoricalDist(logits, tau).sample(draws, seed=1), "float32")
        frequencies = tf.reduce_mean(tf.one_hot(tf.argmax(x, axis=-1), 5), axis=0)
        return tf.reduce_all((x >= 0) & (x <= 1)), tf.reduce_max(tf.abs(tf.reduce_sum(x, axis=-1) - 1)), frequencies

    proper, error, frequencies = summary(LOGITS_DRAWN.astype(dtype))
    assert proper
    assert error < {"float16": 2**-10, "float32": 2**-20}[dtype]
    # Five standard deviations, and in half precision some ties besides, of which argmax takes the first.
    np.testing.assert_allclose(
        frequencies, PROBS_DRAWN, atol=5 * 0.5 / draws**0.5 + (0.002 if dtype == "float16" else 0)
    )


# The constructor.


def test_arguments_and_defaults_of_keras_gym():
    names = list(inspect.signature(CategoricalDist).parameters)
    assert names == ["logits", "boltzmann_tau", "name", "random_seed", "mask", "probs"]
    dist = CategoricalDist(LOGITS)
    assert (dist.boltzmann_tau, dist.name, dist.random_seed) == (0.2, "categorical_dist", None)
    dist = CategoricalDist(LOGITS, 0.5, "pi", 7)
    assert (dist.boltzmann_tau, dist.name, dist.random_seed) == (0.5, "pi", 7)
    np.testing.assert_array_equal(dist.logits, LOGITS)
    assert dist.num_categories == 3
    assert CategoricalDist.PARAM_NAMES == ("logits",)
    with pytest.raises(TypeError):
        CategoricalDist(LOGITS, 0.5, "pi", 7, MASK)


@pytest.mark.parametrize("tau", [0, -1.0, INF, NAN, "1", None, True, [0.2]])
def test_boltzmann_tau_must_be_a_positive_number(tau):
    with pytest.raises(ValueError, match="`boltzmann_tau` must be a finite number > 0. Received: boltzmann_tau="):
        CategoricalDist(LOGITS, tau)


@pytest.mark.parametrize("tau", [1, np.float32(0.5), np.float64(0.5)])
def test_boltzmann_tau_may_be_any_real_number(tau):
    assert CategoricalDist(LOGITS, tau).boltzmann_tau == float(tau)


@pytest.mark.exhaustive
def test_the_temperature_is_static():
    traces = []

    @tf.function
    def draw(dist):
        traces.append(dist)
        return dist.sample()

    for tau in (0.1, 0.2, 0.1):
        draw(CategoricalDist(LOGITS, tau))
    assert len(traces) == 2


def test_the_head_gives_this_distribution():
    assert type(kg.layers.CategoricalHead(3)(np.zeros((2, 4), "float32"))) is CategoricalDist
