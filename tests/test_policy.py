import gymnasium
import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Tuple

import kgdists as kg
from kgdists.layers import CategoricalHead, NormalHead, RunningNormalization
from kgdists.models.serving import by_path
from tests.marks import exhaustive
from tests.processes import run_python

try:
    from ai_edge_litert.interpreter import Interpreter
except ModuleNotFoundError:
    Interpreter = tf.lite.Interpreter

HEADS = {
    "categorical": lambda: CategoricalHead(3),
    "normal": lambda: NormalHead(2),
    "normal_state_dependent": lambda: NormalHead(2, state_dependent=True),
}
each_head = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)


def made(head, num_features=4, **options):
    trunk = keras.Sequential([keras.Input((num_features,)), keras.layers.Dense(8, "tanh", **options)])
    policy = kg.Policy(trunk, head)
    policy(np.zeros((1, num_features)))
    return policy


def observations(n=37, num_features=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, num_features)).astype("float32")


def assert_same_params(p, q):
    assert type(p) is type(q)
    for name in p.params:
        np.testing.assert_array_equal(p.params[name], q.params[name])


def of_dicts(head):
    parts = {"near": keras.Input((2,), name="near"), "far": keras.Input((3,), name="far")}
    policy = kg.Policy(keras.Model(parts, keras.layers.Concatenate()(list(parts.values()))), head)
    return policy, {"near": observations(5, 2), "far": observations(5, 3)}


def labels_of(x):
    return (x[:, 0] > 0).astype("int64") + (x[:, 1] > 0)


# Calling


@each_head
def test_a_policy_is_its_head_after_its_trunk(head):
    policy, x = made(head()), observations()
    assert_same_params(policy(x), policy.head(policy.trunk(x)))


@pytest.mark.few(1)
@each_head
def test_a_call_in_a_graph(head):
    policy, x = made(head()), observations()
    pi, graph = policy(x), tf.function(policy)(x)
    assert type(graph) is type(pi)
    for name in pi.params:
        np.testing.assert_allclose(graph.params[name], pi.params[name], atol=1e-6)


def test_training_reaches_the_trunk():
    policy, x = kg.Policy(keras.layers.Dropout(0.5), NormalHead(2, kernel_gain=1.0)), observations()
    assert_same_params(policy(x), policy(x, training=False))
    assert np.any(policy(x, training=True).mu != policy(x).mu)


def test_observations_may_be_a_dict():
    policy, x = of_dicts(CategoricalHead(2))
    assert policy(x).batch_shape == (5,)


def test_the_mask_among_the_observations_goes_to_the_head():
    policy, x, mask = made(CategoricalHead(3)), observations(), np.arange(37 * 3).reshape(37, 3) % 2 == 0
    pi = policy({"observation": x, "action_mask": mask})
    np.testing.assert_array_equal(pi.logits, np.where(mask, policy(x).logits, -np.inf))


def test_the_rest_of_a_dict_with_a_mask_goes_to_the_trunk():
    policy, x = of_dicts(CategoricalHead(2))
    mask = np.tile([False, True], (5, 1))
    np.testing.assert_array_equal(policy(x | {"action_mask": mask}).mode_action(), [1] * 5)


def test_no_mask_rules_nothing_out():
    policy, x = made(NormalHead(2)), observations()
    assert_same_params(policy({"observation": x, "action_mask": None}), policy(x))


def nested():
    """A policy of nested actions, observations of it, and masks for it."""
    space = Dict(move=Discrete(3), push=Box(-1.0, 1.0, (2,)), pair=Tuple((Discrete(2), MultiBinary(3))))
    policy, x = made(kg.head_for(space)), observations(6)
    mask = {
        "move": np.tile([True, False, True], (6, 1)),
        "push": np.zeros((6, 0), "int8"),
        "pair": (np.tile([False, True], (6, 1)), np.tile(np.array([2, 1, 0], "int8"), (6, 1))),
    }
    return policy, x, {"observation": x, "action_mask": mask}


def test_masks_are_nested_as_the_actions_are():
    policy, _, masked = nested()
    action = policy(masked).sample_action()
    assert set(action["move"].numpy()) <= {0, 2} and set(action["pair"][0].numpy()) == {1}
    np.testing.assert_array_equal(action["pair"][1][:, 1:], [[1, 0]] * 6)


# Training


def test_loss_is_the_mean_negative_log_likelihood():
    policy, x = made(CategoricalHead(3, kernel_gain=1.0)), observations()
    policy.compile()
    by_hand = -np.log([policy(x).probs.numpy()[i, label] for i, label in enumerate(labels_of(x))])
    np.testing.assert_allclose(policy.evaluate(x, labels_of(x), batch_size=8, verbose=0), by_hand.mean(), rtol=1e-5)


def test_sample_weights_multiply_the_log_likelihood():
    policy, x, weights = made(NormalHead(2)), observations(), np.random.default_rng(1).random(37)
    policy.compile()
    by_hand = -policy(x).log_proba(x[:, :2]).numpy() * weights
    loss = policy.evaluate(x, x[:, :2], sample_weight=weights, batch_size=8, verbose=0)
    np.testing.assert_allclose(loss, by_hand.mean(), rtol=1e-5)


@pytest.mark.exhaustive
def test_actions_may_be_nested():
    policy, x, masked = nested()
    policy.compile(keras.optimizers.Adam(0.05))
    actions = keras.tree.map_structure(np.asarray, policy(masked).sample_action(seed=0))
    before = -np.mean(policy(x).log_proba(actions))
    np.testing.assert_allclose(policy.evaluate(x, actions, verbose=0), before, rtol=1e-5)
    policy.fit(x, actions, epochs=10, verbose=0)
    assert policy.evaluate(x, actions, verbose=0) < before - 0.1


@pytest.mark.exhaustive
def test_cloning_within_a_mask():
    policy, x = made(CategoricalHead(3)), observations()
    masked = {"observation": x, "action_mask": np.arange(3) != labels_of(x)[:, None] - 1}
    policy.compile(keras.optimizers.Adam(0.05))
    losses = policy.fit(masked, labels_of(x), epochs=10, verbose=0).history["loss"]
    assert policy.evaluate(masked, labels_of(x), verbose=0) < losses[0] < np.log(3.0)


@pytest.mark.exhaustive
def test_what_has_no_weight_is_not_learned():
    x, y = observations(64), np.repeat([0, 1], 32)
    policy = made(CategoricalHead(2))
    policy.compile(keras.optimizers.Adam(0.1))
    policy.fit(x, y, sample_weight=np.repeat([0.0, 1.0], 32), epochs=20, verbose=0)
    assert (policy(x).probs.numpy()[:, 1] > 0.9).all()


def test_the_losses_of_the_layers_are_added():
    policy, x = made(NormalHead(2), kernel_regularizer=keras.regularizers.L2(0.5)), observations()
    policy.compile()
    penalty = 0.5 * np.sum(policy.trunk.layers[0].kernel.numpy() ** 2)
    nll = -np.mean(policy(x).log_proba(x[:, :2]))
    np.testing.assert_allclose(policy.evaluate(x, x[:, :2], verbose=0), nll + penalty, rtol=1e-5)


@pytest.mark.few(1)
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
@pytest.mark.parametrize("head", [CategoricalHead, NormalHead])
def test_fit_raises_the_likelihood(head, jit_compile):
    x = observations(256)
    y = labels_of(x) if head is CategoricalHead else x[:, :3]
    policy = made(head(3))
    policy.compile(keras.optimizers.Adam(0.02), jit_compile=jit_compile)
    losses = policy.fit(x, y, epochs=8, batch_size=64, verbose=0).history["loss"]
    assert policy.evaluate(x, y, verbose=0) < 0.9 * losses[0]


@pytest.mark.exhaustive
def test_cloning_a_categorical_policy():
    table = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [1 / 3, 1 / 3, 1 / 3]])
    contexts = np.repeat(np.arange(3), 1000)
    labels = (np.random.default_rng(0).random((3000, 1)) > table[contexts].cumsum(axis=1)).sum(axis=1)
    policy = kg.Policy(keras.layers.Identity(), CategoricalHead(3))
    policy.compile(keras.optimizers.Adam(0.1))
    policy.fit(np.eye(3, dtype="float32")[contexts], labels, batch_size=3000, epochs=200, verbose=0)
    probs = policy(np.eye(3, dtype="float32")).probs
    frequencies = [[np.mean(labels[contexts == i] == j) for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(probs, frequencies, atol=5e-3)
    np.testing.assert_allclose(probs, table, atol=0.05)


@pytest.mark.exhaustive
def test_cloning_a_normal_policy_whose_spread_depends_on_the_state():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.0, 1.0, (4000, 1)).astype("float32")
    y = np.concatenate([2.0 * x, 1.0 - x], axis=1) + np.exp([0.0, -1.0] + [0.5, -1.0] * x) * rng.normal(size=(4000, 2))
    policy = kg.Policy(keras.layers.Identity(), NormalHead(2, state_dependent=True))
    policy.compile(keras.optimizers.Adam(0.05))
    policy.fit(x, y, batch_size=1000, epochs=60, verbose=0)
    pi = policy(np.array([[-1.0], [0.0], [1.0]], "float32"))
    np.testing.assert_allclose(pi.mean(), [[-2.0, 2.0], [0.0, 1.0], [2.0, 0.0]], atol=0.1)
    np.testing.assert_allclose(0.5 * pi.logvar, [[-0.5, 0.0], [0.0, -1.0], [0.5, -2.0]], atol=0.1)


@pytest.mark.exhaustive
def test_labels_may_be_a_column_or_one_hot():
    policy, x = made(CategoricalHead(3)), observations()
    policy.compile()
    forms = labels_of(x), labels_of(x)[:, None], np.eye(3)[labels_of(x)]
    losses = [-np.mean(policy(x).log_proba(y)) for y in forms]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-6)
    for y in forms:
        policy.compile()  # another rank needs another trace
        np.testing.assert_allclose(policy.evaluate(x, y, verbose=0), losses[0], rtol=1e-5)


def test_fit_on_a_dataset_with_a_smaller_last_batch():
    policy, x = made(CategoricalHead(3)), observations(37)
    policy.compile(keras.optimizers.SGD(0.0))
    data = tf.data.Dataset.from_tensor_slices((x, labels_of(x))).batch(8)
    history = policy.fit(data, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], -np.mean(policy(x).log_proba(labels_of(x))), rtol=1e-5)


@pytest.mark.exhaustive
def test_fit_on_a_dataset_of_masks_nested_actions_and_weights():
    policy, _, masked = nested()
    policy.compile(keras.optimizers.SGD(0.0))
    actions = keras.tree.map_structure(np.asarray, policy(masked).sample_action(seed=0))
    weights = np.arange(1.0, 7.0, dtype="float32")
    data = tf.data.Dataset.from_tensor_slices((masked, actions, weights)).batch(4)
    log_proba = policy(masked).log_proba(actions)
    by_hand = -np.mean(log_proba * weights)
    np.testing.assert_allclose(policy.fit(data, shuffle=False, verbose=0).history["loss"], by_hand, rtol=1e-5)
    np.testing.assert_allclose(policy.evaluate(data, verbose=0), by_hand, rtol=1e-5)
    np.testing.assert_allclose(policy.predict(data, verbose=0).log_proba(actions), log_proba, rtol=1e-5)


def test_wrong_actions_are_an_error():
    policy, x = made(NormalHead(2)), observations()
    policy.compile()
    with pytest.raises(ValueError, match="`y` must have shape .* Received: y of shape"):
        policy.evaluate(x, x[:, :3], verbose=0)


# Predicting


@pytest.mark.few(1)
@each_head
def test_predict_joins_the_batches_into_one_distribution_of_arrays(head):
    policy, x = made(head()), observations(37)
    predicted, pi = policy.predict(x, batch_size=8, verbose=0), policy(x)
    assert type(predicted) is type(pi) and predicted.batch_shape == (37,)
    for name in pi.params:
        assert type(predicted.params[name]) is np.ndarray
        np.testing.assert_allclose(predicted.params[name], pi.params[name], atol=1e-6)


@pytest.mark.few(1)
@each_head
def test_what_predict_returns_is_a_distribution(head):
    policy, x = made(head()), observations(37)
    predicted, pi = policy.predict(x, verbose=0), policy(x)
    actions = predicted.sample_action()
    assert actions.shape == pi.sample_action().shape
    np.testing.assert_allclose(predicted.log_proba(actions), pi.log_proba(actions), rtol=1e-4)
    np.testing.assert_allclose(predicted.entropy(), pi.entropy(), rtol=1e-4)


def test_predict_with_nested_observations_and_actions():
    policy, _, masked = nested()
    predicted, pi = policy.predict(masked, batch_size=4, verbose=0), policy(masked)
    assert predicted.batch_shape == (6,)
    for name, x in pi.params.items():
        np.testing.assert_allclose(predicted.params[name], x, atol=1e-6)


# Configs and files


@each_head
def test_config_round_trip(head):
    policy = made(head())
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(policy))
    assert type(twin) is kg.Policy and twin.get_config() == policy.get_config()


@pytest.mark.few(2)
@each_head
def test_a_clone_has_the_same_shape_and_weights_of_its_own(head):
    policy, x = made(head()), observations()
    clone = keras.models.clone_model(policy)
    assert clone(x).batch_shape == policy(x).batch_shape
    assert not {id(weight) for weight in clone.weights} & {id(weight) for weight in policy.weights}
    clone.set_weights(policy.get_weights())
    assert_same_params(clone(x), policy(x))


@pytest.mark.exhaustive
@each_head
def test_a_saved_policy_continues_to_train(head, tmp_path):
    policy, x = made(head()), observations()
    policy.compile(keras.optimizers.Adam(0.01))
    y = policy(x).sample_action(seed=0).numpy()
    policy.fit(x, y, verbose=0)
    policy.save(tmp_path / "policy.keras")
    loaded = keras.models.load_model(tmp_path / "policy.keras")
    for model in (policy, loaded):
        model.fit(x, y, batch_size=37, epochs=3, verbose=0)
    for mine, theirs in zip(policy.trainable_variables, loaded.trainable_variables, strict=True):
        np.testing.assert_allclose(theirs, mine, atol=1e-6)


def test_a_policy_of_masks_and_nested_actions_is_saved(tmp_path):
    trunk = keras.Sequential([keras.layers.Dense(8)])  # of no known inputs
    policy = kg.Policy(trunk, kg.head_for(Tuple((Discrete(3), Discrete(2)))))
    mask = (np.tile([True, False, True], (37, 1)), np.tile([True, True], (37, 1)))
    masked = {"observation": observations(), "action_mask": mask}
    pi = policy(masked)
    policy.save(tmp_path / "policy.keras")
    loaded = keras.models.load_model(tmp_path / "policy.keras")
    loaded.save(tmp_path / "again.keras")
    for name, x in pi.params.items():
        np.testing.assert_array_equal(loaded(masked).params[name], x)


def test_running_normalization_in_the_trunk_is_saved(tmp_path):
    policy = kg.Policy(RunningNormalization(), CategoricalHead(2))
    x = observations()
    policy(x)
    policy.trunk.update(5.0 + 3.0 * x)
    policy.save(tmp_path / "policy.keras")
    assert_same_params(keras.models.load_model(tmp_path / "policy.keras")(x), policy(x))


# Inside a Functional model


def sampler(policy):
    inputs = keras.Input((4,))
    return keras.Model(inputs, policy(inputs).sample())


@pytest.mark.few(1)
@each_head
def test_a_functional_model_draws_afresh_at_each_call(head):
    model, x = sampler(made(head())), observations()
    assert np.any(model(x) != model(x))
    assert model.predict(x, batch_size=8, verbose=0).shape == model(x).shape


@pytest.mark.few(2)
@each_head
def test_a_functional_model_contains_the_policy(head):
    policy = made(head())
    assert {id(weight) for weight in policy.trainable_variables} == {
        id(weight) for weight in sampler(policy).trainable_variables
    }


@pytest.mark.few(1)
@each_head
def test_a_functional_model_reloads_and_draws(head, tmp_path):
    model, x = sampler(made(head())), observations()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert np.any(loaded(x) != loaded(x))
    for mine, theirs in zip(model.trainable_variables, loaded.trainable_variables, strict=True):
        np.testing.assert_array_equal(theirs, mine)


@pytest.mark.exhaustive
def test_a_functional_model_trains_through_its_samples():
    policy, x = made(NormalHead(1)), observations(256)
    model = sampler(policy)
    model.compile(keras.optimizers.Adam(0.05), loss="mse")
    model.fit(x, np.full((256, 1), 3.0), epochs=30, verbose=0)
    np.testing.assert_allclose(policy(x).mean(), 3.0, atol=0.5)
    assert (policy(x).variance().numpy() < 0.5).all()


def test_the_mode_is_a_functional_output_too(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, made(NormalHead(2))(inputs).mode())
    model.save(tmp_path / "model.keras")
    x = observations()
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), model(x))


# Mixed precision


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def half(request):
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(request.param)
    yield request.param.removeprefix("mixed_")
    keras.mixed_precision.set_dtype_policy(before)


@pytest.mark.exhaustive
@pytest.mark.parametrize("head", [CategoricalHead, NormalHead])
def test_mixed_precision_trains(half, head):
    x = observations(256)
    y = labels_of(x) if head is CategoricalHead else x[:, :3]
    policy = made(head(3))
    policy.compile(keras.optimizers.Adam(0.02))
    losses = policy.fit(x, y, epochs=8, batch_size=64, verbose=0).history["loss"]
    # The distribution keeps the precision of the variables: that of a density is what half of it would lose.
    assert policy.compute_dtype == half and policy(x).dtype == "float32" and losses[-1] < 0.9 * losses[0]


@pytest.mark.few(1)
@each_head
def test_mixed_precision_is_saved(half, head, tmp_path):
    policy, x = made(head()), observations()
    policy.save(tmp_path / "policy.keras")
    loaded = keras.models.load_model(tmp_path / "policy.keras")
    assert loaded(x).dtype == "float32" and loaded.compute_dtype == half
    assert_same_params(loaded(x), policy(x))


# Export


@pytest.mark.few(1)
@each_head
def test_export_serves_parameters_and_actions(head, tmp_path):
    policy, x = made(head()), observations()
    policy.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    answer, pi = served.serve(x), policy(x)
    assert set(answer) == {*pi.params, "action", "mode_action"}
    for name in pi.params:
        np.testing.assert_allclose(answer[name], pi.params[name], atol=1e-6)
    np.testing.assert_allclose(answer["mode_action"], pi.mode_action(), atol=1e-6)
    assert answer["action"].dtype == pi.sample_action().dtype and answer["action"].shape == pi.sample_action().shape
    assert np.any(served.serve(x)["action"] != served.serve(x)["action"])


SERVED = {
    "categorical": Discrete(5),
    "squashed normal": Box(-1.0, 1.0, (2,)),
    "composite": Dict({"move": Discrete(3), "flags": MultiBinary(2)}),
}


def exported(policy, path, format, endpoint, inputs, signature=None):
    """The named outputs of an exported policy for a dict of inputs, by what reads it where kgdists is not."""
    onnxruntime = pytest.importorskip("onnxruntime") if format == "onnx" else None
    path = str(path / f"{endpoint}.tflite")
    policy.export(path, signature, format=format, endpoint=endpoint, verbose=False)
    if format == "tf_saved_model":
        served = tf.saved_model.load(path)
        return served.serve(inputs.get("observations", inputs))
    if format == "onnx":
        session = onnxruntime.InferenceSession(path)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))
    return Interpreter(path).get_signature_runner()(**inputs)


@pytest.mark.few(2)
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("endpoint", ["parameters", "mode_action"])
@pytest.mark.filterwarnings("ignore::FutureWarning:keras", "ignore::DeprecationWarning")  # of the writers of ONNX
@pytest.mark.parametrize("format", ["tf_saved_model", "litert", *exhaustive("onnx")])
@pytest.mark.parametrize("space", SERVED)
def test_the_formats_of_keras_serve_parameters_and_modes(space, format, endpoint, tmp_path):
    """With the normalization of observations and its clipping; LiteRT by its built-in operations alone."""
    normalization, x = RunningNormalization(clip=1.5), observations(10_000)
    trunk = keras.Sequential([keras.Input((4,)), normalization, keras.layers.Dense(8, "tanh")])
    policy = kg.Policy(trunk, kg.head_for(SERVED[space], kernel_gain=1.0))
    normalization.update(2.0 * x[:100] + 1.0)
    answer = exported(policy, tmp_path, format, endpoint, {"observations": x})
    pi = policy(x)
    expected = pi.params if endpoint == "parameters" else by_path("mode_action", pi.mode_action())
    assert set(answer) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(answer[name], value, atol=1e-5)


def test_an_endpoint_that_does_not_exist(tmp_path):
    with pytest.raises(
        ValueError, match="`endpoint` must be one of parameters, action, mode_action. Received: endpoint='mode'"
    ):
        made(CategoricalHead(3)).export(tmp_path / "served", endpoint="mode")


def test_only_a_saved_model_draws(tmp_path):
    policy, x = made(CategoricalHead(3)), observations()
    with pytest.raises(ValueError, match="no other format draws. Received: endpoint='action', format='litert'"):
        policy.export(tmp_path / "served.tflite", format="litert", endpoint="action")
    policy.export(tmp_path / "served", endpoint="action", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    assert set(served.serve(x)) == {"action"} and np.any(served.serve(x)["action"] != served.serve(x)["action"])


def test_export_takes_every_batch_size(tmp_path):
    made(CategoricalHead(3)).export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    assert [served.serve(observations(n))["action"].shape for n in (1, 5)] == [(1,), (5,)]


def test_export_of_a_trunk_without_inputs_needs_a_signature(tmp_path):
    policy, x = kg.Policy(keras.layers.Identity(), CategoricalHead(2)), observations()
    policy(x)
    with pytest.raises(ValueError, match="`input_signature` must be given .*Received: None"):
        policy.export(tmp_path / "served")
    policy.export(tmp_path / "served", [keras.InputSpec("float32", (None, 4))], verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_array_equal(served.serve(x)["logits"], policy(x).logits)


@pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning")  # Keras, of its own copy of the dict
def test_export_of_dict_observations(tmp_path):
    policy, x = of_dicts(CategoricalHead(2))
    policy(x)
    policy.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(x)["logits"], policy(x).logits, atol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.filterwarnings("ignore::FutureWarning:keras", "ignore::DeprecationWarning")  # of the writers of ONNX
@pytest.mark.parametrize("format", ["tf_saved_model", "onnx", "litert"])
def test_export_with_masks(format, tmp_path):
    policy, x = made(CategoricalHead(3)), observations()
    masked = {"observation": x, "action_mask": np.arange(37 * 3).reshape(37, 3) % 2 == 0}
    pi = policy(masked)
    specs = {"observation": keras.InputSpec("float32", (None, 4)), "action_mask": keras.InputSpec("bool", (None, 3))}
    lowest = np.finfo("float32").min if format == "litert" else -np.inf  # which stands for a choice that is ruled out
    for endpoint, expected in {"parameters": pi.logits, "mode_action": pi.mode_action()}.items():
        answers = exported(policy, tmp_path, format, endpoint, masked, [specs])
        answer = answers["logits" if endpoint == "parameters" else endpoint]
        np.testing.assert_allclose(answer, np.maximum(expected, lowest), atol=1e-6)


@pytest.mark.exhaustive
def test_an_exported_policy_draws_what_a_mask_allows(tmp_path):
    policy, x = made(CategoricalHead(3)), observations()
    masked = {"observation": x, "action_mask": np.arange(37 * 3).reshape(37, 3) % 2 == 0}
    policy(masked)
    specs = {"observation": keras.InputSpec("float32", (None, 4)), "action_mask": keras.InputSpec("bool", (None, 3))}
    answer = exported(policy, tmp_path, "tf_saved_model", "action", masked, [specs])
    assert masked["action_mask"][np.arange(37), answer["action"]].all()


@pytest.mark.exhaustive
def test_export_of_nested_actions_names_them_by_their_paths(tmp_path):
    policy, x, _ = nested()
    policy.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    answer, pi = served.serve(x), policy(x)
    paths = {"move", "push", "pair/0", "pair/1"}
    assert set(answer) == {*pi.params, *(f"{kind}/{path}" for kind in ("action", "mode_action") for path in paths)}
    np.testing.assert_array_equal(answer["mode_action/pair/0"], pi.mode_action()["pair"][0])
    assert set(served.signatures["serving_default"](observations=tf.constant(x))) == set(answer)


# Another process

ELSEWHERE = """
    import sys

    import numpy as np
    import tensorflow as tf

    folder = sys.argv[1]
    observations = {name: np.load(f"{folder}/{name}.npy") for name in ("CartPole-v1", "Pendulum-v1")}
    for name, x in observations.items():
        served = tf.saved_model.load(f"{folder}/{name}.served")
        np.savez(f"{folder}/{name}.served.npz", **served.serve(x))
    assert "kgdists" not in sys.modules

    import gymnasium
    import keras
    import kgdists as kg

    for name, x in observations.items():
        policy = keras.models.load_model(f"{folder}/{name}.keras", safe_mode=True)
        np.savez(f"{folder}/{name}.params.npz", **policy(x).params)
        env = gymnasium.make(name)
        observation, _ = env.reset(seed=0)
        for step in range(30):
            action = kg.decode_action(env.action_space, policy(observation[None]).sample_action())[0]
            assert env.action_space.contains(action), action
            observation, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                break
        np.savez(f"{folder}/{name}.episode.npz", steps=step)
"""
ENVS = {"CartPole-v1": 4, "Pendulum-v1": 3}
each_env = pytest.mark.parametrize("env", ENVS)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Policies of this process, and what a process that loads their files makes of them."""
    folder, policies = tmp_path_factory.mktemp("elsewhere"), {}
    for name, num_features in ENVS.items():
        policy = made(kg.head_for(gymnasium.make(name).action_space, kernel_gain=1.0), num_features)
        policy.save(folder / f"{name}.keras")
        policy.export(folder / f"{name}.served", verbose=False)
        np.save(folder / f"{name}.npy", observations(37, num_features))
        policies[name] = policy(observations(37, num_features))
    run_python(ELSEWHERE, folder)
    return policies, lambda file: np.load(folder / file)


@pytest.mark.exhaustive
@each_env
def test_a_policy_loaded_elsewhere_is_the_same_to_the_last_bit(elsewhere, env):
    policies, load = elsewhere
    loaded, params = load(f"{env}.params.npz"), policies[env].params
    assert set(loaded) == set(params)
    for name in params:
        np.testing.assert_array_equal(loaded[name], params[name])


@pytest.mark.exhaustive
@each_env
def test_a_policy_loaded_elsewhere_acts(elsewhere, env):
    _, load = elsewhere
    assert load(f"{env}.episode.npz")["steps"] > 5


@pytest.mark.exhaustive
@each_env
def test_an_exported_policy_does_without_kgdists(elsewhere, env):
    policies, load = elsewhere
    served = load(f"{env}.served.npz")
    for name, x in policies[env].params.items():
        np.testing.assert_allclose(served[name], x, atol=1e-6)


# No rows.


@pytest.mark.parametrize("head", [CategoricalHead(3), NormalHead(2)])
def test_predict_of_no_rows_is_a_distribution_of_none(head):
    policy = kg.Policy(keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)]), head)
    dist = policy.predict(np.zeros((0, 4)), verbose=0)
    assert dist.batch_shape == (0,) and all(isinstance(x, np.ndarray) for x in dist.params.values())
    assert type(dist) is type(policy(np.zeros((2, 4))))
    assert policy(np.zeros((0, 4))).sample_action().shape[0] == 0


def test_no_rows_cannot_be_evaluated_and_train_nothing():
    policy = kg.Policy(keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)]), NormalHead(2))
    policy.compile("adam")
    policy(np.zeros((2, 4)))
    before = [np.array(w) for w in policy.trainable_variables]
    assert before
    assert float(policy.train_on_batch(np.zeros((0, 4)), np.zeros((0, 2)))) == 0.0
    for was, now in zip(before, policy.trainable_variables, strict=True):
        np.testing.assert_array_equal(was, now)
    with pytest.raises(ValueError, match="`x` must have at least one row"):
        policy.evaluate(np.zeros((0, 4)), np.zeros((0, 2)))


def test_a_loss_of_numbers_is_refused_by_a_policy():
    policy, x = made(NormalHead(1)), observations()
    policy.compile("adam", loss="mse")
    with pytest.raises(ValueError, match=r"`loss` of a distribution must be one of nll, crps, energy, or a function"):
        policy.fit(x, x[:, :1], verbose=0)


def test_targets_without_the_axis_of_the_event_are_told_to_a_policy():
    policy, x = made(NormalHead(1)), observations()
    policy.compile("adam")
    with pytest.raises(ValueError, match=r"must have shape \[N, 1\]: write `y\[:, None\]`"):
        policy.fit(x, x[:, 0], verbose=0)
