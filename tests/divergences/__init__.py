"""Mixtures for the tests of divergences."""

import numpy as np

from kgdists import GaussianMixtureDist
from tests.golden import cases

PAIRS = {case["id"].rpartition("/")[2]: case for case in cases("gmm_full", "pair")}


def mixture(weights, means, covs, batch=(), dtype="float64"):
    """A mixture of its weights, means and covariances, the same throughout a batch."""
    params = (np.log(weights), means, np.linalg.cholesky(covs))
    logits, mu, scale_tril = (np.broadcast_to(x, (*batch, *np.shape(x))).astype(dtype) for x in params)
    return GaussianMixtureDist(logits, mu, scale_tril=scale_tril)


def pair_of(name, batch=(), dtype="float64"):
    """The two mixtures of a reference case."""
    inputs = PAIRS[name]["inputs"]
    p, q = ({key[2:]: x for key, x in inputs.items() if key.startswith(which)} for which in ("p_", "q_"))
    return mixture(**p, batch=batch, dtype=dtype), mixture(**q, batch=batch, dtype=dtype)


def quadrature(function, low=-30.0, high=30.0, steps=20_001):
    """The integral of a function of points of shape [n, 1], by the trapezoid rule."""
    x = np.linspace(low, high, steps)[:, None]
    return np.sum(np.array(function(x)), axis=0) * (x[1, 0] - x[0, 0])
