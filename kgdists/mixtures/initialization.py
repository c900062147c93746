"""Starts of fits: at samples that lie apart, at random, or at a given mixture.

A start is a tuple of arrays with a leading axis of restarts: log-weights, means, and the standard deviations [..., n]
of diagonal covariances or the Cholesky factors [..., n, n] of full ones.
"""

import math
from typing import Any, TypeAlias

import numpy as np

from kgdists.distributions import GaussianMixtureDist
from kgdists.mixtures.parameterizations import cholesky, spreads

__all__ = ["at_random", "clusters", "given"]

LLOYD_STEPS = 100
FEW_DIMS = 8  # up to which squared distances are summed exactly rather than expanded
CHUNK = 2**22  # numbers in the largest array

Start: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


def at_random(
    num_components: int,
    num_dims: int,
    restarts: int,
    rng: np.random.Generator,
    spread: float,
    stddev: float,
    covariance: str,
) -> Start:
    """Equal weights, normal means of standard deviation `spread`, round components of standard deviation `stddev`."""
    mu = spread * rng.standard_normal((restarts, num_components, num_dims))
    return np.zeros(mu.shape[:2]), mu, _spread(np.full_like(mu, stddev), covariance)


def clusters(
    x: np.ndarray,
    weights: np.ndarray,
    num_components: int,
    restarts: int,
    rng: np.random.Generator,
    covariance: str,
    floor: np.ndarray,
) -> Start:
    """The clusters of k-means from the start of k-means++ (Arthur and Vassilvitskii 2007), one start per restart.

    Each further center is the best of a few draws (greedy k-means++).
    """
    starts = [_cluster(x, weights, num_components, rng, covariance, floor) for _ in range(restarts)]
    logits, mu, spread = (np.stack(parts) for parts in zip(*starts, strict=True))
    return logits, mu, spread


def given(
    dist: Any,
    num_components: int,
    num_dims: int,
    restarts: int,
    center: np.ndarray,
    scale: np.ndarray,
    covariance: str,
) -> Start:
    """The values of a mixture, whose batch shape is () or [restarts]."""
    if not isinstance(dist, GaussianMixtureDist):
        raise ValueError(f'`initial` must be "kmeans++", "random" or a GaussianMixtureDist. Received: {dist!r}')
    want = (num_components, num_dims)
    if (*dist.logits.shape[-1:], *dist.event_shape) != want or dist.batch_shape not in ((), (restarts,)):
        raise ValueError(
            f"`initial` must have {num_components} components over {num_dims} dimensions, and no batch shape or that "
            f"of the restarts, ({restarts},). Received: {dist.num_components} components over "
            f"{dist.event_shape[0]} dimensions, batch shape {dist.batch_shape}"
        )
    logits, mu = np.asarray(dist.logits, "float64"), np.asarray(dist.mu, "float64")
    spread = spreads(dist, "float64")
    if spread.ndim == mu.ndim:
        spread = _spread(spread / scale, covariance)
    elif covariance == "full":
        spread = spread / scale[:, None]
    else:
        spread = np.linalg.norm(spread, axis=-1) / scale
    ranks = 1, 2, 3 if covariance == "full" else 2
    values = logits, (mu - center) / scale, spread
    logits, mu, spread = (
        np.broadcast_to(x, (restarts, *x.shape[-rank:])).copy() for x, rank in zip(values, ranks, strict=True)
    )
    return logits, mu, spread


def _spread(stddevs, covariance):
    return stddevs[..., None] * np.eye(stddevs.shape[-1]) if covariance == "full" else stddevs


def _cluster(x, weights, num_components, rng, covariance, floor):
    centers, labels = _k_means(x, weights, _k_means_plus_plus(x, weights, num_components, rng))
    n = x.shape[1]
    counts = np.bincount(labels, weights, num_components)
    steps = x - centers[labels]
    scatter = np.zeros((num_components, n, n) if covariance == "full" else (num_components, n))
    for k in range(num_components):
        members = labels == k
        some, heft = steps[members], weights[members]
        scatter[k] = (some.T * heft) @ some if covariance == "full" else heft @ (some * some)
    pooled = scatter.sum(axis=0) / weights.sum()
    # As if n + 1 points of the pooled scatter had been seen in each cluster: a factor needs no fewer.
    prior = n + 1
    scatter = (scatter + prior * pooled) / (counts + prior).reshape(-1, *(1,) * (scatter.ndim - 1))
    scatter += np.diag(floor**2) if covariance == "full" else floor**2
    spread = cholesky(scatter) if covariance == "full" else np.sqrt(scatter)
    return np.log((counts + 1) / (counts + 1).sum()), centers, spread


def _k_means_plus_plus(x, weights, num_components, rng):
    def draw(chances, count):
        cumulative = np.cumsum(chances)
        places = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
        return np.minimum(places, len(x) - 1)

    centers = x[draw(weights, 1)]
    nearest = _squared_distances(x, centers)[:, 0]
    trials = 2 + int(math.log(num_components))
    while len(centers) < num_components:
        chances = weights * nearest
        # Where all samples are at centers, any will do.
        candidates = x[draw(chances if chances.sum() > 0 else weights, trials)]
        distances = np.minimum(nearest[:, None], _squared_distances(x, candidates))
        best = int(np.argmin(weights @ distances))
        centers, nearest = np.concatenate([centers, candidates[best : best + 1]]), distances[:, best]
    return centers


def _k_means(x, weights, centers):
    """Lloyd's algorithm: the centers, and the label of each row."""
    labels = _nearest(x, centers)
    for _ in range(LLOYD_STEPS):
        counts = np.bincount(labels, weights, len(centers))
        sums = np.stack([np.bincount(labels, weights * column, len(centers)) for column in x.T], axis=1)
        centers = np.where(counts[:, None] > 0, sums / np.where(counts > 0, counts, 1.0)[:, None], centers)
        before, labels = labels, _nearest(x, centers)
        if np.array_equal(before, labels):
            break
    return centers, labels


def _nearest(x, centers):
    count = max(1, CHUNK // len(centers))
    parts = [_squared_distances(x[i : i + count], centers).argmin(axis=1) for i in range(0, len(x), count)]
    return np.concatenate(parts)


def _squared_distances(x, centers):
    if x.shape[1] <= FEW_DIMS:
        distances = np.zeros((len(x), len(centers)))
        for column, coordinate in zip(x.T, centers.T, strict=True):
            distances += np.subtract.outer(column, coordinate) ** 2
        return distances
    squares = np.einsum("ij,ij->i", x, x)[:, None] + np.einsum("ij,ij->i", centers, centers)
    return np.maximum(squares - 2.0 * (x @ centers.T), 0.0)
