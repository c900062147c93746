import numpy as np
import pytest
import tensorflow as tf

from kgdists.layers import NormalHead

FEATURES = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
NOTHING = np.zeros((7, 4), "float32")
each_kind = pytest.mark.parametrize("state_dependent", [False, True], ids=["independent", "state_dependent"])


def stddev(pi):
    return np.exp(0.5 * pi.logvar.numpy())


def set_raw_logvar(head, value):
    """Put the log-variance before its bounds at `value`, whatever the features."""
    if not head.built:
        head.build(FEATURES.shape)
    if head.state_dependent:
        head.logvar.kernel.assign(np.zeros(head.logvar.kernel.shape))
    weight = head.logvar.bias if head.state_dependent else head.logvar_weight
    weight.assign(np.full(weight.shape, value))
    return weight


@each_kind
@pytest.mark.parametrize("initial_stddev", [0.00101, 0.01, 0.5, 1.0, 3.0, 99.0])
def test_initial_stddev(state_dependent, initial_stddev):
    head = NormalHead(2, state_dependent=state_dependent, initial_stddev=initial_stddev)
    np.testing.assert_allclose(stddev(head(NOTHING)), initial_stddev, rtol=1e-5)


@each_kind
def test_initial_stddev_in_units_of_scale(state_dependent):
    head = NormalHead(3, state_dependent=state_dependent, initial_stddev=0.5, scale=[0.1, 1.0, 20.0])
    np.testing.assert_allclose(stddev(head(NOTHING)), [[0.05, 0.5, 10.0]] * 7, rtol=1e-5)


@each_kind
def test_initial_stddev_within_tight_bounds(state_dependent):
    head = NormalHead(2, state_dependent, initial_stddev=1.0, min_stddev=0.9, max_stddev=1.2)
    np.testing.assert_allclose(stddev(head(NOTHING)), 1.0, rtol=1e-5)


def test_mean_starts_at_the_center():
    head = NormalHead(2, center=[-1.0, 30.0], scale=[2.0, 5.0])
    np.testing.assert_array_equal(head(NOTHING).mu, [[-1.0, 30.0]] * 7)


def test_mean_is_in_units_of_scale():
    plain = NormalHead(2, kernel_gain=1.0, random_seed=0)(FEATURES)
    scaled = NormalHead(2, kernel_gain=1.0, random_seed=0, center=[-1.0, 30.0], scale=[2.0, 5.0])(FEATURES)
    np.testing.assert_allclose(scaled.mu, [-1.0, 30.0] + [2.0, 5.0] * plain.mu.numpy(), rtol=1e-5)


def test_center_and_scale_as_numbers_or_arrays():
    lists = NormalHead(2, center=[3.0, 3.0], scale=[2.0, 2.0])(NOTHING)
    for head in (NormalHead(2, center=3.0, scale=2.0), NormalHead(2, center=np.full(2, 3.0), scale=np.full(2, 2.0))):
        np.testing.assert_array_equal(head(NOTHING).mu, lists.mu)
        np.testing.assert_array_equal(head(NOTHING).logvar, lists.logvar)


def test_independent_log_variance_is_one_trained_vector():
    head = NormalHead(2)
    set_raw_logvar(head, [0.5, -0.5])
    logvar = head(100.0 * FEATURES).logvar.numpy()
    np.testing.assert_array_equal(logvar, np.broadcast_to(logvar[0], (7, 2)))
    assert len(head.trainable_variables) == 3


def test_state_dependent_log_variance_differs_from_row_to_row():
    logvar = NormalHead(2, state_dependent=True, kernel_gain=1.0)(FEATURES).logvar.numpy()
    assert (np.ptp(logvar, axis=0) > 0.01).all()


@each_kind
@pytest.mark.parametrize("raw, bound", [(-1e3, 0.2), (1e3, 4.0)])
def test_stddev_stays_within_its_bounds(state_dependent, raw, bound):
    head = NormalHead(2, state_dependent, min_stddev=0.1, max_stddev=2.0, scale=2.0)
    set_raw_logvar(head, raw)
    np.testing.assert_allclose(stddev(head(FEATURES)), bound, rtol=1e-4)


@pytest.mark.few(13)
@each_kind
@pytest.mark.parametrize("distance", [-5.0, 0.0, 5.0, 40.0])
@pytest.mark.parametrize("side", [-1, 1], ids=["low", "high"])
def test_gradient_does_not_vanish_near_and_beyond_the_bounds(state_dependent, side, distance):
    head = NormalHead(1, state_dependent)
    weight = set_raw_logvar(head, head.logvar_bounds[(side + 1) // 2] + side * distance)
    with tf.GradientTape() as tape:
        logvar = head(NOTHING[:1]).logvar
    gradient = tape.gradient(logvar, weight)
    np.testing.assert_allclose(gradient, [1.0 / (1.0 + np.exp(distance))], rtol=0.01)


def test_stddev_rises_with_its_weight_all_the_way():
    head = NormalHead(1, min_stddev=0.1, max_stddev=10.0)
    logvars = []
    for raw in np.linspace(-10.0, 10.0, 41):
        set_raw_logvar(head, raw)
        logvars.append(head(NOTHING[:1]).logvar.numpy().item())
    slopes = np.diff(logvars) / 0.5
    assert (slopes > 0).all() and (slopes < 1).all() and np.abs(np.diff(slopes)).max() < 0.15


@pytest.mark.parametrize("policy, rtol", [("mixed_float16", 1e-5), ("float16", 0.01), ("bfloat16", 0.05)])
def test_initial_stddev_in_half_precision(policy, rtol):
    pi = NormalHead(2, initial_stddev=0.5, dtype=policy)(NOTHING)
    np.testing.assert_allclose(np.exp(0.5 * tf.cast(pi.logvar, "float32")), 0.5, rtol=rtol)


@pytest.mark.parametrize("num_dims", [0, -1, 2.5, "2", None])
def test_bad_num_dims(num_dims):
    with pytest.raises(ValueError, match="`num_dims` must be an int >= 1. Received: num_dims="):
        NormalHead(num_dims)


@pytest.mark.parametrize(
    "options",
    [
        {"initial_stddev": 0.0},
        {"initial_stddev": -1.0},
        {"initial_stddev": float("nan")},
        {"initial_stddev": 1e3},
        {"min_stddev": 0.0},
        {"min_stddev": 2.0},
        {"max_stddev": 1.0},
        {"max_stddev": float("inf")},
    ],
    ids=str,
)
def test_bad_stddevs(options):
    with pytest.raises(ValueError, match="0 < min_stddev < initial_stddev < max_stddev. Received: "):
        NormalHead(2, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"center": [0.0]},
        {"center": [[0.0, 0.0]]},
        {"center": float("inf")},
        {"scale": [1.0, 1.0, 1.0]},
        {"scale": 0.0},
        {"scale": [1.0, -1.0]},
        {"scale": float("nan")},
    ],
    ids=str,
)
def test_bad_center_and_scale(options):
    with pytest.raises(ValueError, match="`center` and `scale` must be .*Received: "):
        NormalHead(2, **options)
