"""The distributions, one class per file."""

from kgdists.distributions import transforms
from kgdists.distributions.bernoulli import BernoulliDist
from kgdists.distributions.beta import BetaDist
from kgdists.distributions.categorical import CategoricalDist
from kgdists.distributions.censored import Censored
from kgdists.distributions.clipped_normal import ClippedNormalDist
from kgdists.distributions.composite import CompositeDist
from kgdists.distributions.dirichlet import DirichletDist
from kgdists.distributions.discretized_logistic import DiscretizedLogisticDist
from kgdists.distributions.exponential import ExponentialDist
from kgdists.distributions.gamma import GammaDist
from kgdists.distributions.gaussian_mixture import GaussianMixtureDist
from kgdists.distributions.independent import Independent
from kgdists.distributions.laplace import LaplaceDist
from kgdists.distributions.log_normal import LogNormalDist
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
from kgdists.distributions.truncated import Truncated
from kgdists.distributions.weibull import WeibullDist
from kgdists.distributions.zero_inflated import ZeroInflated

__all__ = [
    "BernoulliDist",
    "BetaDist",
    "CategoricalDist",
    "Censored",
    "ClippedNormalDist",
    "CompositeDist",
    "DirichletDist",
    "DiscretizedLogisticDist",
    "ExponentialDist",
    "GammaDist",
    "GaussianMixtureDist",
    "Independent",
    "LaplaceDist",
    "LogNormalDist",
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
    "Truncated",
    "WeibullDist",
    "ZeroInflated",
    "transforms",
]
