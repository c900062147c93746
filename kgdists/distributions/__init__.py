"""The distributions, one class per file."""

from kgdists.distributions.categorical import CategoricalDist
from kgdists.distributions.normal import NormalDist

__all__ = ["CategoricalDist", "NormalDist"]
