"""The TFP counterpart of each distribution of kgdists."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from kgdists import distributions
from kgdists.core import shapes
from kgdists.distributions import transforms
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import HALF
from kgdists.interop.tfp.tfp_dist import TFPDist

__all__ = ["to_tfp"]

tfb, tfd = tfp.bijectors, tfp.distributions


@functools.singledispatch
def to_tfp(dist: Distribution, *, labels: bool = False) -> Any:
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
    logits, *_ = _tensors(dist)
    return _choice(logits, labels)


@to_tfp.register(distributions.MultiCategoricalDist)
def _multi_categorical(dist, *, labels=False):
    logits, *_ = _tensors(dist)
    return tfd.Blockwise([_choice(x, labels) for x in tf.split(logits, dist.nvec, axis=-1)])


@to_tfp.register(distributions.BernoulliDist)
def _bernoulli(dist, *, labels=False):
    logits, *_ = _tensors(dist)
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
    logits, *_ = _tensors(dist)
    return tfd.MixtureSameFamily(tfd.Categorical(logits), to_tfp(dist.components))


@to_tfp.register(distributions.MixtureDist)
def _mixture(dist, *, labels=False):
    logits, *_ = _tensors(dist)
    choice = tfd.Categorical(logits)
    if isinstance(dist.components, Distribution):
        return tfd.MixtureSameFamily(choice, to_tfp(dist.components))
    return tfd.Mixture(choice, list(map(to_tfp, dist.components)))


@to_tfp.register(distributions.Transformed)
def _transformed(dist, *, labels=False):
    return tfd.TransformedDistribution(to_tfp(dist.dist), _bijector(dist.transform, _tensors(dist)[0].dtype.name))


@to_tfp.register(distributions.Independent)
def _independent(dist, *, labels=False):
    _tensors(dist)
    return tfd.Independent(to_tfp(dist.dist, labels=labels), dist.num_axes)


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


@to_tfp.register(distributions.ExponentialDist)
def _exponential(dist, *, labels=False):
    return tfd.Independent(tfd.Exponential(*_tensors(dist)), 1)


@to_tfp.register(distributions.GammaDist)
def _gamma(dist, *, labels=False):
    return tfd.Independent(tfd.Gamma(*_tensors(dist)), 1)


@to_tfp.register(distributions.LogNormalDist)
def _log_normal(dist, *, labels=False):
    mu, logvar = _tensors(dist)
    return tfd.Independent(tfd.LogNormal(mu, tf.exp(0.5 * logvar)), 1)


@to_tfp.register(distributions.WeibullDist)
def _weibull(dist, *, labels=False):
    return tfd.Independent(tfd.Weibull(*_tensors(dist)), 1)


@to_tfp.register(distributions.DirichletDist)
def _dirichlet(dist, *, labels=False):
    return tfd.Dirichlet(*_tensors(dist))


@to_tfp.register(distributions.LaplaceDist)
def _laplace(dist, *, labels=False):
    return tfd.Independent(tfd.Laplace(*_tensors(dist)), 1)


@to_tfp.register(distributions.LogisticDist)
def _logistic(dist, *, labels=False):
    return tfd.Independent(tfd.Logistic(*_tensors(dist)), 1)


@to_tfp.register(distributions.CompositeDist)
def _composite(dist, *, labels=False):
    return _joint(dist.dists, len(dist.batch_shape), labels)


@to_tfp.register(TFPDist)
def _tfp_dist(dist, *, labels=False):
    return dist._of(dict(zip(dist.params, _tensors(dist), strict=True)))


# It is derived from CompositeDist, and has no counterpart.
to_tfp.register(distributions.OneOfDist, to_tfp.dispatch(object))


def _joint(dists, batch_ndims, labels):
    if isinstance(dists, Distribution):
        return to_tfp(dists, labels=labels)
    if isinstance(dists, dict):
        parts = {key: _joint(part, batch_ndims, labels) for key, part in dists.items()}
        return tfd.JointDistributionNamed(parts, batch_ndims=batch_ndims)
    in_order = [_joint(part, batch_ndims, labels) for part in dists]
    return tfd.JointDistributionSequential(in_order, batch_ndims=batch_ndims)


def _choice(logits, labels):
    # OneHotCategorical multiplies by all log-probabilities, and 0 * inf is NaN.
    return tfd.Categorical(logits) if labels else tfd.OneHotCategorical(tf.maximum(logits, -1e30), dtype=logits.dtype)


@functools.singledispatch
def _bijector(transform, dtype):
    raise TypeError(f"`transform` must be one that TFP has a counterpart of. Received: {type(transform).__name__}")


_bijector.register(transforms.Exp, lambda transform, dtype: tfb.Exp())
_bijector.register(transforms.Sigmoid, lambda transform, dtype: tfb.Sigmoid())
_bijector.register(transforms.Softplus, lambda transform, dtype: tfb.Softplus())


@_bijector.register(transforms.Affine)
def _affine(transform, dtype):
    shift, scale = (x if tf.is_tensor(x) else np.asarray(x, dtype) for x in (transform.shift, transform.scale))
    return tfb.Chain([tfb.Shift(shift), tfb.Scale(scale)])


@_bijector.register(transforms.Chain)
def _chain(transform, dtype):
    return tfb.Chain([_bijector(part, dtype) for part in reversed(transform.transforms)])


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
