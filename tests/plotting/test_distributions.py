import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import integrate, stats

import kgdists as kg
from kgdists.distributions.pictures import COLORS
from kgdists.plotting import distribution
from tests.marks import quick
from tests.table import DISTRIBUTIONS, QUICK

X = np.array([[2.0], [-1.0], [0.5]])
REGRESSION = kg.NormalDist(np.sin(X), np.log(0.1 + X**2))


def axes_of(dist, **arguments):
    (axes,) = distribution(dist, **arguments).axes
    return axes


def lines(axes):
    return [line.get_xydata().T for line in axes.get_lines()]


def legend(axes):
    (below,) = axes.figure.legends
    return [text.get_text() for text in below.get_texts()]


def test_each_row_of_scalars_is_a_curve_of_its_density():
    axes = axes_of(REGRESSION)
    for i, (x, density) in enumerate(lines(axes)):
        expected = stats.norm(np.sin(X[i, 0]), np.sqrt(0.1 + X[i, 0] ** 2)).pdf(x)
        np.testing.assert_allclose(density, expected, rtol=1e-5)
        assert integrate.trapezoid(density, x) == pytest.approx(1.0, abs=0.02)
    assert legend(axes) == ["[0]", "[1]", "[2]"] and axes.get_ylabel() == "density"


def test_rows_of_several_axes_are_named_by_their_indexes():
    assert legend(axes_of(kg.NormalDist(np.zeros((2, 2, 1)), np.zeros((2, 2, 1)))))[-1] == "[1, 1]"


def test_eight_rows_look_different():
    axes = axes_of(kg.NormalDist(np.arange(8.0)[:, None], np.zeros((8, 1))))
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}) == 8
    bars = axes_of(kg.CategoricalDist(np.zeros((8, 2)))).containers
    assert len({(bar[0].get_facecolor(), bar[0].get_hatch()) for bar in bars}) == 8


def test_one_distribution_has_no_legend():
    assert axes_of(kg.NormalDist([0.0], [0.0])).figure.legends == []


@pytest.mark.parametrize("options", [{}, {"x": X}], ids=["densities", "bands"])
def test_the_legend_of_a_figure_of_its_own_covers_no_data(options):
    figure = axes_of(REGRESSION, **options).figure
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    assert not figure.axes[0].get_tightbbox(renderer).overlaps(figure.legends[0].get_window_extent(renderer))


def test_axes_of_the_caller_keep_their_size_and_get_the_legend():
    axes = Figure(figsize=(3.0, 3.0)).add_subplot()
    distribution(REGRESSION, axes=axes)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["[0]", "[1]", "[2]"]
    assert axes.figure.legends == [] and axes.figure.get_figheight() == 3.0


def test_bounds_of_a_clipped_normal_are_dots_at_their_probabilities():
    _, (x, masses) = lines(axes_of(kg.ClippedNormalDist([0.0], [0.0], low=-1.0, high=2.0)))
    np.testing.assert_array_equal(x, [-1.0, 2.0])
    np.testing.assert_allclose(masses, stats.norm.sf([1.0, 2.0]), rtol=1e-6)


@pytest.mark.parametrize(
    ("dist", "labels", "heights"),
    [
        (kg.CategoricalDist(np.log([[0.2, 0.8]])), ["0", "1"], [0.2, 0.8]),
        (kg.BernoulliDist([0.0, np.log(3.0)]), ["0", "1"], [0.5, 0.75]),
        (kg.MultiCategoricalDist(np.log([0.3, 0.7, 0.5, 0.5]), (2, 2)), ["0: 0", "0: 1", "1: 0", "1: 1"], None),
        (kg.DiscretizedLogisticDist([0.0], [-9.0], low=-1, high=1), ["0"], [1.0]),
    ],
    ids=["categorical", "bernoulli", "multi_categorical", "integers"],
)
def test_choices_are_bars_of_their_probabilities(dist, labels, heights):
    axes = axes_of(dist)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == labels
    np.testing.assert_allclose([bar.get_height() for bar in axes.patches], heights or [0.3, 0.7, 0.5, 0.5], rtol=1e-6)


def test_contours_hold_the_densest_part_of_the_probability():
    pi = kg.NormalDist([1.0, -2.0], [0.0, 2.0])
    (contours,) = axes_of(pi).collections
    outermost = contours.get_paths()[0].vertices
    # Of a normal distribution in the plane 95 % are within 2.45 standard deviations: exp(-r^2 / 2) = 0.05.
    radii = np.hypot(outermost[:, 0] - 1.0, (outermost[:, 1] + 2.0) / np.e)
    assert radii.max() == pytest.approx(np.sqrt(-2.0 * np.log(0.05)), abs=0.1)


def test_contours_show_more_than_a_peak_at_a_bound():
    (contours,) = axes_of(kg.SquashedNormalDist([0.0, 1.0], [1.5, 1.5], low=-1.0, high=1.0)).collections
    assert sum(len(path) > 0 for path in contours.get_paths()) > 5


@pytest.mark.parametrize("x", [X, X[:, 0], X.astype("float32"), keras.ops.convert_to_tensor(X)], ids=str)
def test_a_regression_is_its_median_and_central_intervals_in_the_order_of_the_inputs(x):
    axes = axes_of(REGRESSION, x=x, mass=(0.5, 0.9))
    order = np.argsort(X[:, 0])
    ((inputs, median),) = lines(axes)
    np.testing.assert_allclose(inputs, X[order, 0])
    np.testing.assert_allclose(median, np.sin(X[order, 0]), rtol=1e-6)
    for band, mass in zip(axes.collections, (0.9, 0.5), strict=True):
        expected = stats.norm(np.sin(X[:, 0]), np.sqrt(0.1 + X[:, 0] ** 2)).interval(mass)
        ends = band.get_paths()[0].vertices
        for end in expected:
            for point in np.stack([X[:, 0], end], axis=1):
                assert np.abs(ends - point).sum(axis=1).min() < 1e-5
    assert legend(axes) == ["median", "90 %", "50 %"]


def test_one_mass_is_one_band():
    assert legend(axes_of(REGRESSION, x=X, mass=0.8)) == ["median", "80 %"]


def test_what_predict_returns_is_drawn():
    pi = keras.tree.map_structure(keras.ops.convert_to_numpy, REGRESSION)
    np.testing.assert_array_equal(lines(axes_of(pi, x=X)), lines(axes_of(REGRESSION, x=X)))


def test_bands_without_quantiles_are_of_draws_and_say_so():
    mixture = kg.GaussianMixtureDist(np.zeros((3, 2)), np.zeros((3, 2, 2)) + X[:, :, None], np.zeros((3, 2, 2)))
    axes = axes_of(mixture, x=X, dimension=1)
    assert axes.figure.legends[0].get_title().get_text() == "of 1000 draws"
    ((inputs, median),) = lines(axes)
    np.testing.assert_allclose(median, inputs, atol=0.2)
    exact = axes_of(kg.GaussianMixtureDist(np.zeros((3, 2)), np.zeros((3, 2, 1)), np.zeros((3, 2, 1))), x=X)
    assert exact.figure.legends[0].get_title().get_text() == ""


def test_one_dimension_of_vectors_is_drawn():
    pi = kg.NormalDist(np.concatenate([X, 2.0 * X], axis=1), np.zeros((3, 2)))
    ((inputs, median),) = lines(axes_of(pi, x=X, dimension=1))
    np.testing.assert_allclose(median, 2.0 * inputs)


def test_it_is_drawn_into_given_axes():
    figure = Figure()
    axes = figure.add_subplot()
    assert distribution(REGRESSION, axes=axes) is figure and len(axes.get_lines()) == 3


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_the_ground_is_that_of_the_style_and_the_colors_are_not(style):
    with plt.style.context(style):
        figure = distribution(REGRESSION, x=X)
        assert figure.get_facecolor() == plt.matplotlib.colors.to_rgba(plt.rcParams["figure.facecolor"])
    assert figure.axes[0].get_lines()[0].get_color() == COLORS[0]


@pytest.mark.parametrize("name", quick(QUICK, list(DISTRIBUTIONS)))
def test_every_distribution_is_drawn_or_says_what_else_to_do(name):
    dist = DISTRIBUTIONS[name]((3,), "float32", np.random.default_rng(0))
    if hasattr(dist, "probs"):
        assert len(axes_of(dist).containers) == 3
    else:
        with pytest.raises(ValueError, match="^(Events must be|A [A-Za-z]+ is drawn branch by branch).* Received: "):
            distribution(dist)


SYMBOLIC = kg.NormalDist(keras.Input((1,)), keras.Input((1,)))
PLANE = kg.NormalDist(np.zeros((3, 2)), np.zeros((3, 2)))


@pytest.mark.parametrize(
    ("dist", "arguments", "error"),
    [
        (kg.NormalDist(np.zeros((9, 1)), np.zeros((9, 1))), {}, r"1 to 8 rows: give `dist\[:8\]`.*shape \(9,\)"),
        (kg.NormalDist(np.zeros((3, 9, 1)), np.zeros((3, 9, 1))), {}, r"1 to 8 rows: give `dist\[0, :8\]`"),
        (kg.NormalDist(np.zeros((0, 1)), np.zeros((0, 1))), {}, r"1 to 8 rows.*shape \(0,\)"),
        (PLANE, {}, r"1 to 1 rows: give `dist\[:1\]`"),
        (kg.NormalDist(np.zeros(3), np.zeros(3)), {}, r"scalars or of two dimensions.*event shape \(3,\)"),
        (SYMBOLIC, {}, "must have values, not symbolic parameters. Received: NormalDist"),
        (SYMBOLIC, {"x": X}, "must have values"),
        (REGRESSION, {"dimension": 0}, "`dimension` must be given with `x` only"),
        (REGRESSION, {"resolution": 1}, "`resolution` must be"),
        (REGRESSION, {"mass": 1.0}, "`mass` must be"),
        (REGRESSION, {"x": X[:2]}, r"input of each row .* Received: x of shape \(2, 1\), batch shape \(3,\)"),
        (REGRESSION, {"x": X.T}, r"input of each row .* Received: x of shape \(1, 3\)"),
        (REGRESSION, {"x": [[0.0], [np.nan], [1.0]]}, "`x` must be finite"),
        (REGRESSION, {"x": keras.Input((1,))}, "input of each row"),
        (REGRESSION, {"x": X, "dimension": 1}, "`dimension` must be"),
        (PLANE, {"x": X}, "`dimension` must say which of the 2"),
        (PLANE, {"x": X, "dimension": 2}, "`dimension` must be"),
        (PLANE[0], {"x": X, "dimension": 0}, r"input of each row .* batch shape \(\)"),
        (kg.CategoricalDist(np.zeros((3, 2))), {"x": X}, "Bands are of numbers"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(dist, arguments, error):
    with pytest.raises(ValueError, match=error) as raised:
        distribution(dist, **arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("x", [None, X], ids=["densities", "quantiles"])
def test_what_is_nan_is_an_error(x):
    nan = keras.tree.map_structure(lambda x: x * np.nan, REGRESSION)
    with pytest.raises(ValueError, match="must be finite. Received: a NormalDist"):
        distribution(nan, x=x)


def test_a_target_is_no_distribution():
    with pytest.raises(TypeError, match="`dist` must be a distribution. Received: DiagonalGaussianMixture"):
        distribution(kg.targets.DiagonalGaussianMixture.create_gmm40())
