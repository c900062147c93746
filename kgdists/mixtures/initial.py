"""Where fits start: at samples that lie apart, at random, or at a given mixture."""

import numpy as np

from kgdists.distributions import GaussianMixtureDist

__all__ = ["at_random", "clusters", "given"]

LLOYD_STEPS = 10


def at_random(num_components, num_dims, restarts, rng, spread, stddev):
    """Equal weights, normal means of standard deviation `spread`, round components of standard deviation `stddev`."""
    mu = spread * rng.standard_normal((restarts, num_components, num_dims))
    factor = stddev * np.eye(num_dims)
    return np.zeros(mu.shape[:2]), mu, np.broadcast_to(factor, (*mu.shape, num_dims)).copy()


def clusters(x, num_components, restarts, rng, covariance):
    """The clusters of k-means from the start of k-means++ (Arthur and Vassilvitskii 2007), one start per restart."""
    starts = [_cluster(x, num_components, rng, covariance) for _ in range(restarts)]
    return tuple(np.stack(parts) for parts in zip(*starts, strict=True))


def given(dist, num_components, num_dims, restarts, center, scale):
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
    logits, mu, spread = (np.float64(x) for x in dist.params.values())
    if "logvar" in dist.PARAM_NAMES:
        spread = np.exp(0.5 * spread)[..., None] * np.eye(num_dims)
    values = logits, (mu - center) / scale, spread / scale[:, None]
    return tuple(
        np.broadcast_to(x, (restarts, *x.shape[-rank:])).copy() for x, rank in zip(values, (1, 2, 3), strict=True)
    )


def _cluster(x, num_components, rng, covariance):
    centres = x[rng.integers(len(x), size=1)]
    nearest = _squared_distances(x, centres)[:, 0]
    while len(centres) < num_components:
        # Where all samples are at centres, any will do.
        proba = nearest / nearest.sum() if nearest.sum() > 0 else None
        centres = np.concatenate([centres, x[rng.choice(len(x), p=proba)][None]])
        nearest = np.minimum(nearest, _squared_distances(x, centres[-1:])[:, 0])
    for _ in range(LLOYD_STEPS):
        members = np.argmin(_squared_distances(x, centres), axis=1)[:, None] == np.arange(num_components)
        counts = members.sum(axis=0)
        means = members.T.astype(x.dtype) @ x / np.maximum(counts, 1)[:, None]
        centres = np.where(counts[:, None] > 0, means, centres)
    steps = x - centres[np.argmax(members, axis=1)]
    pooled = steps.T @ steps / len(x) + 1e-6 * np.eye(x.shape[1])
    # As if n + 1 points of the pooled scatter had been seen in each cluster: a factor needs no fewer.
    prior = x.shape[1] + 1
    scatter = np.stack([steps[chosen].T @ steps[chosen] for chosen in members.T])
    scatter = (scatter + prior * pooled) / (counts + prior)[:, None, None]
    if covariance == "diag":
        scatter *= np.eye(x.shape[1])
    return np.log((counts + 1) / (counts + 1).sum()), centres, np.linalg.cholesky(scatter)


def _squared_distances(x, centres):
    return ((x[:, None] - centres) ** 2).sum(axis=-1)
