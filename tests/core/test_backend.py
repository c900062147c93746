"""What is private to TensorFlow and Keras, and the public way beside it."""

import ast
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import kgdists as kg
from kgdists.core import backend
from tests.agents.helpers import Noise, weights

PRIVATE = ("__internal__", "_flatten_layers", "_get_variable_index", "_momentums", "_velocities", "_bound_context")


def test_private_parts_are_in_one_file():
    files = set()
    for path in Path(kg.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        files |= {path.name for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in PRIVATE}
    assert files == {"backend.py"}


def made(cls):
    settings = {"num_envs": 2, "n_steps": 16, "hidden_units": (4,), "seed": 0}
    return cls(Noise, **settings, **({"learning_starts": 8, "batch_size": 4} if cls is kg.agents.SAC else {}))


@pytest.mark.exhaustive
@pytest.mark.parametrize("cls", [kg.agents.A2C, kg.agents.SAC])
def test_acting_and_an_update_go_the_public_way_too(monkeypatch, cls):
    tf.config.run_functions_eagerly(True)  # compiled too it would take twice as long
    private = made(cls)
    private.learn(32)
    tf.config.run_functions_eagerly(False)
    monkeypatch.setattr(backend, "USES_PRIVATE_PARTS", False)
    public = made(cls)
    public.learn(32)
    np.testing.assert_allclose(weights(public), weights(private), rtol=1e-4, atol=1e-6)


def test_all_layers_of_a_model_are_found_the_public_way(monkeypatch):
    inner = keras.Sequential([keras.layers.Dense(2), keras.Sequential([keras.layers.Dense(1)])])
    inputs = keras.Input((3,))
    model = keras.Model(inputs, inner(keras.layers.Dense(4)(inputs)))

    def dense():
        return {id(layer) for layer in backend.layers_of(model) if isinstance(layer, keras.layers.Dense)}

    private = dense()
    monkeypatch.setattr(backend, "USES_PRIVATE_PARTS", False)
    assert dense() == private and len(private) == 3
