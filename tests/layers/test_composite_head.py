"""Heads side by side: structures, partial masks, and their weights in files."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdists import CompositeDist, OneOfDist
from kgdists.layers import BernoulliHead, CategoricalHead, CompositeHead, MultiCategoricalHead, NormalHead, OneOfHead
from tests.marks import exhaustive

FEATURES = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
NONE = np.zeros((7, 0), "int8")


def composite(seed=None, name=None, **options):
    seeds = iter([None] * 5 if seed is None else range(seed, seed + 5))
    heads = {
        "push": (
            NormalHead(2, random_seed=next(seeds), **options),
            {"z": BernoulliHead(2, random_seed=next(seeds), **options)},
        ),
        "move": CategoricalHead(3, random_seed=next(seeds), **options),
        "aim": {"a": MultiCategoricalHead([2, 2], random_seed=next(seeds), **options)},
    }
    return CompositeHead(heads, name=name)


def one_of(seed=None, name=None, **options):
    seeds = iter([None] * 3 if seed is None else range(seed, seed + 3))
    choice = CategoricalHead(2, random_seed=next(seeds), **options)
    within = (CategoricalHead(3, random_seed=next(seeds), **options), NormalHead(2, random_seed=next(seeds), **options))
    return OneOfHead((choice, within), name=name)


MASKS = {
    "composite": {
        "push": (NONE, {"z": np.tile([2, 1], (7, 1))}),
        "move": np.tile([True, False, True], (7, 1)),
        "aim": {"a": np.tile([0, 1, 1, 1], (7, 1))},
    },
    "one_of": (np.tile([True, False], (7, 1)), (np.tile([True, False, True], (7, 1)), NONE)),
}
HEADS = {"composite": (composite, CompositeDist), "one_of": (one_of, OneOfDist)}
each_head = pytest.mark.parametrize("make, dist", HEADS.values(), ids=HEADS)
each_masked = pytest.mark.parametrize(
    "make, mask", [(composite, MASKS["composite"]), (one_of, MASKS["one_of"])], ids=HEADS
)


def flat(tree):
    return keras.tree.flatten(tree)


def assert_same(got, want):
    for a, b in zip(flat(got), flat(want), strict=True):
        np.testing.assert_array_equal(a, b)


def model_of(head):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "tanh"), head])


@pytest.mark.few(2)
@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
@each_head
def test_the_distribution_has_the_structure_of_the_heads(make, dist, batch):
    pi = make()(np.zeros((*batch, 7, 4), "float32"))
    assert type(pi) is dist and pi.batch_shape == (*batch, 7)
    assert pi.event_shape == make()(keras.Input((4,))).event_shape
    if dist is CompositeDist:
        assert pi.event_shape == {"aim": {"a": (4,)}, "move": (3,), "push": ((2,), {"z": (2,)})}


@each_head
def test_gradients_reach_every_weight(make, dist):
    head = make()
    x = head(FEATURES).sample(seed=0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(head(FEATURES).log_proba(x) ** 2)
    gradients = tape.gradient(loss, head.trainable_variables)
    assert len({id(weight) for weight in head.trainable_variables}) == len(head.trainable_variables) == len(gradients)
    assert all(np.any(gradient) for gradient in gradients)


@pytest.mark.few(1)
@each_head
def test_random_seeds_make_weights_and_draws_reproducible(make, dist):
    p, q = (make(seed=5)(FEATURES) for _ in range(2))
    assert_same(p, q)
    for _ in range(3):
        assert_same(p.sample(), q.sample())
        assert_same(p.sample_action(), q.sample_action())


@each_head
@pytest.mark.parametrize("jit_compile", [None, *exhaustive(False, True)], ids=["eager", "graph", "xla"])
def test_successive_draws_differ(make, dist, jit_compile):
    head = make(seed=5)
    head.build((7, 4))

    def draw():
        return head(tf.constant(FEATURES)).sample()

    draw = draw if jit_compile is None else tf.function(draw, jit_compile=jit_compile)
    assert all(np.any(a != b) for a, b in zip(flat(draw()), flat(draw()), strict=True))


@pytest.mark.few(1)
@each_head
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_weights_survive_a_file(make, dist, suffix, tmp_path):
    model, path = model_of(make(kernel_gain=1.0)), tmp_path / f"model{suffix}"
    if suffix == ".keras":
        inputs = keras.Input((4,))
        keras.Model(inputs, model(inputs).log_proba(model(inputs).mode_action())).save(path)
        loaded = keras.models.load_model(path)
        twin = next(layer for layer in loaded.layers if isinstance(layer, keras.Sequential))
    else:
        twin = model_of(make(kernel_gain=1.0))
        model.save_weights(path)
        assert any(np.any(a != b) for a, b in zip(flat(twin(FEATURES)), flat(model(FEATURES)), strict=True))
        twin.load_weights(path)
    assert len(twin.weights) == len(model.weights)
    assert_same(twin(FEATURES), model(FEATURES))


@pytest.mark.few(1)
@each_head
def test_config_round_trip_and_clone(make, dist):
    head = make(seed=3, name="actor")
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert type(twin) is type(head) and twin.get_config() == head.get_config()
    assert_same(twin(FEATURES), head(FEATURES))
    model = model_of(make())
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert_same(clone(FEATURES), model(FEATURES))


@pytest.mark.few(3)
@each_head
@pytest.mark.parametrize("dtype", ["mixed_float16", "bfloat16", "float64"])
def test_dtypes(make, dist, dtype):
    pi = make(dtype=dtype)(FEATURES)
    x, log_proba = pi.sample_and_log_proba()
    for value in (*flat(pi), *flat(x), log_proba, pi.entropy(), pi.kl_divergence(pi)):
        assert (
            value.dtype == ("float32" if dtype.startswith("mixed") else dtype)
            and np.isfinite(tf.cast(value, "float32")).all()
        )


# Masks.


@each_masked
def test_masks_are_nested_as_the_heads_are(make, mask):
    head = make(seed=0)
    free, masked = head(FEATURES), head(FEATURES, mask)
    assert_same(head(FEATURES, action_mask=mask), masked)
    assert_same(head(FEATURES, None), free)
    for a, b, allowed in zip(flat(free.mean()), flat(masked.mean()), flat(mask), strict=True):
        assert np.any(a != b) == (allowed.shape[-1] > 0)
    for value in (masked.entropy(), masked.log_proba(masked.sample_action()), masked.kl_divergence(free)):
        assert np.isfinite(value).all()


def test_actions_obey_their_masks():
    pi = composite()(
        np.tile(FEATURES, (100, 1)), keras.tree.map_structure(lambda x: np.tile(x, (100, 1)), MASKS["composite"])
    )
    for action in (pi.sample_action(), pi.mode_action()):
        assert set(np.unique(action["move"])) <= {0, 2}
        assert (np.array(action["push"][1]["z"])[:, 1] == 1).all() and (np.array(action["aim"]["a"])[:, 0] == 1).all()


def test_a_branch_that_is_masked_is_never_chosen():
    pi = one_of()(FEATURES, MASKS["one_of"])
    choice, (label, point) = pi.sample_action()
    assert (np.array(choice) == 0).all() and (np.array(label) != 1).all() and not np.any(point)


@pytest.mark.few(1)
@each_masked
def test_masks_as_inputs_of_a_model(make, mask, tmp_path):
    head, features = make(), keras.Input((4,))
    inputs = keras.tree.map_structure(lambda x: keras.Input(x.shape[1:], dtype="int8"), mask)
    model = keras.Model([features, inputs], head(features, inputs).entropy())
    x = [FEATURES, keras.tree.map_structure(lambda x: x.astype("int8"), mask)]
    np.testing.assert_allclose(model(x), head(FEATURES, mask).entropy(), rtol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), model(x))


def test_a_mask_of_another_structure():
    with pytest.raises(ValueError, match=r"Nested values must be a dict with the keys .* Received: dict .*\['move'\]"):
        composite()(FEATURES, {"move": MASKS["composite"]["move"]})


@pytest.mark.parametrize("heads", [{}, (), {"a": 3}, ({},), "head"], ids=str)
def test_heads_must_be_layers(heads):
    with pytest.raises(ValueError, match="`heads` must be nested dicts and tuples of layers. Received: heads="):
        CompositeHead(heads)
