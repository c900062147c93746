"""The one place to enter a distribution: constructors that take (batch shape, dtype, random generator, **fields)."""

import numpy as np
from keras import ops

import kgdists as kg
from kgdists import Distribution

N = 4


def noise(dtype, rng, *shape):
    return ops.convert_to_tensor(rng.normal(size=shape), dtype)


def categorical(batch, dtype, rng, **fields):
    return kg.CategoricalDist(noise(dtype, rng, *batch, N), **fields)


def masked_categorical(batch, dtype, rng, **fields):
    mask = np.broadcast_to([True, False, True, True], (*batch, N))
    return kg.CategoricalDist(noise(dtype, rng, *batch, N), mask=mask, **fields)


def normal(batch, dtype, rng, **fields):
    return kg.NormalDist(noise(dtype, rng, *batch, N), noise(dtype, rng, *batch, N), **fields)


def bernoulli(batch, dtype, rng, **fields):
    return kg.BernoulliDist(noise(dtype, rng, *batch, N), **fields)


def masked_bernoulli(batch, dtype, rng, **fields):
    mask = np.broadcast_to([2, 0, 2, 1], (*batch, N))
    return kg.BernoulliDist(noise(dtype, rng, *batch, N), mask=mask, **fields)


def multi_categorical(batch, dtype, rng, **fields):
    return kg.MultiCategoricalDist(noise(dtype, rng, *batch, 7), nvec=(2, 2, 3), **fields)


DISTRIBUTIONS = {
    "bernoulli": bernoulli,
    "masked_bernoulli": masked_bernoulli,
    "multi_categorical": multi_categorical,
    "categorical": categorical,
    "masked_categorical": masked_categorical,
    "normal": normal,
}

# Methods that a distribution has no closed form of: they raise.
NO_CLOSED_FORM: dict[str, set[str]] = {}

# Distributions whose `mode` is not the peak of their density, as they document.
MODE_IS_NO_PEAK: set[str] = set()

OPTIONAL = ("mode", "mean", "variance", "entropy", "cross_entropy", "kl_divergence")


def has(dist, method):
    """Whether the class of `dist` defines a method, rather than inherits the one that raises."""
    return method not in OPTIONAL or getattr(type(dist), method) is not getattr(Distribution, method)
