"""What the tests of the families on the real line have in common: SciPy, draws and errors."""

import numpy as np
import pytest
from scipy import stats

SETTINGS = 200
PAIRS = {
    "elementwise_log_proba": "logpdf",
    "cdf": "cdf",
    "survival": "sf",
    "log_cdf": "logcdf",
    "log_survival": "logsf",
}


def assert_like_scipy(dist, theirs, rng, moments=("mean", "variance")):
    """Every method of a distribution, float64 of shape [settings, 1], against SciPy's of the same parameters."""
    q = rng.uniform(0.001, 0.999, size=(SETTINGS, 1))
    x = dist.quantile(q).numpy()
    np.testing.assert_allclose(x, theirs.ppf(q), rtol=1e-8, atol=1e-8)
    for ours, other in PAIRS.items():
        np.testing.assert_allclose(getattr(dist, ours)(x), getattr(theirs, other)(x), rtol=1e-8, atol=1e-10)
    for ours, other in zip(moments, ("mean", "var"), strict=False):
        np.testing.assert_allclose(getattr(dist, ours)(), getattr(theirs, other)(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(dist.entropy(), theirs.entropy()[:, 0], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(dist.median(), theirs.median(), rtol=1e-9, atol=1e-9)


def assert_draws(dist, distribution_function):
    """Kolmogorov and Smirnov's test of 10^5 draws of a distribution of shape [1]."""
    x = dist.sample((100_000,), seed=1).numpy()[:, 0]
    assert stats.kstest(x, distribution_function).pvalue > 1e-3


def assert_positive_and_finite(make, *good, name="scale"):
    """`make(*parameters)` refuses a last parameter that is not finite and > 0, NaN, and shapes that differ."""
    for wrong in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=f"`{name}` must be finite and > 0. Received"):
            make(*good, [wrong])
    with pytest.raises(ValueError, match="must have the same shape: nothing is broadcast"):
        make(*good, [1.0, 1.0])
