"""Evolution strategies: Gaussian search distributions and the searchers on them."""

import importlib
from typing import TYPE_CHECKING, Any

from kgdists.evolution import algorithms
from kgdists.evolution.algorithms import *
from kgdists.evolution.gaussians.exp_gaussian import ExpGaussian
from kgdists.evolution.gaussians.exp_separable_gaussian import ExpSeparableGaussian
from kgdists.evolution.gaussians.full_gaussian import FullGaussian
from kgdists.evolution.gaussians.search_distribution import SearchDistribution
from kgdists.evolution.gaussians.separable_gaussian import SeparableGaussian
from kgdists.evolution.gaussians.symmetric_separable_gaussian import SymmetricSeparableGaussian
from kgdists.evolution.optimizers import ClipUp
from kgdists.evolution.ranking import rank
from kgdists.evolution.searcher import Searcher
from kgdists.evolution.state import State
from kgdists.random import hashed_normal as noise

if TYPE_CHECKING:
    from kgdists.evolution.distributed.ray_search import RaySearch
    from kgdists.evolution.policy_search.search import PolicySearch

__all__ = [
    "ClipUp",
    "ExpGaussian",
    "ExpSeparableGaussian",
    "FullGaussian",
    "PolicySearch",
    "RaySearch",
    "SearchDistribution",
    "Searcher",
    "SeparableGaussian",
    "State",
    "SymmetricSeparableGaussian",
    "noise",
    "rank",
]
__all__ += algorithms.__all__

# What needs Gymnasium or Ray is imported at first use.
LATER = {"PolicySearch": "policy_search.search", "RaySearch": "distributed.ray_search"}


def __getattr__(name: str) -> Any:
    if name in LATER:
        return getattr(importlib.import_module(f"kgdists.evolution.{LATER[name]}"), name)
    raise AttributeError(f"module 'kgdists.evolution' has no attribute {name!r}")
