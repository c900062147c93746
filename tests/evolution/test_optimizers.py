import numpy as np
import pytest
import tensorflow as tf

from kgdists.evolution import ClipUp


def test_the_first_step_has_the_length_of_the_step_size():
    optimizer = ClipUp(0.15)
    step, velocity = optimizer.ascent(tf.constant([3.0, -4.0]), optimizer.init(tf.zeros(2)))
    np.testing.assert_allclose(step, [0.09, -0.12], rtol=1e-6)
    np.testing.assert_array_equal(step, velocity)


def test_speed_is_limited_to_twice_the_step_size():
    optimizer = ClipUp(0.5)
    velocity = optimizer.init(tf.zeros(3))
    for _ in range(20):
        step, velocity = optimizer.ascent(tf.constant([1.0, 2.0, 2.0]), velocity)
    np.testing.assert_allclose(tf.norm(step), 1.0, rtol=1e-6)


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_only_the_direction_of_a_gradient_counts_and_that_of_zero_is_none(size, dtype):
    optimizer = ClipUp(0.5, momentum=0.8)
    velocity = tf.constant([0.1, 0.0], dtype)
    step, _ = optimizer.ascent(tf.constant([0.0, size], dtype), velocity)
    np.testing.assert_allclose(step, [0.08, 0.5 if size else 0.0], rtol=1e-6)


def test_without_gradient_and_velocity_it_stays():
    step, velocity = ClipUp(0.5).ascent(tf.zeros(2), tf.zeros(2))
    np.testing.assert_array_equal(step, [0.0, 0.0])
    np.testing.assert_array_equal(velocity, [0.0, 0.0])


def test_searches_of_a_batch_have_speeds_of_their_own():
    gradient = tf.constant([[3.0, 4.0], [0.0, 0.0]])
    step, _ = ClipUp(1.0).ascent(gradient, tf.zeros((2, 2)))
    np.testing.assert_allclose(step, [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"stepsize": 0.0},
        {"stepsize": 0.1, "momentum": 1.0},
        {"stepsize": 0.1, "momentum": -0.1},
        {"stepsize": 0.1, "max_speed": 0.0},
        {"stepsize": "fast", "max_speed": 1.0},
    ],
)
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="Received"):
        ClipUp(**options)
