"""What the tests of the families on the half line have in common."""

import numpy as np
import pytest
import tensorflow as tf

INF = float("inf")


def draws_are_quantiles(family, dtype, *params):
    """The gradients of draws are those of the quantiles that they are, at least of nearly all in float32."""
    params = [tf.constant(np.broadcast_to(x, (400, len(x))), dtype) for x in params]
    with tf.GradientTape() as tape:
        tape.watch(params)
        x = family(*params).sample(seed=1)
    got = tape.gradient(x, params)
    exact = [tf.cast(each, "float64") for each in params]
    levels = family(*exact).cdf(tf.cast(x, "float64"))
    for i, (mine, each) in enumerate(zip(got, exact, strict=True)):
        step = 1e-5 * each
        ends = [family(*exact[:i], each + sign * step, *exact[i + 1 :]).quantile(levels) for sign in (1.0, -1.0)]
        slope = (ends[0] - ends[1]) / (2.0 * step)
        size = np.abs(slope) + 1e-3 * np.abs(x) / np.abs(each)
        assert np.quantile(np.abs(np.float64(mine) - slope) / size, 0.99) < (1e-3 if dtype == "float32" else 1e-6)


def assert_refuses_negative(dist):
    """Values below 0 are an error where they are at hand, and in a graph impossible."""
    x = -tf.ones_like(dist.mean())
    with pytest.raises(ValueError, match="`x` must be >= 0, as all values of this distribution are. Received: -1.0"):
        dist.log_proba(x)
    assert tf.function(dist.log_proba)(x) == -INF
    empty = type(dist)(*(tf.zeros((0, 2)) + 1.0 for _ in dist.params))
    for method in ("log_proba", "cdf", "log_survival", "quantile", "crps"):
        assert getattr(empty, method)(tf.zeros((0, 2))).shape[0] == 0
