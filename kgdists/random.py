"""Random numbers with explicit seeds.

Everywhere in kgdists a `seed` is `None` (Keras' global stream), an int (the same draw at every call) or a
`keras.random.SeedGenerator` (a fresh draw at every call, also inside a traced function). On TensorFlow it may also be
a key, an integer tensor of shape [2]: the draw is a pure function of it, and the caller sees to it that keys differ.

In a `tf.vectorized_map` an int, or a key from outside, draws the same in each row; None and a generator do not.

On TensorFlow there are also procedural streams, `procedural_bits`, `procedural_uniform` and `procedural_normal`:
endless tables any rows of which are made on their own.
"""

import contextlib
import itertools
import math
import numbers
import weakref
from collections.abc import Iterator

import keras
from keras import ops

__all__ = ["Stream", "gumbel", "key", "log_gamma", "normal", "permutation", "split", "uniform"]

_CHILDREN = 1_000_003  # more than one seed ever has
_ROWS = 1_048_583

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    from kgdists.procedural import procedural_bits, procedural_normal, procedural_uniform

    __all__ += ["procedural_bits", "procedural_normal", "procedural_uniform"]

    PHILOX = 1

    @contextlib.contextmanager
    def _outside_functions():
        # `tf.init_scope` keeps a traced function's rule that only its first call may make variables. A graph of its
        # own does not have it.
        with tf.Graph().as_default(), tf.__internal__.eager_context.eager_mode():
            yield

    _is_tracing = tf.inside_function

    def _rows():
        """The row, a scalar tensor, of each `tf.vectorized_map` that is being traced here, the outermost first."""
        graph = tf.compat.v1.get_default_graph() if _is_tracing() else None
        scopes, rows = graph.get_name_scope().split("/") if graph else (), []
        # TensorFlow traces the body in a name scope of its own, in which the row comes first.
        for i, scope in enumerate(scopes, 1):
            if scope.startswith("loop_body"):
                with contextlib.suppress(KeyError):
                    row = graph.get_operation_by_name("/".join([*scopes[:i], "PlaceholderWithDefault"]))
                    rows.append(row.outputs[0])
        return rows

    def _of_row(key):
        """`key`, another one in each row of a `tf.vectorized_map`."""
        for row in _rows():
            key = key * tf.constant([_ROWS, 1], key.dtype) + tf.stack([tf.cast(row, key.dtype), 0])
        return key

    # The raw operations, because Keras leaves the algorithm to TensorFlow, whose choice is some hundred times slower
    # under XLA on a CPU, and because scrambling the key first, as `tf.random.stateless_uniform` does, doubles the time
    # of a small compiled function.
    # Integers, because they come out the same eagerly and under XLA; TensorFlow's floats do not.
    def _uniform(shape, seed, dtype="float32"):
        bits, spare = ("uint32", 9) if dtype == "float32" else ("uint64", 12)
        seed = _key(seed)

        def draw():
            integers = tf.raw_ops.StatelessRandomUniformFullIntV2(dtype=bits, **_philox(shape, seed))
            integers = tf.bitwise.right_shift(integers, tf.constant(spare, bits))
            # The midpoints of equal steps: exact, and they leave both ends out.
            return (tf.cast(integers, dtype) + 0.5) * 2.0 ** (-23 if dtype == "float32" else -52)

        if tf.executing_eagerly() or _rows():  # a branch for each row is slow, and nothing for XLA
            return draw()
        # XLA would fuse the generator into what uses its numbers, and there compute each block of four numbers once per
        # number, several times slower. It does not fuse what is in a branch, nor see that this one is always taken.
        numbers = tf.cond(tf.bitwise.bitwise_or(seed[0], 1) != 0, draw, lambda: tf.zeros(shape, dtype))
        known = tf.get_static_value(tf.convert_to_tensor(shape, tf.int32), partial=True)
        return numbers if known is None else tf.ensure_shape(numbers, list(known))  # which the branches have lost

    def _normal(shape, seed, dtype):
        return math.sqrt(2.0) * tf.math.erfinv(2.0 * _uniform(shape, seed, dtype) - 1.0)

    def _log_gamma(concentration, seed):
        for_gamma, for_boost = split(_key(seed), 2)
        # A gamma variate times u^(1 / a) is one of a concentration a that is lower by one; its logarithm does not
        # underflow.
        u = _uniform(tf.shape(concentration), for_boost, concentration.dtype.name)
        return tf.math.log(_gamma(concentration + 1.0, for_gamma)) + tf.math.log(u) / concentration

    @tf.custom_gradient
    def _gamma(concentration, key):
        shape, dtype = tf.shape(concentration), concentration.dtype.name
        key, for_normal, for_uniform = split(key, 3)
        drawn, accepted = _propose(
            concentration, _normal(shape, for_normal, dtype), _uniform(shape, for_uniform, dtype)
        )
        # One in twenty at most is rejected. Those are drawn again in a short tensor of fixed length; where they do not
        # fit in, there is another turn.
        flat, count = tf.reshape(concentration, (-1,)), tf.size(concentration)
        length = tf.minimum(count, count // 16 + 64)

        in_rows = bool(_rows())  # which must have tensors of one length: there all are drawn again

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
        drawn = tf.ensure_shape(tf.reshape(drawn, shape), concentration.shape)

        def gradient(upstream):
            # Implicit (Figurnov et al. 2018): a draw of fixed distribution function.
            return upstream * tf.raw_ops.RandomGammaGrad(alpha=concentration, sample=drawn), None

        return drawn, gradient

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
        bits = tf.raw_ops.StatelessRandomUniformFullIntV2(dtype="uint64", **_philox((1,), _key(key)))
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


else:
    import jax

    @contextlib.contextmanager
    def _outside_functions():
        yield

    def _is_tracing():
        return False

    def _of_row(key):
        return key

    def _uniform(shape, seed, dtype="float32"):
        # Multiples of 2^-23 in [0, 1).
        return keras.random.uniform(shape, dtype=dtype, seed=seed) + 2.0**-24

    def _normal(shape, seed, dtype):
        return keras.random.normal(shape, dtype=dtype, seed=seed)

    def _log_gamma(concentration, seed):
        return jax.random.loggamma(ops.cast(_key(seed), "uint32"), concentration, dtype=concentration.dtype)


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
    return _uniform(tuple(shape), _checked(seed))


def gumbel(shape, seed=None):
    """Draw standard Gumbel noise `-log(-log u)`, float32, always finite; arguments as for `uniform`."""
    return -ops.log(-ops.log(uniform(shape, seed)))


def normal(shape, seed=None, dtype="float32"):
    """Draw standard normal noise in float32 or float64; other arguments as for `uniform`."""
    return _normal(tuple(shape), _checked(seed), dtype)


def log_gamma(concentration, seed=None):
    """Draw the logarithms of gamma variates, differentiable in their concentrations.

    Parameters
    ----------
    concentration : float32 or float64 tensor, > 0
    seed : None, int or keras.random.SeedGenerator

    Returns
    -------
    tensor like `concentration`, finite also where the variates themselves underflow.
    """
    return _log_gamma(concentration, _checked(seed))


def permutation(n, seed=None):
    """Draw a random order of `0 ... n - 1`: int32 tensor, shape [n]; `seed` as for `uniform`."""
    return ops.argsort(uniform((n,), seed))


def key(seed):
    """A seed as a key, an integer tensor of shape [2]: of an int always the same, else another one at every call."""
    return _key(_checked(seed))


def split(seed, num):
    """Seeds for `num` independent draws, a list: a generator and the global stream serve all, an int makes ints.

    Parameters
    ----------
    seed : None, int, keras.random.SeedGenerator or key
    num : int
    """
    seed = _checked(seed)
    if seed is None or _is_generator(seed):
        return [seed] * num
    if _is_int(seed):
        return [(seed * _CHILDREN + i) % 2**31 for i in range(1, num + 1)]
    return [seed * ops.cast([_CHILDREN, 1], seed.dtype) + ops.cast([i, 0], seed.dtype) for i in range(1, num + 1)]


# Generators that traced functions draw from: a function may outlive the distribution that it was traced with.
_TRACED: set[keras.random.SeedGenerator] = set()

# The numbers of each generator's children, which the streams of one generator share.
_NUMBERS: weakref.WeakKeyDictionary[keras.random.SeedGenerator, Iterator[int]] = weakref.WeakKeyDictionary()


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

    def generator(self):
        """The `SeedGenerator` to draw from, or None for the global stream."""
        if self._generator is None and self.random_seed is not None:
            with _outside_functions():  # the first draw may happen inside a traced function
                self._generator = keras.random.SeedGenerator(int(self.random_seed))
        if self._generator is not self.random_seed and _is_tracing():
            _TRACED.add(self._generator)
        return self._generator

    def child(self):
        """An int seed of its own for a layer that draws, another one at each call; None for an unseeded stream."""
        generator = self.generator()
        seed = None if generator is None else generator.get_config()["seed"]
        if seed is None:
            return None
        number = next(_NUMBERS.setdefault(generator, itertools.count(1)))
        return (seed * _CHILDREN + number) % 2**31

    def __eq__(self, other):
        return isinstance(other, Stream) and self.random_seed == other.random_seed

    def __hash__(self):
        return hash(("kgdists.Stream", self.random_seed))


def _is_int(seed):
    return isinstance(seed, numbers.Integral) and not isinstance(seed, bool)


def _is_generator(seed):
    return isinstance(seed, keras.random.SeedGenerator)


def _checked(seed):
    if seed is None or _is_generator(seed) or tuple(getattr(seed, "shape", ())) == (2,):
        return seed
    if _is_int(seed):
        if not -(2**63) <= seed < 2**63:
            raise ValueError(
                f"An int `seed` must be from -2**63 to 2**63 - 1: take the remainder by 2**62. Received: seed={seed!r}"
            )
        return int(seed)
    raise ValueError(
        f"`seed` must be None, an int, a keras.random.SeedGenerator or a key of shape [2]. Received: seed={seed!r}"
    )


def _key(seed):
    if seed is None:
        if _is_tracing():  # Keras makes its global generator at the first draw, which may be this one
            with _outside_functions():
                keras.random.randint((), 0, 2)
        return _of_row(keras.random.randint((2,), 0, 2**31 - 1, dtype="int32"))
    if isinstance(seed, int):
        return ops.convert_to_tensor([seed, 0], dtype="int64")
    return _of_row(seed.next()) if _is_generator(seed) else seed
