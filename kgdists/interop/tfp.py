"""TensorFlow Probability: its distributions as values that flow through Keras 3, and ours as its.

- `to_tfp(dist)`: the TFP counterpart of a kgdists distribution.
- `from_tfp(tfp_dist)` and `TFPDist`: a TFP distribution as a kgdists one, hence as the output of a layer or a policy.
- `TFPHead`: features -> `TFPDist`, with a dense layer for each parameter.

What `tfp.layers.DistributionLambda` did is a layer that ends with `from_tfp`:

>>> import keras, tensorflow_probability as tfp
>>> from kgdists.interop.tfp import from_tfp
>>> @keras.saving.register_keras_serializable()
... class PoissonHead(keras.layers.Layer):
...     def __init__(self, **kwargs):
...         super().__init__(**kwargs)
...         self.log_rate = keras.layers.Dense(1)
...
...     def call(self, features):
...         rates = tfp.distributions.Poisson(log_rate=self.log_rate(features))
...         return from_tfp(tfp.distributions.Independent(rates, 1))
>>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), PoissonHead()])
>>> model(keras.ops.ones((5, 4))).mean().shape
TensorShape([5, 1])

Files that hold any of these are loaded after `import kgdists.interop.tfp`. All of it needs Keras' TensorFlow backend.
"""

import functools
import inspect
import math
import numbers

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from keras import ops

from kgdists import distributions, numerics, shapes
from kgdists.distribution import HALF, Distribution, draws, in_full_precision
from kgdists.random import uniform

__all__ = ["Evaluate", "TFPDist", "TFPHead", "from_tfp", "to_tfp"]

tfb, tfd = tfp.bijectors, tfp.distributions

SPACES = {
    "distributions": (tfd, tfd.Distribution),
    "bijectors": (tfb, tfb.Bijector),
    "linalg": (tf.linalg, tf.linalg.LinearOperator),
}

# From kgdists to TFP.


@functools.singledispatch
def to_tfp(dist, *, labels=False):
    """The TFP distribution of the same density, batch shape and event shape.

    Parameters that are float16 or bfloat16 are handed over as float32, in which kgdists computes them too: TFP's own
    formulas lose too much in half precision. An own class is one `to_tfp.register` away.

    Parameters
    ----------
    dist : Distribution
        Of tensors; TFP refuses KerasTensors.
    labels : bool
        Make a choice one of integer labels rather than of one-hot vectors; both are what its `log_proba` takes.

    Returns
    -------
    tfp.distributions.Distribution

    Raises
    ------
    TypeError
        For a distribution that TFP has no counterpart of.

    Examples
    --------
    >>> import kgdists as kg
    >>> from kgdists.interop.tfp import to_tfp
    >>> to_tfp(kg.NormalDist(mu=[[0.0, 1.0]], logvar=[[0.0, -1.0]]))
    <tfp.distributions.MultivariateNormalDiag ... batch_shape=[1] event_shape=[2] dtype=float32>
    """
    raise TypeError(
        "`dist` must be a distribution that TFP has a counterpart of; register that of another class by "
        f"`to_tfp.register(cls)`. Received: {type(dist).__name__}"
    )


@to_tfp.register(distributions.CategoricalDist)
def _categorical(dist, *, labels=False):
    (logits,) = _tensors(dist)
    return _choice(logits, labels)


@to_tfp.register(distributions.MultiCategoricalDist)
def _multi_categorical(dist, *, labels=False):
    (logits,) = _tensors(dist)
    return tfd.Blockwise([_choice(x, labels) for x in tf.split(logits, dist.nvec, axis=-1)])


@to_tfp.register(distributions.BernoulliDist)
def _bernoulli(dist, *, labels=False):
    (logits,) = _tensors(dist)
    return tfd.Independent(tfd.Bernoulli(logits, dtype=tf.int32 if labels else logits.dtype), 1)


@to_tfp.register(distributions.NormalDist)
def _normal(dist, *, labels=False):
    mu, logvar = _tensors(dist)
    return tfd.MultivariateNormalDiag(mu, tf.exp(0.5 * logvar))


@to_tfp.register(distributions.StateDependentNormalDist)
def _state_dependent_normal(dist, *, labels=False):
    _tensors(dist)
    return to_tfp(dist.marginal)


@to_tfp.register(distributions.RelaxedOneHotCategorical)
def _relaxed(dist, *, labels=False):
    logits, temperature = _tensors(dist)
    return tfd.RelaxedOneHotCategorical(temperature, tf.maximum(logits, -1e30))


@to_tfp.register(distributions.SquashedNormalDist)
def _squashed_normal(dist, *, labels=False):
    mu, logvar = _tensors(dist)
    pairs = list(zip(*_bounds(dist, mu), strict=True))
    bijectors = [_squash(low, high) for low, high in pairs]
    bijector = bijectors[0] if len(set(pairs)) == 1 else tfb.Blockwise(bijectors, [1] * len(pairs))
    return tfd.TransformedDistribution(tfd.MultivariateNormalDiag(mu, tf.exp(0.5 * logvar)), bijector)


@to_tfp.register(distributions.MultivariateNormalDist)
def _multivariate_normal(dist, *, labels=False):
    return tfd.MultivariateNormalTriL(*_tensors(dist))


@to_tfp.register(distributions.GaussianMixtureDist)
def _gaussian_mixture(dist, *, labels=False):
    logits, mu, spread = _tensors(dist)
    if "logvar" in dist.params:
        components = tfd.MultivariateNormalDiag(mu, tf.exp(0.5 * spread))
    else:
        components = tfd.MultivariateNormalTriL(mu, spread)
    return tfd.MixtureSameFamily(tfd.Categorical(logits), components)


@to_tfp.register(distributions.BetaDist)
def _beta(dist, *, labels=False):
    alpha, beta = _tensors(dist)
    low, high = _bounds(dist, alpha)
    bijector = tfb.Chain([tfb.Shift(low), tfb.Scale(high - low)])
    return tfd.Independent(tfd.TransformedDistribution(tfd.Beta(alpha, beta), bijector), 1)


@to_tfp.register(distributions.DiscretizedLogisticDist)
def _discretized_logistic(dist, *, labels=False):
    mu, logscale = _tensors(dist)
    low, high = (np.asarray(bound, mu.dtype.name) for bound in (dist.low, dist.high))
    # TFP rounds up: to y what lies in (y - 1, y].
    cells = tfd.QuantizedDistribution(tfd.Logistic(mu - 0.5, tf.exp(logscale)), low, high)
    return tfd.Independent(cells, 1)


@to_tfp.register(distributions.CompositeDist)
def _composite(dist, *, labels=False):
    return _joint(dist.dists, len(dist.batch_shape), labels)


# It is derived from CompositeDist, and has no counterpart.
to_tfp.register(distributions.OneOfDist, to_tfp.dispatch(object))


def _joint(dists, batch_ndims, labels):
    if isinstance(dists, Distribution):
        return to_tfp(dists, labels=labels)
    if isinstance(dists, dict):
        parts = {key: _joint(part, batch_ndims, labels) for key, part in dists.items()}
        return tfd.JointDistributionNamed(parts, batch_ndims=batch_ndims)
    parts = [_joint(part, batch_ndims, labels) for part in dists]
    return tfd.JointDistributionSequential(parts, batch_ndims=batch_ndims)


def _choice(logits, labels):
    # OneHotCategorical multiplies by all log-probabilities, and 0 * inf is NaN.
    return tfd.Categorical(logits) if labels else tfd.OneHotCategorical(tf.maximum(logits, -1e30), dtype=logits.dtype)


def _squash(low, high):
    """The bijector from the normal variable of a dimension to the box."""
    if np.isfinite(low) and np.isfinite(high):
        half = (high - low) / 2
        return tfb.Chain([tfb.Shift(low + half), tfb.Scale(half), tfb.Tanh()])
    if np.isfinite(low):
        return tfb.Chain([tfb.Shift(low), tfb.Softplus()])
    if np.isfinite(high):
        mirror = tfb.Scale(-np.ones_like(high))
        return tfb.Chain([tfb.Shift(high), mirror, tfb.Softplus(), mirror])
    return tfb.Identity()


def _bounds(dist, like):
    """The bounds of each dimension, as arrays of the dtype of `like`."""
    low, high = (np.broadcast_to(bound, dist.event_shape).astype(like.dtype.name) for bound in (dist.low, dist.high))
    if (low == high).any():
        raise TypeError(
            f"TFP has no counterpart of a dimension that is a constant. Received: low={dist.low}, high={dist.high}"
        )
    return low, high


def _tensors(dist):
    """The parameters of `dist` as tensors that TFP takes."""
    if any(shapes.is_symbolic(x) for x in dist.params.values()):
        raise ValueError(f"`dist` must be of tensors: TFP refuses KerasTensors. Received: {dist}")
    tensors = (tf.convert_to_tensor(x) for x in dist.params.values())
    return [tf.cast(x, tf.float32) if x.dtype.name in HALF else x for x in tensors]


# From TFP to kgdists.


def evaluates(method):
    """Let a method without random numbers run on KerasTensors too: as an operation."""

    @functools.wraps(method)
    def evaluate(self, *args):
        if not any(shapes.is_symbolic(x) for x in keras.tree.flatten((self, args))):
            return method(self, *args)
        for other in args:
            if isinstance(other, Distribution):
                self._check_other(other)
        statics = [x._static() if isinstance(x, TFPDist) else None for x in (self, *args)]
        trees = (dict(x.params) if isinstance(x, TFPDist) else x for x in (self, *args))
        return Evaluate(method.__name__, statics)(*trees)

    return evaluate


@keras.saving.register_keras_serializable(package="kgdists")
class Evaluate(keras.Operation):
    """Rebuild distributions from their parameters and call a method of the first with the others.

    Users never make this operation: a method of a `TFPDist` does when it meets KerasTensors.

    Parameters
    ----------
    method : str
    statics : list
        For the distribution itself and each argument of the method, the static fields of a `TFPDist`, or None for
        a tensor.
    """

    def __init__(self, method, statics, name=None):
        super().__init__(name=name)
        self.method = method
        self.statics = statics

    def call(self, *trees):
        dist, *args = (
            tree if static is None else TFPDist.from_params(tree, **static)
            for tree, static in zip(trees, self.statics, strict=True)
        )
        return getattr(dist, self.method)(*args)

    def get_config(self):
        return {"method": self.method, "statics": self.statics, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**{name: keras.saving.deserialize_keras_object(x) for name, x in config.items()})


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

    def __init__(
        self,
        distribution,
        params,
        fixed=(),
        reinterpreted_batch_ndims=None,
        name="tfp_dist",
        random_seed=None,
    ):
        event_ndims = _event_ndims(_class_of("distributions", distribution))
        leaves = {}
        nested = {key: value for key, value in params.items() if _holds_distribution(value)}
        for key, value in params.items():
            if key not in nested:
                leaves[key] = value if shapes.is_symbolic(value) else _as_tensor(value, key)
        arguments = nested | (fixed if isinstance(fixed, dict) else {})
        encoded = tuple((key, _encode(value, key, leaves)) for key, value in arguments.items())
        fixed = encoded + (() if isinstance(fixed, dict) else _as_tuples(fixed))
        floats = {key: x for key, x in leaves.items() if "float" in shapes.dtype_of(x)}
        if not floats:
            raise ValueError(f"`params` must hold a tensor of floats. Received: params of names {list(params)}")
        shapes.check_not_nan(**floats)
        _check_batch({key: (x, event_ndims[key]) for key, x in leaves.items() if key in event_ndims})
        if reinterpreted_batch_ndims is None:
            of_scalars = all(event_ndims.get(key) == 0 and len(x.shape) > 0 for key, x in leaves.items())
            reinterpreted_batch_ndims = int(of_scalars)
        self._set(
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
    def from_params(cls, params, **static):
        """Make a distribution of its parameters, a dict of name -> tensor, and of its static fields."""
        return cls(params=params, **static)

    def _tfp(self):
        """The distribution as one of TFP, of tensors."""
        return self._of({name: tf.convert_to_tensor(x) for name, x in self.params.items()})

    def _of(self, tensors):
        nested = _names_of_leaves(self.fixed)
        arguments = {key: x for key, x in tensors.items() if key not in nested}
        arguments |= {key: _decode(value, tensors) for key, value in self.fixed}
        dist = _class_of("distributions", self.distribution)(**arguments)
        return tfd.Independent(dist, self.reinterpreted_batch_ndims) if self.reinterpreted_batch_ndims else dist

    def _abstract(self):
        """The distribution as one of TFP, for its static facts."""
        if not any(shapes.is_symbolic(x) for x in self.params.values()):
            return self._tfp()
        with tf.Graph().as_default():
            return self._of({key: tf.compat.v1.placeholder(x.dtype, x.shape) for key, x in self.params.items()})

    @property
    def dtype(self):
        """Name of the dtype of the parameters that are floats."""
        return next(dtype for dtype in map(shapes.dtype_of, self.params.values()) if "float" in dtype)

    @property
    def batch_shape(self):
        """Static shape of the batch, a tuple; None where unknown."""
        shape = self._abstract().batch_shape
        return tuple(functools.reduce(tf.broadcast_static_shape, tf.nest.flatten(shape)))

    @property
    def event_shape(self):
        """Static shape of one variate, a tuple; for a joint distribution one for each of its parts."""
        return tf.nest.map_structure(tuple, self._abstract().event_shape)

    @property
    def REPARAMETERIZED(self):
        """Whether `sample` moves with the parameters."""
        kinds = tf.nest.flatten(self._abstract().reparameterization_type)
        return all(kind == tfd.FULLY_REPARAMETERIZED for kind in kinds)

    @draws
    @in_full_precision
    def sample(self, sample_shape=(), seed=None):
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
        return self._as_floats(self._tfp().sample(self._sizes(sample_shape), seed=_tfp_seed(self._seed(seed))))

    @draws
    @in_full_precision
    def sample_and_log_proba(self, sample_shape=(), seed=None):
        """A variate and its log-probability, without inverting bijectors; arguments as for `sample`."""
        draw = self._tfp().experimental_sample_and_log_prob
        x, log_proba = draw(self._sizes(sample_shape), seed=_tfp_seed(self._seed(seed)))
        return self._as_floats(x), log_proba

    @draws
    @in_full_precision
    def sample_action(self, seed=None):
        """Draw in TFP's own dtype, which for labels is an integer."""
        return self._tfp().sample(seed=_tfp_seed(self._seed(seed)))

    def _as_floats(self, x):
        return keras.tree.map_structure(lambda x: tf.cast(x, self.dtype), x)

    def _sizes(self, sample_shape):
        first = next(iter(self.params.values()))
        sizes = self._draw_shape(sample_shape, ())  # followed by all axes but the last of the first parameter
        return sizes[: len(sizes) - max(len(first.shape) - 1, 0)]

    @evaluates
    @in_full_precision
    def log_proba(self, x):
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
        x = self._variate(x)
        variate = tf.identity(tf.cast(x, dist.dtype))
        values = numerics.concrete(x)
        if values is not None and (values != numerics.concrete(variate)).any():
            raise ValueError(f"`x` must be whole numbers, as draws are. Received: x={values}")
        return dist.log_prob(variate)

    @evaluates
    @in_full_precision
    def proba_ratio(self, x, other):
        """`p(x) / q(x)`, where p is this distribution and q is `other`, a `TFPDist` too: the importance ratio."""
        return super().proba_ratio(x, other)

    @evaluates
    @in_full_precision
    def mode(self):
        """The most probable variate, where TFP knows it."""
        return self._as_floats(self._closed_form("mode"))

    @evaluates
    @in_full_precision
    def mode_action(self):
        """The mode in TFP's own dtype, which for labels is an integer."""
        return self._closed_form("mode")

    @evaluates
    @in_full_precision
    def mean(self):
        """The mean of a variate, where TFP knows it."""
        return self._closed_form("mean")

    @evaluates
    @in_full_precision
    def variance(self):
        """The variance of each dimension of a variate, where TFP knows it."""
        return self._closed_form("variance")

    @evaluates
    @in_full_precision
    def entropy(self):
        """Entropy, shape [B...], where TFP knows it."""
        return self._closed_form("entropy")

    @evaluates
    @in_full_precision
    def cross_entropy(self, other):
        """Cross-entropy to `other`, a `TFPDist` of any class, shape [B...], where TFP knows it."""
        return self._closed_form("cross_entropy", other)

    @evaluates
    @in_full_precision
    def kl_divergence(self, other):
        """Kullback-Leibler divergence to `other`, a `TFPDist` of any class, shape [B...], where TFP knows it."""
        return self._closed_form("kl_divergence", other)

    def _closed_form(self, method, *others):
        for other in others:
            self._check_other(other)
        try:
            return getattr(self._tfp(), method)(*(other._tfp() for other in others))
        except NotImplementedError as error:
            names = " and ".join(dist.distribution for dist in (self, *others))
            instead = f"by `kgdists.divergences.{method}`" if "entropy" in method or others else "from draws"
            raise NotImplementedError(
                f"TFP has no closed form of `{method}` for {names}: estimate it {instead}"
            ) from error


def from_tfp(tfp_dist, name="tfp_dist", random_seed=None):
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
    while _name_of(tfp_dist) == "Independent":
        reinterpreted += len(tfp_dist.event_shape) - len(tfp_dist.distribution.event_shape)
        tfp_dist = tfp_dist.distribution
    leaves = {}
    _, distribution, arguments = _encode(tfp_dist, "", leaves)
    fixed = tuple((key, value) for key, value in arguments if value != ("leaf", key))
    return TFPDist(distribution, leaves, fixed, reinterpreted, name, random_seed)


@to_tfp.register(TFPDist)
def _tfp_dist(dist, *, labels=False):
    return dist._of(dict(zip(dist.params, _tensors(dist), strict=True)))


# A TFP object as nested tuples, which are static, and the tensors in it, which are leaves.


def _encode(value, path, leaves):
    """`value` as plain values and tuples that start with their kind; its tensors are put into `leaves`."""
    if isinstance(value, TFPDist):
        renamed = {name: _new_leaf(f"{path}_{name}", x, leaves) for name, x in value.params.items()}
        nested = _names_of_leaves(value.fixed)
        own = tuple((name, ("leaf", renamed[name])) for name in value.params if name not in nested)
        encoded = ("distributions", value.distribution, own + _rename(value.fixed, renamed))
        if not value.reinterpreted_batch_ndims:
            return encoded
        ndims = ("reinterpreted_batch_ndims", value.reinterpreted_batch_ndims)
        return ("distributions", "Independent", (("distribution", encoded), ndims))
    if isinstance(value, tfd.Distribution):
        value = _broadcast(value)
    for space, (_, base) in SPACES.items():
        if isinstance(value, base):
            pairs = _arguments(value).items()
            front = f"{path}_" if path else ""
            return (space, _name_of(value), tuple((key, _encode(x, front + key, leaves)) for key, x in pairs))
    if isinstance(value, (tf.DType, np.dtype, type)):
        return ("dtype", tf.as_dtype(value).name)
    if isinstance(value, dict):
        return ("dict", *((key, _encode(x, f"{path}_{key}", leaves)) for key, x in value.items()))
    if isinstance(value, (list, tuple)):
        return ("list", *(_encode(x, f"{path}_{i}", leaves) for i, x in enumerate(value)))
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, numbers.Real, str)):
        return value
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return ("leaf", _new_leaf(path, value, leaves))
    raise TypeError(
        "A TFP distribution must be made of tensors, plain values, and distributions, bijectors and linear operators "
        f"of TFP, so that it can be saved. Received: {path} = {value!r}"
    )


def _decode(value, leaves):
    """The inverse of `_encode`."""
    if not isinstance(value, tuple):
        return value
    kind, *parts = value
    if kind == "leaf":
        return leaves[parts[0]]
    if kind == "dtype":
        return tf.as_dtype(parts[0])
    if kind == "list":
        return [_decode(part, leaves) for part in parts]
    if kind == "dict":
        return {key: _decode(part, leaves) for key, part in parts}
    name, pairs = parts
    return _class_of(kind, name)(**{key: _decode(part, leaves) for key, part in pairs})


def _broadcast(tfp_dist):
    """The same distribution with all batch axes in each parameter: `predict` joins batches of every leaf."""
    try:
        return tfp_dist._broadcast_parameters_with_batch_shape(tfp_dist.batch_shape_tensor())
    except (NotImplementedError, TypeError):
        return tfp_dist  # joint distributions and some bijectors, of which TFP does not know the axes


def _arguments(tfp_object):
    """The constructor's arguments that are not the default, numbers for a distribution's parameters as tensors."""
    defaults = inspect.signature(type(tfp_object).__init__).parameters
    tensors = _event_ndims(type(tfp_object)) if isinstance(tfp_object, tfd.Distribution) else {}
    arguments = {}
    for key, value in tfp_object.parameters.items():
        default = defaults[key].default if key in defaults else inspect.Parameter.empty
        is_plain = isinstance(value, (bool, numbers.Real, str, tf.DType))
        if key in ("name", "parameters") or value is None:
            continue
        if key in tensors:
            dtype = getattr(tfp_object.dtype, "is_floating", False) and tfp_object.dtype
            value = value if hasattr(value, "dtype") else tf.convert_to_tensor(value, dtype or tf.float32)
        elif value is default or (is_plain and value == default):
            continue
        elif isinstance(tfp_object, tfb.Bijector) and hasattr(value, "dtype"):
            integers = numerics.concrete(value)  # such as a permutation
            value = value if integers is None or integers.dtype.kind not in "iu" else integers.tolist()
        arguments[key] = value
    return arguments


def _new_leaf(path, value, leaves):
    while path in leaves:
        path += "_"
    leaves[path] = value if shapes.is_symbolic(value) else tf.convert_to_tensor(value)
    return path


def _rename(value, names):
    if not isinstance(value, tuple):
        return value
    if value[:1] == ("leaf",):
        return ("leaf", names[value[1]])
    return tuple(_rename(part, names) for part in value)


def _names_of_leaves(value):
    if not isinstance(value, tuple):
        return set()
    if value[:1] == ("leaf",):
        return {value[1]}
    return set().union(*(_names_of_leaves(part) for part in value))


def _as_tuples(value):
    return tuple(map(_as_tuples, value)) if isinstance(value, (list, tuple)) else value


def _class_of(space, name):
    module, base = SPACES[space]
    cls = getattr(module, name, None) if isinstance(name, str) else None
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise ValueError(f"`distribution` must be the name of a class of TFP's {space}. Received: {name!r}")
    return cls


def _name_of(tfp_object):
    """The public name of the class of a distribution, bijector or linear operator."""
    cls = type(tfp_object)
    name = cls.__name__.lstrip("_")
    for module, _ in SPACES.values():
        if isinstance(getattr(module, name, None), type) and issubclass(getattr(module, name), cls):
            return name
    raise TypeError(
        "Only TFP's own classes can be rebuilt by name: derive a class of your own from `kgdists.Distribution`. "
        f"Received: {cls.__module__}.{cls.__name__}"
    )


def _event_ndims(cls):
    """How many axes of each tensor parameter of a TFP class belong to one event."""
    try:
        properties = cls.parameter_properties()
    except NotImplementedError:
        return {}
    return {name: p.event_ndims for name, p in properties.items() if isinstance(p.event_ndims, int)}


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


# Features -> `TFPDist`.


@keras.saving.register_keras_serializable(package="kgdists")
class TFPHead(keras.layers.Layer):
    """Dense layers whose outputs are the parameters of a TFP distribution, one for each parameter.

    TFP's own bijectors keep each parameter in its domain. Under a mixed precision policy the parameters are float32.

    Parameters
    ----------
    distribution : str
        Name of a class of `tfp.distributions` whose parameters are tensors, such as `"Gamma"`.
    num_dims : int, >= 1
        Size of the event: a vector of so many independent scalars, or the size of one event where the class has
        events of its own (`"Dirichlet"`, `"MultivariateNormalTriL"`), or the number of categories (`"Categorical"`).
    kernel_gain : float
        Gain of the orthogonal initial kernels; a small one starts near the same distribution for all features.
    random_seed : None or int
        An int makes the initial weights and the sequence of draws reproducible.
    **kwargs
        Arguments of the class, which are then fixed, such as `df=3.0`, and those of a Keras layer, which owns `name`
        and `dtype`.

    Examples
    --------
    >>> import keras
    >>> from kgdists.interop.tfp import TFPHead
    >>> pi = TFPHead("StudentT", 2, df=3.0)(keras.ops.ones((1, 4)))
    >>> list(pi.params), pi.batch_shape, pi.event_shape
    (['loc', 'scale'], (1,), (2,))
    """

    def __init__(self, distribution, num_dims, kernel_gain=0.01, random_seed=None, **kwargs):
        cls = _class_of("distributions", distribution)
        own = set(inspect.signature(cls.__init__).parameters) - {"name", "dtype"}
        fixed = {key: kwargs.pop(key) for key in own & set(kwargs)}
        super().__init__(**kwargs)
        if not isinstance(num_dims, int) or num_dims < 1:
            raise ValueError(f"`num_dims` must be an int >= 1. Received: num_dims={num_dims!r}")
        self.distribution = distribution
        self.num_dims = num_dims
        self.fixed = fixed
        self.kernel_gain = kernel_gain
        self.random_seed = random_seed
        self.seed_generator = keras.random.SeedGenerator(random_seed)
        self.params_dtype = "float32" if self.compute_dtype in HALF else self.compute_dtype
        self.raw, self.constraints = {}, {}
        for key, shape, bijector in _trained_parameters(cls, num_dims, fixed, self.params_dtype):
            raw_shape = tuple(bijector.inverse_event_shape(shape))
            self.constraints[key] = (raw_shape, bijector)
            self.raw[key] = keras.layers.Dense(
                math.prod(raw_shape),
                kernel_initializer=keras.initializers.Orthogonal(kernel_gain, seed=random_seed),
                dtype=self.dtype_policy,
                name=key,
            )

    def build(self, features_shape):
        for dense in self.raw.values():
            dense.build(features_shape)

    def call(self, features):
        params = {}
        for key, (shape, bijector) in self.constraints.items():
            raw = ops.cast(self.raw[key](features), self.params_dtype)
            params[key] = bijector.forward(ops.reshape(raw, (*ops.shape(raw)[:-1], *shape)))
        return TFPDist(self.distribution, params, dict(self.fixed), random_seed=self.seed_generator)

    def get_config(self):
        return super().get_config() | {
            "distribution": self.distribution,
            "num_dims": self.num_dims,
            "kernel_gain": self.kernel_gain,
            "random_seed": self.random_seed,
            **self.fixed,
        }


def _trained_parameters(cls, num_dims, fixed, dtype):
    """For each parameter of a TFP class that is not fixed: its name, its shape and the bijector to its domain."""
    if not _event_ndims(cls):
        raise ValueError(f"`distribution` must have parameters that are tensors. Received: {cls.__name__}")
    for key, properties in cls.parameter_properties(dtype=tf.as_dtype(dtype)).items():
        if key in fixed or not properties.is_preferred:
            continue
        try:
            bijector = properties.default_constraining_bijector_fn()
        except (NotImplementedError, TypeError):
            raise ValueError(
                f"`{key}` of {cls.__name__} must be fixed: TFP does not say how to keep it in its domain. "
                f"Received: fixed arguments {fixed}"
            ) from None
        try:
            shape = properties.shape_fn(tf.TensorShape([num_dims]))
        except (NotImplementedError, TypeError, ValueError):
            shape = (num_dims,) * properties.event_ndims  # of categories, which TFP cannot tell from an event
        yield key, tf.TensorShape(shape), bijector
