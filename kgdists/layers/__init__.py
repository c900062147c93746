"""Keras layers: one head per distribution, features -> distribution, and what goes in front of them."""

from kgdists.layers.categorical_head import CategoricalHead
from kgdists.layers.normal_head import NormalHead
from kgdists.layers.relaxed_one_hot_head import RelaxedOneHotHead
from kgdists.layers.running_normalization import RunningNormalization
from kgdists.layers.squashed_normal_head import SquashedNormalHead

__all__ = ["CategoricalHead", "NormalHead", "RelaxedOneHotHead", "RunningNormalization", "SquashedNormalHead"]
