import numpy as np
import pytest

from kgdists.layers import ClippedNormalHead, NormalHead

FEATURES = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
INF = float("inf")


def test_the_normal_is_that_of_the_normal_head_in_units_of_the_box():
    options = {"initial_stddev": 0.5, "kernel_gain": 1.0, "random_seed": 0}
    clipped = ClippedNormalHead(2, low=[-1.0, 2.0], high=[3.0, 5.0], **options)(FEATURES)
    plain = NormalHead(2, center=[1.0, 3.5], scale=[2.0, 1.5], **options)(FEATURES)
    np.testing.assert_array_equal(clipped.mu, plain.mu)
    np.testing.assert_array_equal(clipped.logvar, plain.logvar)
    assert (clipped.low, clipped.high) == ((-1.0, 2.0), (3.0, 5.0))


def test_units_of_every_kind_of_dimension():
    head = ClippedNormalHead(5, low=[-1.0, 2.0, -INF, -INF, 3.0], high=[2.0, INF, 5.0, INF, 3.0])
    assert head.center == [0.5, 3.0, 4.0, 0.0, 3.0] and head.scale == [1.5, 1.0, 1.0, 1.0, 1.0]
    assert np.isfinite(head(FEATURES).log_proba(head(FEATURES).sample())).all()


def test_bad_bounds():
    with pytest.raises(ValueError, match="`low` must be .*Received: "):
        ClippedNormalHead(3, 1.0, 0.0)
