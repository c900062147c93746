"""Figures."""

from kgdists.plotting.calibration import calibration
from kgdists.plotting.densities import components, density, divergence_grid, samples
from kgdists.plotting.distributions import distribution
from kgdists.plotting.searches import search_path
from kgdists.runs.curves import fit_history, learning_curve

__all__ = [
    "calibration",
    "components",
    "density",
    "distribution",
    "divergence_grid",
    "fit_history",
    "learning_curve",
    "samples",
    "search_path",
]
