"""A shift and a scale."""

from typing import Any

import numpy as np
from keras import ops

from kgdists.core import backend, shapes, value_checks
from kgdists.core.types import Tensor, TensorLike
from kgdists.distributions.transforms.transform import Transform, number

__all__ = ["Affine"]


class Affine(Transform):
    r""":math:`x = \mathrm{shift} + \mathrm{scale} \cdot u`.

    Parameters
    ----------
    shift, scale : float, sequence of n floats, or float tensor of shape [B..., n]
        Numbers are static. A tensor is a parameter, which gradients reach. The scale must not be 0; a negative one
        reverses the order.

    Raises
    ------
    ValueError
        If one is none of these and, where values are at hand, not finite, or a scale is 0.

    Examples
    --------
    >>> import kgdists as kg
    >>> celsius = kg.NormalDist([20.0], [0.0])
    >>> fahrenheit = kg.Transformed(celsius, kg.distributions.transforms.Affine(shift=32.0, scale=1.8))
    >>> print(fahrenheit.mean().numpy())
    [68.]
    """

    STATIC_NAMES = ("shift", "scale")

    shift: Any
    scale: Any

    def __init__(self, shift: TensorLike = 0.0, scale: TensorLike = 1.0) -> None:
        fields = {name: _field(name, x) for name, x in (("shift", shift), ("scale", scale))}
        if not shapes.is_tensor(fields["scale"]) and np.any(np.equal(fields["scale"], 0.0)):
            raise ValueError(f"`scale` must not be 0. Received: scale={scale}")
        if shapes.is_tensor(fields["scale"]):
            value_checks.check_values(_check_scale, fields["scale"])
        self.set_fields(**fields)

    def forward(self, u: Tensor) -> Tensor:
        return u * self._of("scale", u) + self._of("shift", u)

    def inverse(self, x: Tensor) -> Tensor:
        return (x - self._of("shift", x)) / self._of("scale", x)

    def log_det(self, u: Tensor) -> Tensor:
        if shapes.is_tensor(self.scale):
            return ops.zeros_like(u) + ops.log(ops.abs(self.scale))
        return ops.zeros_like(u) + number(np.log(np.abs(self.scale)), shapes.dtype_of(u))

    def ends(self, low: Any, high: Any, dtype: str) -> tuple[Any, Any]:
        if not shapes.is_tensor(low) and np.all(np.isneginf(low)) and np.all(np.isposinf(high)):
            return low, high
        if shapes.is_tensor(self.shift) or shapes.is_tensor(self.scale):
            images = [_number(self.scale, dtype) * x + _number(self.shift, dtype) for x in (low, high)]
            return ops.minimum(*images), ops.maximum(*images)
        shift, scale = (np.asarray(x, dtype) for x in (self.shift, self.scale))
        images = [scale * np.asarray(x, dtype) + shift for x in (low, high)]
        return number(np.minimum(*images), dtype), number(np.maximum(*images), dtype)

    @property
    def is_increasing(self) -> Any:
        return self.scale > 0 if shapes.is_tensor(self.scale) else np.greater(self.scale, 0.0)

    @property
    def is_affine(self) -> bool:
        return True

    def check_vectors(self, shape: tuple[int | None, ...], dtype: str) -> None:
        for name in ("shift", "scale"):
            x = self.__dict__[name]
            good = shapes.matches(x.shape, shape) if shapes.is_tensor(x) else np.shape(x) in ((), shape[-1:])
            if not good:
                raise ValueError(
                    f"`{name}` must be a number, {shape[-1]} numbers, or a tensor of shape {shape}: nothing is "
                    f"broadcast. Received: {name} of shape {tuple(np.shape(x))}"
                )
            if shapes.is_tensor(x) and shapes.dtype_of(x) != dtype:
                raise ValueError(
                    f"`{name}` must have the dtype of `dist`, {dtype}. Received: {name} of {shapes.dtype_of(x)}"
                )

    def _of(self, name, like):
        return _number(self.__dict__[name], shapes.dtype_of(like))


def _number(x, dtype):
    return x if shapes.is_tensor(x) else number(x, dtype)


def _field(name, x):
    """A tensor as it is, numbers as a float or as a tuple of floats."""
    x = x if shapes.is_symbolic(x) else backend.value_of(x)
    if not ops.is_tensor(x) and not shapes.is_symbolic(x) and np.ndim(x) <= 1:
        values = np.asarray(x)
        if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
            raise ValueError(f"`{name}` must be finite numbers or a float tensor. Received: {name}={x!r}")
        return float(values) if values.ndim == 0 else tuple(values.astype("float64").tolist())
    x = shapes.as_float(x, name)
    shapes.check_vector(**{name: x})
    shapes.check_finite(**{name: x})
    return x


def _check_scale(values):
    if (values == 0).any():
        raise ValueError("`scale` must not be 0. Received: a scale of 0")
