"""`GaussianMixtureDist` against reference numbers, scipy's densities, and the hard points."""

import inspect

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists import GaussianMixtureDist
from tests.golden import TOLERANCE, assert_close, cases
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng
KINDS = ["diag", "full"]


def gradient_of(function, *xs):
    """Value and gradients of the sum of `function(*xs)`."""
    xs = [ops.convert_to_tensor(x) for x in xs]
    with tf.GradientTape() as tape:
        tape.watch(xs)
        value = function(*xs)
    return value, tape.gradient(value, xs)


def make(kind, batch=(), k=3, n=2, seed=0, dtype="float64", **fields):
    """A random mixture and its covariances."""
    rng = RNG(seed)
    logits, mu = rng.normal(size=(*batch, k)), 2 * rng.normal(size=(*batch, k, n))
    if kind == "diag":
        spread = {"logvar": rng.normal(size=mu.shape)}
    else:
        spread = {"scale_tril": np.tril(rng.normal(size=(*mu.shape, n)), -1) + np.eye(n) * rng.uniform(0.5, 1.5, n)}
    return GaussianMixtureDist(
        *(x.astype(dtype) for x in (logits, mu)), **{s: x.astype(dtype) for s, x in spread.items()}, **fields
    )


def components(dist):
    """scipy's components of a mixture without a batch, and their weights."""
    if "logvar" in dist.params:
        covariances = np.exp(dist.logvar)[..., None] * np.eye(dist.event_shape[0])
    else:
        covariances = dist.scale_tril @ np.swapaxes(dist.scale_tril, -2, -1)
    joints = [scipy.stats.multivariate_normal(m, c) for m, c in zip(np.array(dist.mu), covariances, strict=True)]
    return scipy.special.softmax(dist.logits), joints


# Reference numbers. One function answers all cases of a kind, so that XLA compiles only once.


def repeated(x, *params):
    """Parameters repeated for each point: reference gradients are given per point."""
    front = x.shape[:-1]
    return [ops.broadcast_to(p, (*front, *p.shape)) for p in params]


def answer_diag(logits, means, diag_stds, x):
    def mixture(logits, means, stds):
        return GaussianMixtureDist(logits, means, 2 * ops.log(stds))

    names = ("logits", "means", "diag_stds")
    log_prob, gradients = gradient_of(
        lambda *params: mixture(*params).log_proba(x), *repeated(x, logits, means, diag_stds)
    )
    answers = {f"grad_log_prob_{name}": gradient for name, gradient in zip(names, gradients, strict=True)}
    dist = mixture(logits, means, diag_stds)
    return answers | {
        "log_prob": log_prob,
        "log_prob_of_one": dist.log_proba(x),
        "score": dist.score(x),
        "score_by_gradient": gradient_of(dist.log_proba, x)[1][0],
        "responsibilities": dist.responsibilities(x),
        "mean": dist.mean(),
        "cov": dist.covariance(),
        "variance": dist.variance(),
    }


def answer_full(weights, means, covs, scale_tril, x):
    dist = GaussianMixtureDist(ops.log(weights), means, scale_tril=scale_tril)
    return {
        "log_prob": dist.log_proba(x),
        "log_prob_of_one": dist.log_proba(x),
        "score": dist.score(x),
        "score_by_gradient": gradient_of(dist.log_proba, x)[1][0],
        "responsibilities": dist.responsibilities(x),
        "log_weights": dist.log_weights,
        "mean": dist.mean(),
        "cov": dist.covariance(),
        "variance": dist.variance(),
    }


def golden_cases(kind, dtype):
    if kind == "diag":
        return cases("gmm_diag", "mixture", dtype) + cases("gmm_diag", "factory", dtype)
    return cases("gmm_full", "density", dtype)


@pytest.mark.few(2)
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["eager", "xla"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", KINDS)
def test_reference_numbers(kind, dtype, jit_compile):
    answer = {"diag": answer_diag, "full": answer_full}[kind]
    tolerance = 1e-10 if (kind, dtype) == ("full", "float64") else TOLERANCE[dtype]

    def answer_all(inputs):
        return {key: answer(**arrays) for key, arrays in inputs.items()}

    inputs = {}
    for case in golden_cases(kind, dtype):
        arrays = {name: np.array(x, dtype) for name, x in case["inputs"].items() if name != "call"}
        if kind == "full":
            arrays["scale_tril"] = np.array(case["expected"]["scale_tril"], dtype)
        inputs[case["id"]] = arrays
    run = tf.function(answer_all, jit_compile=True, autograph=False) if jit_compile else answer_all
    answers = run(inputs)

    for case in golden_cases(kind, dtype):
        expected, scales = case["expected"], case.get("scale", {})
        expected = {name: want for name, want in expected.items() if "boltzkit" not in name and name != "scale_tril"}
        expected.pop("log_responsibilities", None)
        expected |= {"log_prob_of_one": expected["log_prob"], "score_by_gradient": expected["score"]}
        expected["variance"] = np.diagonal(expected["cov"])
        scales = {name: scales.get(name, 0.0) for name in expected}
        scales |= {"log_prob_of_one": scales["log_prob"], "score_by_gradient": scales["score"]}
        scales["variance"] = np.diagonal(np.broadcast_to(scales["cov"], np.shape(expected["cov"])))
        for name, want in expected.items():
            assert_close(answers[case["id"]][name], want, tolerance, scales[name], f"{case['id']}: {name}")


# scipy's densities.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 3])
def test_log_proba_is_that_of_scipy(kind, n):
    dist, x = make(kind, n=n), RNG(1).normal(size=(20, n))
    weights, joints = components(dist)
    densities = weights * np.stack([joint.pdf(x) for joint in joints], axis=-1)
    np.testing.assert_allclose(dist.log_proba(x), np.log(densities.sum(axis=-1)), rtol=1e-9)
    np.testing.assert_allclose(dist.responsibilities(x), densities / densities.sum(axis=-1, keepdims=True), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_one_component_is_a_normal(kind):
    dist, x = make(kind, (4,), k=1), RNG(1).normal(size=(3, 4, 2))
    if kind == "diag":
        normal = kg.NormalDist(dist.mu[:, 0], dist.logvar[:, 0])
    else:
        normal = kg.MultivariateNormalDist(dist.mu[:, 0], dist.scale_tril[:, 0])
    np.testing.assert_allclose(dist.log_proba(x), normal.log_proba(x), rtol=1e-12)
    np.testing.assert_array_equal(dist.mode(), normal.mode())
    np.testing.assert_allclose(dist.variance(), normal.variance(), rtol=1e-12)


def test_diagonal_factors_are_log_variances():
    diag, x = make("diag", (4,)), RNG(1).normal(size=(5, 4, 2))
    scale_tril = np.exp(0.5 * diag.logvar.numpy())[..., None] * np.eye(2)
    full = GaussianMixtureDist(diag.logits, diag.mu, scale_tril=scale_tril)
    for method in ("log_proba", "score", "responsibilities"):
        np.testing.assert_allclose(getattr(full, method)(x), getattr(diag, method)(x), rtol=1e-10, atol=1e-12)
    for method in ("mean", "variance", "covariance", "mode"):
        np.testing.assert_allclose(getattr(full, method)(), getattr(diag, method)(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(full.sample(3, seed=0), diag.sample(3, seed=0), rtol=1e-12)


# Modes.


def test_the_mode_is_the_best_component_not_the_heaviest():
    dist = GaussianMixtureDist(logits=[0.4, 0.0], mu=[[0.0], [5.0]], logvar=[[4.0], [-4.0]])
    np.testing.assert_array_equal(dist.mode(), [5.0])
    # Two that overlap weigh more than one that is alone.
    dist = GaussianMixtureDist(logits=[0.3, 0.0, 0.0], mu=[[0.0], [5.0], [5.1]], logvar=[[0.0]] * 3)
    assert dist.mode()[0] > 4.9


def test_a_component_without_weight_is_no_mode():
    dist = GaussianMixtureDist(logits=[0.0, -INF], mu=[[0.0], [0.1]], logvar=[[0.0], [0.0]])
    np.testing.assert_array_equal(dist.mode(), [0.0])


# Draws.


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", KINDS)
def test_samples_and_actions_are_distributed_by_the_mixture(kind):
    dist = make(kind, k=3, n=1)
    weights, joints = components(dist)

    def cdf(x):
        return sum(w * joint.cdf(x[:, None]) for w, joint in zip(weights, joints, strict=True))

    assert scipy.stats.kstest(np.array(dist.sample(4000, seed=0))[:, 0], cdf).pvalue > 1e-3
    assert scipy.stats.kstest(np.array(dist.relaxed_sample(4000, seed=0, hard=True))[:, 0], cdf).pvalue > 1e-3
    many = keras.tree.map_structure(lambda x: ops.broadcast_to(x, (4000, *x.shape)), dist)
    assert scipy.stats.kstest(np.array(many.sample_action(seed=1))[:, 0], cdf).pvalue > 1e-3


def test_a_sample_comes_from_one_component():
    dist = GaussianMixtureDist(logits=[0.0, 0.0], mu=[[-10.0], [10.0]], logvar=[[-6.0], [-6.0]])
    x = np.array(dist.sample(2000, seed=1))
    assert (np.abs(np.abs(x) - 10.0) < 0.3).all() and scipy.stats.binomtest(int((x > 0).sum()), 2000).pvalue > 1e-3
    np.testing.assert_array_equal(dist.sample(seed=4), dist.sample_action(seed=4))
    assert np.any(np.abs(dist.relaxed_sample(2000, seed=1)) < 9.0)


def test_no_more_draws_between_two_components_than_their_density_has():
    dist = GaussianMixtureDist(probs=[0.3, 0.7], mu=[[-5.0], [5.0]], logvar=[[0.0], [0.0]])
    between = int((np.abs(dist.sample(20_000, seed=0)) < 2.0).sum())
    assert scipy.stats.binomtest(between, 20_000, scipy.stats.norm.sf(3.0)).pvalue > 1e-3


def test_weights_that_are_nan_in_a_graph_give_draws_that_are():
    draw = tf.function(lambda logits: GaussianMixtureDist(logits, [[0.0], [1.0]], [[0.0], [0.0]]).sample_action(seed=0))
    assert np.isnan(draw(np.array([NAN, 0.0], "float32"))).all()


@pytest.mark.parametrize("kind", KINDS)
def test_moments_are_those_of_draws(kind):
    dist = make(kind, n=3)
    x = np.array(dist.sample(200_000, seed=0))
    np.testing.assert_allclose(x.mean(axis=0), dist.mean(), atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), dist.covariance(), atol=0.1)


def test_relaxed_samples_become_exact_towards_temperature_zero():
    cold = make("diag", gumbel_tau=1e-4)
    np.testing.assert_allclose(
        cold.relaxed_sample(1000, seed=0), cold.relaxed_sample(1000, seed=0, hard=True), atol=0.2
    )
    warm = make("diag", gumbel_tau=1.0)
    apart = np.abs(warm.relaxed_sample(1000, seed=0) - warm.relaxed_sample(1000, seed=0, hard=True))
    assert np.mean(apart > 0.1) > 0.3


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_relaxed_samples_have_gradients_in_all_parameters(kind, hard):
    dist = make(kind)
    leaves = list(dist.params.values())
    _, gradients = gradient_of(
        lambda *leaves: keras.tree.pack_sequence_as(dist, leaves).relaxed_sample(50, seed=0, hard=hard), *leaves
    )
    assert all(np.isfinite(gradient).all() and np.any(gradient) for gradient in gradients)


def test_gradients_of_hard_samples_in_the_means_are_the_shares():
    dist = make("diag")
    x, (gradient,) = gradient_of(
        lambda mu: GaussianMixtureDist(dist.logits, mu, dist.logvar).relaxed_sample(5000, seed=0, hard=True), dist.mu
    )
    shares = np.array(gradient)[:, 0] / len(x)
    np.testing.assert_allclose(shares, scipy.special.softmax(dist.logits), atol=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_depend_on_the_correlations(kind):
    dist = make(kind, n=3)
    x = np.array(dist.sample((100, 2000), seed=0)).reshape(-1, 3)
    np.testing.assert_allclose(np.cov(x.T), dist.covariance(), atol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_samples_are_those_of_the_chosen_component(kind):
    dist = make(kind)
    leaves = list(dist.params.values())
    x, gradients = gradient_of(lambda *leaves: keras.tree.pack_sequence_as(dist, leaves).sample(5000, seed=0), *leaves)
    of_logits, of_mu, of_spread = gradients
    assert of_logits is None
    np.testing.assert_allclose(of_mu[:, 0] / len(x), scipy.special.softmax(dist.logits), atol=0.03)
    assert np.isfinite(of_spread).all() and np.any(of_spread)


def test_samples_come_from_the_stream_of_the_mixture():
    one, twin = (make("diag", random_seed=3) for _ in range(2))
    first = one.sample(2)
    np.testing.assert_array_equal(first, twin.sample(2))
    assert np.any(first != one.sample(2))


# The components.


@pytest.mark.parametrize("batch", [(), (4,), (2, 4)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_components_are_normals_of_the_same_parameters(kind, batch):
    dist = make(kind, batch, random_seed=3)
    parts = dist.components
    assert type(parts) is (kg.NormalDist if kind == "diag" else kg.MultivariateNormalDist)
    assert (parts.batch_shape, parts.event_shape, parts.dtype) == ((*batch, 3), (2,), "float64")
    assert parts.random_seed == 3 and parts.sample(7).shape == (7, *batch, 3, 2)
    for name, x in parts.params.items():
        np.testing.assert_array_equal(x, dist.params[name])
    twin = type(parts).from_config(parts.get_config())
    np.testing.assert_array_equal(twin.mu, parts.mu)


@pytest.mark.parametrize("batch", [(), *exhaustive((4,))], ids=str)
@pytest.mark.parametrize("jit_compile", [None, False, *exhaustive(True)], ids=["eager", "graph", "xla"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_density_is_made_of_its_components(kind, jit_compile, batch):
    whole, x = make(kind, batch), RNG(1).normal(size=(5, *batch, 2))

    def answers(dist, x):
        each = ops.repeat(x[..., None, :], dist.num_components, axis=-2)
        parts, shares = dist.components, dist.responsibilities(x)
        joint = dist.log_weights + parts.log_proba(each)
        return [
            (dist.log_proba(x), ops.logsumexp(joint, axis=-1)),
            (dist.score(x), ops.sum(shares[..., None] * parts.score(each), axis=-2)),
            (shares, ops.softmax(joint, axis=-1)),
        ]

    run = answers if jit_compile is None else tf.function(answers, jit_compile=jit_compile)
    for got, want in run(whole, x):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_parameters_through_the_components(kind):
    dist, x = make(kind), RNG(1).normal(size=(5, 3, 2))

    def of_components(*leaves):
        parts = keras.tree.pack_sequence_as(dist, leaves).components
        return ops.sum(parts.log_proba(x)) + ops.sum(parts.sample(4, seed=0))

    _, (of_logits, of_mu, of_spread) = gradient_of(of_components, *dist.params.values())
    assert of_logits is None
    _, wants = gradient_of(
        lambda mu, spread: (
            ops.sum(type(dist.components)(mu, spread).log_proba(x))
            + ops.sum(type(dist.components)(mu, spread).sample(4, seed=0))
        ),
        *dist.components.params.values(),
    )
    for got, want in zip((of_mu, of_spread), wants, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)
        assert np.any(got)


@pytest.mark.parametrize("kind", KINDS)
def test_components_in_a_keras_model(kind):
    head = kg.layers.GaussianMixtureHead(3, 2, kind, random_seed=0)
    features, x = keras.Input((4,)), keras.Input((3, 2))
    parts = head(features).components
    model = keras.Model([features, x], [parts.log_proba(x), parts.mean(), parts.sample()])
    inputs = [RNG(0).normal(size=(5, *shape)).astype("float32") for shape in ((4,), (3, 2))]
    log_proba, mean, drawn = model(inputs)
    want = head(inputs[0]).components
    np.testing.assert_allclose(log_proba, want.log_proba(inputs[1]), rtol=1e-5)
    np.testing.assert_allclose(mean, want.mu, rtol=1e-6)
    assert drawn.shape == (5, 3, 2)


# Hard points.


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_component_without_weight_changes_nothing(kind, jit_compile, dtype):
    """Neither values nor gradients, and its own gradients are 0."""
    whole = make(kind, (5,), k=3, dtype=dtype)
    logits, mu, spread = (np.array(x) for x in whole.params.values())
    logits[:, 1] = -INF
    x = RNG(1).normal(size=(5, 2)).astype(dtype)
    name = whole.PARAM_NAMES[-1]

    def evaluate(logits, mu, spread):
        def total(logits, mu, spread):
            dist = GaussianMixtureDist(logits, mu, **{name: spread})
            values = [dist.log_proba(x), dist.mean(), dist.variance(), dist.score(x), dist.mode(), dist.sample(seed=0)]
            return ops.sum(ops.stack([ops.sum(value) for value in values]))

        dist = GaussianMixtureDist(logits, mu, **{name: spread})
        return dist.log_proba(x), dist.score(x), gradient_of(total, logits, mu, spread)[1]

    log_proba, score, gradients = tf.function(evaluate, jit_compile=jit_compile)(logits, mu, spread)
    left = GaussianMixtureDist(logits[:, ::2], mu[:, ::2], **{name: spread[:, ::2]})
    np.testing.assert_allclose(log_proba, left.log_proba(x), rtol=1e-5)
    np.testing.assert_allclose(score, left.score(x), rtol=1e-4, atol=1e-5)
    for gradient in gradients:
        assert np.isfinite(gradient).all() and (np.array(gradient)[:, 1] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_far_points_have_finite_densities_and_scores(kind):
    dist = make(kind, dtype="float32")
    for x in ([1e6, -1e6], [1e15, 0.0]):
        value, (gradient,) = gradient_of(dist.log_proba, np.array(x, "float32"))
        assert np.isfinite(value) and np.isfinite(gradient).all()
        np.testing.assert_allclose(dist.score(x), gradient, rtol=1e-4)


@pytest.mark.exhaustive
def test_a_million_points():
    dist = make("full", k=5, dtype="float32")
    x = tf.zeros((1_000_000, 2))
    assert np.isfinite(tf.function(dist.log_proba, jit_compile=True)(x)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["entropy", "cross_entropy", "kl_divergence"])
def test_what_has_no_closed_form_says_so(kind, method):
    dist = make(kind)
    with pytest.raises(NotImplementedError, match=f"`{method}`: estimate it by `kgdists.divergences.{method}`"):
        getattr(dist, method)(*([] if method == "entropy" else [dist]))


# The constructor.


def test_arguments_and_defaults():
    names = list(inspect.signature(GaussianMixtureDist).parameters)
    assert names == ["logits", "mu", "logvar", "scale_tril", "gumbel_tau", "name", "random_seed", "probs"]
    assert make("diag").PARAM_NAMES == ("logits", "mu", "logvar")
    assert make("full").PARAM_NAMES == ("logits", "mu", "scale_tril")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [(), (4,), (2, 4)], ids=str)
def test_shapes(kind, batch):
    dist = make(kind, batch, k=3, n=2)
    assert (dist.batch_shape, dist.event_shape, dist.num_components) == (batch, (2,), 3)
    assert dist.responsibilities(dist.sample(7)).shape == (7, *batch, 3)
    assert dist.covariance().shape == (*batch, 2, 2)
    assert dist.score(dist.sample(7)).shape == (7, *batch, 2)


@pytest.mark.parametrize("spread, received", [({}, "neither"), ({"logvar": [[0.0]], "scale_tril": [[[1.0]]]}, "both")])
def test_exactly_one_of_logvar_and_scale_tril(spread, received):
    with pytest.raises(
        ValueError, match=f"Exactly one of `logvar` and `scale_tril` must be given. Received: {received}"
    ):
        GaussianMixtureDist([0.0], [[0.0]], **spread)


@pytest.mark.parametrize(
    "shapes, text",
    [
        (
            ((3,), (2, 1), (2, 1)),
            r"`mu` must have the shape of `logits` .*logits of shape \(3,\), mu of shape \(2, 1\)",
        ),
        (((3,), (3,), (3,)), r"`mu` must have the shape of `logits`"),
        (((4, 3), (3, 1), (3, 1)), r"`mu` must have the shape of `logits`"),
        (((3,), (3, 2), (3, 1)), r"`mu` and `logvar` must have the same shape"),
    ],
)
def test_shapes_that_do_not_fit(shapes, text):
    with pytest.raises(ValueError, match=text):
        GaussianMixtureDist(*map(np.zeros, shapes))


@pytest.mark.parametrize("tau", [0, -1.0, INF, NAN, "1", None, True])
def test_gumbel_tau_must_be_positive(tau):
    with pytest.raises(ValueError, match="`gumbel_tau` must be a finite number > 0. Received: gumbel_tau="):
        make("diag", gumbel_tau=tau)


def test_dtypes_that_do_not_fit():
    with pytest.raises(ValueError, match="same dtype. Received: logits of float32, mu of float64"):
        GaussianMixtureDist(np.zeros(1, "float32"), np.zeros((1, 1)), np.zeros((1, 1)))


# The head.


@pytest.mark.parametrize("covariance", KINDS)
def test_the_head_starts_with_components_apart(covariance):
    head = kg.layers.GaussianMixtureHead(
        40, 2, covariance, initial_spread=3.0, initial_stddev=0.5, center=[10.0, -10.0], scale=[1.0, 2.0], random_seed=0
    )
    dist = head(np.zeros((1, 4), "float32"))
    z = (dist.mu[0] - np.array([10.0, -10.0])) / np.array([1.0, 2.0])
    assert np.abs(z).max() < 3.0 and (np.ptp(z, axis=0) > 5.0).all()
    spread = np.exp(0.5 * dist.logvar[0]) if covariance == "diag" else np.diagonal(dist.scale_tril[0], axis1=1, axis2=2)
    np.testing.assert_allclose(spread, np.tile([0.5, 1.0], (40, 1)), rtol=1e-5)
    np.testing.assert_allclose(dist.log_weights, np.full((1, 40), -np.log(40)), rtol=1e-5)


@pytest.mark.exhaustive
@pytest.mark.parametrize("covariance", KINDS)
def test_a_mixture_density_network_learns_both_branches(covariance):
    """x = +- sqrt(t) and some noise: the mean, 0, is never seen."""
    rng = RNG(0)
    t = rng.uniform(1, 2, size=(512, 1)).astype("float32")
    x = (np.sqrt(t) * rng.choice([-1, 1], size=t.shape) + 0.05 * rng.normal(size=t.shape)).astype("float32")
    head = kg.layers.GaussianMixtureHead(4, 1, covariance, random_seed=0)
    model = kg.Policy(keras.Sequential([keras.Input((1,)), keras.layers.Dense(16, "tanh")]), head)
    model.compile(keras.optimizers.Adam(0.02))
    history = model.fit(t, x, epochs=60, batch_size=128, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    dist = model(np.array([[1.5]], "float32"))
    np.testing.assert_allclose(np.abs(dist.mode()), [[1.5**0.5]], atol=0.1)
    assert dist.log_proba([[0.0]])[0] < -5 and abs(dist.log_proba([[1.5**0.5]]) - dist.log_proba([[-(1.5**0.5)]])) < 1.0


@pytest.mark.few(4)
@pytest.mark.parametrize("covariance", KINDS)
@pytest.mark.parametrize("factor", [1e2, 1e4, 1e8])
def test_the_head_stays_finite_on_wild_features_and_data(covariance, factor):
    head = kg.layers.GaussianMixtureHead(3, 2, covariance, kernel_gain=1.0, random_seed=0)
    features, x = (factor * RNG(0).normal(size=(16, s)).astype("float32") for s in (4, 2))
    head(features)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(head(features).log_proba(x / factor))
    gradients = tape.gradient(loss, head.trainable_variables)
    assert np.isfinite(loss) and all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"num_components": 0}, "`num_components` must be an int >= 1. Received: num_components=0"),
        ({"num_dims": 1.5}, "`num_dims` must be an int >= 1. Received: num_dims=1.5"),
        ({"covariance": "tied"}, '`covariance` must be "diag" or "full". Received: covariance=\'tied\''),
        ({"initial_spread": -1.0}, "`initial_spread` must be a finite number >= 0. Received: initial_spread=-1.0"),
    ],
)
def test_bad_options_of_the_head(options, text):
    with pytest.raises(ValueError, match=text):
        kg.layers.GaussianMixtureHead(**{"num_components": 2, "num_dims": 2} | options)
