"""The probability integral transform: uniform where distributions are right, and what it says where they are not."""

import numpy as np
import pytest
from scipy import stats

import kgdists as kg
from kgdists.divergences import probability_integral_transform
from kgdists.plotting import calibration

RNG = np.random.default_rng
N = 4000


def normals(scale=1.0, shift=0.0):
    mu = RNG(0).normal(size=(N, 1))
    return kg.NormalDist(mu + shift, np.full((N, 1), 2.0 * np.log(scale))), mu + RNG(1).normal(size=(N, 1))


def is_uniform(places):
    return stats.kstest(places.ravel(), "uniform").pvalue > 0.01


def test_what_is_right_is_uniform():
    pi, y = normals()
    np.testing.assert_allclose(probability_integral_transform(pi, y), stats.norm.cdf(y - pi.mu.numpy()), atol=1e-6)
    assert is_uniform(probability_integral_transform(pi, y))


@pytest.mark.parametrize("wrong", [{"scale": 0.7}, {"scale": 1.4}, {"shift": 0.2}], ids=str)
def test_what_is_wrong_is_not(wrong):
    assert not is_uniform(probability_integral_transform(*normals(**wrong)))


def test_whole_numbers_are_placed_at_random_within_their_probability():
    pi = kg.DiscretizedLogisticDist(np.full((N, 1), 2.0), np.zeros((N, 1)), 0, 5)
    y = pi.sample(seed=0)
    places = probability_integral_transform(pi, y)
    assert is_uniform(places)
    before = np.where(np.asarray(y) > 0, pi.cdf(np.maximum(y - 1.0, 0.0)), 0.0)
    assert np.all((before - 1e-6 <= places) & (places <= np.asarray(pi.cdf(y)) + 1e-6))


def test_atoms_at_bounds_are_too():
    pi = kg.ClippedNormalDist(np.zeros((N, 1)), np.zeros((N, 1)), -0.5, 1.0)
    assert is_uniform(probability_integral_transform(pi, pi.sample(seed=0)))


def test_without_a_distribution_function_it_is_a_rank_among_draws():
    factor = np.broadcast_to(np.array([[1.0, 0.0], [0.5, 2.0]]), (N // 4, 2, 2))
    pi = kg.MultivariateNormalDist(np.zeros((N // 4, 2)), factor)
    assert is_uniform(probability_integral_transform(pi, pi.sample(seed=0), num_samples=200, seed=1))


@pytest.mark.parametrize(
    "pi, y, error, message",
    [
        (kg.NormalDist([0.0], [0.0]), np.zeros(2), ValueError, r"`y` must have the shape .*\(1,\), and values"),
        (kg.NormalDist([0.0], [0.0]), [np.nan], ValueError, "`y` must be free of NaN"),
        (kg.CategoricalDist([0.0, 1.0]), [0.0, 1.0], TypeError, "a distribution of numbers. Received: CategoricalDist"),
        (None, [0.0], TypeError, "must be a distribution. Received: NoneType"),
    ],
)
def test_what_has_no_place_is_refused(pi, y, error, message):
    with pytest.raises(error, match=message):
        probability_integral_transform(pi, y)


def test_the_histogram_is_the_density_of_places():
    pi, y = normals(scale=0.5)
    (axes,) = calibration(pi, y, bins=10).axes
    heights = axes.patches[-1].get_data().values
    assert heights.mean() == pytest.approx(1.0) and heights[0] > 1.5 and heights[5] < 0.8
    figure = calibration(*normals())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["95 % if right"]
    (axes,) = figure.axes
    low, high = 1.0 - 1.96 * np.sqrt(19 / N), 1.0 + 1.96 * np.sqrt(19 / N)
    inside = [low < height < high for height in axes.patches[-1].get_data().values]
    assert len(inside) == 20 and np.mean(inside) >= 0.8


def test_one_dimension_of_several_and_no_observations():
    pi = kg.NormalDist(np.zeros((50, 2)), np.zeros((50, 2)))
    assert calibration(pi, np.zeros((50, 2)), dimension=1).axes
    with pytest.raises(ValueError, match="at least one observation"):
        calibration(pi[:0], np.zeros((0, 2)))
