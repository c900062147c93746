"""Fitting Gaussian mixtures: by forward and reverse divergence, and by expectation maximisation."""

from kgdists.mixtures.fitting import Fit, fit

__all__ = ["Fit", "fit"]
