"""Densities and targets that are not of this library: one number, or one line that names the shapes."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists import divergences

N = 200
P = kg.NormalDist([0.0, 0.5], [0.0, 0.3])
Q = kg.GaussianMixtureDist([0.0, 0.0], [[0.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [0.3, 0.3]])
BATCH = kg.NormalDist(np.zeros((3, 2), "float32"), np.zeros((3, 2), "float32"))


def standard(x):
    """The log-density of a standard normal distribution."""
    return -0.5 * ops.sum(ops.square(x), axis=-1) - np.log(2 * np.pi)


class Target:
    """What draws of a standard normal distribution, with a log-density of any kind."""

    def __init__(self, log_prob=standard, draws=lambda x: x, **attributes):
        self.log_prob, self.draws = log_prob, draws
        vars(self).update(attributes)

    def sample(self, n, seed=None):
        return self.draws(np.random.default_rng(seed).normal(size=(n, 2)).astype("float32"))


# Every function that a density comes into, with points of shape [200, 2].
INTO = {
    "cross_entropy": lambda f: divergences.cross_entropy(P, f, N, seed=0),
    "kl_divergence": lambda f: divergences.kl_divergence(P, f, N, seed=0),
    "kl_divergence_of_a_mixture": lambda f: divergences.kl_divergence(Q, f, N, seed=0),
    "kl_divergence_in_chunks": lambda f: divergences.kl_divergence(P, f, 3 * N, seed=0, chunk_size=N),
    "reverse_kl": lambda f: divergences.reverse_kl(f, P, N, seed=0),
    "alpha_divergence": lambda f: divergences.alpha_divergence(P, f, 0.5, N, seed=0),
    "jensen_shannon_divergence": lambda f: divergences.jensen_shannon_divergence(P, Target(f), N, seed=0),
    "entropy": lambda f: divergences.entropy(Target(f), N, seed=0),
    "elbo": lambda f: divergences.elbo(P, f, N, seed=0),
    "eubo": lambda f: divergences.eubo(f, P, N, seed=0),
    "log_normalizer": lambda f: divergences.log_normalizer(P, f, N, seed=0),
    "reverse_kl_loss": lambda f: divergences.reverse_kl_loss(P, f, N, seed=0),
    "reverse_kl_loss_of_draws": lambda f: divergences.reverse_kl_loss(P, f, N, seed=0, estimator="pathwise"),
    "reverse_kl_loss_of_strata": lambda f: divergences.reverse_kl_loss(Q, f, N, seed=0, estimator="pathwise"),
}
# What may come out of it instead of [200], and what of that the line names.
WRONG = {
    "last_dense_of_1": (lambda x: standard(x)[:, None], r"\(200, 1\)"),
    "row": (lambda x: standard(x)[None], r"\(1, 200\)"),
    "pairs": (lambda x: standard(x)[:, None] - standard(x), r"\(200, 200\)"),
    "not_summed": (lambda x: -0.5 * x**2, r"\(200, 2\)"),
    "not_summed_and_transposed": (lambda x: -0.5 * ops.transpose(x**2), r"\(2, 200\)"),
    "scalar": (lambda x: ops.mean(standard(x)), r"\(\)"),
    "python_number": (lambda x: -1.0, r"\(\)"),
    "int": (lambda x: 0, r"\(\)"),
    "one_number": (lambda x: standard(x)[:1], r"\(1,\)"),
    "half_of_them": (lambda x: standard(x)[::2], r"\(100,\)"),
    "nothing": (lambda x: None, "NoneType"),
    "text": (lambda x: "log p", "dtype string|str"),
    "bools": (lambda x: standard(x) > 0, "dtype bool"),
    "complex": (lambda x: ops.cast(standard(x), "complex64"), "dtype complex64"),
    "value_and_score": (lambda x: (standard(x), -x), "tuple"),
    "masked": (lambda x: np.ma.masked_less(np.array(standard(x)), -3.0), "masked values"),
    "distribution": (lambda x: P, "NormalDist"),
}


@pytest.mark.few(100)
@pytest.mark.parametrize("into", INTO)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_density_of_a_wrong_shape_is_refused_where_it_comes_in(into, wrong):
    density, received = WRONG[wrong]
    with pytest.raises(ValueError, match=rf"Received: .*({received})") as error:
        INTO[into](density)
    assert len(str(error.value).splitlines()) == 1


def test_the_line_says_how_to_drop_the_last_axis():
    with pytest.raises(ValueError, match=r"shape \(200,\): nothing is broadcast. Drop the last axis, `y\[..., 0\]`"):
        divergences.kl_divergence(P, lambda x: standard(x)[:, None], N)


RIGHT = {
    "tensor": standard,
    "numpy": lambda x: np.array(standard(x)),
    "float64": lambda x: scipy.stats.multivariate_normal(np.zeros(2)).logpdf(np.array(x)),
    "list": lambda x: np.array(standard(x)).tolist(),
    "tensors_in_a_list": lambda x: [standard(row) for row in x],
    "of_network_and_squeezed": lambda x: (standard(x)[:, None])[..., 0],
    "variable": lambda x: keras.Variable(standard(x)),
}


@pytest.mark.few(6)
@pytest.mark.parametrize("right", RIGHT)
def test_one_number_for_each_point_in_any_container(right):
    want = P.kl_divergence(kg.NormalDist([0.0, 0.0], [0.0, 0.0]))
    value, error = divergences.kl_divergence(P, RIGHT[right], 2000, seed=0)
    assert value.shape == error.shape == () and value.dtype == "float32"
    assert abs(value - want) <= 4 * error < 0.1


def test_whole_numbers_are_numbers():
    value_and_error = divergences.cross_entropy(P, lambda x: ops.cast(x[:, 0] * 0.0 - 3.0, "int32"), N)
    assert [float(x) for x in value_and_error] == [3.0, 0.0]


@pytest.mark.parametrize("shape", [(N, 1), (N,), (3,), (N, 3, 1), (3, N), ()])
def test_a_batch_of_densities_has_a_number_for_each_too(shape):
    def density(x):
        return ops.zeros(shape)

    with pytest.raises(ValueError, match=r"one number for each point, here shape \(200, 3\): nothing is broadcast"):
        divergences.kl_divergence(BATCH, density, N)
    value, _ = divergences.kl_divergence(BATCH, standard, N, seed=0)
    assert value.shape == (3,)


def test_a_batch_is_not_taken_for_the_draws():
    """A batch of 200 distributions and 200 draws of one: each draw would meet another distribution."""
    many = kg.NormalDist(np.zeros((N, 2), "float32"), np.zeros((N, 2), "float32"))
    for estimate in (divergences.kl_divergence, divergences.cross_entropy, divergences.eubo):
        pair = (many, P) if estimate is divergences.eubo else (P, many)
        with pytest.raises(ValueError, match=r"nothing is broadcast. Received: batch shape \(200,\), compared with"):
            estimate(*pair, N)
    with pytest.raises(ValueError, match="nothing is broadcast"):
        divergences.reverse_kl_loss(P, many, N)


# What is drawn from.


@pytest.mark.parametrize(
    "draws, received",
    [
        (lambda x: x[0], r"\(2,\)"),
        (np.transpose, r"\(2, 200\)"),
        (lambda x: x[:, None].repeat(0, axis=0), r"\(0, 1, 2\)"),
        (lambda x: x[1:], r"\(199, 2\)"),
        (lambda x: None, "NoneType"),
        (lambda x: 1.0, r"\(\)"),
        (lambda x: "x", "dtype string"),
    ],
)
def test_draws_of_a_wrong_shape_are_refused(draws, received):
    for estimate in (lambda p: divergences.entropy(p, N), lambda p: divergences.log_normalizer(p, standard, N)):
        with pytest.raises(ValueError, match=f"Received: .*{received}"):
            estimate(Target(draws=draws))


def test_a_target_of_one_dimension():
    """Whose points have the shape that a last Dense(1) gives: the line still tells them apart."""
    one = Target(lambda x: -0.5 * ops.square(x[:, 0]), lambda x: x[:, :1])
    value, error = divergences.cross_entropy(one, lambda x: -0.5 * ops.square(x[:, 0]), 2000, seed=0)
    assert abs(value - 0.5) <= 4 * error
    with pytest.raises(ValueError, match=r"here shape \(200,\)"):
        divergences.entropy(Target(lambda x: -0.5 * ops.square(x), lambda x: x[:, :1]), N)
    with pytest.raises(ValueError, match=r"here shape \(200,\)"):
        divergences.kl_divergence(one, lambda x: -0.5 * ops.square(x), N)


def test_batches_and_numbers_of_foreign_targets():
    """With an event shape, as TensorFlow Probability has it, and without."""
    numbers = Target(lambda x: -0.5 * x**2, lambda x: x[:, 0])
    batch = Target(lambda x: -0.5 * x**2, event_shape=())
    rows = Target(lambda x: -0.5 * ops.sum(x**2, axis=-1), lambda x: x[:, None])
    for target, shape in ((numbers, ()), (batch, (2,)), (rows, (1,))):
        assert divergences.entropy(target, N, seed=0)[0].shape == shape
    for target in (Target(lambda x: -0.5 * x[:, :1] ** 2, event_shape=()), Target(standard, event_shape=())):
        with pytest.raises(ValueError, match=r"here shape \(200, 2\)"):
            divergences.entropy(target, N)


def test_half_precision_of_a_foreign_target():
    target = Target(lambda x: ops.cast(standard(x), "float16"))
    value, error = divergences.entropy(target, 2000, seed=0)
    assert value.dtype == "float32"
    assert abs(value - 2 * scipy.stats.norm.entropy()) <= 4 * error


# In graphs, fits and figures.


@pytest.mark.exhaustive
def test_in_graphs_too():
    @tf.function(jit_compile=True)
    def estimate(shape):
        return divergences.kl_divergence(P, lambda x: ops.zeros(shape), N, seed=0)

    assert estimate((N,))[0].shape == ()
    with pytest.raises(ValueError, match="nothing is broadcast"):
        estimate((N, 1))


def test_a_function_that_tensorflow_cannot_look_into():
    def density(x):
        return tf.numpy_function(lambda x: scipy.stats.multivariate_normal(np.zeros(2)).logpdf(x), [x], "float64")

    estimate = tf.function(lambda density: divergences.kl_divergence(P, density, 2000, seed=0))
    value, error = estimate(density)
    assert value.shape == ()
    assert abs(value - P.kl_divergence(kg.NormalDist([0.0, 0.0], [0.0, 0.0]))) <= 4 * error
    with pytest.raises(tf.errors.InvalidArgumentError):
        estimate(lambda x: tf.numpy_function(lambda x: np.zeros((len(x), 2)), [x], "float64"))


@pytest.mark.few(4)
@pytest.mark.parametrize("estimator", ["score", "pathwise"])
@pytest.mark.parametrize("wrong", ["last_dense_of_1", "scalar", "not_summed", "nothing", "int"])
def test_fits_refuse_them_too(estimator, wrong):
    with pytest.raises(ValueError, match="A log-density must"):
        kg.mixtures.fit(
            lambda x: WRONG[wrong][0](x), 1, divergence="reverse", estimator=estimator, num_dims=2, iterations=1
        )


def test_figures_refuse_them_too():
    for log_prob in (lambda x: standard(ops.convert_to_tensor(x))[..., None], lambda x: 0.0, lambda x: x):
        with pytest.raises(ValueError, match="A log-density must give one number for each point"):
            kg.plotting.density(Target(log_prob, dim=2), resolution=5)


def test_samples_are_of_a_distribution():
    with pytest.raises(TypeError, match="`q` must be a Distribution. Received: function"):
        divergences.forward_kl_loss(standard, np.zeros((3, 2)))
