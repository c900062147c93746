"""`Distribution`: a probability distribution as an immutable value that flows through Keras and TensorFlow."""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from kgdists.core import backend, shapes
from kgdists.core.checks import fraction
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.core.value import Value
from kgdists.distributions.html import as_html
from kgdists.distributions.wrappers import draws, in_full_precision, with_hints, wrap_methods
from kgdists.random import Stream

__all__ = ["Distribution", "draws", "in_full_precision"]

MODEL_RULE = "make the model by `kgdists.Model(inputs, outputs)`"
TENSOR_RULE = (
    "A distribution is no tensor: take its `mean()`, `sample()` or another of its tensors, and call a head with a "
    "sequence, features of shape [B, T, f], itself, without `keras.layers.TimeDistributed`"
)


class Distribution(Value):
    """A probability distribution: named parameter tensors and a few static fields, fixed for good.

    A subclass declares its parameters in `PARAM_NAMES` and its other fields in `STATIC_NAMES`, all of them arguments of
    `__init__` beside an optional `random_seed`, which ends with `self.set_fields(...)`. The first parameter has the
    batch shape and one more axis. It defines `sample`, `log_proba` and what else has a closed form, by means of
    `generator`, `draw_shape`, `as_variate` and `check_same_kind`. It is then a node of `keras.tree` and `tf.nest`: it
    goes in and out of `tf.function`, loops and `predict`.

    Events are summed over: densities, entropies and divergences are those of the joint distribution, in nats, and have
    the batch shape.

    Attributes
    ----------
    PARAM_NAMES, STATIC_NAMES : tuple of str
    SUPPORT_NAMES : tuple of str
        The static fields that two distributions must share to be compared: bounds and the like.
    REPARAMETERIZED : bool
        Whether `sample` is an exact draw that moves with the parameters, rather than a relaxed one.
    IS_FUSED : bool
        For kgdists' own classes: whether XLA is faster than TensorFlow's operations for large tensors.
    HAS_ATOMS : bool
        Whether some single numbers have probabilities, beside the densities of others.
    """

    SUPPORT_NAMES: tuple[str, ...] = ()
    REPARAMETERIZED: bool = True
    IS_FUSED: bool = True
    HAS_ATOMS: bool = False

    _stream: Stream

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        wrap_methods(cls)
        if "__init__" in vars(cls):
            cls.__init__ = with_hints(cls.__init__)  # type: ignore[method-assign]

    def set_fields(self, *, random_seed: Seed = None, **fields: Any) -> None:
        """Set all fields, once: the last thing that `__init__` does, since a distribution is immutable.

        Parameters
        ----------
        random_seed : None, int or keras.random.SeedGenerator
            What draws come from when no seed is given: Keras' global stream, a sequence of this distribution's own, or
            the generator of a layer.
        **fields
            Each of `PARAM_NAMES`, a float tensor of shape [B..., ...], and each of `STATIC_NAMES`, which must be
            hashable and known to JSON, or such a tensor: then it is one more parameter of this distribution.

        Raises
        ------
        ValueError
            If `random_seed` is none of these.
        """
        super().set_fields(**fields, _stream=Stream(random_seed))

    # The pytree. The stream is part of what is not tensors; a copy's goes on where it was.

    def _flatten(self) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[str, ...]]:
        leaves, metadata, names = super()._flatten()
        return leaves, (*metadata, self._stream), names

    @classmethod
    def _unflatten(cls, metadata: Any, leaves: Any) -> Self:
        if not hasattr(leaves[0], "dtype") and hasattr(leaves[0], "loss"):  # which Keras puts in the place of outputs
            raise TypeError("A `keras.Model` has no losses and metrics of distributions: " + MODEL_RULE)
        *fields, stream = metadata
        dist = super()._unflatten(fields, leaves)
        dist.__dict__["_stream"] = stream
        return dist

    # Rows of the batch.

    def __getitem__(self, index: Any) -> Any:
        """The distributions of rows of the batch.

        Parameters
        ----------
        index : int, slice, None, Ellipsis or tuple of these, or an array of ints or flags
            As of an array of the batch shape.

        Raises
        ------
        IndexError
            If an array of the batch shape, where that is known, has no such part.
        """
        if not hasattr(keras.tree.flatten(self)[0], "shape"):  # Keras takes the shapes of its tensors for one
            raise TypeError(f"{TENSOR_RULE}. Received: shapes of the parameters of a {type(self).__name__}")
        rank, index = len(self.batch_shape), index if isinstance(index, tuple) else (index,)
        self._check_index(index)
        used = sum(backend.axes_of_index(part) for part in index)
        if used > rank:
            raise IndexError(f"A batch of shape {self.batch_shape} has {rank} axes. Received: an index of {used}")
        if Ellipsis in [part for part in index if not hasattr(part, "shape")]:
            place = index.index(Ellipsis)
            index = (*index[:place], *(slice(None),) * (rank - used), *index[place + 1 :])
        return keras.tree.map_structure(lambda x: backend.indexed(x, index), self)

    def _check_index(self, index):
        shape: tuple[Any, ...] = self.batch_shape
        if None in shape or any(hasattr(x, "shape") and backend.concrete(x) is None for x in index):
            return
        try:
            np.broadcast_to(False, shape)[tuple(backend.concrete(x) if hasattr(x, "shape") else x for x in index)]
        except IndexError as error:
            raise IndexError(
                f"An index must be that of an array of the batch shape, {shape}: {error}. Received: {index!r}"
            ) from None

    def __iter__(self) -> Iterator[Any]:
        """The distributions of the first axis of the batch, one after the other."""
        if not self.batch_shape or self.batch_shape[0] is None:
            raise TypeError(f"A batch must have a first axis of known size. Received: batch shape {self.batch_shape}")
        return (self[i] for i in range(self.batch_shape[0]))

    @property
    def __array_struct__(self) -> Any:
        """For NumPy: an array that holds this one object, since a distribution is not numbers."""
        # TensorFlow takes what has an `__array__` for numbers.
        array = np.empty((), object)
        array[()] = self
        return array.__array_struct__

    def __len__(self) -> int:
        # The number of parameters, not of rows: Keras takes the length of nested arguments of a layer.
        return len(self.PARAM_NAMES)

    # What it is made of.

    @property
    def random_seed(self) -> Seed:
        """What the draws come from when no seed is given: None, an int or a layer's `SeedGenerator`."""
        return self._stream.random_seed

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor as Keras saves them, parameters as arrays."""
        for x in self.params.values():
            if not hasattr(x, "dtype"):  # Keras hands over what it knows of tensors when a `keras.Model` is saved
                raise TypeError("A `keras.Model` cannot save an output that is a distribution: " + MODEL_RULE)
        return super().get_config() | keras.saving.serialize_keras_object({"random_seed": self.random_seed})

    @property
    def dtype(self) -> str:
        """Name of the parameters' dtype, which all results have too."""
        return shapes.dtype_of(self.__dict__[self.PARAM_NAMES[0]])

    @property
    def batch_shape(self) -> tuple[int | None, ...]:
        """Static shape of the batch, a tuple; None where unknown."""
        return tuple(self.__dict__[self.PARAM_NAMES[0]].shape[:-1])

    @property
    def event_shape(self) -> Any:
        """Static shape of one variate, a tuple."""
        return tuple(self.__dict__[self.PARAM_NAMES[0]].shape[-1:])

    def _repr_html_(self) -> str:
        return as_html(self)

    # What a subclass defines.

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Draw variates, each an event behind the batch axes of the parameters.

        Parameters
        ----------
        sample_shape : int or tuple of int, or integer tensor of shape [] or [n]
            Shape in front of the batch shape: independent draws.
        seed : None, int, keras.random.SeedGenerator or key
            None draws from the distribution's own `random_seed`, else from Keras' global stream, other numbers at each
            call; so does a generator. An int, or on TensorFlow a key of shape [2], repeats the same draw.

        Returns
        -------
        tensor, shape [*sample_shape, B..., *event_shape], of the parameters' dtype
            Differentiable in the parameters where the class is `REPARAMETERIZED`.

        Raises
        ------
        ValueError
            If `sample_shape` or `seed` is none of these.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `sample`")

    def log_proba(self, x: Any) -> Tensor:
        """The log-probability, or log-density, of variates, in nats, summed over the event.

        Parameters
        ----------
        x : tensor, shape [*sample_shape, B..., *event_shape]
            The batch shape must be there, since nothing is broadcast; sample axes may come in front of it.

        Returns
        -------
        tensor, shape [*sample_shape, B...]; -inf outside of the support.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on NaN.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `log_proba`")

    def elementwise_log_proba(self, x: Any) -> Tensor:
        """The log-probability, or log-density, of each dimension by itself, in nats, shape of `x`.

        Parameters
        ----------
        x : tensor, shape [*sample_shape, B..., n]
            As for `log_proba`, which is the sum over the dimensions.
        """
        raise NotImplementedError(
            f"A {type(self).__name__} has no `elementwise_log_proba`: its dimensions depend on each other, or are no "
            "numbers. Use `log_proba`"
        )

    # What follows from these methods.

    def log_prob(self, x: Any = None, *, value: Any = None) -> Tensor:
        """The same as `log_proba`, for those who come from torch, lucid or TensorFlow Probability: x is `value` too."""
        if (x is None) == (value is None):
            raise ValueError(f"One of `x` and `value` must be given. Received: {'neither' if x is None else 'both'}")
        return self.log_proba(value if x is None else x)

    @in_full_precision
    def proba_ratio(self, x: Any, other: Self) -> Tensor:
        """`p(x) / q(x)`, where p is this distribution and q is `other`, of the same type: the importance ratio."""
        self.check_same_kind(other)
        return ops.exp(self.log_proba(x) - other.log_proba(x))

    def mode(self) -> Tensor:
        """The most probable variate."""
        raise NotImplementedError(f"A {type(self).__name__} has no closed form of `mode`")

    def mean(self) -> Tensor:
        """The mean of a variate."""
        raise NotImplementedError(f"A {type(self).__name__} has no closed form of `mean`: average draws instead")

    def variance(self) -> Tensor:
        """The variance of each dimension of a variate."""
        raise NotImplementedError(f"A {type(self).__name__} has no closed form of `variance`: use that of draws")

    @in_full_precision
    def stddev(self) -> Tensor:
        """The standard deviation of each dimension of a variate."""
        return ops.sqrt(self.variance())

    @in_full_precision
    def prob(self, x: Any) -> Tensor:
        """The probability, or density, of variates; shapes as for `log_proba`."""
        return ops.exp(self.log_proba(x))

    def cdf(self, x: TensorLike) -> Tensor:
        r"""The distribution function of each dimension by itself, :math:`P(X_i \le x_i)`, shape of `x`.

        Parameters
        ----------
        x : float tensor, shape [B..., n]; sample axes may come in front
        """
        raise NotImplementedError(self._without_order("cdf"))

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, with its digits in both tails."""
        raise NotImplementedError(self._without_order("log_cdf"))

    def survival(self, x: TensorLike) -> Tensor:
        r"""The probability to be above, :math:`P(X_i > x_i)`, with its digits in the upper tail; as for `cdf`."""
        raise NotImplementedError(self._without_order("survival"))

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, with its digits in both tails."""
        raise NotImplementedError(self._without_order("log_survival"))

    def quantile(self, q: TensorLike) -> Tensor:
        r"""The value that each dimension by itself is at or below with probability `q`.

        Parameters
        ----------
        q : float or float tensor, 0 to 1
            A number, or levels that broadcast against [B..., n]: `q[:, None, None]` for several of a batch of vectors.

        Returns
        -------
        tensor, shape [..., B..., n].

        Raises
        ------
        ValueError
            If the levels do not broadcast and, where values are at hand, if they are not from 0 to 1.
        """
        raise NotImplementedError(self._without_order("quantile"))

    def median(self) -> Tensor:
        """The median of each dimension by itself, shape [B..., n]."""
        return self.quantile(0.5)

    def interval(self, mass: float) -> tuple[Tensor, Tensor]:
        """The central interval of each dimension by itself that has a probability: its two ends, shape [B..., n].

        Parameters
        ----------
        mass : float, > 0 and < 1
        """
        mass = fraction("mass", mass)
        return self.quantile(0.5 - 0.5 * mass), self.quantile(0.5 + 0.5 * mass)

    def crps(self, x: TensorLike) -> Tensor:
        r"""The continuous ranked probability score of what was observed, summed over the dimensions; lower is better.

        :math:`\int (F(t) - 1\{x \le t\})^2 dt` (Matheson and Winkler 1976), in the units of `x`: of a point forecast
        its absolute error.

        Parameters
        ----------
        x : float tensor, shape [B..., n]; sample axes may come in front

        Returns
        -------
        tensor, shape [B...] behind any sample axes.
        """
        raise NotImplementedError(
            f"A {type(self).__name__} has no closed form of `crps`: estimate it by `kgdists.divergences.crps`"
        )

    def _without_order(self, name):
        return (
            f"A {type(self).__name__} has no `{name}`: its variates are choices, or vectors whose dimensions depend on "
            "each other. Use `log_proba`, or count draws"
        )

    def entropy(self) -> Tensor:
        """Entropy, shape [B...]."""
        raise NotImplementedError(self._estimated("entropy"))

    def cross_entropy(self, other: Self) -> Tensor:
        """Cross-entropy to `other`, shape [B...]."""
        raise NotImplementedError(self._estimated("cross_entropy"))

    def kl_divergence(self, other: Self) -> Tensor:
        """Kullback-Leibler divergence to `other`, shape [B...], >= 0."""
        raise NotImplementedError(self._estimated("kl_divergence"))

    def _estimated(self, name: str) -> str:
        return f"A {type(self).__name__} has no closed form of `{name}`: estimate it by `kgdists.divergences.{name}`"

    @draws
    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Tensor, Tensor]:
        """A variate and its log-probability; arguments as for `sample`."""
        x = self.sample(sample_shape, seed)
        return x, self.log_proba(x)

    @draws
    def sample_action(self, seed: Seed = None) -> Tensor:
        """An exact draw, in the form that an environment takes: the variate itself unless a subclass overrides this."""
        return self.sample(seed=seed)

    def mode_action(self) -> Tensor:
        """The most probable action, in the form that an environment takes."""
        return self.mode()

    # What a subclass makes its own methods of.

    def generator(self, seed: Seed = None) -> Seed:
        """What to draw from for a seed: what the functions of `kgdists.random` take.

        Parameters
        ----------
        seed : None, int, keras.random.SeedGenerator or key
            The argument of a drawing method.

        Returns
        -------
        None, int, keras.random.SeedGenerator or key
            The seed itself; for None the generator of the `random_seed`, or None, Keras' global stream, without one.
        """
        return self._stream.generator() if seed is None else seed

    def draw_shape(
        self, sample_shape: Integer | Sequence[Integer], event: Sequence[Integer] | None = None
    ) -> tuple[Any, ...]:
        """The shape of a draw: the sample axes, the batch and the event in one.

        Parameters
        ----------
        sample_shape : int or sequence of int, >= 0, or integer tensor of shape [] or [n]
            The argument of a drawing method.
        event : None or sequence of int
            In place of the event shape, where a draw takes more numbers, or fewer.

        Returns
        -------
        tuple of int and scalar tensors: [*sample_shape, B..., *event], tensors where a size is not static.

        Raises
        ------
        ValueError
            If `sample_shape` is none.
        """
        sizes = shapes.as_sizes(sample_shape, "sample_shape")
        return (*sizes, *self._batch_sizes(), *(self.event_shape if event is None else event))

    def _batch_sizes(self) -> tuple[Any, ...]:
        """The batch shape, tensors where a size is not static."""
        return ops.shape(self.__dict__[self.PARAM_NAMES[0]])[:-1]

    def as_variate(self, x: TensorLike) -> Tensor:
        """The argument of `log_proba` as a tensor of the parameters' dtype.

        Parameters
        ----------
        x : tensor or numbers, shape [*sample_shape, B..., *event_shape]

        Returns
        -------
        float tensor of that shape.

        Raises
        ------
        ValueError
            If the shape does not end with that of the batch and the event and, where values are at hand, on NaN.
        """
        variate = ops.cast(shapes.as_float(x, "x", self.dtype), self.dtype)
        shape = self.batch_shape + self.event_shape
        if not shapes.ends_with(variate.shape, shape):
            raise ValueError(
                f"`x` must have shape {shape} behind any sample axes: nothing is broadcast. "
                f"Received: x of shape {tuple(variate.shape)}"
            )
        shapes.check_not_nan(x=variate)
        return variate

    def as_levels(self, q: TensorLike) -> Tensor:
        """The argument of `quantile` as a tensor that broadcasts to events of the batch.

        Parameters
        ----------
        q : float or float tensor, 0 to 1

        Raises
        ------
        ValueError
            If it does not broadcast and, where values are at hand, if it is not from 0 to 1.
        """
        levels = ops.cast(shapes.as_float(q, "q", self.dtype), self.dtype)
        shape = self.batch_shape + self.event_shape
        if not shapes.broadcasts(levels.shape, shape):
            raise ValueError(
                f"`q` must broadcast against {shape}: give axes of size 1 behind several levels, `q[..., None]`. "
                f"Received: q of shape {tuple(levels.shape)}"
            )
        shapes.check_probability(q=levels)
        return levels

    def check_same_kind(self, other: "Distribution") -> None:
        """Raise unless a divergence to another distribution has a meaning.

        Parameters
        ----------
        other : Distribution
            Of the same type, event shape, dtype and `SUPPORT_NAMES`, and of the same batch shape or of none.

        Raises
        ------
        TypeError
            If it is of another type.
        ValueError
            If another of these differs.
        """
        self._check_kind(other)
        same_batch = shapes.matches(self.batch_shape, other.batch_shape)
        if not (same_batch or () in (self.batch_shape, other.batch_shape)):
            raise ValueError(self._differs(other))

    def _check_kind(self, other):
        """The same without the batch."""
        if type(other) is not type(self):
            raise TypeError(
                f"`other` must be of the same type, {type(self).__name__}. Received: {type(other).__name__}"
            )
        if self.event_shape != other.event_shape:
            raise ValueError(self._differs(other))
        if self.dtype != other.dtype:
            raise ValueError(f"`other` must have the same dtype. Received: {self.dtype} and {other.dtype}")
        for name in self.SUPPORT_NAMES:
            own, its = self.__dict__[name], other.__dict__[name]
            if not shapes.is_tensor(own) and not shapes.is_tensor(its) and own != its:
                raise ValueError(f"`other` must have the same `{name}`. Received: {own} and {its}")

    def _differs(self, other):
        return (
            "`other` must have the same event shape and the same batch shape, or one of the two no batch. "
            f"Received: self of batch {self.batch_shape} and event {self.event_shape}, "
            f"other of batch {other.batch_shape} and event {other.event_shape}"
        )


backend.refuse_as_tensor(Distribution, TENSOR_RULE)
