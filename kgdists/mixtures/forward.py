"""Forward fits: of samples, by gradient descent or by expectation maximisation."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgdists.mixtures.coordinates import Units, dims_of, units_of
from kgdists.mixtures.expectation_maximization import maximize, negative_log_likelihood
from kgdists.mixtures.found import Found, best_of
from kgdists.mixtures.gradient_descent import BLOCK_SIZE, SHORT_BLOCK_SIZE, ForwardLoss, descend
from kgdists.mixtures.options import Options
from kgdists.mixtures.parameterizations import place, replace
from kgdists.mixtures.progress import FitProgress
from kgdists.mixtures.rows import MAX_SEEDING, Samples, read
from kgdists.mixtures.starts import SHORT_RUN, start_of
from kgdists.mixtures.widths import COARSE, FitWarning, floor_of

__all__ = ["by_expectation_maximization", "by_gradient"]

FEW = 1000  # rows whose likelihood costs next to nothing


def by_gradient(data: Any, options: Options, rng: np.random.Generator) -> Found:
    """The mixture of the highest likelihood that gradient descent meets."""
    samples, units, floor = _prepared(data, options, MAX_SEEDING, rng)
    start, _ = start_of(options, samples, units, floor, rng)
    few, num_samples = units.standard(samples.few), options.num_samples
    progress = FitProgress(
        options.iterations, options.verbose, lambda: "lower the learning rate, or start nearer to the target. "
    )

    def draw(count):
        return units.standard(samples.draw(count * num_samples, rng).reshape(count, num_samples, len(floor)))

    def judge(*values):
        return negative_log_likelihood(few, samples.few_weights, values, options.covariance)

    config, iterations = options.optimizer_config(), options.iterations
    block_size = SHORT_BLOCK_SIZE if len(few) <= FEW else BLOCK_SIZE
    with progress:
        losses, _, average, best = descend(
            ForwardLoss(), draw, start, options.form, config, iterations, floor, rng, progress.show, judge, block_size
        )
    if not np.isfinite(losses[-1]).any():
        warnings.warn(
            f"Gradient descent broke: its loss is not finite after {len(losses)} iterations. The best mixture before "
            'that is returned. Use `method="em"` or fewer components, lower the learning rate, or raise `min_stddev`',
            FitWarning,
            stacklevel=3,
        )
    return _found(
        [start, best, average] if len(few) < len(samples.rows) else [best], losses, samples, units, floor, options
    )


def by_expectation_maximization(data: Any, options: Options, rng: np.random.Generator) -> Found:
    """The mixture of the highest likelihood that expectation maximisation meets."""
    samples, units, floor = _prepared(data, options, options.num_samples, rng)
    goes_on = len(samples.few) == len(samples.rows) and options.iterations > SHORT_RUN
    start, before = start_of(options, samples, units, floor, rng, options.tolerance if goes_on else None)
    progress = FitProgress(
        options.iterations,
        options.verbose,
        lambda: "give a `center`, a `scale` and a `min_stddev` that suit the samples. ",
    )
    with progress:
        losses, best = maximize(
            units.standard(samples.rows),
            samples.weights,
            start,
            options.covariance,
            options.iterations - len(before),
            options.tolerance,
            floor,
            lambda done, loss: progress.show(len(before) + done, loss),
        )
    losses = np.concatenate([before, losses])
    return _found([best], losses, samples, units, floor, options)


def _prepared(data: Any, options: Options, count: int, rng: np.random.Generator) -> tuple[Samples, Units, np.ndarray]:
    samples = read(data, options.weights, count, rng)
    num_dims = dims_of(data, samples.rows, options.num_dims)
    units = units_of(samples.rows, samples.weights, options.center, options.scale, num_dims)
    return samples, units, _floor(samples, units, options)


def _floor(samples: Samples, units: Units, options: Options) -> np.ndarray:
    """Of the standard deviations, in the units of the fit."""
    if options.min_stddev is not None:
        return np.full(len(units.scale), options.min_stddev, "float64")
    floor = floor_of(samples.few, samples.few_weights, options.num_components) / units.scale
    if not options.by_gradient:
        return floor
    if options.form == "a_at":
        floor = np.maximum(floor, COARSE)
    # Gradient descent computes in float32.
    return np.maximum(floor, np.spacing(np.abs(units.standard(samples.few)).max(axis=0).astype("float32")))


def _found(
    candidates: Sequence[tuple[np.ndarray, ...]],
    losses: np.ndarray,
    samples: Samples,
    units: Units,
    floor: np.ndarray,
    options: Options,
) -> Found:
    """The best on all samples, as the dtype of the samples rounds it."""
    center, scale, covariance = units.center, units.scale, options.covariance
    dtype = samples.rows.dtype
    placed = [place(logits, mu, spread, center, scale, covariance, dtype) for logits, mu, spread in candidates]
    x = units.standard(samples.rows)
    finals = [
        negative_log_likelihood(x, samples.weights, replace(logits, mu, spread, center, scale, covariance), covariance)
        for logits, mu, spread in placed
    ]
    return best_of(candidates, placed, np.array(finals) + units.log_volume, losses + units.log_volume, floor)
