"""Targets: densities with known answers to learn, to sample from and to compare with."""

from kgdists.targets.dataset import Dataset
from kgdists.targets.diagonal_gaussian_mixture import DiagonalGaussianMixture
from kgdists.targets.gaussian_mixture import GaussianMixture

__all__ = ["Dataset", "DiagonalGaussianMixture", "GaussianMixture"]
