"""TFP's distributions as values that flow through Keras."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from kgdists.core import backend, shapes
from kgdists.core.types import Integer, Seed, Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import draws, in_full_precision
from kgdists.interop.tfp.classes import class_of, event_ndims, name_of
from kgdists.interop.tfp.encoding import as_tuples, decode, encode, names_of_leaves, new_leaf, rename
from kgdists.interop.tfp.evaluate import evaluates
from kgdists.random import uniform

__all__ = ["TFPDist", "from_tfp"]

tfd = tfp.distributions


class TFPDist(Distribution):
    """A distribution of TensorFlow Probability, by the name of its class, as a value that flows through Keras.

    It is rebuilt from its parameters for each call of a method, inside a layer or an operation where they are
    KerasTensors, which TFP itself refuses. float16 and bfloat16 are computed in float32.

    Parameters
    ----------
    distribution : str
        Name of a class of `tfp.distributions`.
    params : dict
        Its parameters, name -> tensor, of one batch shape: nothing is broadcast. A parameter may also be a `TFPDist`,
        or a list or dict of them, whose tensors are then named like `components_distribution_loc`.
    fixed : dict
        Its other arguments, name -> plain value: numbers, bools, strings, lists of them.
    reinterpreted_batch_ndims : None or int, >= 0
        How many of TFP's batch axes belong to the event, over which densities are summed. With None the last one if
        all parameters are those of scalars, as for Gamma or Normal, and otherwise none.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Examples
    --------
    >>> import keras
    >>> from kgdists.interop.tfp import TFPDist
    >>> pi = TFPDist("Gamma", {"concentration": [[1.0, 2.0]], "rate": [[3.0, 4.0]]})
    >>> pi.batch_shape, pi.event_shape, pi.entropy().shape
    ((1,), (2,), TensorShape([1]))
    >>> rate = keras.Input((2,))
    >>> TFPDist("Poisson", {"rate": rate}).sample().shape
    (None, 2)
    """

    STATIC_NAMES = ("distribution", "fixed", "reinterpreted_batch_ndims", "name")

    distribution: str
    fixed: tuple[tuple[str, Any], ...]
    reinterpreted_batch_ndims: int
    name: str

    def __init__(
        self,
        distribution: str,
        params: Mapping[str, Any],
        fixed: dict[str, Any] | Sequence[Any] = (),
        reinterpreted_batch_ndims: int | None = None,
        name: str = "tfp_dist",
        random_seed: Seed = None,
    ) -> None:
        ndims = event_ndims(class_of("distributions", distribution))
        leaves: dict[str, Tensor] = {}
        nested = {key: value for key, value in params.items() if _holds_distribution(value)}
        for key, value in params.items():
            if key not in nested:
                leaves[key] = value if shapes.is_symbolic(value) else _as_tensor(value, key)
        arguments = nested | (fixed if isinstance(fixed, dict) else {})
        encoded = tuple((key, encode(value, key, leaves)) for key, value in arguments.items())
        fixed = encoded + (() if isinstance(fixed, dict) else as_tuples(fixed))
        floats = {key: x for key, x in leaves.items() if "float" in shapes.dtype_of(x)}
        if not floats:
            raise ValueError(f"`params` must hold a tensor of floats. Received: params of names {list(params)}")
        shapes.check_not_nan(**floats)
        _check_batch({key: (x, ndims[key]) for key, x in leaves.items() if key in ndims})
        if reinterpreted_batch_ndims is None:
            of_scalars = all(ndims.get(key) == 0 and len(x.shape) > 0 for key, x in leaves.items())
            reinterpreted_batch_ndims = int(of_scalars)
        self.set_fields(
            **leaves,
            PARAM_NAMES=tuple(leaves),
            distribution=distribution,
            fixed=fixed,
            reinterpreted_batch_ndims=reinterpreted_batch_ndims,
            name=name,
            random_seed=random_seed,
        )
        self._abstract()  # lets TFP object to what it is made of

    @classmethod
    def from_params(cls, params: Mapping[str, Any], **static: Any) -> Self:
        """Make a distribution of its parameters, a dict of name -> tensor, and of its static fields."""
        return cls(params=params, **static)

    def _tfp(self):
        """The distribution as one of TFP, of tensors."""
        return self._of({name: tf.convert_to_tensor(x) for name, x in self.params.items()})

    def _of(self, tensors):
        nested = names_of_leaves(self.fixed)
        arguments = {key: x for key, x in tensors.items() if key not in nested}
        arguments |= {key: decode(value, tensors) for key, value in self.fixed}
        dist = class_of("distributions", self.distribution)(**arguments)
        return tfd.Independent(dist, self.reinterpreted_batch_ndims) if self.reinterpreted_batch_ndims else dist

    def _abstract(self):
        """The distribution as one of TFP, for its static facts."""
        if not any(shapes.is_symbolic(x) for x in self.params.values()):
            return self._tfp()
        with tf.Graph().as_default():
            return self._of({key: tf.compat.v1.placeholder(x.dtype, x.shape) for key, x in self.params.items()})

    @property
    def dtype(self) -> str:
        """Name of the dtype of the parameters that are floats."""
        return next(dtype for dtype in map(shapes.dtype_of, self.params.values()) if "float" in dtype)

    @property
    def batch_shape(self) -> tuple[int | None, ...]:
        """Static shape of the batch, a tuple; None where unknown."""
        shape = self._abstract().batch_shape
        return tuple(functools.reduce(tf.broadcast_static_shape, tf.nest.flatten(shape)))

    @property
    def event_shape(self) -> Any:
        """Static shape of one variate, a tuple; for a joint distribution one for each of its parts."""
        return tf.nest.map_structure(tuple, self._abstract().event_shape)

    @property
    def REPARAMETERIZED(self) -> bool:  # type: ignore[override]
        """Whether `sample` moves with the parameters."""
        kinds = tf.nest.flatten(self._abstract().reparameterization_type)
        return all(kind == tfd.FULLY_REPARAMETERIZED for kind in kinds)

    @draws
    @in_full_precision
    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Any:
        """Draw variates.

        Parameters
        ----------
        sample_shape : int or tuple of int
            Shape in front of the batch shape.
        seed : None, int or keras.random.SeedGenerator
            An int repeats the same draw.

        Returns
        -------
        float tensor, shape [*sample_shape, B..., *event]; of a joint distribution a structure of them.
        """
        return self._as_floats(self._tfp().sample(self._sizes(sample_shape), seed=_tfp_seed(self.generator(seed))))

    @draws
    @in_full_precision
    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Any, Tensor]:
        """A variate and its log-probability, without inverting bijectors; arguments as for `sample`."""
        draw = self._tfp().experimental_sample_and_log_prob
        x, log_proba = draw(self._sizes(sample_shape), seed=_tfp_seed(self.generator(seed)))
        return self._as_floats(x), log_proba

    @draws
    @in_full_precision
    def sample_action(self, seed: Seed = None) -> Any:
        """Draw in TFP's own dtype, which for labels is an integer."""
        return self._tfp().sample(seed=_tfp_seed(self.generator(seed)))

    def _as_floats(self, x):
        return keras.tree.map_structure(lambda x: tf.cast(x, self.dtype), x)

    def _sizes(self, sample_shape):
        first = next(iter(self.params.values()))
        sizes = self.draw_shape(sample_shape, ())  # followed by all axes but the last of the first parameter
        return sizes[: len(sizes) - max(len(first.shape) - 1, 0)]

    @evaluates
    @in_full_precision
    def log_proba(self, x: Any) -> Tensor:
        """Log-probability or log-density, summed over the event.

        Parameters
        ----------
        x : tensor, shape [B..., *event]; sample axes may come in front
            For a joint distribution a structure of them.

        Returns
        -------
        float tensor, shape [B...] behind any sample axes.
        """
        dist = self._tfp()
        # Copies, because bijectors remember where a tensor came from, and then `x` is no constant to gradients.
        if keras.tree.is_nested(dist.dtype):
            return dist.log_prob(keras.tree.map_structure(tf.identity, x))
        x = self.as_variate(x)
        variate = tf.identity(tf.cast(x, dist.dtype))
        values = backend.concrete(x)
        if values is not None and (values != backend.concrete(variate)).any():
            raise ValueError(f"`x` must be whole numbers, as draws are. Received: x={values}")
        return dist.log_prob(variate)

    @evaluates
    @in_full_precision
    def proba_ratio(self, x: Any, other: Self) -> Tensor:
        """`p(x) / q(x)`, where p is this distribution and q is `other`, a `TFPDist` too: the importance ratio."""
        return super().proba_ratio(x, other)

    @evaluates
    @in_full_precision
    def mode(self) -> Any:
        """The most probable variate, where TFP knows it."""
        return self._as_floats(self._closed_form("mode"))

    @evaluates
    @in_full_precision
    def mode_action(self) -> Any:
        """The mode in TFP's own dtype, which for labels is an integer."""
        return self._closed_form("mode")

    @evaluates
    @in_full_precision
    def mean(self) -> Any:
        """The mean of a variate, where TFP knows it."""
        return self._closed_form("mean")

    @evaluates
    @in_full_precision
    def variance(self) -> Any:
        """The variance of each dimension of a variate, where TFP knows it."""
        return self._closed_form("variance")

    @evaluates
    @in_full_precision
    def entropy(self) -> Tensor:
        """Entropy, shape [B...], where TFP knows it."""
        return self._closed_form("entropy")

    @evaluates
    @in_full_precision
    def cross_entropy(self, other: Self) -> Tensor:
        """Cross-entropy to `other`, a `TFPDist` of any class, shape [B...], where TFP knows it."""
        return self._closed_form("cross_entropy", other)

    @evaluates
    @in_full_precision
    def kl_divergence(self, other: Self) -> Tensor:
        """Kullback-Leibler divergence to `other`, a `TFPDist` of any class, shape [B...], where TFP knows it."""
        return self._closed_form("kl_divergence", other)

    def _closed_form(self, method, *others):
        for other in others:
            self.check_same_kind(other)
        try:
            return getattr(self._tfp(), method)(*(other._tfp() for other in others))
        except NotImplementedError as error:
            names = " and ".join(dist.distribution for dist in (self, *others))
            instead = f"by `kgdists.divergences.{method}`" if "entropy" in method or others else "from draws"
            raise NotImplementedError(
                f"TFP has no closed form of `{method}` for {names}: estimate it {instead}"
            ) from error


def from_tfp(tfp_dist: tfp.distributions.Distribution, name: str = "tfp_dist", random_seed: Seed = None) -> TFPDist:
    """The `TFPDist` of an instance of a TFP distribution, of the same batch shape and event shape.

    Parameters are broadcast to the batch shape; only for linear operators and some bijectors TFP does not know how.

    Parameters
    ----------
    tfp_dist : tfp.distributions.Distribution
        Made of tensors, plain values, and of distributions, bijectors and linear operators, again of these. To take
        batch axes into the event, wrap it in `tfp.distributions.Independent` first.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Returns
    -------
    TFPDist

    Raises
    ------
    TypeError
        On functions and classes that are not TFP's own: neither can be saved.

    Examples
    --------
    >>> import tensorflow_probability as tfp
    >>> from kgdists.interop.tfp import from_tfp
    >>> pi = from_tfp(tfp.distributions.StudentT(df=3.0, loc=[0.0, 1.0], scale=1.0))
    >>> pi.sample().shape, pi.log_proba([0.5, 0.5]).shape
    (TensorShape([2]), TensorShape([2]))
    """
    if not isinstance(tfp_dist, tfd.Distribution):
        raise TypeError(f"`tfp_dist` must be a TFP distribution. Received: {tfp_dist!r}")
    reinterpreted = 0
    while name_of(tfp_dist) == "Independent":
        reinterpreted += len(tfp_dist.event_shape) - len(tfp_dist.distribution.event_shape)
        tfp_dist = tfp_dist.distribution
    leaves: dict[str, Tensor] = {}
    _, distribution, arguments = encode(tfp_dist, "", leaves)
    fixed = tuple((key, value) for key, value in arguments if value != ("leaf", key))
    return TFPDist(distribution, leaves, fixed, reinterpreted, name, random_seed)


@encode.register(TFPDist)
def _encode_tfp_dist(value, path, leaves):
    renamed = {name: new_leaf(f"{path}_{name}", x, leaves) for name, x in value.params.items()}
    nested = names_of_leaves(value.fixed)
    own = tuple((name, ("leaf", renamed[name])) for name in value.params if name not in nested)
    encoded = ("distributions", value.distribution, own + rename(value.fixed, renamed))
    if not value.reinterpreted_batch_ndims:
        return encoded
    ndims = ("reinterpreted_batch_ndims", value.reinterpreted_batch_ndims)
    return ("distributions", "Independent", (("distribution", encoded), ndims))


def _check_batch(leaves):
    """Raise unless all leaves, name -> tensor and number of event axes, have one batch shape."""
    batches = {name: tuple(x.shape)[: len(x.shape) - ndims] for name, (x, ndims) in leaves.items()}
    first = next(iter(batches.values()), ())
    if not all(shapes.matches(first, batch) for batch in batches.values()):
        raise ValueError(
            "`params` must have one batch shape: nothing is broadcast; numbers for all may be `fixed`. "
            f"Received: {batches}"
        )


def _holds_distribution(value):
    first = next(iter(value), None) if isinstance(value, (list, tuple)) else value
    return isinstance(first, (TFPDist, dict))


def _as_tensor(value, name):
    value = shapes.as_numbers(value, name) if hasattr(value, "dtype") else shapes.as_float(value, name)
    return tf.convert_to_tensor(value)


def _tfp_seed(seed):
    """Whatever kgdists takes as a seed, as one of TFP: int32, shape [2]."""
    bits = tf.reshape(tf.bitcast(uniform((2, 2), seed), tf.int32), (2, 2))
    return tf.bitwise.bitwise_xor(bits[0], tf.bitwise.left_shift(bits[1], 9))
