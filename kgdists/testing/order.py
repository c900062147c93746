"""Distribution functions, quantiles and ranked probability scores agree with draws and densities."""

import numpy as np
from keras import ops

from kgdists.core.types import Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.testing.requirements import ROUNDING, closed_form, estimate, require_close
from kgdists.testing.values import as_array, is_float

__all__ = ["check_order"]

LEVELS = np.array([0.05, 0.3, 0.5, 0.8, 0.95])
NUM_SCORED, NUM_SLOPES = 3, 1000


def check_order(dist: Distribution, x: Tensor) -> None:
    """Check what distributions over numbers have: `cdf` and its kin, `quantile`, `crps`; the rest has none of them."""
    if not isinstance(dist.event_shape, tuple) or tuple(x.shape[1:]) != dist.batch_shape + dist.event_shape:
        return
    draws = as_array(x).astype("float64")
    places = ops.convert_to_tensor(np.quantile(draws, LEVELS, axis=0, method="inverted_cdf"), dist.dtype)
    below = closed_form(dist.cdf, places)
    if below is not None:
        _check_tails(dist, places, below, draws)
        _check_slopes(dist, x[:NUM_SLOPES])
    _check_quantiles(dist, draws)
    _check_scores(dist, x, draws)


def _check_tails(dist, places, below, draws):
    for i, place in enumerate(as_array(places).astype("float64")):
        require_close("cdf differs from the share of draws at or below", below[i], *estimate(draws <= place))
    above = dist.survival(places)
    require_close("survival differs from 1 - cdf", above, 1.0 - as_array(below), ROUNDING)
    for name, tail in (("log_cdf", below), ("log_survival", above)):
        got = as_array(getattr(dist, name)(places))
        require_close(f"{name} differs from the logarithm", np.exp(got), tail, ROUNDING)


def _check_slopes(dist, x):
    """The density is the slope of the distribution function."""
    if not is_float(x) or not dist.REPARAMETERIZED:
        return
    log_density = closed_form(dist.elementwise_log_proba, x)
    if log_density is None:
        return
    width = 1e-3 * np.std(as_array(x), axis=0) + 1e-6
    step = ops.convert_to_tensor(np.broadcast_to(width, x.shape), dist.dtype)
    # A kink of the density, or the end of the support, is near few of the draws.
    growth = as_array(dist.cdf(x + step)) - as_array(dist.cdf(x - step))
    expected = 2.0 * width * np.exp(as_array(log_density))
    error = np.median(np.abs(growth - expected), axis=0)
    require_close("cdf does not grow by the density", error, 0.0 * error, 0.02 * np.median(expected, axis=0))


def _check_quantiles(dist, draws):
    levels = ops.convert_to_tensor(LEVELS.reshape(-1, *[1] * (draws.ndim - 1)), dist.dtype)
    places = closed_form(dist.quantile, levels)
    if places is None:
        return
    for level, place in zip(LEVELS, as_array(places).astype("float64"), strict=True):
        # A value that has some probability, as integers have, covers several levels.
        wide = ROUNDING * (1.0 + np.abs(place))
        (below, error), (reached, _) = estimate(draws < place - wide), estimate(draws <= place + wide)
        allowed = error + 5.0 / np.sqrt(len(draws)) * 0.5
        require_close("quantile is above its level", np.maximum(below - level, 0.0), 0.0 * below, allowed)
        require_close("quantile is below its level", np.maximum(level - reached, 0.0), 0.0 * below, allowed)


def _check_scores(dist, x, draws):
    for place in range(NUM_SCORED):
        score = closed_form(dist.crps, x[place])
        if score is None:
            return
        # Another draw for each: its neighbor.
        apart = np.abs(draws - np.roll(draws, 1, axis=0))
        near = np.abs(draws - draws[place]) + np.abs(np.roll(draws, 1, axis=0) - draws[place])
        terms = np.sum(0.5 * near - 0.5 * apart, axis=tuple(range(-len(dist.event_shape), 0)))
        mean, error = estimate(terms)
        require_close("crps differs from that of draws", score, mean, 2.0 * error)
