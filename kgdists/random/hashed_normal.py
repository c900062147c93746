"""Standard normal numbers whose rows are pure functions of a key and the row: populations as procedural tables.

A row has a key of its own, the numbers of the Philox 4x32-10 generator (Salmon et al. 2011) at the counter `row`. Its
columns are hashed with that key: bijections of 32 bits made of three multiplications (Wellons 2018, triple32), with the
two words of the key added at the start and after the first multiplication. A few integer operations per number instead
of a whole generator: XLA fuses and vectorises them, and drawing is no longer what a generation waits for.
"""

import math

import numpy as np
import tensorflow as tf

from kgdists.core.types import Integer, Tensor
from kgdists.random.procedural import as_word

__all__ = ["generation_key", "normal"]

PHILOX = 1
GENERATIONS = 1 << 62  # set in the upper half of the counter: other draws of the same key never get there
WEYL = 0x9E3779B9  # of the columns: the golden ratio

# Rational approximation of the normal quantile: z / u by w = -log(1 - u^2), where P(|Z| < z) = u; relative error 1e-7
# up to w = 21.6, the last of 2^31 steps.
NUMERATOR = (1.25331428, 0.4528974971, 0.0899879862, 0.01190231569, 0.001002511391, 2.921245111e-05)
DENOMINATOR = (1.0, 0.09956338152, 0.03269127197, 0.002291407772, 1.697537488e-04, 1.003826332e-06)
# log(1 + f) / f between sqrt(1/2) - 1 and sqrt(2) - 1, relative error 2e-7.
LOGARITHM = (
    0.9999999453,
    -0.5000036513,
    0.3333505883,
    -0.2496990871,
    0.1990016887,
    -0.1725083790,
    0.1622255590,
    -0.1010683766,
)
ROOT_HALF_BITS = 0x3F3504F3  # of the float32 sqrt(1/2)


def normal(
    key: Tensor, first_row: Integer | Tensor, num_rows: Integer, num_columns: Integer, dtype: str = "float32"
) -> Tensor:
    """Standard normal numbers: rows `first_row` to `first_row + num_rows` of an endless table.

    Parameters
    ----------
    key : integer tensor, shape [2]
        As of `kgdists.random.key`; each has a table of its own.
    first_row : int or integer scalar tensor, >= 0
    num_rows, num_columns : int
    dtype : {"float32", "float64"}

    Returns
    -------
    tensor, shape [num_rows, num_columns].

    Examples
    --------
    >>> from kgdists.random import hashed_normal
    >>> from kgdists.random import key
    >>> bool((hashed_normal.normal(key(0), 0, 10, 3)[7:] == hashed_normal.normal(key(0), 7, 3, 3)).numpy().all())
    True
    """
    keys = _row_keys(key, first_row, num_rows)
    columns = tf.constant((np.arange(num_columns, dtype="uint64") * WEYL % 2**32).astype("uint32"))
    first = _start(columns + keys[:, 0:1])
    words = tf.bitcast(_finish(first + keys[:, 1:2]), "int32")
    if tf.as_dtype(dtype) == tf.float32:
        return _normal_of_words(words)
    more = tf.bitcast(_finish(_start(columns + keys[:, 2:3]) + keys[:, 3:4]), "int32")
    high, low = (tf.cast(tf.bitwise.right_shift(x, _int(y)), "float64") for x, y in ((words, 0), (more, 11)))
    # An odd multiple of 2^-53 within (-1, 1), exact.
    uniform = (high + ((low + 0.5) * 2.0**-21 + 0.5)) * 2.0**-31
    # Of negative numbers, because TensorFlow's `erfinv` has fewer digits next to 1, and is infinite at the last one.
    return -math.sqrt(2.0) * tf.sign(uniform) * tf.math.erfinv(-tf.abs(uniform))


def generation_key(seed_key: Tensor, generation: Integer | Tensor) -> Tensor:
    """The key of a generation of a search: a hash of the search's key, an integer tensor of shape [2], and a number."""
    counter = tf.stack(
        [as_word(generation), tf.bitwise.bitwise_xor(as_word(seed_key[1]), tf.constant(GENERATIONS, "uint64"))]
    )
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=(2,), key=as_word(seed_key[0])[None], counter=counter, alg=PHILOX, dtype="int64"
    )


def _row_keys(key, first_row, num_rows):
    """Keys of rows: uint32, shape [num_rows, 4]."""

    def draw():
        return tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=(4 * num_rows,),
            key=as_word(key[0])[None],
            counter=tf.stack([as_word(first_row), as_word(key[1])]),
            alg=PHILOX,
            dtype="uint32",
        )

    if tf.executing_eagerly():
        words = draw()
    else:
        # In a branch, so that XLA does not compute the key of a row again for each of its columns.
        taken = tf.bitwise.bitwise_or(as_word(key[0]), tf.constant(1, "uint64")) != tf.constant(0, "uint64")
        words = tf.cond(taken, draw, lambda: tf.zeros((4 * num_rows,), "uint32"))
    return tf.reshape(words, (num_rows, 4))


def _start(x):
    x = _mixed(x, 17) * tf.constant(0xED5AD4BB, "uint32")
    return _mixed(x, 11)


def _finish(x):
    x = _mixed(x * tf.constant(0xAC4C1B51, "uint32"), 15) * tf.constant(0x31848BAB, "uint32")
    return _mixed(x, 14)


def _mixed(x, shift):
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(shift, "uint32")))


def _normal_of_words(words):
    """Random words, int32, as float32 normal numbers: a sign and 31 bits for the mass of the tail."""
    # Additions, multiplications and one division: `erfinv` takes three times as long under XLA.
    magnitude = tf.cast(tf.bitwise.bitwise_and(words, _int(2**31 - 1)), "float32")
    tail = (magnitude + 0.5) * 2.0**-31  # of both sides
    minus_log = -_log(tail * (2.0 - tail))
    z = (1.0 - tail) * _polynomial(NUMERATOR, minus_log) / _polynomial(DENOMINATOR, minus_log)
    sign = tf.bitwise.bitwise_and(words, _int(-(2**31)))
    return tf.bitcast(tf.bitwise.bitwise_xor(tf.bitcast(z, "int32"), sign), "float32")


def _log(x):
    """Of positive normal float32."""
    bits = tf.bitcast(x, "int32")
    exponent = tf.bitwise.right_shift(bits - _int(ROOT_HALF_BITS), _int(23))
    f = tf.bitcast(bits - tf.bitwise.left_shift(exponent, _int(23)), "float32") - 1.0
    return tf.cast(exponent, "float32") * math.log(2.0) + f * _polynomial(LOGARITHM, f)


def _polynomial(coefficients, x):
    value = tf.fill(tf.shape(x), tf.constant(coefficients[-1], x.dtype))
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def _int(x):
    return tf.constant(x, "int32")
