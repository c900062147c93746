"""What users of Keras type: a distribution as the output of a model."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import kgdists as kg
from tests.marks import quick
from tests.processes import run_python
from tests.table import DISTRIBUTIONS, HEADS

RNG = np.random.default_rng
X = RNG(0).normal(size=(48, 3)).astype("float32")
LABELS = (X[:, 0] > 0).astype("int64") + (X[:, 1] > 0)
each_head = pytest.mark.parametrize(
    "make", quick(["normal", "categorical"], {name: lambda c=c, a=a: c(**a) for name, (c, a, _, _) in HEADS.items()})
)


def features():
    inputs = keras.Input((3,), name="x")
    return inputs, layers.Dense(8, "tanh")(inputs)


def model(head, **options):
    inputs, h = features()
    return kg.Model(inputs, head(h), **options)


def several(**options):
    """A model of a distribution, a distribution made by hand, and a tensor."""
    inputs, h = features()
    outputs = {
        "y": kg.layers.NormalHead(1)(h),
        "label": kg.CategoricalDist(layers.Dense(3)(h)),
        "sum": layers.Dense(1)(h),
    }
    return kg.Model(inputs, outputs, **options)


TARGETS = {"y": X[:, :1], "label": LABELS, "sum": X.sum(axis=1, keepdims=True)}


def assert_same(p, q):
    for one, other in zip(keras.tree.flatten(p), keras.tree.flatten(q), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def targets_of(pi):
    return keras.tree.map_structure(np.asarray, pi.sample_action(seed=0))


# Every head and every distribution


@pytest.mark.filterwarnings("ignore:Gradients do not exist for variables.*log_temperature")
@pytest.mark.few(2)
@each_head
def test_a_head_ends_a_model_that_is_trained_saved_and_cloned(make, tmp_path):
    made = model(make())
    y = targets_of(made(X))
    made.compile("adam", jit_compile=False)
    before = -np.mean(made(X).log_proba(y))
    np.testing.assert_allclose(made.evaluate(X, y, verbose=0), before, rtol=1e-4)
    made.fit(X, y, epochs=1, verbose=0)
    made.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is kg.Model and type(loaded(X)) is type(made(X))
    assert_same(loaded.predict(X, verbose=0), made.predict(X, verbose=0))
    loaded.fit(X, y, epochs=1, verbose=0)
    twin = keras.models.clone_model(made)
    twin.set_weights(made.get_weights())
    assert_same(twin(X), made(X))
    again = keras.models.model_from_json(made.to_json())
    again.set_weights(made.get_weights())
    assert_same(again(X), made(X))


@pytest.mark.parametrize(
    "make", quick(["normal", "composite"], {name: (make,) for name, make in DISTRIBUTIONS.items()})
)
def test_a_distribution_made_by_hand_is_an_output(make, tmp_path):
    like = make((5,), "float32", RNG(0))
    inputs = [keras.Input(x.shape[1:], dtype=x.dtype) for x in like.params.values()]
    dist = type(like).from_params(dict(zip(like.params, inputs, strict=True)), **like._static())
    made = kg.Model(inputs, dist)
    leaves = [np.asarray(x) for x in like.params.values()]
    assert_same(made(leaves), like)
    made.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same(loaded.predict(leaves, verbose=0), like)
    assert loaded(leaves)._static() == like._static()


def test_nested_outputs_keep_their_structure():
    inputs, h = features()
    outputs = {"a": [kg.layers.NormalHead(1)(h), layers.Dense(2)(h)], "b": (kg.BernoulliDist(h),)}
    made = kg.Model(inputs, outputs)
    got = made.predict(X, verbose=0)
    assert type(got["a"][0]) is kg.NormalDist and got["a"][1].shape == (48, 2)
    assert isinstance(got["b"], tuple) and type(got["b"][0]) is kg.BernoulliDist
    made.compile("adam", loss={"a/output_0": "nll", "a/output_1": "mse"})
    y = {"a": [X[:, :1], X[:, :2]], "b": (np.zeros((48, 8), "int64"),)}
    history = made.fit(X, y, verbose=0).history
    assert set(history) == {"loss", "a/output_0_loss", "a/output_1_loss"}


@pytest.mark.exhaustive
def test_a_model_is_loaded_in_another_process(tmp_path):
    made = several(name="several")
    made.compile("adam", loss={"y": "nll", "label": "nll", "sum": "mse"}, metrics={"label": "accuracy", "sum": "mae"})
    made.fit(X, TARGETS, verbose=0)
    made.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "expected.npz", *map(np.asarray, keras.tree.flatten(made.predict(X, verbose=0))))
    run_python(f"""
        import keras, numpy as np, kgdists
        folder = {str(tmp_path)!r}
        x, expected = np.load(folder + "/x.npy"), np.load(folder + "/expected.npz")
        loaded = keras.models.load_model(folder + "/model.keras")
        got = keras.tree.flatten(loaded.predict(x, verbose=0))
        assert all(np.array_equal(one, expected[name]) for one, name in zip(got, expected, strict=True))
        targets = {{"y": x[:, :1], "label": np.zeros(len(x), int), "sum": x[:, :1]}}
        assert "label_accuracy" in loaded.fit(x, targets, verbose=0).history
    """)


def test_a_model_within_a_model():
    inner = model(kg.layers.NormalHead(1))
    inputs = keras.Input((3,))
    outer = kg.Model(inputs, {"y": inner(inputs), "mean": inner(inputs).mean()})
    got = outer.predict(X, verbose=0)
    assert_same(got["y"], inner(X))
    assert_same(got["mean"], inner(X).mean())


def test_a_subclass_returns_a_distribution():
    @keras.saving.register_keras_serializable("tests")
    class Mine(kg.Model):
        def __init__(self, width, **kwargs):
            super().__init__(**kwargs)
            self.width, self.hidden, self.head = width, layers.Dense(width), kg.layers.NormalHead(1)

        def call(self, x):
            return self.head(self.hidden(x))

        def get_config(self):
            return super().get_config() | {"width": self.width}

    made = Mine(4)
    made.compile("adam", metrics=["mae", "nll"])
    history = made.fit(X, X[:, :1], epochs=2, verbose=0).history
    assert history["loss"] == pytest.approx(history["nll"], rel=1e-5)
    twin = Mine.from_config(made.get_config())
    twin(X)
    twin.set_weights(made.get_weights())
    assert_same(twin(X), made(X))


# Losses


def test_a_loss_of_targets_and_distribution():
    made = model(kg.layers.NormalHead(2))
    made.compile("adam", loss=lambda y, d: -d.log_prob(y))
    y = X[:, :2]
    np.testing.assert_allclose(made.evaluate(X, y, verbose=0), -np.mean(made(X).log_proba(y)), rtol=1e-5)
    made.compile("adam", loss=lambda y, d: (y - d.mean()) ** 2)
    np.testing.assert_allclose(made.evaluate(X, y, verbose=0), np.mean((y - made(X).mean()) ** 2), rtol=1e-5)


@pytest.mark.parametrize("loss", ["mse", keras.losses.MeanSquaredError(), keras.losses.mean_squared_error, 3])
def test_a_loss_of_tensors_is_refused_for_a_distribution(loss):
    made = model(kg.layers.NormalHead(2))
    made.compile("adam", loss=loss)
    with pytest.raises(ValueError, match="`loss` of a distribution must be one of nll.*, or a function .* Received"):
        made.fit(X, X[:, :2], verbose=0)


def test_targets_without_the_axis_of_the_event():
    made = model(kg.layers.NormalHead(1))
    made.compile("adam")
    with pytest.raises(ValueError, match=r"must have shape \[N, 1\]: write `y\[:, None\]`. Received: y of shape"):
        made.fit(X, X[:, 0], verbose=0)


def test_targets_of_the_wrong_width():
    made = model(kg.layers.NormalHead(2))
    made.compile("adam")
    with pytest.raises(ValueError, match="Targets must be variates of the output. `y` must have shape"):
        made.fit(X, X, verbose=0)


def test_losses_and_weights_of_several_outputs():
    made = several()
    made.compile(
        "adam", loss={"y": "nll", "label": lambda y, d: -d.log_prob(y), "sum": "mse"}, loss_weights={"sum": 0.5}
    )
    got = made.evaluate(X, TARGETS, verbose=0, return_dict=True)
    out = made(X)
    each = {
        "y_loss": -np.mean(out["y"].log_proba(TARGETS["y"])),
        "label_loss": -np.mean(out["label"].log_proba(TARGETS["label"])),
        "sum_loss": np.mean((out["sum"] - TARGETS["sum"]) ** 2),
    }
    for name, value in each.items():
        assert got[name] == pytest.approx(value, rel=1e-4)
    assert got["loss"] == pytest.approx(each["y_loss"] + each["label_loss"] + 0.5 * each["sum_loss"], rel=1e-4)


def test_without_a_loss_distributions_are_trained_by_their_likelihood_and_tensors_not():
    made = several()
    made.compile("adam")
    got = made.evaluate(X, TARGETS, verbose=0, return_dict=True)
    assert set(got) == {"loss", "y_loss", "label_loss"}
    assert got["loss"] == pytest.approx(got["y_loss"] + got["label_loss"], rel=1e-5)


def test_sample_weights_count_rows_and_class_weights_labels():
    made, weights = model(kg.layers.CategoricalHead(3)), RNG(1).random(48)
    made.compile("adam", weighted_metrics=["accuracy"])
    nll = -made(X).log_proba(LABELS).numpy()
    got = made.evaluate(X, LABELS, sample_weight=weights, verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx(np.mean(nll * weights), rel=1e-4)
    right = made(X).mode_action().numpy() == LABELS
    assert got["accuracy"] == pytest.approx((right * weights).sum() / weights.sum(), rel=1e-4)
    made.compile(keras.optimizers.SGD(0.0))
    history = made.fit(X, LABELS, class_weight={0: 1.0, 1: 0.0, 2: 2.0}, batch_size=48, verbose=0).history
    assert history["loss"][0] == pytest.approx(np.mean(nll * np.array([1.0, 0.0, 2.0])[LABELS]), rel=1e-4)


def test_weights_of_each_output():
    made, weights = several(), RNG(1).random(48)
    made.compile("adam", loss={"y": "nll", "sum": "mse"})
    given = {"y": weights, "label": None, "sum": np.ones(48)}
    got = made.evaluate(X, TARGETS, sample_weight=given | {"label": np.ones(48)}, verbose=0, return_dict=True)
    assert got["y_loss"] == pytest.approx(np.mean(-made(X)["y"].log_proba(TARGETS["y"]) * weights), rel=1e-4)


def test_a_divergence_to_the_prior_is_an_added_loss():
    class Latent(layers.Layer):
        def call(self, posterior):
            prior = kg.NormalDist(keras.ops.zeros_like(posterior.mu), keras.ops.zeros_like(posterior.mu))
            self.add_loss(keras.ops.mean(posterior.kl_divergence(prior)))
            return posterior.sample()

    inputs = keras.Input((3,))
    posterior = kg.layers.NormalHead(2, state_dependent=True, name="posterior")(inputs)
    made = kg.Model(inputs, kg.layers.NormalHead(3)(Latent()(posterior)))
    made.compile(keras.optimizers.Adam(0.2))
    y = X[:, [0, 0, 0]]
    history = made.fit(X, y, epochs=15, verbose=0).history["loss"]
    assert history[-1] < history[0] - 0.5


@pytest.mark.parametrize("kind", ["lstm", "embedding"])
def test_padded_steps_count_nothing(kind):
    if kind == "lstm":
        inputs = keras.Input((None, 3))
        h = layers.LSTM(4, return_sequences=True)(layers.Masking()(inputs))
        x = RNG(0).normal(size=(6, 5, 3)).astype("float32")
        x[:, 3:] = 0.0
    else:
        inputs = keras.Input((None,), dtype="int32")
        h = layers.Dense(4)(layers.Embedding(9, 4, mask_zero=True)(inputs))
        x = RNG(0).integers(1, 9, (6, 5))
        x[:, 3:] = 0
    made = kg.Model(inputs, kg.layers.NormalHead(1)(h))
    made.compile("adam", metrics=["mae", "nll"])
    y = RNG(1).normal(size=(6, 5, 1)).astype("float32")
    first = made.evaluate(x, y, verbose=0, return_dict=True)
    assert first["loss"] == pytest.approx(-np.mean(made(x).log_proba(y)[:, :3]), rel=1e-4)
    assert first["nll"] == pytest.approx(first["loss"], rel=1e-4)
    y[:, 3:] = 1e3
    assert made.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(first, rel=1e-5)


# Metrics


def test_metrics_see_the_distribution():
    seen = []

    class Spread(keras.metrics.Mean):
        def update_state(self, y_true, y_pred, sample_weight=None):
            seen.append(type(y_pred))
            super().update_state(keras.ops.sqrt(y_pred.variance()), sample_weight=sample_weight)

    def gap(y, d):
        return keras.ops.abs(y - d.mean())

    made = model(kg.layers.NormalHead(2))
    made.compile("adam", metrics=["mae", gap, Spread(name="spread"), kg.metrics.NegativeLogLikelihood()])
    got = made.evaluate(X, X[:, :2], verbose=0, return_dict=True)
    pi = made(X)
    assert seen[0] is kg.NormalDist
    expected = np.mean(np.abs(X[:, :2] - pi.mean()))
    assert got["mae"] == pytest.approx(expected, rel=1e-4) and got["gap"] == pytest.approx(expected, rel=1e-4)
    assert got["spread"] == pytest.approx(np.mean(np.sqrt(pi.variance())), rel=1e-4)
    assert got["nll"] == pytest.approx(got["loss"], rel=1e-5)


def test_accuracy_is_that_of_the_mode():
    made = model(kg.layers.BernoulliHead(3, kernel_gain=3.0))
    y = (X > 0.3).astype("int64")
    made.compile("adam", metrics=["accuracy", "binary_accuracy"])
    got = made.evaluate(X, y, verbose=0, return_dict=True)
    right = np.mean(np.asarray(made(X).mode_action()) == y)
    assert got["accuracy"] == pytest.approx(right, rel=1e-5)
    assert got["binary_accuracy"] == pytest.approx(right, rel=1e-5)


def test_metrics_of_probabilities_are_not_handed_logits():
    made = model(kg.layers.CategoricalHead(3, kernel_gain=3.0))
    made.compile("adam", metrics=["sparse_categorical_crossentropy", keras.metrics.SparseTopKCategoricalAccuracy(2)])
    got = made.evaluate(X, LABELS, verbose=0, return_dict=True)
    assert got["sparse_categorical_crossentropy"] == pytest.approx(got["loss"], rel=1e-4)
    ranks = np.argsort(-made(X).probs.numpy(), axis=1)[:, :2]
    assert got["sparse_top_k_categorical_accuracy"] == pytest.approx(np.mean(np.any(ranks == LABELS[:, None], axis=1)))


def test_a_metric_of_probabilities_is_refused_for_a_density():
    made = model(kg.layers.NormalHead(1))
    made.compile("adam", metrics=["auc"])
    with pytest.raises(ValueError, match="must measure a distribution of choices. Received: a NormalDist"):
        made.fit(X, X[:, :1], verbose=0)


@pytest.mark.parametrize(
    ("argument", "value", "match"),
    [
        (
            "loss",
            {"z": "nll"},
            r"`loss` must have names of outputs as keys: \['y', 'label', 'sum'\]. Received: \['z'\]",
        ),
        ("loss", ["nll"], "`loss` must have one entry for each output"),
        ("metrics", "mae", "`metrics` must be a list or a dict by the names of outputs"),
        ("loss_weights", 2.0, "`loss_weights` must be a list or a dict by the names of outputs"),
    ],
)
def test_arguments_of_compile_that_fit_no_output(argument, value, match):
    made = several()

    def train():
        made.compile("adam", **{argument: value})
        made.fit(X, TARGETS, verbose=0)

    with pytest.raises(ValueError, match=match):
        train()


def test_targets_that_are_not_nested_as_the_outputs():
    made = several()
    made.compile("adam")
    with pytest.raises(ValueError, match="`y` must be nested as the outputs of the model are"):
        made.fit(X, X[:, :1], verbose=0)


# Saving, and what cannot be saved


@keras.saving.register_keras_serializable("tests")
def registered_loss(y, dist):
    return -dist.log_proba(y)


def test_a_registered_loss_is_saved_and_a_lambda_is_asked_for_again(tmp_path):
    made, path = model(kg.layers.NormalHead(1)), tmp_path / "model.keras"
    made.compile("adam", loss=registered_loss, metrics=["mae"])
    made.fit(X, X[:, :1], verbose=0)
    made.save(path)
    loaded = keras.models.load_model(path)
    assert loaded.evaluate(X, X[:, :1], verbose=0) == pytest.approx(made.evaluate(X, X[:, :1], verbose=0))
    made.compile("adam", loss=lambda y, d: -d.log_prob(y))
    made.fit(X, X[:, :1], verbose=0)
    with pytest.warns(UserWarning, match="lambda"):
        made.save(path)
    with pytest.warns(UserWarning, match="compile the model again before it is trained. Received: loss"):
        loaded = keras.models.load_model(path)
    assert_same(loaded(X), made(X))
    with pytest.raises(ValueError, match="The loss that the model was saved with could not be loaded"):
        loaded.fit(X, X[:, :1], verbose=0)


@keras.saving.register_keras_serializable("tests")
class SquaredDistance(keras.losses.Loss):
    def call(self, y, dist):
        return keras.ops.sum((y - dist.mean()) ** 2 + dist.variance(), axis=-1)


def test_a_loss_of_ones_own_sees_the_distribution_and_is_saved(tmp_path):
    made, path, weights = model(kg.layers.NormalHead(1)), tmp_path / "model.keras", np.arange(len(X)) / len(X)
    made.compile("adam", loss=SquaredDistance())
    made.fit(X, X[:, :1], epochs=2, verbose=0)
    pi = made(X)
    want = np.mean(weights * np.sum((X[:, :1] - pi.mean()) ** 2 + pi.variance(), axis=-1))
    assert made.evaluate(X, X[:, :1], sample_weight=weights, batch_size=len(X), verbose=0) == pytest.approx(want)
    made.save(path)
    loaded = keras.models.load_model(path)
    assert loaded.evaluate(X, X[:, :1], verbose=0) == pytest.approx(made.evaluate(X, X[:, :1], verbose=0))
    made.compile("adam", loss=SquaredDistance(reduction="sum"))
    with pytest.raises(ValueError, match="must be averaged: .* Received: SquaredDistance of reduction='sum'"):
        made.fit(X, X[:, :1], verbose=0)


def test_a_plain_keras_model_names_the_one_that_trains_and_saves():
    inputs, h = features()
    plain = keras.Model(inputs, kg.layers.NormalHead(1)(h))
    assert type(plain(X)) is kg.NormalDist
    plain.compile("adam", loss=lambda y, d: -d.log_prob(y))
    with pytest.raises(TypeError, match=r"make the model by `kgdists.Model\(inputs, outputs\)`"):
        plain.fit(X, X[:, :1], verbose=0)
    with pytest.raises(TypeError, match=r"make the model by `kgdists.Model\(inputs, outputs\)`"):
        plain.to_json()


def test_draws_of_a_seeded_head_repeat_in_the_model_that_is_loaded(tmp_path):
    made, path = model(kg.layers.NormalHead(1, random_seed=3)), tmp_path / "model.keras"
    made.save(path)
    loaded = keras.models.load_model(path)
    first, second = made(X).sample(), made(X).sample()
    assert np.any(first != second)
    np.testing.assert_array_equal(loaded(X).sample(), first)
    np.testing.assert_array_equal(loaded(X).sample(), second)


# What it looks like


def test_the_summary_has_the_shapes_of_parameters(capsys):
    made = model(kg.layers.NormalHead(1))
    made.summary()
    out = capsys.readouterr().out
    assert "(None, 1)" in out and "?" not in out
    policy = kg.Policy(keras.Sequential([keras.Input((3,)), layers.Dense(2)]), kg.layers.NormalHead(1))
    policy(X)
    policy.summary(line_length=120)
    out = capsys.readouterr().out
    assert "mu: (48, 1)" in out and "?" not in out


def test_layers_inputs_and_outputs_are_those_of_a_functional_model():
    made = model(kg.layers.NormalHead(1))
    assert [type(x).__name__ for x in made.layers] == ["InputLayer", "Dense", "NormalHead"]
    assert made.get_layer("x") is made.layers[0]
    assert type(made.output) is kg.NormalDist and made.output.batch_shape == (None,)
    features_of = keras.Model(made.input, made.layers[1].output)
    assert features_of(X).shape == (48, 8)
    assert json.loads(made.to_json())["class_name"] == "Model"


@pytest.mark.exhaustive
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_and_xla(policy):
    keras.config.set_dtype_policy(policy)
    try:
        made = model(kg.layers.NormalHead(1))
    finally:
        keras.config.set_dtype_policy("float32")
    made.compile("adam", jit_compile=True)
    history = made.fit(X, X[:, :1], epochs=2, verbose=0).history["loss"]
    assert np.all(np.isfinite(history))


@pytest.mark.parametrize(
    ("inputs", "outputs", "error", "match"),
    [
        ("x", None, ValueError, "must be given together"),
        (None, "y", ValueError, "must be given together"),
        ("x", 3, TypeError, "`outputs` must be distributions and KerasTensors"),
        ("x", "constant", ValueError, "must come from the inputs"),
    ],
)
def test_wrong_outputs(inputs, outputs, error, match):
    x, h = features()
    given = {"x": x, "y": h, None: None, 3: 3, "constant": kg.NormalDist([[0.0]], [[0.0]])}
    with pytest.raises(error, match=match):
        kg.Model(given[inputs], given[outputs])


def test_a_model_without_inputs_and_call():
    with pytest.raises(NotImplementedError, match="without inputs and outputs must define `call`"):
        kg.Model()(X)


def test_targets_that_are_missing():
    inputs, h = features()
    made = kg.Model(inputs, kg.layers.NormalHead(1)(h))
    made.compile("adam")
    with pytest.raises(ValueError, match="`y` must hold targets of each output that has a loss. Received: none of"):
        made.fit(X, verbose=0)


def test_no_rows():
    made = several()
    got = made.predict(X[:0], verbose=0)
    assert got["y"].batch_shape == (0,) and got["sum"].shape == (0, 1)
    made.compile("adam")
    with pytest.raises(ValueError, match="at least one row"):
        made.evaluate(X[:0], TARGETS)


def test_export_serves_outputs_by_their_names(tmp_path):
    made = several()
    expected = made(X)
    made.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    answer = served.serve(X)
    assert set(answer) == {"y/mu", "y/logvar", "label/logits", "sum"}
    np.testing.assert_allclose(answer["y/mu"], expected["y"].mu, atol=1e-6)
    made.export(tmp_path / "modes", endpoint="mode_action", verbose=False)
    served = tf.saved_model.load(tmp_path / "modes")
    answer = served.serve(X)
    assert set(answer) == {"y/mode_action", "label/mode_action", "sum"}
    np.testing.assert_array_equal(answer["label/mode_action"], expected["label"].mode_action())


def test_export_of_a_subclass_needs_a_signature(tmp_path):
    class Own(kg.Model):
        def __init__(self):
            super().__init__()
            self.head = kg.layers.NormalHead(1)

        def call(self, x):
            return self.head(x)

    made = Own()
    expected = made(X)
    with pytest.raises(ValueError, match="`input_signature` must be given .* Received: None"):
        made.export(tmp_path / "served")
    made.export(tmp_path / "served", [keras.InputSpec("float32", (None, 3))], verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(X)["mu"], expected.mu, atol=1e-6)


@pytest.mark.exhaustive
def test_two_replicas_join_their_outputs():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        made = several()
        made.compile("adam")
    assert type(made.predict(X, verbose=0)["y"]) is kg.NormalDist
