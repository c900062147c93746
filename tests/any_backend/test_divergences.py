"""Estimates, bounds and losses of mixtures on any backend."""

import numpy as np
import pytest

from kgdists import divergences
from tests.divergences import PAIRS, pair_of

P, Q = pair_of("1d-three-to-two", dtype="float32")
EXPECTED = PAIRS["1d-three-to-two"]["expected"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("chunk_size", [None, 300])
def test_estimates(chunk_size):
    value, error = divergences.kl_divergence(P, Q, 1000, seed=0, chunk_size=chunk_size)
    assert abs(value - EXPECTED["kl_p_q"]) <= 4 * error < 0.1


def test_bounds():
    lower, upper = divergences.entropy_bounds(P)
    assert lower < EXPECTED["entropy_p"] < upper
    lower, upper = divergences.kl_divergence_bounds(P, Q)
    assert lower < EXPECTED["kl_p_q"] < upper


@pytest.mark.parametrize("estimator", ["score", "pathwise"])
def test_losses(estimator):
    loss = divergences.reverse_kl_loss(Q, P, 2000, seed=0, estimator=estimator)
    np.testing.assert_allclose(loss, EXPECTED["kl_q_p"], atol=4 * EXPECTED["kl_q_p_std"] / np.sqrt(2000))
