"""Temperatures of heads: set while a compiled training runs, variables and schedules."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Dict, Discrete, MultiBinary

import kgdists as kg
from kgdists import layers

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")


def drawn(dist):
    return dist.relaxed_sample(seed=0) if isinstance(dist, kg.GaussianMixtureDist) else dist.sample(seed=0)


# By name: the argument, a constructor, and targets.
HEADS = {
    "categorical": ("boltzmann_tau", lambda **k: layers.CategoricalHead(3, **k), np.zeros(8, "int32")),
    "bernoulli": ("boltzmann_tau", lambda **k: layers.BernoulliHead(3, **k), np.zeros((8, 3), "int32")),
    "multi_categorical": (
        "boltzmann_tau",
        lambda **k: layers.MultiCategoricalHead([2, 3], **k),
        np.zeros((8, 2), "int32"),
    ),
    "relaxed_one_hot": ("temperature", lambda **k: layers.RelaxedOneHotHead(3, **k), np.zeros(8, "int32")),
    "gaussian_mixture": (
        "gumbel_tau",
        lambda **k: layers.GaussianMixtureHead(3, 2, **k),
        np.zeros((8, 2), "float32"),
    ),
}
each_head = pytest.mark.parametrize("name, make, y", HEADS.values(), ids=HEADS)


def model_of(head):
    inputs = keras.Input((4,))
    return kg.Model(inputs, head(inputs))


def present(dist):
    return np.asarray(list(dist.params.values())[-1])


@keras.saving.register_keras_serializable("tests")
def halved(step):
    return 0.5 ** (1.0 + tf.cast(step, "float32"))


@pytest.mark.few(1)
@each_head
@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_a_temperature_set_in_a_callback_counts_at_once_and_traces_nothing_again(name, make, y, jit_compile):
    head, traces, seen = make(), [], []
    model = model_of(head)

    def loss(y, dist):
        traces.append(1)
        return -dist.log_prob(y)

    def coldness(y, dist):
        return dist.params[name]

    class Anneal(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            setattr(head, name, 0.5 / (1 + epoch))

        def on_epoch_end(self, epoch, logs=None):
            seen.append(logs["coldness"])

    model.compile("adam", loss=loss, metrics=[coldness], jit_compile=jit_compile)
    model.fit(X, y, epochs=1, verbose=0, callbacks=[Anneal()])
    first = len(traces)
    model.fit(X, y, epochs=3, verbose=0, callbacks=[Anneal()])
    assert len(traces) == first
    np.testing.assert_allclose(seen, [0.5, 0.5, 0.25, 0.5 / 3], rtol=1e-6)


@pytest.mark.few(3)
@each_head
def test_what_a_compiled_function_draws_follows_the_temperature(name, make, y):
    head, traces = make(**{name: 1.0}), []
    head.build((None, 4))

    @tf.function(autograph=False)
    def draw(x):
        traces.append(x)
        return drawn(head(x))

    for tau in (1.0, 0.01):
        setattr(head, name, tau)
        np.testing.assert_allclose(draw(X), drawn(head(X)), rtol=1e-4, atol=1e-5)
    warm = draw(X)
    setattr(head, name, 5.0)
    assert len(traces) == 1 and np.any(np.abs(draw(X) - warm) > 0.1)


@pytest.mark.few(1)
@each_head
def test_predict_follows_the_temperature(name, make, y):
    head = make()
    model = model_of(head)
    for tau in (0.7, 0.1):
        setattr(head, name, tau)
        np.testing.assert_allclose(model.predict(X, verbose=0).params[name], np.full(8, tau), rtol=1e-6)


@pytest.mark.few(2)
@each_head
def test_the_present_number_is_saved(name, make, y, tmp_path):
    head = make(**{name: 1.0})
    model = model_of(head)
    setattr(head, name, 0.3)
    assert getattr(head, name) == head.get_config()[name] == 0.3
    model.save(tmp_path / "model.keras")
    for again in (keras.models.load_model(tmp_path / "model.keras"), keras.models.clone_model(model)):
        np.testing.assert_allclose(present(again(X)), np.full(8, 0.3), rtol=1e-6)


@each_head
def test_a_temperature_is_no_weight(name, make, y):
    head = make()
    head.build((None, 4))
    assert not any("tau" in w.path or "temperature" in w.path for w in head.weights)
    model, twin = model_of(make()), model_of(make(**{name: 0.9}))
    twin.set_weights(model.get_weights())


@pytest.mark.few(3)
@each_head
@pytest.mark.parametrize("variable", [tf.Variable, keras.Variable])
def test_a_variable_is_read_at_every_call(name, make, y, variable):
    tau = variable(np.float32(0.5))
    head = make(**{name: tau})
    call = tf.function(lambda x: head(x).params[name], autograph=False)
    np.testing.assert_allclose(call(X), np.full(8, 0.5))
    tau.assign(0.25)
    np.testing.assert_allclose(call(X), np.full(8, 0.25))
    setattr(head, name, 2.0)
    assert float(tau) == getattr(head, name) == 2.0 and not any(w is tau for w in head.weights)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(drawn(head(X)) ** 3)
    assert tape.gradient(value, tau if variable is tf.Variable else tau.value) is not None


@pytest.mark.few(1)
@each_head
@pytest.mark.parametrize("schedule", [keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5), halved])
def test_a_schedule_counts_the_training_calls(name, make, y, schedule, tmp_path):
    head = make(**{name: schedule})
    model = model_of(head)
    model.compile("sgd")
    assert getattr(head, name) == 0.5
    model.fit(X, y, batch_size=4, epochs=1, verbose=0)
    for _ in range(2):
        np.testing.assert_allclose(model.predict(X, verbose=0).params[name], np.full(8, 0.125), rtol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(present(again(X)), np.full(8, 0.125), rtol=1e-6)
    again.fit(X, y, batch_size=8, epochs=1, verbose=0)
    np.testing.assert_allclose(present(again(X)), np.full(8, 0.0625), rtol=1e-6)
    with pytest.raises(ValueError, match=f"`{name}` follows the schedule .*Received: {name}=1.0"):
        setattr(head, name, 1.0)


@pytest.mark.few(3)
@each_head
def test_bad_temperatures_are_one_line(name, make, y):
    head = make()
    before = getattr(head, name)
    for bad in (0.0, -1.0, float("nan"), float("inf"), True, "cold", None, [0.2], tf.zeros(()), tf.constant("cold")):
        for give in (lambda bad=bad: make(**{name: bad}), lambda bad=bad: setattr(head, name, bad)):
            with pytest.raises(ValueError, match=f"`{name}` must be a finite number > 0. Received: {name}="):
                give()
    for bad in (np.ones(2), tf.Variable([0.2])):
        with pytest.raises(ValueError, match=f"`{name}` must be a number or a scalar tensor"):
            make(**{name: bad})
    with pytest.raises(ValueError, match=f"`{name}` must be a finite number > 0. Received: {name}=0"):
        make(**{name: lambda step: 0 * step})
    assert getattr(head, name) == before


def test_a_trained_temperature_may_be_set():
    head = layers.RelaxedOneHotHead(3, temperature=0.5, train_temperature=True)
    head.temperature = 0.25
    np.testing.assert_allclose(present(head(X)), np.full(8, 0.25), rtol=1e-6)
    head.temperature = 2.0
    np.testing.assert_allclose(present(head(X)), np.full(8, 2.0), rtol=1e-6)
    assert head.temperature == pytest.approx(2.0)


def test_heads_of_a_nested_space_share_a_variable():
    tau = tf.Variable(0.5)
    space = Dict(move=Discrete(3), push=MultiBinary(2))
    head = kg.head_for(space, boltzmann_tau=tau)
    tau.assign(0.1)
    pi = head(X)
    for part in ("move", "push"):
        np.testing.assert_allclose(pi[part].boltzmann_tau, np.full(8, 0.1), rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_the_temperature_has_the_dtype_of_the_logits(policy):
    pi = layers.CategoricalHead(3, boltzmann_tau=0.5, dtype=policy)(X)
    assert pi.boltzmann_tau.dtype == pi.logits.dtype == pi.sample().dtype
