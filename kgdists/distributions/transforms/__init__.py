"""Monotone maps of each dimension, of which `Transformed` distributions are made."""

from kgdists.distributions.transforms.affine import Affine
from kgdists.distributions.transforms.chain import Chain
from kgdists.distributions.transforms.exp import Exp
from kgdists.distributions.transforms.sigmoid import Sigmoid
from kgdists.distributions.transforms.softplus import Softplus
from kgdists.distributions.transforms.transform import Transform

__all__ = ["Affine", "Chain", "Exp", "Sigmoid", "Softplus", "Transform"]
