"""What every distribution keeps: one table, name -> constructor, drives all of it.

Draws against densities, closed forms and gradients against estimates: tests/any_backend/test_distributions.py.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists.distributions.nested import NestedDist
from tests.marks import exhaustive, quick
from tests.table import DISTRIBUTIONS, MODE_IS_NO_PEAK, NO_CLOSED_FORM, OPTIONAL, QUICK, has, moved

BATCHES = [(5,), *exhaustive((), (2, 3))]
SAMPLE_SHAPES = {(): (), 4: (4,), (4,): (4,), (2, 3): (2, 3)}

DETERMINISTIC = {
    "log_proba": lambda p, q, x: p.log_proba(x),
    "log_proba_action": lambda p, q, x: p.log_proba(p.mode_action()),
    "proba_ratio": lambda p, q, x: p.proba_ratio(x, q),
    "entropy": lambda p, q, x: p.entropy(),
    "cross_entropy": lambda p, q, x: p.cross_entropy(q),
    "kl_divergence": lambda p, q, x: p.kl_divergence(q),
    "mode": lambda p, q, x: p.mode(),
    "mode_action": lambda p, q, x: p.mode_action(),
    "mean": lambda p, q, x: p.mean(),
    "variance": lambda p, q, x: p.variance(),
}
DIFFERENTIABLE = ["log_proba", "entropy", "cross_entropy", "kl_divergence"]
BATCH_SHAPED = ["log_proba", "log_proba_action", "proba_ratio", "entropy", "cross_entropy", "kl_divergence"]
RANDOM_SEEDS = {"global": lambda: None, "int": lambda: 3, "generator": lambda: keras.random.SeedGenerator(3)}


def maker(construct):
    return lambda batch=(5,), dtype="float32", seed=0, **fields: construct(
        batch, dtype, np.random.default_rng(seed), **fields
    )


EXAMPLES = {name: maker(construct)() for name, construct in DISTRIBUTIONS.items()}


def is_of_vectors(dist):
    """Whether all parameters have the shape of the events."""
    is_flat = tuple(dist.params) == dist.PARAM_NAMES
    return is_flat and dist.event_shape == (4,) and all(x.shape == (5, 4) for x in keras.tree.flatten(dist))


@pytest.fixture(params=quick(QUICK, list(DISTRIBUTIONS)))
def make(request):
    """Constructor of one distribution of the table."""
    return maker(DISTRIBUTIONS[request.param])


# Tracing and compiling take most of the time of a test: the quick ones do it for some distributions.
symbolically = pytest.mark.parametrize(
    "make", quick(("composite", "gaussian_mixture", "beta"), list(DISTRIBUTIONS)), indirect=True
)
compiled = pytest.mark.parametrize("make", quick(("normal", "masked_categorical"), list(DISTRIBUTIONS)), indirect=True)

# All ways there are to draw and to hold parameters. What the base class does is tested with these.
KINDS = ("categorical", "normal", "beta", "full_gaussian_mixture", "composite", "one_of")


@pytest.fixture(params=KINDS)
def make_kind(request):
    """Constructor of one distribution of each kind."""
    return maker(DISTRIBUTIONS[request.param])


VECTORS = [name for name, dist in EXAMPLES.items() if is_of_vectors(dist)]


@pytest.fixture(params=quick(QUICK, VECTORS))
def make_vectors(request):
    """Constructor of one whose parameters have the shape of the events."""
    return maker(DISTRIBUTIONS[request.param])


def needs(*methods):
    """Only for the distributions that have these methods."""
    names = [name for name, dist in EXAMPLES.items() if all(has(dist, m) for m in methods)]
    return pytest.mark.parametrize("make", quick(QUICK, names), indirect=True)


each_kind_in_a_model = pytest.mark.parametrize("make_kind", quick(("composite",), KINDS), indirect=True)


@pytest.fixture
def random_seed(request):
    """A fresh value of the argument `random_seed`."""
    return RANDOM_SEEDS[request.param]()


# Streams are the same for all: two distributions draw from every kind.
each_stream = pytest.mark.parametrize(
    "make, random_seed",
    [
        pytest.param(
            name,
            kind,
            marks=() if name == "composite" or kind == "global" and name in QUICK else pytest.mark.exhaustive,
        )
        for name in DISTRIBUTIONS
        for kind in RANDOM_SEEDS
        if kind == "int" or name in ("normal", "composite")
    ],
    indirect=True,
)


def evaluate(p, q, x):
    needed = {"log_proba_action": "mode", "mode_action": "mode"}
    return {name: method(p, q, x) for name, method in DETERMINISTIC.items() if has(p, needed.get(name, name))}


def flat(tree):
    return keras.tree.flatten(tree)


def traced_and_compiled(function):
    """A function as a graph and under XLA, which is handed the same graph: nothing is traced twice."""
    traced = tf.function(function, autograph=False)  # converting the sources takes as long as all else
    return traced, tf.function(traced, jit_compile=True, autograph=False)


def same_tree(assertion, got, want, **options):
    """An assertion about arrays, leaf by leaf."""
    keras.tree.map_structure(lambda a, b: assertion(a, b, **options), got, want)


def pair(make, batch=(5,), dtype="float32"):
    """Two distributions and a variate of the first."""
    p, q = make(batch, dtype, seed=0), make(batch, dtype, seed=1)
    return p, q, p.sample(seed=2)


def assert_same_values(got, want, **tolerance):
    assert got.keys() == want.keys()
    for name in want:
        same_tree(np.testing.assert_allclose, got[name], want[name], err_msg=name, **tolerance)


def assert_same_dist(got, want):
    assert type(got) is type(want)
    assert got._static() == want._static()
    assert got.random_seed == want.random_seed
    assert got.params.keys() == want.params.keys()
    for name, x in want.params.items():
        np.testing.assert_array_equal(got.params[name], x)


def all_differ(*draws):
    """Whether no two draws have a leaf in common."""
    draws = [flat(draw) for draw in draws]
    return all(
        not np.array_equal(*leaves) for i, a in enumerate(draws) for b in draws[:i] for leaves in zip(a, b, strict=True)
    )


def leaves_of(dist):
    return [np.array(x) for x in flat(dist)]


def symbolic(dist, unknown=1):
    """A distribution like `dist` of KerasTensors, and its inputs, which do not know the first axes."""

    def like(x):
        return keras.Input((*[None] * (unknown - 1), *x.shape[unknown:]), dtype=x.dtype.name)

    dist = keras.tree.map_structure(like, dist)
    return dist, flat(dist)


def test_every_distribution_is_in_the_table():
    in_table = {type(dist).__name__ for dist in EXAMPLES.values()}
    assert in_table == set(kg.distributions.__all__) - {"transforms"}


@pytest.mark.parametrize("call", [lambda p: p.sample(), lambda p: p.log_proba(0.0)], ids=["sample", "log_proba"])
def test_a_class_without_a_method_of_the_family_says_so(call):
    class Half(kg.Distribution):
        PARAM_NAMES = ("x",)

        def __init__(self, x):
            self.set_fields(x=x)

    with pytest.raises(NotImplementedError, match="Half must define `(sample|log_proba)`"):
        call(Half(tf.zeros(2)))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_methods_without_a_closed_form_say_so(name):
    p = maker(DISTRIBUTIONS[name])()
    missing = {method for method in OPTIONAL if not has(p, method)}
    assert missing == NO_CLOSED_FORM.get(name, set())
    owner = r"\w+" if isinstance(p, NestedDist) else type(p).__name__  # one of its parts may have none
    for method in missing:
        estimator = f"kgdists.divergences.{method}" if method in kg.divergences.__all__ else ""
        with pytest.raises(NotImplementedError, match=f"{owner} has no closed form of `{method}`.*{estimator}"):
            getattr(p, method)(*[moved(p)] * (method in ("cross_entropy", "kl_divergence")))


@pytest.mark.parametrize("name", quick(QUICK, list(DISTRIBUTIONS)))
def test_the_dimensions_add_up(name):
    p = EXAMPLES[name]
    if not has(p, "elementwise_log_proba"):
        return
    x = p.sample((3,), seed=1)
    each = p.elementwise_log_proba(x)
    assert each.shape == x.shape
    axes = tuple(range(-len(p.event_shape), 0))
    np.testing.assert_allclose(np.sum(each, axis=axes), p.log_proba(x), rtol=1e-5, atol=1e-5)


# Shapes and dtypes.


def events(dist, *front):
    """The event shape, or shapes, behind other axes."""
    front = sum(front, ())
    return keras.tree.map_shape_structure(lambda shape: (*front, *shape), dist.event_shape)


def shape_of(x):
    return keras.tree.map_structure(lambda leaf: tuple(leaf.shape), x)


@pytest.mark.parametrize("batch", BATCHES)
def test_batch_and_event_shape(make, batch):
    dist = make(batch)
    assert dist.batch_shape == batch
    assert shape_of(dist.sample()) == events(dist, batch)
    assert dist.dtype == "float32"


@pytest.mark.few(13)
@pytest.mark.parametrize("batch", BATCHES)
def test_shapes_of_deterministic_methods(make, batch):
    p, q, x = pair(make, batch)
    values = evaluate(p, q, x)
    assert {shape_of(values[name]) for name in BATCH_SHAPED if name in values} == {batch}
    for name in {"mode", "mean", "variance"} & values.keys():
        assert shape_of(values[name]) == events(p, batch)


@pytest.mark.few(29)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("sample_shape", quick([(), (2, 3)], list(SAMPLE_SHAPES)))
def test_shapes_of_draws(make, batch, sample_shape):
    dist, front = make(batch), SAMPLE_SHAPES[sample_shape]
    x, log_proba = dist.sample_and_log_proba(sample_shape)
    assert shape_of(dist.sample(sample_shape)) == shape_of(x) == events(dist, front, batch)
    assert tuple(dist.log_proba(x).shape) == tuple(log_proba.shape) == (*front, *batch)


@pytest.mark.parametrize("batch", BATCHES)
@needs("mode")
def test_actions_have_one_shape_and_dtype(make, batch):
    dist = make(batch)
    drawn, best = dist.sample_action(), dist.mode_action()
    same_tree(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype) or pytest.fail(f"{a} {b}"), drawn, best)
    assert tuple(dist.log_proba(drawn).shape) == batch


NO_SHAPES = [
    *(-1, (2, -1), 1.5, (1.5,), "2", b"2", None, True, np.True_, [[2]], {2: 3}, {2, 3}, 2**31, (2**70,)),
    *(np.array([2.0]), np.array([True]), np.array([[2]]), tf.TensorShape(None), tf.TensorShape([None])),
    *(tf.constant(2.0), tf.constant(True), tf.constant(-1), tf.constant([[2]]), [tf.constant(2.0)]),
]


@pytest.mark.parametrize("sample_shape", quick([-1, (2, -1), True], NO_SHAPES[:4] + [True]))
def test_sample_shape_must_be_ints(make, sample_shape):
    with pytest.raises(ValueError, match="`sample_shape` must be .* Received: "):
        make().sample(sample_shape)


def test_no_other_sample_shape_is_taken_for_ints():
    dist = kg.NormalDist([0.0], [0.0])
    for sample_shape in (*NO_SHAPES, keras.KerasTensor((), "int32")):
        with pytest.raises(ValueError, match="`sample_shape` must be .* Received: sample_shape="):
            dist.sample(sample_shape)


def test_sample_shape_may_be_whole_numbers_of_any_library(make):
    dist = make()
    one = (np.int64(2), np.array(2), np.array([2]), tf.constant(2), tf.constant([2]), [tf.constant(2)], tf.Variable(2))
    draws = [dist.sample(n, seed=0) for n in (2, *one, keras.Variable(2, dtype="int32"), tf.TensorShape([2]))]
    assert shape_of(draws[0]) == events(dist, (2, 5))
    for x in draws[1:]:
        same_tree(np.testing.assert_array_equal, x, draws[0])


@compiled
def test_sample_shape_may_be_unknown_in_a_traced_function(make):
    dist, want = make(), {n: make().sample((n, 3), seed=0) for n in (2, 4)}
    draw = tf.function(
        lambda x: (dist.sample((tf.shape(x)[0], 3), seed=0), dist.sample(tf.shape(x)[:1]), dist.sample(tf.shape(x)[0])),
        input_signature=[tf.TensorSpec([None, None])],
        autograph=False,
    )
    for n in want:
        known, *others = draw(tf.zeros((n, 3)))
        same_tree(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), known, want[n])
        assert [shape_of(x) for x in others] == [events(dist, (n, 5))] * 2
    assert np.all([np.isfinite(x).all() for x in flat(known)])


def float_results(dist, other, x):
    values = evaluate(dist, other, x)
    drawn, log_proba = dist.sample_and_log_proba(3, seed=4)
    values |= {"sample": dist.sample(3, seed=4), "drawn": drawn, "log_proba_drawn": log_proba}
    return {name: value for name, value in values.items() if name not in ("mode", "mode_action")}


@pytest.mark.few(10)
@pytest.mark.parametrize("dtype", ["float16", "float64", *exhaustive("bfloat16", "float32")])
@pytest.mark.parametrize("floatx", ["float32", *exhaustive("float64")])
def test_dtype_in_is_dtype_out(make, dtype, floatx):
    """Whatever Keras' default float type is."""
    keras.config.set_floatx(floatx)
    try:
        values = float_results(*pair(make, dtype=dtype))
    finally:
        keras.config.set_floatx("float32")
    assert {(name, x.dtype.name) for name, value in values.items() for x in flat(value)} == {
        (name, dtype) for name in values
    }


@pytest.mark.few(6)
@pytest.mark.parametrize("half", ["bfloat16", *exhaustive("float16")])
def test_half_precision_is_the_float32_result_rounded_once(make, half):
    p, q, x = pair(make, dtype=half)
    got = evaluate(p, q, x) | {"sample": p.sample(3, seed=4)}
    wide = keras.tree.map_structure(lambda leaf: ops.cast(leaf, "float32") if leaf.dtype == half else leaf, (p, q, x))
    want = evaluate(*wide) | {"sample": wide[0].sample(3, seed=4)}
    # The action of a continuous distribution is itself rounded before its density is taken.
    got.pop("log_proba_action", None)
    for name, value in got.items():
        rounded = keras.tree.map_structure(lambda a, b: ops.cast(b, a.dtype.name), value, want[name])
        same_tree(np.testing.assert_array_equal, value, rounded, err_msg=name)


@pytest.mark.parametrize("dtype, other", [("float16", "float32"), ("float32", "float16"), ("float32", "float64")])
@needs("kl_divergence")
def test_dtypes_of_two_distributions_must_be_equal(make, dtype, other):
    with pytest.raises(ValueError, match=f"`other` must have the same dtype. Received: {dtype} and {other}"):
        make(dtype=dtype).kl_divergence(make(dtype=other))


# The same value everywhere.


@pytest.mark.exhaustive
@compiled
@pytest.mark.parametrize("batch", [(2, 3), *exhaustive(())])
def test_eager_traced_and_compiled_agree(make, batch):
    arguments = pair(make, batch, "float64")
    want = evaluate(*arguments)
    for function in traced_and_compiled(evaluate):
        assert_same_values(function(*arguments), want, rtol=1e-12, atol=1e-12)


@pytest.mark.few(1)
@symbolically
@pytest.mark.parametrize("batch", [(5,), *exhaustive((2, 3))])
def test_functional_model_agrees(make, batch):
    p, q, x = pair(make, batch, "float64")
    (p_in, p_inputs), (q_in, q_inputs) = symbolic(p), symbolic(q)
    x_in = keras.tree.map_structure(lambda leaf: keras.Input(leaf.shape[1:], dtype=leaf.dtype.name), x)
    model = keras.Model([p_inputs, q_inputs, x_in], evaluate(p_in, q_in, x_in))
    got = model([leaves_of(p), leaves_of(q), keras.tree.map_structure(np.array, x)])
    assert_same_values(got, evaluate(p, q, x), rtol=1e-12, atol=1e-12)


@pytest.mark.exhaustive
def test_two_axes_may_be_unknown(make):
    p, q, x = pair(make, (2, 3), "float64")
    (p_in, p_inputs), (q_in, q_inputs) = symbolic(p, unknown=2), symbolic(q, unknown=2)
    x_in = keras.tree.map_structure(lambda leaf: keras.Input((None, *leaf.shape[2:]), dtype=leaf.dtype.name), x)
    made = type(p).from_params(p_in.params, **p._static())
    model = keras.Model([p_inputs, q_inputs, x_in], evaluate(made, q_in, x_in))
    got = model([leaves_of(p), leaves_of(q), keras.tree.map_structure(np.array, x)])
    assert_same_values(got, evaluate(p, q, x), rtol=1e-12, atol=1e-12)
    assert shape_of(made.sample()) == events(made, (None, None))


@symbolically
def test_actions_may_be_keras_tensors(make):
    dist = make()
    action = dist.sample_action(seed=0)
    dist_in, inputs = symbolic(dist)
    action_in = keras.tree.map_structure(lambda leaf: keras.Input(leaf.shape[1:], dtype=leaf.dtype.name), action)
    model = keras.Model([inputs, action_in], dist_in.log_proba(action_in))
    np.testing.assert_allclose(
        model([leaves_of(dist), keras.tree.map_structure(np.array, action)]),
        dist.log_proba(action),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.few(2)
@symbolically
def test_symbolic_shapes_are_known(make):
    dist, _ = symbolic(make())
    assert dist.batch_shape == (None,)
    assert shape_of(dist.sample()) == events(dist, (None,))
    assert shape_of(dist.sample((2, 3))) == events(dist, (2, 3, None))
    assert shape_of(dist.sample_and_log_proba(2)) == (events(dist, (2, None)), (2, None))


@symbolically
def test_made_of_keras_tensors(make):
    dist, _ = symbolic(make())
    assert shape_of(type(dist).from_params(dist.params, **dist._static()).log_proba(dist.sample())) == (None,)


@pytest.mark.exhaustive
def test_eager_and_compiled_draws_of_one_seed_agree(make):
    dist = make(dtype="float64")

    def draw(dist):
        return dist.sample((2, 3), seed=5), dist.sample_action(seed=6)

    # Gumbel noise is of float32, divided by a temperature.
    same_tree(np.testing.assert_allclose, tf.function(draw, jit_compile=True)(dist), draw(dist), rtol=1e-5, atol=1e-6)


def test_samples_are_differentiable_in_every_parameter(make):
    dist = make()
    leaves = flat(dist)
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        x = sum(ops.sum(leaf[..., 0]) for leaf in flat(keras.tree.pack_sequence_as(dist, leaves).sample(7, seed=1)))
    for name, gradient in zip(dist.params, tape.gradient(x, leaves), strict=True):
        if name == "logits" and isinstance(dist, (kg.GaussianMixtureDist, kg.MixtureDist, kg.ZeroInflated)):
            assert gradient is None  # the choice of a component does not move
        else:
            assert np.isfinite(gradient).all() and np.any(gradient)


# Identities.


def test_log_prob_is_log_proba(make):
    p, _, x = pair(make)
    np.testing.assert_array_equal(p.log_prob(x), p.log_proba(x))


@needs("kl_divergence", "cross_entropy", "entropy")
def test_kl_is_cross_entropy_minus_entropy(make):
    p, q, _ = pair(make, (50,), "float64")
    np.testing.assert_allclose(p.kl_divergence(q), p.cross_entropy(q) - p.entropy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", *exhaustive("float16", "bfloat16", "float64")])
@needs("kl_divergence")
def test_kl_to_itself_is_exactly_zero(make, dtype):
    dist = make((50,), dtype)
    np.testing.assert_array_equal(dist.kl_divergence(dist), np.zeros(50))
    np.testing.assert_array_equal(dist.kl_divergence(make((50,), dtype)), np.zeros(50))


def test_ratio_to_itself_is_one(make):
    p, _, x = pair(make)
    np.testing.assert_array_equal(p.proba_ratio(x, p), np.ones(5))


def test_ratio_is_that_of_densities(make):
    p, q, x = pair(make, dtype="float64")
    want = np.exp(p.log_proba(x)) / np.exp(q.log_proba(x))
    np.testing.assert_allclose(p.proba_ratio(x, q), want, rtol=1e-12)


def test_sample_and_log_proba_belong_together(make):
    dist = make(dtype="float64")
    x, log_proba = dist.sample_and_log_proba(3, seed=1)
    same_tree(np.testing.assert_array_equal, x, dist.sample(3, seed=1))
    np.testing.assert_allclose(log_proba, dist.log_proba(x), rtol=1e-6, atol=1e-6)


def repeated(dist, times):
    """`dist` with a batch axis of size `times` in front."""
    return keras.tree.map_structure(lambda x: ops.broadcast_to(x, (times, *x.shape)), dist)


@pytest.mark.parametrize("name", quick(QUICK, [name for name in DISTRIBUTIONS if name not in MODE_IS_NO_PEAK]))
def test_mode_is_the_likeliest_action(name):
    dist = maker(DISTRIBUTIONS[name])((3,))
    if not has(dist, "mode"):
        return
    many = repeated(dist, 1000)
    best = np.array(many.log_proba(many.mode_action()))
    assert (many.log_proba(many.sample_action(seed=9)) <= best).numpy().all()
    np.testing.assert_array_equal(many.log_proba(many.mode()), best)


# The value: immutable, a pytree, and saved.


def test_fields_cannot_be_set_or_deleted(make):
    dist = make()
    field = dist.PARAM_NAMES[0]
    with pytest.raises(AttributeError, match=f"{type(dist).__name__} is immutable.* Received: {field} = 1"):
        setattr(dist, field, 1)
    with pytest.raises(AttributeError, match=f"{type(dist).__name__} is immutable.* Received: del {field}"):
        delattr(dist, field)
    with pytest.raises(AttributeError, match="immutable.* Received: new = 1"):
        dist.new = 1


def test_params_is_an_ordered_copy(make):
    dist = make()
    assert all(a is b for a, b in zip(dist.params.values(), flat(dist), strict=True))
    assert len(dist) == len(dist.PARAM_NAMES)
    dist.params.clear()
    assert len(dist.params) == len(flat(dist))


def test_from_params(make):
    dist = make(name="a", random_seed=4)
    assert_same_dist(type(dist).from_params(dist.params, **dist._static(), random_seed=4), dist)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64", *exhaustive("float16", "float32")])
def test_config_round_trip(make, dtype):
    dist = make(dtype=dtype, name="a", random_seed=4)
    got = type(dist).from_config(dist.get_config())
    assert_same_dist(got, dist)
    assert got.dtype == dtype


def test_keras_serialisation_round_trip(make):
    dist = make(name="a", random_seed=4)
    assert_same_dist(keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(dist)), dist)


@pytest.mark.parametrize("tree", [keras.tree, tf.nest])
def test_tree_round_trip(make, tree):
    dist = make(name="a", random_seed=4)
    leaves = tree.flatten(dist)
    assert all(leaf is x for leaf, x in zip(leaves, dist.params.values(), strict=True))
    assert_same_dist(tree.pack_sequence_as(dist, leaves), dist)
    doubled = tree.map_structure(lambda a, b: a + b, {"pi": (dist, 1.0)}, {"pi": (dist, 1.0)})["pi"][0]
    assert_same_dist(doubled, tree.pack_sequence_as(dist, [2 * leaf for leaf in leaves]))


@pytest.mark.parametrize("tree", [keras.tree, tf.nest])
def test_trees_of_fresh_instances_have_one_structure(make, tree):
    tree.assert_same_structure(make(seed=0, random_seed=4), make(seed=1, random_seed=4))


LEAVES = {
    "none": None,
    "string": "x",
    "number": 1,
    "list": [1, None, "x"],
    "type": float,
    "shape": tf.TensorShape([None, 3]),
    "unknown_spec": tf.TensorSpec(None),
    "input_spec": keras.InputSpec(),
    "array": np.zeros((2, 3)),
}


@pytest.mark.few(150)
@pytest.mark.parametrize("leaf", LEAVES.values(), ids=LEAVES.keys())
@pytest.mark.parametrize("tree", [keras.tree, tf.nest])
def test_any_leaf_can_be_unflattened_and_shown(make, tree, leaf):
    dist = make()
    got = tree.map_structure(lambda _: leaf, dist)
    assert type(got) is type(dist)
    assert all(x is leaf for x in got.params.values())
    assert repr(got).startswith(f"{type(dist).__name__}({next(iter(got.params))}=")


def test_repr_shows_dtypes_shapes_and_static_fields(make):
    dist = make((2, 3), "float16", name="a")
    text = repr(dist)
    assert text.startswith(f"{type(dist).__name__}(") and text.endswith("name='a')")
    assert all(f"{name}=<float16 {x.shape}>" in text for name, x in dist.params.items())
    dist, _ = symbolic(make())
    assert all(f"{name}=<float32 {x.shape}>" in repr(dist) for name, x in dist.params.items())


# TensorFlow: traced functions, loops, branches and data sets.


def surprise(dist):
    return -dist.log_proba(dist.sample(seed=0))


@pytest.mark.exhaustive
@symbolically
def test_into_and_out_of_a_traced_function(make):
    dist = make(name="a", random_seed=4)

    @tf.function
    def same(dist):
        return {"pi": dist}, surprise(dist)

    got, value = same(dist)
    assert_same_dist(got["pi"], dist)
    np.testing.assert_allclose(value, surprise(dist), rtol=1e-5, atol=1e-5)


@each_kind_in_a_model
def test_through_a_while_loop(make_kind):
    dist = make_kind()

    @tf.function
    def halve_thrice(dist):
        def body(i, dist):
            return i + 1, tf.nest.map_structure(lambda x: 0.5 * x, dist)

        return tf.while_loop(lambda i, dist: i < 3, body, (0, dist))[1]

    assert_same_dist(halve_thrice(dist), tf.nest.map_structure(lambda x: 0.125 * x, dist))


def test_through_a_branch(make_kind):
    p, q = make_kind(seed=0), make_kind(seed=1)

    @tf.function
    def pick(first, p, q):
        return tf.cond(first, lambda: p, lambda: q)

    assert_same_dist(pick(tf.constant(True), p, q), p)
    assert_same_dist(pick(tf.constant(False), p, q), q)


@pytest.mark.exhaustive
@each_kind_in_a_model
def test_through_a_data_set(make_kind):
    dist = make_kind()
    rows = tf.data.Dataset.from_tensor_slices(dist).map(lambda row: row)
    assert [row.batch_shape for row in rows] == [()] * 5
    (batch,) = rows.batch(5)
    assert_same_dist(batch, dist)
    surprises = list(rows.map(surprise).as_numpy_iterator())
    np.testing.assert_allclose(surprises, [surprise(row) for row in rows], rtol=1e-5, atol=1e-5)


@pytest.mark.exhaustive
@each_kind_in_a_model
def test_made_within_a_data_set(make_kind):
    dist = make_kind()
    rows = tf.data.Dataset.from_tensor_slices(dict(dist.params)).map(
        lambda params: type(dist).from_params(params, **dist._static())
    )
    (batch,) = rows.batch(5)
    assert_same_dist(batch, dist)


def counting_traces(traces):
    @tf.function
    def traced(dist):
        traces.append(dist)
        return flat(dist)

    return traced


@pytest.mark.parametrize("random_seed", [None, 3])
def test_fresh_instances_do_not_retrace(make_kind, random_seed):
    traces = []
    traced = counting_traces(traces)
    for seed in range(3):
        traced(make_kind(seed=seed, random_seed=random_seed))
    assert len(traces) == 1


@pytest.mark.few(2)
@each_stream
def test_fresh_instances_do_not_retrace_a_function_that_draws(make, random_seed):
    traces = []

    @tf.function
    def draw(dist):
        traces.append(dist)
        return dist.sample()

    assert all_differ(*[draw(make(random_seed=random_seed)) for _ in range(3)])
    assert len(traces) == 1


def test_each_static_value_is_traced_once(make_kind):
    traces = []
    traced = counting_traces(traces)
    for name in ("a", "b", "a", "b"):
        traced(make_kind(name=name))
    for random_seed in (3, 4, 3, 4):
        traced(make_kind(name="a", random_seed=random_seed))
    assert len(traces) == 4


# Keras models.


@symbolically
def test_predict_returns_numpy_parameters_of_the_whole_data(make):
    dist = make()
    dist_in, inputs = symbolic(dist)
    got = keras.Model(inputs, dist_in).predict(leaves_of(dist), batch_size=2, verbose=0)
    assert_same_dist(got, dist)
    assert all(isinstance(x, np.ndarray) for x in got.params.values())
    np.testing.assert_allclose(surprise(got), surprise(dist), rtol=1e-5, atol=1e-5)


def drawing_model(dist):
    """A Functional model of two independent draws and an action, and the arrays to call it on."""
    dist_in, inputs = symbolic(dist)
    draws = {"a": dist_in.sample(), "b": dist_in.sample(), "action": dist_in.sample_action()}
    return keras.Model(inputs, draws), leaves_of(dist)


@pytest.mark.exhaustive
@each_stream
def test_a_model_draws_afresh_at_every_node_and_call(make, random_seed):
    model, x = drawing_model(make(random_seed=random_seed))
    first, second = model.predict(x, verbose=0), model.predict(x, verbose=0)
    assert all_differ(first["a"], first["b"], second["a"], second["b"])


@pytest.mark.exhaustive
def test_models_of_one_int_seed_draw_the_same(make_kind):
    (model, x), (other, _) = drawing_model(make_kind(random_seed=4)), drawing_model(make_kind(random_seed=4))
    for _ in range(2):
        same_tree(np.testing.assert_array_equal, model(x), other(x))


@pytest.mark.exhaustive
@each_stream
def test_a_reloaded_model_draws_afresh(make, random_seed, tmp_path):
    model, x = drawing_model(make(random_seed=random_seed))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    first, second = loaded(x), loaded(x)
    assert all_differ(first["a"], first["b"], second["a"], second["b"])


@pytest.mark.exhaustive
@each_stream
def test_a_cloned_model_draws_afresh(make, random_seed):
    model, x = drawing_model(make(random_seed=random_seed))
    clone = keras.models.clone_model(model)
    first, second = clone(x), clone(x)
    assert all_differ(first["a"], first["b"], second["a"], second["b"])


@pytest.mark.exhaustive
@each_kind_in_a_model
@pytest.mark.parametrize("clone", [False, True], ids=["saved", "cloned"])
def test_nodes_that_share_a_generator_stay_apart(make_kind, clone, tmp_path):
    dist, inputs = symbolic(make_kind())
    generator = keras.random.SeedGenerator(3)
    model = keras.Model(inputs, [dist.sample(seed=generator), dist.sample(seed=generator)])
    model.save(tmp_path / "model.keras")
    copy = keras.models.clone_model(model) if clone else keras.saving.load_model(tmp_path / "model.keras")
    x = leaves_of(make_kind())
    assert all_differ(*model.predict(x, verbose=0))
    assert all_differ(*copy(x), *copy(x))


@each_kind_in_a_model
def test_the_random_state_is_part_of_the_model(make_kind):
    model, _ = drawing_model(make_kind())
    assert len(model.non_trainable_variables) >= 3


@pytest.mark.exhaustive
@each_kind_in_a_model
def test_an_int_seed_repeats_the_draw_in_a_model(make_kind, tmp_path):
    """Also in a reloaded one, which has all arguments of the draw."""
    dist = make_kind()
    dist_in, inputs = symbolic(dist)
    model = keras.Model(inputs, dist_in.sample_and_log_proba((2, 3), seed=5))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = leaves_of(dist)
    want = dist.sample_and_log_proba((2, 3), seed=5)
    for got in (model.predict_on_batch(x), model.predict_on_batch(x), loaded.predict_on_batch(x)):
        same_tree(np.testing.assert_allclose, flat(got), flat(want), rtol=1e-4, atol=1e-4)


# Seeds.


def draws_of(dist):
    return [dist.sample(), dist.sample(3), dist.sample(), dist.sample_and_log_proba()[0]]


@each_stream
def test_successive_draws_differ(make, random_seed):
    dist = make(random_seed=random_seed)
    assert all_differ(*draws_of(dist), *draws_of(dist))
    many = repeated(dist, 100)
    assert all_differ(many.sample_action(), many.sample_action())


@pytest.mark.exhaustive
@each_stream
def test_successive_traced_draws_differ(make, random_seed):
    """Within one call of a function, and from call to call."""
    dist = make(random_seed=random_seed)
    for draw in traced_and_compiled(lambda dist: [dist.sample(), dist.sample_and_log_proba()[0]]):
        assert all_differ(*draw(dist), *draw(dist), *draws_of(dist))


@each_stream
def test_draws_in_a_traced_loop_differ(make, random_seed):
    dist = make(random_seed=random_seed)

    @tf.function
    def draw():
        draws = tf.TensorArray(tf.float32, 3)
        for i in tf.range(3):
            draws = draws.write(i, flat(dist.sample())[0])
        return draws.stack()

    assert all_differ(*draw(), *draw())


@pytest.mark.exhaustive
@each_stream
def test_distributions_made_while_tracing_draw_afresh(make, random_seed):
    @tf.function
    def draw():
        dist = make(random_seed=random_seed)
        return dist.sample(), dist.sample()

    with tf.GradientTape():
        assert all_differ(*draw(), *draw())


@each_kind_in_a_model
def test_one_function_takes_distributions_of_any_seed(make_kind):
    """Also those whose random state is made after the first trace, which traced functions forbid for variables."""

    @tf.function
    def draw(dist):
        return dist.sample()

    assert all_differ(*[draw(make_kind(random_seed=random_seed)) for random_seed in (3, None, 4)])


@pytest.mark.few(4)
def test_an_int_random_seed_reproduces_the_sequence(make_kind):
    first, second = make_kind(random_seed=11), make_kind(random_seed=11)
    for got, want in zip(draws_of(first) + draws_of(first), draws_of(second) + draws_of(second), strict=True):
        same_tree(np.testing.assert_array_equal, got, want)
    assert all_differ(make_kind(random_seed=11).sample(), make_kind(random_seed=12).sample())


@each_kind_in_a_model
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)])
def test_a_traced_function_goes_through_the_same_sequence(make_kind, jit_compile):
    dist = make_kind(random_seed=11)
    draw = tf.function(lambda: dist.sample(), jit_compile=jit_compile)
    want = make_kind(random_seed=11)
    for _ in range(3):
        same_tree(np.testing.assert_allclose, draw(), want.sample(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("random_seed", [None, 11])
def test_an_int_seed_repeats_the_draw(make_kind, random_seed):
    dist = make_kind(random_seed=random_seed)
    same_tree(np.testing.assert_array_equal, dist.sample(seed=1), dist.sample(seed=1))
    same_tree(np.testing.assert_array_equal, dist.sample_action(seed=1), dist.sample_action(seed=1))
    assert all_differ(dist.sample(seed=1), dist.sample(seed=2))


def test_a_seed_generator_goes_on_and_can_be_repeated(make_kind):
    dist = make_kind(random_seed=11)

    def sequence():
        generator = keras.random.SeedGenerator(1)
        return [dist.sample(seed=generator) for _ in range(3)]

    first = sequence()
    assert all_differ(*first)
    for got, want in zip(sequence(), first, strict=True):
        same_tree(np.testing.assert_array_equal, got, want)


def test_an_explicit_seed_leaves_the_sequence_alone(make_kind):
    dist, other = make_kind(random_seed=11), make_kind(random_seed=11)
    dist.sample(seed=1)
    same_tree(np.testing.assert_array_equal, dist.sample(), other.sample())


@pytest.mark.exhaustive
@each_kind_in_a_model
def test_set_random_seed_makes_unseeded_draws_reproducible(make_kind):
    def sequence():
        keras.utils.set_random_seed(5)
        return draws_of(make_kind()) + tf.function(lambda dist: [dist.sample(), dist.sample()])(make_kind())

    for got, want in zip(sequence(), sequence(), strict=True):
        same_tree(np.testing.assert_array_equal, got, want)


@pytest.mark.parametrize("seed", [1.5, "1", True, (1, 2)])
def test_a_seed_is_none_an_int_or_a_generator(make_kind, seed):
    with pytest.raises(ValueError, match="`seed` must be None, an int.* Received: seed="):
        make_kind().sample(seed=seed)
    with pytest.raises(ValueError, match="`random_seed` must be None, an int.* Received: random_seed="):
        make_kind(random_seed=seed)


# Bad input.


class Other(kg.NormalDist):
    """Of no type of the table."""


@pytest.mark.parametrize("method", ["proba_ratio", "cross_entropy", "kl_divergence"])
def test_other_of_another_type_is_a_type_error(make, method):
    dist, other = make(), Other(np.zeros((5, 4), "float32"), np.zeros((5, 4), "float32"))
    if not has(dist, method):
        return
    arguments = (dist.sample(), other) if method == "proba_ratio" else (other,)
    with pytest.raises(TypeError, match=f"`other` must .* {type(dist).__name__}. Received: Other"):
        getattr(dist, method)(*arguments)


@pytest.mark.parametrize("batch, other", [((5,), (4,)), ((5,), (1,)), ((2, 3), (3,)), ((3,), (2, 3)), ((1,), (5,))])
@needs("kl_divergence")
def test_batches_of_two_distributions_are_not_broadcast(make, batch, other):
    with pytest.raises(ValueError, match="`other` must .* batch shape.* Received: "):
        make(batch).kl_divergence(make(other))


def test_event_shapes_of_two_distributions_must_agree(make_vectors):
    dist = make_vectors()
    if not has(dist, "kl_divergence"):
        return
    wide = keras.tree.map_structure(lambda x: ops.concatenate([x, x], axis=-1), dist)
    with pytest.raises(ValueError, match=r"`other` must .* event shape.* Received: .*\(4,\).*\(8,\)"):
        dist.kl_divergence(wide)


@pytest.mark.few(8)
@pytest.mark.parametrize("name", ["proba_ratio", "cross_entropy", "kl_divergence"])
def test_one_of_two_distributions_may_have_no_batch(make, name):
    method = DETERMINISTIC[name]
    p, q, x = pair(make, (5,), "float64")
    single = make((), "float64", seed=3)
    if not has(p, name):
        return
    many = repeated(single, 5)
    np.testing.assert_allclose(method(p, single, x), method(p, many, x), rtol=1e-12)
    np.testing.assert_allclose(method(single, q, x), method(many, q, x), rtol=1e-12)


def received(shape):
    return rf"`x` .*Received: x of shape \({', '.join(map(str, shape))},?\)"


WRONG_SHAPES = [(), (4,), (5,), (5, 3), (5, 5), (5, 1), (1, 4), (4, 4), (4, 5), (5, 4, 1), (5, 1, 4)]


@pytest.mark.few(12)
@pytest.mark.parametrize("shape", WRONG_SHAPES, ids=str)
def test_variates_of_wrong_shape(make_vectors, shape):
    """Wrong rank, wrong width, and what NumPy would broadcast."""
    dist, x = make_vectors(), np.full(shape, 0.25, "float32")
    with pytest.raises(ValueError, match=received(shape)):
        dist.log_proba(x)
    with pytest.raises(ValueError, match=received(shape)):
        tf.function(dist.log_proba)(x)


def test_symbolic_variates_of_wrong_shape(make_vectors):
    dist, _ = symbolic(make_vectors())
    with pytest.raises(ValueError, match=r"`x` .*Received: x of shape \(None, 3\)"):
        dist.log_proba(keras.Input((3,)))


def test_nan_parameters_are_an_error(make_vectors):
    dist = make_vectors()
    for name, x in dist.params.items():
        values = np.array(x)
        values[2, 0] = np.nan
        with pytest.raises(ValueError, match=rf"`{name}` must be .*Received: nan at index \[2, 0\] of {name}"):
            type(dist)(**dist.params | {name: values}, **dist._static())


@pytest.mark.parametrize("x", ["a", None, 1j, [["a"] * 4] * 5])
def test_variates_must_be_numbers(make_vectors, x):
    with pytest.raises(ValueError, match="`x` must .* Received: x of dtype "):
        make_vectors().log_proba(x)


def test_nan_variates_are_an_error(make_vectors):
    x = np.array(make_vectors().sample(seed=0))
    x[2, 0] = np.nan
    with pytest.raises(ValueError, match=r"`x` must be free of NaN. Received: nan at index \[2, 0\] of x"):
        make_vectors().log_proba(x)


def test_parameters_must_be_float_vectors(make_vectors):
    dist = make_vectors()
    for name in dist.PARAM_NAMES:
        with pytest.raises(ValueError, match=rf"`{name}` must .*Received: {name} of shape \(\)"):
            type(dist)(**dist.params | {name: 1.0}, **dist._static())
        with pytest.raises(ValueError, match=rf"`{name}` must .*Received: {name} of shape \(5, 0\)"):
            type(dist)(**dist.params | {name: np.zeros((5, 0), "float32")}, **dist._static())
        for bad in (["a"], [True, False], [1j]):
            with pytest.raises(ValueError, match=rf"`{name}` must be a float tensor. Received: {name} of dtype"):
                type(dist)(**dist.params | {name: bad}, **dist._static())


def test_plain_python_numbers_become_floatx(make_vectors):
    dist = make_vectors((2,))
    plain = type(dist)(**{name: np.ones((2, 4), int).tolist() for name in dist.PARAM_NAMES}, **dist._static())
    assert plain.dtype == "float32" and plain.batch_shape == (2,)


@pytest.mark.exhaustive
def test_nan_stays_nan_in_a_graph_and_in_its_row(make_vectors):
    p, q, x = pair(make_vectors, (2,))

    def evaluate_all(leaves):
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            dist = type(p)(*leaves, **p._static())
            values = evaluate(dist, q, x) | {"sample": dist.sample()}
            loss = sum(values[name] for name in DIFFERENTIABLE if name in values)
        return values, tape.gradient(loss, leaves)

    leaves = leaves_of(p)
    for leaf in leaves:
        leaf[0, 0] = np.nan
    for function in traced_and_compiled(evaluate_all):
        values, gradients = function(leaves)
        for name in values.keys() - {"mode", "mode_action", "log_proba_action"}:
            first, second = values[name]
            assert np.isnan(first).any() and np.isfinite(second).all(), name
        for first, second in gradients:
            assert np.isnan(first).any() and np.isfinite(second).all()


# Variables as parameters: they are read at construction, and gradients reach them.


VARIABLES = {"tensorflow": tf.Variable, "keras": lambda x: keras.Variable(x, dtype=x.dtype.name)}
each_variable = pytest.mark.parametrize("variable", VARIABLES.values(), ids=VARIABLES.keys())


def with_variables(dist, variable):
    """A function that makes the same distribution of variables, and these."""
    variables = {name: variable(x) for name, x in dist.params.items()}
    return lambda: type(dist).from_params(variables, **dist._static()), list(variables.values())


def all_methods(p, q, x):
    drawn = {"sample": p.sample((2, 1), seed=3), "action": p.sample_action(seed=4)}
    return evaluate(p, q, x) | drawn | {"drawn": p.sample_and_log_proba(2, seed=5)}


def changed(variables):
    for variable in variables:
        variable.assign(variable + 1)


@pytest.mark.few(6)
@each_variable
def test_a_distribution_of_variables_has_every_method_and_stays_as_it_was(make, variable):
    p, q, x = pair(make)
    want = all_methods(p, q, x)
    construct, variables = with_variables(p, variable)
    made, other, x = construct(), with_variables(q, variable)[0](), keras.tree.map_structure(variable, x)
    assert_same_values(all_methods(made, other, x), want)
    changed([*variables, *flat(x)])
    assert_same_dist(made, p)
    assert_same_dist(keras.tree.map_structure(lambda leaf: leaf, made), p)
    assert not any(np.array_equal(*leaves) for leaves in zip(construct().params.values(), flat(p), strict=True))


def scores(p, q, x):
    """The sum of what is differentiable in the parameters of `p`."""
    values = [getattr(p, name)(*args) for name, args in (("entropy", ()), ("kl_divergence", (q,))) if has(p, name)]
    return sum(ops.sum(value) for value in [p.log_proba(x), *values, *flat(p.sample(2, seed=3))])


def gradients_of(construct, sources, q, x):
    with tf.GradientTape() as tape:
        tape.watch(sources)
        value = scores(construct(), q, x)
    return tape.gradient(value, sources)


@pytest.mark.few(4)
@pytest.mark.parametrize(
    "variable", [VARIABLES["tensorflow"], pytest.param(VARIABLES["keras"], marks=pytest.mark.exhaustive)]
)
def test_gradients_reach_variables_inside_a_tape(make, variable):
    p, q, x = pair(make)
    sources = list(p.params.values())
    tensors = dict(zip(p.params, sources, strict=True))
    want = gradients_of(lambda: type(p).from_params(tensors, **p._static()), sources, q, x)
    construct, variables = with_variables(p, variable)
    got = gradients_of(
        construct, [getattr(v, "value", v) if variable is not tf.Variable else v for v in variables], q, x
    )
    for a, b in zip(got, want, strict=True):  # one of them may have been compiled meanwhile
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("jit_compile", "variable"), [(False, VARIABLES["keras"]), (True, VARIABLES["tensorflow"])])
def test_a_traced_function_reads_variables_anew_and_gradients_reach_them(make, variable, jit_compile):
    p, q, x = pair(make)
    construct, variables = with_variables(p, variable)
    sources = [v if variable is tf.Variable else v.value for v in variables]
    function = tf.function(lambda: gradients_of(construct, sources, q, x), autograph=False, jit_compile=jit_compile)
    for _ in range(2):
        for got, want in zip(function(), gradients_of(construct, sources, q, x), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
        for source in sources:
            source.assign(1.1 * source)


@each_variable
def test_a_traced_function_makes_a_distribution_of_what_the_variable_is_at_that_call(variable):
    logits = variable(tf.zeros((1, 2)))
    function = tf.function(lambda: kg.CategoricalDist(logits).probs, autograph=False)
    np.testing.assert_allclose(function(), [[0.5, 0.5]])
    logits.assign(np.log([[1.0, 3.0]]))
    np.testing.assert_allclose(function(), [[0.25, 0.75]], rtol=1e-6)


@each_variable
def test_the_old_policy_does_not_follow_a_gradient_step(variable):
    logits = variable(tf.zeros((1, 2)))
    old = kg.CategoricalDist(logits)
    logits.assign([[1.0, 0.0]])
    new = kg.CategoricalDist(logits)
    np.testing.assert_allclose(old.kl_divergence(new), [0.12011451], rtol=1e-6)
    np.testing.assert_allclose(new.proba_ratio([0], old), [2.0 / (1.0 + np.exp(-1.0))], rtol=1e-6)


class OwnVariables(keras.layers.Layer):
    """A normal distribution, the same for all observations, of two variables of the layer."""

    def build(self, shape):
        self.mu = self.add_weight(shape=(1,), initializer="zeros")
        self.logvar = self.add_weight(shape=(1,), initializer="zeros")

    def call(self, x):
        # One without a batch, as many times as there are rows.
        one = kg.NormalDist(self.mu, self.logvar)
        return kg.NormalDist(one.mu + 0.0 * x, one.logvar + 0.0 * x)


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_fit_moves_the_variables_of_a_layer(jit_compile):
    policy = kg.Policy(keras.layers.Identity(), OwnVariables())
    policy.compile(keras.optimizers.SGD(0.1), jit_compile=jit_compile)
    y = np.random.default_rng(0).normal(3.0, 0.5, size=(64, 1)).astype("float32")
    policy.fit(np.zeros_like(y), y, batch_size=64, verbose=0)
    # One step from the standard normal, whose gradients are -y and (1 - y^2) / 2.
    moved = [np.asarray(v)[0] for v in policy.trainable_variables]
    np.testing.assert_allclose(moved, [0.1 * np.mean(y), 0.05 * np.mean(y * y - 1.0)], rtol=1e-4)


ONE = np.array([[1.0, 2.0]], "float32")
FURTHER = {
    "float16": lambda v: kg.NormalDist(v(ONE.astype("float16")), v(ONE.astype("float16"))),
    "bfloat16": lambda v: kg.CategoricalDist(v(tf.cast(ONE, "bfloat16"))),
    "float64": lambda v: kg.NormalDist(v(ONE.astype("float64")), v(ONE.astype("float64"))),
    "no_batch": lambda v: kg.BetaDist(v(ONE[0]), v(ONE[0])),
    "three_axes": lambda v: kg.BernoulliDist(v(ONE[None])),
    "mask": lambda v: kg.CategoricalDist(ONE, mask=v(np.array([[True, False]]))),
    "integer_mask": lambda v: kg.CategoricalDist(ONE, mask=v(np.array([[1, 0]], "int32"))),
    "mask_of_options": lambda v: kg.MultiCategoricalDist(ONE, [2], mask=v(np.array([[1, 0]], "int32"))),
    "mask_of_bits": lambda v: kg.BernoulliDist(ONE, mask=v(np.array([[2, 0]], "int32"))),
    "temperature": lambda v: kg.RelaxedOneHotCategorical(v(np.float32(0.5)), logits=ONE),
    "probs": lambda v: kg.RelaxedOneHotCategorical(0.5, probs=v(ONE)),
    "one_of_two": lambda v: kg.NormalDist(v(ONE), ONE),
    "nested": lambda v: kg.CompositeDist({"a": (kg.NormalDist(v(ONE), v(ONE)), kg.CategoricalDist(v(ONE)))}),
    "chosen": lambda v: kg.OneOfDist(
        (kg.CategoricalDist(v(ONE)), (kg.NormalDist(v(ONE), ONE), kg.BernoulliDist(v(ONE))))
    ),
    "relaxed": lambda v: kg.CategoricalDist(v(ONE)).relaxed(v(np.float32(0.7))),
    "bounds": lambda v: kg.BetaDist(ONE, ONE, low=v(-ONE[0]), high=v(ONE[0])),
    "squashed_bounds": lambda v: kg.SquashedNormalDist(v(ONE), ONE, low=v(-ONE[0]), high=v(ONE[0])),
    "mixture": lambda v: kg.GaussianMixtureDist(v(ONE), v(ONE[..., None]), logvar=v(ONE[..., None])),
    "full_mixture": lambda v: kg.GaussianMixtureDist(v(ONE), v(ONE[..., None]), scale_tril=v(ONE[..., None, None])),
    "target": lambda v: kg.targets.DiagonalGaussianMixture(v(ONE.T), v(ONE.T), v(ONE[0])).distribution,
}
MUTABLE = {
    "tensorflow": lambda x: tf.Variable(x),
    "keras": lambda x: keras.Variable(x, dtype=keras.backend.standardize_dtype(x.dtype)),
    "numpy": lambda x: np.array(x, "float32" if x.dtype == "bfloat16" else None),
}


@pytest.mark.few(20)
@pytest.mark.parametrize("kind", MUTABLE)
@pytest.mark.parametrize("name", FURTHER)
def test_what_was_given_may_be_overwritten(name, kind):
    """Variables and arrays, wherever one may be given."""
    given = []

    def keep(x):
        given.append(MUTABLE[kind](x))
        return given[-1]

    dist = FURTHER[name](keep)
    before = leaves_of(dist), dist._static()
    drawn = keras.tree.map_structure(np.array, dist.sample(seed=1))
    for x in given:
        new = np.ones(x.shape) * (x.dtype == bool or 2)
        if kind == "numpy":
            x[...] = new
        else:
            x.assign(tf.cast(new, x.dtype))
    assert all(np.array_equal(*leaves) for leaves in zip(leaves_of(dist), before[0], strict=True))
    assert dist._static() == before[1]
    same_tree(np.testing.assert_array_equal, dist.sample(seed=1), drawn)


@each_variable
def test_variables_may_be_variates_actions_and_labels(variable):
    labels = variable(tf.constant([2, 0]))
    logits = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    pi = kg.CategoricalDist(variable(tf.constant(logits)))
    want = logits[[0, 1], [2, 0]] - np.log(np.exp(logits).sum(axis=-1))
    np.testing.assert_allclose(pi.log_proba(labels), want, rtol=1e-5)
    multi = kg.MultiCategoricalDist(variable(tf.constant(logits)), [3])
    np.testing.assert_allclose(multi.log_proba(variable(tf.constant([[2], [0]]))), want, rtol=1e-5)
    both = kg.CompositeDist((pi, pi))
    np.testing.assert_allclose(both.log_proba((labels, labels)), 2 * want, rtol=1e-5)
    integers = kg.DiscretizedLogisticDist(logits, logits, 0, 2)
    np.testing.assert_array_equal(
        integers.log_proba(variable(tf.constant([[1, 0, 2], [0, 0, 1]]))), integers.log_proba([[1, 0, 2], [0, 0, 1]])
    )


def test_a_keras_variable_has_the_value_of_its_stateless_scope():
    logits = keras.Variable(np.zeros((1, 2), "float32"))
    with keras.StatelessScope([(logits, ops.log([[1.0, 3.0]]))]):
        pi = kg.CategoricalDist(logits)
    np.testing.assert_allclose(pi.probs, [[0.25, 0.75]], rtol=1e-6)


def test_a_variable_of_unknown_batch_size():
    mu = tf.Variable(tf.zeros((2, 3)), shape=(None, 3))
    entropies = tf.function(lambda: kg.NormalDist(mu, mu).entropy(), autograph=False)
    assert entropies().shape == (2,)
    mu.assign(tf.zeros((5, 3)))
    assert entropies().shape == (5,) and kg.NormalDist(mu, mu).batch_shape == (5,)


@each_variable
def test_divergences_of_distributions_of_variables(variable):
    def mixture(v):
        x = tf.constant([[0.0], [2.0]])
        return kg.GaussianMixtureDist(v(x[:, 0]), v(x), logvar=v(0.1 * x))

    q, same, x = mixture(variable), mixture(tf.identity), tf.random.stateless_normal((8, 1), (0, 0))
    for function, *args in ((kg.divergences.kl_divergence, 8, 0), (kg.divergences.entropy, 8, 0)):
        args = ([same] if function is kg.divergences.kl_divergence else []) + args
        same_tree(np.testing.assert_array_equal, function(q, *args), function(same, *args))
    np.testing.assert_array_equal(
        kg.divergences.forward_kl_loss(q, variable(x)), kg.divergences.forward_kl_loss(same, x)
    )


# Batches of no rows.


NO_ROWS = [(0,), (2, 0, 3)]


@pytest.mark.few(6)
@pytest.mark.parametrize("batch", [NO_ROWS[0], pytest.param(NO_ROWS[1], marks=pytest.mark.exhaustive)])
def test_a_batch_of_no_rows_has_every_method(make, batch):
    p, q, x = pair(make, batch)
    values = all_methods(p, q, x)
    assert {shape_of(values[name]) for name in BATCH_SHAPED if name in values} == {batch}
    for name in {"mode", "mean", "variance"} & values.keys():
        assert shape_of(values[name]) == events(p, batch)
    assert shape_of(values["sample"]) == events(p, (2, 1), batch)
    assert {shape_of(leaf)[: len(batch)] for leaf in flat(values["action"])} == {batch}
    assert shape_of(values["drawn"][1]) == (2, *batch)
    tensors = p.params
    gradients = gradients_of(lambda: type(p).from_params(tensors, **p._static()), list(tensors.values()), q, x)
    assert [shape_of(g) for g in gradients] == [shape_of(x) for x in tensors.values()]


@pytest.mark.parametrize("sample_shape", [0, (0,), (2, 0), (0, 2)])
def test_no_samples(make_kind, sample_shape):
    dist = make_kind()
    front = (sample_shape,) if sample_shape == 0 else sample_shape
    x, log_proba = dist.sample_and_log_proba(sample_shape)
    assert shape_of(x) == shape_of(dist.sample(sample_shape)) == events(dist, front, (5,))
    assert shape_of(log_proba) == shape_of(dist.log_proba(x)) == (*front, 5)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("batch", "dtype"), [(NO_ROWS[0], "float32"), (NO_ROWS[0], "float64"), (NO_ROWS[1], "float16")]
)
def test_a_batch_of_no_rows_in_a_graph_and_under_xla(make, batch, dtype):
    arguments = pair(make, batch, dtype)
    want = keras.tree.map_structure(lambda leaf: (leaf.shape, leaf.dtype), all_methods(*arguments))
    for function in traced_and_compiled(all_methods):
        got = keras.tree.map_structure(lambda leaf: (leaf.shape, leaf.dtype), function(*arguments))
        assert got == want
