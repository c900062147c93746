"""What every head must do; a new head is one more line of the table."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.marks import exhaustive, quick
from tests.table import HEADS, QUICK_HEADS, has

each_head = pytest.mark.parametrize(
    "make",
    quick(
        QUICK_HEADS,
        {name: lambda c=c, a=a, **options: c(**a, **options) for name, (c, a, _, _) in HEADS.items()},
    ),
)
HALVES = ["float16", "bfloat16"]


def features(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def assert_same_params(p, q):
    assert type(p) is type(q)
    for name in p.params:
        np.testing.assert_array_equal(p.params[name], q.params[name])


def sequential(head):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "tanh"), head])


def functional(head):
    inputs = keras.Input((4,))
    return keras.Model(inputs, head(keras.layers.Dense(5, "tanh")(inputs)).sample())


@pytest.mark.parametrize("batch", [(1,), (7,), (7, 2)])
@pytest.mark.parametrize("cls, args, dist, width", quick(QUICK_HEADS, HEADS))
def test_distribution_and_shapes(cls, args, dist, width, batch):
    pi = cls(**args)(features(*batch, 4))
    assert type(pi) is dist and pi.batch_shape == batch and pi.event_shape == (width,)


@pytest.mark.parametrize("cls, args, dist, width", quick(QUICK_HEADS, HEADS))
def test_a_symbolic_distribution_of_symbolic_features(cls, args, dist, width):
    pi = cls(**args)(keras.Input((4,)))
    assert type(pi) is dist and pi.batch_shape == (None,) and pi.event_shape == (width,)


@each_head
def test_gradients_reach_every_trainable_weight(make):
    head = make()
    variates = head(features(7, 4)).sample(seed=0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(head(features(7, 4)).log_proba(variates) ** 2)
    gradients = tape.gradient(loss, head.trainable_variables)
    assert len(gradients) >= 2 and all(np.any(gradient) for gradient in gradients)


@each_head
def test_kernel_gain_0_starts_with_the_same_distribution_for_all_features(make):
    pi = make(kernel_gain=0.0)(features(7, 4))
    for name, x in pi.params.items():
        if name != "loadings":  # those are of the features themselves
            np.testing.assert_allclose(x, np.broadcast_to(x[0], x.shape), atol=1e-6)


@pytest.mark.exhaustive
@each_head
def test_draws_of_one_head_in_a_model_differ(make):
    head, inputs = make(random_seed=5), keras.Input((4,))
    first, second = keras.Model(inputs, [head(inputs).sample(), head(inputs).sample()])(features(7, 4))
    assert np.any(first != second)


@pytest.mark.few(14)
@each_head
def test_random_seed_makes_weights_and_draws_reproducible(make):
    p, q = (make(random_seed=5)(features(7, 4)) for _ in range(2))
    assert_same_params(p, q)
    np.testing.assert_array_equal([p.sample() for _ in range(3)], [q.sample() for _ in range(3)])


@pytest.mark.few(27)
@each_head
@pytest.mark.parametrize("random_seed", [None, 5])
def test_successive_draws_differ(make, random_seed):
    head, x = make(random_seed=random_seed), features(7, 4)
    assert np.any(head(x).sample() != head(x).sample())


@pytest.mark.exhaustive
@each_head
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
def test_successive_draws_differ_inside_a_traced_function(make, jit_compile):
    head, x = make(random_seed=5), tf.constant(features(7, 4))
    head.build(x.shape)
    draw = tf.function(lambda x: head(x).sample(), jit_compile=jit_compile)
    assert np.any(draw(x) != draw(x))


@each_head
def test_a_seed_outranks_the_layer_stream(make):
    head, x = make(), features(7, 4)
    np.testing.assert_array_equal(head(x).sample(seed=3), head(x).sample(seed=3))


@each_head
def test_the_random_state_belongs_to_the_layer(make):
    head = make()
    assert any(head.seed_generator.state is variable for variable in head.variables)


@each_head
def test_config_round_trip(make):
    head = make(name="actor", kernel_gain=0.5, random_seed=3)
    config = keras.saving.serialize_keras_object(head)
    twin = keras.saving.deserialize_keras_object(config)
    assert type(twin) is type(head) and twin.get_config() == head.get_config()
    x = features(7, 4)
    assert_same_params(twin(x), head(x))


@pytest.mark.few(10)
@each_head
def test_clone_of_a_sequential_model(make):
    model, x = sequential(make()), features(7, 4)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert_same_params(clone(x), model(x))


@pytest.mark.exhaustive
@each_head
def test_clone_of_a_functional_model_that_samples(make):
    model, x = functional(make()), features(7, 4)
    clone = keras.models.clone_model(model)
    assert clone(x).shape == model(x).shape


@pytest.mark.few(9)
@each_head
def test_weights_survive_a_file(make, tmp_path):
    model, twin, x = sequential(make()), sequential(make()), features(7, 4)
    model.save_weights(tmp_path / "model.weights.h5")
    twin.load_weights(tmp_path / "model.weights.h5")
    assert_same_params(twin(x), model(x))


@pytest.mark.few(3)
@each_head
def test_a_functional_model_that_samples_survives_a_file(make, tmp_path):
    model, x = functional(make()), features(7, 4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    first, second = loaded(x), loaded(x)
    assert first.shape == model(x).shape and np.any(first != second)


@pytest.mark.few(19)
@each_head
@pytest.mark.parametrize("policy", HALVES)
def test_half_precision_gives_finite_values(make, policy):
    head = make(dtype=policy)
    pi = head(features(7, 4))
    x, log_proba = pi.sample_and_log_proba()
    values = [pi.entropy()] if has(pi, "entropy") else []
    values += [pi.kl_divergence(pi)] if has(pi, "kl_divergence") else []
    for tensor in (*pi.params.values(), x, log_proba, *values):
        assert tensor.dtype == policy and np.isfinite(tf.cast(tensor, "float32")).all()


@each_head
def test_float64(make):
    pi = make(dtype="float64")(features(7, 4))
    assert pi.dtype == pi.sample().dtype == pi.log_proba(pi.sample()).dtype == "float64"


@each_head
def test_a_bad_random_seed_is_an_error(make):
    with pytest.raises(ValueError, match="seed.*Received: .*today"):
        make(random_seed="today")


@pytest.mark.parametrize("name", quick(QUICK_HEADS, list(HEADS)))
def test_widths_are_whole_numbers_of_python_and_numpy(name):
    cls, arguments, _, _ = HEADS[name]
    widths = {name: n for name, n in arguments.items() if name in ("num_dims", "num_categories", "num_components")}
    for kind in (np.int64, np.uint8, np.array, tf.constant, lambda n: np.prod((n,))):
        head = cls(**arguments | {name: kind(n) for name, n in widths.items()})
        assert all(type(head.get_config()[name]) is int for name in widths)
    for width, bad in itertools.product(widths, (True, np.True_, 2.0, tf.constant(2.0), "2", None, [2])):
        with pytest.raises(ValueError, match=f"`{width}` must be an int >= 1. Received: {width}="):
            cls(**arguments | {width: bad})


@each_head
def test_seeds_are_whole_numbers_of_python_and_numpy(make):
    assert_same_params(make(random_seed=np.int64(5))(features(7, 4)), make(random_seed=5)(features(7, 4)))
    for bad in (True, 1.5, tf.constant(2.0)):
        with pytest.raises(ValueError, match="`random_seed` must be None or an int. Received: random_seed="):
            make(random_seed=bad)


@pytest.mark.few(3)
@each_head
def test_time_distributed_is_told_that_a_head_takes_sequences_itself(make):
    x = features(2, 3, 4)
    assert make()(x).batch_shape == (2, 3)
    around_all = keras.Sequential([keras.layers.Dense(5), make()])
    for layer in (make(), around_all):
        for given in (x, keras.Input((3, 4)), keras.Input((None, 4))):
            with pytest.raises(TypeError, match="call a head with .* itself, without `keras.layers.TimeDistributed`"):
                keras.layers.TimeDistributed(layer)(given)


@pytest.mark.parametrize("name", quick(QUICK_HEADS, list(HEADS)))
def test_every_head_takes_no_rows(name):
    cls, arguments, _, _ = HEADS[name]
    dist = cls(**arguments)(np.zeros((0, 5), "float32"))
    assert dist.batch_shape == (0,) and dist.log_proba(dist.sample()).shape == dist.sample_action().shape[:1] == (0,)
