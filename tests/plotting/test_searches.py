import numpy as np
import pytest

from kgdists.plotting import search_path

CENTERS = np.array([[3.0, 4.0], [1.0, 1.0], [0.0, 0.2]])
SIGMAS = np.array([[1.0, 0.5], [1.0, 0.5], [0.2, 0.1]])


def landscape(x):
    return x[:, 0] + 10.0 * x[:, 1]


def lines(figure):
    return [line.get_xydata() for line in figure.axes[0].get_lines()]


def test_the_landscape_is_that_of_the_objective():
    figure = search_path(
        landscape, {"center": CENTERS, "sigma": SIGMAS}, limits=((0.0, 4.0), (-2.0, 2.0)), resolution=4
    )
    image = figure.axes[0].get_images()[0].get_array()
    np.testing.assert_allclose(image[0], np.array([0.5, 1.5, 2.5, 3.5]) - 15.0)
    assert figure.axes[0].get_xlim() == (0.0, 4.0)


def test_the_path_is_that_of_the_centers():
    *ellipses, path, start, end = lines(search_path(landscape, {"center": CENTERS, "sigma": SIGMAS}, resolution=4))
    np.testing.assert_allclose(path, CENTERS)
    np.testing.assert_allclose([*start, *end], CENTERS[[0, -1]])
    assert len(ellipses) == 3


def test_an_ellipse_is_one_standard_deviation_wide():
    ellipse, *_ = lines(search_path(landscape, {"center": CENTERS, "sigma": SIGMAS}, resolution=4))
    np.testing.assert_allclose(np.sum(((ellipse - CENTERS[0]) / SIGMAS[0]) ** 2, axis=1), 1.0)
    factors = np.array([[[2.0, 0.0], [1.0, 0.5]]] * 3)
    ellipse, *_ = lines(search_path(landscape, {"center": CENTERS, "sigma": factors}, resolution=4))
    np.testing.assert_allclose(np.sum(np.linalg.solve(factors[0], (ellipse - CENTERS[0]).T) ** 2, axis=0), 1.0)


def test_each_search_of_a_batch_has_a_path():
    history = {"center": np.stack([CENTERS, -CENTERS], axis=1), "sigma": np.stack([SIGMAS, SIGMAS], axis=1)}
    figure = search_path(landscape, history, resolution=4, every=3, color=["white", "red"])
    _, first, *_, second, _, _ = lines(figure)
    assert [line.get_color() for line in figure.axes[0].get_lines()[1::4]] == ["white", "red"]
    np.testing.assert_allclose(first, CENTERS)
    np.testing.assert_allclose(second, -CENTERS)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({"best": [1.0]}, "`track=True`. Received: .'best'"),
        (3, "`track=True`. Received: int"),
        (
            {"center": np.zeros((4, 3)), "sigma": np.ones((4, 3))},
            r"two dimensions. Received: centers of shape \(4, 3\)",
        ),
        ({"center": np.zeros((0, 2)), "sigma": np.ones((0, 2))}, "two dimensions"),
    ],
)
def test_a_path_of_two_dimensions_is_needed(history, message):
    with pytest.raises(ValueError, match=message):
        search_path(landscape, history)
