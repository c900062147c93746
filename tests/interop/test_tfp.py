"""TFP is the oracle of our distributions here, and ours is the shell of its."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import kgdists as kg
from kgdists.distributions import transforms
from kgdists.interop.tfp import Evaluate, TFPDist, TFPHead, from_tfp, to_tfp
from kgdists.testing import check_distribution
from tests.marks import exhaustive

tfb, tfd = tfp.bijectors, tfp.distributions
RNG = np.random.default_rng
INF = float("inf")
B, N = 5, 3


def noise(seed, *shape):
    return tf.constant(RNG(seed).normal(size=shape))


def tril(seed, *shape):
    lower = np.tril(0.3 * RNG(seed).normal(size=(*shape, shape[-1])))
    return tf.constant(lower + np.eye(shape[-1]))


def positive(seed, *shape):
    return tf.exp(noise(seed, *shape))


# Ours as TFP's: for each seed a distribution.
BOUNDS = {"low": [0.0, -1.0, -INF, -INF], "high": [2.0, INF, 3.0, INF]}
MASK = np.broadcast_to([True, False, True, True], (B, 4))
OURS = {
    "categorical": lambda s: kg.CategoricalDist(noise(s, B, 4)),
    "masked_categorical": lambda s: kg.CategoricalDist(noise(s, B, 4), mask=MASK),
    "multi_categorical": lambda s: kg.MultiCategoricalDist(noise(s, B, 7), nvec=(2, 2, 3)),
    "bernoulli": lambda s: kg.BernoulliDist(noise(s, B, N)),
    "masked_bernoulli": lambda s: kg.BernoulliDist(noise(s, B, N), mask=np.broadcast_to([2, 0, 1], (B, N))),
    "normal": lambda s: kg.NormalDist(noise(s, B, N), noise(s + 1, B, N)),
    "normal_without_batch": lambda s: kg.NormalDist(noise(s, N), noise(s + 1, N)),
    "beta": lambda s: kg.BetaDist(positive(s, B, N), positive(s + 1, B, N), -1.0, [2.0, 1.0, 5.0]),
    "mixture": lambda s: kg.GaussianMixtureDist(noise(s, B, 4), noise(s + 1, B, 4, N), noise(s + 2, B, 4, N)),
    "full_mixture": lambda s: kg.GaussianMixtureDist(noise(s, 4), noise(s + 1, 4, N), scale_tril=tril(s + 2, 4, N)),
    "multivariate_normal": lambda s: kg.MultivariateNormalDist(noise(s, B, N), tril(s, B, N)),
    "state_dependent": lambda s: kg.distributions.StateDependentNormalDist(noise(s, B, N), noise(s + 1, B, 4, N)),
    "relaxed": lambda s: kg.RelaxedOneHotCategorical(0.7, logits=noise(s, B, N)),
    "squashed": lambda s: kg.SquashedNormalDist(noise(s, B, N), noise(s + 1, B, N) - 1.0, -2.0, 5.0),
    "squashed_mixed": lambda s: kg.SquashedNormalDist(noise(s, B, 4), noise(s + 1, B, 4) - 1.0, **BOUNDS),
}
OURS |= {
    "discretized": lambda s: kg.DiscretizedLogisticDist(noise(s, B, N), noise(s + 1, B, N), [-2, -1, 0], [2, 9, 1]),
    "dirichlet": lambda s: kg.DirichletDist(positive(s, B, N)),
    "exponential": lambda s: kg.ExponentialDist(positive(s, B, N)),
    "gamma": lambda s: kg.GammaDist(positive(s, B, N), positive(s + 1, B, N)),
    "log_normal": lambda s: kg.LogNormalDist(noise(s, B, N), noise(s + 1, B, N)),
    "weibull": lambda s: kg.WeibullDist(positive(s, B, N), positive(s + 1, B, N)),
    "laplace": lambda s: kg.LaplaceDist(noise(s, B, N), positive(s + 1, B, N)),
    "logistic": lambda s: kg.LogisticDist(noise(s, B, N), positive(s + 1, B, N)),
    "dict": lambda s: kg.CompositeDist({"a b": OURS["normal"](s), "c": OURS["bernoulli"](s)}),
    "tuple": lambda s: kg.CompositeDist((OURS["normal"](s), OURS["squashed"](s))),
    "nested": lambda s: kg.CompositeDist(
        {"c": (OURS["normal"](s), {"d": OURS["categorical"](s)}), "e": OURS["relaxed"](s)}
    ),
}
OURS |= {
    "mixture_of_any": lambda s: kg.MixtureDist(
        noise(s, B, 4), kg.NormalDist(noise(s + 1, B, 4, N), noise(s + 2, B, 4, N))
    ),
    "mixture_of_two": lambda s: kg.MixtureDist(noise(s, B, 2), (OURS["normal"](s), OURS["normal"](s + 3))),
    "affine": lambda s: kg.Transformed(OURS["normal"](s), transforms.Affine(noise(7, B, N), -2.0)),
    "independent": lambda s: kg.Independent(OURS["normal"](s)),
    "chain": lambda s: kg.Transformed(
        OURS["normal"](s), transforms.Chain([transforms.Sigmoid(), transforms.Affine(1.0, (1.0, 2.0, 3.0))])
    ),
}
each_of_ours = pytest.mark.parametrize("make", OURS.values(), ids=OURS)


def draw(dist, labels=False):
    if labels:
        return dist.sample_action(seed=3)
    return (
        dist.sample(seed=3, hard=True) if hasattr(dist, "probs") and not dist.REPARAMETERIZED else dist.sample(seed=3)
    )


@pytest.mark.few(3)
@each_of_ours
def test_counterparts_have_the_same_density(make):
    dist = make(0)
    x = draw(dist)
    np.testing.assert_allclose(to_tfp(dist).log_prob(x), dist.log_proba(x), rtol=1e-9, atol=1e-9)


@pytest.mark.few(2)
@each_of_ours
def test_counterparts_have_the_same_shapes_and_dtype(make):
    dist, theirs = make(0), to_tfp(make(0))
    assert dist.batch_shape == tuple(theirs.batch_shape)
    x = keras.tree.flatten(theirs.sample(seed=1))
    assert [x.dtype.name for x in x] == ["float64"] * len(x)
    assert [x.shape for x in x] == [x.shape for x in keras.tree.flatten(dist.sample(seed=1))]


@pytest.mark.few(15)
@each_of_ours
@pytest.mark.parametrize("method", ["mean", "variance", "entropy", "kl_divergence", "cross_entropy"])
def test_counterparts_have_the_same_closed_forms(make, method):
    p, q = make(0), make(10)
    others = [q] if method in ("kl_divergence", "cross_entropy") else []
    try:
        ours = getattr(p, method)(*others)
        theirs = getattr(to_tfp(p), method)(*map(to_tfp, others))
    except NotImplementedError:
        return  # one of them has none
    for value, expected in zip(keras.tree.flatten(ours), keras.tree.flatten(theirs), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["dict", "tuple", "nested"])
def test_composites_there_and_back_again(name):
    dist = OURS[name](0)
    again, x = from_tfp(to_tfp(dist)), dist.sample(seed=3)
    np.testing.assert_allclose(again.log_proba(x), dist.log_proba(x), rtol=1e-9)
    keras.tree.assert_same_structure(again.sample(seed=1), to_tfp(dist).sample(seed=1))


def test_one_of_has_no_counterpart():
    choice, branch = kg.CategoricalDist(np.zeros((1, 2))), kg.NormalDist(np.zeros((1, 2)), np.zeros((1, 2)))
    with pytest.raises(TypeError, match="Received: OneOfDist"):
        to_tfp(kg.distributions.OneOfDist((choice, (branch, branch))))


@pytest.mark.parametrize("name", ["categorical", "masked_categorical", "multi_categorical", "bernoulli"])
def test_choices_as_labels(name):
    p, q = OURS[name](0), OURS[name](10)
    x, theirs = p.sample_action(seed=3), to_tfp(p, labels=True)
    assert theirs.dtype == tf.int32
    np.testing.assert_allclose(theirs.log_prob(x), p.log_proba(x), rtol=1e-9)
    np.testing.assert_allclose(theirs.entropy(), p.entropy(), rtol=1e-9)
    np.testing.assert_allclose(theirs.kl_divergence(to_tfp(q, labels=True)), p.kl_divergence(q), rtol=1e-9)


def test_half_precision_is_handed_over_as_float32():
    dist = kg.NormalDist(np.zeros((2, 3), "float16"), np.zeros((2, 3), "float16"))
    assert to_tfp(dist).dtype == tf.float32


@pytest.mark.parametrize("cls", [kg.SquashedNormalDist, kg.BetaDist])
def test_a_constant_dimension_has_no_counterpart(cls):
    dist = cls(np.ones(2), np.ones(2), low=[0.0, 1.0], high=[1.0, 1.0])
    with pytest.raises(TypeError, match="no counterpart of a dimension that is a constant. Received: low="):
        to_tfp(dist)


@pytest.mark.exhaustive
def test_counterparts_inside_a_traced_function():
    p, q = OURS["squashed_mixed"](0), OURS["squashed_mixed"](10)
    divergence = tf.function(lambda p, q: to_tfp(p).kl_divergence(to_tfp(q)))
    np.testing.assert_allclose(divergence(p, q), p.kl_divergence(q), rtol=1e-9)
    np.testing.assert_allclose(to_tfp(p).kl_divergence(to_tfp(q)), p.kl_divergence(q), rtol=1e-9)


def test_a_class_without_a_counterpart():
    class Own(kg.Distribution):
        pass

    with pytest.raises(TypeError, match=r"to_tfp.register\(cls\)`. Received: Own"):
        to_tfp(object.__new__(Own))


def test_tfp_gets_no_keras_tensors():
    with pytest.raises(ValueError, match="must be of tensors: TFP refuses KerasTensors. Received: CategoricalDist"):
        to_tfp(kg.CategoricalDist(keras.Input((3,))))


# TFP's as ours.


def mixture(seed):
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=noise(seed, 4)),  # without the batch axis
        tfd.MultivariateNormalDiag(noise(seed + 1, B, 4, N), positive(seed + 2, N)),
    )


def transformed(seed):
    bijector = tfb.Chain([tfb.Shift(noise(seed + 2, N)), tfb.Scale(np.float64(2.0)), tfb.Exp()])
    return tfd.TransformedDistribution(tfd.Normal(noise(seed, B, N), np.float64(1.0)), bijector)


def correlated(seed):
    independent = tfd.Sample(tfd.Normal(np.float64(0.0), np.float64(1.0)), N)
    return tfd.TransformedDistribution(independent, tfb.ScaleMatvecTriL(tril(seed, B, N)))


def permuted(seed):
    normal = tfd.MultivariateNormalDiag(noise(seed, B, N), positive(seed, N))
    return tfd.TransformedDistribution(normal, tfb.Permute([2, 0, 1]))


THEIRS = {
    "bernoulli": lambda s: tfd.Independent(tfd.Bernoulli(logits=noise(s, B, N)), 1),
    "beta": lambda s: tfd.Beta(positive(s, B, N), positive(s + 1, B, N)),
    "binomial": lambda s: tfd.Binomial(np.float64(7.0), logits=noise(s, B, N)),
    "blockwise": lambda s: tfd.Blockwise(
        [tfd.Normal(noise(s, B), np.float64(1.0)), tfd.Gamma(positive(s, B), positive(s, B))]
    ),
    "categorical": lambda s: tfd.Categorical(logits=noise(s, B, N)),
    "correlated": correlated,
    "dirichlet": lambda s: tfd.Dirichlet(positive(s, B, N)),
    "gamma": lambda s: tfd.Gamma(positive(s, B, N), positive(s + 1, B, N)),
    "independent_normal": lambda s: tfd.Independent(tfd.Normal(noise(s, B, N), positive(s, N)), 1),
    "laplace": lambda s: tfd.Laplace(noise(s, B, N), positive(s, B, N)),
    "log_normal": lambda s: tfd.LogNormal(noise(s, B, N), positive(s, B, N)),
    "mixture": mixture,
    "mixture_of_families": lambda s: tfd.Mixture(
        tfd.Categorical(logits=noise(s, B, 2)),
        [tfd.Normal(noise(s, B), positive(s, B)), tfd.Laplace(noise(s, B), positive(s, B))],
    ),
    "multivariate_normal": lambda s: tfd.MultivariateNormalTriL(noise(s, B, N), tril(s, B, N)),
    "negative_binomial": lambda s: tfd.NegativeBinomial(positive(s, B, N), logits=noise(s, B, N)),
    "normal": lambda s: tfd.Normal(noise(s, B, N), positive(s, B, N)),
    "one_hot": lambda s: tfd.OneHotCategorical(logits=noise(s, B, N), dtype=tf.float64),
    "permuted": permuted,
    "poisson": lambda s: tfd.Poisson(positive(s, B, N)),
    "quantized": lambda s: tfd.QuantizedDistribution(
        tfd.Normal(noise(s, B), positive(s, B)), np.float64(-9.0), np.float64(9.0)
    ),
    "student_t": lambda s: tfd.StudentT(3.0, noise(s, B, N), positive(s, B, N)),
    "student_t_of_numbers": lambda s: tfd.StudentT(3.0, 0.0, 1.0 + s),
    "transformed": transformed,
    "truncated_normal": lambda s: tfd.TruncatedNormal(noise(s, B), positive(s, B), np.float64(-1.0), np.float64(2.0)),
    "uniform": lambda s: tfd.Uniform(noise(s, B) - 9.0, noise(s, B) + 9.0),
    "von_mises": lambda s: tfd.VonMises(noise(s, B, N), positive(s, B, N)),
    "von_mises_fisher": lambda s: tfd.VonMisesFisher(tf.math.l2_normalize(noise(s, B, N), -1), positive(s, B)),
    "weibull": lambda s: tfd.Weibull(positive(s, B, N), positive(s, B, N)),
}
NESTED = ["blockwise", "correlated", "mixture", "mixture_of_families", "permuted", "quantized", "transformed"]
some_of_theirs = pytest.mark.parametrize("name", ["categorical", "gamma", "multivariate_normal", "poisson", *NESTED])
each_of_theirs = pytest.mark.parametrize("make", THEIRS.values(), ids=THEIRS)


def values(dist, x):
    """What has a closed form."""
    results = {"log_proba": dist.log_proba(x)}
    for method in ("mean", "variance", "mode", "entropy"):
        try:
            results[method] = getattr(dist, method)()
        except NotImplementedError:
            pass
    return results


def assert_same(got, want, **tolerance):
    assert got.keys() == want.keys()
    for name in want:
        np.testing.assert_allclose(got[name], want[name], err_msg=name, **tolerance)


@pytest.mark.few(1)
@each_of_theirs
def test_from_tfp_keeps_the_density_and_the_shapes(make):
    theirs, dist = make(0), from_tfp(make(0))
    x = theirs.sample(7, seed=(1, 2))
    np.testing.assert_allclose(dist.log_proba(x), theirs.log_prob(x), rtol=1e-9, atol=1e-9)
    assert dist.batch_shape == tuple(theirs.batch_shape) and dist.event_shape == tuple(theirs.event_shape)
    assert dist.sample((7, 2)).shape == (7, 2, *dist.batch_shape, *dist.event_shape)
    assert dist.sample().dtype == dist.dtype and dist.sample_action().dtype == theirs.dtype


@pytest.mark.few(5)
@each_of_theirs
def test_from_tfp_keeps_the_closed_forms(make):
    theirs, dist = make(0), from_tfp(make(0))
    for method in ("mean", "variance", "mode", "entropy"):
        try:
            want = getattr(theirs, method)()
        except NotImplementedError:
            with pytest.raises(NotImplementedError, match=f"TFP has no closed form of `{method}` for"):
                getattr(dist, method)()
        else:
            np.testing.assert_allclose(getattr(dist, method)(), want, rtol=1e-9, atol=1e-9)


@pytest.mark.few(4)
@each_of_theirs
@pytest.mark.parametrize("method", ["kl_divergence", "cross_entropy"])
def test_from_tfp_keeps_the_divergences(make, method):
    try:
        want = getattr(make(0), method)(make(10))
    except NotImplementedError:
        with pytest.raises(NotImplementedError, match=f"estimate it by `kgdists.divergences.{method}`"):
            getattr(from_tfp(make(0)), method)(from_tfp(make(10)))
    else:
        np.testing.assert_allclose(getattr(from_tfp(make(0)), method)(from_tfp(make(10))), want, rtol=1e-9, atol=1e-9)


@pytest.mark.few(3)
@each_of_theirs
def test_there_and_back_again(make):
    theirs = make(0)
    x = theirs.sample(seed=(1, 2))
    again = to_tfp(from_tfp(theirs))
    np.testing.assert_allclose(again.log_prob(x), theirs.log_prob(x), rtol=1e-9, atol=1e-9)


@pytest.mark.few(8)
@each_of_theirs
def test_every_leaf_has_the_batch_axes(make):
    dist = from_tfp(make(0))
    assert all(tuple(x.shape)[: len(dist.batch_shape)] == dist.batch_shape for x in dist.params.values())


@pytest.mark.few(5)
@each_of_theirs
@pytest.mark.parametrize("tree", [keras.tree, tf.nest])
def test_tree_round_trip(make, tree):
    dist = from_tfp(make(0), random_seed=4)
    again = tree.pack_sequence_as(dist, tree.flatten(dist))
    x = dist.sample(seed=1)
    np.testing.assert_array_equal(again.log_proba(x), dist.log_proba(x))
    assert again.params.keys() == dist.params.keys() and again.random_seed == 4


@pytest.mark.few(5)
@each_of_theirs
def test_keras_serialisation_round_trip(make):
    dist = from_tfp(make(0), name="a", random_seed=4)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(dist))
    assert again._static() == dist._static() and again.random_seed == 4
    x = dist.sample(seed=1)
    np.testing.assert_allclose(again.log_proba(x), dist.log_proba(x), rtol=1e-9)


@pytest.mark.exhaustive
@some_of_theirs
def test_traced_agrees(name):
    dist = from_tfp(THEIRS[name](0))
    x = dist.sample(seed=1)
    assert_same(tf.function(values)(dist, x), values(dist, x), rtol=1e-9, atol=1e-9)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["gamma", "mixture", "transformed", "multivariate_normal"])
def test_compiled_agrees(name):
    dist = from_tfp(THEIRS[name](0))
    x = dist.sample(seed=1)
    assert_same(tf.function(values, jit_compile=True)(dist, x), values(dist, x), rtol=1e-7, atol=1e-9)


@pytest.mark.few(1)
@some_of_theirs
def test_symbolic_agrees_before_and_after_saving(name, tmp_path):
    dist = from_tfp(THEIRS[name](0))
    inputs = {name: keras.Input(x.shape[1:], dtype=x.dtype.name) for name, x in dist.params.items()}
    pi, x = TFPDist.from_params(inputs, **dist._static()), dist.sample(seed=1)
    x_in = keras.Input(x.shape[1:], dtype=x.dtype.name)
    assert pi.batch_shape == (None, *dist.batch_shape[1:]) and pi.event_shape == dist.event_shape
    model = keras.Model([inputs, x_in], values(pi, x_in) | {"sample": pi.sample(seed=1)})
    data = [{name: np.asarray(x) for name, x in dist.params.items()}, np.asarray(x)]
    want = values(dist, x) | {"sample": x}
    assert_same(model(data), want, rtol=1e-7, atol=1e-9)
    model.save(tmp_path / "model.keras")
    assert_same(keras.models.load_model(tmp_path / "model.keras")(data), want, rtol=1e-7, atol=1e-9)


@pytest.mark.few(3)
@each_of_theirs
def test_gradients_reach_every_float_leaf(make):
    dist = from_tfp(make(0))
    leaves, x = keras.tree.flatten(dist), dist.sample(seed=1)
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        log_proba = keras.tree.pack_sequence_as(dist, leaves).log_proba(x)
    gradients = tape.gradient(log_proba, leaves, unconnected_gradients="zero")
    assert all(np.isfinite(gradient).all() for gradient in gradients) and np.any(gradients[0])


def test_variates_are_constant_to_gradients():
    """Also where TFP remembers what its bijectors made them of."""
    dist = from_tfp(THEIRS["multivariate_normal"](0))
    x = dist.sample(seed=1)
    with tf.GradientTape() as tape:
        tape.watch(dist.loc)
        log_proba = dist.log_proba(x)
    want = tf.linalg.cholesky_solve(dist.scale_tril, (x - dist.loc)[..., None])[..., 0]
    np.testing.assert_allclose(tape.gradient(log_proba, dist.loc), want, rtol=1e-9)


def test_two_symbolic_distributions():
    inputs = [keras.Input((N,)) for _ in range(5)]
    p = TFPDist("Gamma", {"concentration": inputs[0], "rate": inputs[1]})
    q = TFPDist("Gamma", {"concentration": inputs[2], "rate": inputs[3]})
    x_in = inputs[4]
    outputs = [p.kl_divergence(q), p.cross_entropy(q), p.proba_ratio(x_in, q)]
    model = keras.Model(inputs, outputs)
    data = [positive(seed, B, N).numpy().astype("float32") for seed in range(5)]
    a, b, c, d, x = data
    p = TFPDist("Gamma", {"concentration": a, "rate": b})
    q = TFPDist("Gamma", {"concentration": c, "rate": d})
    want = [p.kl_divergence(q), p.cross_entropy(q), p.proba_ratio(x, q)]
    for value, expected in zip(model(data), want, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert {type(op) for op in model.operations} >= {Evaluate}


def test_nested_distributions_of_keras_tensors():
    logits, loc = keras.Input((4,)), keras.Input((4, N))
    components = TFPDist("Normal", {"loc": loc, "scale": keras.ops.exp(loc)})
    pi = TFPDist(
        "MixtureSameFamily",
        {"mixture_distribution": TFPDist("Categorical", {"logits": logits}), "components_distribution": components},
    )
    assert list(pi.params) == [
        "mixture_distribution_logits", "components_distribution_loc", "components_distribution_scale"
    ]  # fmt: skip
    assert (pi.batch_shape, pi.event_shape) == ((None,), (N,))
    model = keras.Model([logits, loc], [pi.sample(), pi.mean()])
    draws, mean = model([np.zeros((B, 4), "float32"), np.ones((B, 4, N), "float32")])
    assert draws.shape == (B, N)
    np.testing.assert_allclose(mean, np.ones((B, N)), rtol=1e-6)


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", [tfd.JointDistributionSequential, tfd.JointDistributionNamed])
def test_joint_distributions(kind):
    parts = [tfd.Normal(noise(0, B), positive(1, B)), tfd.Gamma(positive(2, B), positive(3, B))]
    theirs = kind(parts if kind is tfd.JointDistributionSequential else dict(zip("ab", parts, strict=True)))
    dist = from_tfp(theirs)
    x = dist.sample(seed=1)
    np.testing.assert_allclose(dist.log_proba(x), theirs.log_prob(x), rtol=1e-9)
    drawn, log_proba = dist.sample_and_log_proba(seed=1)
    np.testing.assert_allclose(log_proba, dist.log_proba(drawn), rtol=1e-9)
    assert dist.batch_shape == (B,)


# The constructor.

AUTOREGRESSIVE = tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), lambda x: tfd.Normal(x, 1.0)])


def gamma(dtype="float32", **fields):
    return TFPDist(
        "Gamma", {name: positive(0, B, N).numpy().astype(dtype) for name in ("concentration", "rate")}, **fields
    )


def test_independent_scalars_are_one_event():
    dist = gamma()
    x = dist.sample(seed=1)
    want = tf.reduce_sum(tfd.Gamma(**dist.params).log_prob(x), axis=-1)
    assert (dist.batch_shape, dist.event_shape, dist.reinterpreted_batch_ndims) == ((B,), (N,), 1)
    np.testing.assert_allclose(dist.log_proba(x), want, rtol=1e-6)
    assert gamma(reinterpreted_batch_ndims=0).event_shape == ()
    assert gamma(reinterpreted_batch_ndims=2).batch_shape == ()


def test_events_of_their_own_are_kept():
    assert TFPDist("Dirichlet", {"concentration": np.ones((B, N))}).event_shape == (N,)
    categorical = TFPDist("Categorical", {"logits": np.zeros((B, N))})
    assert (categorical.batch_shape, categorical.event_shape) == ((B,), ())


def test_fixed_arguments():
    loc = np.zeros((B, N), "float32")
    dist = TFPDist("StudentT", {"loc": loc, "scale": loc + 1}, fixed={"df": [3.0, 4.0, 5.0]})
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(dist))
    for pi in (dist, again):
        np.testing.assert_allclose(pi.variance(), [[3.0, 2.0, 5 / 3]] * B, rtol=1e-6)


def test_reparameterized_is_what_tfp_says():
    assert gamma().REPARAMETERIZED and not TFPDist("Poisson", {"rate": np.ones((B, N))}).REPARAMETERIZED


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: TFPDist("Nothing", {}), ValueError, "name of a class of TFP's distributions. Received: 'Nothing'"),
        (lambda: TFPDist("Distribution.sample", {}), ValueError, "name of a class of TFP's distributions"),
        (lambda: TFPDist("kl_divergence", {}), ValueError, "name of a class of TFP's distributions"),
        (lambda: TFPDist("Poisson", {"rate": np.ones(3, int)}), ValueError, "a tensor of floats"),
        (lambda: TFPDist("Gamma", {"concentration": np.ones(3)}), ValueError, "`rate`"),
        (lambda: TFPDist("Normal", {"loc": np.ones((2, 3)), "scale": np.ones(3)}), ValueError, "one batch shape"),
        (lambda: TFPDist("Poisson", {"rate": np.array([1.0, np.nan])}), ValueError, "`rate` must be free of NaN"),
        (lambda: TFPDist("Poisson", {"speed": np.ones(3)}), TypeError, "speed"),
        (lambda: TFPDist("Poisson", {"speed": keras.Input((3,))}), TypeError, "speed"),
        (lambda: from_tfp(kg.NormalDist([0.0], [0.0])), TypeError, "must be a TFP distribution. Received: NormalDist"),
        (lambda: from_tfp(AUTOREGRESSIVE), TypeError, "so that it can be saved. Received: model_1 = "),
        (lambda: gamma().log_proba(np.ones(N)), ValueError, "must have shape"),
        (lambda: gamma().kl_divergence(kg.NormalDist([0.0], [0.0])), TypeError, "must be of the same type, TFPDist"),
        (lambda: gamma().kl_divergence(gamma("float64")), ValueError, "must have the same dtype"),
        (lambda: TFPDist("Categorical", {"logits": np.zeros((1, 3))}).log_proba([0.5]), ValueError, "whole numbers"),
        (lambda: gamma().sample(-1), ValueError, "`sample_shape` must be"),
        (lambda: gamma().sample(seed="today"), ValueError, "`seed` must be"),
    ],
)  # fmt: skip
def test_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_a_class_of_the_users_own():
    class Gamma(tfd.Gamma):
        pass

    with pytest.raises(TypeError, match="Only TFP's own classes can be rebuilt by name.*Received: .*Gamma"):
        from_tfp(Gamma([1.0], [1.0]))


@pytest.mark.few(3)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtype_in_is_dtype_out(dtype):
    params = {name: tf.cast(positive(0, B, N), dtype) for name in ("concentration", "rate")}
    dist = TFPDist("Gamma", params)
    x, log_proba = dist.sample_and_log_proba(seed=1)
    assert x.dtype == log_proba.dtype == dist.log_proba(x).dtype == dist.kl_divergence(dist).dtype == dtype


def test_a_branch_of_a_composite():
    student = from_tfp(tfd.StudentT(3.0, np.zeros(B, "float32"), 1.0))
    normal = kg.NormalDist(np.zeros((B, N), "float32"), np.zeros((B, N), "float32"))
    dist = kg.CompositeDist({"a": gamma(), "b": (normal, student)})
    x = dist.sample(seed=1)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(dist))
    np.testing.assert_array_equal(again.log_proba(x), dist.log_proba(x))
    np.testing.assert_allclose(to_tfp(dist).log_prob(x), dist.log_proba(x), rtol=1e-5)


def test_loops_and_datasets_take_it():
    dist = gamma()
    doubled = tf.function(
        lambda dist: tf.while_loop(
            lambda i, _: i < 3, lambda i, dist: (i + 1, tf.nest.map_structure(lambda x: 2 * x, dist)), [0, dist]
        )
    )(dist)[1]
    np.testing.assert_allclose(doubled.rate, 8 * dist.rate, rtol=1e-6)
    assert next(iter(tf.data.Dataset.from_tensor_slices(dist).batch(2))).batch_shape == (2,)


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["categorical", "correlated", "gamma", "mixture"])
def test_the_public_check(name):
    check_distribution(from_tfp(THEIRS[name](0)), num_samples=2000)


# Draws.


def test_an_int_repeats_the_draw_and_no_seed_does_not():
    dist = gamma(random_seed=3)
    np.testing.assert_array_equal(dist.sample(seed=1), dist.sample(seed=1))
    first = [dist.sample() for _ in range(3)]
    again = gamma(random_seed=3)
    np.testing.assert_array_equal(first, [again.sample() for _ in range(3)])
    assert np.any(first[0] != first[1]) and np.any(gamma().sample() != gamma().sample())
    assert np.any(dist.sample(seed=1) != dist.sample(seed=2))


def test_a_key_is_a_seed():
    key = tf.constant([1, 2], "int64")
    np.testing.assert_array_equal(gamma().sample(seed=key), gamma().sample(seed=key))


@pytest.mark.exhaustive
@pytest.mark.parametrize("random_seed", [None, 3])
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
def test_successive_draws_differ_inside_a_traced_function(random_seed, jit_compile):
    draw = tf.function(lambda dist: (dist.sample(), dist.sample()), jit_compile=jit_compile)
    dist = gamma(random_seed=random_seed)
    (a, b), (c, d) = draw(dist), draw(dist)
    assert np.any(a != b) and np.any(a != c) and np.any(b != d)


def test_symbolic_draws_differ_from_call_to_call():
    rate = keras.Input((N,))
    model = keras.Model(rate, TFPDist("Gamma", {"concentration": rate, "rate": rate}).sample())
    data = np.ones((B, N), "float32")
    assert np.any(model(data) != model(data)) and model.predict(data, verbose=0).shape == (B, N)


def test_draws_are_distributed_as_told():
    dist = TFPDist("Gamma", {"concentration": [2.0, 5.0], "rate": [1.0, 3.0]})
    x = dist.sample(100_000, seed=0).numpy()
    # At least four standard errors.
    np.testing.assert_allclose(x.mean(axis=0), dist.mean(), rtol=0.01)
    np.testing.assert_allclose(x.var(axis=0), dist.variance(), rtol=0.03)
    assert abs(np.corrcoef(x.T)[0, 1]) < 0.02


def test_the_entropy_that_tfp_lacks_is_estimated():
    dist = from_tfp(mixture(0))
    with pytest.raises(NotImplementedError, match="MixtureSameFamily: estimate it by `kgdists.divergences.entropy`"):
        dist.entropy()
    value, standard_error = kg.divergences.entropy(dist, num_samples=1000, seed=0)
    want = -np.mean(dist.log_proba(dist.sample(20_000, seed=1)), axis=0)
    assert np.all(np.abs(value - want) < 5 * standard_error)


# The head.


HEADS = {
    "categorical": (("Categorical", 4), {}, ["logits"], ()),
    "dirichlet": (("Dirichlet", N), {}, ["concentration"], (N,)),
    "gamma": (("Gamma", 2), {}, ["concentration", "log_rate"], (2,)),
    "multivariate_normal": (("MultivariateNormalTriL", N), {}, ["loc", "scale_tril"], (N,)),
    "poisson": (("Poisson", 2), {}, ["log_rate"], (2,)),
    "student_t": (("StudentT", 2), {"df": 3.0}, ["loc", "scale"], (2,)),
    "truncated_normal": (("TruncatedNormal", 2), {"low": [-1.0, 0.0], "high": INF}, ["loc", "scale"], (2,)),
    "von_mises": (("VonMises", 2), {}, ["loc", "concentration"], (2,)),
}
each_head = pytest.mark.parametrize("args, fixed, names, event", HEADS.values(), ids=HEADS)


def features(*shape):
    return RNG(0).normal(size=shape).astype("float32")


def policy(head):
    return kg.Policy(keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh")]), head)


@pytest.mark.few(1)
@each_head
@pytest.mark.parametrize("batch", [(1,), (7,), (7, 2)])
def test_distribution_and_shapes(args, fixed, names, event, batch):
    pi = TFPHead(*args, **fixed)(features(*batch, 4))
    assert (list(pi.params), pi.batch_shape, pi.event_shape) == (names, batch, event)
    assert pi.sample().shape == (*batch, *event) and np.isfinite(pi.log_proba(pi.sample())).all()


@each_head
def test_a_symbolic_distribution_of_symbolic_features(args, fixed, names, event):
    pi = TFPHead(*args, **fixed)(keras.Input((4,)))
    assert (list(pi.params), pi.batch_shape, pi.event_shape) == (names, (None,), event)


@pytest.mark.few(3)
@each_head
def test_gradients_reach_every_weight(args, fixed, names, event):
    head, x = TFPHead(*args, **fixed), features(7, 4)
    variates = head(x).sample(seed=1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(head(x).log_proba(variates) ** 2)
    gradients = tape.gradient(loss, head.trainable_variables)
    assert len(gradients) == 2 * len(names) and all(np.any(gradient) for gradient in gradients)


@pytest.mark.few(4)
@each_head
def test_head_config_round_trip(args, fixed, names, event):
    head = TFPHead(*args, **fixed, name="actor", kernel_gain=0.5, random_seed=3)
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert twin.get_config() == head.get_config()
    p, q = head(features(7, 4)), twin(features(7, 4))
    for name in names:
        np.testing.assert_array_equal(p.params[name], q.params[name])
    np.testing.assert_array_equal(p.sample(), q.sample())


@pytest.mark.few(1)
@each_head
def test_fit_predict_save_load(args, fixed, names, event, tmp_path):
    model, x = policy(TFPHead(*args, **fixed, random_seed=3)), features(40, 4)
    y = model(x).sample(seed=1).numpy()
    model.compile("adam")
    model.fit(x, y, batch_size=16, verbose=0)
    pi = model.predict(x, batch_size=16, verbose=0)
    assert type(pi) is TFPDist and pi.batch_shape == (40,)
    assert all(isinstance(leaf, np.ndarray) for leaf in pi.params.values())
    model.save(tmp_path / "policy.keras")
    loaded = keras.models.load_model(tmp_path / "policy.keras").predict(x, batch_size=16, verbose=0)
    np.testing.assert_allclose(loaded.log_proba(y), pi.log_proba(y), rtol=1e-5, atol=1e-6)


@pytest.mark.exhaustive
def test_a_gamma_head_recovers_its_parameters():
    """Concentration and rate that depend on the features."""
    x = RNG(1).integers(0, 2, size=(5000, 1)).astype("float32")
    concentration, rate = np.hstack([2.0 + 4.0 * x, 3.0 - x]), np.hstack([1.0 + x, 2.0 - x])
    y = RNG(2).gamma(concentration, 1.0 / rate).astype("float32")
    model = kg.Policy(keras.layers.Identity(), TFPHead("Gamma", 2, random_seed=0))
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(x, y, epochs=60, batch_size=1000, verbose=0)
    pi = model.predict(np.array([[0.0], [1.0]], "float32"), verbose=0)
    # Four standard errors of maximum likelihood from 2,500 numbers each.
    np.testing.assert_allclose(pi.concentration, [[2, 3], [6, 2]], rtol=0.12)
    np.testing.assert_allclose(np.exp(pi.log_rate), [[1, 2], [2, 1]], rtol=0.12)


@pytest.mark.exhaustive
def test_a_functional_model_of_a_head(tmp_path):
    features_in, x_in = keras.Input((4,)), keras.Input((2,))
    pi = TFPHead("Gamma", 2)(features_in)
    model = keras.Model([features_in, x_in], [pi.log_proba(x_in), pi.mean(), pi.sample()])
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    model.save(tmp_path / "model.keras")
    data = [features(7, 4), positive(0, 7, 2).numpy().astype("float32")]
    log_proba, mean, draws = model(data)
    for other in (clone, keras.models.load_model(tmp_path / "model.keras")):
        np.testing.assert_allclose(other(data)[0], log_proba, rtol=1e-5)
        np.testing.assert_allclose(other(data)[1], mean, rtol=1e-5)
        assert np.any(other(data)[2] != other(data)[2])


def test_export(tmp_path):
    model, x = policy(TFPHead("Normal", 2)), features(7, 4)
    pi = model(x)
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    served = loaded.serve(x)
    np.testing.assert_allclose(served["loc"], pi.loc, rtol=1e-5)
    np.testing.assert_allclose(served["mode_action"], pi.mode(), rtol=1e-5)
    assert np.any(served["action"] != loaded.serve(x)["action"])


@pytest.mark.parametrize("policy_name", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_the_parameters_in_float32(policy_name):
    pi = TFPHead("Gamma", 2, dtype=policy_name)(features(7, 4))
    assert pi.dtype == "float32" and np.isfinite(pi.log_proba(pi.sample())).all()


@pytest.mark.exhaustive
def test_a_layer_of_the_users_own_may_end_with_from_tfp(tmp_path):
    """What `DistributionLambda` was for; here with one trained scale for all features."""

    @keras.saving.register_keras_serializable("tests")
    class LaplaceHead(keras.layers.Layer):
        def build(self, shape):
            self.loc = keras.layers.Dense(2)
            self.loc.build(shape)
            self.scale = self.add_weight((2,), "ones")

        def call(self, inputs):
            return from_tfp(tfd.Independent(tfd.Laplace(self.loc(inputs), self.scale), 1))

    model, x = policy(LaplaceHead()), features(40, 4)
    model.compile("adam", jit_compile=True)
    y = model(x).sample(seed=1).numpy()
    first, *_, last = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert last < first
    model.save(tmp_path / "policy.keras")
    loaded = keras.models.load_model(tmp_path / "policy.keras").predict(x, batch_size=16, verbose=0)
    np.testing.assert_allclose(loaded.log_proba(y), model(x).log_proba(y), rtol=1e-4)


@pytest.mark.parametrize(
    "args, text",
    [
        (("Nothing", 2), "name of a class of TFP's distributions. Received: 'Nothing'"),
        (("Gamma", 0), "`num_dims` must be an int >= 1. Received: num_dims=0"),
        (("JointDistributionNamed", 2), "must have parameters that are tensors. Received: JointDistributionNamed"),
        (("Uniform", 2), r"`high` of Uniform must be fixed: .* Received: fixed arguments \{\}"),
    ],
)
def test_head_errors(args, text):
    with pytest.raises(ValueError, match=text):
        TFPHead(*args)
