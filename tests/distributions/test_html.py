"""What a notebook shows of a distribution."""

import html5lib
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists.distributions.pictures import COLORS, Bars, Curves, picture
from kgdists.interop.tfp import TFPDist
from tests.marks import quick
from tests.table import DISTRIBUTIONS, HEADS, QUICK, QUICK_HEADS

WITH_BARS = {"bernoulli", "masked_bernoulli", "categorical", "masked_categorical", "multi_categorical"}
WITH_BARS |= {"tempered_categorical", "relaxed_one_hot", "composite", "one_of"}

SCALARS = {
    "normal": lambda: kg.NormalDist([[0.0], [3.0]], [[0.0], [-2.0]]),
    "float16": lambda: kg.NormalDist(np.float16([[1000.0]]), np.float16([[-9.0]])),
    "squashed_normal": lambda: kg.SquashedNormalDist([[0.0], [1.0]], [[1.0], [-2.0]], low=-1.0, high=3.0),
    "beta": lambda: kg.BetaDist([[0.7], [4.0]], [[0.7], [2.0]], low=-1.0, high=1.0),
    "gaussian_mixture": lambda: kg.GaussianMixtureDist([[0.0, 1.0]], [[[0.0], [4.0]]], [[[0.0], [-2.0]]]),
    "state_dependent_normal": lambda: kg.StateDependentNormalDist([[0.0]], [[[1.0], [2.0]]]),
    "gamma": lambda: TFPDist("Gamma", {"concentration": [[1.0], [3.0]], "rate": [[1.0], [2.0]]}),
    "cauchy": lambda: TFPDist("Cauchy", {"loc": [[0.0]], "scale": [[1.0]]}),
}


def shown(dist):
    """The tree of its HTML, which a strict parser takes."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parseFragment(dist._repr_html_())


def texts(tree):
    return " ".join(tree.itertext())


def svgs(tree):
    return tree.findall(".//{http://www.w3.org/2000/svg}svg")


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)], ids=str)
@pytest.mark.parametrize("name", quick(QUICK, list(DISTRIBUTIONS)))
def test_every_distribution_is_shown(name, batch):
    dist = DISTRIBUTIONS[name](batch, "float32", np.random.default_rng(0))
    tree = shown(dist)
    assert all(part in texts(tree) for part in (type(dist).__name__, f"batch {batch}"))
    assert bool(svgs(tree)) == (name in WITH_BARS and 0 not in batch)
    for tag in ("script", "style", "image"):
        assert not tree.findall(f".//{tag}")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("name", quick(QUICK, list(DISTRIBUTIONS)))
def test_pictures_are_those_of_every_dtype(name, dtype):
    made = DISTRIBUTIONS[name]((3,), dtype, np.random.default_rng(0))
    assert bool(svgs(shown(made))) == (name in WITH_BARS)


@pytest.mark.parametrize("head", quick(QUICK_HEADS, list(HEADS)))
def test_symbolic_parameters_are_shown_without_values(head):
    kind, arguments, *_ = HEADS[head]
    pi = kind(**arguments)(keras.Input((4,)))
    tree = shown(pi)
    assert "(None," in texts(tree) and not svgs(tree)


@pytest.mark.parametrize("name", quick(QUICK, list(DISTRIBUTIONS)))
def test_what_predict_returns_is_shown_as_what_is_called(name):
    dist = DISTRIBUTIONS[name]((3,), "float32", np.random.default_rng(0))
    of_arrays = keras.tree.map_structure(ops.convert_to_numpy, dist)
    assert of_arrays._repr_html_() == dist._repr_html_()
    assert svgs(shown(of_arrays[0])) == [] or name in WITH_BARS  # a row has numbers of NumPy


@pytest.mark.parametrize("leaf", [None, "mu", 1.0, [1.0], np.nan, keras.InputSpec(shape=(None, 4))], ids=str)
@pytest.mark.parametrize("name", quick(QUICK, list(DISTRIBUTIONS)))
def test_leaves_of_any_kind_are_shown(name, leaf):
    dist = DISTRIBUTIONS[name]((3,), "float32", np.random.default_rng(0))
    assert type(dist).__name__ in texts(shown(keras.tree.map_structure(lambda _: leaf, dist)))


@pytest.mark.parametrize("name", quick((*QUICK, *SCALARS), [*DISTRIBUTIONS, *SCALARS]))
def test_nan_is_shown(name):
    make = SCALARS.get(name) or (lambda: DISTRIBUTIONS[name]((3,), "float32", np.random.default_rng(0)))
    dist = keras.tree.map_structure(lambda x: ops.full_like(x, np.nan), make())
    tree = shown(dist)
    assert "nan" in texts(tree) and not svgs(tree)


def test_rows_beside_one_that_is_nan_are_drawn():
    good = kg.NormalDist([[0.0], [1.0]], [[0.0], [0.0]])
    pi = keras.tree.map_structure(lambda x: ops.where([[True], [False]], x, np.nan), good)
    drawn = picture(pi, 4)
    assert np.isfinite(drawn.density[0]).all() and np.isnan(drawn.density[1]).all()
    assert len(svgs(shown(pi))) == 1


@pytest.mark.parametrize("name", ["normal", "categorical"])
def test_tensors_of_a_graph_are_shown_without_a_picture(name):
    found = []

    @tf.function(autograph=False)
    def traced(x):
        dist = DISTRIBUTIONS[name]((3,), "float32", np.random.default_rng(0))
        found.extend([shown(kg.NormalDist(x, x)), shown(dist)])
        return x

    traced(tf.zeros((3, 1)))
    assert [svgs(tree) for tree in found] == [[], []]


@pytest.mark.parametrize("name", SCALARS)
def test_curves_of_scalar_events_are_their_densities(name):
    dist = SCALARS[name]()
    drawn = picture(dist, 4)
    assert isinstance(drawn, Curves) and drawn.density.shape == (dist.batch_shape[0], len(drawn.x))
    # What is in view is nearly all: the rest is beyond the least and the greatest of some hundred draws.
    widths = np.gradient(drawn.x)
    np.testing.assert_allclose(drawn.density @ widths, 1.0, atol=0.1)
    assert drawn.masses.size == 0 and len(svgs(shown(dist))) == 1


def test_bounds_of_a_clipped_normal_have_probabilities_of_their_own():
    drawn = picture(kg.ClippedNormalDist([[0.0], [1.0]], [[0.0], [-2.0]], low=-1.0, high=1.0), 4)
    np.testing.assert_array_equal(drawn.atoms, [-1.0, 1.0])
    np.testing.assert_allclose(drawn.masses[:, 1], [0.15865525, 0.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("dist", "labels"),
    [
        (kg.DiscretizedLogisticDist([[1.0]], [[0.0]], low=-1, high=2), ("-1", "0", "1", "2")),
        (kg.MultiCategoricalDist([[0.0, 1.0, 0.0, 0.0, 0.0]], (2, 3)), ("0: 0", "0: 1", "1: 0", "1: 1", "1: 2")),
        (TFPDist("Categorical", {"logits": [[0.0, 1.0]]}), ("0", "1")),
    ],
    ids=["integers", "choices", "labels"],
)
def test_bars_are_the_probabilities_of_each_value(dist, labels):
    drawn = picture(dist, 4)
    assert isinstance(drawn, Bars) and drawn.labels == labels
    assert drawn.probs.sum() == pytest.approx(2.0 if ":" in labels[0] else 1.0)


@pytest.mark.parametrize(
    "dist",
    [
        kg.NormalDist([[0.0, 1.0], [2.0, 3.0]], [[0.0, 0.0], [1.0, -4.0]]),
        kg.MultivariateNormalDist([0.0, 1.0], [[1.0, 0.0], [0.9, 0.3]]),
        kg.GaussianMixtureDist([0.0, 1.0], [[0.0, 0.0], [4.0, 3.0]], [[0.0, 0.0], [-2.0, 1.0]]),
    ],
    ids=["batch", "correlated", "mixture"],
)
def test_events_of_two_dimensions_have_a_surface_for_each_row(dist):
    surfaces = picture(dist, 4)
    for x, y, density in surfaces:
        assert density.sum() * (x[1] - x[0]) * (y[1] - y[0]) == pytest.approx(1.0, abs=0.05)
    assert len(surfaces) == len(svgs(shown(dist))) == (dist.batch_shape or (1,))[0]
    x, y, density = surfaces[0]
    np.testing.assert_allclose(
        density[3, 5], dist[:1].prob([[x[5], y[3]]])[0] if dist.batch_shape else dist.prob([x[5], y[3]]), rtol=1e-4
    )


def test_only_the_first_rows_of_a_large_batch_are_drawn():
    pi = kg.CategoricalDist(np.zeros((100_000, 18), "float32"))
    assert picture(pi, 4).probs.shape == (4, 18) and len(pi._repr_html_()) < 5_000


def test_long_values_are_cut():
    wide = kg.DiscretizedLogisticDist(np.zeros((500,)), np.zeros((500,)), low=0, high=9)
    many = kg.CompositeDist({f"part {i}": kg.NormalDist([0.0] * 3, [0.0] * 3) for i in range(200)})
    assert len(wide._repr_html_()) < 1_000
    assert "200 in all" in texts(shown(many)) and "part 99" not in texts(shown(many))
    assert "60 of 1000 probabilities" in texts(shown(kg.CategoricalDist(np.zeros(1000))))


def test_names_are_escaped():
    name = "<script>alert('&')</script>"
    pi = kg.CompositeDist({name: kg.NormalDist([0.0], [0.0], name=name)}, name=name)
    tree = shown(pi)
    assert not tree.findall(".//script") and texts(tree).count(name) == 4


class Broken(kg.Distribution):
    PARAM_NAMES = ("mu",)

    def __init__(self, mu, random_seed=None):
        self.set_fields(mu=ops.convert_to_tensor(mu), random_seed=random_seed)


def test_a_distribution_without_methods_is_shown():
    assert "Broken" in texts(shown(Broken([0.0])))


def luminance(color):
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4) @ [
        0.2126,
        0.7152,
        0.0722,
    ]


@pytest.mark.parametrize("ground", ["#ffffff", "#1e1e1e"], ids=["light", "dark"])
@pytest.mark.parametrize("color", COLORS)
def test_colors_stand_out_on_light_and_on_dark(color, ground):
    # WCAG 2.1, 1.4.11: graphics have a contrast of at least 3.
    low, high = sorted([luminance(color), luminance(ground)])
    assert (high + 0.05) / (low + 0.05) >= 3.0
