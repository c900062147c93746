"""Procedural streams: random tables whose row `i` is a pure function of a seed, a stream and `i`.

A table has a stable prefix, and any slice of it is made without what comes before. The numbers are those of the Philox
4x32-10 generator (Salmon et al. 2011), whose counter is the row. Uniform and normal numbers are made of its bits by
integer arithmetic and by exact operations, so that they are the same bit for bit eagerly, in a graph, under XLA and on
every machine.
"""

import functools

import numpy as np
import tensorflow as tf

from kgdists.core.types import Integer, Tensor

__all__ = [
    "as_word",
    "choice_of_bits",
    "choice_thresholds",
    "normal_of_bits",
    "procedural_bits",
    "procedural_normal",
    "procedural_uniform",
    "uniform_of_bits",
]

PHILOX = 1
STREAMS = 1 << 63  # set in the upper half of the counter: other draws of the same seed never get there
DIGITS = 52  # of a uniform number

# The normal quantile function, piecewise cubic, by the exponent and the first bits of the mantissa of the tail's mass.
SEGMENT_BITS = 5
LOCAL_BITS = 30  # of the place within a segment
FRACTION_BITS = 25  # of a normal number, which has four before the point and a sign
GUARD_BITS = 7


def procedural_bits(
    seed: Integer | Tensor,
    stream: Integer | Tensor,
    start: Integer | Tensor,
    num_rows: Integer | Tensor,
    num_columns: int,
) -> Tensor:
    """Random bits: rows `start` to `start + num_rows` of an endless table.

    Parameters
    ----------
    seed, stream : int or integer scalar tensor
        Each pair has a table of its own, independent of all others.
    start : int or int64 scalar tensor, >= 0
    num_rows : int or integer scalar tensor
    num_columns : int
        Tables of different numbers of columns are not parts of each other.

    Returns
    -------
    uint64 tensor, shape [num_rows, num_columns].

    Examples
    --------
    >>> from kgdists.random import procedural_bits
    >>> bool((procedural_bits(0, 1, 0, 10, 3)[7:] == procedural_bits(0, 1, 7, 3, 3)).numpy().all())
    True
    """
    blocks = -(-num_columns // 2)  # of two numbers, one for each value of the counter
    key = as_word(seed)
    counter = tf.stack(
        [as_word(start) * tf.constant(blocks, "uint64"), as_word(stream) + tf.constant(STREAMS, "uint64")]
    )

    def draw():
        return tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=(num_rows, 2 * blocks), key=key[None], counter=counter, alg=PHILOX, dtype="uint64"
        )

    if tf.executing_eagerly():
        bits = draw()
    else:
        # In a branch, so that XLA does not compute each block of numbers once for every number that is used.
        taken = tf.bitwise.bitwise_or(key, tf.constant(1, "uint64")) != tf.constant(0, "uint64")
        bits = tf.cond(taken, draw, lambda: tf.zeros((num_rows, 2 * blocks), "uint64"))
        known = num_rows if isinstance(num_rows, int) else None
        bits = tf.ensure_shape(bits, (known, 2 * blocks))
    return bits[:, :num_columns]


def procedural_uniform(
    seed: Integer | Tensor,
    stream: Integer | Tensor,
    start: Integer | Tensor,
    num_rows: Integer | Tensor,
    num_columns: int,
    dtype: str = "float32",
) -> Tensor:
    """Numbers of the open interval (0, 1), float32 or float64; arguments as for `procedural_bits`."""
    return uniform_of_bits(procedural_bits(seed, stream, start, num_rows, num_columns), dtype)


def procedural_normal(
    seed: Integer | Tensor,
    stream: Integer | Tensor,
    start: Integer | Tensor,
    num_rows: Integer | Tensor,
    num_columns: int,
    dtype: str = "float32",
) -> Tensor:
    """Standard normal numbers, float32 or float64, in steps of 2^-25; arguments as for `procedural_bits`."""
    return normal_of_bits(procedural_bits(seed, stream, start, num_rows, num_columns), dtype)


def uniform_of_bits(bits: Tensor, dtype: str = "float32") -> Tensor:
    """Random bits, uint64, as numbers of the open interval (0, 1): midpoints of equal steps."""
    digits = 23 if dtype == "float32" else DIGITS
    return (tf.cast(_leading(bits, digits), dtype) + 0.5) * 2.0**-digits


def normal_of_bits(bits: Tensor, dtype: str = "float32") -> Tensor:
    """Random bits, uint64, as standard normal numbers in steps of 2^-25."""
    # An odd integer of 53 bits: the mass of the tail, times 2^54. Its float64 is exact.
    tail = tf.bitcast(tf.cast(2 * _leading(bits, DIGITS) + 1, "float64"), "int64")
    mantissa_bits = 52 - SEGMENT_BITS
    segment = _shift(tail, mantissa_bits) - (1023 << SEGMENT_BITS)
    place = _shift(
        tf.bitwise.bitwise_and(tail, tf.constant((1 << mantissa_bits) - 1, "int64")), mantissa_bits - LOCAL_BITS
    )
    value = tf.zeros_like(place)
    for coefficients in _quantile_table()[::-1]:
        value = tf.gather(coefficients, segment) + _shift(value * place, LOCAL_BITS)
    value = _shift(value + (1 << (GUARD_BITS - 1)), GUARD_BITS)
    negative = tf.cast(tf.bitwise.bitwise_and(bits, tf.constant(1, "uint64")), "int64")
    return tf.cast(value * (1 - 2 * negative), dtype) * 2.0**-FRACTION_BITS


def choice_of_bits(bits: Tensor, thresholds: np.ndarray) -> Tensor:
    """Random bits, uint64, as choices among K, int64; `thresholds` are those of `choice_thresholds`."""
    uniform = _leading(bits, DIGITS)
    choice, step = tf.zeros_like(uniform), (len(thresholds) + 1) // 2
    while step:  # a binary search
        choice += step * tf.cast(uniform >= tf.gather(thresholds, choice + (step - 1)), "int64")
        step //= 2
    return choice


def choice_thresholds(logits: np.ndarray) -> np.ndarray:
    """Integers that divide the uniform numbers by the weights of K choices, filled up to a power of two minus one.

    Weights are rounded to 2^-40 of the largest.

    Parameters
    ----------
    logits : float64 array, shape [K]
        Unnormalised log-weights; what has `-inf` is never chosen.

    Returns
    -------
    int64 array.
    """
    weights = np.rint(_exp(logits - logits.max()) * 2.0**40).astype("int64").tolist()
    total, below, thresholds = sum(weights), 0, []
    for weight in weights:
        below += weight
        thresholds.append((below << DIGITS) // total)
    length = 1 << (len(weights) - 1).bit_length()
    return np.array((thresholds[:-1] + [1 << DIGITS] * length)[: length - 1], "int64")


def as_word(x: Integer | Tensor) -> Tensor:
    """An integer of any kind as a uint64 scalar tensor, negative ones modulo 2^64."""
    if isinstance(x, (int, np.integer)):
        return tf.constant(int(x) % 2**64, "uint64")
    return x if x.dtype == "uint64" else tf.bitcast(tf.cast(x, "int64"), "uint64")


def _leading(bits, digits):
    return tf.cast(tf.bitwise.right_shift(bits, tf.constant(64 - digits, "uint64")), "int64")


def _shift(x, digits):
    return tf.bitwise.right_shift(x, tf.constant(digits, "int64"))


# Of additions, multiplications, divisions and square roots alone, which are the same on every machine, as those of a
# mathematical library are not.


@functools.cache
def _quantile_table():
    """Coefficients of the cubic of each segment, lowest power first, in units of 2^-32: int64, shape [4, segments]."""
    segments = np.arange((DIGITS + 1) << SEGMENT_BITS)
    width = 2.0 ** ((segments >> SEGMENT_BITS) - DIGITS - 2 - SEGMENT_BITS)  # of mass
    first = width * ((1 << SEGMENT_BITS) + segments % (1 << SEGMENT_BITS))
    # Newton's interpolation at four places near those of Chebyshev.
    at = [0.0390625, 0.3125, 0.6875, 0.9609375]
    values = [_tail_quantile(first + place * width) for place in at]
    for order in (1, 2, 3):
        for i in range(3, order - 1, -1):
            values[i] = (values[i] - values[i - 1]) / (at[i] - at[i - order])
    powers = [values[3], 0.0 * first, 0.0 * first, 0.0 * first]
    for i in (2, 1, 0):  # times (t - at[i]), plus the next
        powers = [values[i] - at[i] * powers[0], *(powers[j - 1] - at[i] * powers[j] for j in (1, 2, 3))]
    return np.stack([np.rint(power * 2.0 ** (FRACTION_BITS + GUARD_BITS)) for power in powers]).astype("int64")


def _tail_quantile(mass):
    """The z > 0 above which a standard normal number lies with probability `mass`, an array within (0, 1/2)."""
    z = np.maximum(np.sqrt(-1.4 * np.frexp(mass)[1]) - 1.2, 0.0)
    for _ in range(20):  # of Newton's method, which does not overshoot from below
        z = z + (_tail_mass(z) - mass) / _density(z)
    return z


def _tail_mass(z):
    far = np.maximum(z, 2.0)
    fraction = far
    for n in range(100, 0, -1):
        fraction = far + n / fraction
    near = np.minimum(z, 2.0)
    term, total = near, near
    for n in range(3, 101, 2):
        term = term * near * near / n
        total = total + term
    return np.where(z < 2.0, 0.5 - _density(near) * total, _density(far) / fraction)


def _density(z):
    return _exp(-0.5 * z * z) * 0.3989422804014327


def _exp(x):
    """The exponential of an array <= 0."""
    x = np.maximum(x, -745.0) / 1024.0
    result = np.ones_like(x)
    for n in range(20, 0, -1):
        result = 1.0 + x * result / n
    with np.errstate(under="ignore"):
        for _ in range(10):
            result = result * result
    return result
