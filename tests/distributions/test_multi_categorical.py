"""`MultiCategoricalDist` against reference numbers, single categoricals, and the hard points."""

import itertools

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from keras import ops

from kgdists import CategoricalDist, MultiCategoricalDist
from tests.golden import gradient_of, reference_test, with_gradients
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng
COMPILED = pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
NVECS = [(3,), (1,), (1, 1), (2, 3), (3, 1, 2, 4), (2, 2, 2), (2, 2, 3, 3, 2), (1, 1, 2), (2,) * 100, (50, 2, 50)]
each_nvec = pytest.mark.parametrize("nvec", NVECS, ids=lambda nvec: "-".join(map(str, nvec[:5])))
NVEC = (2, 2, 3)
LOGITS = np.float32(RNG(3).normal(size=(4, 7)))


def f32(x):
    return np.asarray(x, "float32")


def pieces(x, nvec):
    """`x` cut into one array for each choice."""
    return np.split(np.asarray(x), np.cumsum(nvec)[:-1], axis=-1)


def labels_for(nvec, *shape, seed=0):
    return np.stack([RNG(seed + i).integers(n, size=shape) for i, n in enumerate(nvec)], axis=-1)


def one_hot(labels, nvec):
    return np.concatenate([np.eye(n)[labels[..., i]] for i, n in enumerate(nvec)], axis=-1)


# Reference numbers.


def answer_single(nvec, logits, actions):
    def log_proba(logits):
        return MultiCategoricalDist(logits, nvec).log_proba(actions)

    parts = [
        CategoricalDist(part).log_proba(actions[..., i])
        for i, part in enumerate(ops.split(logits, np.cumsum(nvec)[:-1].tolist(), axis=-1) if nvec[1:] else [logits])
    ]
    return with_gradients("log_prob", log_proba, logits=logits) | {
        "log_prob_parts": ops.stack(parts, axis=-1),
        "entropy": MultiCategoricalDist(logits, nvec).entropy(),
    }


def answer_pair(nvec, p_logits, q_logits):
    p, q = MultiCategoricalDist(p_logits, nvec), MultiCategoricalDist(q_logits, nvec)
    return {"cross_entropy": p.cross_entropy(q), "kl_divergence": p.kl_divergence(q)}


test_reference_numbers = reference_test("multi_categorical", single=answer_single, pair=answer_pair)


# Identities: the sum over single choices.


@pytest.mark.few(1)
@pytest.mark.parametrize("batch", [(2, 3), *exhaustive((), (1,), (5,))])
@each_nvec
def test_all_is_that_of_the_single_choices(nvec, batch):
    p_logits, q_logits = 2.0 * RNG(0).normal(size=(2, *batch, sum(nvec)))
    p, q = MultiCategoricalDist(p_logits, nvec), MultiCategoricalDist(q_logits, nvec)
    singles = [
        tuple(map(CategoricalDist, pair)) for pair in zip(pieces(p_logits, nvec), pieces(q_logits, nvec), strict=True)
    ]
    labels = labels_for(nvec, *batch)
    want = sum(np.array(one.log_proba(labels[..., i])) for i, (one, _) in enumerate(singles))
    np.testing.assert_allclose(p.log_proba(labels), want, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(p.log_proba(one_hot(labels, nvec)), want, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(p.entropy(), sum(np.array(one.entropy()) for one, _ in singles), rtol=1e-12, atol=1e-12)
    for name in ("cross_entropy", "kl_divergence"):
        want = sum(np.array(getattr(one, name)(other)) for one, other in singles)
        np.testing.assert_allclose(getattr(p, name)(q), want, rtol=1e-12, atol=1e-12)
    for name in ("mean", "variance", "mode"):
        want = np.concatenate([getattr(one, name)() for one, _ in singles], axis=-1)
        np.testing.assert_allclose(getattr(p, name)(), want, rtol=1e-12)
    np.testing.assert_array_equal(p.probs, p.mean())
    np.testing.assert_array_equal(p.mode_action(), np.stack([one.mode_action() for one, _ in singles], axis=-1))


@pytest.mark.few(1)
@each_nvec
def test_shapes_of_draws(nvec):
    for batch in [(), (1,), (2, 3)]:
        dist = MultiCategoricalDist(RNG(0).normal(size=(*batch, sum(nvec))), nvec)
        labels = np.array(dist.sample_action(seed=0))
        assert labels.shape == (*batch, len(nvec)) and labels.dtype == "int32"
        assert (labels >= 0).all() and (labels < nvec).all()
        for sample_shape in [(), (1,), (1, 4)]:
            x = dist.sample(sample_shape, seed=0)
            assert x.shape == (*sample_shape, *batch, sum(nvec)) and dist.log_proba(x).shape == (*sample_shape, *batch)
            for part in pieces(x, nvec):
                np.testing.assert_allclose(part.sum(axis=-1), 1.0, rtol=1e-6)


def test_probabilities_of_all_actions_sum_to_one():
    labels = np.array(list(itertools.product(range(2), range(2), range(3))))
    log_proba = MultiCategoricalDist(RNG(0).normal(size=7), NVEC).log_proba(labels)
    np.testing.assert_allclose(scipy.special.logsumexp(log_proba), 0.0, atol=1e-12)


@pytest.mark.parametrize("magnitude", [1, 3, 10])
def test_kl_of_nearly_equal_policies_keeps_its_digits(magnitude):
    """Divergences from 1e-9 on, in float32, as PPO meets them."""
    rng = RNG(magnitude)
    p_logits = f32(magnitude * rng.normal(size=(20_000, 7)))
    q_logits = f32(p_logits + 10 ** rng.uniform(-5, -1, size=(20_000, 1)) * rng.normal(size=(20_000, 7)))
    got = np.array(MultiCategoricalDist(p_logits, NVEC).kl_divergence(MultiCategoricalDist(q_logits, NVEC)))
    want = 0.0
    for p, q in zip(pieces(p_logits, NVEC), pieces(q_logits, NVEC), strict=True):
        log_p, log_q = (scipy.special.log_softmax(x.astype("longdouble"), axis=-1) for x in (p, q))
        want = want + np.sum(np.exp(log_p) * (log_p - log_q), axis=-1).astype("float64")
    counted = want >= 1e-9
    assert counted.sum() > 5000 and want[counted].min() < 2e-9
    assert (got >= 0).all()
    np.testing.assert_allclose(got[counted], want[counted], rtol=1e-3)


# Hard points.


@pytest.mark.few(1)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("logits", [[1e4, -1e4, 0, 0, 1e4, 1e4, -INF], [-INF, 0, 0, -INF, 0, -103.5, -1e4]], ids=str)
def test_values_and_gradients_are_finite(logits, dtype):
    logits = np.array(logits, dtype)
    for method in ("entropy", "variance", "mean"):
        value, (gradient,) = gradient_of(lambda x, name=method: getattr(MultiCategoricalDist(x, NVEC), name)(), logits)
        assert np.isfinite(value).all() and np.isfinite(gradient).all(), method
    dist = MultiCategoricalDist(logits, NVEC)
    for x in (dist.mode(), dist.mode_action(), dist.sample(seed=0)):
        value, (gradient,) = gradient_of(lambda logits, x=x: MultiCategoricalDist(logits, NVEC).log_proba(x), logits)
        assert np.isfinite(value).all() and np.isfinite(gradient).all()
    for name in ("cross_entropy", "kl_divergence"):
        value, gradients = gradient_of(
            lambda p, q, name=name: getattr(MultiCategoricalDist(p, NVEC), name)(MultiCategoricalDist(q, NVEC)),
            logits,
            np.where(np.isinf(logits), logits, -0.5 * logits),
        )
        assert np.isfinite(value) and np.isfinite(gradients).all()


@pytest.mark.exhaustive
@COMPILED
def test_support_mismatch_is_infinite(jit_compile):
    full, masked = f32([0, 1, 0, 1, 0, 1, 2]), f32([0, 1, 0, -INF, 0, 1, 2])

    @tf.function(jit_compile=jit_compile)
    def evaluate(p, q):
        p, q = MultiCategoricalDist(p, NVEC), MultiCategoricalDist(q, NVEC)
        return p.kl_divergence(q), p.cross_entropy(q), q.kl_divergence(p), q.log_proba([0, 1, 2])

    kl, cross_entropy, other, log_proba = evaluate(full, masked)
    assert kl == cross_entropy == INF and np.isfinite(other) and log_proba == -INF


# Labels.

LABELS = labels_for(NVEC, 4)
FORMS = {
    "int32": LABELS.astype("int32"),
    "int64": LABELS,
    "uint8": LABELS.astype("uint8"),
    "uint64": LABELS.astype("uint64"),
    "list": LABELS.tolist(),
    "tensor": tf.constant(LABELS),
    "one_hot": f32(one_hot(LABELS, NVEC)),
    "one_hot_float64": one_hot(LABELS, NVEC),
    "one_hot_list": one_hot(LABELS, NVEC).tolist(),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("labels", FORMS.values(), ids=FORMS)
def test_label_forms(labels):
    want = sum(
        np.take_along_axis(scipy.special.log_softmax(x, axis=-1), LABELS[:, i, None], axis=-1)[:, 0]
        for i, x in enumerate(pieces(LOGITS, NVEC))
    )
    for log_proba in (
        MultiCategoricalDist(LOGITS, NVEC).log_proba,
        tf.function(MultiCategoricalDist(LOGITS, NVEC).log_proba),
    ):
        assert log_proba(labels).dtype == "float32"
        np.testing.assert_allclose(log_proba(labels), want, rtol=1e-5)


@pytest.mark.few(7)
@pytest.mark.parametrize("batch", [(), (1,), (4,), (1, 1)])
@pytest.mark.parametrize("front", [(5,), (2, 1), *exhaustive((1,), (1, 1), (4,))])
@pytest.mark.parametrize("nvec", [(3,), (1,), (2, 2), (2, 3), (3, 2, 2)])
def test_sample_axes_in_front(nvec, front, batch):
    """Also where axes of size one could be taken for each other."""
    dist = MultiCategoricalDist(RNG(0).normal(size=(*batch, sum(nvec))), nvec)
    labels = labels_for(nvec, *front, *batch)
    rows = labels.reshape(-1, *batch, len(nvec))
    want = np.array([dist.log_proba(row) for row in rows]).reshape(*front, *batch)
    got = dist.log_proba(labels)
    assert got.shape == (*front, *batch)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_allclose(dist.log_proba(one_hot(labels, nvec)), want, rtol=1e-12, atol=1e-12)


def test_sample_axes_of_unknown_size():
    dist = MultiCategoricalDist(RNG(0).normal(size=(4, 3)), (3,))
    labels = labels_for((3,), 4, 4)

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float64), tf.TensorSpec([None, None, 1], tf.int64)])
    def log_proba(logits, labels):
        return MultiCategoricalDist(logits, (3,)).log_proba(labels)

    np.testing.assert_allclose(log_proba(dist.logits, labels), dist.log_proba(labels), rtol=1e-12)


@pytest.mark.few(1)
@pytest.mark.parametrize("label, options", [(-1, 2), (2, 2), (2**40, 2), (3, 3)])
def test_labels_out_of_range(label, options):
    dist, labels = MultiCategoricalDist(LOGITS, NVEC), LABELS.copy()
    labels[1, 0 if options == 2 else 2] = label
    with pytest.raises(ValueError, match=f"`x` of labels must lie in 0 ... {options - 1}. Received: label {label}"):
        dist.log_proba(labels)
    for jit_compile in (False, True):
        got = tf.function(dist.log_proba, jit_compile=jit_compile)(tf.constant(labels))
        np.testing.assert_array_equal(np.isneginf(got), [False, True, False, False])


@pytest.mark.parametrize(
    "x, text",
    [
        (f32(LABELS), r"`x` must have shape \(4, 7\) .* Received: x of shape \(4, 3\)"),
        (LABELS[:3], r"`x` of integer labels must have shape \(4, 3\) .* Received: x of shape \(3, 3\)"),
        (LABELS[:, :1], r"`x` of integer labels must .* Received: x of shape \(4, 1\)"),
        (one_hot(LABELS, NVEC).astype(int), r"`x` of integer labels must .* Received: x of shape \(4, 7\)"),
        (f32(np.full((4, 7), 0.5)), r"`x` of floats must be .* one-hot.* Received: .* row sum 1.5"),
        (f32(np.full((4, 7), NAN)), r"`x` must be free of NaN. Received: nan at index \[0, 0\] of x"),
        (np.full((4, 3), "a"), "`x` must be of numbers .* Received: x of dtype str"),
    ],
)
def test_neither_labels_nor_one_hot(x, text):
    with pytest.raises(ValueError, match=text):
        MultiCategoricalDist(LOGITS, NVEC).log_proba(x)


# Masks.

MASK = np.array([[1, 0, 1, 1, 0, 0, 1], [1, 1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0, 1], [1, 0, 1, 0, 1, 0, 0]], bool)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64"])
def test_a_mask_is_the_same_as_logits_of_minus_infinity(dtype):
    masked = MultiCategoricalDist(LOGITS, NVEC, mask=MASK.astype(dtype))
    infinite = MultiCategoricalDist(np.where(MASK, LOGITS, f32(-INF)), NVEC)
    np.testing.assert_array_equal(masked.logits, infinite.logits)
    for method in ("entropy", "mode", "mode_action", "mean", "variance"):
        np.testing.assert_array_equal(getattr(masked, method)(), getattr(infinite, method)())


@pytest.mark.parametrize("jit_compile", [None, *exhaustive(False, True)], ids=["eager", "graph", "xla"])
def test_masked_options_have_no_probability_and_are_never_drawn(jit_compile):
    def draw(logits, mask):
        dist = MultiCategoricalDist(logits, NVEC, mask=mask)
        return dist.probs, dist.sample(500), dist.mode(), dist.sample_action(), dist.mode_action()

    if jit_compile is not None:
        draw = tf.function(draw, jit_compile=jit_compile)
    many, masks = np.tile(LOGITS, (500, 1)), np.tile(MASK, (500, 1))
    *variates, drawn, best = draw(many, masks)
    for x in variates:
        assert (np.array(x)[..., ~masks] == 0).all()
    for labels in (drawn, best):
        assert (one_hot(np.array(labels), NVEC) <= masks).all()


def test_masked_logits_get_no_gradient():
    def objective(logits):
        dist = MultiCategoricalDist(logits, NVEC, mask=MASK)
        return dist.entropy() + dist.log_proba(dist.mode()) + ops.sum(dist.sample(seed=0) ** 2, axis=-1)

    _, (gradient,) = gradient_of(objective, LOGITS)
    assert np.isfinite(gradient).all() and (np.array(gradient)[~MASK] == 0).all()
    assert (np.array(gradient)[1] != 0).all()


def test_masks_in_models():
    inputs = [keras.Input((7,)), keras.Input((7,), dtype="int8")]
    model = keras.Model(inputs, MultiCategoricalDist(inputs[0], NVEC, mask=inputs[1]).entropy())
    want = MultiCategoricalDist(LOGITS, NVEC, mask=MASK).entropy()
    np.testing.assert_allclose(model([LOGITS, MASK.astype("int8")]), want, rtol=1e-5)


@pytest.mark.parametrize(
    "mask, text",
    [
        (
            MASK[:1],
            r"`mask` must have the shape of `logits`.* Received: mask of shape \(1, 7\), logits of shape \(4, 7\)",
        ),
        (MASK[:, :3], r"`mask` must have the shape of `logits`.* Received: mask of shape \(4, 3\)"),
        (f32(MASK), "`mask` must be of bools.* Received: dtype float32"),
        (2 * MASK.astype(int), r"`mask` must be of bools.* Received: values \[0 2\]"),
        (MASK & ~np.eye(4, 7, 2, bool), r"`logits` and `mask` must allow a choice.* Received: none .* row \[0, 1\]"),
    ],
)
def test_bad_masks(mask, text):
    mask = mask.copy()
    if mask.shape == MASK.shape and mask.dtype == bool:
        mask[0, 3] = False
    with pytest.raises(ValueError, match=text):
        MultiCategoricalDist(LOGITS, NVEC, mask=mask)


@pytest.mark.exhaustive
@COMPILED
@pytest.mark.parametrize("bad", [[-INF] * 3, [0.0, NAN, 1.0], [0.0, INF, INF]], ids=["nothing", "nan", "inf"])
def test_an_improper_choice_in_a_graph(bad, jit_compile):
    """NaN for what is a number, -1 for what is a label; the choices and rows beside it are not touched."""

    @tf.function(jit_compile=jit_compile)
    def evaluate(logits):
        dist = MultiCategoricalDist(logits, NVEC)
        numbers = [dist.log_proba(tf.constant([[0, 1, 1]] * 2)), dist.entropy()]
        return numbers, [dist.sample(), dist.sample(hard=True), dist.mean()], [dist.sample_action(), dist.mode_action()]

    numbers, variates, labels = evaluate(f32([[0, 1, 0, 1, *bad], [0, 1, 0, 1, 0, 1, 2]]))
    for x in numbers:
        np.testing.assert_array_equal(np.isnan(x), [True, False])
    for x in variates:
        np.testing.assert_array_equal(np.isnan(x), [[False] * 4 + [True] * 3, [False] * 7])
    for x in labels:
        np.testing.assert_array_equal(np.array(x) == -1, [[False, False, True], [False] * 3])


# Draws.


def test_actions_are_distributed_exactly_and_independently():
    logits = f32([0, 1, 2, 0, -1, 1, -INF])
    labels = np.array(MultiCategoricalDist(np.tile(logits, (100_000, 1)), NVEC).sample_action(seed=0))
    actions = np.array(list(itertools.product(range(2), range(2), range(2))))
    want = np.exp(MultiCategoricalDist(logits.astype("float64"), NVEC).log_proba(actions))
    counts = np.bincount(labels @ [4, 2, 1], minlength=8)
    assert scipy.stats.chisquare(counts, 100_000 * want).pvalue > 1e-3


def test_equal_choices_under_one_seed_draw_independent_noise():
    """Next to each other, and in runs apart."""
    nvec = (2, 2, 3, 2)
    dist = MultiCategoricalDist(np.zeros((10_000, 9), "float32"), nvec)
    labels = np.array(dist.sample_action(seed=1))
    for a, b in itertools.combinations([0, 1, 3], 2):
        assert abs(np.mean(labels[:, a] == labels[:, b]) - 0.5) < 0.025
    soft = np.argmax(np.reshape(np.array(dist.sample(seed=1))[:, [0, 1, 2, 3, 7, 8]], (-1, 3, 2)), axis=-1)
    for a, b in itertools.combinations(range(3), 2):
        assert abs(np.mean(soft[:, a] == soft[:, b]) - 0.5) < 0.025


def test_hard_samples_are_exactly_one_hot_with_the_gradient_of_soft_ones():
    weights = f32(np.arange(1, 8))
    soft, (want,) = gradient_of(lambda x: MultiCategoricalDist(x, NVEC).sample(9, seed=0) * weights, LOGITS)
    hard, (got,) = gradient_of(lambda x: MultiCategoricalDist(x, NVEC).sample(9, seed=0, hard=True) * weights, LOGITS)
    np.testing.assert_array_equal(got, want)
    for a, b in zip(pieces(soft / weights, NVEC), pieces(hard / weights, NVEC), strict=True):
        np.testing.assert_array_equal(np.eye(b.shape[-1])[a.argmax(axis=-1)], b)


# The constructor.


@pytest.mark.parametrize("nvec", [[2, 2, 3], (2, 2, 3), np.array([2, 2, 3]), tf.TensorShape([2, 2, 3])], ids=str)
def test_nvec_becomes_a_tuple_of_ints(nvec):
    dist = MultiCategoricalDist(LOGITS, nvec)
    assert dist.nvec == (2, 2, 3) and {type(n) for n in dist.nvec} == {int}


@pytest.mark.parametrize("nvec", [[], [0, 7], [7.0], [-1, 8], ["7"], [True, 6]], ids=str)
def test_bad_nvec(nvec):
    with pytest.raises(ValueError, match="`nvec` must be a sequence of ints >= 1. Received: nvec="):
        MultiCategoricalDist(LOGITS, nvec)


@pytest.mark.parametrize("nvec", [7, None, 2.5, [[2, 2], [2, 1]]], ids=str)
def test_nvec_that_is_no_flat_sequence(nvec):
    with pytest.raises(ValueError, match="`nvec` must be a sequence of ints >= 1. Received: nvec="):
        MultiCategoricalDist(LOGITS, nvec)


def test_logits_must_have_an_entry_for_each_option():
    with pytest.raises(ValueError, match=r"`logits` must have sum\(nvec\) .* Received: .* \(4, 7\), nvec=\(2, 3\)"):
        MultiCategoricalDist(LOGITS, [2, 3])


def test_distributions_of_other_choices_are_not_compared():
    with pytest.raises(ValueError, match=r"`other` must have the same `nvec`. Received: \(2, 2, 3\) and \(3, 2, 2\)"):
        MultiCategoricalDist(LOGITS, NVEC).kl_divergence(MultiCategoricalDist(LOGITS, NVEC[::-1]))


@pytest.mark.parametrize("tau", [0, -1.0, INF, NAN, "1", None, True])
def test_boltzmann_tau_must_be_a_positive_number(tau):
    with pytest.raises(ValueError, match="`boltzmann_tau` must be a finite number > 0. Received: boltzmann_tau="):
        MultiCategoricalDist(LOGITS, NVEC, tau)
