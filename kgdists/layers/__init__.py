"""Keras layers: one head per distribution, features -> distribution, and what goes in front of them."""

from kgdists.layers.categorical_head import CategoricalHead
from kgdists.layers.normal_head import NormalHead
from kgdists.layers.running_normalization import RunningNormalization

__all__ = ["CategoricalHead", "NormalHead", "RunningNormalization"]
