"""Every head as the end of a Keras model that learns, is saved, cloned, exported and run on several devices.

Single draws and symbolic calls of heads are in tests/layers/test_heads.py, more of policies in tests/test_policy.py.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import kgdists as kg
from tests.marks import exhaustive, quick
from tests.processes import run_python
from tests.table import HEADS, QUICK_HEADS


def make(name):
    cls, arguments, _, _ = HEADS[name]
    return cls(**arguments)


def composite():
    return kg.layers.CompositeHead({"choice": make("categorical"), "pushes": (make("normal"), make("bernoulli"))})


def one_of():
    return kg.layers.OneOfHead((kg.layers.CategoricalHead(2), (make("categorical"), make("normal"))))


def all_heads():
    """One head of all: what is slow to compile is compiled once."""
    one_of_each_class = {HEADS[name][0]: name for name in reversed(QUICK_HEADS) if name in HEADS}
    heads = {name: make(name) for name in one_of_each_class.values()}
    return kg.layers.CompositeHead(heads | {"one_of": one_of()})


EVERY = (
    {"all": all_heads}
    | {name: functools.partial(make, name) for name in HEADS}
    | {"composite": composite, "one_of": one_of}
)


def policy_of(head):
    policy = kg.Policy(keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh")]), head)
    policy(np.zeros((1, 4)))
    return policy


def observations(n=64):
    return np.random.default_rng(0).normal(size=(n, 4)).astype("float32")


def demonstrations(policy, x):
    """One of two actions, which depends on the observation."""
    pi = policy(x)
    drawn = pi.sample(seed=0) if isinstance(pi, kg.RelaxedOneHotCategorical) else pi.sample_action(seed=0)
    drawn = keras.tree.map_structure(np.asarray, drawn)
    return keras.tree.map_structure(lambda leaf: leaf[np.where(x[:, 0] > 0, 0, 1)], drawn)


def loss_of(policy, x, actions):
    return -np.mean(policy(x).log_proba(actions))


def assert_same_dist(p, q, **tolerance):
    assert type(p) is type(q) and p.params.keys() == q.params.keys()
    for name in p.params:
        np.testing.assert_allclose(p.params[name], q.params[name], err_msg=name, **tolerance)


@pytest.fixture(scope="module", params=quick(["normal"], list(EVERY)))
def trained(request):
    """A policy after some training, its observations and actions, and the loss before."""
    policy, x = policy_of(EVERY[request.param]()), observations()
    actions = demonstrations(policy, x)
    before = loss_of(policy, x, actions)
    policy.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    policy.fit(x, actions, batch_size=32, epochs=5, verbose=0)
    return policy, x, actions, before


@pytest.mark.exhaustive
def test_fit_makes_the_actions_likelier(trained):
    policy, x, actions, before = trained
    assert loss_of(policy, x, actions) < before - 0.01


def test_evaluate_is_the_mean_negative_log_likelihood(trained):
    policy, x, actions, _ = trained
    np.testing.assert_allclose(
        policy.evaluate(x, actions, batch_size=64, verbose=0), loss_of(policy, x, actions), rtol=1e-4, atol=1e-4
    )


def test_predict_returns_the_distribution_as_arrays(trained):
    policy, x, actions, _ = trained
    got = policy.predict(x, batch_size=50, verbose=0)
    assert all(isinstance(leaf, np.ndarray) for leaf in got.params.values())
    assert_same_dist(got, policy(x), rtol=1e-4, atol=1e-5)
    assert tuple(got.log_proba(actions).shape) == (64,)


def test_summary_names_the_head(trained):
    policy, lines = trained[0], []
    policy.summary(print_fn=lambda line: lines.append(line))
    assert policy.head.name in "\n".join(lines)


def test_a_saved_policy_is_loaded_in_safe_mode(trained, tmp_path):
    policy, x, actions, _ = trained
    policy.save(tmp_path / "policy.keras")
    loaded = keras.saving.load_model(tmp_path / "policy.keras", safe_mode=True)
    assert_same_dist(loaded(x), policy(x), rtol=1e-6)
    np.testing.assert_allclose(loss_of(loaded, x, actions), loss_of(policy, x, actions), rtol=1e-6)


def test_a_clone_with_the_same_weights_is_the_same(trained):
    policy, x, _, _ = trained
    clone = keras.models.clone_model(policy)
    clone(x)
    clone.set_weights(policy.get_weights())
    assert clone.head is not policy.head
    assert_same_dist(clone(x), policy(x), rtol=1e-6)


def test_config_round_trip(trained):
    policy = trained[0]
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(policy))
    assert type(twin) is kg.Policy and twin.get_config() == policy.get_config()


def test_an_exported_policy_serves_parameters_and_actions(trained, tmp_path):
    policy, x, _, _ = trained
    policy.export(tmp_path / "served", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "served")
    served = loaded.serve(x)
    for name, leaf in policy(x).params.items():
        np.testing.assert_allclose(served[name], leaf, rtol=1e-4, atol=1e-5)
    actions = keras.tree.flatten(policy(x).sample_action())
    got = [leaf for name, leaf in served.items() if name.startswith("action")]
    assert sorted(f"{leaf.dtype} {leaf.shape}" for leaf in got) == sorted(
        f"{leaf.dtype} {leaf.shape}" for leaf in actions
    )


@pytest.mark.few(1)
@pytest.mark.parametrize("half", ["mixed_float16", *exhaustive("mixed_bfloat16")])
@pytest.mark.parametrize("name", quick(["normal", "categorical", "beta"], [name for name in EVERY if name != "all"]))
def test_mixed_precision_trains(name, half):
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(half)
    try:
        policy, x = policy_of(EVERY[name]()), observations()
    finally:
        keras.mixed_precision.set_dtype_policy(before)
    actions, weights = demonstrations(policy, x), policy.get_weights()
    policy.compile("adam", run_eagerly=True)
    assert policy(x).dtype == "float32"
    # Some steps, because Keras leaves out those in which its scaled loss overflows.
    losses = policy.fit(x, actions, batch_size=16, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert all(np.isfinite(weight).all() for weight in policy.get_weights())
    assert any(np.any(old != new) for old, new in zip(weights, policy.get_weights(), strict=True))


@pytest.mark.exhaustive
def test_all_heads_train_under_xla():
    policy, x = policy_of(all_heads()), observations()
    actions = demonstrations(policy, x)
    policy.compile(keras.optimizers.Adam(0.02), jit_compile=True)
    losses = policy.fit(x, actions, batch_size=32, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.exhaustive
def test_subclassed_model_with_all_heads():
    class Actor(keras.Model):
        def __init__(self):
            super().__init__()
            self.features, self.head = keras.layers.Dense(8, "tanh"), all_heads()

        def call(self, x):
            return self.head(self.features(x)).sample()

    model, x = Actor(), observations()
    first, second = model.predict(x, verbose=0), model.predict(x, verbose=0)
    assert all(np.any(a != b) for a, b in zip(keras.tree.flatten(first), keras.tree.flatten(second), strict=True))


@pytest.mark.exhaustive
def test_all_heads_train_and_predict_on_two_devices():
    code = """
        import keras
        import numpy as np
        import tensorflow as tf

        cpu, = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

        from tests.test_citizenship import (
            all_heads, assert_same_dist, demonstrations, loss_of, observations, policy_of
        )

        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        with strategy.scope():
            policy = policy_of(all_heads())
            policy.compile(keras.optimizers.Adam(0.02), jit_compile=False)
        x = observations()
        actions = demonstrations(policy, x)
        before = loss_of(policy, x, actions)
        policy.fit(x, actions, batch_size=32, epochs=3, verbose=0)
        alone = loss_of(policy, x, actions)
        together = policy.evaluate(x, actions, batch_size=32, verbose=0)
        # One row is left for the last step, in which one device has none.
        assert_same_dist(policy.predict(x[:49], batch_size=16, verbose=0), policy(x[:49]), rtol=1e-4, atol=1e-5)
        print(strategy.num_replicas_in_sync, alone < before, abs(together - alone) < 1e-4 * abs(alone))
    """
    assert run_python(code).split() == ["2", "True", "True"]
