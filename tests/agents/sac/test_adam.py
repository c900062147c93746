import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdists.agents.sac.adam import Adam

GRADIENTS = (np.random.default_rng(0).normal(size=(5, 3)) * [1e-9, 1.0, 1e4]).astype("float32")


def after_steps(Optimizer, compiled):
    """A variable, and the optimizer's own ones."""
    optimizer = Optimizer(keras.optimizers.schedules.PolynomialDecay(0.1, 5, 0.0))
    x = keras.Variable([1.0, 2.0, 3.0])
    optimizer.build([x])
    step = compiled(lambda gradient: optimizer.apply([gradient], [x]))
    for gradient in GRADIENTS:
        step(tf.constant(gradient))
    return [v.numpy() for v in (x, *optimizer.variables)]


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "compiled",
    [lambda step: step, tf.function, lambda step: tf.function(step, jit_compile=True)],
    ids=["eager", "graph", "XLA"],
)
def test_steps_and_moments_are_those_of_keras(compiled):
    ours = after_steps(Adam, compiled)
    assert np.all(np.abs(ours[0] - [1.0, 2.0, 3.0]) > 1e-5)
    for x, expected in zip(ours, after_steps(keras.optimizers.Adam, compiled), strict=True):
        np.testing.assert_allclose(x, expected, rtol=2e-5)  # 1 - 0.999 in float32


@pytest.mark.parametrize(("Optimizer", "joins"), [(Adam, False), (keras.optimizers.Adam, True)])
def test_no_operation_joins_the_gradients(Optimizer, joins):
    """Where one does, TensorFlow's optimizer of graphs loses the order of reads and updates, and runs differ."""
    optimizer, x = Optimizer(), keras.Variable([1.0, 2.0, 3.0])
    optimizer.build([x])
    step = tf.function(lambda gradient: optimizer.apply([gradient], [x])).get_concrete_function(GRADIENTS[0])
    assert ("IdentityN" in {node.op for node in step.graph.as_graph_def().node}) == joins
