"""Sums in units do not depend on the order of their terms."""

import numpy as np
import pytest
import tensorflow as tf

from kgdists.evolution.distributed.exact_sums import from_units, in_units

rng = np.random.default_rng(0)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def terms_of(dtype, num_terms=1000):
    """Terms of columns of very different magnitudes [N, 8], and a bound of their sums."""
    terms = tf.constant(rng.normal(size=(num_terms, 8)) * np.logspace(-30, 30, 8), dtype)
    return terms, 1.01 * tf.reduce_sum(abs(terms), axis=0)


def total_of(terms, bound):
    return np.asarray(from_units(tf.reduce_sum(in_units(terms, bound), axis=0), bound))


@each_dtype
def test_sums_do_not_depend_on_the_order(dtype):
    terms, bound = terms_of(dtype)
    shuffled = tf.gather(terms, rng.permutation(len(terms)))
    np.testing.assert_array_equal(total_of(terms, bound), total_of(shuffled, bound))
    assert not np.array_equal(np.cumsum(terms, axis=0)[-1], np.cumsum(shuffled, axis=0)[-1])


@each_dtype
def test_sums_do_not_depend_on_who_adds_what(dtype):
    terms, bound = terms_of(dtype)
    parts = [tf.reduce_sum(in_units(part, bound), axis=0) for part in tf.split(terms, [1, 600, 0, 399])]
    np.testing.assert_array_equal(from_units(sum(reversed(parts)), bound), total_of(terms, bound))


@pytest.mark.parametrize(("dtype", "unit"), [("float32", 2.0**-29), ("float64", 2.0**-52)])
def test_the_error_is_half_a_unit_for_each_term(dtype, unit):
    terms, bound = terms_of(dtype)
    exact = np.sum(np.asarray(terms, "longdouble"), axis=0)
    error = abs(total_of(terms, bound) - exact) / np.asarray(bound, "float64")
    assert np.all(error <= 0.5 * unit * len(terms))


@each_dtype
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_sum_as_large_as_its_bound_does_not_overflow(dtype, sign):
    bound = tf.constant([1.0, 2.0 - 1e-6, 3.0], dtype)
    total = sum(np.asarray(in_units(sign * bound / 4, bound)) for _ in range(4))
    np.testing.assert_allclose(from_units(tf.constant(total), bound), sign * bound, rtol=1e-6)


@each_dtype
def test_a_bound_of_zero_gives_zero(dtype):
    zero = tf.zeros((3,), dtype)
    np.testing.assert_array_equal(total_of(zero[None], zero), np.zeros(3))


@each_dtype
@pytest.mark.parametrize("bound", [np.inf, np.nan])
def test_a_bound_that_is_not_finite_gives_nan(dtype, bound):
    assert np.isnan(total_of(tf.ones((1, 1), dtype), tf.constant([bound], dtype))).all()


@pytest.mark.few(1)
@each_dtype
def test_compiled_units_are_those_of_eager_mode(dtype):
    terms, bound = terms_of(dtype)

    @tf.function(jit_compile=True)
    def compiled(terms, bound):
        units = in_units(terms, bound)
        return units, from_units(units, bound)

    units, sums = compiled(terms, bound)
    np.testing.assert_array_equal(units, in_units(terms, bound))
    np.testing.assert_array_equal(sums, from_units(units, bound))
