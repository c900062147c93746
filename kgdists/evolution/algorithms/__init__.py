"""The searchers, an algorithm a file. One that stands here is known to agents, to the command line and to all tests."""

from kgdists.evolution.algorithms.cem import CEM
from kgdists.evolution.algorithms.cmaes import CMAES
from kgdists.evolution.algorithms.pgpe import PGPE
from kgdists.evolution.algorithms.snes import SNES
from kgdists.evolution.algorithms.xnes import XNES

__all__ = ["CEM", "CMAES", "PGPE", "SEARCHERS", "SNES", "XNES"]

# By the name that agents and the command line know them by.
SEARCHERS = {searcher.__name__.lower(): searcher for searcher in (PGPE, SNES, CEM, XNES, CMAES)}
