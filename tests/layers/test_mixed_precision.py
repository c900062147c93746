"""Heads under Keras' dtype policies: the dtype of the weights, in which targets of any units train as they should."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kgdists as kg
from kgdists.layers.head import check_units
from tests.marks import exhaustive, quick
from tests.table import HEADS, QUICK_HEADS

RNG = np.random.default_rng
X = RNG(0).normal(size=(512, 3)).astype("float32")
Z = np.tanh(X @ [[0.7], [-0.5], [0.3]])
NOISY = Z / Z.std() + 0.1 * RNG(1).normal(size=Z.shape)

# Head, center and standard deviation of its targets: in float16 all, in bfloat16 most of them are lost.
UNITS = {
    "normal": (lambda **k: kg.layers.NormalHead(1, center=20000, scale=1, **k), 20000, 1),
    "far_normal": (lambda **k: kg.layers.NormalHead(1, center=1e5, scale=2e4, **k), 1e5, 2e4),
    "multivariate_normal": (lambda **k: kg.layers.MultivariateNormalHead(1, center=20000, **k), 20000, 1),
    "state_dependent": (lambda **k: kg.layers.StateDependentNormalHead(1, center=20000, **k), 20000, 1),
    "mixture": (lambda **k: kg.layers.GaussianMixtureHead(2, 1, center=20000, scale=1, **k), 20000, 1),
    "clipped": (lambda **k: kg.layers.ClippedNormalHead(1, low=0, high=1e5, **k), 5e4, 1e4),
    "squashed": (lambda **k: kg.layers.SquashedNormalHead(1, low=0, high=1e5, **k), 5e4, 1e4),
    "beta": (lambda **k: kg.layers.BetaHead(1, low=0, high=1e5, **k), 5e4, 1e4),
    "discretized_logistic": (lambda **k: kg.layers.DiscretizedLogisticHead(1, 0, 100_000, **k), 5e4, 1e4),
}


@pytest.fixture
def policy(request):
    """A global dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def trained(head, y, jit_compile, epochs):
    inputs = keras.Input((3,))
    model = kg.Model(
        inputs, head(keras.layers.Dense(32, "tanh", kernel_initializer=keras.initializers.Orthogonal(seed=1))(inputs))
    )
    model.compile(keras.optimizers.Adam(0.02), jit_compile=jit_compile)
    history = model.fit(X, y, epochs=epochs, batch_size=64, verbose=0, shuffle=False)
    return model, history.history["loss"]


def value(dist):
    """The mean, or the mode where there is no closed form of it."""
    try:
        return np.asarray(dist.mean(), "float64")
    except NotImplementedError:
        return np.asarray(dist.mode_action(), "float64")


@pytest.mark.parametrize(
    "policy", quick(["mixed_float16"], ["mixed_float16", "mixed_bfloat16", "float32"]), indirect=True
)
@pytest.mark.parametrize("name", quick(["normal"], list(UNITS)))
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)])
def test_targets_in_large_units_train_as_in_float32(name, policy, jit_compile, tmp_path):
    make, center, sd = UNITS[name]
    y = (center + sd * NOISY).astype("float32")
    y = np.rint(y) if name == "discretized_logistic" else np.clip(y, 10, 99_990) if sd == 1e4 else y
    # The deviation of a box starts at a quarter of its width.
    model, losses = trained(make(random_seed=0), y, jit_compile, epochs=100 if sd == 1e4 else 30)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    assert np.isfinite(losses).all() and losses[-1] < losses[0] - 1.0
    assert all(np.isfinite(x.numpy()).all() and x.dtype == "float32" for x in model.trainable_variables)
    dist = model.predict(X, verbose=0)
    rmse = np.sqrt(np.mean((value(dist) - y) ** 2)) / sd
    draws = np.asarray(dist.sample(20, seed=0), "float64")
    assert dist.dtype == "float32" and rmse < 0.2 and np.isfinite(draws).all()
    assert 0.05 < draws.std(axis=0).mean() / sd < 0.3
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").predict(X, verbose=0)
    for one, other in zip(keras.tree.flatten(loaded), keras.tree.flatten(dist), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", quick(QUICK_HEADS, list(HEADS)))
def test_a_mixed_policy_leaves_every_head_in_float32(name):
    cls, arguments, _, _ = HEADS[name]
    head = cls(**arguments, dtype="mixed_float16")
    pi = head(tf.constant(X, "float16"))
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert head.compute_dtype == head.variable_dtype == twin.compute_dtype == "float32"
    assert {x.dtype for x in keras.tree.flatten((pi, pi.log_proba(pi.sample())))} == {tf.float32}


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", UNITS)
def test_pure_half_precision_must_hold_the_units(name, half):
    make, center, sd = UNITS[name]
    if half == "float16" or sd == 1 or name == "discretized_logistic":
        with pytest.raises(ValueError, match=f"{half} tells apart: .*'mixed_{half}'.* Received: magnitudes up to "):
            make(dtype=half)
    else:
        assert make(dtype=half)(X).dtype == half


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", quick(QUICK_HEADS, list(HEADS)))
def test_pure_half_precision_is_taken_at_its_word(name, half):
    cls, arguments, _, _ = HEADS[name]
    pi = cls(**arguments, dtype=half)(X)
    assert pi.dtype == half and np.isfinite(tf.cast(pi.log_proba(pi.sample(seed=0)), "float32")).all()


@pytest.mark.parametrize(("half", "bits", "most"), [("float16", 11, 65504.0), ("bfloat16", 8, 3.38e38)])
def test_what_half_precision_tells_apart_is_counted_in_its_floats(half, bits, most):
    check_units(half, 2**bits - 1, 1)  # the last integer before they are two apart
    check_units(half, most, most)
    check_units("float32", 1e30, 1e-30)
    for largest, step in ((2**bits, 1), (1.01 * most, most), ([1.0, 2**bits], [1.0, 1.0])):
        with pytest.raises(ValueError, match=f"{half} tells apart"):
            check_units(half, largest, step)


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
def test_large_observations_reach_the_trunk_of_a_policy(policy):
    normalization = kg.layers.RunningNormalization()
    trunk = keras.Sequential([keras.Input((3,)), normalization, keras.layers.Dense(4, "tanh")])
    pi = kg.Policy(trunk, kg.layers.NormalHead(1))
    normalization.update(1e5 * X)
    assert np.unique(pi(1e5 * X).mu).size > 100  # half precision makes most of them infinite, and then equal


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
def test_the_loss_of_a_distribution_of_half_tensors_is_finite(policy):
    inputs = keras.Input((3,))
    mu, logvar = (keras.layers.Dense(1)(inputs) for _ in range(2))
    model = kg.Model(inputs, kg.NormalDist(mu, logvar))
    model.compile("adam", metrics=["crps"])
    y = np.full((512, 1), 5e4, "float32")
    assert model.predict(X, verbose=0).dtype == "float16"
    loss, crps = model.evaluate(X, y, verbose=0)
    assert 65504 < loss < np.inf and crps == pytest.approx(5e4, rel=1e-3)
