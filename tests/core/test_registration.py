"""Saved models are read wherever kgdists is imported, and what starts without Keras does."""

import importlib
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kgdists as kg
from kgdists.core.registration import WITHOUT_KERAS
from kgdists.encoders import EncodedNetwork, ImageEncoder
from tests.marks import quick
from tests.processes import run_python

IMPORTS = {
    "kgdists first": "import kgdists, keras",
    "Keras first": "import keras, kgdists",
    "one class": "from kgdists.distributions import NormalDist; import keras",
    "one module": "import kgdists.core.shapes, keras",
    "TensorFlow": "import kgdists, tensorflow as tf; keras = tf.keras",
    "agents": "from kgdists.agents import PPO; import keras",
}


@pytest.mark.parametrize("imports", quick(["kgdists first"], IMPORTS))
def test_a_saved_policy_is_read(imports, tmp_path):
    images = np.zeros((1, 10, 10, 3), "uint8")
    policy = kg.Policy(EncodedNetwork(ImageEncoder(), [keras.layers.Dense(2)], images), kg.layers.CategoricalHead(3))
    policy(images)
    policy.save(tmp_path / "policy.keras")
    code = f"{imports}; import sys; print(keras.models.load_model(sys.argv[1]).head.name)"
    assert run_python(code, tmp_path / "policy.keras").strip()


def test_these_modules_do_without_keras():
    code = """
        import importlib
        import sys

        for name in sys.argv[1:]:
            importlib.import_module(name)
            assert not {"keras", "tensorflow", "gymnasium"} & set(sys.modules), name
    """
    run_python(code, *sorted(WITHOUT_KERAS - {"kgdists.core.preload"}))


def test_they_all_exist():
    for name in WITHOUT_KERAS:
        assert importlib.util.find_spec(name) is not None


def test_every_class_is_the_same_however_it_is_found():
    for module in list(sys.modules.values()):
        name = getattr(module, "__name__", "")
        assert not name.startswith("kgdists.") or sys.modules[name] is module
    assert kg.NormalDist is kg.distributions.NormalDist is importlib.import_module("kgdists.distributions").NormalDist


def test_the_names_of_the_package_are_seen():
    assert set(kg.distributions.__all__) <= set(dir(kg)) and set(kg.__all__) <= set(dir(kg))
    assert all(hasattr(kg, name) for name in kg.__all__)


@pytest.mark.parametrize("package", ["agents", "encoders", "runs"])
def test_the_names_of_lazy_rooms_are_there(package):
    room = getattr(kg, package)
    assert room.__all__ and all(hasattr(room, name) for name in room.__all__) and set(room.__all__) <= set(dir(room))
    # Python puts an imported module in the place of what has its name.
    assert not {path.stem for path in Path(room.__file__).parent.glob("*.py")} & set(room.__all__)
    with pytest.raises(AttributeError, match=f"module 'kgdists.{package}' has no attribute 'nothing'"):
        room.nothing
