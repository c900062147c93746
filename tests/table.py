"""The one place to enter a distribution: constructors that take (batch shape, dtype, random generator, **fields)."""

import keras
import numpy as np
from keras import ops

import kgdists as kg
from kgdists import Distribution
from kgdists.distributions import transforms
from kgdists.distributions.nested import NestedDist

N = 4
INF = float("inf")


def noise(dtype, rng, *shape):
    return ops.convert_to_tensor(rng.normal(size=shape), dtype)


def categorical(batch, dtype, rng, **fields):
    return kg.CategoricalDist(noise(dtype, rng, *batch, N), **fields)


def masked_categorical(batch, dtype, rng, **fields):
    mask = np.broadcast_to([True, False, True, True], (*batch, N))
    return kg.CategoricalDist(noise(dtype, rng, *batch, N), mask=mask, **fields)


def tempered_categorical(batch, dtype, rng, **fields):
    tau = ops.cast(0.3 + rng.random(batch), dtype)
    return kg.CategoricalDist(noise(dtype, rng, *batch, N), tau, **fields)


def normal(batch, dtype, rng, **fields):
    return kg.NormalDist(noise(dtype, rng, *batch, N), noise(dtype, rng, *batch, N), **fields)


def bernoulli(batch, dtype, rng, **fields):
    return kg.BernoulliDist(noise(dtype, rng, *batch, N), **fields)


def masked_bernoulli(batch, dtype, rng, **fields):
    mask = np.broadcast_to([2, 0, 2, 1], (*batch, N))
    return kg.BernoulliDist(noise(dtype, rng, *batch, N), mask=mask, **fields)


def multi_categorical(batch, dtype, rng, **fields):
    return kg.MultiCategoricalDist(noise(dtype, rng, *batch, 7), nvec=(2, 2, 3), **fields)


def relaxed_one_hot(batch, dtype, rng, **fields):
    temperature = ops.cast(0.3 + rng.random(batch), dtype)
    return kg.RelaxedOneHotCategorical(temperature, logits=noise(dtype, rng, *batch, N), **fields)


def discretized_logistic(batch, dtype, rng, **fields):
    mu, logscale = 2.0 * noise(dtype, rng, *batch, N), noise(dtype, rng, *batch, N)
    return kg.DiscretizedLogisticDist(mu, logscale, low=(-3, 0, -1, 0), high=(3, 2, 9, 0), **fields)


def squashed_normal(batch, dtype, rng, **fields):
    bounds = {"low": (-2.0, 0.0, -INF, -INF), "high": (3.0, INF, 1.0, INF)}
    return kg.SquashedNormalDist(noise(dtype, rng, *batch, N), noise(dtype, rng, *batch, N), **bounds, **fields)


def composite(batch, dtype, rng, **fields):
    pushes = (normal(batch, dtype, rng), bernoulli(batch, dtype, rng))
    return kg.CompositeDist({"push": pushes, "move": categorical(batch, dtype, rng)}, **fields)


def one_of(batch, dtype, rng, **fields):
    choice = kg.CategoricalDist(noise(dtype, rng, *batch, 3))
    nested = kg.CompositeDist((normal(batch, dtype, rng), bernoulli(batch, dtype, rng)))
    parts = (categorical(batch, dtype, rng), normal(batch, dtype, rng), nested)
    return kg.OneOfDist((choice, parts), **fields)


def factors(dtype, rng, *shape):
    """Lower triangular matrices with a positive diagonal, of shape [..., n, n]."""
    tril = 0.5 * np.tril(rng.normal(size=shape), -1) + np.eye(shape[-1]) * rng.uniform(0.5, 2.0, size=shape)
    return ops.convert_to_tensor(tril, dtype)


def multivariate_normal(batch, dtype, rng, **fields):
    return kg.MultivariateNormalDist(noise(dtype, rng, *batch, N), factors(dtype, rng, *batch, N, N), **fields)


def gaussian_mixture(batch, dtype, rng, **fields):
    mu, logvar = noise(dtype, rng, *batch, 3, N), noise(dtype, rng, *batch, 3, N)
    return kg.GaussianMixtureDist(noise(dtype, rng, *batch, 3), mu, logvar, **fields)


def full_gaussian_mixture(batch, dtype, rng, **fields):
    mu, scale_tril = noise(dtype, rng, *batch, 3, N), factors(dtype, rng, *batch, 3, N, N)
    return kg.GaussianMixtureDist(noise(dtype, rng, *batch, 3), mu, scale_tril=scale_tril, **fields)


def beta(batch, dtype, rng, **fields):
    # Below 1/2 some of the draws would be rounded to a bound.
    alpha, beta = (0.5 + ops.exp(noise(dtype, rng, *batch, N)) for _ in range(2))
    return kg.BetaDist(alpha, beta, low=(-1.0, 0.0, 2.0, -3.0), high=(1.0, 1.0, 5.0, 4.0), **fields)


def state_dependent_normal(batch, dtype, rng, **fields):
    return kg.StateDependentNormalDist(noise(dtype, rng, *batch, N), noise(dtype, rng, *batch, 3, N), **fields)


def clipped_normal(batch, dtype, rng, **fields):
    bounds = {"low": (-2.0, 0.0, -INF, -INF), "high": (3.0, INF, 1.0, INF)}
    return kg.ClippedNormalDist(noise(dtype, rng, *batch, N), noise(dtype, rng, *batch, N), **bounds, **fields)


def laplace(batch, dtype, rng, **fields):
    return kg.LaplaceDist(noise(dtype, rng, *batch, N), ops.exp(noise(dtype, rng, *batch, N)), **fields)


def logistic(batch, dtype, rng, **fields):
    return kg.LogisticDist(noise(dtype, rng, *batch, N), ops.exp(noise(dtype, rng, *batch, N)), **fields)


def mixture(batch, dtype, rng, **fields):
    return kg.MixtureDist(noise(dtype, rng, *batch, 3), normal((*batch, 3), dtype, rng), **fields)


def mixture_of_families(batch, dtype, rng, **fields):
    parts = (normal(batch, dtype, rng), laplace(batch, dtype, rng))
    return kg.MixtureDist(noise(dtype, rng, *batch, 2), parts, **fields)


def transformed(batch, dtype, rng, **fields):
    transform = transforms.Chain(
        [transforms.Softplus(), transforms.Affine((0.0, 1.0, 2.0, 3.0), (1.0, 2.0, -1.0, -2.0))]
    )
    return kg.Transformed(normal(batch, dtype, rng), transform, **fields)


def affine(batch, dtype, rng, **fields):
    transform = transforms.Affine(noise(dtype, rng, *batch, N), 1.0 + ops.exp(noise(dtype, rng, *batch, N)))
    return kg.Transformed(laplace(batch, dtype, rng), transform, **fields)


def positive(dtype, rng, *shape):
    return ops.exp(noise(dtype, rng, *shape))


def exponential(batch, dtype, rng, **fields):
    return kg.ExponentialDist(positive(dtype, rng, *batch, N), **fields)


def gamma(batch, dtype, rng, **fields):
    return kg.GammaDist(0.5 + positive(dtype, rng, *batch, N), positive(dtype, rng, *batch, N), **fields)


def log_normal(batch, dtype, rng, **fields):
    return kg.LogNormalDist(noise(dtype, rng, *batch, N), 0.5 * noise(dtype, rng, *batch, N), **fields)


def weibull(batch, dtype, rng, **fields):
    return kg.WeibullDist(0.5 + positive(dtype, rng, *batch, N), positive(dtype, rng, *batch, N), **fields)


def dirichlet(batch, dtype, rng, **fields):
    return kg.DirichletDist(0.5 + positive(dtype, rng, *batch, N), **fields)


def truncated(batch, dtype, rng, **fields):
    bounds = {"low": (-2.0, 0.0, -INF, -INF), "high": (3.0, INF, 1.0, INF)}
    return kg.Truncated(normal(batch, dtype, rng), **bounds, **fields)


def censored(batch, dtype, rng, **fields):
    return kg.Censored(laplace(batch, dtype, rng), (-2.0, 0.0, -INF, -INF), (3.0, INF, 1.0, INF), **fields)


def zero_inflated(batch, dtype, rng, **fields):
    return kg.ZeroInflated(noise(dtype, rng, *batch, N), discretized_logistic(batch, dtype, rng), **fields)


def hurdle(batch, dtype, rng, **fields):
    return kg.ZeroInflated(noise(dtype, rng, *batch, N), normal(batch, dtype, rng), **fields)


def independent(batch, dtype, rng, **fields):
    return kg.Independent(normal((*batch, 3), dtype, rng), **fields)


DISTRIBUTIONS = {
    "composite": composite,
    "one_of": one_of,
    "discretized_logistic": discretized_logistic,
    "bernoulli": bernoulli,
    "masked_bernoulli": masked_bernoulli,
    "multi_categorical": multi_categorical,
    "categorical": categorical,
    "masked_categorical": masked_categorical,
    "tempered_categorical": tempered_categorical,
    "dirichlet": dirichlet,
    "exponential": exponential,
    "gamma": gamma,
    "laplace": laplace,
    "log_normal": log_normal,
    "logistic": logistic,
    "mixture": mixture,
    "mixture_of_families": mixture_of_families,
    "transformed": transformed,
    "affine": affine,
    "truncated": truncated,
    "censored": censored,
    "zero_inflated": zero_inflated,
    "hurdle": hurdle,
    "independent": independent,
    "gaussian_mixture": gaussian_mixture,
    "full_gaussian_mixture": full_gaussian_mixture,
    "state_dependent_normal": state_dependent_normal,
    "multivariate_normal": multivariate_normal,
    "normal": normal,
    "squashed_normal": squashed_normal,
    "beta": beta,
    "clipped_normal": clipped_normal,
    "relaxed_one_hot": relaxed_one_hot,
    "weibull": weibull,
}

# Those of which the quick tests try everything; of the others they try what their own files do.
QUICK = (
    *("composite", "one_of", "discretized_logistic", "bernoulli", "masked_bernoulli", "multi_categorical"),
    *("categorical", "masked_categorical", "tempered_categorical", "gaussian_mixture", "full_gaussian_mixture"),
    *("state_dependent_normal", "multivariate_normal", "normal", "squashed_normal", "beta", "clipped_normal"),
    *("relaxed_one_hot", "gamma", "poisson", "mixture"),
)

OPTIONAL = ("mode", "mean", "variance", "entropy", "cross_entropy", "kl_divergence")

# Methods that a distribution has no closed form of: they raise.
NO_CLOSED_FORM: dict[str, set[str]] = {
    "discretized_logistic": {"mean", "variance", "entropy", "cross_entropy", "kl_divergence"},
    "logistic": {"cross_entropy", "kl_divergence"},
    "relaxed_one_hot": set(OPTIONAL),
    "mixture": {"entropy", "cross_entropy", "kl_divergence"},
    "mixture_of_families": {"entropy", "cross_entropy", "kl_divergence"},
    "transformed": {"mode", "mean", "variance", "entropy", "cross_entropy"},
    "affine": {"cross_entropy", "kl_divergence"},  # of another map
    "truncated": {"mean", "variance", "entropy", "cross_entropy", "kl_divergence"},
    "censored": {"mean", "variance", "entropy", "cross_entropy", "kl_divergence"},
    "zero_inflated": {"mean", "variance", "entropy", "cross_entropy", "kl_divergence"},
    "hurdle": {"entropy", "cross_entropy", "kl_divergence"},
    "gaussian_mixture": {"entropy", "cross_entropy", "kl_divergence"},
    "full_gaussian_mixture": {"entropy", "cross_entropy", "kl_divergence"},
    "squashed_normal": {"mean", "variance", "entropy", "cross_entropy"},
}

# Distributions whose `mode` is not the peak of their density, as they document.
MODE_IS_NO_PEAK: set[str] = {
    *("clipped_normal", "one_of", "squashed_normal", "gaussian_mixture", "full_gaussian_mixture"),
    *("mixture", "mixture_of_families", "censored", "hurdle"),
}


WORKS = {}  # whether a method of a class with such parts does not raise


def has(dist, method):
    """Whether `dist` has a method: its class, and those of its parts, define it rather than inherit what raises."""
    if method not in (*OPTIONAL, "elementwise_log_proba"):
        return True
    if getattr(type(dist), method) is getattr(Distribution, method):
        return False
    if not isinstance(dist, NestedDist):
        return True
    key = type(dist), str(dist._static()), method
    if key not in WORKS:
        argument = {"elementwise_log_proba": lambda: dist.sample(seed=0)}.get(method, lambda: moved(dist))
        try:
            getattr(dist, method)(*[argument()] * (method not in ("mode", "mean", "variance", "entropy")))
            WORKS[key] = True
        except NotImplementedError:
            WORKS[key] = False
    return WORKS[key]


def moved(dist):
    """One of the same parameters, in other tensors."""
    return keras.tree.map_structure(lambda x: x + 0 if "float" in str(x.dtype) else x, dist)


# Those that 0.1 had, and those of which the quick tests try everything.
HEADS_OF_0_1 = (
    *("categorical", "relaxed_one_hot", "relaxed_one_hot_trained", "gaussian_mixture", "gaussian_mixture_full"),
    *("state_dependent_normal", "multivariate_normal", "multivariate_normal_state_dependent", "normal"),
    *("normal_state_dependent", "squashed_normal", "beta", "clipped_normal", "bernoulli", "multi_categorical"),
    "discretized_logistic",
)
QUICK_HEADS = (*HEADS_OF_0_1, "gamma")

# Heads: class, arguments, distribution and width of its events.
HEADS = {
    "categorical": (kg.layers.CategoricalHead, {"num_categories": 3, "boltzmann_tau": 0.5}, kg.CategoricalDist, 3),
    "relaxed_one_hot": (kg.layers.RelaxedOneHotHead, {"num_categories": 3}, kg.RelaxedOneHotCategorical, 3),
    "relaxed_one_hot_trained": (
        kg.layers.RelaxedOneHotHead,
        {"num_categories": 3, "train_temperature": True},
        kg.RelaxedOneHotCategorical,
        3,
    ),
    "gaussian_mixture": (
        kg.layers.GaussianMixtureHead,
        {"num_components": 3, "num_dims": 2, "scale": [1.0, 2.0]},
        kg.GaussianMixtureDist,
        2,
    ),
    "gaussian_mixture_full": (
        kg.layers.GaussianMixtureHead,
        {"num_components": 3, "num_dims": 2, "covariance": "full"},
        kg.GaussianMixtureDist,
        2,
    ),
    "state_dependent_normal": (
        kg.layers.StateDependentNormalHead,
        {"num_dims": 2, "scale": [1.0, 2.0]},
        kg.StateDependentNormalDist,
        2,
    ),
    "multivariate_normal": (
        kg.layers.MultivariateNormalHead,
        {"num_dims": 3, "scale": [1.0, 2.0, 3.0]},
        kg.MultivariateNormalDist,
        3,
    ),
    "multivariate_normal_state_dependent": (
        kg.layers.MultivariateNormalHead,
        {"num_dims": 3, "state_dependent": True},
        kg.MultivariateNormalDist,
        3,
    ),
    "normal": (kg.layers.NormalHead, {"num_dims": 2, "initial_stddev": 0.5, "scale": [1.0, 2.0]}, kg.NormalDist, 2),
    "normal_state_dependent": (kg.layers.NormalHead, {"num_dims": 2, "state_dependent": True}, kg.NormalDist, 2),
    "squashed_normal": (kg.layers.SquashedNormalHead, {"num_dims": 2, "low": [0.0, -1.0]}, kg.SquashedNormalDist, 2),
    "beta": (kg.layers.BetaHead, {"num_dims": 2, "low": -1.0, "high": [1.0, 2.0]}, kg.BetaDist, 2),
    "clipped_normal": (kg.layers.ClippedNormalHead, {"num_dims": 2, "low": [0.0, -1.0]}, kg.ClippedNormalDist, 2),
    "bernoulli": (kg.layers.BernoulliHead, {"num_dims": 3}, kg.BernoulliDist, 3),
    "multi_categorical": (kg.layers.MultiCategoricalHead, {"nvec": [2, 3]}, kg.MultiCategoricalDist, 5),
    "discretized_logistic": (
        kg.layers.DiscretizedLogisticHead,
        {"num_dims": 2, "low": -1, "high": [3, 9]},
        kg.DiscretizedLogisticDist,
        2,
    ),
}
