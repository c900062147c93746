"""Every distribution and every head as the output of a model: trained, saved, cloned, exported, in mixed precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import kgdists as kg
from tests.marks import quick
from tests.processes import run_python
from tests.table import DISTRIBUTIONS, HEADS

pytestmark = pytest.mark.filterwarnings("ignore:Gradients do not exist for variables.*log_temperature")
X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")


def of_head(name):
    cls, arguments, _, _ = HEADS[name]
    inputs = keras.Input((3,), name="x")
    return kg.Model(inputs, cls(**arguments)(layers.Dense(8, "tanh")(inputs))), X


def of_parameters(name):
    """A distribution made by hand of parameters that went through a layer which leaves them as they are."""
    like = DISTRIBUTIONS[name]((6,), "float32", np.random.default_rng(0))
    given = {name: np.asarray(x) for name, x in like.params.items()}
    inputs = {name: keras.Input(x.shape[1:], dtype=x.dtype.name) for name, x in given.items()}
    parameters = {
        name: layers.Dense(x.shape[-1], use_bias=False, kernel_initializer="identity")(inputs[name])
        if x.ndim > 1 and np.isfinite(x).all()
        else inputs[name]
        for name, x in given.items()
    }
    made = kg.Model(list(inputs.values()), type(like).from_params(parameters, **like._static()))
    return made, list(given.values())


TABLE = {f"head_{name}": lambda name=name: of_head(name) for name in HEADS} | {
    f"dist_{name}": lambda name=name: of_parameters(name) for name in DISTRIBUTIONS
}


def each_output(*some):
    """All of the table, of which `some` are quick tests."""
    return pytest.mark.parametrize("name", quick(some, list(TABLE)))


def trained(made, x, jit_compile=False):
    """The model after one step towards draws of its own."""
    y = keras.tree.map_structure(np.asarray, made(x).sample_action(seed=0))
    made.compile("adam", jit_compile=jit_compile)
    step = made.train_on_batch if made.trainable_weights else made.test_on_batch
    assert np.isfinite(step(x, y))
    return made


def leaves(dist):
    return [np.asarray(x) for x in keras.tree.flatten(dist)]


def assert_same_bits(p, q):
    assert type(p) is type(q)
    assert p._static() == q._static()
    for one, other in zip(leaves(p), leaves(q), strict=True):
        np.testing.assert_array_equal(one, other)


@each_output("dist_gaussian_mixture")
def test_the_same_bits_after_saving_cloning_and_json(name, tmp_path):
    made, x = TABLE[name]()
    expected = trained(made, x).predict(x, verbose=0)
    made.save(tmp_path / "model.keras")
    twins = keras.models.clone_model(made), keras.models.model_from_json(made.to_json())
    for twin in twins:
        twin.set_weights(made.get_weights())
    for twin in (keras.models.load_model(tmp_path / "model.keras"), *twins):
        assert type(twin) is kg.Model
        assert_same_bits(twin.predict(x, verbose=0), expected)


@pytest.mark.exhaustive
def test_the_same_bits_in_another_process(tmp_path):
    for name, make in TABLE.items():
        made, x = make()
        expected = leaves(trained(made, x).predict(x, verbose=0))
        made.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}-x.npz", *keras.tree.flatten(x))
        np.savez(tmp_path / f"{name}-expected.npz", *expected)
    printed = run_python(
        """
        import pathlib, sys, keras, numpy as np, kgdists
        for path in sorted(pathlib.Path(sys.argv[1]).glob("*.keras")):
            x, expected = (
                list(np.load(path.with_name(f"{path.stem}-{kind}.npz")).values()) for kind in ("x", "expected")
            )
            x = x if path.stem.startswith("dist") else x[0]
            got = keras.tree.flatten(keras.models.load_model(path).predict(x, verbose=0))
            assert all(np.array_equal(*pair) for pair in zip(got, expected, strict=True)), path.stem
            print(path.stem)
        """,
        tmp_path,
    )
    assert set(printed.split()) == set(TABLE)


@each_output("head_normal")
def test_the_exported_parameters_are_those_of_the_model(name, tmp_path):
    made, x = TABLE[name]()
    expected = trained(made, x).predict(x, verbose=0)
    made.export(tmp_path / "served", endpoint="parameters", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    answer = served.serve(x)
    for key, value in expected.params.items():
        np.testing.assert_allclose(answer[key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", [name for name in TABLE if name.startswith("head")])
def test_a_step_in_mixed_precision_and_under_xla(name, policy):
    keras.config.set_dtype_policy(policy)
    try:
        made, x = TABLE[name]()
    finally:
        keras.config.set_dtype_policy("float32")
    before = made.get_weights()
    trained(made, x, jit_compile=True)
    assert any(np.any(one != other) for one, other in zip(made.get_weights(), before, strict=True))
    assert all(np.all(np.isfinite(x.astype("float32"))) for x in leaves(made.predict(x, verbose=0)))
