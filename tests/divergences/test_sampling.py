"""Exact draws of mixtures."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

import kgdists as kg
from kgdists import GaussianMixtureDist, divergences
from kgdists.divergences.sampling import exact_draws
from tests.divergences import pair_of

INF = float("inf")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_components_are_drawn_by_their_weights(dtype):
    """Also in a batch, and those without weight never, be they first or last."""
    logits = np.array([[0.0, 1.0, 2.0, -INF], [-INF, 0.5, -INF, -2.0]], dtype)
    mu = np.broadcast_to(np.array([[0.0], [10.0], [20.0], [30.0]], dtype), (2, 4, 1))
    p = GaussianMixtureDist(logits, mu, np.full_like(mu, -5.0))
    x = np.array(exact_draws(p, 20_000, seed=0))
    assert x.shape == (20_000, 2, 1) and x.dtype == dtype
    for row, weights in enumerate(scipy.special.softmax(logits.astype("float64"), axis=-1)):
        counts = np.bincount(np.rint(x[:, row, 0] / 10).astype(int), minlength=4)
        assert (counts[weights == 0] == 0).all()
        assert scipy.stats.chisquare(counts[weights > 0], 20_000 * weights[weights > 0]).pvalue > 1e-3


def test_moments_of_draws():
    p, _ = pair_of("2d-tutorial-to-mode")
    x = np.array(exact_draws(p, 100_000, seed=0))
    np.testing.assert_allclose(x.mean(axis=0), p.mean(), atol=0.05)
    np.testing.assert_allclose(np.cov(x.T), p.covariance(), atol=0.15)


@pytest.mark.parametrize("chunk_size", [None, 8])
def test_the_stream_of_a_distribution_is_drawn_from(chunk_size):
    def values():
        p = GaussianMixtureDist([0.0], [[0.0]], [[0.0]], random_seed=3)
        return [
            float(divergences.cross_entropy(p, kg.NormalDist([0.0], [0.0]).log_prob, 8, chunk_size=chunk_size)[0])
            for _ in range(2)
        ]

    first, again = values(), values()
    assert first == again
    assert first[0] != first[1]
