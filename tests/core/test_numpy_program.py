import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists.core.numpy_operations import BUILDERS, ELEMENTWISE, REDUCTIONS
from kgdists.core.numpy_program import NumpyProgram, UnsuitableForNumpy

RNG = np.random.default_rng(0)
X, W = RNG.normal(size=(3, 4)).astype("float32"), RNG.normal(size=(4, 5)).astype("float32")
KEY = tf.TensorSpec((2,), tf.int64)
# Each operation that NumPy runs, in a formula of x [3, 4] and w [4, 5].
FORMULAS = {
    "Abs": lambda x, w: tf.abs(x),
    "Add": lambda x, w: tf.raw_ops.Add(x=x, y=x),
    "AddV2": lambda x, w: x + w[:, 0],
    "AddN": lambda x, w: tf.add_n([x, x, x]),
    "All": lambda x, w: tf.reduce_all(x > -1.0, axis=-1),
    "Any": lambda x, w: tf.reduce_any(x > 1.0),
    "ArgMax": lambda x, w: tf.argmax(x, -1, tf.int32),
    "ArgMin": lambda x, w: tf.argmin(x, 0),
    "BatchMatMulV2": lambda x, w: tf.matmul(x[None], w[None]) + tf.matmul(x[None], tf.transpose(w)[None], False, True),
    "BiasAdd": lambda x, w: tf.nn.bias_add(x, w[:, 0]),
    "BroadcastTo": lambda x, w: tf.broadcast_to(x, (2, 3, 4)),
    "Cast": lambda x, w: tf.cast(10.0 * x, "int32"),
    "Ceil": lambda x, w: tf.math.ceil(x),
    "ClipByValue": lambda x, w: tf.raw_ops.ClipByValue(t=x, clip_value_min=-0.5, clip_value_max=0.3),
    "ConcatV2": lambda x, w: tf.concat([x, x], 1),
    "Cos": lambda x, w: tf.cos(x),
    "Cumsum": lambda x, w: tf.cumsum(x, -1),
    "Elu": lambda x, w: tf.nn.elu(x),
    "EnsureShape": lambda x, w: tf.raw_ops.EnsureShape(input=x, shape=(3, 4)),
    "Equal": lambda x, w: x == tf.reduce_max(x, -1, keepdims=True),
    "Exp": lambda x, w: tf.exp(x),
    "ExpandDims": lambda x, w: tf.expand_dims(x, 1),
    "Expm1": lambda x, w: tf.math.expm1(x),
    "Fill": lambda x, w: tf.fill((2, 2), x[0, 0]),
    "Floor": lambda x, w: tf.floor(x),
    "GatherV2": lambda x, w: (
        tf.gather(w, tf.argmax(x, -1)) + tf.gather(tf.matmul(x, w), [0, 1, 4], batch_dims=1)[:, None]
    ),
    "Greater": lambda x, w: x > 0.0,
    "GreaterEqual": lambda x, w: x >= x[0, 0],
    "Identity": lambda x, w: tf.identity(x),
    "IdentityN": lambda x, w: tf.raw_ops.IdentityN(input=[x, 2.0 * x])[1],
    "IsFinite": lambda x, w: tf.math.is_finite(tf.math.log(x)),
    "IsInf": lambda x, w: tf.math.is_inf(1.0 / tf.nn.relu(x)),
    "IsNan": lambda x, w: tf.math.is_nan(tf.sqrt(x)),
    "LeakyRelu": lambda x, w: tf.nn.leaky_relu(x, 0.1),
    "Less": lambda x, w: x < 0.0,
    "LessEqual": lambda x, w: x <= x[0, 0],
    "Log": lambda x, w: tf.math.log(x * x),
    "Log1p": lambda x, w: tf.math.log1p(x * x),
    "LogicalAnd": lambda x, w: (x > 0.0) & (x < 1.0),
    "LogicalNot": lambda x, w: ~(x > 0.0),
    "LogicalOr": lambda x, w: (x > 1.0) | (x < -1.0),
    "MatMul": lambda x, w: tf.matmul(x, w) + tf.matmul(tf.transpose(x), w, transpose_a=True),
    "Max": lambda x, w: tf.reduce_max(x, -1, keepdims=True),
    "Maximum": lambda x, w: tf.maximum(x, 0.1),
    "Mean": lambda x, w: tf.reduce_mean(x, (0, 1)),
    "Min": lambda x, w: tf.reduce_min(x, 0),
    "Minimum": lambda x, w: tf.minimum(x, 0.1),
    "Mul": lambda x, w: x * w[:, 1],
    "Neg": lambda x, w: -x,
    "NotEqual": lambda x, w: x != x[0, 0],
    "OneHot": lambda x, w: tf.one_hot(tf.argmax(x, -1), 4, 2.0, -1.0),
    "Pack": lambda x, w: tf.stack([x, 2.0 * x], 1),
    "Pow": lambda x, w: tf.pow(tf.abs(x), 1.5),
    "PreventGradient": lambda x, w: tf.raw_ops.PreventGradient(input=x),
    "Prod": lambda x, w: tf.reduce_prod(x, -1),
    "RealDiv": lambda x, w: 1.0 / x,
    "Relu": lambda x, w: tf.nn.relu(x),
    "Relu6": lambda x, w: tf.nn.relu6(9.0 * x),
    "Reshape": lambda x, w: tf.reshape(x, (2, -1)),
    "Rsqrt": lambda x, w: tf.math.rsqrt(tf.abs(x)),
    "SelectV2": lambda x, w: tf.where(x > 0.0, x, 2.0),
    "Sigmoid": lambda x, w: tf.sigmoid(100.0 * x),
    "Sign": lambda x, w: tf.sign(x),
    "Sin": lambda x, w: tf.sin(x),
    "Slice": lambda x, w: tf.slice(x, (1, 0), (-1, 2)),
    "Softplus": lambda x, w: tf.nn.softplus(100.0 * x),
    "Softsign": lambda x, w: tf.nn.softsign(x),
    "Split": lambda x, w: tf.split(x, 2, axis=1)[1],
    "Sqrt": lambda x, w: tf.sqrt(tf.abs(x)),
    "Square": lambda x, w: tf.square(x),
    "SquaredDifference": lambda x, w: tf.math.squared_difference(x, w[:, 0]),
    "Squeeze": lambda x, w: tf.squeeze(x[:, :1], 1),
    "StopGradient": lambda x, w: tf.stop_gradient(x),
    "StridedSlice": lambda x, w: x[1:, None, ::-2] + x[..., -1, None][:2, None],
    "Sub": lambda x, w: x - w[:, 0],
    "Sum": lambda x, w: tf.reduce_sum(x, -1),
    "Tanh": lambda x, w: tf.tanh(x),
    "Tile": lambda x, w: tf.tile(x, (1, 2)),
    "Transpose": lambda x, w: tf.transpose(x),
    "Unpack": lambda x, w: tf.unstack(x, axis=1)[2],
}


def by_numpy(formula, x=X, w=W):
    def function(key, w, x):
        return [formula(x, w)]

    specs = [[tf.TensorSpec(array.shape, array.dtype)] for array in (w, x)]
    return NumpyProgram(function, KEY, *specs).of_weights([w])((), [x])[0]


@pytest.mark.few(30)
@pytest.mark.parametrize("name", FORMULAS)
def test_numpy_computes_what_tensorflow_does(name):
    formula = FORMULAS[name]
    graph = tf.function(formula, autograph=False).get_concrete_function(
        *map(tf.TensorSpec.from_tensor, map(tf.constant, (X, W)))
    )
    assert name in {node.type for node in graph.graph.get_operations()}
    expected, got = formula(tf.constant(X), tf.constant(W)).numpy(), by_numpy(formula)
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-6)


def test_every_operation_has_its_formula():
    assert FORMULAS.keys() == {*ELEMENTWISE, *REDUCTIONS, *BUILDERS}


def test_draws_of_many_keys_are_those_of_each():
    def function(key, w, x):
        return [x @ w + kg.random.normal((3, 5), key)]

    program = NumpyProgram(function, KEY, [tf.TensorSpec((4, 5))], [tf.TensorSpec((3, 4))])
    keys, act = np.array([[1, 2], [1, 3], [4, 0]]), program.of_weights([W])
    for key, draw in zip(keys, program.draws(keys), strict=True):
        np.testing.assert_allclose(act(draw, [X])[0], function(tf.constant(key), W, X)[0], rtol=1e-5, atol=1e-6)


def test_a_variable_is_read_where_weights_are_taken():
    scale = tf.Variable(2.0)

    def function(key, w, x):
        return [x * scale]

    program = NumpyProgram(function, KEY, [tf.TensorSpec((4, 5))], [tf.TensorSpec((3, 4))])
    before = program.of_weights([W])
    scale.assign(3.0)
    np.testing.assert_array_equal(before((), [X])[0], 2.0 * X)
    np.testing.assert_array_equal(program.of_weights([W])((), [X])[0], 3.0 * X)


@pytest.mark.parametrize(
    "formula",
    [
        lambda x, w: tf.math.erf(x),
        lambda x, w: tf.cumsum(x, -1, exclusive=True),
        lambda x, w: tf.cast(x, "bfloat16"),
        lambda x, w: tf.tile(x, (300, 100)),
        lambda x, w: tf.random.normal((3, 4)),
        lambda x, w: tf.boolean_mask(x, x > 0.0),
        lambda x, w: tf.while_loop(lambda x: tf.reduce_sum(x) < 9.0, lambda x: [x + 1.0], [x])[0],
        lambda x, w: tf.matmul(tf.tile(x, (1000, 1)), tf.tile(w, (1, 400)))[:3],
    ],
)
def test_what_numpy_lacks_or_is_slow_at_is_left_to_tensorflow(formula):
    with pytest.raises(UnsuitableForNumpy):
        by_numpy(formula)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.Dense(5, "relu"),
        lambda: keras.layers.Dense(5, "silu"),
        lambda: keras.layers.LayerNormalization(),
        lambda: keras.layers.Flatten(),
        lambda: kg.layers.RunningNormalization(),
    ],
)
def test_layers_of_policies_run_by_numpy(layer):
    layer = layer()
    expected = layer(X)

    def function(key, *weights_and_x):
        *weights, x = weights_and_x
        with keras.StatelessScope(state_mapping=list(zip(layer.variables, weights, strict=True))):
            return [ops.convert_to_tensor(layer(x))]

    specs = [tf.TensorSpec(x.shape, x.dtype) for x in layer.variables]
    program = NumpyProgram(function, KEY, specs, [tf.TensorSpec((3, 4))])
    act = program.of_weights([np.asarray(x) for x in layer.variables])
    np.testing.assert_allclose(act((), [X])[0], expected, rtol=1e-5, atol=1e-6)
