import functools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from kgdists.evolution import rank
from kgdists.evolution.ranking import METHODS

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng
SHARED = ("linear", "centered", "nes")

each_method = pytest.mark.parametrize("method", METHODS)

# Rows of fitnesses, in the order from the worst to the best where there are no ties.
ROWS = {
    "infinities": [NAN, -1.0, 0.0, 2.0, INF],
    "ties": [-3.0, 1.0, 1.0, 1.0, 4.0],
    "alike": [2.0, 2.0, 2.0, 2.0, 2.0],
    "zeros": [-1.0, -0.0, 0.0, 1.0, 2.0],
    "all nan": [NAN] * 5,
    "all infinite": [-INF, -INF, NAN, -INF, NAN],
}


def ranks_of_rows(fitnesses, methods=METHODS):
    return {(method, higher): rank(fitnesses, method, higher) for method in methods for higher in (True, False)}


@functools.cache
def eager():
    """Ranks of all rows by all methods in both senses."""
    answer = ranks_of_rows(tf.constant(list(ROWS.values()), "float32"))
    return {key: dict(zip(ROWS, x.numpy(), strict=True)) for key, x in answer.items()}


@pytest.mark.exhaustive
def test_compiled_ranks_are_the_same():
    methods = ("raw", "normalized", "nes")  # the others differ from the last in their table alone
    compiled = tf.function(lambda x: ranks_of_rows(x, methods), jit_compile=True, autograph=False)
    for key, rows in compiled(tf.constant(list(ROWS.values()), "float32")).items():
        np.testing.assert_allclose(rows, list(eager()[key].values()), rtol=1e-6, atol=1e-7, err_msg=str(key))


@each_method
@pytest.mark.parametrize("higher", [True, False])
def test_nan_ranks_worst(method, higher):
    ranks = eager()[method, higher]["infinities"]
    assert np.isfinite(ranks).all()
    assert ranks[0] == ranks.min()
    best = ranks[-1] if higher else ranks[1]
    assert best == ranks.max()


@each_method
def test_infinities_and_nan_are_the_best_or_the_worst_finite_fitness_where_fitnesses_count(method):
    if method in ("raw", "normalized"):
        ranks = eager()[method, True]["infinities"]
        np.testing.assert_allclose(ranks, rank([-1.0, -1.0, 0.0, 2.0, 2.0], method), rtol=1e-6)


@each_method
@pytest.mark.parametrize("name", ["alike", "all nan", "all infinite"])
def test_solutions_all_alike_get_nothing(method, name):
    want = 2.0 if method == "raw" and name == "alike" else 0.0
    np.testing.assert_array_equal(eager()[method, True][name], want)


@pytest.mark.parametrize("method", METHODS[1:])
def test_a_single_solution_gets_nothing(method):
    np.testing.assert_array_equal(rank([3.0], method), [0.0])


@pytest.mark.parametrize("method", SHARED)
@pytest.mark.parametrize("name", ["ties", "zeros"])
def test_equal_fitnesses_share_their_utilities_equally(method, name):
    ranks = eager()[method, True][name]
    alone = rank(np.arange(5.0), method).numpy()
    tied = np.array([ROWS[name].index(fitness) for fitness in ROWS[name]])  # 0.0 and -0.0 are equal
    want = [alone[tied == place].mean() for place in tied]
    np.testing.assert_allclose(ranks, want, rtol=1e-6)


@pytest.mark.parametrize("higher", [True, False])
def test_many_ranks_are_those_of_scipy(higher):
    fitnesses = RNG(0).integers(0, 300, size=(2, 1000)).astype("float64")
    places = scipy.stats.rankdata(fitnesses if higher else -fitnesses, axis=-1) - 1.0
    np.testing.assert_allclose(rank(fitnesses, "linear", higher), places / 999, rtol=1e-12)


@pytest.mark.parametrize("method", SHARED)
def test_only_the_order_counts(method):
    x = RNG(1).normal(size=50)
    np.testing.assert_array_equal(rank(x, method), rank(np.exp(3.0 * x) - 7.0, method))


@each_method
def test_a_search_of_a_batch_ranks_like_one_alone(method):
    fitnesses = RNG(2).normal(size=(2, 3, 7))
    together = rank(fitnesses, method, False).numpy()
    alone = [rank(row, method, False) for row in fitnesses.reshape(-1, 7)]
    np.testing.assert_array_equal(together.reshape(-1, 7), alone)


def test_normalized_fitnesses_neither_overflow_nor_underflow():
    x = np.array([1.0, 2.0, 4.0, 8.0], "float32")
    for scale in (1e-36, 1e37):
        np.testing.assert_allclose(rank(x * np.float32(scale), "normalized"), rank(x, "normalized"), rtol=1e-5)


@pytest.mark.parametrize(
    "fitnesses, method, rule",
    [
        ([1.0, 2.0], "best", "`method` must be one of raw"),
        (3.0, "nes", "`fitnesses` must have shape"),
        (np.ones(3, "float16"), "nes", "float32 or float64"),
    ],
)
def test_errors(fitnesses, method, rule):
    with pytest.raises(ValueError, match=rule):
        rank(fitnesses, method)
