"""Figures."""

from kgdists.plotting.curves import fit_history, learning_curve
from kgdists.plotting.densities import components, density, divergence_grid, samples

__all__ = ["components", "density", "divergence_grid", "fit_history", "learning_curve", "samples"]
