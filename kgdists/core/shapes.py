"""Shape and value rules, and the texts of their errors. An unknown dimension (`None`) agrees with every other."""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core import backend, value_checks
from kgdists.core.checks import is_count
from kgdists.core.types import Tensor, TensorLike

__all__ = [
    "as_float",
    "as_floats",
    "as_numbers",
    "as_sizes",
    "broadcasts",
    "check_each",
    "check_finite",
    "check_not_nan",
    "check_open_unit",
    "check_positive",
    "check_probability",
    "check_same",
    "check_scalar",
    "check_vector",
    "dtype_of",
    "ends_with",
    "is_symbolic",
    "is_tensor",
    "matches",
    "reshape_last",
    "sizes",
    "smallest",
]


def dtype_of(x: Tensor) -> str:
    """The name of a tensor's dtype, such as `"float32"`."""
    return keras.backend.standardize_dtype(x.dtype)


def is_symbolic(x: Any) -> bool:
    """Whether `x` is a KerasTensor, which has a shape but no values."""
    return isinstance(x, keras.KerasTensor)


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor of the backend or a KerasTensor."""
    return is_symbolic(x) or ops.is_tensor(x)


def as_float(x: TensorLike, name: str, dtype: str | None = None) -> Tensor:
    """`x` as a tensor of its own float dtype; integers and plain Python numbers become `dtype` or Keras' `floatx()`.

    A variable is read: what is made of it does not change with it.
    """
    value: Any = x if is_symbolic(x) else backend.value_of(x)
    if not hasattr(value, "dtype"):
        value = np.asarray(value)
        value = value.astype(dtype or keras.config.floatx()) if value.dtype.kind in "fiu" else value
    kind = getattr(value.dtype, "name", value.dtype)
    if "float" not in kind and "int" not in kind:
        raise ValueError(f"`{name}` must be a float tensor. Received: {name} of dtype {kind}")
    value = value if is_symbolic(value) else ops.convert_to_tensor(value)
    return value if "float" in kind else ops.cast(value, dtype or keras.config.floatx())


def as_floats(**given: TensorLike) -> dict[str, Tensor]:
    """Each as `as_float` makes it, by name."""
    return {name: as_float(x, name) for name, x in given.items()}


def as_numbers(x: Any, name: str) -> Tensor:
    """`x`, as an array if it is a plain Python value, of floats, integers or bools; a variable is read."""
    x = backend.value_of(x)
    x = x if hasattr(x, "dtype") else np.asarray(x)
    dtype = getattr(x.dtype, "name", x.dtype)
    if not any(kind in dtype for kind in ("float", "int", "bool")):
        raise ValueError(f"`{name}` must be of numbers or bools. Received: {name} of dtype {dtype}")
    return x


def as_sizes(given: Any, name: str, is_known: bool = False) -> tuple[Any, ...]:
    """A shape given as an int, as several or as a tensor of them: ints, and scalar tensors where not known yet.

    Parameters
    ----------
    given : int, iterable of int, or integer tensor of shape [] or [n]
    name : str
        Of the argument, for the error.
    is_known : bool
        Whether all must be ints.
    """
    if is_symbolic(given) or isinstance(given, (str, bytes, dict, set)):
        raise _no_shape(given, name)
    x = backend.value_of(given)
    try:
        parts = (x,) if not hasattr(x, "__iter__") or getattr(x, "shape", None) == () else _parts(x)
    except (TypeError, ValueError):  # of unknown rank
        raise _no_shape(given, name) from None
    found = []
    for part in map(backend.value_of, parts):
        if is_count(part, least=0, most=2**31 - 1):
            found.append(operator.index(part))
        elif not is_known and _is_unknown_count(part):
            found.append(ops.cast(part, "int32"))
        else:
            raise _no_shape(given, name)
    return tuple(found)


def _parts(x):
    return [x[i] for i in range(x.shape[0])] if hasattr(x, "dtype") else tuple(x)


def _is_unknown_count(x):
    return ops.is_tensor(x) and backend.concrete(x) is None and x.shape == () and "int" in dtype_of(x)


def _no_shape(given, name):
    return ValueError(f"`{name}` must be an int or a tuple of ints >= 0, below 2**31. Received: {name}={given!r}")


def sizes(x: Tensor) -> tuple[Any, ...]:
    """The shape of `x` to reshape others to: tensors where not static, -1 where a KerasTensor does not know it."""
    return tuple(-1 if n is None else n for n in ops.shape(x))


def reshape_last(x: Tensor, rank: int, last: tuple[Any, ...]) -> Tensor:
    """`x` with `last` as the shape of its last `rank` axes, also where a KerasTensor does not know several others."""
    front = sizes(x)[: len(x.shape) - rank]
    if not is_symbolic(x) or front.count(-1) < 2 or -1 in last:
        return ops.reshape(x, (*front, *last))
    # Keras' reshape would have to be told all axes but one.
    for _ in range(rank - 1):
        x = ops.concatenate(ops.unstack(x, axis=-2), axis=-1)
    return ops.take(x, np.arange(math.prod(last)).reshape(last), axis=-1)


def matches(shape: Sequence[int | None], other: Sequence[int | None]) -> bool:
    """Whether two shapes agree, axis by axis."""
    return len(shape) == len(other) and all(None in (a, b) or a == b for a, b in zip(shape, other, strict=True))


def ends_with(shape: Sequence[int | None], tail: Sequence[int | None]) -> bool:
    """Whether `shape` is `tail` after any number of leading sample axes."""
    return len(shape) >= len(tail) and matches(shape[len(shape) - len(tail) :], tail)


def broadcasts(shape: Sequence[int | None], tail: Sequence[int | None]) -> bool:
    """Whether `shape`, broadcast against `tail`, ends with `tail`."""
    return all(n in (1, None) or m is None or n == m for n, m in zip(reversed(shape), reversed(tail), strict=False))


def check_vector(**tensors: Tensor) -> None:
    """Raise unless each tensor has a last axis of known size, at least one."""
    for name, x in tensors.items():
        if len(x.shape) == 0 or not x.shape[-1]:
            raise ValueError(f"`{name}` must have shape [B..., n], n >= 1. Received: {name} of shape {tuple(x.shape)}")


def check_same(**tensors: Tensor) -> None:
    """Raise unless all tensors have one shape and one dtype: nothing is broadcast or cast silently."""
    for name, x in tensors.items():
        if not hasattr(x, "shape"):
            raise ValueError(f"`{name}` must be a tensor. Received: {name}={x!r}")
    (first, a), *rest = tensors.items()
    for name, b in rest:
        if not matches(a.shape, b.shape):
            raise ValueError(
                f"`{first}` and `{name}` must have the same shape: nothing is broadcast. "
                f"Received: {first} of shape {tuple(a.shape)}, {name} of shape {tuple(b.shape)}"
            )
        if dtype_of(a) != dtype_of(b):
            raise ValueError(
                f"`{first}` and `{name}` must have the same dtype. "
                f"Received: {first} of {dtype_of(a)}, {name} of {dtype_of(b)}"
            )


def check_scalar(**numbers: Tensor) -> None:
    """Raise unless each is one number or a tensor without axes: nothing is broadcast."""
    for name, x in numbers.items():
        if not isinstance(x, (int, float)) and getattr(x, "shape", None) != ():
            received = f"{name} of shape {tuple(x.shape)}" if hasattr(x, "shape") else f"{name}={x!r}"
            raise ValueError(
                f"`{name}` must be a number or a scalar tensor: nothing is broadcast. Received: {received}"
            )


def check_finite(**tensors: Tensor) -> None:
    """Raise if values are at hand and one of them is NaN or infinite."""
    _check_values(lambda x: backend.all_finite(x) or np.isfinite(x), "finite", tensors)


def check_not_nan(**tensors: Tensor) -> None:
    """Raise if values are at hand and one of them is NaN."""
    _check_values(lambda x: backend.all_finite(x) or ~np.isnan(x), "free of NaN", tensors)


def check_probability(**tensors: Tensor) -> None:
    """Raise if values are at hand and one of them is not from 0 to 1."""
    _check_values(lambda x: (x >= 0) & (x <= 1), "from 0 to 1", tensors)


def check_open_unit(**tensors: Tensor) -> None:
    """Raise if values are at hand and one of them is not between 0 and 1."""
    _check_values(lambda x: (x > 0) & (x < 1), "> 0 and < 1", tensors)


def check_positive(**tensors: Tensor) -> None:
    """Raise if values are at hand and one of them is NaN, infinite, not above 0, or too small for TensorFlow."""
    _check_values(lambda x: np.isfinite(x) & (x > 0), "finite and > 0", tensors)
    for name, x in tensors.items():
        least = smallest(x)
        _check_values(functools.partial(np.less_equal, least), f"at least {least:.2g}: less counts as 0", {name: x})


def smallest(x: Tensor) -> float:
    """The smallest number of a tensor that TensorFlow does not take for 0; half precision is computed in float32."""
    return float(np.finfo("float64" if dtype_of(x) == "float64" else "float32").tiny)


def check_each(rule: str, x: Tensor, good: Tensor) -> None:
    """Raise if values of a variate are at hand and one of them is neither good nor NaN.

    Parameters
    ----------
    rule : str
        What each dimension of `x` must be.
    x : tensor
    good : bool tensor, shape of `x`
    """

    def check(values, good):
        bad = ~(good | np.isnan(values))
        if bad.any():
            index = np.argwhere(bad)[0].tolist()
            raise ValueError(f"`x` must {rule}. Received: {values[tuple(index)]} at index {index} of x")

    value_checks.check_values(check, x, good)


def _check_values(is_good: Callable[[np.ndarray], Any], rule: str, tensors: dict[str, Tensor]) -> None:
    for name, x in tensors.items():
        value_checks.check_values(functools.partial(_check, is_good, rule, name), x)


def _check(is_good, rule, name, values):
    if not np.all(is_good(values)):
        index = np.argwhere(~is_good(values))[0].tolist()
        place = f" at index {index} of {name}" if index else ""
        raise ValueError(f"`{name}` must be {rule}. Received: {values[tuple(index)]}{place}")
