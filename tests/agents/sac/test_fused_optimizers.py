import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdists.agents.sac.fused_optimizers import FUSED, FusedAdam

GRADIENTS = (np.random.default_rng(0).normal(size=(5, 3)) * [1e-9, 1.0, 1e4]).astype("float32")


def after_steps(Optimizer, compiled, **options):
    """A variable, and the optimizer's own ones."""
    optimizer = Optimizer(keras.optimizers.schedules.PolynomialDecay(0.1, 5, 0.0), **options)
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
@pytest.mark.parametrize(("name", "options"), [("adam", {}), ("adamw", {"weight_decay": 0.1}), ("sgd", {})])
def test_steps_and_moments_are_those_of_keras(compiled, name, options):
    ours = after_steps(FUSED[name], compiled, **options)
    if name != "sgd":
        assert np.all(np.abs(ours[0] - [1.0, 2.0, 3.0]) > 1e-5)
    keras_own = type(keras.optimizers.get(name))
    for x, expected in zip(ours, after_steps(keras_own, compiled, **options), strict=True):
        np.testing.assert_allclose(x, expected, rtol=2e-5)  # 1 - 0.999 in float32


@pytest.mark.parametrize(("Optimizer", "joins"), [(FusedAdam, False), (keras.optimizers.Adam, True)])
def test_no_operation_joins_the_gradients(Optimizer, joins):
    """Where one does, TensorFlow's optimizer of graphs loses the order of reads and updates, and runs differ."""
    optimizer, x = Optimizer(), keras.Variable([1.0, 2.0, 3.0])
    optimizer.build([x])
    step = tf.function(lambda gradient: optimizer.apply([gradient], [x])).get_concrete_function(GRADIENTS[0])
    assert ("IdentityN" in {node.op for node in step.graph.as_graph_def().node}) == joins
