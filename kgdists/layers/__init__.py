"""Keras layers: one head per distribution, features -> distribution, and what goes in front of them."""

from kgdists.layers.bernoulli_head import BernoulliHead
from kgdists.layers.beta_head import BetaHead
from kgdists.layers.categorical_head import CategoricalHead
from kgdists.layers.clipped_normal_head import ClippedNormalHead
from kgdists.layers.composite_head import CompositeHead, OneOfHead
from kgdists.layers.dense import Dense
from kgdists.layers.discretized_logistic_head import DiscretizedLogisticHead
from kgdists.layers.gaussian_mixture_head import GaussianMixtureHead
from kgdists.layers.head import Head
from kgdists.layers.multi_categorical_head import MultiCategoricalHead
from kgdists.layers.multivariate_normal_head import MultivariateNormalHead
from kgdists.layers.normal_head import NormalHead
from kgdists.layers.relaxed_one_hot_head import RelaxedOneHotHead
from kgdists.layers.running_normalization import RunningNormalization
from kgdists.layers.squashed_normal_head import SquashedNormalHead
from kgdists.layers.state_dependent_normal_head import StateDependentNormalHead

__all__ = [
    "BernoulliHead",
    "BetaHead",
    "CategoricalHead",
    "ClippedNormalHead",
    "CompositeHead",
    "Dense",
    "DiscretizedLogisticHead",
    "GaussianMixtureHead",
    "Head",
    "MultiCategoricalHead",
    "MultivariateNormalHead",
    "NormalHead",
    "OneOfHead",
    "RelaxedOneHotHead",
    "RunningNormalization",
    "SquashedNormalHead",
    "StateDependentNormalHead",
]
