"""Where the samples of a fit come from: an array, a dataset, a distribution or a target."""

import keras
import numpy as np
import tensorflow as tf

from kgdists.distributions import GaussianMixtureDist

__all__ = ["draw", "drawer"]


def drawer(data):
    """A function `(count, rng) -> samples [count, n]` that draws from `data`; an array's rows repeat.

    For an array its attribute `rows` is the array, checked.
    """
    if isinstance(data, tf.data.Dataset):
        return _of_batches(data)
    if hasattr(data, "get_samples"):
        data = data.get_samples()
    if isinstance(data, GaussianMixtureDist):
        return lambda count, rng: draw(data, count, rng)
    if hasattr(data, "sample"):
        return lambda count, rng: _rows(data.sample(count, seed=int(rng.integers(2**31))))
    if callable(data) or hasattr(data, "log_prob"):
        raise ValueError(f"A forward fit needs samples, or a target that has `sample`. Received: {data!r}")
    rows = _rows(data)

    def choose(count, rng):
        return rows[rng.integers(len(rows), size=count)]

    choose.rows = rows
    return choose


def draw(dist, count, rng):
    """Independent draws of an unbatched mixture, shape [count, n]."""
    if dist.batch_shape != ():
        raise ValueError(f"A target must not have a batch shape. Received: batch shape {dist.batch_shape}")
    cumulative = np.cumsum(np.exp(np.float64(dist.log_weights)))
    chosen = np.searchsorted(cumulative / cumulative[-1], rng.random(count), side="right").astype("int16")
    x = rng.standard_normal((count, dist.event_shape[0]), dtype=keras.backend.standardize_dtype(dist.dtype))
    # The rows of one component after those of another, at the places where the labels are.
    order, ends = np.argsort(chosen, kind="stable"), np.cumsum(np.bincount(chosen, minlength=dist.num_components))
    mu, spread = np.array(dist.mu), np.array(dist.params[dist.PARAM_NAMES[-1]])
    for k, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        if "logvar" in dist.PARAM_NAMES:
            x[start:end] *= np.exp(0.5 * spread[k])
        else:
            x[start:end] = x[start:end] @ spread[k].T
        x[start:end] += mu[k]
    samples = np.empty_like(x)
    samples[order] = x
    return samples


def _of_batches(dataset):
    batches = None

    def choose(count, rng):
        nonlocal batches
        parts, missing = [], count
        if batches is None:
            batches = dataset.repeat().as_numpy_iterator()
        while missing > 0:
            part = next(batches, None)
            if part is None:
                raise ValueError("A dataset must not be empty.")
            part = part["samples"] if isinstance(part, dict) else part
            parts.append(_rows(part)[:missing])
            missing -= len(parts[-1])
        return np.concatenate(parts)

    return choose


def _rows(samples):
    x = np.asarray(samples)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"Samples must have shape [N, n], N and n >= 1. Received: shape {x.shape}")
    if x.dtype.kind in "iu" or x.dtype == np.float16:
        x = x.astype(keras.config.floatx())
    if x.dtype not in (np.float32, np.float64):
        raise ValueError(f"Samples must be numbers. Received: dtype {x.dtype}")
    if not np.isfinite(x).all():
        index = np.argwhere(~np.isfinite(x))[0].tolist()
        raise ValueError(f"Samples must be finite. Received: {x[tuple(index)]} at index {index}")
    return x
