import numpy as np
import pytest

from kgdists.layers import CategoricalHead, RelaxedOneHotHead

FEATURES = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")


def test_starts_near_the_uniform_distribution():
    np.testing.assert_allclose(CategoricalHead(5)(FEATURES).probs, 0.2, atol=0.02)


def test_kernel_gain_0_starts_at_the_uniform_distribution():
    np.testing.assert_allclose(CategoricalHead(5, kernel_gain=0.0)(FEATURES).probs, 0.2, rtol=1e-6)


def test_kernel_gain_scales_the_logits():
    small, large = (CategoricalHead(3, kernel_gain=gain, random_seed=0)(FEATURES).logits for gain in (1.0, 10.0))
    np.testing.assert_allclose(large, 10.0 * small, rtol=1e-5)


def test_boltzmann_tau_is_that_of_the_distribution():
    head = CategoricalHead(3, boltzmann_tau=0.7)
    np.testing.assert_allclose(head(FEATURES).boltzmann_tau, np.full(7, 0.7), rtol=1e-6)
    assert head.boltzmann_tau == head.get_config()["boltzmann_tau"] == 0.7


def test_one_category_is_certain():
    np.testing.assert_array_equal(CategoricalHead(1)(FEATURES).probs, np.ones((7, 1)))


@pytest.mark.parametrize("cls", [CategoricalHead, RelaxedOneHotHead])
@pytest.mark.parametrize("num_categories", [0, -1, 2.5, "3", None, True])
def test_bad_num_categories(cls, num_categories):
    with pytest.raises(ValueError, match="`num_categories` must be an int >= 1. Received: num_categories="):
        cls(num_categories)


@pytest.mark.parametrize("boltzmann_tau", [0.0, -1.0, "cold"])
def test_bad_boltzmann_tau(boltzmann_tau):
    with pytest.raises(ValueError, match="`boltzmann_tau` must be a finite number > 0. Received: boltzmann_tau="):
        CategoricalHead(3, boltzmann_tau=boltzmann_tau)(FEATURES)
