"""The exponential function."""

from typing import Any

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Tensor
from kgdists.distributions.transforms.transform import Transform, image
from kgdists.numerics import special

__all__ = ["Exp"]


class Exp(Transform):
    r""":math:`x = e^u`, to the numbers above 0.

    Examples
    --------
    >>> import kgdists as kg
    >>> price = kg.Transformed(kg.NormalDist([0.0], [0.0]), kg.distributions.transforms.Exp())
    >>> print(price.median().numpy())
    [1.]
    """

    def forward(self, u: Tensor) -> Tensor:
        return ops.exp(u)

    def inverse(self, x: Tensor) -> Tensor:
        return ops.log(ops.maximum(x, special.smallest(shapes.dtype_of(x))))

    def log_det(self, u: Tensor) -> Tensor:
        return u

    def ends(self, low: Any, high: Any, dtype: str) -> tuple[Any, Any]:
        return image(np.exp, ops.exp, low, 0.0, float("inf")), image(np.exp, ops.exp, high, 0.0, float("inf"))
