"""The start of a fit, as its options ask for it."""

import numpy as np

from kgdists.mixtures import initialization
from kgdists.mixtures.coordinates import Units
from kgdists.mixtures.expectation_maximization import maximize
from kgdists.mixtures.options import Options
from kgdists.mixtures.rows import Samples

__all__ = ["SHORT_RUN", "start_of"]

CANDIDATES, SHORT_RUN = 4, 30  # starts tried for each restart, and the most iterations of a trial
COARSE_RISE = 1e-3  # in nats: a trial that only chooses a start ends where none rises by more
SMALL = 2**19  # products of two dimensions, over all samples, components and restarts, up to which starts are tried


def start_of(
    options: Options,
    samples: Samples | None,
    units: Units,
    floor: np.ndarray,
    rng: np.random.Generator,
    tolerance: float | None = None,
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Log-weights, means and spreads, with a leading axis of restarts, and the losses on the way: [done, restarts].

    Parameters
    ----------
    options : Options
    samples : None or Samples
        Needed for a start at clusters.
    units : Units
    floor : array, shape [n]
        Of the standard deviations, in these units.
    rng : numpy.random.Generator
    tolerance : None or float
        With one, the fit goes on from the trials of starts at clusters, which end where none rises by more.
    """
    num_components, restarts, covariance = options.num_components, options.restarts, options.covariance
    if samples is not None and options.by_clusters:
        few = units.standard(samples.few)
        return _at_clusters(few, samples.few_weights, num_components, restarts, rng, covariance, floor, tolerance)
    if isinstance(options.initial, str):
        spreads = options.initial_spread, options.initial_stddev
        start = initialization.at_random(num_components, len(floor), restarts, rng, *spreads, covariance)
    else:
        start = initialization.given(
            options.initial, num_components, len(floor), restarts, units.center, units.scale, covariance
        )
    return start, np.empty((0, restarts))


def _at_clusters(x, weights, num_components, restarts, rng, covariance, floor, tolerance):
    """For each restart the clusters that lead furthest in a short run (Biernacki et al. 2003), on small data.

    With a tolerance it is the end of that run, which stops where none rises by more. Also the losses of what has been
    done: array [iterations, restarts].
    """
    products = x.size * (x.shape[1] if covariance == "full" else 1)
    candidates = CANDIDATES if products * num_components * restarts <= SMALL else 1
    options = weights, num_components, candidates * restarts, rng, covariance, floor
    start, nothing = initialization.clusters(x, *options), np.empty((0, restarts))
    if candidates == 1:
        return start, nothing
    limit = COARSE_RISE if tolerance is None else tolerance
    losses, best = maximize(x, weights, start, covariance, SHORT_RUN, limit, floor, lambda *_: None)
    chosen = losses[-1].reshape(restarts, candidates).argmin(axis=1) + candidates * np.arange(restarts)
    if tolerance is None:
        return tuple(part[chosen] for part in start), nothing
    return tuple(part[chosen] for part in best), losses[:, chosen]
