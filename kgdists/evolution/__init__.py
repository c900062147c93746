"""Evolution strategies: Gaussian search distributions and the searchers on them."""

from kgdists.evolution import noise
from kgdists.evolution.cem import CEM
from kgdists.evolution.clip_up import ClipUp
from kgdists.evolution.cmaes import CMAES
from kgdists.evolution.exp_gaussian import ExpGaussian
from kgdists.evolution.exp_separable_gaussian import ExpSeparableGaussian
from kgdists.evolution.full_gaussian import FullGaussian
from kgdists.evolution.pgpe import PGPE
from kgdists.evolution.ranking import rank
from kgdists.evolution.search_distribution import SearchDistribution
from kgdists.evolution.searcher import Searcher, State
from kgdists.evolution.separable_gaussian import SeparableGaussian
from kgdists.evolution.snes import SNES
from kgdists.evolution.symmetric_separable_gaussian import SymmetricSeparableGaussian
from kgdists.evolution.xnes import XNES

__all__ = [
    "CEM",
    "CMAES",
    "ClipUp",
    "ExpGaussian",
    "ExpSeparableGaussian",
    "FullGaussian",
    "PGPE",
    "SNES",
    "SearchDistribution",
    "Searcher",
    "SeparableGaussian",
    "State",
    "SymmetricSeparableGaussian",
    "XNES",
    "noise",
    "rank",
]
