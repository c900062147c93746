"""The softplus function."""

from typing import Any

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Tensor
from kgdists.distributions.transforms.transform import Transform, image
from kgdists.numerics import special

__all__ = ["Softplus"]


class Softplus(Transform):
    r""":math:`x = \log(1 + e^u)`, to the numbers above 0: far up the identity, far down the exponential function.

    Examples
    --------
    >>> import kgdists as kg
    >>> rain = kg.Transformed(kg.NormalDist([0.0], [0.0]), kg.distributions.transforms.Softplus())
    >>> rain.sample(3).shape
    TensorShape([3, 1])
    """

    def forward(self, u: Tensor) -> Tensor:
        return ops.softplus(u)

    def inverse(self, x: Tensor) -> Tensor:
        x = ops.maximum(x, special.smallest(shapes.dtype_of(x)))
        return x + ops.log(-ops.expm1(-x))

    def log_det(self, u: Tensor) -> Tensor:
        return -ops.softplus(-u)

    def ends(self, low: Any, high: Any, dtype: str) -> tuple[Any, Any]:
        return image(_softplus, ops.softplus, low, 0.0, float("inf")), image(
            _softplus, ops.softplus, high, 0.0, float("inf")
        )


def _softplus(u):
    return np.logaddexp(0.0, u)
