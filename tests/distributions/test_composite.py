"""`CompositeDist`: sums over its branches, its structures, seeds, and what is saved."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists import BernoulliDist, CategoricalDist, CompositeDist, MultiCategoricalDist, NormalDist, SquashedNormalDist
from tests.marks import exhaustive

RNG = np.random.default_rng
INF = float("inf")


def f32(x):
    return np.asarray(x, "float32")


def noise(*shape, seed=0):
    return RNG(seed).normal(size=shape).astype("float32")


def parts(batch=(5,), seed=0):
    return {
        "move": CategoricalDist(noise(*batch, 3, seed=seed)),
        "push": (NormalDist(*noise(2, *batch, 2, seed=seed)), BernoulliDist(noise(*batch, 4, seed=seed))),
        "aim": {"b": MultiCategoricalDist(noise(*batch, 5, seed=seed), (2, 3)), "a": NormalDist(*noise(2, *batch, 1))},
    }


def flat(tree):
    return keras.tree.flatten(tree)


def leaves(dists):
    """The branches in the order of their values in a flat tree."""
    return [dists["aim"]["a"], dists["aim"]["b"], dists["move"], *dists["push"]]


def assert_same(got, want):
    assert type(got) is type(want) and got._static() == want._static()
    for a, b in zip(flat(got), flat(want), strict=True):
        np.testing.assert_array_equal(a, b)


# Sums.


@pytest.mark.few(1)
@pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3)])
def test_all_is_the_sum_over_the_branches(batch):
    own, its = parts(batch), parts(batch, seed=1)
    p, q = CompositeDist(own), CompositeDist(its)
    for x in (p.sample(seed=0), p.sample((4, 1), seed=0), p.sample_action(seed=0), p.mode(), p.mode_action()):
        want = sum(np.array(dist.log_proba(value)) for dist, value in zip(leaves(own), flat(x), strict=True))
        np.testing.assert_allclose(p.log_proba(x), want, rtol=1e-6)
    np.testing.assert_allclose(p.entropy(), sum(np.array(dist.entropy()) for dist in leaves(own)), rtol=1e-6)
    for name in ("cross_entropy", "kl_divergence"):
        want = sum(np.array(getattr(a, name)(b)) for a, b in zip(leaves(own), leaves(its), strict=True))
        np.testing.assert_allclose(getattr(p, name)(q), want, rtol=1e-6)


@pytest.mark.parametrize("name", ["mode", "mode_action", "mean", "variance"])
def test_values_are_those_of_the_branches(name):
    dists = parts()
    got = getattr(CompositeDist(dists), name)()
    assert got.keys() == {"move", "push", "aim"} and type(got["push"]) is tuple and got["aim"].keys() == {"a", "b"}
    for value, dist in zip(flat(got), leaves(dists), strict=True):
        np.testing.assert_array_equal(value, getattr(dist, name)())


def test_gradients_reach_every_branch():
    dist = CompositeDist(parts())
    action, params = dist.sample_action(seed=0), flat(dist)
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = keras.tree.pack_sequence_as(dist, params).log_proba(action)
    assert all(np.isfinite(g).all() and np.any(g) for g in tape.gradient(value, params))


def test_a_branch_without_a_closed_form_says_so():
    dist = CompositeDist((CategoricalDist([0.0, 1.0]), SquashedNormalDist(f32([0]), f32([0]))))
    with pytest.raises(NotImplementedError, match="A SquashedNormalDist has no closed form of `entropy`"):
        dist.entropy()


def test_whether_samples_are_reparameterized_is_up_to_all_branches():
    normal, categorical = NormalDist(f32([0]), f32([0])), CategoricalDist([0.0, 1.0])
    assert CompositeDist((normal, {"a": normal})).REPARAMETERIZED
    assert not CompositeDist((normal, {"a": categorical})).REPARAMETERIZED


# Structures.


def test_keys_are_in_one_order_whatever_the_order_given():
    a, b = CategoricalDist(noise(5, 2)), CategoricalDist(noise(5, 3))
    first, second = CompositeDist({"a": a, "b": b}), CompositeDist({"b": b, "a": a})
    assert_same(first, second)
    assert list(first.sample_action()) == ["a", "b"]
    keras.tree.map_structure(np.testing.assert_array_equal, first.sample(seed=1), second.sample(seed=1))
    np.testing.assert_array_equal(
        first.log_proba({"b": [1] * 5, "a": [0] * 5}), second.log_proba({"a": [0] * 5, "b": [1] * 5})
    )
    keras.tree.assert_same_structure(first, second)


def test_lists_become_tuples_and_branches_are_found_by_key():
    dists = parts()
    dist = CompositeDist([dists["move"], [dists["aim"]["a"]]])
    assert dist.event_shape == ((3,), ((1,),)) and type(dist.sample()) is tuple
    assert dist[0] is dists["move"] and dist[1][0] is dists["aim"]["a"]
    assert CompositeDist(dists)["aim"]["b"] is dists["aim"]["b"]
    np.testing.assert_array_equal(dist.log_proba([[0] * 5, [noise(5, 1)]]), dist.log_proba(([0] * 5, (noise(5, 1),))))


def test_composites_within_composites():
    inner = CompositeDist(parts()["aim"])
    outer = CompositeDist({"inner": inner, "move": parts()["move"]})
    x = outer.sample_action(seed=0)
    np.testing.assert_allclose(outer.log_proba(x), inner.log_proba(x["inner"]) + outer["move"].log_proba(x["move"]))
    assert outer.params.keys() == {"inner/a/mu", "inner/a/logvar", "inner/b/logits", "move/logits"}
    assert_same(CompositeDist.from_config(outer.get_config()), outer)
    assert_same(CompositeDist.from_params(outer.params, **outer._static()), outer)


@pytest.mark.parametrize(
    "dists, error, text",
    [
        ({}, ValueError, "`dists` must hold at least one distribution. Received: dists={}"),
        (((), {"a": ()}), ValueError, "`dists` must hold at least one distribution"),
        ({"a": [0.0]}, TypeError, "`dists` must be nested dicts and tuples of distributions. Received: float"),
        ("ab", TypeError, "`dists` must be nested dicts and tuples of distributions. Received: str"),
        ({1: CategoricalDist([0.0]), "a": CategoricalDist([0.0])}, TypeError, "Keys .* must be strings. Received: 1"),
        (
            (CategoricalDist([[0.0]]), CategoricalDist([0.0])),
            ValueError,
            r"`dists` must be of one batch shape and dtype. Received: \(1,\) of float32 and \(\) of float32",
        ),
        (
            (CategoricalDist(np.zeros((5, 2))), {"a": CategoricalDist(np.zeros((4, 2)))}),
            ValueError,
            r"`dists` must be of one batch shape and dtype. Received: \(5,\) of float64 and \(4,\) of float64",
        ),
        (
            (CategoricalDist(np.zeros(2)), CategoricalDist(f32([0, 0]))),
            ValueError,
            r"`dists` must be of one batch shape and dtype. Received: \(\) of float64 and \(\) of float32",
        ),
    ],
)
def test_bad_dists(dists, error, text):
    with pytest.raises(error, match=text):
        CompositeDist(dists)


@pytest.mark.few(5)
@pytest.mark.parametrize(
    "change, text",
    [
        (lambda x: {"move": x["move"]}, r"must be a dict with the keys \['aim', 'move', 'push'\]. .* keys \['move'\]"),
        (lambda x: x | {"more": 0}, r"must be a dict with the keys .* Received: dict with the keys .*'more'"),
        (lambda x: tuple(x.values()), "must be a dict with the keys .* Received: tuple of length 3"),
        (lambda x: x["move"], "must be a dict with the keys .* Received: .*Tensor"),
        (lambda x: x | {"push": x["push"][:1]}, "must be a tuple of length 2. Received: tuple of length 1"),
        (
            lambda x: x | {"push": dict(enumerate(x["push"]))},
            r"must be a tuple of length 2. Received: dict with the keys \[0, 1\]",
        ),
        (lambda x: x | {"aim": x["push"]}, r"must be a dict with the keys \['a', 'b'\]. Received: tuple of length 2"),
        (lambda x: x | {"move": [3] * 5}, "`x` of labels must lie in 0 ... 2. Received: label 3"),
        (lambda x: x | {"move": [0] * 4}, r"`x` of integer labels must .* Received: x of shape \(4,\)"),
    ],
)
def test_values_of_another_structure(change, text):
    dist = CompositeDist(parts())
    with pytest.raises(ValueError, match=text):
        dist.log_proba(change(dist.sample_action()))


@pytest.mark.parametrize("name", ["cross_entropy", "kl_divergence"])
def test_distributions_of_another_structure_are_not_compared(name):
    dists = parts()
    p = CompositeDist(dists)
    with pytest.raises(ValueError, match=r"must be a dict with the keys .* Received: dict with the keys \['move'\]"):
        getattr(p, name)(CompositeDist({"move": dists["move"]}))
    with pytest.raises(TypeError, match="`other` must be of the same type, CategoricalDist. Received: NormalDist"):
        getattr(p, name)(CompositeDist(dists | {"move": dists["aim"]["a"]}))
    with pytest.raises(TypeError, match="`other` must be of the same type, CompositeDist. Received: CategoricalDist"):
        getattr(p, name)(dists["move"])


@pytest.mark.parametrize(
    "dists",
    [
        {"a": {"b": CategoricalDist([0.0, 1.0])}, "a/b": CategoricalDist([2.0, 3.0])},
        {"a": CategoricalDist([0.0, 1.0]), "a/": {"": CategoricalDist([2.0, 3.0])}, "a~1": CategoricalDist([4.0, 5.0])},
        {"": CategoricalDist([0.0, 1.0]), "/": CategoricalDist([2.0, 3.0]), "0": (CategoricalDist([4.0, 5.0]),)},
    ],
)
def test_any_strings_are_keys(dists):
    dist = CompositeDist(dists)
    assert len(dist.params) == len(flat(dist))
    assert_same(CompositeDist.from_params(dist.params, **dist._static()), dist)
    assert_same(CompositeDist.from_config(dist.get_config()), dist)


# Seeds.


def twins(**seeds):
    """Five branches of one type, at several depths."""

    def branch(random_seed=None):
        return NormalDist(np.zeros(2000, "float32"), np.zeros(2000, "float32"), random_seed=random_seed)

    inner = CompositeDist({"a": branch(), "b": branch()})
    return CompositeDist({"a": branch(), "b": (branch(), {"c": branch()}), "inner": inner}, **seeds)


@pytest.mark.few(13)
@pytest.mark.parametrize("random_seed", [None, 3])
@pytest.mark.parametrize("seed", [None, 0, 5, keras.random.SeedGenerator(5)], ids=["none", "0", "5", "generator"])
@pytest.mark.parametrize("method", ["sample", "sample_action", "sample_and_log_proba"])
def test_branches_draw_independent_noise(method, seed, random_seed):
    drawn = getattr(twins(random_seed=random_seed), method)(seed=seed)
    values = flat(drawn[0] if method == "sample_and_log_proba" else drawn)
    assert len(values) == 5
    for a, b in itertools.combinations(values, 2):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.1


def test_branches_of_a_model_draw_independent_noise():
    dist = keras.tree.map_structure(lambda x: keras.Input(x.shape, dtype="float32"), twins(random_seed=3))
    model = keras.Model(flat(dist), [dist.sample(), dist.sample_action(seed=7)])
    values = flat(model([np.zeros((1, 2000), "float32")] * 10))
    for a, b in itertools.combinations(values, 2):
        assert abs(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]) < 0.1


def test_without_a_seed_each_branch_draws_from_its_own_stream():
    def make():
        own = NormalDist(noise(4), noise(4), random_seed=4)
        return CompositeDist({"own": own, "other": NormalDist(noise(4), noise(4))})

    np.testing.assert_array_equal(make().sample()["own"], make().sample()["own"])
    assert np.any(make().sample()["other"] != make().sample()["other"])


# Saving.


def test_the_streams_of_branches_are_saved():
    dist = CompositeDist((NormalDist(noise(4), noise(4), random_seed=4), NormalDist(noise(4), noise(4))))
    got = CompositeDist.from_config(dist.get_config())
    assert [part.random_seed for part in got.dists] == [4, None]
    np.testing.assert_array_equal(got.sample()[0], NormalDist(noise(4), noise(4), random_seed=4).sample())


def test_static_fields_of_branches_are_saved():
    dist = CompositeDist(
        {"a": CategoricalDist(noise(2), 0.7, name="pi"), "b": SquashedNormalDist(*noise(2, 2), (0, 1), (2, INF))}
    )
    for got in (CompositeDist.from_config(dist.get_config()), CompositeDist.from_params(dist.params, **dist._static())):
        assert_same(got, dist)
        assert got["a"].boltzmann_tau == 0.7 and got["a"].name == "pi" and got["b"].high == dist["b"].high


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["sample", "sample_action", "log_proba", "entropy"])
def test_a_functional_model_that_holds_one_survives_a_file(kind, tmp_path):
    features = keras.Input((4,))
    head = kg.layers.CompositeHead({"b": kg.layers.NormalHead(2), "a": (kg.layers.CategoricalHead(3),)})
    dist = head(features)
    action = {"b": ops.ones_like(features[:, :2]), "a": (ops.zeros_like(features[:, 0], dtype="int32"),)}
    arguments = {"log_proba": [action]}.get(kind, [])
    model = keras.Model(features, getattr(dist, kind)(*arguments))
    model.save(tmp_path / "model.keras")
    loaded, x = keras.models.load_model(tmp_path / "model.keras"), noise(7, 4)
    if kind in ("log_proba", "entropy"):
        np.testing.assert_array_equal(loaded(x), model(x))
    else:
        assert all(a.shape == b.shape for a, b in zip(flat(loaded(x)), flat(model(x)), strict=True))
        assert all(
            np.any(a != b)
            for a, b in zip(flat(loaded.predict(x)), flat(loaded.predict(x)), strict=True)
            if a.dtype == "float32"
        )


@pytest.mark.exhaustive
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
def test_in_a_compiled_function(jit_compile):
    dist = CompositeDist(parts())

    @tf.function(jit_compile=jit_compile)
    def evaluate(dist):
        x, log_proba = dist.sample_and_log_proba(3, seed=0)
        return log_proba - dist.log_proba(x), dist.entropy(), dist.log_proba(dist.mode_action())

    difference, entropy, log_proba = evaluate(dist)
    np.testing.assert_allclose(difference, np.zeros((3, 5)), atol=1e-5)
    np.testing.assert_allclose(entropy, dist.entropy(), rtol=1e-5)
    np.testing.assert_allclose(log_proba, dist.log_proba(dist.mode_action()), rtol=1e-5)
