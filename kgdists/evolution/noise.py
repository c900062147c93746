"""Standard normal numbers whose rows are pure functions of a key and the row: populations as procedural tables.

The numbers are made of those of the Philox 4x32-10 generator (Salmon et al. 2011), whose counter is the row. Any
machine makes any rows of a population by itself.
"""

import math

import tensorflow as tf

from kgdists.procedural import as_word

__all__ = ["generation_key", "normal"]

PHILOX = 1
BLOCK_BITS = 128  # of one value of the counter
GENERATIONS = 1 << 62  # set in the upper half of the counter: other draws of the same key never get there


def normal(key, first_row, num_rows, num_columns, dtype="float32"):
    """Standard normal numbers: rows `first_row` to `first_row + num_rows` of an endless table.

    Parameters
    ----------
    key : integer tensor, shape [2]
        As of `kgdists.random.key`; each has a table of its own.
    first_row : int or integer scalar tensor, >= 0
    num_rows, num_columns : int
        Tables of different numbers of columns are not parts of each other.
    dtype : {"float32", "float64"}

    Returns
    -------
    tensor, shape [num_rows, num_columns].

    Examples
    --------
    >>> from kgdists.evolution import noise
    >>> from kgdists.random import key
    >>> bool((noise.normal(key(0), 0, 10, 3)[7:] == noise.normal(key(0), 7, 3, 3)).numpy().all())
    True
    """
    dtype = tf.as_dtype(dtype)
    bits, digits = ("int32", 24) if dtype == tf.float32 else ("int64", 53)
    words = BLOCK_BITS // tf.as_dtype(bits).size // 8
    blocks = -(-num_columns // words)
    counter = tf.stack([as_word(first_row) * tf.constant(blocks, "uint64"), as_word(key[1])])

    def draw():
        integers = tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=(num_rows, blocks * words), key=as_word(key[0])[None], counter=counter, alg=PHILOX, dtype=bits
        )
        # Midpoints of equal steps of (-1, 1), each exact.
        spare = tf.constant(tf.as_dtype(bits).size * 8 - digits, bits)
        odd = 2 * tf.bitwise.right_shift(integers, spare) + 1
        return math.sqrt(2.0) * tf.math.erfinv(tf.cast(odd, dtype) * 2.0**-digits)

    if tf.executing_eagerly():
        numbers = draw()
    else:
        # In a branch, so that XLA does not compute each block of numbers once for every number that is used.
        taken = tf.bitwise.bitwise_or(as_word(key[0]), tf.constant(1, "uint64")) != tf.constant(0, "uint64")
        numbers = tf.cond(taken, draw, lambda: tf.zeros((num_rows, blocks * words), dtype))
        numbers = tf.ensure_shape(numbers, (num_rows, blocks * words))
    return numbers[:, :num_columns]


def generation_key(seed_key, generation):
    """The key of a generation of a search: a hash of the search's key, an integer tensor of shape [2], and a number."""
    counter = tf.stack(
        [as_word(generation), tf.bitwise.bitwise_xor(as_word(seed_key[1]), tf.constant(GENERATIONS, "uint64"))]
    )
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=(2,), key=as_word(seed_key[0])[None], counter=counter, alg=PHILOX, dtype="int64"
    )
