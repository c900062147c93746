"""The rules of shapes and values, and the texts of their errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kgdists.core import shapes

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int8", "uint8", "int64", "bool"])
def test_dtype_of(dtype):
    assert shapes.dtype_of(ops.zeros((2,), dtype)) == dtype
    assert shapes.dtype_of(keras.KerasTensor((2,), dtype)) == dtype


def test_is_symbolic():
    assert shapes.is_symbolic(keras.KerasTensor((2,)))
    assert not shapes.is_symbolic(np.zeros(2)) and not shapes.is_symbolic(tf.zeros(2))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_as_float_keeps_the_dtype_of_floats(dtype):
    x = ops.ones((2,), dtype)
    assert shapes.as_float(x, "x") is x
    assert shapes.dtype_of(shapes.as_float(keras.KerasTensor((2,), dtype), "x")) == dtype


@pytest.mark.parametrize("x", [1, 1.5, [1, 2], [[1.0]], (True + 1,), np.arange(3), np.uint8([1]), tf.constant([1])])
@pytest.mark.parametrize("floatx", ["float32", "float64"])
def test_as_float_makes_integers_and_plain_numbers_floatx(x, floatx):
    keras.config.set_floatx(floatx)
    try:
        got = shapes.as_float(x, "x")
    finally:
        keras.config.set_floatx("float32")
    assert shapes.dtype_of(got) == floatx
    np.testing.assert_array_equal(got, x)


@pytest.mark.parametrize("x", ["a", ["a"], [True], None, 1j, np.array([True]), tf.constant("a"), tf.constant([1j])])
def test_as_float_refuses_what_is_no_number(x):
    with pytest.raises(ValueError, match="`mu` must be a float tensor. Received: mu of dtype "):
        shapes.as_float(x, "mu")


def test_masked_numbers_are_refused_and_masks_of_nothing_are_not():
    for take in (shapes.as_float, shapes.as_numbers):
        with pytest.raises(ValueError, match="Numbers must not be masked"):
            take(np.ma.masked_array([1.0, 2.0], [True, False]), "x")
        np.testing.assert_array_equal(take(np.ma.masked_array([1.0, 2.0], [False, False]), "x"), [1.0, 2.0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8", "uint64", "bool"])
def test_as_numbers_takes_numbers_as_they_are(dtype):
    for x in (ops.ones((2,), dtype), ops.convert_to_numpy(ops.ones((2,), dtype)), keras.KerasTensor((2,), dtype)):
        assert shapes.as_numbers(x, "x") is x


def test_as_numbers_makes_arrays_of_plain_values():
    for x in (1, 1.5, True, [1, 2], [[0.5]], (True, False)):
        assert isinstance(shapes.as_numbers(x, "x"), np.ndarray)
        np.testing.assert_array_equal(shapes.as_numbers(x, "x"), x)


@pytest.mark.parametrize("x", ["a", None, 1j, {"a": 1}, np.array(["a"]), tf.constant("a"), tf.constant(1j)], ids=str)
def test_as_numbers_refuses_the_rest(x):
    with pytest.raises(ValueError, match="`x` must be of numbers or bools. Received: x of dtype "):
        shapes.as_numbers(x, "x")


@pytest.mark.parametrize(
    "shape, other, agree",
    [
        ((), (), True),
        ((2, 3), (2, 3), True),
        ((None, 3), (2, 3), True),
        ((2, None), (None, 3), True),
        ((2, 3), (3,), False),
        ((2, 3), (1, 3), False),
        ((None, 3), (2, 4), False),
        ((), (1,), False),
    ],
)
def test_matches(shape, other, agree):
    assert shapes.matches(shape, other) is shapes.matches(other, shape) is agree


@pytest.mark.parametrize(
    "shape, tail, agree",
    [
        ((2, 3), (), True),
        ((2, 3), (3,), True),
        ((2, 3), (2, 3), True),
        ((5, None, 3), (2, 3), True),
        ((5, 2, 3), (None, 3), True),
        ((3,), (2, 3), False),
        ((5, 3), (2, 3), False),
        ((2, 3), (2,), False),
    ],
)
def test_ends_with(shape, tail, agree):
    assert shapes.ends_with(shape, tail) is agree


@pytest.mark.parametrize("rank, last", [(1, (6,)), (1, (2, 3)), (2, (24,)), (2, (3, 8)), (3, (2, 3, 4, 5))])
def test_reshape_last(rank, last):
    x = np.arange(5 * 4 * 6, dtype="float32").reshape(1, 5, 4, 6)
    want = x.reshape(*x.shape[: 4 - rank], *last)
    np.testing.assert_array_equal(shapes.reshape_last(ops.convert_to_tensor(x), rank, last), want)
    for known in range(4 - rank + 1):  # of the axes in front
        x_in = keras.KerasTensor((*[None] * (4 - rank - known), *x.shape[4 - rank - known :]))
        reshaped = shapes.reshape_last(x_in, rank, last)
        assert reshaped.shape == (*[None] * (4 - rank - known), *want.shape[4 - rank - known :])
        np.testing.assert_array_equal(keras.Function(x_in, reshaped)(x), want)


def test_check_vector():
    shapes.check_vector(a=np.zeros(1), b=np.zeros((0, 2)), c=keras.KerasTensor((None, 3)))
    for shape in [(), (0,), (2, 0), (2, None)]:
        with pytest.raises(ValueError) as error:
            shapes.check_vector(a=np.zeros(1), mu=keras.KerasTensor(shape))
        assert str(error.value) == f"`mu` must have shape [B..., n], n >= 1. Received: mu of shape {shape}"


def test_check_same():
    a = np.zeros((2, 3))
    shapes.check_same(a=a, b=a + 1, c=keras.KerasTensor((None, 3), "float64"))
    with pytest.raises(ValueError) as error:
        shapes.check_same(a=a, b=a, c=a[:1])
    assert str(error.value) == (
        "`a` and `c` must have the same shape: nothing is broadcast. Received: a of shape (2, 3), c of shape (1, 3)"
    )
    with pytest.raises(ValueError) as error:
        shapes.check_same(a=a, b=a.astype("float32"))
    assert str(error.value) == "`a` and `b` must have the same dtype. Received: a of float64, b of float32"


CHECKS = [
    (shapes.check_finite, NAN, "finite"),
    (shapes.check_finite, INF, "finite"),
    (shapes.check_not_nan, NAN, "free of NaN"),
]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("check, bad, rule", CHECKS)
def test_value_checks(check, bad, rule, dtype):
    good = ops.ones((2, 3), dtype)
    check(a=good, b=good)
    values = np.ones((2, 3))
    values[1, 2] = bad
    with pytest.raises(ValueError) as error:
        check(a=good, mu=ops.cast(values, dtype))
    assert str(error.value) == f"`mu` must be {rule}. Received: {bad} at index [1, 2] of mu"


def test_a_scalar_is_checked_too():
    with pytest.raises(ValueError, match=r"must be finite. Received: nan$"):
        shapes.check_finite(x=np.array(NAN))


def test_infinities_are_not_nan():
    shapes.check_not_nan(x=np.array([INF, -INF]))


@pytest.mark.parametrize("check", [shapes.check_finite, shapes.check_not_nan])
def test_values_are_not_checked_where_there_are_none(check):
    check(x=keras.KerasTensor((2,)))
    tf.function(lambda x: check(x=x))(tf.constant([NAN]))
