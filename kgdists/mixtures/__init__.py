"""Fitting Gaussian mixtures: by forward and reverse divergence, and by expectation maximisation."""

from kgdists.mixtures.fitting import Fit, fit
from kgdists.mixtures.widths import FitWarning

__all__ = ["Fit", "FitWarning", "fit"]
