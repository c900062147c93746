"""Shared by the distributions of choices: Gumbel-softmax draws, labels and their checks."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from kgdists.core import backend, shapes, value_checks
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.numerics import special
from kgdists.random import gumbel, uniform

__all__ = [
    "argmax",
    "as_labels",
    "as_mask",
    "centered",
    "check_logits",
    "check_one_hot",
    "draw",
    "given",
    "gumbel_scores",
    "gumbel_softmax",
    "logits_of",
    "logs_of",
    "shifted",
    "take",
]

INF = float("inf")
UNITS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}


def given(logits: TensorLike | None, probs: TensorLike | None) -> tuple[str, Tensor]:
    """The name and the value, of shape [B..., n], of the one of the two that is given."""
    if (probs is None) == (logits is None):
        received = "neither" if probs is None else "both"
        raise ValueError(f"Exactly one of `probs` and `logits` must be given. Received: {received}")
    name, x = ("logits", logits) if probs is None else ("probs", probs)
    weights = shapes.as_float(x, name)  # type: ignore[arg-type]
    shapes.check_vector(**{name: weights})
    return name, weights


def logs_of(probs: Tensor, validate: bool = True) -> Tensor:
    """Logarithms of `probs`, shape [B..., n], which need not sum to one: `-inf`, without a gradient, of 0."""
    values = backend.concrete(probs)
    if validate and values is not None:
        bad = ~((values >= 0) & (values < INF))
        if bad.any():
            index = np.argwhere(bad)[0].tolist()
            raise ValueError(
                f"`probs` must be finite and >= 0. Received: {values[tuple(index)]} at index {index} of probs"
            )
        if not (values > 0).any(axis=-1).all():
            row = np.argwhere(~(values > 0).any(axis=-1))[0].tolist()
            raise ValueError(f"`probs` must allow a choice in every row. Received: none allowed in row {row}")
    # Guarded before the logarithm, for a finite gradient.
    return ops.where(ops.equal(probs, 0), -INF, ops.log(ops.where(ops.equal(probs, 0), 1.0, probs)))


def logits_of(probs: Tensor, nvec: Sequence[int] | None = None) -> Tensor:
    """Logarithms of probabilities, shape [B..., n], which sum to one in each row, or in each part of `nvec` entries.

    In a graph those of a sum that is not one become NaN.
    """
    ends = [probs.shape[-1]] if nvec is None else list(itertools.accumulate(nvec))
    parts = ops.split(probs, ends[:-1], axis=-1) if ends[1:] else [probs]
    logits = [_logits_of_choice(part) for part in parts]
    return ops.concatenate(logits, axis=-1) if ends[1:] else logits[0]


def _logits_of_choice(probs):
    dtype = shapes.dtype_of(probs)
    slack = 1e-6 + probs.shape[-1] * UNITS[dtype]
    values = backend.concrete(probs)
    if values is None:
        total = ops.sum(ops.cast(probs, "float64" if dtype == "float64" else "float32"), axis=-1, keepdims=True)
        return ops.where(ops.abs(total - 1.0) <= slack, logs_of(probs, validate=False), float("nan"))
    values = values.astype("float64")
    shapes.check_probability(probs=values)
    off = ~(np.abs(values.sum(axis=-1) - 1.0) <= slack)
    if off.any():
        row = np.argwhere(off)[0].tolist()
        received = f"{values[off].sum(axis=-1)[0]:.9g}" + (f" in row {row}" if row else "")
        raise ValueError(f"`probs` must sum to 1 for each choice: divide them by their sum. Received: {received}")
    return logs_of(probs, validate=False)


def centered(logits: Tensor) -> Tensor:
    """`logits - max`: a softmax, and so a gradient, does not see the difference."""
    return logits - ops.stop_gradient(special.max_last(logits))


def shifted(logits: Tensor) -> tuple[Tensor, Tensor]:
    """`y = logits - max`, and the sum of `exp(y)`. Written out, as fewer and cheaper passes than `ops.log_softmax`."""
    y = centered(logits)
    return y, ops.sum(ops.exp(y), axis=-1, keepdims=True)


def gumbel_scores(log_probs: Tensor, shape: Sequence[Integer], seed: Seed) -> Tensor:
    """`log_probs + g`, g Gumbel noise of `shape`: their argmax is distributed by the probabilities.

    A constant may be missing in `log_probs`: neither the argmax nor a softmax knows of it.
    """
    return log_probs + ops.cast(gumbel(shape, seed), shapes.dtype_of(log_probs))


def gumbel_softmax(scores: Tensor, hard: bool = False) -> Tensor:
    """Draws of their scores; if `hard` exactly one-hot, with the gradient of the soft ones (straight-through)."""
    y, total = shifted(scores)
    soft = ops.exp(y) / total
    if not hard:
        return soft
    one_hot = ops.one_hot(ops.argmax(scores, axis=-1), soft.shape[-1], dtype=shapes.dtype_of(soft))
    # In this order the forward value is one-hot to the last bit.
    return one_hot + (soft - ops.stop_gradient(soft))


def draw(logits: Tensor, seed: Seed) -> Tensor:
    """Labels of shape [B...] drawn by the distribution function, inverted at a uniform number; -1 as for `argmax`.

    In two stages, of about sqrt(n) each: the block of the label, then the label in its block. Gumbel noise would take
    n uniform numbers in place of two.
    """
    *batch, n = shapes.sizes(logits)
    width = min((d for d in range(1, n + 1) if n % d == 0), key=lambda d: d + n // d)
    p = ops.exp(logits - special.max_last(logits))
    blocks = ops.reshape(p, (*batch, n // width, width))
    totals = ops.cumsum(ops.sum(blocks, axis=-1), axis=-1)
    u = ops.cast(uniform((2, *batch, 1), seed), shapes.dtype_of(logits))
    block = label = _first_above(u[0], totals)
    if width > 1:
        inside = ops.cumsum(backend.gather(blocks, block), axis=-1)
        label = block * width + _first_above(u[1], inside)
    return ops.where(totals[..., -1] > 0, label, -1)


def _first_above(u, cumulative):
    # What has probability 0 does not raise the sum, and u < 1: so it is never drawn, nor is nothing.
    return ops.argmax(cumulative > u * cumulative[..., -1:], axis=-1)


def argmax(scores: Tensor) -> Tensor:
    """Labels of the largest scores, the first of equals; -1 for a row that is NaN or allows nothing."""
    # XLA's maximum overlooks NaN.
    highest = special.max_last(scores)
    is_proper = ops.isfinite(highest[..., 0]) & ~ops.isnan(ops.sum(scores, axis=-1))
    # Among integers: Keras' argmax of floats tells zeros apart by their signs, by an operation that few exports know.
    return ops.where(is_proper, ops.argmax(ops.cast(ops.equal(scores, highest), "int32"), axis=-1), -1)


def take(x: Tensor, labels: Tensor) -> Tensor:
    """The entries of `x`, shape [B..., n], at the labels, which may have sample axes in front."""
    if len(labels.shape) >= len(x.shape):
        x = x + ops.zeros_like(ops.expand_dims(labels, -1), shapes.dtype_of(x))
    return _take(x, labels)


@backend.with_gradient
def _take(x, labels):
    def gradient(upstream):  # a product: faster than a gather's scatter
        return ops.expand_dims(upstream, -1) * ops.one_hot(labels, x.shape[-1], dtype=shapes.dtype_of(x)), None

    return backend.gather(x, labels), gradient


def as_labels(x: Tensor, batch: tuple[int | None, ...], n: int) -> tuple[Tensor, Tensor]:
    """Integers `x` of shape [..., B...] or [..., B..., 1] as labels of shape [..., B...], and whether each is in range.

    Labels that are not become 0; where values are at hand they are an error.
    """
    dtype = shapes.dtype_of(x)
    if shapes.matches(x.shape, (*batch, 1)) or (
        shapes.ends_with(x.shape, (*batch, 1)) and not shapes.ends_with(x.shape, batch)
    ):
        x = ops.squeeze(x, axis=-1)
    elif not shapes.ends_with(x.shape, batch):
        raise ValueError(
            f"`x` of integer labels must have shape {batch} or {(*batch, 1)} behind any sample axes; one-hot "
            f"vectors must be floats. Received: x of shape {tuple(x.shape)} and dtype {dtype}"
        )

    def check(values):
        outside = (values < 0) | (values >= n)
        if outside.any():
            raise ValueError(f"`x` of labels must lie in 0 ... {n - 1}. Received: label {values[outside].flat[0]}")

    value_checks.check_values(check, x)
    x = x if dtype in ("int64", "uint32", "uint64") else ops.cast(x, "int32")  # a uint8 cannot be compared with 256
    inside = (x >= 0) & (x < n)
    return ops.cast(ops.where(inside, x, 0), "int32"), inside


def check_logits(logits: Tensor) -> None:
    """Raise if values are at hand and one is NaN or `+inf`, or a row allows nothing."""
    values = backend.concrete(logits)
    if values is None or backend.all_finite(values):
        return
    if np.isnan(values).any() or (values == INF).any():
        index = np.argwhere(np.isnan(values) | (values == INF))[0].tolist()
        raise ValueError(
            f"`logits` must be finite or -inf. Received: {values[tuple(index)]} at index {index} of logits"
        )
    nothing = (values == -INF).all(axis=-1)
    if nothing.any():
        row = np.argwhere(nothing)[0].tolist()
        raise ValueError(f"`logits` and `mask` must allow a choice in every row. Received: none allowed in row {row}")


def as_mask(mask: Any, logits: Tensor) -> Tensor:
    """`mask` as a bool tensor of the shape of `logits`; raises unless it is one, or of integers 0 and 1."""
    mask = shapes.as_numbers(mask, "mask")
    if "int" not in shapes.dtype_of(mask) and shapes.dtype_of(mask) != "bool":
        raise ValueError(f"`mask` must be of bools, or of integers 0 and 1. Received: dtype {shapes.dtype_of(mask)}")
    if not shapes.matches(mask.shape, logits.shape):
        raise ValueError(
            "`mask` must have the shape of `logits`: nothing is broadcast. "
            f"Received: mask of shape {tuple(mask.shape)}, logits of shape {tuple(logits.shape)}"
        )
    values = backend.concrete(mask)
    if values is not None and not np.isin(values, (0, 1)).all():
        raise ValueError(f"`mask` must be of bools, or of integers 0 and 1. Received: values {np.unique(values)}")
    return ops.cast(mask, "bool")


def check_one_hot(x: Tensor) -> None:
    """Raise if values are at hand and are NaN, negative or do not sum to one."""
    shapes.check_not_nan(x=x)

    def check(values):
        # A hundredth is what n half-precision entries may be off.
        if (values < 0).any() or (abs(values.astype("float64").sum(axis=-1) - 1) > 0.01).any():
            raise ValueError(
                "`x` of floats must be (near) one-hot: entries >= 0, rows that sum to one. Received: entries from "
                f"{values.min()} to {values.max()}, first row sum {values.sum(axis=-1).flat[0]}"
            )

    value_checks.check_values(check, x)
