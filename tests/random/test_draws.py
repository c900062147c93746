"""Draws, their seeds, and the streams of distributions."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import kgdists as kg
from kgdists import random
from kgdists.numerics import incomplete_gamma
from kgdists.random import Stream, tensorflow_draws
from tests.marks import exhaustive, quick
from tests.table import DISTRIBUTIONS, QUICK

DRAWS = {"uniform": random.uniform, "gumbel": random.gumbel, "normal": random.normal}


@pytest.fixture(params=DRAWS.values(), ids=DRAWS.keys())
def draw(request):
    return request.param


# What is drawn.


def test_uniform_is_strictly_inside():
    """On ten million draws, of which each number of a coarser grid would be met."""
    x = random.uniform((10_000_000,), seed=0)
    assert x.dtype == "float32"
    assert 0 < np.min(x) < 1e-5 and 1 - 1e-5 < np.max(x) < 1


def test_the_ends_of_the_integers_are_strictly_inside(monkeypatch):
    """The smallest and the largest integer that the generator may return."""

    def ends(dtype, **_):
        return tf.constant([0, tf.as_dtype(dtype).max], dtype)

    monkeypatch.setattr(tf.raw_ops, "StatelessRandomUniformFullIntV2", ends)
    np.testing.assert_array_equal(random.uniform((2,), seed=0), [2.0**-24, 1 - 2.0**-24])
    assert np.isfinite(random.gumbel((2,), seed=0)).all()
    for dtype in ("float32", "float64"):
        low, high = random.normal((2,), seed=0, dtype=dtype)
        assert np.isfinite(low) and low == -high


@pytest.mark.parametrize(
    "draw, distribution",
    [(random.uniform, "uniform"), (random.gumbel, "gumbel_r"), (random.normal, "norm")],
    ids=DRAWS.keys(),
)
def test_draws_are_distributed_as_named(draw, distribution):
    assert scipy.stats.kstest(np.array(draw((100_000,), seed=0), "float64"), distribution).pvalue > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_numbers_of_a_key_are_the_same_eagerly_and_compiled(jit_compile, dtype):
    key, shapes = tf.constant([7, 3], "int64"), [(3,), (5, 7), (2, 3, 4), (0, 2), ()]

    def draw(key):
        return [tensorflow_draws.uniform(shape, key, dtype) for shape in shapes]

    compiled = tf.function(draw, jit_compile=jit_compile)
    for x, wanted, symbolic in zip(compiled(key), draw(key), compiled.get_concrete_function(key).outputs, strict=True):
        np.testing.assert_array_equal(x, wanted)
        assert symbolic.shape == wanted.shape


def test_numbers_of_a_shape_that_a_graph_does_not_know():
    function = tf.function(lambda x, key: tensorflow_draws.uniform((3, tf.shape(x)[0], 3), key), autograph=False)
    key = tf.constant([7, 3], "int64")
    graph = function.get_concrete_function(tf.TensorSpec([None]), key)
    assert graph.outputs[0].shape.as_list() == [3, None, 3]
    np.testing.assert_array_equal(graph(tf.zeros([5]), key), tensorflow_draws.uniform((3, 5, 3), key))


def test_normal_in_float64_has_its_digits():
    x = np.array(random.normal((100_000,), seed=0, dtype="float64"))
    assert x.dtype == "float64" and (x != x.astype("float32")).mean() > 0.99
    assert scipy.stats.kstest(x, "norm").pvalue > 1e-3


def test_successive_keys_are_independent():
    generator = keras.random.SeedGenerator(0)
    x = np.array([random.uniform((20_000,), generator) for _ in range(8)])
    assert np.abs(np.corrcoef(x) - np.eye(8)).max() < 0.03
    neighbours = np.array([random.uniform((20_000,), seed) for seed in range(8)])
    assert np.abs(np.corrcoef(neighbours) - np.eye(8)).max() < 0.03


@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3, 4)])
def test_shapes(draw, shape):
    assert draw(shape).shape == shape


def test_sizes_may_be_tensors(draw):
    sized = tf.function(lambda n: draw((2, n), seed=0))
    np.testing.assert_allclose(sized(tf.constant(3)), draw((2, 3), seed=0), rtol=1e-6)


# Seeds.

SEEDS = [0, 3, -1, 2**40, np.int64(5)]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_int_repeats_the_draw(draw, seed):
    np.testing.assert_array_equal(draw((5,), seed), draw((5,), seed))


def test_ints_of_different_value_draw_differently(draw):
    draws = [tuple(np.array(draw((5,), seed))) for seed in SEEDS]
    assert len(set(draws)) == len(SEEDS)


def test_eager_and_compiled_draws_of_one_seed_are_equal():
    """To the last bit for uniform numbers, also of a seed that the compiler cannot fold, and of very many numbers."""
    for draws, exact in ((random.uniform, True), (random.normal, False)):
        compiled = tf.function(lambda key, draws=draws: (draws((100_000,), key), draws((7,), 3)), jit_compile=True)
        key = tf.constant([3, 1], "int64")
        for got, want in zip(compiled(key), (draws((100_000,), key), draws((7,), 3)), strict=True):
            np.testing.assert_allclose(got, want, rtol=0, atol=0 if exact else 1e-4)


@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
def test_a_generator_goes_through_one_sequence(jit_compile):
    """Whether its draws are eager, traced or compiled."""

    def twice(generator):
        return random.uniform((5,), generator), random.uniform((5,), generator)

    generators = [keras.random.SeedGenerator(3) for _ in range(2)]
    compiled = tf.function(lambda: twice(generators[0]), jit_compile=jit_compile)
    got, want = [*compiled(), *compiled()], [*twice(generators[1]), *twice(generators[1])]
    np.testing.assert_array_equal(got, want)
    assert len(np.unique(got)) == 20


def test_the_first_draw_of_a_generator_is_that_of_its_seed():
    np.testing.assert_array_equal(random.uniform((5,), keras.random.SeedGenerator(3)), random.uniform((5,), 3))


def test_a_key_is_a_seed():
    key = tf.constant([3, 1], "int64")
    np.testing.assert_array_equal(random.uniform((5,), key), random.uniform((5,), key))
    np.testing.assert_array_equal(random.uniform((5,), tf.constant([3, 0])), random.uniform((5,), 3))
    assert not np.array_equal(random.uniform((5,), key), random.uniform((5,), tf.constant([3, 2], "int64")))


@pytest.mark.few(2)
def test_unseeded_draws_differ_and_follow_set_random_seed(draw):
    def twice():
        keras.utils.set_random_seed(1)
        return np.array(draw((5,))), np.array(draw((5,)))

    first, second = twice()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(twice(), (first, second))


def test_unseeded_draws_start_in_any_trace():
    """Keras' global generator may be made while a function is traced for the second time."""
    draw = tf.function(lambda x: x + random.uniform((5,)))
    draw(tf.zeros(()))
    keras.utils.set_random_seed(1)
    x = tf.zeros((5,))
    assert not np.array_equal(draw(x), draw(x))


@pytest.mark.parametrize("seed", [1.0, "1", True, (1, 2), np.zeros(3)])
def test_a_seed_is_none_an_int_a_generator_or_a_key(draw, seed):
    with pytest.raises(ValueError, match="`seed` must be None, an int.* Received: seed="):
        draw((2,), seed)


# Streams.


def test_streams_of_one_seed_are_equal():
    generator = keras.random.SeedGenerator(0)
    for random_seed in (None, 3, generator):
        assert Stream(random_seed) == Stream(random_seed)
        assert hash(Stream(random_seed)) == hash(Stream(random_seed))
    assert Stream(3) != Stream(4) and Stream(3) != Stream(None) and Stream(3) != 3
    assert Stream(generator) != Stream(keras.random.SeedGenerator(0))


def test_a_stream_of_no_seed_is_the_global_one():
    assert Stream(None).generator() is None


def test_a_stream_of_a_generator_is_that_generator():
    generator = keras.random.SeedGenerator(0)
    assert Stream(generator).generator() is generator


def test_a_stream_of_an_int_keeps_one_generator():
    stream = Stream(3)
    assert stream.generator() is stream.generator()
    np.testing.assert_array_equal(stream.generator().state, [3, 0])


def test_the_generator_of_a_stream_may_be_made_in_any_trace():
    """Also in the second one of a function, where TensorFlow forbids new variables."""

    @tf.function
    def draw(seed):
        return random.uniform((5,), Stream(seed).generator())

    first, second = draw(3), draw(4)
    np.testing.assert_array_equal(first, random.uniform((5,), 3))
    np.testing.assert_array_equal(second, random.uniform((5,), 4))


def test_a_traced_function_outlives_its_streams():
    draw = tf.function(lambda x: x * random.uniform((), Stream(3).generator()))
    x = tf.constant(1.0)
    draw(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = draw(x)
    assert tape.gradient(value, x) == value


@pytest.mark.parametrize("make", [int, keras.random.SeedGenerator])
def test_children_of_a_seeded_stream_are_reproducible_and_differ(make):
    stream, other = Stream(make(3)), Stream(make(3))
    children = [stream.child() for _ in range(5)]
    assert children == [other.child() for _ in range(5)]
    assert len(set(children)) == 5 and all(isinstance(seed, int) for seed in children)


def test_children_of_streams_of_one_generator_differ():
    stream = Stream(3)
    streams = [stream, Stream(stream.generator()), Stream(stream.generator())]
    assert len({each.child() for each in streams * 2}) == 6


def test_children_of_an_unseeded_stream_have_no_seed():
    assert Stream(None).child() is None


@pytest.mark.parametrize("random_seed", [1.0, "1", True, (1, 2)])
def test_a_random_seed_is_none_an_int_or_a_generator(random_seed):
    with pytest.raises(ValueError, match="`random_seed` must be None, an int.* Received: random_seed="):
        Stream(random_seed)


# Gamma variates.


@pytest.mark.exhaustive
def test_gamma_variates_are_equal_eagerly_and_compiled():
    """Also of those few that take several proposals."""
    for n in (0, 1, 7, 3000, 100_000):
        concentration = np.exp(np.random.default_rng(0).normal(size=n)).astype("float32")
        want = random.log_gamma(tf.constant(concentration), seed=3)
        for jit_compile in (False, True):
            got = tf.function(random.log_gamma, jit_compile=jit_compile)(concentration, 3)
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
def test_gamma_variates_of_which_very_many_are_rejected(monkeypatch, jit_compile):
    """More than fit into one turn: here all left of the peak's middle."""
    propose = tensorflow_draws._propose

    def strict(concentration, z, u):
        variate, accepted = propose(concentration, z, u)
        return variate, accepted & (z > 0)

    monkeypatch.setattr(tensorflow_draws, "_propose", strict)
    x = np.array(
        tf.function(tensorflow_draws._gamma, jit_compile=jit_compile)(tf.fill((2, 2000), 5.0), tf.constant([1, 2]))
    )
    assert (x > 5.0 - 1 / 3).all() and len(np.unique(x)) > 3990


@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-10)])
def test_gradients_of_gamma_variates_are_implicit(dtype, tolerance, jit_compile):
    """Of a fixed distribution function, dx/da = -(dF/da) / f, for concentrations from 1e-4 to 1e6."""

    def draw(a):
        with tf.GradientTape() as tape:
            tape.watch(a)
            log_x = random.log_gamma(a, seed=1)
        return log_x, tape.gradient(log_x, a)

    a = np.repeat([1e-4, 1e-2, 0.3, 1.0, 3.0, 30.0, 99.0, 101.0, 1e3, 1e4, 1e6], 50)
    log_x, gradient = tf.function(draw, jit_compile=jit_compile)(tf.constant(a.astype(dtype)))
    a, v = tf.constant(a), tf.cast(log_x, "float64")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([a, v])
        below, above = incomplete_gamma.log_tails(a, v)
    to_a, to_v = (np.where(below < above, tape.gradient(below, x), tape.gradient(above, x)) for x in (a, v))
    np.testing.assert_allclose(gradient, -to_a / to_v, rtol=tolerance)


# Rows of a vectorized map.


def rows_of(draw, *shape):
    """What `draw` gives in each row of `tf.vectorized_map`, as arrays."""
    drawn = tf.vectorized_map(draw, tf.zeros(shape), warn=False)
    return [np.asarray(leaf) for leaf in keras.tree.flatten(drawn)]


def all_rows_differ(x):
    return len(np.unique(x.reshape(len(x), -1), axis=0)) == len(x)


def test_each_row_of_a_vectorized_map_draws_its_own_numbers():
    first, second = rows_of(lambda m: (kg.NormalDist(m, m).sample(), kg.NormalDist(m, m).sample()), 4, 2)
    assert all_rows_differ(np.concatenate([first, second]))
    (again,) = rows_of(lambda m: kg.NormalDist(m, m).sample(), 4, 2)
    assert all_rows_differ(np.concatenate([first, again]))


@pytest.mark.exhaustive
def test_each_row_of_a_vectorized_map_draws_its_own_beta_variates():
    (x,) = rows_of(lambda m: kg.BetaDist(m + 1.0, m + 1.0).sample(), 4, 2)
    assert all_rows_differ(x) and ((x > 0) & (x < 1)).all()


IN_ROWS = {
    "a_generator": lambda m: kg.NormalDist(m, m, random_seed=3).sample(),
    "nested": lambda m: tf.reshape(tf.vectorized_map(lambda q: kg.NormalDist(q, q).sample(), tf.zeros((3, 2))), (-1,)),
    "own_parameters": lambda m: kg.BernoulliDist(m[None] + tf.zeros((20, 2))).sample_action(),
    "keys": lambda m: random.key(None),
    "permutation": lambda m: random.permutation(50),
    "gumbel": lambda m: random.gumbel((3,)),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("name", IN_ROWS)
def test_rows_differ_whatever_is_drawn(name):
    (x,) = rows_of(IN_ROWS[name], 4, 2)
    assert all_rows_differ(x)
    if name == "nested":
        assert all_rows_differ(x.reshape(12, 2))


def test_rows_are_independent_and_of_the_distribution():
    keras.utils.set_random_seed(0)
    (x,) = rows_of(lambda m: kg.NormalDist(m, m).sample(), 2000, 10)
    assert scipy.stats.kstest(x.ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(x[:-1].ravel(), x[1:].ravel())[0, 1]) < 0.03


def test_a_seed_draws_the_same_in_each_row_as_outside():
    (x,) = rows_of(lambda m: kg.NormalDist(m, m).sample(seed=3), 4, 2)
    want = kg.NormalDist([0.0, 0.0], [0.0, 0.0]).sample(seed=3)
    np.testing.assert_allclose(x, [want] * 4, rtol=1e-6)


def test_rows_of_their_own_keys():
    keys = tf.constant([[1, 0], [2, 0], [1, 0]], "int64")
    x = tf.vectorized_map(lambda key: random.uniform((3,), key), keys, warn=False)
    np.testing.assert_array_equal(x, [random.uniform((3,), key) for key in keys])


def test_a_set_seed_repeats_the_rows():
    def draw():
        keras.utils.set_random_seed(7)
        return rows_of(lambda m: kg.NormalDist(m, m).sample(), 4, 2)[0]

    np.testing.assert_array_equal(draw(), draw())


@pytest.mark.exhaustive
def test_rows_under_xla_differ():
    draw = tf.function(
        lambda z: tf.vectorized_map(lambda m: kg.NormalDist(m, m).sample(), z, warn=False), jit_compile=True
    )
    x = draw(tf.zeros((4, 2)))
    assert all_rows_differ(np.concatenate([x, draw(tf.zeros((4, 2)))]))


@pytest.mark.exhaustive
@pytest.mark.parametrize("method", ["sample", "sample_action", "sample_and_log_proba"])
@pytest.mark.parametrize("name", quick(QUICK, list(DISTRIBUTIONS)))
def test_every_distribution_draws_its_own_numbers_in_each_row(name, method):
    keras.utils.set_random_seed(0)
    one = DISTRIBUTIONS[name]((), "float32", np.random.default_rng(0))
    leaves = [tf.stack([leaf] * 8) for leaf in keras.tree.flatten(one)]
    drawn = tf.vectorized_map(
        lambda leaves: getattr(keras.tree.pack_sequence_as(one, leaves), method)(), leaves, warn=False
    )
    for leaf in keras.tree.flatten(drawn):
        assert len(leaf) == 8 and len(np.unique(np.reshape(leaf, (8, -1)), axis=0)) > 1


@pytest.mark.exhaustive
def test_beta_variates_of_rows_are_those_of_the_seed_and_of_the_distribution():
    a, b = 1.5, 0.7  # much lower, and float32 rounds many of them to the bound
    keras.utils.set_random_seed(0)

    def draw(m, seed=None):
        return kg.BetaDist(m + a, m + b).sample(seed=seed)

    (x,) = rows_of(lambda m: draw(m, 3), 3, 2000)
    np.testing.assert_allclose(x, [draw(tf.zeros(2000), 3)] * 3, rtol=1e-5)
    (x,) = rows_of(draw, 3, 2000)
    assert scipy.stats.kstest(x.ravel(), scipy.stats.beta(a, b).cdf).pvalue > 1e-3


@pytest.mark.parametrize("seed", [2**63, 2**70, 10**40, -(2**63) - 1])
def test_a_seed_beyond_64_bits_is_one_line(seed):
    with pytest.raises(ValueError, match=r"An int `seed` must be from -2\*\*63 to 2\*\*63 - 1") as error:
        kg.NormalDist([0.0], [0.0]).sample(seed=seed)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("seed", [2**63 - 1, -(2**63), np.uint64(3), np.int8(3)])
def test_every_seed_of_64_bits_draws(seed):
    assert np.isfinite(kg.NormalDist([0.0], [0.0]).sample(seed=seed)).all()
