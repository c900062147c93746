"""The logistic function."""

from typing import Any

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Tensor
from kgdists.distributions.transforms.transform import Transform, image
from kgdists.numerics import special

__all__ = ["Sigmoid"]


class Sigmoid(Transform):
    r""":math:`x = 1 / (1 + e^{-u})`, to the numbers between 0 and 1; for other bounds in a `Chain` with `Affine`.

    Examples
    --------
    >>> import kgdists as kg
    >>> share = kg.Transformed(kg.NormalDist([0.0], [0.0]), kg.distributions.transforms.Sigmoid())
    >>> print(share.median().numpy())
    [0.5]
    """

    def forward(self, u: Tensor) -> Tensor:
        return ops.sigmoid(u)

    def inverse(self, x: Tensor) -> Tensor:
        dtype = shapes.dtype_of(x)
        x = ops.minimum(ops.maximum(x, special.smallest(dtype)), 1.0 - float(np.finfo(dtype).epsneg))
        return ops.log(x) - ops.log1p(-x)

    def log_det(self, u: Tensor) -> Tensor:
        return -ops.softplus(-u) - ops.softplus(u)

    def ends(self, low: Any, high: Any, dtype: str) -> tuple[Any, Any]:
        return image(_sigmoid, ops.sigmoid, low, 0.0, 1.0), image(_sigmoid, ops.sigmoid, high, 0.0, 1.0)


def _sigmoid(u):
    return np.exp(-np.logaddexp(0.0, -u))
