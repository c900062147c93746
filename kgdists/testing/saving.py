"""A distribution, its config and a model of it come back as they were."""

import json
import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.distributions.distribution import Distribution
from kgdists.testing.requirements import require_close, require_same
from kgdists.testing.values import as_array, equal, flat, repeated

__all__ = ["check_config", "check_model", "check_tree"]

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    TREES = {"keras.tree": keras.tree, "tf.nest": tf.nest}
else:
    TREES = {"keras.tree": keras.tree}

MODEL_ROWS = 100


def check_tree(dist: Distribution) -> None:
    for name, tree in TREES.items():
        leaves = tree.flatten(dist)
        require_same(f"leaves of {name}", len(leaves), len(dist.params))
        twin = tree.pack_sequence_as(dist, leaves)
        lost = sorted(vars(dist).keys() - vars(twin).keys() - {"PARAM_NAMES", "STATIC_NAMES"})
        if lost:
            raise AssertionError(
                f"{name} loses the fields {lost}: they must be among PARAM_NAMES or STATIC_NAMES of "
                f"{type(dist).__name__}"
            )
        require_same(f"{name}: static fields", twin._static(), dist._static())
    try:
        hash(dist._flatten()[1])
    except TypeError as error:
        raise AssertionError(f"static fields must be hashable: {error}") from None


def check_config(dist: Distribution, seed: int) -> None:
    try:
        text = json.dumps(keras.saving.serialize_keras_object(dist))
        twin = keras.saving.deserialize_keras_object(json.loads(text))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"config does not survive JSON: {error}") from error
    require_same("config: type", type(twin), type(dist))
    require_same("config: static fields", twin._static(), dist._static())
    for name, x in dist.params.items():
        require_close(f"config changes `{name}`", twin.params[name], x, 0.0)
    for got, want in zip(flat(twin.sample(seed=seed)), flat(dist.sample(seed=seed)), strict=True):
        require_close("config changes the draws", got, want, 0.0)


def check_model(dist: Distribution, varies: bool, seed: int) -> None:
    many = repeated(dist, MODEL_ROWS)
    inputs = keras.tree.map_structure(lambda x: keras.Input(x.shape[1:], dtype=shapes.dtype_of(x)), many)
    x = inputs.sample(seed=seed)
    outputs = {"sample": x, "log_proba": inputs.log_proba(x), "fresh": inputs.sample()}
    model = keras.Model(flat(inputs), outputs)
    x = many.sample(seed=seed)
    want = {"sample": x, "log_proba": many.log_proba(x)}
    arrays = [ops.convert_to_numpy(leaf) for leaf in flat(many)]
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        loaded = keras.saving.load_model(Path(folder) / "model.keras")
    tolerance = {"float64": 1e-5, "float32": 1e-3}.get(dist.dtype, 0.1)
    model.compile(jit_compile=False)
    calls = {"model": lambda: model.predict(arrays, MODEL_ROWS, verbose=0), "reloaded model": lambda: loaded(arrays)}
    for kind, call in calls.items():
        first, second = call(), call()
        for name, value in want.items():
            for got, leaf in zip(flat(first[name]), flat(value), strict=True):
                allowed = tolerance * (1.0 + np.abs(as_array(leaf)))
                require_close(f"{kind}: {name} differs from that outside of it", got, leaf, allowed)
        if varies and equal(first["fresh"], second["fresh"]):
            raise AssertionError(f"{kind}: two successive draws are equal")
