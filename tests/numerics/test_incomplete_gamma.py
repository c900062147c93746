"""Tails of the gamma distribution and their inverse against mpmath."""

import itertools
import json

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kgdists.numerics import incomplete_gamma
from tests.golden import FOLDER
from tests.marks import exhaustive

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
CASES = np.array(json.loads((FOLDER / "incomplete_gamma.json").read_text())["cases"])


def tails_and_gradients(a, v):
    """Both logarithms, and of both the derivatives in a and v."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([a, v])
        tails = incomplete_gamma.log_tails(a, v)
    return tails, [tape.gradient(tail, [a, v]) for tail in tails]


@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["eager", "xla"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_tails_down_to_the_range_of_floats(dtype, jit_compile):
    """Each to its own accuracy or to the conditioning in log(x), also where it is nearly 0; likewise gradients."""
    single = (np.abs(CASES[:, 1]) < 1e4) & (CASES[:, 1] < 80.0)
    a, v, *want = (CASES if dtype == "float64" else CASES[single]).T
    run = tf.function(tails_and_gradients, jit_compile=jit_compile) if jit_compile else tails_and_gradients
    tails, gradients = run(*(ops.convert_to_tensor(x.astype(dtype)) for x in (a, v)))
    tiny, tolerance = np.finfo(dtype).tiny, TOLERANCE[dtype]
    for tail, (to_a, to_v), value, slope in zip(tails, gradients, want[:2], want[2:], strict=True):
        unit = np.abs(value) + np.abs(v * np.float64(to_v)) + np.abs(a * slope)
        print(
            np.c_[a, v, tail, value, (np.abs(np.float64(tail) - value) / (tolerance * unit + 2.0 * tiny))][
                np.argsort(-(np.abs(np.float64(tail) - value) / (tolerance * unit + 2.0 * tiny)))[:4]
            ]
        )
        assert (np.abs(np.float64(tail) - value) <= tolerance * unit + 2.0 * tiny).all()
        unit = np.abs(slope) * (10.0 + np.sqrt(a) * np.minimum(np.sqrt(a) * np.abs(v - np.log(a)), 10.0) * np.abs(v))
        assert (np.abs(np.float64(to_a) - slope) <= tolerance * unit + 2e3 * tiny).all()
        assert np.isfinite(to_v).all()


def test_where_one_tail_has_gone():
    a, v = (x.ravel() for x in np.meshgrid([1e-4, 1.0, 1e6], [-np.inf, np.inf]))
    (below, above), gradients = tails_and_gradients(*(ops.convert_to_tensor(x) for x in (a, v)))
    np.testing.assert_array_equal(below, np.where(v < 0, -np.inf, 0.0))
    np.testing.assert_array_equal(above, np.where(v < 0, 0.0, -np.inf))
    assert not np.isnan(gradients).any()


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_quantiles_are_the_inverse(dtype):
    """Of tails from 1/2 to exp(-1e30), a few roundings apart, with the gradients of the implicit function."""
    sizes = [1e-4, 1e-2, 0.5, 0.999, 1.0, 1.5, 10.0, 1e3, 1e6]
    goals = -np.concatenate([[np.log(2.0), 1e4, 1e10, 1e30], np.geomspace(0.7, 700.0, 40)])
    a, goal = (ops.convert_to_tensor(x.astype(dtype)) for x in np.array(list(itertools.product(sizes, goals))).T)
    for is_below in (True, False):
        with tf.GradientTape() as tape:
            tape.watch([a, goal])
            v = incomplete_gamma.log_quantile(a, goal, ops.full(a.shape, is_below))
        to_a, to_goal = tape.gradient(v, [a, goal])
        tails, gradients = tails_and_gradients(a, v)
        tail, (slope_a, slope_v) = (x[0 if is_below else 1] for x in (tails, gradients))
        unit = np.abs(goal) + np.abs(slope_v * v)
        assert (np.abs(tail - goal) <= TOLERANCE[dtype] * unit).all()
        error = np.maximum(np.abs(to_goal * slope_v - 1.0), np.abs(to_a * slope_v / slope_a + 1.0))
        assert (error <= TOLERANCE[dtype] * (10.0 + np.sqrt(a))).all()  # of log(x) - log(a)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-11), ("float32", 3e-6)])
def test_expansion_of_the_implicit_gradient(dtype, tolerance):
    a, z = (x.ravel() for x in np.meshgrid([100.0, 300.0, 1e4, 1e6], np.linspace(-7.0, 7.0, 15)))
    u = z / np.sqrt(a)
    tails, gradients = tails_and_gradients(*(ops.convert_to_tensor(x) for x in (a, u + np.log(a))))
    to_a, to_v = np.where(u < 0.0, *gradients)
    got = incomplete_gamma.implicit_gradient(*(ops.convert_to_tensor(x.astype(dtype)) for x in (a, u)))
    np.testing.assert_allclose(got, -to_a / to_v, rtol=tolerance)
