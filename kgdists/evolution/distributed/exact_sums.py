"""Sums whose last bit does not depend on the order of their terms, or on which worker adds which terms.

Addition of floats is not associative, that of integers is. Each term is rounded once to a multiple of a unit that all
terms share, a power of two that comes of a known bound of the sum (after Demmel and Nguyen 2013, with one bin), and
the multiples are added. They take no more room than the floats: int32 for float32, int64 for float64.
"""

import tensorflow as tf

from kgdists.core.types import Tensor

__all__ = ["from_units", "in_units"]

DIGITS = {tf.float32: 30, tf.float64: 62}  # of the bound, in units: one bit is for the sign, one for roundings
INTEGERS = {tf.float32: tf.int32, tf.float64: tf.int64}
EXPONENT_BITS = 0x7FF0000000000000  # of a float64
LEAST_POWER = 2.0**-900


def in_units(term: Tensor, bound: Tensor) -> Tensor:
    """A term of a sum as an integer; such integers are added instead of the terms, in any order.

    Parameters
    ----------
    term : float32 or float64 tensor
    bound : tensor like `term`
        The same for all terms, and no less than the sum of their magnitudes. The unit is at most 2^-29 (float32) or
        2^-61 (float64) of it.

    Returns
    -------
    int32 or int64 tensor, the term in units to the nearest.

    Examples
    --------
    >>> import tensorflow as tf
    >>> from kgdists.evolution.distributed.exact_sums import from_units, in_units
    >>> terms, bound = tf.constant([0.1, 0.2, 0.3, -0.7]), tf.constant(1.3)
    >>> a, b, c, d = tf.unstack(in_units(terms, bound))
    >>> bool((a + b) + (c + d) == ((d + c) + b) + a), float(from_units(a + b + c + d, bound))
    (True, -0.099999...)
    """
    digits, power = DIGITS[term.dtype], _power(bound)
    return tf.cast(tf.round(tf.cast(term, tf.float64) / power * 2.0 ** (digits - 1)), INTEGERS[term.dtype])


def from_units(total: Tensor, bound: Tensor) -> Tensor:
    """The sum, a tensor like `bound`, of which `total` is the integer."""
    power = _power(bound) * 2.0 ** (1 - DIGITS[bound.dtype])
    return tf.cast(tf.cast(total, tf.float64) * power, bound.dtype)


def _power(bound):
    """The power of two below a bound, in float64. Its bits, because logarithms are not exact under XLA."""
    bits = tf.bitcast(tf.cast(bound, tf.float64), tf.int64)
    power = tf.bitcast(tf.bitwise.bitwise_and(bits, tf.constant(EXPONENT_BITS, tf.int64)), tf.float64)
    return tf.maximum(power, LEAST_POWER)
