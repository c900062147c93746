"""The searchers, an algorithm a file. One that stands here is known to agents, to the command line and to all tests."""

from kgdists.core.choices import SEARCHER_NAMES
from kgdists.evolution.algorithms.cem import CEM
from kgdists.evolution.algorithms.cmaes import CMAES
from kgdists.evolution.algorithms.pgpe import PGPE
from kgdists.evolution.algorithms.snes import SNES
from kgdists.evolution.algorithms.xnes import XNES

__all__ = ["CEM", "CMAES", "PGPE", "SEARCHERS", "SNES", "XNES"]

# By the name that agents and the command line know them by.
SEARCHERS = dict(zip(SEARCHER_NAMES, (PGPE, SNES, CEM, XNES, CMAES), strict=True))
