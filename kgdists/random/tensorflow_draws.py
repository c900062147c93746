"""Draws on TensorFlow: the same eagerly and under XLA."""

import math
from collections.abc import Sequence

import tensorflow as tf

from kgdists.core.backend import map_rows
from kgdists.core.types import Integer, Seed, Tensor
from kgdists.random.streams import key as key_of
from kgdists.random.streams import split

__all__ = ["gamma_slope", "log_gamma", "normal", "uniform"]

PHILOX = 1


# The raw operations, because Keras leaves the algorithm to TensorFlow, whose choice is some hundred times slower
# under XLA on a CPU, and because scrambling the key first, as `tf.random.stateless_uniform` does, doubles the time
# of a small compiled function.
# Integers, because they come out the same eagerly and under XLA; TensorFlow's floats do not.
def uniform(shape: Sequence[Integer], seed: Seed, dtype: str = "float32") -> Tensor:
    """In the open interval (0, 1), float32 or float64; `seed` as `streams.checked` returns it."""
    seed, is_single = key_of(seed), dtype == "float32"
    if tf.executing_eagerly() or map_rows():  # a branch for each row is slow, and nothing for XLA
        return _midpoints(_integers(shape, seed, "uint32" if is_single else "uint64"), dtype)
    shape = tf.convert_to_tensor(shape, tf.int32)

    # XLA would fuse the generator into what uses its numbers, and there compute each block of 128 bits once per
    # number, several times slower. It does not fuse what is in a branch, nor see that this one is always taken.
    def apart(make, shape, dtype):
        return tf.cond(tf.bitwise.bitwise_or(seed[0], 1) != 0, make, lambda: tf.zeros(shape, dtype))

    def doubles():
        return _midpoints(_integers(shape, seed, "uint64"), dtype)

    def singles():
        halves = tf.reshape(tf.bitcast(pairs, "uint32"), (-1,))
        return _midpoints(tf.reshape(halves[:count], shape), dtype)

    if is_single:
        # Even there it computes a block for each integer of it. So they are integers of 64 bits, each two of 32.
        count = tf.reduce_prod(tf.cast(shape, tf.int64))
        length = [tf.cast((count + 1) // 2, tf.int32)]
        pairs = apart(lambda: _integers(length, seed, "uint64"), length, "uint64")
    numbers = apart(singles if is_single else doubles, shape, dtype)
    known = tf.get_static_value(shape, partial=True)
    return numbers if known is None else tf.ensure_shape(numbers, list(known))  # which the branches have lost


def _integers(shape, key, bits):
    return tf.raw_ops.StatelessRandomUniformFullIntV2(dtype=bits, **_philox(shape, key))


def _midpoints(integers, dtype):
    """Those of equal steps between 0 and 1: exact, and they leave both ends out."""
    spare, step = (9, 2.0**-23) if dtype == "float32" else (12, 2.0**-52)
    return (tf.cast(tf.bitwise.right_shift(integers, tf.constant(spare, integers.dtype)), dtype) + 0.5) * step


def normal(shape: Sequence[Integer], seed: Seed, dtype: str) -> Tensor:
    """Standard normal noise, float32 or float64."""
    return math.sqrt(2.0) * tf.math.erfinv(2.0 * uniform(shape, seed, dtype) - 1.0)


def log_gamma(concentration: Tensor, seed: Seed) -> Tensor:
    """Logarithms of gamma variates; gradients are up to the caller."""
    for_gamma, for_boost = split(key_of(seed), 2)
    # A gamma variate times u^(1 / a) is one of a concentration a that is lower by one; its logarithm does not
    # underflow.
    u = uniform(tf.shape(concentration), for_boost, concentration.dtype.name)
    return tf.math.log(_gamma(concentration + 1.0, for_gamma)) + tf.math.log(u) / concentration


def gamma_slope(concentration: Tensor, x: Tensor) -> Tensor:
    """The derivative of gamma variates at a fixed probability, in concentrations to 100: it is wrong for huge ones."""
    return tf.raw_ops.RandomGammaGrad(alpha=concentration, sample=x)


def _gamma(concentration, key):
    shape, dtype = tf.shape(concentration), concentration.dtype.name
    key, for_normal, for_uniform = split(key, 3)
    drawn, accepted = _propose(concentration, normal(shape, for_normal, dtype), uniform(shape, for_uniform, dtype))
    # One in twenty at most is rejected. Those are drawn again in a short tensor of fixed length; where they do not
    # fit in, there is another turn.
    flat, count = tf.reshape(concentration, (-1,)), tf.size(concentration)
    length = tf.minimum(count, count // 16 + 64)

    in_rows = bool(map_rows())  # which must have tensors of one length: there all are drawn again

    def again(key, drawn, waiting):
        if in_rows:
            index = tf.range(count)
        else:
            index = tf.concat([tf.where(waiting)[:, 0], tf.zeros((length,), tf.int64)], axis=0)[:length]
        own = tf.gather(flat, index)

        def body(key, values, left):
            key, for_normal, for_uniform = split(key, 3)
            z = math.sqrt(2.0) * tf.math.erfinv(2.0 * _uniform_at(index, for_normal, dtype) - 1.0)
            proposed, accepted = _propose(own, z, _uniform_at(index, for_uniform, dtype))
            return key, tf.where(left, proposed, values), left & ~accepted

        start = (key, tf.gather(drawn, index), tf.gather(waiting, index))
        key, values, _ = tf.while_loop(lambda key, values, left: tf.reduce_any(left), body, start)
        index = index[:, None]
        drawn = tf.tensor_scatter_nd_update(drawn, index, values)
        waiting = tf.tensor_scatter_nd_update(waiting, index, tf.zeros_like(start[2]))
        return key, tf.ensure_shape(drawn, flat.shape), tf.ensure_shape(waiting, flat.shape)

    start = (key, tf.reshape(drawn, (-1,)), tf.reshape(~accepted, (-1,)))
    _, drawn, _ = tf.while_loop(lambda key, drawn, waiting: tf.reduce_any(waiting), again, start)
    return tf.ensure_shape(tf.reshape(drawn, shape), concentration.shape)


def _propose(concentration, z, u):
    """Gamma variates of normal and uniform ones, and whether they are accepted (Marsaglia and Tsang 2000)."""
    d = concentration - 1.0 / 3.0
    w = tf.maximum(tf.math.rsqrt(9.0 * d) * z, -1.0)
    bound = 0.5 * z * z + d * (3.0 * (tf.math.log1p(w) - w - w * w) - w**3)
    # A NaN is accepted, or the loop would not end.
    return d * (1.0 + w) ** 3, ~(tf.math.log(u) >= bound)


def _uniform_at(index, key, dtype):
    # A number for each index whatever the others are (Steele et al. 2014, SplitMix64): eagerly and under XLA the
    # rejected ones may differ by a rounding.
    bits = _integers((1,), key, "uint64")
    bits += tf.cast(index, "uint64") * tf.constant(0x9E3779B97F4A7C15, "uint64")
    for spare, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(spare, "uint64")))
        bits *= tf.constant(factor, "uint64")
    digits = 23 if dtype == "float32" else 52
    bits = tf.bitwise.right_shift(bits, tf.constant(64 - digits, "uint64"))
    return (tf.cast(tf.cast(bits, "int64"), dtype) + 0.5) * 2.0**-digits


def _philox(shape, key):
    key, draw = tf.split(tf.cast(key, tf.uint64), 2)
    # The lower word of the counter runs over the blocks of one draw, the upper one over the draws.
    counter = tf.concat([tf.zeros((1,), tf.uint64), draw], axis=0)
    return {"shape": tf.convert_to_tensor(shape, tf.int32), "key": key, "counter": counter, "alg": PHILOX}
