"""Samples of a fit: an array, a dataset, a distribution or a target."""

import collections.abc
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kgdists.core import backend
from kgdists.core.types import TensorLike
from kgdists.distributions import GaussianMixtureDist
from kgdists.divergences.sampling import as_density
from kgdists.mixtures.parameterizations import spreads

__all__ = ["draw", "source", "subset"]


def source(data: Any, weights: TensorLike | None = None) -> "_Array | _Batches | _Draws":
    """The samples of `data`: `_Array` if they are all known, otherwise `_Batches` or `_Draws`."""
    if isinstance(data, collections.abc.Mapping):
        if "samples" not in data:
            raise ValueError(f'A dict of samples must have the key "samples". Received: keys {list(data)}')
        if "weights" in data:
            if weights is not None:
                raise ValueError('Weights must be given once: as `weights` or by the key "weights".')
            weights = data["weights"]
        data = data["samples"]
    if isinstance(data, tf.data.Dataset):
        _check_no_weights(weights, 'by its batches, dicts with the keys "samples" and "weights"')
        return _Batches(data)
    if hasattr(data, "get_samples"):
        data = data.get_samples()
    if hasattr(data, "sample") and not hasattr(data, "__array__"):
        _check_no_weights(weights, "with samples")
        return _Draws(data)
    if callable(data) or hasattr(data, "log_prob"):
        raise ValueError(f"A forward fit needs samples, or a target that has `sample`. Received: {data!r}")
    return _Array(_rows(data), weights)


class _Array:
    """Rows with weights. Draws repeat rows, each as often as its weight says."""

    def __init__(self, rows: np.ndarray, weights: TensorLike | None) -> None:
        weights = np.ones(len(rows)) if weights is None else _weights(weights, rows)
        self.rows, self.weights = rows[weights > 0], weights[weights > 0]
        self.even = bool((self.weights == self.weights[0]).all())
        self.cumulative = np.cumsum(self.weights)

    def all_rows(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """All rows and their weights."""
        return self.rows, self.weights / self.weights.mean()

    def __call__(self, count: int, rng: np.random.Generator) -> np.ndarray:
        if self.even:
            return self.rows[rng.integers(len(self.rows), size=count)]
        return self.rows[_places(self.cumulative, count, rng)]


class _Batches:
    """The batches of a `tf.data.Dataset`, over and over again."""

    def __init__(self, dataset: tf.data.Dataset) -> None:
        self.dataset, self.batches = dataset, None

    def all_rows(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The rows of one pass and their weights, the first `count` at most."""
        parts, weights = self._take(self.dataset.as_numpy_iterator(), count)
        whole = _Array(parts, weights)
        return whole.all_rows(count, rng)

    def __call__(self, count: int, rng: np.random.Generator) -> np.ndarray:
        if self.batches is None:
            self.batches = self.dataset.repeat().as_numpy_iterator()
        rows, weights = self._take(self.batches, count)
        return rows if (weights == weights[0]).all() else _Array(rows, weights)(count, rng)

    @staticmethod
    def _take(batches, count):
        parts, heft, missing = [], [], count
        while missing > 0:
            part = next(batches, None)
            if part is None:
                break
            weights = None
            if isinstance(part, dict):
                if "samples" not in part:
                    raise ValueError(f'Batches must have the key "samples". Received: keys {list(part)}')
                part, weights = part["samples"], part.get("weights")
            part = _rows(part)
            weights = np.ones(len(part)) if weights is None else _weights(weights, part, zeros=True)
            parts.append(part[:missing])
            heft.append(weights[:missing])
            missing -= len(parts[-1])
        if not parts:
            raise ValueError("A dataset must not be empty.")
        rows, weights = np.concatenate(parts), np.concatenate(heft)
        if not weights.any():
            raise ValueError(f"`weights` must not all be 0. Received: {len(weights)} of them")
        return rows, weights


class _Draws:
    """Independent draws of a distribution or a target."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def all_rows(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """As many draws, of equal weights."""
        return self(count, rng), np.ones(count)

    def __call__(self, count: int, rng: np.random.Generator) -> np.ndarray:
        if isinstance(self.target, GaussianMixtureDist):
            return draw(self.target, count, rng)
        return _rows(self.target.sample(count, seed=int(rng.integers(2**31))))


def subset(
    rows: np.ndarray, weights: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and weights, or if there are more than `count` rows as many draws of them, of equal weights."""
    if len(rows) <= count:
        return rows, weights
    return _Array(rows, weights)(count, rng), np.ones(count)


def draw(dist: Any, count: int, rng: np.random.Generator) -> np.ndarray:
    """Independent draws of an unbatched mixture, shape [count, n], of full precision."""
    dist = as_density(dist)
    if dist.batch_shape != ():
        raise ValueError(f"A target must not have a batch shape. Received: batch shape {dist.batch_shape}")
    # By NumPy rather than by `sample`, which takes a seed: the draws of a fit are those of its one generator.
    cumulative = np.cumsum(np.exp(np.float64(dist.log_weights)))
    chosen = np.searchsorted(cumulative / cumulative[-1], rng.random(count), side="right")
    x = rng.standard_normal((count, dist.event_shape[0]), dtype=keras.backend.standardize_dtype(dist.dtype))
    # The rows of one component after those of another, at the places where the labels are.
    order, ends = np.argsort(chosen, kind="stable"), np.cumsum(np.bincount(chosen, minlength=dist.num_components))
    mu, spread = np.array(dist.mu), spreads(dist, x.dtype)
    for k, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        x[start:end] = x[start:end] * spread[k] if spread.ndim == mu.ndim else x[start:end] @ spread[k].T
        x[start:end] += mu[k]
    samples = np.empty_like(x)
    samples[order] = x
    return samples


def _places(cumulative, count, rng):
    places = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
    return np.minimum(places, len(cumulative) - 1)


def _check_no_weights(weights, how):
    if weights is not None:
        raise ValueError(f"`weights` must be given {how}. Received: `weights` beside them")


def _weights(weights, rows, zeros=False):
    weights = backend.unmasked(weights)
    try:
        weights = np.asarray(weights)
        weights = weights.astype("float64", casting="unsafe" if weights.dtype.kind != "c" else "safe")
    except (TypeError, ValueError) as error:
        raise ValueError(f"`weights` must be numbers. Received: {type(weights).__name__}") from error
    if weights.shape != (len(rows),):
        raise ValueError(
            f"`weights` must have one number for each sample, shape ({len(rows)},). Received: shape {weights.shape}"
        )
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        index = int(np.argmax(bad))
        raise ValueError(f"`weights` must be finite and >= 0. Received: {weights[index]} at index {index}")
    if not (zeros or weights.any()):
        raise ValueError(f"`weights` must not all be 0. Received: {len(weights)} of them")
    return weights / (weights.max() if not zeros else 1.0)


def _rows(samples):
    samples = backend.unmasked(samples)
    try:
        x = np.asarray(samples)
    except ValueError as error:
        raise ValueError(
            f"Samples must be rows of one length, shape [N, n]. Received: {type(samples).__name__}"
        ) from error
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"Samples must have shape [N, n], N and n >= 1. Received: shape {x.shape}")
    if x.dtype == object:  # a table whose columns differ in dtype, or rows of Python numbers
        try:
            x = x.astype("float64")
        except (TypeError, ValueError) as error:
            raise ValueError(f"Samples must be numbers. Received: dtype {x.dtype}") from error
    if x.dtype.kind in "iub":
        whole = x.astype("float64")
        # Numbers that float32 would round, such as times in seconds since 1970, stay apart in float64.
        small = keras.config.floatx() == "float64" or np.abs(whole).max() <= 2**24
        x = whole.astype(keras.config.floatx() if small else "float64")
    if x.dtype.kind == "f" and x.dtype.itemsize != 8:
        x = x.astype("float32" if x.dtype.itemsize < 8 else "float64")
    elif x.dtype.name == "bfloat16":
        x = x.astype("float32")
    if x.dtype not in (np.float32, np.float64):
        raise ValueError(f"Samples must be numbers. Received: dtype {x.dtype}")
    if not np.isfinite(x).all():
        index = np.argwhere(~np.isfinite(x))[0].tolist()
        raise ValueError(f"Samples must be finite. Received: {x[tuple(index)]} at index {index}")
    return x
