"""Random numbers with explicit seeds.

Everywhere in kgdists a `seed` is `None` (Keras' global stream), an int (the same draw at every call) or a
`keras.random.SeedGenerator` (a fresh draw at every call, also inside a traced function).
"""

import numbers

import keras
from keras import ops

__all__ = ["Stream", "gumbel", "normal", "uniform"]

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    init_scope = tf.init_scope

    # Keras leaves `alg` to TensorFlow, whose default is some hundred times slower under XLA on a CPU.
    def _uniform(shape, seed):
        return tf.random.stateless_uniform(shape, _key(seed), alg="philox")

    def _normal(shape, seed, dtype):
        return tf.random.stateless_normal(shape, _key(seed), dtype=dtype, alg="philox")

else:
    from contextlib import nullcontext as init_scope

    def _uniform(shape, seed):
        return keras.random.uniform(shape, dtype="float32", seed=seed)

    def _normal(shape, seed, dtype):
        return keras.random.normal(shape, dtype=dtype, seed=seed)


def uniform(shape, seed=None):
    """Draw from the open interval (0, 1).

    Parameters
    ----------
    shape : tuple of int or scalar tensor
    seed : None, int or keras.random.SeedGenerator

    Returns
    -------
    float32 tensor of `shape`; never 0 and never 1.
    """
    # Generators return multiples of 2^-23 in [0, 1): their midpoints are exact in float32 and leave both ends out.
    return _uniform(tuple(shape), _checked(seed)) + 2.0**-24


def gumbel(shape, seed=None):
    """Draw standard Gumbel noise `-log(-log u)`, float32, always finite; arguments as for `uniform`."""
    return -ops.log(-ops.log(uniform(shape, seed)))


def normal(shape, seed=None, dtype="float32"):
    """Draw standard normal noise in float32 or float64; other arguments as for `uniform`."""
    return _normal(tuple(shape), _checked(seed), dtype)


class Stream:
    """What a distribution draws from when a drawing method is given no seed.

    Streams of one seed compare equal, so that a fresh distribution does not make a `tf.function` trace again.

    Parameters
    ----------
    random_seed : None, int or keras.random.SeedGenerator
        Keras' global stream; one reproducible sequence; or the generator of a layer, which owns it.
    """

    def __init__(self, random_seed):
        if random_seed is not None and not _is_int(random_seed) and not _is_generator(random_seed):
            raise ValueError(
                "`random_seed` must be None, an int or a keras.random.SeedGenerator. "
                f"Received: random_seed={random_seed!r}"
            )
        self.random_seed = random_seed
        self._generator = random_seed if _is_generator(random_seed) else None
        self._children = 0

    def generator(self):
        """The `SeedGenerator` to draw from, or None for the global stream."""
        if self._generator is None and self.random_seed is not None:
            with init_scope():  # the first draw may happen inside a traced function
                self._generator = keras.random.SeedGenerator(int(self.random_seed))
        return self._generator

    def child(self):
        """An int seed of its own for a layer that draws, another one at each call; None for an unseeded stream."""
        seed = self._generator.get_config()["seed"] if _is_generator(self.random_seed) else self.random_seed
        if seed is None:
            return None
        self._children += 1
        return (seed * 1_000_003 + self._children) % 2**31

    def __eq__(self, other):
        return isinstance(other, Stream) and self.random_seed == other.random_seed

    def __hash__(self):
        return hash(("kgdists.Stream", self.random_seed))


def _is_int(seed):
    return isinstance(seed, numbers.Integral) and not isinstance(seed, bool)


def _is_generator(seed):
    return isinstance(seed, keras.random.SeedGenerator)


def _checked(seed):
    if seed is None or _is_generator(seed):
        return seed
    if _is_int(seed):
        return int(seed)
    raise ValueError(f"`seed` must be None, an int or a keras.random.SeedGenerator. Received: seed={seed!r}")


def _key(seed):
    if seed is None:
        return keras.random.randint((2,), 0, 2**31 - 1, dtype="int32")
    return ops.convert_to_tensor([seed, 0], dtype="int64") if isinstance(seed, int) else seed.next()
