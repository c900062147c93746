import functools

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from kgdists import random
from kgdists.random import hashed_normal, procedural_bits

KEY = random.key(7)
DTYPES = ("float32", "float64")
COUNT, LENGTH = 1500, 201

each_dtype = pytest.mark.parametrize("dtype", DTYPES)


@functools.cache
def compiled_table(dtype):
    draw = tf.function(
        lambda key: hashed_normal.normal(key, 0, COUNT, LENGTH, dtype), jit_compile=True, autograph=False
    )
    return draw(KEY).numpy()


@functools.cache
def table(dtype):
    return hashed_normal.normal(KEY, 0, COUNT, LENGTH, dtype).numpy()


@each_dtype
def test_numbers_are_standard_normal(dtype):
    numbers = table(dtype).ravel().astype("float64")
    assert scipy.stats.kstest(numbers, "norm").pvalue > 1e-3
    for power, moment, variance in ((1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)):
        assert abs(np.mean(numbers**power) - moment) < 4.0 * np.sqrt(variance / numbers.size)


def test_tails_are_those_of_a_normal():
    numbers = np.abs(table("float32").ravel())
    for bound in (3.0, 3.5, 4.0):
        want = numbers.size * 2.0 * scipy.stats.norm.sf(bound)
        assert abs(np.sum(numbers > bound) - want) < 4.0 * np.sqrt(want)


def test_float64_numbers_have_their_digits_in_both_tails(monkeypatch):
    for word in (2**32 - 1, 2**31 - 1, 2**31, 0):  # all bits of a number
        monkeypatch.setattr(
            hashed_normal, "_finish", lambda x, word=word: tf.fill(tf.shape(x), tf.constant(word, "uint32"))
        )
        (number,) = hashed_normal.normal(KEY, 0, 1, 1, "float64").numpy()[0]
        signed = word - 2**32 if word >= 2**31 else word
        uniform = (signed + ((signed // 2**11 + 0.5) * 2.0**-21 + 0.5)) * 2.0**-31
        np.testing.assert_allclose(number, np.sqrt(2.0) * scipy.special.erfinv(uniform), rtol=1e-12)


@pytest.mark.parametrize("power", [1, 2])
def test_rows_and_columns_are_independent(power):
    x = table("float64") ** power
    x = (x - x.mean()) / x.std()
    for other in (x[1:], x[2:], x[4:], x[64:], x[:, 1:], x[:, 2:], x[:, 64:], x[1:, 1:]):
        one = x[: other.shape[0], : other.shape[1]]
        assert abs(np.mean(one * other)) < 4.0 / np.sqrt(other.size)
    np.testing.assert_array_less(np.abs(x.mean(0)), 4.5 / np.sqrt(COUNT))
    np.testing.assert_array_less(np.abs(x.mean(1)), 4.5 / np.sqrt(LENGTH))


@pytest.mark.few(1)
@each_dtype
def test_eagerly_and_compiled_numbers_are_the_same(dtype):
    np.testing.assert_allclose(table(dtype), compiled_table(dtype), rtol=1e-5, atol=2e-6)


@each_dtype
def test_a_slice_has_the_same_bits(dtype):
    for first, count in ((0, 1), (3, 40), (COUNT - 1, 1)):
        some = hashed_normal.normal(KEY, tf.constant(first), count, LENGTH, dtype)
        np.testing.assert_array_equal(some, table(dtype)[first : first + count])


def test_a_compiled_slice_has_the_same_bits():
    rows = tf.function(
        lambda key, first: hashed_normal.normal(key, first, 10, LENGTH), jit_compile=True, autograph=False
    )
    for first in (0, 4, 1490):
        np.testing.assert_array_equal(
            rows(KEY, tf.constant(first, tf.int64)), compiled_table("float32")[first : first + 10]
        )


def test_rows_go_on_beyond_32_bits():
    far = hashed_normal.normal(KEY, 2**40 + 5, 2, 10)
    np.testing.assert_array_equal(hashed_normal.normal(KEY, 2**40 + 6, 1, 10)[0], far[1])
    assert not np.isclose(far, hashed_normal.normal(KEY, 5, 2, 10)).any()


def test_keys_and_generations_have_tables_of_their_own():
    keys = [hashed_normal.generation_key(random.key(seed), generation) for seed in range(6) for generation in range(6)]
    keys += [hashed_normal.generation_key(tf.constant([seed, 1], tf.int64), 0) for seed in range(6)]
    assert len({tuple(key.numpy()) for key in keys}) == len(keys)
    x = np.stack([hashed_normal.normal(key, 0, 1, 400)[0] for key in keys])
    correlations = np.corrcoef(x)[np.triu_indices(len(x), 1)]
    assert np.abs(correlations).max() < 5.0 / np.sqrt(400)
    assert abs(correlations.std() * np.sqrt(400) - 1.0) < 0.1


def test_the_key_of_a_generation_is_the_same_compiled():
    compiled = tf.function(hashed_normal.generation_key, jit_compile=True, autograph=False)
    for generation in (0, 3, 2**40):
        generation = tf.constant(generation, tf.int64)
        np.testing.assert_array_equal(hashed_normal.generation_key(KEY, generation), compiled(KEY, generation))


def test_the_key_of_a_generation_is_no_other_draw_of_its_seed():
    drawn = procedural_bits(7, 0, 0, 1, 2).numpy().view("int64")
    assert not (hashed_normal.generation_key(KEY, 0).numpy() == drawn).any()
