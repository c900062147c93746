"""Reverse fits: of a density, by gradient descent."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from kgdists.distributions.distribution import Distribution
from kgdists.mixtures.coordinates import dims_of, units_of
from kgdists.mixtures.found import Found, best_of
from kgdists.mixtures.gradient_descent import ReverseLoss, descend
from kgdists.mixtures.options import Options
from kgdists.mixtures.parameterizations import place
from kgdists.mixtures.progress import FitProgress
from kgdists.mixtures.rows import MAX_SEEDING, read
from kgdists.mixtures.starts import start_of
from kgdists.mixtures.widths import COARSE

__all__ = ["by_gradient"]

SUPPORT_DRAWS = 100  # of the start, at which a distribution must have a density
HOLE_DRAWS = 10_000  # of the start, in search of what broke a fit


def by_gradient(target: Any, options: Options, rng: np.random.Generator) -> Found:
    """The mixture, of each restart the average over the last iterations, of the lowest estimated divergence."""
    samples = read(target, None, MAX_SEEDING, rng) if options.by_clusters else None
    num_dims = dims_of(target, None if samples is None else samples.rows, options.num_dims)
    units = units_of(None, None, options.center, options.scale, num_dims)
    floor = np.full(num_dims, COARSE if options.min_stddev is None else options.min_stddev, "float64")
    start, _ = start_of(options, samples, units, floor, rng)
    covariance, config = options.covariance, options.optimizer_config()
    center, scale = tuple(units.center), tuple(units.scale)
    loss = ReverseLoss(target, id(target), options.num_samples, options.estimator, center, scale)
    _check_support(loss, start, covariance)
    progress = FitProgress(
        options.iterations,
        options.verbose,
        lambda: _hole_in(loss, start, covariance, rng) or "lower the learning rate, or start nearer to the target. ",
    )
    with progress:
        losses, finals, average, _ = descend(
            loss, None, start, options.form, config, options.iterations, floor, rng, progress.show, None
        )
    dtype = "float32" if samples is None else samples.rows.dtype
    logits, mu, spread = average
    placed = place(logits, mu, spread, units.center, units.scale, covariance, dtype)
    return best_of([average], [placed], finals[None], losses, floor)


def _draws(
    start: tuple[np.ndarray, ...], covariance: str, count: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Draws of the start of each restart, float32 arrays [count, n]."""
    logits, mu, spread = start
    shares = np.exp(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))
    for restart, share in enumerate(shares):
        chosen = rng.choice(len(share), size=count, p=share / share.sum())
        noise = rng.standard_normal((count, mu.shape[-1]))
        if covariance == "full":
            steps = np.einsum("bij,bj->bi", spread[restart, chosen], noise)
        else:
            steps = spread[restart, chosen] * noise
        yield (mu[restart, chosen] + steps).astype("float32")


def _check_support(loss, start, covariance):
    """Raise if the target is a distribution that refuses draws of the start, which it would not do in a graph."""
    if not isinstance(loss.target, Distribution):
        return
    x = next(_draws(start, covariance, SUPPORT_DRAWS, np.random.default_rng(0)))
    try:
        loss.log_prob(tf.constant(x[:, None]))
    except ValueError as error:
        raise ValueError(
            "A reverse fit needs a target that has a density everywhere: change variables (for x > 0 to log x), or fit "
            f"samples. Received: a {type(loss.target).__name__}, of which {str(error)[:1].lower()}{str(error)[1:]}"
        ) from error


def _hole_in(loss, start, covariance, rng):
    """Say where the target has no density, if draws of the start find such a place."""
    for x in _draws(start, covariance, HOLE_DRAWS, rng):
        log_density = np.array(loss.log_prob(tf.constant(x[:, None])))[:, 0]
        bad = ~np.isfinite(log_density)
        if bad.any():
            index = int(np.argmax(bad))
            where = (np.array(loss.center) + np.array(loss.scale) * x[index]).tolist()
            return (
                f"the target's log-density is {log_density[index]} at {where}, where the mixture has density. A "
                "reverse fit needs a target that is finite everywhere, so change variables (for x > 0 to log x), or "
                "fit samples. "
            )
    return None
