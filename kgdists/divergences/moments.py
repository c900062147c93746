"""Mean and standard error of terms, of all at once or of one chunk after the other in constant memory."""

import math
from collections.abc import Callable
from typing import Any

from keras import ops

from kgdists.core.backend import compiled
from kgdists.core.types import Seed, Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.divergences.sampling import stream_of
from kgdists.random import uniform

__all__ = ["log_moments", "moments", "streamed"]


def moments(terms: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of `terms`, shape [n, B...], over the first axis, and the variance of that mean, NaN for n = 1."""
    n = terms.shape[0]
    mean = _sum(terms) / n
    return mean, _sum(ops.square(terms - mean)) / n / (n - 1) if n > 1 else mean * float("nan")


def log_moments(terms: Tensor) -> tuple[Tensor, Tensor]:
    """Logarithm of the mean of `exp(terms)`, and its variance by the delta method; shapes as for `moments`."""
    shift = _shift(ops.max(terms, axis=0))
    mean, variance = moments(ops.exp(terms - shift))
    return shift + ops.log(mean), variance / ops.square(mean)


def streamed(
    evaluate: Callable[..., Tensor],
    args: tuple[Any, ...],
    num_samples: int,
    chunk_size: int,
    seed: Seed,
    is_log: bool = False,
) -> tuple[Tensor, Tensor]:
    """`moments` or `log_moments` of terms that are drawn chunk by chunk, as constants.

    Parameters
    ----------
    evaluate : function
        `evaluate(num_samples, seed, *args)` draws terms. It is compiled together with the loop if all of `args` are
        distributions, numbers and strings: so it must be one function, not a new one at each call.
    args : tuple
    num_samples, chunk_size : int, >= 1
    seed : None, int, keras.random.SeedGenerator or key
    is_log : bool
    """
    chunks = -(-num_samples // chunk_size)
    last = num_samples - (chunks - 1) * chunk_size
    key = _key(stream_of(args[0], seed))
    if isinstance(args[0], Distribution) and all(isinstance(x, (Distribution, str, float, type(None))) for x in args):
        counts = _counts(chunks, last)
        shift, mean, squares = _loop(evaluate, args, chunk_size, is_log, counts[0], counts[1], key)
    else:
        # Foreign draws and densities need not be traceable: their chunks are drawn as they come.
        first = int(ops.convert_to_numpy(key)[0])
        state = _chunk(evaluate(chunk_size, first, *args), last if chunks == 1 else chunk_size, is_log)
        for i in range(1, chunks):
            size = last if i == chunks - 1 else chunk_size
            chunk = _chunk(evaluate(chunk_size, (first + i) % 2**31, *args), size, is_log)
            state = _merged(state, chunk, float(i * chunk_size), float(size))
        shift, mean, squares = state
    variance = squares / num_samples / (num_samples - 1) if num_samples > 1 else mean * float("nan")
    if is_log:
        mean, variance = shift + ops.log(mean), variance / ops.square(mean)
    return mean, variance


@compiled
def _loop(evaluate, args, chunk_size, is_log, chunks, last, key):
    p = args[0]
    zeros = ops.zeros(p.batch_shape, p.dtype)

    def add(i, state):
        chunk_key = ops.stack([key[0] + ops.cast(i, key.dtype), key[1]])
        size = ops.where(i == chunks - 1, last, chunk_size)
        chunk = _chunk(evaluate(chunk_size, chunk_key, *args), size, is_log)
        return _merged(state, chunk, ops.cast(i, zeros.dtype) * chunk_size, ops.cast(size, zeros.dtype))

    start = zeros - (float("inf") if is_log else 0.0), zeros, zeros
    return ops.fori_loop(0, chunks, add, start)


def _chunk(terms, size, is_log):
    """Shift, mean and sum of squared deviations of the first `size` terms; of their exponentials if `is_log`."""
    terms = ops.stop_gradient(terms)
    is_in = ops.reshape(ops.arange(terms.shape[0]) < size, (-1, *[1] * (len(terms.shape) - 1)))
    shift = ops.zeros_like(terms[0])
    if is_log:
        terms = ops.where(is_in, terms, -float("inf"))
        shift = ops.max(terms, axis=0)
        terms = ops.exp(terms - _shift(shift))
    mean = _sum(ops.where(is_in, terms, 0.0)) / ops.cast(size, terms.dtype)
    return shift, mean, _sum(ops.where(is_in, ops.square(terms - mean), 0.0))


def _merged(a, b, num_a, num_b):
    """Moments of `num_a` terms and of `num_b` more (Chan et al. 1979)."""
    shift = ops.maximum(a[0], b[0])
    (mean_a, squares_a), (mean_b, squares_b) = (_rescaled(x, shift) for x in (a, b))
    share = num_b / (num_a + num_b)
    # A mean that is infinite stays so.
    mean = ops.where(ops.isfinite(mean_a), mean_a + (mean_b - mean_a) * share, mean_a)
    return shift, mean, squares_a + squares_b + ops.square(mean_b - mean_a) * (num_a * share)


def _rescaled(state, shift):
    own, mean, squares = state
    factor = ops.exp(_shift(own) - _shift(shift))
    factor = ops.where(ops.equal(own, -float("inf")), 0.0, factor)
    return mean * factor, squares * ops.square(factor)


def _shift(largest):
    # Where all weights are 0, or one is infinite, there is nothing to scale.
    return ops.stop_gradient(ops.where(ops.isfinite(largest), largest, 0.0))


def _counts(*counts):
    # As tensors: numbers would have the loop compiled again for each.
    return [ops.convert_to_tensor(count, dtype="int32") for count in counts]


def _sum(terms):
    # In two stages of sqrt(n) terms each: one after the other, a million float32 lose four digits.
    width = math.isqrt(terms.shape[0])
    whole = terms.shape[0] // width * width
    blocks = ops.reshape(terms[:whole], (-1, width, *ops.shape(terms)[1:]))
    return ops.sum(ops.sum(blocks, axis=1), axis=0) + ops.sum(terms[whole:], axis=0)


def _key(seed):
    """A key for all chunks: that of each differs in the first word."""
    return ops.cast(ops.cast(uniform((2,), seed) * 2.0**23, "int32"), "uint32")
