"""Numbers at the hard points: huge, tiny and unequal concentrations, next to a bound of 0, against mpmath."""

import itertools
import json
from fractions import Fraction

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf

from kgdists import (
    BetaDist,
    CategoricalDist,
    ClippedNormalDist,
    DiscretizedLogisticDist,
    GaussianMixtureDist,
    MultiCategoricalDist,
    NormalDist,
    OneOfDist,
    RelaxedOneHotCategorical,
    SquashedNormalDist,
    losses,
)
from tests.golden import FOLDER, gradient_of

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
CASES = json.loads((FOLDER / "hard_points.json").read_text())["cases"]


def _log_prob(a, b, x):
    return BetaDist(a[:, None], b[:, None]).log_proba(x[:, None])


def _entropy(a, b):
    return BetaDist(a[:, None], b[:, None]).entropy()


def _pair(name):
    return lambda a, b, c, d: getattr(BetaDist(a[:, None], b[:, None]), name)(BetaDist(c[:, None], d[:, None]))


QUANTITIES = {
    "log_prob": _log_prob,
    "entropy": _entropy,
    "cross_entropy": _pair("cross_entropy"),
    "kl_divergence": _pair("kl_divergence"),
}


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "mode", ["eager", *(pytest.param(mode, marks=pytest.mark.exhaustive) for mode in ("graph", "xla"))]
)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_beta_of_huge_tiny_and_unequal_concentrations(dtype, mode):
    """To the tolerance relative to each answer's own conditioning, the gradients to that of the whole."""

    def answers(inputs):
        return {kind: gradient_of(function, *inputs[kind]) for kind, function in QUANTITIES.items()}

    groups = {kind: [case for case in CASES if case["kind"] == kind and case["dtype"] == dtype] for kind in QUANTITIES}
    inputs = {kind: list(np.array([case["inputs"] for case in group], dtype).T) for kind, group in groups.items()}
    run = answers if mode == "eager" else tf.function(answers, jit_compile=mode == "xla")
    for kind, (value, gradients) in run(inputs).items():
        want, scale, slopes = (
            np.array([case[key] for case in groups[kind]]) for key in ("expected", "scale", "gradients")
        )
        size = np.maximum(1.0, np.maximum(np.abs(want), scale))
        error = np.abs(np.asarray(value, "float64") - want) / size
        _check(kind, error, groups[kind], value, TOLERANCE[dtype])
        for i, gradient in enumerate(gradients):
            fits = np.abs(slopes[:, i]) < np.finfo(dtype).max / 1e4
            x = np.abs(np.asarray(inputs[kind][i], "float64"))
            conditioning = np.maximum(1.0, scale) / x
            if kind == "log_prob" and i == 2:  # of x times the second derivative
                a, b = (np.asarray(each, "float64") for each in inputs[kind][:2])
                conditioning += a / x + b * x / np.square(1.0 - x)
            allowed = np.maximum(np.maximum(1.0, np.abs(slopes[:, i])), conditioning)
            error = np.where(fits, np.abs(np.asarray(gradient, "float64") - slopes[:, i]) / allowed, 0.0)
            _check(f"{kind} gradient {i}", error, groups[kind], gradient, TOLERANCE[dtype])


def _check(name, error, cases, got, tolerance):
    worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    assert error[worst] <= tolerance, f"{name}: {error[worst]:.3g}, got {got[worst]} of {cases[worst]}"


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-3.0, 1e6)])
def test_moments_of_beta_of_huge_tiny_and_unequal_concentrations(dtype, low, high):
    """Against exact fractions."""
    sizes = [1e-30, 1e-10, 1e-4, 1.0, 3.0, 1e4, 1e6, 1e10, 1e18]
    a, b = np.array(list(itertools.product(sizes, sizes)), dtype).T
    exact = [(Fraction(float(x)), Fraction(float(y))) for x, y in zip(a, b, strict=True)]
    width = Fraction(high) - Fraction(low)
    dist = BetaDist(a[:, None], b[:, None], low, high)
    want = {
        "mean": [float(low + width * x / (x + y)) for x, y in exact],
        "variance": [float(width**2 * x * y / (x + y) ** 2 / (x + y + 1)) for x, y in exact],
    }
    for name, values in want.items():
        atol = 0.0 if name == "variance" or low == 0 else TOLERANCE[dtype]
        got = np.asarray(getattr(dist, name)(), "float64")[:, 0]
        np.testing.assert_allclose(
            got, values, rtol=TOLERANCE[dtype], atol=max(atol, np.finfo(dtype).tiny), err_msg=name
        )
    modes = [float(low + width * (x - 1) / (x + y - 2)) for x, y in exact if x > 1 and y > 1]
    got = np.asarray(dist.mode(), "float64")[[x > 1 and y > 1 for x, y in exact], 0]
    np.testing.assert_allclose(got, modes, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] if low else 0.0)


# Next to a bound of 0, where floats are dense.


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_entropies_of_beta_down_to_the_range_of_floats(dtype):
    """Where both concentrations are tiny the entropy is that of two points, `-1 / (2 a) - 1 / (2 b)` and less."""
    for exponent in (-10, -15, -19, -25, -36, *((-100, -200, -300) if dtype == "float64" else ())):
        a = tf.constant([10.0**exponent], dtype)
        with tf.GradientTape() as tape:
            tape.watch(a)
            entropy = BetaDist(a, a).entropy()
        np.testing.assert_allclose(entropy, -1.0 / a[0], rtol=1e-5)
        if exponent > -19 or dtype == "float64" and exponent > -150:
            np.testing.assert_allclose(tape.gradient(entropy, a), a**-2.0, rtol=1e-5)


def test_beta_next_to_zero_is_that_of_the_float_it_is_given():
    a, b = np.float64([[1.461273431777954]]), np.float64([[2.6768219470977783]])
    for x in (1e-300, 1e-100, 1e-20, 2.3e-308):
        want = scipy.stats.beta(a, b).logpdf(x).item()
        np.testing.assert_allclose(BetaDist(a, b).log_proba(np.float64([[x]])), [want], rtol=1e-12)
    tiny = BetaDist(np.float32([[0.01]]), np.float32([[0.01]]))
    for x in (1e-30, 1e-20, 3e-10):
        want = scipy.stats.beta(0.01, 0.01).logpdf(x)
        np.testing.assert_allclose(tiny.log_proba(np.float32([[x]])), [want], rtol=1e-5)


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (0.0, 50.0), (-3.0, 0.0), (0.0, np.inf), (-np.inf, 0.0)])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_squashed_normal_next_to_a_bound_of_zero(low, high, dtype):
    mu, deviation = -10.0, 20.0
    sign, width = -1.0 if high == 0 else 1.0, high - low
    x = sign * np.array([1e-30, 1e-18, 1e-9, 1e-3], dtype)
    distance = np.abs(x.astype("float64"))
    if np.isinf(width):
        u, log_det = np.log(np.expm1(distance)), np.log(-np.expm1(-distance))
    else:
        t = distance / width
        u, log_det = 0.5 * (np.log(t) - np.log1p(-t)), np.log(2 * width * t * (1 - t))
    want = scipy.stats.norm(mu, deviation).logpdf(u) - log_det
    logvar = 2 * np.log(deviation)
    dist = SquashedNormalDist(np.array([sign * mu], dtype), np.array([logvar], dtype), low, high)
    np.testing.assert_allclose(dist.log_proba(x[:, None]), want, rtol=20 * TOLERANCE[dtype])
    _, (gradient,) = gradient_of(dist.log_proba, x[:, None])
    assert np.isfinite(gradient).all() and np.all(sign * np.asarray(gradient)[:3] < 0)


@pytest.mark.few(3)
@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-2.0, 0.0), (0.0, 1e20), (0.0, 1e-20), (1e-9, 1.0), (-1.0, 1e-12)])
def test_draws_next_to_a_bound_of_zero_have_the_density_that_they_came_with(low, high):
    at_high = abs(high) < abs(low)
    few, many = np.float32([0.05]), np.float32([3.0])
    for dist in (
        SquashedNormalDist(np.float32([9.0 if at_high else -9.0]), np.float32([1.0]), low, high),
        BetaDist(many, few, low, high) if at_high else BetaDist(few, many, low, high),
    ):
        x, log_proba = dist.sample_and_log_proba(1000, seed=1)
        bound = np.float64(np.float32(high if at_high else low))
        # Draws that have some digits of their distance, as floats there are.
        told_apart = (np.abs(np.asarray(x, "float64") - bound) > max(1e4 * 1.2e-7 * abs(bound), 1e-34))[:, 0]
        assert told_apart.mean() > 0.3
        got, want = np.asarray(dist.log_proba(x))[told_apart], np.asarray(log_proba)[told_apart]
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)


# A common offset of logits.


def one_of(logits):
    branches = tuple(NormalDist(np.full(1, i, "float32"), np.zeros(1, "float32")) for i in range(4))
    return OneOfDist((CategoricalDist(logits), branches))


@pytest.mark.few(1)
@pytest.mark.parametrize("offset", [1e8, -1e8, 3e38, -3e38, 2.0**27, 1e30])
@pytest.mark.parametrize("masked", [False, True])
def test_a_common_offset_of_equal_logits_changes_nothing(offset, masked):
    """Against the same logits without the offset: values and gradients."""
    base = np.where(masked * (np.arange(4) == 2), -np.inf, 0.0).astype("float32")
    huge, ordinary = base + np.float32(offset), np.float32([1.0, 2.0, 3.0, 4.0])
    functions = {
        "kl to": lambda p: CategoricalDist(p).kl_divergence(CategoricalDist(ordinary)),
        "entropy": lambda p: CategoricalDist(p).entropy(),
        "cross-entropy to": lambda p: CategoricalDist(p).cross_entropy(CategoricalDist(ordinary)),
        "ratio": lambda p: CategoricalDist(p).proba_ratio(1, CategoricalDist(ordinary)),
        "multi": lambda p: MultiCategoricalDist(p, [4]).kl_divergence(MultiCategoricalDist(ordinary, [4])),
        "mixture": lambda p: GaussianMixtureDist(p, ordinary[:, None], ordinary[:, None]).log_proba([1.0]),
        "one of": lambda p: one_of(p).kl_divergence(one_of(ordinary)),
        "clipped surrogate": lambda p: losses.ppo_clip(
            CategoricalDist(p).log_proba(1)[None], np.float32([-1.2]), np.float32([2.0]), 0.2
        ),
        "policy gradient": lambda p: losses.policy_gradient(CategoricalDist(p).log_proba(1)[None], np.float32([2.0])),
    }
    if not masked:
        points = np.float32([0.1, 0.2, 0.3, 0.4])
        functions["kl from"] = lambda p: CategoricalDist(ordinary).kl_divergence(CategoricalDist(p))
        functions["relaxed"] = lambda p: RelaxedOneHotCategorical(0.5, logits=p).log_proba(points)
    for name, function in functions.items():
        got, want = gradient_of(function, huge), gradient_of(function, base)
        np.testing.assert_allclose(got[0], want[0], rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(got[1][0], want[1][0], rtol=1e-5, atol=1e-6, err_msg=name)


# Deviations beyond the range of float32.


@pytest.mark.few(4)
@pytest.mark.parametrize("logvar", [-170.0, -200.0, -300.0, -1000.0, 200.0, 1000.0])
def test_a_normal_whose_deviation_leaves_the_range_of_floats(logvar):
    """At the mean the density and its gradients are those of the formula."""
    zero, wide = np.zeros(1, "float32"), np.full(1, logvar, "float32")
    want = -0.5 * (np.log(2 * np.pi) + logvar)
    for name, make, at in (
        ("normal", NormalDist, want),
        ("squashed", SquashedNormalDist, want),
        ("clipped", ClippedNormalDist, want),
        ("mixture", lambda mu, lv: GaussianMixtureDist([0.0], mu[None], lv[None]), want),
    ):
        value, (to_mu, to_logvar) = gradient_of(lambda mu, lv, make=make: make(mu, lv).log_proba(zero), zero, wide)
        np.testing.assert_allclose(value, at, rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(to_mu, [0.0], err_msg=name)
        np.testing.assert_allclose(to_logvar, [-0.5], rtol=1e-6, err_msg=name)
    p = NormalDist(zero, wide)
    np.testing.assert_allclose(p.kl_divergence(NormalDist(zero, wide - 1)), 0.5 * (np.e - 2), rtol=1e-5)
    np.testing.assert_allclose(p.cross_entropy(p), 0.5 * (1 + np.log(2 * np.pi) + logvar), rtol=1e-6)


def test_two_deviations_out_of_a_narrow_normal():
    deviation = np.exp(np.float64(-85.0))
    for make in (NormalDist, lambda mu, lv: GaussianMixtureDist([0.0], mu[None], lv[None])):
        value, gradients = gradient_of(
            lambda mu, lv, x, make=make: make(mu, lv).log_proba(x),
            np.zeros(1, "float32"),
            np.full(1, -170.0, "float32"),
            np.full(1, 2 * deviation, "float32"),
        )
        np.testing.assert_allclose(value, 85.0 - 0.5 * np.log(2 * np.pi) - 2.0, rtol=1e-5)
        np.testing.assert_allclose(gradients[0], 2 / deviation, rtol=1e-4)
        np.testing.assert_allclose(gradients[1], 1.5, rtol=1e-4)


@pytest.mark.parametrize("deviations", [2.0, -1.0, 1e-3])
@pytest.mark.parametrize("low, high", [(-1.0, 1.0), (-3.0, 3.0), (-1e-3, 1e-3)])
@pytest.mark.parametrize(
    "logvar, dtype", [(-30.0, "float32"), (-40.0, "float32"), (-140.0, "float32"), (-170.0, "float64")]
)
def test_a_narrow_squashed_normal_in_the_middle_of_its_box(logvar, dtype, low, high, deviations):
    """There it is the normal whose deviation is half the width of the box times its own."""
    half = 0.5 * (high - low)
    value, gradients = gradient_of(
        lambda mu, lv, x: SquashedNormalDist(mu, lv, low, high).log_proba(x),
        np.zeros(1, dtype),
        np.full(1, logvar, dtype),
        np.full(1, deviations * half * np.exp(0.5 * logvar), dtype),
    )
    want = -0.5 * (np.log(2 * np.pi) + logvar + deviations**2) - np.log(half)
    np.testing.assert_allclose(value, want, rtol=2e-6)
    np.testing.assert_allclose(gradients[0], deviations * np.exp(-0.5 * logvar), rtol=1e-5)
    np.testing.assert_allclose(gradients[1], 0.5 * (deviations**2 - 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_density_of_a_draw_of_a_narrow_squashed_normal(compiled):
    p = SquashedNormalDist(np.zeros((100, 1), "float32"), np.full((100, 1), -40.0, "float32"), -2.0, 2.0)

    def both():
        x, log_proba = p.sample_and_log_proba(seed=0)
        return log_proba, p.log_proba(x)

    np.testing.assert_allclose(*(tf.function(both, jit_compile=True) if compiled else both)(), rtol=1e-5)


def test_a_narrow_component_far_away_takes_no_part():
    mu, logvar = np.float32([[0.0], [1.0]]), np.full((2, 1), -200.0, "float32")
    value, gradients = gradient_of(
        lambda mu, lv: GaussianMixtureDist([0.0, 0.0], mu, lv).log_proba(np.zeros(1, "float32")), mu, logvar
    )
    np.testing.assert_allclose(value, 100.0 - 0.5 * np.log(2 * np.pi) - np.log(2), rtol=1e-6)
    np.testing.assert_allclose(gradients[1], [[-0.5], [0.0]], rtol=1e-6)


def test_a_narrow_clipped_normal_is_the_normal():
    for logvar in (-150.0, -200.0, -400.0):
        (value, gradients), want = (
            gradient_of(lambda mu, lv: ClippedNormalDist(mu, lv).entropy(), np.float32([0.3]), np.float32([logvar])),
            0.5 * (1 + np.log(2 * np.pi) + logvar),
        )
        np.testing.assert_allclose(value, want, rtol=1e-6)
        np.testing.assert_allclose(gradients[1], [0.5], rtol=1e-5)
        dist = ClippedNormalDist(np.float32([0.3]), np.float32([logvar]))
        np.testing.assert_allclose(dist.mean(), [0.3], rtol=1e-6)
        assert dist.kl_divergence(dist) == 0 and dist.log_proba(np.float32([1.0])) == -np.inf


@pytest.mark.parametrize("logscale", [70.0, 100.0, 200.0, 1000.0])
def test_integers_of_a_wide_logistic(logscale):
    value, gradients = gradient_of(
        lambda mu, s: DiscretizedLogisticDist(mu, s, -5, 5).log_proba(np.float32([3.0])),
        np.float32([0.3]),
        np.float32([logscale]),
    )
    np.testing.assert_allclose(value, -logscale - 2 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(gradients[1], [-1.0], rtol=1e-6)


@pytest.mark.parametrize("logvar", [-1000.0, -200.0, 200.0, 1000.0])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_moments_of_a_clipped_normal_whose_deviation_leaves_the_range_of_floats(logvar, dtype):
    """Nearly all of a wide one is at its bounds, half at each; a narrow one is its mean, clipped."""
    mu, bounds = np.array([0.3, 1.0, 9.0], dtype), {"low": [-1.0, 0.0, -2e30], "high": [1.0, 1e-6, 4e30]}
    dist = ClippedNormalDist(mu, np.full(3, logvar, dtype), **bounds)
    low, high = np.array(bounds["low"]), np.array(bounds["high"])
    wide = logvar > 0
    np.testing.assert_allclose(dist.mean(), (low + high) / 2 if wide else np.clip(mu, low, high), rtol=1e-6)
    with np.errstate(over="ignore"):
        variance = ((high - low) / 2) ** 2 if wide else np.zeros(3)
        np.testing.assert_allclose(dist.variance(), variance.astype(dtype), rtol=1e-6, atol=1e-37)
    _, gradients = gradient_of(
        lambda mu, lv: ClippedNormalDist(mu, lv, bounds["low"][:2], bounds["high"][:2]).mean(), mu[:2], dist.logvar[:2]
    )
    assert np.isfinite(gradients).all()


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_moments_of_a_normal_clipped_to_a_box_of_any_width(dtype):
    rng = np.random.default_rng(0)
    for width in (1e-6, 0.2499, 0.2501, 5.0):  # deviations
        for z in (-3.0, 0.0, 2.5):
            deviation = np.exp(rng.uniform(-2, 2))
            low, high = deviation * z, deviation * (z + width)
            at = np.linspace(low, high, 20001)
            above = scipy.stats.norm(0, deviation).sf(at)
            mean = scipy.integrate.trapezoid(above, at)
            variance = 2 * scipy.integrate.trapezoid(
                above * scipy.integrate.cumulative_trapezoid(1 - above, at, initial=0), at
            )
            logvar = 2 * np.log(np.array([deviation], dtype))
            dist = ClippedNormalDist(np.zeros(1, dtype), logvar, low, high)
            scale = {"float32": 1e-5, "float64": 1e-7}[dtype]
            np.testing.assert_allclose(dist.mean(), [low + mean], rtol=scale, atol=scale * max(abs(low), abs(high)))
            np.testing.assert_allclose(dist.variance(), [variance], rtol=(10 if width > 0.25 else 1) * scale)


@pytest.mark.parametrize("x", [1e-300, 0.1, 1 - 1e-12, 2**24 + 1])
@pytest.mark.parametrize("form", [list, lambda x: [float(x[0])], lambda x: np.array(x, "int64" if x[0] > 1 else None)])
def test_plain_numbers_have_the_digits_of_the_distribution_they_are_given_to(x, form):
    for make in (NormalDist, ClippedNormalDist, SquashedNormalDist):
        bounds = {} if make is NormalDist else {"low": 0.0, "high": 1e8}
        dist = make(np.zeros(1), np.full(1, 30.0), **bounds)
        np.testing.assert_array_equal(dist.log_proba(form([x])), dist.log_proba(np.float64([x])))
        if x == 1e-300:
            np.testing.assert_allclose(
                BetaDist(np.full(1, 0.5), np.ones(1)).log_proba(form([x])), [np.log(0.5) + 150 * np.log(10)]
            )
