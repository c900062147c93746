import numpy as np
import pytest

import kgdists as kg
from kgdists.plotting import components, density, divergence_grid, samples

MU = np.array([[-4.0, 1.0], [3.0, -2.0]])
FACTORS = np.array([[[1.0, 0.0], [0.5, 1.2]], [[0.6, 0.0], [-0.3, 2.0]]])


def mixture(k=2, **fields):
    weights = np.array([0.2, 0.8])[:k]
    return kg.GaussianMixtureDist(**{"logits": np.log(weights), "mu": MU[:k], "scale_tril": FACTORS[:k], **fields})


class Target:
    """What a target has: numpy in, numpy out."""

    dim = 2
    distribution = mixture()

    def sample(self, n_samples, seed=None):
        return np.random.default_rng(seed).normal(size=(n_samples, 2))

    def log_prob(self, x):
        return self.distribution.log_prob(x).numpy()


def colours(axes):
    return axes.get_images()[0].get_array()


def test_colours_are_densities_at_the_middles_of_cells():
    (axes,) = density(mixture(), limits=((-8.0, 8.0), (-12.0, 4.0)), resolution=16).axes
    image = colours(axes)
    assert image.shape == (16, 16) and axes.get_images()[0].origin == "lower"
    # Rows are the second dimension: row 3 is the cell from -9 to -8, column 5 the one from -3 to -2.
    np.testing.assert_allclose(image[3, 5], np.exp(mixture().log_prob([-2.5, -8.5])), rtol=1e-5)
    assert axes.get_xlim() == (-8.0, 8.0) and axes.get_ylim() == (-12.0, 4.0)


def test_densities_in_view_add_up_to_one():
    image = colours(density(mixture()).axes[0])
    assert image.sum() * (20 / 200) ** 2 == pytest.approx(1.0, abs=1e-4)


def test_density_zero_has_the_first_colour():
    image = density(mixture(), vmax=0.5).axes[0].get_images()[0]
    assert (image.norm.vmin, image.norm.vmax, image.get_cmap().name) == (0.0, 0.5, "viridis")


def test_a_target_is_plotted_as_its_distribution():
    figures = [samples(p, MU, resolution=5) for p in (mixture(), Target())]
    np.testing.assert_allclose(*(colours(figure.axes[0]) for figure in figures))
    ellipses = [components(p).axes[0].get_lines() for p in (mixture(), Target())]
    for line, other in zip(*ellipses, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), other.get_xydata())


@pytest.mark.parametrize("plot", [density, samples, components])
def test_a_figure_is_drawn_into_given_axes(plot):
    figure = density(mixture(), resolution=5)
    assert plot(mixture(), axes=figure.axes[0]) is figure and len(figure.axes) == 1


def test_any_distribution_over_the_plane_has_a_density():
    pi = kg.NormalDist(mu=[1.0, 2.0], logvar=[0.0, 0.0])
    image = colours(samples(pi, 10, resolution=20).axes[0])
    assert np.unravel_index(image.argmax(), image.shape) in [(row, column) for row in (11, 12) for column in (10, 11)]


def test_draws_are_exact():
    # Relaxed draws would lie between the components too.
    (line,) = samples(mixture(), 400, seed=1, resolution=5).axes[0].get_lines()
    x = line.get_xydata()
    assert x.shape == (400, 2)
    distances = np.linalg.norm(np.linalg.solve(FACTORS[:, None], (x - MU[:, None])[..., None])[..., 0], axis=-1)
    nearest = distances.min(axis=0)
    assert nearest.max() < 5.0 and np.mean(distances.argmin(axis=0)) == pytest.approx(0.8, abs=0.08)


def test_given_points_are_drawn_as_they_are():
    x = [[0.0, 1.0], [2.0, 3.0]]
    (line,) = samples(mixture(), x, resolution=5).axes[0].get_lines()
    np.testing.assert_array_equal(line.get_xydata(), x)


def test_points_outside_do_not_widen_the_view():
    (axes,) = samples(mixture(), [[50.0, 0.0]], resolution=5).axes
    assert axes.get_xlim() == axes.get_ylim() == (-10.0, 10.0)


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_ellipses_are_standard_deviations_from_the_means(kind):
    factors = FACTORS if kind == "full" else np.array([np.diag([1.0, 2.0]), np.diag([0.5, 3.0])])
    spread = {"scale_tril": FACTORS} if kind == "full" else {"logvar": np.log(np.diagonal(factors, 0, 1, 2) ** 2)}
    pi = kg.GaussianMixtureDist(np.zeros(2), MU, **spread)
    lines = components(pi, deviations=(1.0, 2.5)).axes[0].get_lines()
    assert len(lines) == 6
    for i in range(2):
        centre, inner, outer = (line.get_xydata() for line in lines[3 * i : 3 * i + 3])
        np.testing.assert_allclose(centre, MU[i : i + 1])
        for points, radius in ((inner, 1.0), (outer, 2.5)):
            z = np.linalg.solve(factors[i], (points - MU[i]).T)
            np.testing.assert_allclose(np.linalg.norm(z, axis=0), radius)


def test_light_components_are_fainter_and_absent_ones_left_out():
    light, heavy = components(mixture(), deviations=()).axes[0].get_lines()
    assert light.get_alpha() < heavy.get_alpha() == 1.0
    assert len(components(mixture(logits=np.array([0.0, -np.inf])), deviations=()).axes[0].get_lines()) == 1


@pytest.mark.parametrize(
    ("plot", "distribution"),
    [
        (density, kg.NormalDist(mu=[0.0], logvar=[0.0])),
        (samples, kg.NormalDist(mu=np.zeros((5, 2)), logvar=np.zeros((5, 2)))),
        (components, kg.GaussianMixtureDist([0.0], [[0.0]], [[0.0]])),
    ],
    ids=["one dimension", "batch", "mixture of one dimension"],
)
def test_what_is_not_over_the_plane_is_refused(plot, distribution):
    with pytest.raises(ValueError, match="vectors of 2 dimensions, without a batch. Received: shape"):
        plot(distribution)


def test_a_target_of_more_dimensions_is_refused():
    target = Target()
    target.dim = 3
    with pytest.raises(ValueError, match=r"2 dimensions, .* Received: shape \(3,\)"):
        density(target)


def test_what_has_no_components_is_refused():
    with pytest.raises(ValueError, match="a Gaussian mixture. Received: NormalDist"):
        components(kg.NormalDist(mu=[0.0, 0.0], logvar=[0.0, 0.0]))


def test_points_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"`x` must be .* Received: shape \(2,\)"):
        samples(mixture(), [1.0, 2.0], resolution=5)


@pytest.fixture(scope="module")
def grid():
    fits = {name: [mixture(1), mixture(2)] for name in ("forward KL", "reverse KL")}
    captions = {name: [f"{name} {k}" for k in (1, 2)] for name in fits}
    return divergence_grid(Target(), fits, captions=captions, resolution=10)


def test_the_grid_has_a_row_for_each_divergence_and_a_column_for_each_fit(grid):
    assert [axes.get_title() for axes in grid.axes] == 2 * ["target", "1 component", "2 components"]
    assert [axes.get_ylabel() for axes in grid.axes] == ["forward KL", "", "", "reverse KL", "", ""]
    assert grid.axes[4].get_xlabel() == "reverse KL 1"


def test_the_panels_of_the_grid_have_one_scale_of_colours(grid):
    images = [axes.get_images()[0] for axes in grid.axes]
    assert {image.norm.vmax for image in images} == {images[0].get_array().max()}
    np.testing.assert_array_equal(images[0].get_array(), images[2].get_array())


def test_the_grid_can_be_written(grid, tmp_path):
    grid.savefig(tmp_path / "grid.png", dpi=30)
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_rows_of_the_grid_must_be_equally_long():
    with pytest.raises(ValueError, match="one length. Received: {'a': 1, 'b': 2}"):
        divergence_grid(mixture(), {"a": [mixture(1)], "b": [mixture(1), mixture(2)]})


def test_a_target_without_components_is_drawn_without_ellipses():
    p = kg.NormalDist(mu=[0.0, 0.0], logvar=[0.0, 0.0])
    _, axes = divergence_grid(p, {"a": [mixture(1)]}, resolution=10).axes
    assert len(axes.get_lines()) == 2
