"""Draws belong to their seed and to the density."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.distributions.distribution import Distribution
from kgdists.random import key
from kgdists.testing.requirements import STANDARD_ERRORS, estimate, property_of, require_close
from kgdists.testing.values import as_array, behind_axes, equal, first_row, flat, gradients_of, is_float, moved, rows_of

__all__ = ["check_frequencies", "check_paths", "check_scores", "check_seeds"]


def check_seeds(many: Distribution, seed: int) -> bool:
    """Check them, and return whether draws vary at all."""
    for name in ("sample", "sample_action"):
        draw = getattr(many, name)
        if not equal(draw(seed=seed), draw(seed=seed)):
            raise AssertionError(f"seed: two calls of {name}(seed={seed}) differ")
        generators = [keras.random.SeedGenerator(seed) for _ in range(2)]
        (first, second), again = [draw(seed=generators[0]) for _ in range(2)], draw(seed=generators[1])
        if not equal(first, again):
            raise AssertionError(f"seed: {name} from two generators of one seed differs")
        varies = any(np.any(as_array(leaf) != as_array(leaf)[:1]) for leaf in flat(first))
        if varies and equal(first, second):
            raise AssertionError(f"seed: two successive calls of {name} with one generator are equal")
        if varies and equal(draw(), draw()):
            raise AssertionError(f"seed: two successive calls of {name}() are equal")
        if keras.backend.backend() == "tensorflow":
            with property_of(f"seed: {name} cannot draw from a key, as agents do; draw by `kgdists.random`"):
                keys = [key(generators[0]) for _ in range(2)]
                first, again, second = (draw(seed=x) for x in (keys[0], *keys))
            if not equal(first, again):
                raise AssertionError(f"seed: two calls of {name} with one key differ")
            if varies and equal(first, second):
                raise AssertionError(f"seed: {name} draws the same from two keys")
    return varies


def check_scores(many: Distribution, x: Any, rng: np.random.Generator, seed: int) -> Distribution:
    """The mean gradient of `log p` is 0, and q / p turns draws of p into those of q, a neighbour, which is returned."""
    log_p = as_array(many.log_proba(x))
    if not np.isfinite(log_p).all():
        raise AssertionError(f"log_proba of a draw is not finite: {log_p[~np.isfinite(log_p)][0]}")
    scores = gradients_of(lambda dist: dist.log_proba(x), many)
    leaves = [as_array(leaf[0]) for leaf in flat(many)]
    steps, slope = [], np.zeros(log_p.shape)
    for name, leaf, score in zip(many.params, leaves, scores, strict=True):
        mean, error = estimate(score)
        require_close(f"mean over draws of the gradient of log_proba in `{name}` is not 0", mean, 0.0 * mean, error)
        spread = score.std(axis=0)
        moves = np.isfinite(leaf) & (spread > 1e-6)
        step = np.where(moves, rng.normal(size=spread.shape) / np.where(moves, spread, 1.0), 0.0)
        steps.append(step)
        slope = slope + np.sum((score * step).reshape(*log_p.shape, -1), axis=-1)
    spread = slope.std(axis=0)
    # The logarithm of q / p varies by about 1; where this leaves the parameters' domain, by less.
    size = 1.0 / np.where(spread > 0, spread, 1.0)
    for _ in range(10):
        near = moved(many, [_within(step * behind_axes(size, step), x) for step, x in zip(steps, leaves, strict=True)])
        log_q = as_array(near.log_proba(x))
        if not np.isnan(log_q).any():
            break
        size = 0.5 * size
    # With s = q / (p + q), which is bounded, the means of s^2 over p and of s (1 - s) over q are the same integral.
    y = near.sample_action(seed + 1)
    share_of_x = 1.0 / (1.0 + np.exp(log_p - log_q))
    share_of_y = 1.0 / (1.0 + np.exp(as_array(many.log_proba(y)) - as_array(near.log_proba(y))))
    (left, left_error), (right, right_error) = estimate(share_of_x**2), estimate(share_of_y * (1.0 - share_of_y))
    error = np.sqrt(left_error**2 + right_error**2)
    require_close("draws of p and of a neighbour q are not weighed by q / p", left, right, error)
    return first_row(near)


def _within(step, x):
    """A step that leaves the sign of `x` as it is."""
    bound = np.where(x == 0, np.inf, 0.5 * np.abs(x))
    return np.clip(step, -bound, bound)


def check_paths(many: Distribution, rng: np.random.Generator, seed: int) -> None:
    """The gradient through the draws of a mean is that by the score function."""
    leaves = [as_array(leaf) for leaf in flat(many.sample(seed=seed))]
    units = [(leaf.mean(axis=0), leaf.std(axis=0) + 1e-6, rng.normal(size=leaf.shape[1:])) for leaf in leaves]

    def value(x):
        bounded = [
            ops.tanh((leaf - center) / scale) * weight
            for leaf, (center, scale, weight) in zip(flat(x), constants, strict=True)
        ]
        batch = len(many.batch_shape)
        return sum(ops.sum(ops.reshape(leaf, (*leaf.shape[:batch], -1)), axis=-1) for leaf in bounded)

    constants = [tuple(ops.convert_to_tensor(unit, many.dtype) for unit in triple) for triple in units]
    through = gradients_of(lambda dist: value(dist.sample(seed=seed)), many)
    x = many.sample(seed=seed)
    values = as_array(value(x))
    values = values - values.mean(axis=0)
    scores = gradients_of(lambda dist: dist.log_proba(x), many)
    for name, path, score in zip(many.params, through, scores, strict=True):
        difference, error = estimate(path - score * behind_axes(values, score))
        require_close(
            f"gradient through sample in `{name}` differs from that of the mean", difference, 0.0 * difference, error
        )


def check_frequencies(many: Distribution, x: Any) -> None:
    """Of actions made of integers."""
    if any(is_float(leaf) for leaf in flat(x)):
        return
    rows, log_p, _ = rows_of(many, x)
    for row, log_proba in zip(rows, log_p, strict=True):
        actions, first, counts = np.unique(row.astype("int64"), axis=0, return_index=True, return_counts=True)
        expected = len(row) * np.exp(log_proba[first])
        error = np.sqrt(np.maximum(expected * (1.0 - expected / len(row)), 0.0)) + 1.0
        worst = np.argmax(np.abs(counts - expected) / error)
        if not np.abs(counts - expected)[worst] <= STANDARD_ERRORS * error[worst]:
            raise AssertionError(
                f"frequency of the action {actions[worst]} differs from its probability: "
                f"{counts[worst] / len(row):.4g} and {expected[worst] / len(row):.4g}"
            )
