import numpy as np
import pytest
import tensorflow as tf

from kgdists.layers import BetaHead

FEATURES = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
NOTHING = np.zeros((7, 4), "float32")


@pytest.mark.parametrize("options", [{}, {"initial_concentration": 5.0}, {"min_concentration": 0.1}], ids=str)
def test_initial_concentrations(options):
    pi = BetaHead(3, **options)(NOTHING)
    for x in (pi.alpha, pi.beta):
        np.testing.assert_allclose(x, np.full((7, 3), options.get("initial_concentration", 2.0)), rtol=1e-5)


def test_bounds_reach_the_distribution():
    pi = BetaHead(2, low=[-1.0, 0.0], high=3.0)(FEATURES)
    assert (pi.low, pi.high) == ((-1.0, 0.0), 3.0)


def test_alpha_and_beta_have_weights_of_their_own():
    pi = BetaHead(2, kernel_gain=1.0)(FEATURES)
    assert np.any(pi.alpha != pi.beta) and (np.ptp(pi.alpha, axis=0) > 0.01).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("raw, bound", [(-1e3, 1.0), (-1e1, 1.0), (1e4, 50.0)])
def test_concentrations_stay_within_their_bounds(raw, bound, policy):
    head = BetaHead(1, max_concentration=50.0, dtype=policy)
    head.build(FEATURES.shape)
    head.dense.bias.assign([raw, raw])
    np.testing.assert_allclose(tf.cast(head(NOTHING).alpha, "float32"), np.full((7, 1), bound), rtol=1e-4)


def test_gradient_does_not_vanish_near_the_bounds():
    head = BetaHead(1, max_concentration=50.0)
    head.build(FEATURES.shape)
    for raw in (-5.0, 1.0, 20.0, 50.0, 55.0):
        head.dense.bias.assign([raw, raw])
        with tf.GradientTape() as tape:
            alpha = tf.reduce_mean(head(NOTHING).alpha)
        assert tape.gradient(alpha, head.dense.bias)[0] > 1e-3


@pytest.mark.parametrize(
    "options",
    [{"min_concentration": 0.0}, {"min_concentration": 3.0}, {"max_concentration": 1.5}, {"max_concentration": np.inf}],
    ids=str,
)
def test_bad_concentrations(options):
    with pytest.raises(
        ValueError, match="0 < min_concentration < initial_concentration < max_concentration. Received:"
    ):
        BetaHead(2, **options)


@pytest.mark.parametrize("options", [{"low": -np.inf}, {"high": [1.0, np.inf]}, {"low": 2.0}], ids=str)
def test_bad_bounds(options):
    with pytest.raises(ValueError, match="`low` .*must be .*Received: "):
        BetaHead(2, **options)


@pytest.mark.parametrize("num_dims", [0, 2.5, None])
def test_bad_num_dims(num_dims):
    with pytest.raises(ValueError, match="`num_dims` must be an int >= 1. Received: num_dims="):
        BetaHead(num_dims)
