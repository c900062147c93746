"""Evolution strategies: Gaussian search distributions and the searchers on them."""

from kgdists.evolution import noise
from kgdists.evolution.exp_gaussian import ExpGaussian
from kgdists.evolution.exp_separable_gaussian import ExpSeparableGaussian
from kgdists.evolution.ranking import rank
from kgdists.evolution.search_distribution import SearchDistribution
from kgdists.evolution.searcher import Searcher, State
from kgdists.evolution.separable_gaussian import SeparableGaussian
from kgdists.evolution.symmetric_separable_gaussian import SymmetricSeparableGaussian

__all__ = [
    "ExpGaussian",
    "ExpSeparableGaussian",
    "SearchDistribution",
    "Searcher",
    "SeparableGaussian",
    "State",
    "SymmetricSeparableGaussian",
    "noise",
    "rank",
]
