"""Random orders, of many numbers without a sort, which under XLA takes a hundred times as long."""

import numpy as np
from keras import ops

from kgdists.core.checks import count
from kgdists.core.types import Integer, Seed, Tensor
from kgdists.random.draws import uniform

__all__ = ["permutation"]

ROUNDS = 8  # an even number
FEW = 128  # numbers at most that are sorted: of so few bits, a network makes some orders more often than others


def permutation(n: Integer, seed: Seed = None) -> Tensor:
    """Draw a random order of `0 ... n - 1`.

    Up to 128 numbers are sorted by random keys. Of more, a Feistel network permutes the numbers of the fewest bits that
    hold `n`, and those that land on `n` or beyond again until none does: an order is a function of eight numbers of 24
    random bits.

    Parameters
    ----------
    n : int, from 0 to 2^31 - 1
    seed : None, int, keras.random.SeedGenerator or key
        As for `uniform`.

    Returns
    -------
    int32 tensor, shape [n].

    Raises
    ------
    ValueError
        For another `n`.

    References
    ----------
    J. Black, P. Rogaway (2002), Ciphers with arbitrary finite domains, section 4 (cycle walking).
    """
    n = count("n", n, least=0, most=2**31 - 1)
    if n <= FEW:
        return ops.argsort(uniform((n,), seed))
    keys = ops.cast(uniform((ROUNDS,), seed) * 2.0**31, "uint32")
    bits = (n - 1).bit_length()
    order = _permuted(ops.cast(ops.arange(n, dtype="int32"), "uint32"), keys, bits)
    if n != 1 << bits:
        order = ops.while_loop(
            lambda order: ops.any(order >= _word(n)),
            lambda order: (ops.where(order >= _word(n), _permuted(order, keys, bits), order),),
            (order,),
        )[0]
    return ops.cast(order, "int32")


def _permuted(x, keys, bits):
    """Numbers of some bits, by rounds that each add to one half what a hash makes of the other."""
    left, right = bits // 2, bits - bits // 2
    upper, lower = ops.right_shift(x, _word(right)), ops.bitwise_and(x, _word((1 << right) - 1))
    for i in range(ROUNDS):
        hashed = ops.right_shift(_hashed(lower, keys[i]), _word(32 - left))
        upper, lower, left, right = lower, ops.bitwise_xor(upper, hashed), right, left
    return ops.bitwise_or(ops.left_shift(upper, _word(right)), lower)


def _hashed(x, key):
    """Every bit of the result depends on every bit of a number and a key: MurmurHash3's last steps."""
    x = ops.bitwise_xor(x * _word(0x9E3779B1), key * _word(0x27D4EB2F))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = ops.bitwise_xor(x, ops.right_shift(x, _word(shift))) * _word(factor)
    return ops.bitwise_xor(x, ops.right_shift(x, _word(16)))


def _word(number):
    return ops.convert_to_tensor(np.uint32(number))
