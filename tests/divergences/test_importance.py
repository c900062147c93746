"""Normalisers and their bounds, where they are known; effective sample sizes."""

import numpy as np
import pytest

import kgdists as kg
from kgdists import divergences

INF = float("inf")
LOG_Z = 3.0
Q, P = kg.NormalDist([0.0, 0.0], [0.4, 0.4]), kg.NormalDist([0.5, -0.2], [0.0, 0.3])


class Unnormalised:
    """A target that lacks its normaliser."""

    def sample(self, n, seed=None):
        return P.sample(n, seed)

    def log_prob(self, x):
        return P.log_prob(x) + LOG_Z


def test_bounds_are_off_by_the_divergences():
    value, error = divergences.elbo(Q, Unnormalised(), 4000, seed=0)
    assert abs(value - (LOG_Z - Q.kl_divergence(P))) <= 3 * error < 0.1
    value, error = divergences.eubo(Q, Unnormalised(), 4000, seed=0)
    assert abs(value - (LOG_Z + P.kl_divergence(Q))) <= 3 * error < 0.1


@pytest.mark.parametrize("chunk_size", [None, 900])
@pytest.mark.parametrize("drawn_from", ["q", "p"])
def test_normalisers_by_importance(drawn_from, chunk_size):
    value, error = divergences.log_normalizer(
        Q, Unnormalised(), 4000, seed=0, drawn_from=drawn_from, chunk_size=chunk_size
    )
    assert abs(value - LOG_Z) <= 3 * error < 0.1


@pytest.mark.exhaustive
def test_normalisers_in_compiled_loops():
    value, error = divergences.log_normalizer(Q, P, 4000, seed=0, chunk_size=900)
    assert abs(value) <= 3 * error < 0.1


def test_normalisers_of_any_size():
    for log_z in (-1e4, 1e4):
        value, _ = divergences.log_normalizer(Q, lambda x, log_z=log_z: P.log_prob(x) + log_z, 1000, seed=0)
        np.testing.assert_allclose(value, log_z, atol=0.1)


def test_a_single_draw_has_no_standard_error():
    assert np.isnan(divergences.log_normalizer(Q, P, 1)[1])


@pytest.mark.parametrize(
    "weights, size",
    [([1, 1, 1, 1], 4), ([1, 0, 0], 1), ([2, 2, 0], 2), ([1, 2, 3], 36 / 14), ([5], 1), ([0, 0], 0)],
)
@pytest.mark.parametrize("offset", [0.0, -1e4, 1e4])
def test_effective_sample_size(weights, size, offset):
    with np.errstate(divide="ignore"):
        log_weights = np.log(np.array(weights, "float64")) + offset
    np.testing.assert_allclose(divergences.effective_sample_size(log_weights), size, rtol=1e-9)


def test_effective_sample_sizes_of_a_batch():
    sizes = divergences.effective_sample_size(np.array([[0.0, 0.0], [0.0, -INF]]))
    np.testing.assert_array_equal(sizes, [2.0, 1.0])


def test_errors():
    with pytest.raises(ValueError, match='`drawn_from` must be "q" or "p". Received: drawn_from=\'r\''):
        divergences.log_normalizer(Q, P, 10, drawn_from="r")
    with pytest.raises(ValueError, match=r"`log_weights` must have shape \[n, B...\]"):
        divergences.effective_sample_size(0.0)
