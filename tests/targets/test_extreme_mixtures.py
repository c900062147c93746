"""Covariances that are symmetric but for rounding, deviations of any size, and dtypes that cannot hold the draws."""

import re

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import tensorflow as tf

from kgdists.core import shapes
from kgdists.targets import DiagonalGaussianMixture, GaussianMixture

RNG = np.random.default_rng


def rotation(angle, dtype="float64"):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype)


def one(covariance, mean=None, dtype="float64"):
    """A target of a single normal distribution."""
    mean = np.zeros(len(covariance)) if mean is None else mean
    return GaussianMixture(np.asarray(mean, dtype)[None], np.asarray(covariance)[None], weights=[1.0])


# Covariances.

SCALES = [1.0, 1e-30, 1e30, 1e-150, 1e-300, 1e250]


@pytest.mark.parametrize("variances", [(0.3, 0.3), (1.0, 1.0), (2.0, 0.1), (1.0, 1e-6)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_rotated_covariance_is_symmetric_but_for_rounding(variances, dtype):
    """R diag(v) R^T for 200 rotations: its entries off the diagonal may be 0 but for rounding."""
    angles = np.linspace(0.0, 2 * np.pi, 200)
    covariances = [rotation(a, dtype) @ np.diag(variances).astype(dtype) @ rotation(a, dtype).T for a in angles]
    target = GaussianMixture(np.zeros((200, 2)), np.array(covariances), weights=np.ones(200))
    half = 0.5 * np.array(covariances, "float64") + 0.5 * np.swapaxes(covariances, 1, 2)
    want = [scipy.linalg.cholesky(covariance, lower=True) for covariance in half]
    np.testing.assert_allclose(target.scale_tril, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_covariances_of_any_size(eagerly, scale):
    for angle in np.linspace(0.0, 3.0, 5):
        covariance = scale * (rotation(angle) @ np.diag([0.3, 0.3]) @ rotation(angle).T)
        target, x = one(covariance), np.sqrt(scale) * RNG(0).normal(size=(5, 2))
        want = scipy.stats.norm(0, np.sqrt(0.3)).logpdf(x / np.sqrt(scale)).sum(axis=1) - np.log(scale)
        np.testing.assert_allclose(target.log_prob(x), want, rtol=1e-9, atol=1e-9)


MADE_BY = {
    "rotations_of_50_dimensions": lambda: _rotated(50, "float64"),
    "rotations_of_50_dimensions_float32": lambda: _rotated(50, "float32"),
    "rotations_of_200_dimensions_float32": lambda: _rotated(200, "float32"),
    "inverse_of_a_precision": lambda: np.linalg.inv(np.cov(RNG(0).normal(size=(4, 30)))),
    "float32_cast_to_float64": lambda: _rotated(3, "float32").astype("float64"),
    "very_different_units": lambda: _in_units(np.cov(RNG(0).normal(size=(3, 30))), [1e-8, 1.0, 1e9]),
    "of_a_sample": lambda: np.cov(RNG(0).normal(size=(5, 200)).astype("float32"), dtype="float32"),
    "of_whole_numbers": lambda: np.array([[4, 1], [1, 3]]),
    "printed_to_7_digits": lambda: np.array([[1.0, 0.1234567], [0.1234568, 1.0]]),
    "a_list": lambda: [[1.0, 1e-17], [0.0, 1.0]],
}


def _rotated(dim, dtype):
    q = scipy.stats.ortho_group.rvs(dim, random_state=0).astype(dtype)
    return q @ np.diag(np.linspace(0.1, 3.0, dim)).astype(dtype) @ q.T


def _in_units(covariance, units):
    rounded = covariance * (1 + 1e-9 * RNG(1).normal(size=covariance.shape))
    return rounded * np.outer(units, units)


@pytest.mark.parametrize("made_by", MADE_BY)
def test_covariances_as_users_make_them(eagerly, made_by):
    covariance = np.asarray(MADE_BY[made_by]())
    target = one(covariance)
    half = 0.5 * (covariance.astype("float64") + covariance.T)
    stds = np.sqrt(np.diag(half))
    x = stds * RNG(0).normal(size=(5, len(half)))
    want = scipy.stats.multivariate_normal(cov=half / np.outer(stds, stds)).logpdf(x / stds) - np.log(stds).sum()
    np.testing.assert_allclose(target.log_prob(x), want, rtol=1e-8)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
@pytest.mark.parametrize(
    "covariance",
    [
        [[1.0, 0.5], [0.4, 1.0]],
        [[1.0, 1e-3], [0.0, 1.0]],
        [[1.0, 1e-3], [-1e-3, 1.0]],
        [[1e8, 1.0], [0.0, 1.0]],
        [[1.0, 0.1, 0.0], [0.1, 1.0, 0.2], [0.0, 0.3, 1.0]],
        [[1.0, 0.00001], [0.0, 1.0]],
    ],
    ids=str,
)
def test_covariances_that_are_not_symmetric_are_refused(covariance, scale):
    with pytest.raises(ValueError, match=r"must be symmetric. Received: .* at \[.*\] of the one at index 0") as error:
        one(scale * np.array(covariance))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30, 1e-200])
@pytest.mark.parametrize(
    "covariance",
    [
        [[1.0, 2.0], [2.0, 1.0]],
        [[1.0, 1.0], [1.0, 1.0]],
        [[0.0, 0.0], [0.0, 0.0]],
        [[0.0, 0.0], [0.0, 1.0]],
        [[-1.0, 0.0], [0.0, 1.0]],
        np.outer([0.1, 0.3], [0.1, 0.3]),
        np.outer([0.3, 0.7, 0.1], [0.3, 0.7, 0.1]),
        np.cov(np.random.default_rng(0).normal(size=(4, 3))),
        [[-1.0]],
    ],
    ids=range(9),
)
def test_covariances_that_are_not_positive_definite_are_refused(covariance, scale):
    """Those among them whose factor would be made of rounding."""
    with pytest.raises(
        ValueError, match="must be positive definite. Received: a smallest eigenvalue of .* index 0"
    ) as e:
        one(scale * np.array(covariance))
    assert len(str(e.value).splitlines()) == 1


# Deviations.


@pytest.mark.few(4)
@pytest.mark.parametrize("std", [1e-46, 1e-40, 1e-38, 1e-20, 1e20, 1e39, 1e100, 1e-150, 1e150])
@pytest.mark.parametrize("kind", ["diag", "full"])
def test_draws_have_deviations_of_any_size(eagerly, kind, std):
    """In float64 they are those of deviation 1 times a number, and densities of both dtypes are right."""
    if kind == "diag":
        make = lambda s: DiagonalGaussianMixture([[0.0, 0.0]], [[s, 2 * s]], [0.0])  # noqa: E731
    else:
        make = lambda s: one(np.array([[s, 0.5 * s], [0.5 * s, 3 * s]]) * s)  # noqa: E731
    target, unit = make(std), make(1.0)
    x, z = target.sample(200, seed=0), unit.sample(200, seed=0)
    np.testing.assert_allclose(x / std, z, rtol=1e-6)
    np.testing.assert_array_equal(target.load_dataset("train", 5).get_samples().std(axis=0) > 0, True)
    np.testing.assert_allclose(target.log_prob(x), unit.log_prob(z) - 2 * np.log(std), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(target.score(x) * std, unit.score(z), rtol=1e-5, atol=1e-4)
    origin = np.zeros((1, 2), "float32")
    np.testing.assert_allclose(target.log_prob(origin), unit.log_prob(origin) - 2 * np.log(std), rtol=1e-5)


@pytest.mark.exhaustive
def test_deviations_of_any_size_under_xla():
    x = np.array([[0.3], [-1.0]])
    for std in (1e-46, 1e39):
        target = DiagonalGaussianMixture([[0.0]], [[std]], [0.0])
        want = scipy.stats.norm.logpdf(x[:, 0]) - np.log(std)
        np.testing.assert_allclose(target.log_prob(std * x), want, rtol=1e-9)
        assert target.sample(50, seed=0).std() / std > 0.5
        origin = target.log_prob(np.zeros((1, 1), "float32"))
        np.testing.assert_allclose(origin, scipy.stats.norm.logpdf(0) - np.log(std), rtol=1e-6)


@pytest.mark.parametrize("std", [1e-310, 1e-301, 1e301])
def test_deviations_without_an_inverse_are_refused(std):
    with pytest.raises(ValueError, match="`diag_stds` must be between 1e-300 and .*Received: 1e"):
        DiagonalGaussianMixture([[0.0]], [[std]], [0.0])


@pytest.mark.parametrize(
    "mean, std", [(0.0, 1e-46), (0.0, 1e39), (1e9, 1.0), (-1e9, 1.0), (3e38, 1e38), (1e5, 1e-3), (16777216.0, 1.0)]
)
@pytest.mark.parametrize("kind", ["diag", "full"])
def test_single_precision_that_cannot_hold_the_draws_is_refused(eagerly, kind, mean, std):
    """As the dtype of the target, or of a stream of a float64 target; float64 holds them."""

    def make(dtype):
        means = np.array([[0.0, 0.0], [0.0, mean]], dtype)
        stds = np.array([[1.0, 1.0], [1.0, std]])
        if kind == "diag":
            return DiagonalGaussianMixture(means, stds, [0.0, 0.0])
        return GaussianMixture(means, [np.diag(s**2) for s in stds], [0.0, 0.0])

    text = re.escape(f"at mean {abs(mean):g} and deviation {std:g}")
    for draw in (
        lambda: make("float32").sample(5, seed=0),
        lambda: make("float32").load_dataset("train", 5).get_samples(),
        lambda: make("float64").load_dataset("train", 5).as_tf_dataset(5),
    ):
        with pytest.raises(ValueError, match=f"must hold the draws.* Received: (steps of|an overflow).*{text}"):
            draw()
    with pytest.raises(ValueError, match="`dtype` must hold the draws"):
        make("float64").load_dataset("train", 5).as_tf_dataset(5, dtype="float16")
    far = make("float64").sample(200, seed=0)[:, 1]
    far = far[np.abs(far - mean) < 8 * std]
    assert mean in (0.0, 3e38) or scipy.stats.kstest((far - mean) / std, "norm").pvalue > 1e-3


@pytest.mark.few(2)
@pytest.mark.parametrize("mean, std", [(1e6, 1.0), (1e9, 1e3), (0.0, 1e-30), (0.0, 1e30), (-1e4, 0.1), (1e30, 1e28)])
def test_offsets_that_single_precision_holds(mean, std):
    (batch,) = DiagonalGaussianMixture([[mean]], [[std]], [0.0]).load_dataset("train", 5).as_tf_dataset(5000).take(1)
    assert batch.dtype == "float32"
    assert scipy.stats.kstest((batch.numpy().astype("float64")[:, 0] - mean) / std, "norm").pvalue > 1e-3


def test_a_component_without_weight_need_not_be_held(eagerly):
    target = DiagonalGaussianMixture(np.array([[0.0], [1e9]], "float32"), [[1.0], [1.0]], [0.0, -np.inf])
    assert np.ptp(target.sample(10, seed=0)) > 0


# Dtypes of streams.

GMM40 = DiagonalGaussianMixture.create_gmm40().load_dataset("train", 10, include_log_probs=True)


@pytest.mark.parametrize(
    "dtype", ["int32", "int64", "uint8", "bool", "string", "complex64", "float8", "f", 3, np.int32, tf.int32, [1]]
)
def test_a_stream_is_of_floats(dtype):
    with pytest.raises(ValueError, match="`dtype` must be one of 'float16', .* Received: dtype="):
        GMM40.as_tf_dataset(2, dtype=dtype)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64", np.float32, np.dtype("float64"), tf.float16]
)
def test_a_stream_of_any_float_dtype(dtype):
    (batch,) = GMM40.as_tf_dataset(4, dtype=dtype).take(1)
    name = shapes.dtype_of(batch["samples"])
    assert name == (dtype if isinstance(dtype, str) else tf.as_dtype(dtype).name)
    tolerance = {"bfloat16": 0.2, "float16": 0.02}.get(name, 1e-5)
    np.testing.assert_allclose(tf.cast(batch["samples"], "float64"), GMM40.get_samples(4), atol=tolerance)
    np.testing.assert_allclose(tf.cast(batch["log_probs"], "float64"), GMM40.get_log_probs(4), atol=tolerance)


@pytest.mark.few(6)
@pytest.mark.parametrize("offset", [0.0, 1e8, -1e8, 1e16, 1e30, -1e30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_offset_of_all_logits_changes_nothing(offset, dtype):
    means, stds = np.array([[0.0], [1.0]], dtype), np.ones((2, 1), dtype)
    target = DiagonalGaussianMixture(means, stds, np.full(2, offset, dtype))
    np.testing.assert_allclose(target.weights, [0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(target.log_weights, -np.log([2.0, 2.0]), rtol=1e-6)
    np.testing.assert_allclose(target.log_prob(np.array([[0.3]])), -1.0589468, rtol=1e-6)


@pytest.mark.few(4)
@pytest.mark.parametrize("std", [1e-299, 1e-200, 1e-160, 1e-150, 1.0, 1e150, 1e160, 1e200, 1e299])
@pytest.mark.parametrize("as_input", [np.asarray, tf.constant], ids=["array", "tensor"])
def test_the_score_of_every_deviation_is_right(std, as_input):
    target = DiagonalGaussianMixture(np.zeros((1, 2)), np.array([[std, 1.0]]), np.zeros(1))
    x = as_input(np.array([[std, 2.0], [-2.0 * std, 0.0]]))
    scores = target.score(x), target.log_prob_and_score(x)[1]
    for score in scores:
        np.testing.assert_allclose(np.asarray(score) * [std, 1.0], [[-1.0, -2.0], [2.0, 0.0]], rtol=1e-12)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("std", "dtype"), [(1e-6, "float16"), (1e-39, "float32"), (1e-39, "bfloat16"), (1e39, "float32"), (1e5, "float16")]
)
def test_scores_that_a_dtype_cannot_hold_are_one_line(std, dtype):
    target = DiagonalGaussianMixture(np.zeros((1, 1)), np.full((1, 1), std), np.zeros(1))
    dataset = target.load_dataset("train", 8, include_samples=False, include_scores=True)
    with pytest.raises(ValueError, match=f"`dtype` must hold the scores of draws: .* Received: {dtype}"):
        dataset.as_tf_dataset(4, dtype=dtype)
    scores = next(iter(dataset.as_tf_dataset(8, dtype="float64")))["scores"].numpy() * std
    assert np.isfinite(scores).all() and 0.2 < np.abs(scores).max() < 9.0
