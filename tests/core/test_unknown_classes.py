"""Models with classes of one's own, read where these are not known."""

import zipfile

import keras
import numpy as np
import pytest

import kgdists as kg
from kgdists.core.files import DamagedFileError
from kgdists.core.unknown_classes import UnknownClassError, naming_unknown
from kgdists.runs.folder import read_policy

X = np.ones((2, 3), "float32")


class Twice(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x


class MyHead(kg.layers.NormalHead):
    pass


class MyOnes(keras.initializers.Ones):
    pass


def double(x):
    return 2.0 * x


def policy(layer, head=None):
    made = kg.Policy(keras.Sequential([keras.Input((3,)), layer]), head or kg.layers.NormalHead(2))
    made(X)
    return made


def functional():
    inputs = keras.Input((3,))
    return kg.Model(inputs, kg.layers.NormalHead(2)(Twice()(inputs)))


def of_distribution():
    class MyDist(kg.NormalDist):  # registered as long as somebody imports it
        pass

    inputs = keras.Input((3,))
    model = kg.Model(inputs, MyDist(keras.layers.Dense(2)(inputs), keras.layers.Dense(2)(inputs)))
    return model, keras.saving.get_registered_name(MyDist)


MODELS = {
    "layer": (lambda: policy(Twice()), "Twice", Twice),
    "nested": (lambda: policy(keras.Sequential([keras.Input((3,)), Twice()])), "Twice", Twice),
    "functional": (functional, "Twice", Twice),
    "head": (lambda: policy(keras.layers.Dense(3), MyHead(2)), "MyHead", MyHead),
    "composite": (lambda: policy(keras.layers.Dense(3), kg.layers.CompositeHead({"a": MyHead(2)})), "MyHead", MyHead),
    "activation": (lambda: policy(keras.layers.Dense(3, double)), "double", double),
    "initializer": (lambda: policy(keras.layers.Dense(3, kernel_initializer=MyOnes())), "MyOnes", MyOnes),
}


@pytest.mark.few(3)
@pytest.mark.parametrize(("make", "name", "known"), MODELS.values(), ids=MODELS)
def test_the_class_that_is_missing_is_named_and_what_to_do(make, name, known, tmp_path):
    model, file = make(), tmp_path / "policy.keras"
    model.save(file)
    rule = f"import the module that registers {name} by `@keras.saving.register_keras_serializable.*"
    rule += f"custom_objects={{{name!r}: {name}}}.* Received: .* with {name}$"
    readers = [keras.models.load_model] + [read_policy] * isinstance(model, kg.Policy)
    for read in readers:
        with pytest.raises(UnknownClassError, match=rule) as error:
            read(file)
        assert "\n" not in str(error.value) and "damaged" not in str(error.value) and len(str(error.value)) < 500
    if known is MyOnes:
        return  # Keras' layers find no initializers in such a scope
    with keras.saving.custom_object_scope({name: known}):
        for read in readers:
            np.testing.assert_array_equal(*(keras.tree.flatten(x(X))[0] for x in (read(file), model)))
    loaded = keras.models.load_model(file, custom_objects={name: known})
    np.testing.assert_array_equal(*(keras.tree.flatten(x(X))[0] for x in (loaded, model)))


def test_a_distribution_that_is_missing_is_named_when_the_model_is_read(tmp_path, monkeypatch):
    model, name = of_distribution()
    model.save(tmp_path / "model.keras")
    monkeypatch.delitem(keras.saving.get_custom_objects(), name)
    with pytest.raises(UnknownClassError, match=f"Received: a model with {name}$"):
        keras.models.load_model(tmp_path / "model.keras")


def test_files_that_are_damaged_still_say_so(tmp_path):
    file = tmp_path / "policy.keras"
    policy(keras.layers.Dense(3)).save(file)
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    whole, broken = file.read_bytes(), parts | {"config.json": parts["config.json"].replace(b'"units"', b'"unit5"')}
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in broken.items():
            archive.writestr(name, part)
    with pytest.raises(DamagedFileError, match="this one is damaged: "):
        read_policy(file)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedFileError, match="this one is damaged: "):
        read_policy(file)


def test_other_errors_pass_through():
    for error in (TypeError("other"), ValueError("another"), KeyError("third")):
        with pytest.raises(type(error), match=error.args[0]) as found, naming_unknown():
            raise error
        assert found.value is error
