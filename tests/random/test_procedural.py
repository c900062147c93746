"""Procedural streams: the generator, what is made of its bits, and that they are the same everywhere."""

import hashlib

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from kgdists.random import procedural, procedural_bits, procedural_normal, procedural_uniform
from tests.marks import exhaustive

STREAMS = {"bits": procedural_bits, "uniform": procedural_uniform, "normal": procedural_normal}
WORD = 2**32 - 1


@pytest.fixture(params=STREAMS.values(), ids=STREAMS.keys())
def stream(request):
    return request.param


def philox(key, counter):
    """Philox 4x32-10 in plain Python (Salmon et al. 2011)."""
    key, x = [key & WORD, key >> 32], [counter >> shift & WORD for shift in (0, 32, 64, 96)]
    for _ in range(10):
        a, b = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [b >> 32 ^ x[1] ^ key[0], b & WORD, a >> 32 ^ x[3] ^ key[1], a & WORD]
        key = [key[0] + 0x9E3779B9 & WORD, key[1] + 0xBB67AE85 & WORD]
    return x


def random_bits(count, seed=0):
    """Bits of which many are of tails."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**64, count, dtype="uint64")
    small = bits >> rng.integers(0, 60, count).astype("uint64")
    ends = np.array([0, 1, 4095, 4096, 2**63, 2**64 - 2, 2**64 - 1], "uint64")
    return np.concatenate([bits, small, ends])


# The generator.


def test_the_generator_of_the_tests_gives_the_published_numbers():
    assert philox(0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox(2**64 - 1, 2**128 - 1) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


@pytest.mark.parametrize("seed, number, start", [(0, 0, 0), (-1, 2, 5), (2**40 + 3, 2**62, 10**12)])
def test_bits_are_those_of_the_generator_at_the_row(seed, number, start):
    bits = procedural_bits(seed, number, start, 2, 3).numpy()
    for row in (0, 1):
        words = []
        for block in (0, 1):
            words += philox(seed % 2**64, ((start + row) * 2 + block) + (2**63 + number << 64))
        want = [low + (high << 32) for low, high in zip(words[::2], words[1::2], strict=True)]
        assert bits[row].tolist() == want[:3]


def test_any_slice_is_that_of_the_whole(stream):
    whole = stream(3, 1, 0, 100, 5).numpy()
    np.testing.assert_array_equal(stream(3, 1, 40, 7, 5), whole[40:47])
    assert stream(3, 1, 40, 0, 5).shape == (0, 5)


@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
def test_all_modes_give_the_same_bits(jit_compile):
    def draw(seed, number, start):
        return [
            procedural_normal(seed, number, start, 1001, 3, "float64"),
            procedural_normal(seed, number, start, 10, 1),
            procedural_uniform(seed, number, start, 10, 2, "float64"),
            procedural_uniform(seed, number, start, 10, 2),
            procedural.choice_of_bits(procedural_bits(seed, number, start, 100, 1), thresholds),
        ]

    thresholds = procedural.choice_thresholds(np.linspace(-3.0, 3.0, 11))
    args = [tf.constant(x, "int64") for x in (-5, 2, 10**12)]
    for got, want in zip(tf.function(draw, jit_compile=jit_compile)(*args), draw(-5, 2, 10**12), strict=True):
        np.testing.assert_array_equal(got, want)


def test_the_number_of_rows_may_be_a_tensor(stream):
    rows = tf.function(lambda n: stream(3, 1, 40, n, 5))(tf.constant(7))
    np.testing.assert_array_equal(rows, stream(3, 1, 40, 7, 5))


def test_tables_are_independent():
    columns = [
        procedural_normal(seed, number, 0, 20_000, 2)[:, column]
        for seed in (0, 1, -1)
        for number in (0, 1)
        for column in (0, 1)
    ]
    assert np.abs(np.corrcoef(columns) - np.eye(12)).max() < 0.03


# What is made of bits.


def test_numbers_are_distributed_as_named():
    assert scipy.stats.kstest(procedural_normal(0, 0, 0, 100_000, 1, "float64")[:, 0], "norm").pvalue > 1e-3
    assert scipy.stats.kstest(procedural_uniform(0, 0, 0, 100_000, 1, "float64")[:, 0], "uniform").pvalue > 1e-3


def test_normal_numbers_are_quantiles_to_the_nearest_steps():
    """In the far tails too."""
    bits = random_bits(200_000)
    mass = (2.0 * (bits >> np.uint64(12)) + 1.0) * 2.0**-54
    want = np.where(bits & np.uint64(1), 1, -1) * scipy.special.ndtri(mass)
    got = procedural.normal_of_bits(tf.constant(bits), "float64").numpy() * 2.0**25
    assert (got == np.rint(got)).all() and np.abs(got - want * 2.0**25).max() < 0.55
    assert np.abs(got).max() < 2.0**29
    np.testing.assert_array_equal(procedural.normal_of_bits(tf.constant(bits)), (got * 2.0**-25).astype("float32"))


def test_normal_numbers_rise_with_the_mass():
    bits = np.sort(random_bits(100_000, seed=1)) & np.uint64(2**64 - 2)
    assert (np.diff(procedural.normal_of_bits(tf.constant(bits), "float64")) <= 0).all()


def test_the_table_of_quantiles_is_the_same_on_every_machine():
    table = procedural._quantile_table()
    assert hashlib.sha256(table.tobytes()).hexdigest().startswith("e4e167f152d8befe")


@pytest.mark.parametrize("dtype, step", [("float32", 2.0**-23), ("float64", 2.0**-52)])
def test_uniform_numbers_are_strictly_inside(dtype, step):
    ends = procedural.uniform_of_bits(tf.constant([0, 2**64 - 1], "uint64"), dtype)
    np.testing.assert_array_equal(ends, [step / 2, 1 - step / 2])


@pytest.mark.parametrize("num_choices", [1, 2, 3, 7, 8, 9, 40])
def test_choices_have_their_weights(num_choices):
    logits = np.random.default_rng(0).normal(size=num_choices)
    bits = random_bits(100_000)[:100_000]
    choices = procedural.choice_of_bits(tf.constant(bits), procedural.choice_thresholds(logits)).numpy()
    shares = np.bincount(choices, minlength=num_choices) / len(bits)
    assert np.abs(shares - scipy.special.softmax(logits)).max() < 0.01


def test_what_has_no_weight_is_never_chosen():
    thresholds = procedural.choice_thresholds(np.array([-np.inf, 0.0, -np.inf, 1.0, -np.inf]))
    choices = procedural.choice_of_bits(tf.constant(random_bits(1000)), thresholds).numpy()
    assert set(choices) == {1, 3}
