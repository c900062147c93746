"""Ranked probability and energy scores against scoringrules."""

import numpy as np
import pytest
import scoringrules

import kgdists as kg

RNG = np.random.default_rng
N = 200


def magnitudes(rng, low, high):
    return 10.0 ** rng.uniform(low, high, N)


def column(*arrays):
    return [x[:, None] for x in arrays]


def test_the_score_of_a_normal():
    rng = RNG(0)
    mu, sigma = rng.normal(size=N) * 10.0, magnitudes(rng, -3, 3)
    x = mu + sigma * rng.normal(size=N) * 3.0
    pi = kg.NormalDist.from_stddev(*column(mu, sigma))
    np.testing.assert_allclose(pi.crps(x[:, None]), scoringrules.crps_normal(x, mu, sigma), rtol=1e-10)


def test_the_score_of_a_mixture_of_normals():
    rng = RNG(1)
    mu, sigma, logits = rng.normal(size=(N, 3)) * 5.0, np.exp(rng.normal(size=(N, 3))), rng.normal(size=(N, 3))
    x, weights = rng.normal(size=N) * 5.0, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    pi = kg.GaussianMixtureDist(logits, mu[..., None], 2.0 * np.log(sigma)[..., None])
    np.testing.assert_allclose(pi.crps(x[:, None]), scoringrules.crps_mixnorm(x, mu, sigma, weights), rtol=1e-10)


def test_the_score_of_a_beta():
    rng = RNG(2)
    a, b, low, high = magnitudes(rng, -1, 2), magnitudes(rng, -1, 2), -2.0, 3.0
    x = low + (high - low) * rng.uniform(size=N)
    pi = kg.BetaDist(*column(a, b), low, high)
    np.testing.assert_allclose(pi.crps(x[:, None]), scoringrules.crps_beta(x, a, b, low, high), rtol=1e-8)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (0.0, np.inf), (-np.inf, 1.0)])
def test_the_score_of_a_clipped_normal_is_that_of_a_censored_one(low, high):
    rng = RNG(3)
    mu, sigma = rng.normal(size=N), magnitudes(rng, -1, 1)
    x = np.clip(mu + sigma * rng.normal(size=N), low, high)
    pi = kg.ClippedNormalDist(mu[:, None], 2.0 * np.log(sigma)[:, None], low, high)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = scoringrules.crps_cnormal(x, mu, sigma, low, high)
    there = np.isfinite(expected)  # it divides by the probability between the bounds
    assert there.mean() > 0.9
    np.testing.assert_allclose(pi.crps(x[:, None]).numpy()[there], expected[there], rtol=1e-9, atol=1e-12)


@pytest.fixture(scope="module")
def vectors():
    rng = RNG(4)
    pi = kg.MultivariateNormalDist(rng.normal(size=(6, 3)), np.tril(rng.normal(size=(6, 3, 3)), -1) + np.eye(3))
    return pi, np.asarray(pi.sample(4_000, seed=5)), rng.normal(size=(6, 3))


def test_the_estimated_score_is_that_of_an_ensemble(vectors):
    pi, draws, x = vectors
    value, error = kg.divergences.crps(pi, x, 4_000, seed=0)
    expected = scoringrules.crps_ensemble(x, draws, m_axis=0, estimator="pwm").sum(axis=-1)
    assert np.all(np.abs(value - expected) < 6.0 * error)


def test_the_estimated_energy_score_is_that_of_an_ensemble(vectors):
    pi, draws, x = vectors
    value, error = kg.divergences.energy_score(pi, x, 4_000, seed=0)
    expected = scoringrules.es_ensemble(x, draws[:500], m_axis=0, v_axis=-1, estimator="fair")
    assert np.all(np.abs(value - expected) < 8.0 * error)


def test_the_estimated_score_of_integers_is_that_of_a_logistic_on_a_fine_grid():
    rng = RNG(6)
    mu, scale = rng.normal(size=8) * 100.0, magnitudes(rng, 2, 3)[:8]
    x = np.round(mu + scale * rng.logistic(size=8))
    pi = kg.DiscretizedLogisticDist(*column(mu, np.log(scale)), -(10**6), 10**6)
    value, error = kg.divergences.crps(pi, x[:, None], 4_000, seed=0)
    assert np.all(np.abs(value - scoringrules.crps_logistic(x, mu, scale)) < 5.0 * error)
