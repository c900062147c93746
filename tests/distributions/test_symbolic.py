"""The layer behind draws from KerasTensors; what it draws is tested with the distributions."""

import keras
import pytest

import kgdists as kg
from kgdists.distributions.symbolic import Draw


def layer_of(random_seed=None, **arguments):
    logits = keras.Input((3,))
    return keras.Model(logits, kg.CategoricalDist(logits, 0.5, "pi", random_seed).sample(**arguments)).layers[-1]


def test_the_config_is_that_of_the_call():
    config = layer_of(random_seed=4, sample_shape=(2,), hard=True).get_config()
    assert config["distribution"] == "kgdists>CategoricalDist"
    assert config["static"] == {"boltzmann_tau": 0.5, "name": "pi"}
    assert config["method"] == "sample"
    assert config["arguments"] == {"sample_shape": (2,), "hard": True}
    assert isinstance(config["seed"], int)


def test_an_int_seed_is_an_argument_of_the_call():
    config = layer_of(seed=4).get_config()
    assert config["arguments"] == {"seed": 4} and config["seed"] is None


@pytest.mark.parametrize("random_seed", [None, 3])
def test_config_round_trip(random_seed):
    config = layer_of(random_seed).get_config()
    assert Draw.from_config(config).get_config() == config


def test_an_unseeded_layer_has_no_seed_in_its_config():
    assert layer_of().get_config()["seed"] is None


def test_an_unknown_distribution_is_an_error():
    config = layer_of().get_config() | {"distribution": "mine>Unknown"}
    with pytest.raises(ValueError, match="registers Unknown by .* Received: a model with mine>Unknown"):
        Draw.from_config(config)
