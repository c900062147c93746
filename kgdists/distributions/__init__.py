"""The distributions, one class per file."""

from kgdists.distributions.bernoulli import BernoulliDist
from kgdists.distributions.beta import BetaDist
from kgdists.distributions.categorical import CategoricalDist
from kgdists.distributions.clipped_normal import ClippedNormalDist
from kgdists.distributions.composite import CompositeDist
from kgdists.distributions.discretized_logistic import DiscretizedLogisticDist
from kgdists.distributions.gaussian_mixture import GaussianMixtureDist
from kgdists.distributions.laplace import LaplaceDist
from kgdists.distributions.logistic import LogisticDist
from kgdists.distributions.mixture import MixtureDist
from kgdists.distributions.multi_categorical import MultiCategoricalDist
from kgdists.distributions.multivariate_normal import MultivariateNormalDist
from kgdists.distributions.normal import NormalDist
from kgdists.distributions.one_of import OneOfDist
from kgdists.distributions.relaxed_one_hot_categorical import RelaxedOneHotCategorical
from kgdists.distributions.squashed_normal import SquashedNormalDist
from kgdists.distributions.state_dependent_normal import StateDependentNormalDist
from kgdists.distributions.transformed import Transformed

__all__ = [
    "BernoulliDist",
    "BetaDist",
    "CategoricalDist",
    "ClippedNormalDist",
    "CompositeDist",
    "DiscretizedLogisticDist",
    "GaussianMixtureDist",
    "LaplaceDist",
    "LogisticDist",
    "MixtureDist",
    "MultiCategoricalDist",
    "MultivariateNormalDist",
    "NormalDist",
    "OneOfDist",
    "RelaxedOneHotCategorical",
    "SquashedNormalDist",
    "StateDependentNormalDist",
    "Transformed",
]
