"""Random orders: each number once, and every order as probable as any other."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from kgdists import random


def orders(n, count, seed=0):
    """Many orders of the stream of a generator, [count, n]."""
    generator = keras.random.SeedGenerator(seed)

    @tf.function(jit_compile=True, autograph=False)
    def draw():
        made = tf.TensorArray("int32", count, element_shape=(n,))
        step = lambda i, made: (i + 1, made.write(i, random.permutation(n, generator)))  # noqa: E731
        return tf.while_loop(lambda i, _: i < count, step, (0, made))[1].stack()

    return draw().numpy()


@pytest.mark.parametrize("n", [0, 1, 2, 128, 129, 256, 1000])
def test_each_number_is_there_once(n):
    order = np.array(random.permutation(n, seed=3))
    assert order.dtype == "int32"
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    np.testing.assert_array_equal(order, random.permutation(n, seed=3))


@pytest.mark.parametrize("n", [-1, 3.0, True, None, 2**31])
def test_another_number_is_refused(n):
    with pytest.raises(ValueError, match="`n` must be .* Received: n="):
        random.permutation(n)


@pytest.mark.exhaustive
@pytest.mark.parametrize("n", [3, 5])
def test_all_orders_are_as_probable(n):
    codes = orders(n, 60_000) @ n ** np.arange(n)
    times = np.unique(codes, return_counts=True)[1]
    assert len(times) == np.prod(np.arange(1, n + 1)) and scipy.stats.chisquare(times).pvalue > 1e-3


@pytest.mark.exhaustive
@pytest.mark.parametrize("n", [129, 256, 300])
def test_places_and_neighbors_are_independent(n):
    drawn = orders(n, 20_000)
    for place in (0, 1, n // 2, n - 1):
        assert scipy.stats.chisquare(np.bincount(drawn[:, place], minlength=n)).pvalue > 1e-3
    for one, two in ((0, 1), (3, 7), (0, n // 2)):
        apart = (drawn[:, one] - drawn[:, two]) % n
        assert scipy.stats.chisquare(np.bincount(apart, minlength=n)[1:]).pvalue > 1e-3
    # Of a random order: one fixed point in the mean and in the variance, (n - 1) / 2 ascents with (n + 1) / 12.
    fixed, ascents = (drawn == np.arange(n)).sum(1), (np.diff(drawn) > 0).sum(1)
    assert abs(fixed.mean() - 1.0) < 0.03 and abs(fixed.var() - 1.0) < 0.05
    assert abs(ascents.mean() - (n - 1) / 2) < 0.15 and abs(ascents.var() / ((n + 1) / 12) - 1.0) < 0.05
