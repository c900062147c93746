"""The arguments of searchers: what is checked, and what is made of them."""

import math
import numbers
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from kgdists.core import backend
from kgdists.core.checks import choice
from kgdists.core.types import Tensor, TensorLike
from kgdists.evolution.bounded_space import Bounds, spacing
from kgdists.evolution.ranking import METHODS

__all__ = ["Sense", "as_bounds", "as_dtype", "check_limits", "check_number", "check_options", "first_center_and_stdev"]

Sense: TypeAlias = Literal["max", "min"]
SENSES = ("max", "min")
SPACINGS = {"reflect": 4.0, "transform": 1000.0}  # of numbers, that the first standard deviation must be wide


def check_number(name: str, x: Any, low: float, high: float, closed: bool = False) -> None:
    """Raise unless `x` is a number with `low < x < high`; if `closed`, `high` too."""
    if not _is_number(x) or not (low < x < high or (closed and x == high)):
        rule = "a finite number > 0" if high == math.inf else f"a number > {low} and {'<=' if closed else '<'} {high}"
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={x!r}")


def check_options(
    objective_sense: str, ranking_method: str, map: Any, tol_stdev: Any, double_popsize: Any, track: Any
) -> None:
    """Raise unless these arguments of `Searcher` are what they must be, each by itself."""
    choice("objective_sense", objective_sense, SENSES)
    choice("ranking_method", ranking_method, METHODS)
    for name, flag in (("double_popsize", double_popsize), ("track", track)):
        if not isinstance(flag, (bool, np.bool_)):
            raise ValueError(f"`{name}` must be a bool. Received: {name}={flag!r}")
    if not callable(map):
        raise ValueError(f"`map` must be callable. Received: map={map!r}")
    if not _is_number(tol_stdev) or not tol_stdev >= 0.0:
        raise ValueError(f"`tol_stdev` must be a number >= 0. Received: tol_stdev={tol_stdev!r}")


def as_dtype(dtype: Any) -> str:
    """The name of a dtype, Keras' or TensorFlow's, in which a search can be."""
    dtype = dtype.name if isinstance(dtype, tf.DType) else dtype
    if dtype not in ("float32", "float64"):
        raise ValueError(f"`dtype` must be 'float32' or 'float64'. Received: dtype={dtype!r}")
    return dtype


def as_bounds(bounds: Sequence[TensorLike] | None, method: str, solution_length: int, dtype: str) -> Bounds | None:
    """The `Bounds` of a pair, low and high."""
    if bounds is None:
        return None
    try:
        low, high = bounds
    except (TypeError, ValueError) as error:
        raise ValueError(f"`bounds` must be a pair, low and high. Received: bounds={bounds!r}") from error
    return Bounds(low, high, method, solution_length, dtype)


def first_center_and_stdev(
    center: TensorLike | None,
    stdev: TensorLike | None,
    radius: TensorLike | None,
    bounds: Bounds | None,
    solution_length: int,
    dtype: str,
) -> tuple[Tensor, Tensor]:
    """The first center and standard deviations, both [B..., D], in the unbounded space.

    Parameters
    ----------
    center, stdev, radius
        `center_init`, `stdev_init` and `radius_init` of `Searcher`.
    bounds : None or Bounds
    solution_length : int
    dtype : {"float32", "float64"}
    """
    if (stdev is None) == (radius is None):
        raise ValueError(f"One of `stdev_init` and `radius_init` must be given. Received: {stdev} and {radius}")
    if center is None:
        center = np.zeros(solution_length) if bounds is None else bounds.center
    given = _numbers("center_init", center)
    if radius is None:
        width = _numbers("stdev_init", stdev)
    else:
        width = _numbers("radius_init", radius) / math.sqrt(solution_length)
    try:
        shape = np.broadcast_shapes(given.shape, width.shape, (solution_length,))
    except ValueError:
        shape = (0,)
    if shape[-1] != solution_length:
        raise ValueError(
            "`center_init` and `stdev_init` or `radius_init` must have shape [D] or [B..., D], "
            f"D = {solution_length}. Received: shapes {given.shape} and {width.shape}"
        )
    largest = float(np.finfo(dtype).max)
    if not ((np.abs(given) <= largest).all() and (width <= largest).all() and (width > 0.0).all()):
        raise ValueError(
            "`center_init` must be finite in `dtype`, and `stdev_init` or `radius_init` finite and > 0. "
            f"Received: {given} and {width}, dtype={dtype!r}"
        )
    given, width = np.broadcast_to(given, shape), np.broadcast_to(width, shape)
    place, resolution = given, spacing(given, dtype)
    if bounds is not None:
        place, slope = bounds.encode(given)
        width = width / slope
        resolution = bounds.resolution(place)
    least = SPACINGS["reflect" if bounds is None else bounds.method] * resolution
    if not (width >= least).all():
        index = np.argwhere(width < least)[0].tolist()
        raise ValueError(
            "The first standard deviation must be larger than the steps between numbers of `dtype` at "
            "`center_init`: use dtype='float64', a larger deviation, or a center nearer to 0 (where bounds "
            f"transform, nearer to their middle). Received: dtype={dtype!r}, a deviation of "
            f"{width[tuple(index)]:.3g} where numbers are {resolution[tuple(index)]:.3g} apart, at center_init="
            f"{given[tuple(index)]}"
        )
    return tf.constant(place, dtype), tf.constant(width, dtype)


def check_limits(
    stdev_min: TensorLike | None,
    stdev_max: TensorLike | None,
    stdev_max_change: TensorLike | None,
    shape: tuple[int, ...],
) -> None:
    """Raise unless the limits of standard deviations are numbers, fit searches of a shape, and leave room."""
    given = {"stdev_min": stdev_min, "stdev_max": stdev_max, "stdev_max_change": stdev_max_change}
    limits = {name: _numbers(name, limit) for name, limit in given.items() if limit is not None}
    for name, limit in limits.items():
        if limit.ndim > len(shape) or any(
            m not in (1, n) for m, n in zip(limit.shape[::-1], shape[::-1], strict=False)
        ):
            raise ValueError(
                f"`{name}` must be a number or of shape [D] or [B..., D], {shape}. Received: shape {limit.shape}"
            )
        least = np.nextafter(0.0, 1.0) if name == "stdev_max" else 0.0
        if not (limit >= least).all():
            rule = ">" if name == "stdev_max" else ">="
            raise ValueError(f"`{name}` must be {rule} 0. Received: {name}={limit}")
    if "stdev_min" in limits and "stdev_max" in limits and not (limits["stdev_min"] <= limits["stdev_max"]).all():
        raise ValueError(
            "`stdev_min` must be <= `stdev_max`, which is half the distance of bounds that reflect unless it is "
            f"given. Received: stdev_min={limits['stdev_min']}, stdev_max={limits['stdev_max']}"
        )


def _is_number(x: Any) -> bool:
    return isinstance(x, numbers.Real) and not isinstance(x, bool)


def _numbers(name: str, x: Any) -> np.ndarray:
    x = backend.unmasked(x)
    try:
        return np.asarray(x, "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be a number or an array of numbers. Received: {name}={x!r}") from error
