"""Several transforms, one after the other."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.nested import Nested
from kgdists.core.types import Tensor
from kgdists.distributions.transforms.transform import Transform

__all__ = ["Chain"]


class Chain(Nested, Transform):
    r"""Several transforms, the first of which comes first: :math:`x = g_m(\dots g_2(g_1(u)))`.

    Parameters
    ----------
    transforms : sequence of Transform
        At least one. TensorFlow Probability's chains are written the other way round.

    Raises
    ------
    TypeError
        If one of them is no transform.
    ValueError
        If there is none.

    Examples
    --------
    >>> import kgdists as kg
    >>> t = kg.distributions.transforms
    >>> pi = kg.Transformed(kg.NormalDist([0.0], [0.0]), t.Chain([t.Sigmoid(), t.Affine(shift=-1.0, scale=2.0)]))
    >>> print(pi.median().numpy())
    [0.]
    """

    PARAM_NAMES = ("transforms",)

    transforms: tuple[Transform, ...]

    def __init__(self, transforms: Sequence[Transform]) -> None:
        transforms = tuple(transforms)
        if not transforms:
            raise ValueError("`transforms` must hold at least one transform. Received: none")
        for transform in transforms:
            if not isinstance(transform, Transform):
                raise TypeError(f"`transforms` must be transforms. Received: {type(transform).__name__}")
        self.set_fields(transforms=transforms)

    def _parts(self) -> Any:
        return self.transforms

    @classmethod
    def _of_parts(cls, parts: Any, **fields: Any) -> Self:
        return cls(parts, **fields)

    def forward(self, u: Tensor) -> Tensor:
        for transform in self.transforms:
            u = transform.forward(u)
        return u

    def inverse(self, x: Tensor) -> Tensor:
        for transform in reversed(self.transforms):
            x = transform.inverse(x)
        return x

    def log_det(self, u: Tensor) -> Tensor:
        total = 0.0
        for transform in self.transforms:
            total = transform.log_det(u) + total
            u = transform.forward(u)
        return total

    def ends(self, low: Any, high: Any, dtype: str) -> tuple[Any, Any]:
        for transform in self.transforms:
            low, high = transform.ends(low, high, dtype)
        return low, high

    @property
    def is_increasing(self) -> Any:
        result: Any = True
        for transform in self.transforms:
            other = transform.is_increasing
            are_tensors = shapes.is_tensor(other) or shapes.is_tensor(result)
            result = (ops.equal if are_tensors else np.equal)(other, result)
        return result

    @property
    def is_affine(self) -> bool:
        return all(transform.is_affine for transform in self.transforms)

    def check_vectors(self, shape: tuple[int | None, ...], dtype: str) -> None:
        for transform in self.transforms:
            transform.check_vectors(shape, dtype)
