"""`MultivariateNormalDist` against reference numbers, scipy's density, and the hard points."""

import inspect

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists import MultivariateNormalDist
from tests.golden import reference_test
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng


def gradient_of(function, *xs):
    """Value and gradients of the sum of `function(*xs)`."""
    xs = [ops.convert_to_tensor(x) for x in xs]
    with tf.GradientTape() as tape:
        tape.watch(xs)
        value = function(*xs)
    return value, tape.gradient(value, xs)


def factors(rng, *shape):
    """Random lower triangular matrices of shape [..., n, n] with a positive diagonal."""
    return np.tril(rng.normal(size=shape), -1) + np.eye(shape[-1]) * np.exp(rng.normal(size=shape))


# Reference numbers. One function answers all cases, so that XLA compiles only once.


def answer_single(mu, scale_tril, x):
    dist = MultivariateNormalDist(mu, scale_tril)
    log_prob, gradients = gradient_of(
        lambda mu, tril, x: MultivariateNormalDist(mu, tril).log_proba(x), mu, scale_tril, x
    )
    answers = {f"grad_log_prob_{name}": g for name, g in zip(("mu", "scale_tril", "x"), gradients, strict=True)}
    return answers | {"log_prob": log_prob, "entropy": dist.entropy(), "covariance": dist.covariance()}


def answer_pair(p_mu, p_scale_tril, q_mu, q_scale_tril):
    p, q = MultivariateNormalDist(p_mu, p_scale_tril), MultivariateNormalDist(q_mu, q_scale_tril)
    return {"kl_divergence": p.kl_divergence(q), "cross_entropy": p.cross_entropy(q)}


test_reference_numbers = reference_test("multivariate_normal", single=answer_single, pair=answer_pair)


# scipy's density.


@pytest.mark.parametrize("n", [1, 3, 17])
def test_log_proba_and_entropy_are_those_of_scipy(n):
    rng = RNG(n)
    mu, x, tril = rng.normal(size=(5, n)), rng.normal(size=(5, n)), factors(rng, 5, n, n) + 2 * np.eye(n)
    dist = MultivariateNormalDist(mu, tril)
    joints = [scipy.stats.multivariate_normal(m, c @ c.T) for m, c in zip(mu, tril, strict=True)]
    want = [joint.logpdf(event) for joint, event in zip(joints, x, strict=True)]
    np.testing.assert_allclose(dist.log_proba(x), want, rtol=1e-9)
    np.testing.assert_allclose(dist.entropy(), [joint.entropy() for joint in joints], rtol=1e-9)


def test_moments():
    rng = RNG(0)
    mu, tril = rng.normal(size=(2, 3)), factors(rng, 2, 3, 3)
    dist = MultivariateNormalDist(mu, tril)
    want = tril @ np.swapaxes(tril, -2, -1)
    np.testing.assert_allclose(dist.covariance(), want, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(dist.variance(), np.diagonal(want, axis1=-2, axis2=-1), rtol=1e-14)
    np.testing.assert_array_equal(dist.mean(), mu)
    np.testing.assert_array_equal(dist.mode(), mu)


@pytest.mark.parametrize("front", [(), (4,)], ids=str)
def test_the_score_is_the_gradient_of_the_log_density(front):
    rng = RNG(0)
    dist = MultivariateNormalDist(rng.normal(size=(5, 3)), factors(rng, 5, 3, 3))
    x = rng.normal(size=(*front, 5, 3))
    np.testing.assert_allclose(dist.score(x), gradient_of(dist.log_proba, x)[1][0], rtol=1e-9)


def test_a_diagonal_factor_is_a_normal():
    rng = RNG(0)
    mu, logvar, other_mu, other_logvar, x = rng.normal(size=(5, 6, 4))

    def dists(mu, logvar):
        return kg.NormalDist(mu, logvar), MultivariateNormalDist(mu, np.eye(4) * np.exp(0.5 * logvar)[:, None, :])

    (normal, full), (other_normal, other_full) = dists(mu, logvar), dists(other_mu, other_logvar)
    for method in ("kl_divergence", "cross_entropy"):
        np.testing.assert_allclose(getattr(full, method)(other_full), getattr(normal, method)(other_normal), rtol=1e-12)
    np.testing.assert_allclose(full.log_proba(x), normal.log_proba(x), rtol=1e-12)
    np.testing.assert_allclose(full.sample(3, seed=0), normal.sample(3, seed=0), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 3, 9])
def test_kl_is_that_of_traces_and_determinants(n):
    rng = RNG(n)
    mu, other_mu = rng.normal(size=(2, n))
    tril, other = factors(rng, 2, n, n) + np.eye(n)
    p, q = tril @ tril.T, other @ other.T
    inverse = np.linalg.inv(q)
    log_det = np.linalg.slogdet(q)[1] - np.linalg.slogdet(p)[1]
    want = 0.5 * (np.trace(inverse @ p) + (mu - other_mu) @ inverse @ (mu - other_mu) - n + log_det)
    got = MultivariateNormalDist(mu, tril).kl_divergence(MultivariateNormalDist(other_mu, other))
    np.testing.assert_allclose(got, want, rtol=1e-9)


# The divergence of nearly equal policies.


def steps(size, n, magnitude, rng):
    mu, mu_step = rng.normal(size=(2, size, n))
    tril = factors(rng, size, n, n)
    moved = tril * (1 + magnitude * rng.normal(size=tril.shape))
    return mu, tril, mu + (magnitude[:, 0] if np.ndim(magnitude) else magnitude) * mu_step, moved


def test_kl_of_nearly_equal_policies_keeps_its_digits():
    """Divergences from 1e-9 on, in float32, against float64."""
    rng = RNG(0)
    mu, tril, other_mu, other = (
        x.astype("float32") for x in steps(20_000, 3, 10 ** rng.uniform(-5, -1, size=(20_000, 1, 1)), rng)
    )
    got = np.array(MultivariateNormalDist(mu, tril).kl_divergence(MultivariateNormalDist(other_mu, other)))
    step = np.linalg.solve(other.astype("float64"), tril.astype("float64") - other)
    z = np.linalg.solve(other.astype("float64"), (mu.astype("float64") - other_mu)[..., None])
    d = np.diagonal(step, axis1=-2, axis2=-1)
    want = np.sum(d - np.log1p(d), axis=-1) + 0.5 * np.sum(step**2, axis=(-2, -1)) + 0.5 * np.sum(z**2, axis=(-2, -1))
    counted = want >= 1e-9
    assert counted.sum() > 5000 and want[counted].min() < 2e-9
    np.testing.assert_allclose(got[counted], want[counted], rtol=2e-4)


@pytest.mark.few(15)
@pytest.mark.parametrize("magnitude", [1e-6, 1e-4, 1e-2, 0.2])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_kl_is_never_negative(magnitude, dtype):
    mu, tril, other_mu, other = (ops.cast(x, dtype) for x in steps(2000, 4, magnitude, RNG(0)))
    p, q = MultivariateNormalDist(mu, tril), MultivariateNormalDist(other_mu, other)
    assert np.min(p.kl_divergence(q)) >= 0 and np.max(p.kl_divergence(p)) == 0


# Shapes.


@pytest.mark.few(1)
@pytest.mark.parametrize("front", [(7,), (2, 3)], ids=str)
@pytest.mark.parametrize("batch", [(), (5,), (2, 5)], ids=str)
def test_sample_axes_in_front(batch, front):
    rng = RNG(0)
    dist = MultivariateNormalDist(rng.normal(size=(*batch, 3)), factors(rng, *batch, 3, 3))
    x = rng.normal(size=(*front, *batch, 3))
    want = np.array([dist.log_proba(rows) for rows in x.reshape(-1, *batch, 3)]).reshape(*front, *batch)
    for log_proba in (dist.log_proba, tf.function(dist.log_proba), tf.function(dist.log_proba, jit_compile=True)):
        np.testing.assert_allclose(log_proba(x), want, rtol=1e-12)


@pytest.mark.few(1)
@pytest.mark.parametrize("front", [(7,), (2, 3)], ids=str)
def test_sample_axes_in_front_of_an_unknown_batch(front):
    rng = RNG(0)
    mu, tril, x = rng.normal(size=(5, 3)), factors(rng, 5, 3, 3), rng.normal(size=(*front, 5, 3))

    @tf.function(input_signature=[tf.TensorSpec([None, 3], "float64"), tf.TensorSpec([None, 3, 3], "float64")])
    def draw(mu, tril):
        dist = MultivariateNormalDist(mu, tril)
        return dist.log_proba(dist.sample(front, seed=0))

    dist = MultivariateNormalDist(mu, tril)
    np.testing.assert_allclose(draw(mu, tril), dist.log_proba(dist.sample(front, seed=0)), rtol=1e-9)
    assert dist.log_proba(x).shape == (*front, 5)


# Hard points.


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
def test_values_and_gradients_are_finite(dtype, jit_compile):
    """For scales from 1e-6 to 1e6, against each other one."""
    grid = 10.0 ** np.arange(-6, 7, 2)
    scale, other = np.array(np.meshgrid(grid, grid)).reshape(2, -1, 1, 1)
    unit = np.array([[1.0, 0.0], [-0.9, 0.5]])

    def evaluate(mu, tril, other_mu, other):
        def total(mu, tril, other_mu, other):
            p, q = MultivariateNormalDist(mu, tril), MultivariateNormalDist(other_mu, other)
            return p.log_proba(other_mu), p.entropy(), p.cross_entropy(q), p.kl_divergence(q), p.sample(seed=0)

        leaves = [mu, tril, other_mu, other]
        return [gradient_of(lambda *xs, i=i: total(*xs)[i], *leaves) for i in range(5)]

    mu = np.full((len(scale), 2), 10.0)
    arguments = [x.astype(dtype) for x in (mu, scale * unit, -mu, other * unit)]
    for value, gradients in tf.function(evaluate, jit_compile=jit_compile)(*arguments):
        assert np.isfinite(value).all()
        assert all(np.isfinite(gradient).all() for gradient in gradients if gradient is not None)


# Draws.


def test_samples_have_the_covariance():
    tril = np.array([[2.0, 0.0], [-1.0, 0.5]])
    dist = MultivariateNormalDist([1.0, -3.0], tril.astype("float32"))
    x = np.array(dist.sample(100_000, seed=0), "float64")
    z = np.linalg.solve(tril, (x - np.array(dist.mean())).T)
    assert all(scipy.stats.kstest(row, "norm").pvalue > 1e-3 for row in z)
    np.testing.assert_allclose(np.cov(x.T), tril @ tril.T, atol=0.05)


def test_samples_move_with_the_parameters():
    rng = RNG(0)
    mu, tril = rng.normal(size=3), factors(rng, 3, 3)
    x, (mu_gradient, tril_gradient) = gradient_of(
        lambda mu, tril: MultivariateNormalDist(mu, tril).sample(1, seed=0), mu, tril
    )
    np.testing.assert_array_equal(mu_gradient, np.ones(3))
    np.testing.assert_allclose(tril_gradient, np.tril(np.tile(np.linalg.solve(tril, x[0] - mu), (3, 1))), rtol=1e-9)


# The constructor.


def test_arguments_and_defaults():
    assert list(inspect.signature(MultivariateNormalDist).parameters) == ["mu", "scale_tril", "name", "random_seed"]
    dist = MultivariateNormalDist(np.zeros(2), np.eye(2))
    assert (dist.name, dist.random_seed) == ("multivariate_normal_dist", None)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (3, 3), (1, 3, 3), (4, 3, 2), (4, 2, 2), (2, 4, 3, 3)], ids=str)
def test_shapes_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"`scale_tril` must have the shape of `mu`.*Received: mu of shape \(4, 3\)"):
        MultivariateNormalDist(np.zeros((4, 3)), np.ones(shape))


def test_dtypes_that_do_not_fit():
    text = "`mu` and `scale_tril` must have the same dtype. Received: mu of float32, scale_tril of float64"
    with pytest.raises(ValueError, match=text):
        MultivariateNormalDist(np.zeros(2, "float32"), np.eye(2))


PROPER = "lower triangular with a positive diagonal, at least 2.2e-308"


@pytest.mark.parametrize(
    "index, value, rule",
    [
        ((1, 1), 0.0, PROPER),
        ((1, 1), 1e-310, PROPER),  # which is 0 to a solver
        ((1, 1), -1.0, PROPER),
        ((0, 1), 1e-3, PROPER),
        ((1, 0), INF, "finite"),
        ((0, 0), NAN, "finite"),
    ],
)
def test_factors_must_be_proper(index, value, rule):
    tril = np.eye(2)
    tril[index] = value
    text = rf"`scale_tril` must be {rule}. Received: {value} at index \[{index[0]}, {index[1]}\] of scale_tril"
    with pytest.raises(ValueError, match=text):
        MultivariateNormalDist(np.zeros(2), tril)


# The head.


@pytest.mark.parametrize("state_dependent", [False, True], ids=["independent", "state_dependent"])
@pytest.mark.parametrize("num_dims", [1, 3])
def test_the_head_starts_with_independent_dimensions(num_dims, state_dependent):
    scale = [2.0, 1.0, 0.5][:num_dims]
    head = kg.layers.MultivariateNormalHead(num_dims, state_dependent, initial_stddev=0.5, scale=scale)
    dist = head(np.zeros((2, 4), "float32"))
    assert type(dist) is MultivariateNormalDist
    np.testing.assert_allclose(dist.scale_tril, np.tile(0.5 * np.diag(scale), (2, 1, 1)), rtol=1e-5)


@pytest.mark.exhaustive
def test_the_head_learns_a_covariance():
    tril = np.array([[1.0, 0.0], [1.2, 0.4]], "float32")
    data = np.array(MultivariateNormalDist([0.5, -0.5], tril).sample(4000, seed=0))
    head = kg.layers.MultivariateNormalHead(2)
    nothing = np.zeros((len(data), 1), "float32")
    head(nothing)

    @tf.function(jit_compile=True)
    def gradients():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(head(nothing).log_proba(data))
        return tape.gradient(loss, head.trainable_variables)

    optimizer = keras.optimizers.Adam(0.02)
    for _ in range(600):
        optimizer.apply(gradients(), head.trainable_variables)
    np.testing.assert_allclose(head(nothing[:1]).covariance()[0], np.cov(data.T), atol=0.02)


# A variable as the factor.


VARIABLES = {"tensorflow": tf.Variable, "keras": keras.Variable}
TRIL = np.array([[1.5, 0.0], [0.3, 0.8]], "float32")
BEYOND = TRIL + np.array([[0.0, 7.0], [0.0, 0.0]], "float32")


FORMULAS = {
    "log_proba": lambda p: p.log_proba([0.5, -1.0]),
    "sample": lambda p: p.sample(3, seed=1),
    "variance": lambda p: p.variance(),
    "covariance": lambda p: p.covariance(),
    "entropy": lambda p: p.entropy(),
    "cross_entropy": lambda p: p.cross_entropy(MultivariateNormalDist([1.0, 0.0], np.eye(2, dtype="float32"))),
    "kl_divergence": lambda p: p.kl_divergence(MultivariateNormalDist([1.0, 0.0], np.eye(2, dtype="float32"))),
    "kl_from": lambda p: MultivariateNormalDist([1.0, 0.0], np.eye(2, dtype="float32")).kl_divergence(p),
}
OF_MIXTURES = ("log_proba", "sample", "variance", "covariance")


def single(scale_tril):
    return MultivariateNormalDist([0.0, 1.0], scale_tril)


def mixture(scale_tril):
    return kg.GaussianMixtureDist([0.0], [[0.0, 1.0]], scale_tril=scale_tril)


@pytest.mark.parametrize("variable", VARIABLES.values(), ids=VARIABLES.keys())
def test_an_optimizer_may_have_moved_what_is_above_the_diagonal_of_a_variable(variable):
    for make, front, names in ((single, (), FORMULAS), (mixture, (1,), OF_MIXTURES)):
        tril, beyond = (np.reshape(x, (*front, 2, 2)) for x in (TRIL, BEYOND))
        moved, want = make(variable(beyond)), make(tril)
        for name in names:
            np.testing.assert_array_equal(FORMULAS[name](moved), FORMULAS[name](want), err_msg=name)


@pytest.mark.parametrize("name", FORMULAS)
def test_no_gradient_is_above_the_diagonal(name):
    for make, front in ((single, ()), (mixture, (1,))):
        if make is single or name in OF_MIXTURES:
            variable = tf.Variable(np.reshape(BEYOND, (*front, 2, 2)))
            with tf.GradientTape() as tape:
                value = ops.sum(FORMULAS[name](make(variable)))
            gradient = np.reshape(tape.gradient(value, variable), (2, 2))
            assert gradient[0, 1] == 0 and gradient[1, 1] != 0


@pytest.mark.exhaustive
@pytest.mark.parametrize("jit_compile", [False, True])
def test_no_formula_reads_what_is_above_the_diagonal_in_a_graph(jit_compile):
    def answers(tril):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(tril)
            values = {name: formula(single(tril)) for name, formula in FORMULAS.items()}
            values |= {f"mixture {name}": FORMULAS[name](mixture(tril[None])) for name in OF_MIXTURES}
        return values, {name: tape.gradient(value, tril) for name, value in values.items()}

    function = tf.function(answers, jit_compile=jit_compile, autograph=False)
    got, want = function(tf.constant(BEYOND)), function(tf.constant(TRIL))
    keras.tree.map_structure(np.testing.assert_array_equal, got, want)
    assert all(gradient[0, 1] == 0 for gradient in got[1].values())


@pytest.mark.exhaustive
def test_steps_of_an_optimizer_on_a_divergence_leave_a_proper_factor():
    variable = tf.Variable(np.eye(2, dtype="float32"))
    target = MultivariateNormalDist([0.0, 1.0], TRIL)
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(50):
        with tf.GradientTape() as tape:
            loss = single(variable).kl_divergence(target)
        optimizer.apply([tape.gradient(loss, variable)], [variable])
    np.testing.assert_array_equal(np.triu(variable, 1), 0.0)
    np.testing.assert_allclose(variable, TRIL, atol=0.05)
    single(variable.numpy())  # proper also where values are checked


@pytest.mark.parametrize("make", [tf.constant, np.array, np.ndarray.tolist])
def test_a_matrix_that_is_not_triangular_is_an_error_unless_a_variable_holds_it(make):
    with pytest.raises(ValueError, match="`scale_tril` must be lower triangular.*Received: 7.0 at index"):
        single(make(BEYOND))
