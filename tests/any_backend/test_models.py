"""Heads, losses and returns on another backend than TensorFlow, where files of their own test them."""

import keras
import numpy as np
import pytest
from keras import ops

import kgdists as kg
from tests.golden import TOLERANCE, assert_close, cases
from tests.marks import quick
from tests.table import HEADS, QUICK_HEADS

if keras.backend.backend() == "tensorflow":
    pytest.skip("tests/test_citizenship.py, test_losses.py and test_returns.py have these", allow_module_level=True)

DTYPES = ["float32", "float64"] if ops.convert_to_tensor(np.zeros(1)).dtype == "float64" else ["float32"]


def observations():
    return np.random.default_rng(0).normal(size=(64, 4)).astype("float32")


@pytest.fixture(scope="module", params=quick(QUICK_HEADS, list(HEADS)))
def trained(request):
    """A policy after some training on two actions, and the mean log-probability of these before and after."""
    cls, arguments, _, _ = HEADS[request.param]
    x = observations()
    policy = kg.Policy(keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh")]), cls(**arguments))
    pi = policy(x)
    drawn = pi.sample(seed=0) if pi.REPARAMETERIZED else pi.sample_action(seed=0)
    actions = np.asarray(drawn)[np.where(x[:, 0] > 0, 0, 1)]
    before = np.mean(pi.log_proba(actions))
    policy.compile(keras.optimizers.Adam(0.02))
    policy.fit(x, actions, batch_size=32, epochs=5, verbose=0)
    return policy, before, np.mean(policy(x).log_proba(actions))


def test_fit_makes_the_actions_likelier(trained):
    _, before, after = trained
    assert after > before + 0.01


def test_predict_returns_the_distribution_as_arrays(trained):
    policy, x = trained[0], observations()
    got = policy.predict(x, batch_size=50, verbose=0)
    for name, leaf in policy(x).params.items():
        assert isinstance(got.params[name], np.ndarray)
        np.testing.assert_allclose(got.params[name], leaf, rtol=1e-4, atol=1e-5)


def test_a_saved_policy_is_loaded(trained, tmp_path):
    policy, x = trained[0], observations()
    policy.save(tmp_path / "policy.keras")
    loaded = keras.saving.load_model(tmp_path / "policy.keras", safe_mode=True)
    for name, leaf in policy(x).params.items():
        np.testing.assert_allclose(loaded(x).params[name], leaf, rtol=1e-6)


def test_successive_draws_differ(trained):
    pi = trained[0](observations())
    assert np.any(np.asarray(pi.sample()) != np.asarray(pi.sample()))


@pytest.mark.parametrize("name", quick(QUICK_HEADS, list(HEADS)))
def test_draws_in_a_functional_model(name):
    cls, arguments, _, _ = HEADS[name]
    features = keras.Input((4,))
    pi = cls(**arguments)(features)
    model = keras.Model(features, [pi.sample(), pi.sample_action()])
    assert all(np.isfinite(np.asarray(x)).all() for x in keras.tree.flatten(model(observations())))


@pytest.mark.parametrize("name", quick(QUICK_HEADS, list(HEADS)))
@pytest.mark.parametrize("half", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_gives_finite_values(name, half):
    cls, arguments, _, _ = HEADS[name]
    head = cls(**arguments, dtype=half)
    pi = head(observations())
    x, log_proba = pi.sample_and_log_proba()
    assert pi.dtype == head.compute_dtype == keras.backend.standardize_dtype(x.dtype)
    assert np.isfinite(np.asarray(ops.cast(log_proba, "float32"))).all()


# By hand, as in tests/test_losses.py.

RATIOS = np.log([1.5, 0.5, 1.1, 0.9])
LOSSES = {
    "policy_gradient": (kg.losses.policy_gradient, ([-1.0, -2.0, -3.0], [2.0, 1.0, -1.0]), {}, 1.0 / 3.0),
    "ppo_clip": (kg.losses.ppo_clip, (RATIOS, [0.0] * 4, [2.0, -2.0, 1.0, -1.0]), {"clip_range": 0.2}, -0.25),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss, arrays, options, want", LOSSES.values(), ids=LOSSES)
def test_losses_by_hand(loss, arrays, options, want, dtype):
    got = loss(*(ops.convert_to_tensor(x, dtype) for x in arrays), **options)
    assert_close(got, want, TOLERANCE[dtype])


GAE = [pytest.param(case, dtype, id=f"{case['id']}-{dtype}") for dtype in DTYPES for case in cases("gae", "gae", dtype)]


@pytest.mark.parametrize("case, dtype", GAE)
def test_reference_numbers_of_returns(case, dtype):
    inputs, want = case["inputs"], case["expected"]
    floats = [ops.convert_to_tensor(inputs[name], dtype) for name in ("rewards", "values", "next_values")]
    ends = [ops.convert_to_tensor(inputs[name], "bool") for name in ("terminated", "truncated")]
    advantages, returns = kg.returns.gae(*floats, *ends, inputs["gamma"], inputs["lambda"])
    assert_close(advantages, want["advantages"], TOLERANCE[dtype], case["scale"]["advantages"])
    assert_close(returns, want["returns"], TOLERANCE[dtype], case["scale"]["returns"])
