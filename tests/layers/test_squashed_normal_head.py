import keras
import numpy as np
import pytest

from kgdists.layers import NormalHead, SquashedNormalHead

FEATURES = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
INF = float("inf")


def test_the_normal_before_squashing_is_that_of_the_normal_head():
    options = {"state_dependent": True, "initial_stddev": 0.5, "kernel_gain": 1.0, "random_seed": 0, "scale": 2.0}
    squashed, plain = SquashedNormalHead(3, **options)(FEATURES), NormalHead(3, **options)(FEATURES)
    np.testing.assert_array_equal(squashed.mu, plain.mu)
    np.testing.assert_array_equal(squashed.logvar, plain.logvar)


def test_bounds_reach_the_distribution():
    pi = SquashedNormalHead(3, low=[0.0, -1.0, -INF], high=[1.0, INF, INF])(FEATURES)
    assert (pi.low, pi.high) == ((0.0, -1.0, -INF), (1.0, INF, INF))
    assert SquashedNormalHead(3)(FEATURES).low == -1.0


def test_the_mean_starts_in_the_middle_of_the_box():
    pi = SquashedNormalHead(2, low=[-1.0, 2.0], high=[3.0, 5.0])(np.zeros((1, 4), "float32"))
    np.testing.assert_allclose(pi.mode(), [[1.0, 3.5]], rtol=1e-6)


def test_infinite_bounds_survive_a_file(tmp_path):
    model = keras.Sequential([keras.Input((4,)), SquashedNormalHead(2, low=[0.0, -INF], high=INF)])
    twin = keras.models.clone_model(model)
    assert (twin.layers[-1].low, twin.layers[-1].high) == ((0.0, -INF), INF)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, SquashedNormalHead(2, low=[0.0, -INF], high=INF)(inputs).sample())
    model.save(tmp_path / "model.keras")
    head = keras.saving.load_model(tmp_path / "model.keras").layers[1]
    assert (head.low, head.high) == ((0.0, -INF), INF)


@pytest.mark.parametrize("low, high", [(1.0, 0.0), ([0.0, 0.0], 1.0), (float("nan"), 1.0)], ids=str)
def test_bad_bounds(low, high):
    with pytest.raises(ValueError, match="`low`.* must be .*Received: "):
        SquashedNormalHead(3, low, high)
