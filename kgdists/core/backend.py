"""Everything that depends on the backend or is private to TensorFlow and Keras, with a public way beside it."""

import contextlib
import functools
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import keras
import numpy as np
from keras import ops, tree
from keras.src.random.seed_generator import global_seed_generator

from kgdists.core.types import Tensor

__all__ = [
    "adam_step",
    "all_finite",
    "axes_of_index",
    "compiled",
    "concrete",
    "gather",
    "global_generator",
    "indexed",
    "is_tracing",
    "is_variable",
    "layers_of",
    "map_rows",
    "mask_of",
    "next_state",
    "other_variables",
    "outside_functions",
    "read",
    "refuse_as_tensor",
    "run",
    "run_as_written",
    "scalar",
    "scalar_value",
    "scalars_given",
    "set_mask",
    "takes_no_masked",
    "unmasked",
    "value_of",
    "with_gradient",
]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

USES_PRIVATE_PARTS = True  # False takes the public way everywhere, which is slower

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    from tensorflow.core.protobuf import config_pb2
    from tensorflow.python.eager import context, execute, record

    EagerTensor = tf.__internal__.EagerTensor

    def compiled(function: F) -> F:
        """`function` under XLA, compiled once for each structure and shape of its arguments."""
        return tf.function(function, jit_compile=True, autograph=False)

    @contextlib.contextmanager
    def outside_functions() -> Iterator[None]:
        """Run what makes a variable as if no function were being traced."""
        if not USES_PRIVATE_PARTS:
            with tf.init_scope():
                yield
            return
        # `tf.init_scope` keeps a traced function's rule that only its first call may make variables. A graph of its
        # own does not have it.
        with tf.Graph().as_default(), tf.__internal__.eager_context.eager_mode():
            yield

    is_tracing: Callable[[], bool] = tf.inside_function

    def map_rows() -> list[Tensor]:
        """The row, a scalar tensor, of each `tf.vectorized_map` that is being traced here, the outermost first."""
        if not is_tracing():
            return []
        graph = tf.compat.v1.get_default_graph()
        scopes, rows = graph.get_name_scope().split("/"), []
        # TensorFlow traces the body in a name scope of its own, in which the row comes first.
        for i, scope in enumerate(scopes, 1):
            if scope.startswith("loop_body"):
                with contextlib.suppress(KeyError):
                    row = graph.get_operation_by_name("/".join([*scopes[:i], "PlaceholderWithDefault"]))
                    rows.append(row.outputs[0])
        return rows

    def run(
        function: Any,
        arrays: Sequence[np.ndarray],
        tensors: Sequence[Tensor],
        arguments: tuple[Any, ...],
        as_written: bool = False,
        captured: Sequence[Tensor] | None = None,
    ) -> list[Tensor]:
        """The flat results of a concrete function.

        Parameters
        ----------
        function : tf.types.experimental.ConcreteFunction
        arrays, tensors : sequences of arrays and of tensors
            Its arguments one by one: arrays first.
        arguments : tuple
            The same as the function takes them.
        as_written : bool
            Without the optimizer of graphs. Where a loop has large sums, that makes variables for them which two of its
            rounds have in common, and fails.
        captured : None or sequence of tensors
            In place of the variables and tensors that the function has captured, one by one; see `other_variables`.
        """
        if not USES_PRIVATE_PARTS:
            with _unoptimized() if as_written else contextlib.nullcontext():
                return tree.flatten(function(*tree.map_structure(tf.convert_to_tensor, arguments)))
        # A structured call checks its arguments, which takes as long as a small network; `call_flat` does not, but
        # enters contexts that are for traced functions and tapes: a fifth of the time of acting.
        inner = function.inference_fn
        inputs = [*map(_tensor, arrays), *tensors, *(captured or function.captured_inputs)]
        if as_written:
            return execute.execute(inner.name, len(function.outputs), inputs, _ATTRIBUTES, context.context())
        return inner._bound_context.call_function(inner.name, inputs, len(function.outputs))

    def other_variables(function: Any, variables: Sequence[Any], others: Sequence[Any]) -> list[Tensor] | None:
        """What a concrete function would capture if it were of other variables of the same shapes, for `run`.

        None where it cannot be told: without private parts, or if it has captured variables that are not among these.
        """
        if not USES_PRIVATE_PARTS:
            return None
        handles = {id(_handle(x)): _handle(y) for x, y in zip(variables, others, strict=True)}
        captured = function.captured_inputs
        if any(x.dtype == tf.resource and id(x) not in handles for x in captured):
            return None
        return [handles.get(id(x), x) for x in captured]

    def _handle(variable):
        return (variable.value if isinstance(variable, keras.Variable) else variable).handle

    @contextlib.contextmanager
    def _unoptimized():
        before = tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
        try:
            yield
        finally:
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})

    def next_state(generator: keras.random.SeedGenerator) -> Tensor:
        """`generator.next()`: its state, an integer tensor of shape [2], which goes on by one."""
        state = generator.state.value
        if not USES_PRIVATE_PARTS or is_tracing() or not hasattr(state, "handle"):
            return generator.next()
        key = tf.raw_ops.ReadVariableOp(resource=state.handle, dtype=state.dtype)
        # As that does, in a tenth of its time.
        tf.raw_ops.AssignAddVariableOp(resource=state.handle, value=tf.constant([0, 1], state.dtype))
        return key

    # Grappler fuses operations, which changes last digits and takes longer than it saves.
    _AS_WRITTEN = context.FunctionCallOptions(
        config_proto=config_pb2.ConfigProto(graph_options={"rewrite_options": {"disable_meta_optimizer": True}})
    )
    _ATTRIBUTES = tuple(itertools.chain(*_AS_WRITTEN.as_attrs().items()))

    def run_as_written(function: Any, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The flat results of a concrete function of tensors, to the bit those of its operations one by one.

        They are on record for gradients where a tape is open. Without private parts last digits may differ.
        """
        if not USES_PRIVATE_PARTS:
            return list(function(*tensors))
        eager = context.context()
        if record.could_possibly_record():
            before, eager.function_call_options = eager.function_call_options, _AS_WRITTEN
            try:
                return list(function(*tensors))
            finally:
                eager.function_call_options = before
        inner = function.inference_fn
        inputs = [*tensors, *function.captured_inputs]
        return execute.execute(inner.name, len(function.outputs), inputs, _ATTRIBUTES, eager)

    def _tensor(array):
        # In the same memory where that is aligned; `tf.constant` runs an operation that copies.
        return EagerTensor(array, None, None)

    def read(variable: keras.Variable) -> Tensor:
        """The present value of a variable, a tensor."""
        value = variable.value
        if hasattr(value, "values"):  # one on each of several devices
            return tf.convert_to_tensor(value)
        return tf.raw_ops.ReadVariableOp(
            resource=value.handle, dtype=value.dtype
        )  # as that does, in a third of its time

    def adam_step(
        optimizer: keras.optimizers.Adam, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor
    ) -> None:
        """Move a variable by one step of a `keras.optimizers.Adam`: its dozen operations as one."""
        if not USES_PRIVATE_PARTS:
            keras.optimizers.Adam.update_step(optimizer, gradient, variable, learning_rate)
            return
        index, step = optimizer._get_variable_index(variable), tf.cast(optimizer.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=optimizer._momentums[index].value.handle,
            v=optimizer._velocities[index].value.handle,
            beta1_power=optimizer.beta_1**step,
            beta2_power=optimizer.beta_2**step,
            lr=learning_rate,
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )

    def refuse_as_tensor(cls: type, rule: str) -> None:
        """Let TensorFlow, and Keras' operations, raise a rule where an object of a class is given for a tensor."""

        def refuse(value, dtype=None, name=None, as_ref=False):
            raise TypeError(f"{rule}. Received: a {type(value).__name__}")

        tf.register_tensor_conversion_function(cls, refuse)

    def scalar(value: Any) -> Any:
        """A number in a variable that is no weight for Keras, though a SavedModel has it; a variable itself."""
        if isinstance(value, keras.Variable):
            return value.value
        if isinstance(value, tf.Variable):
            return value
        with outside_functions():
            return tf.Variable(value, trainable=False, dtype="float64")

    def scalar_value(variable: Any) -> Tensor:
        """The present value of a `scalar`."""
        return tf.convert_to_tensor(_given.values.get(id(variable), variable))

    class _Given(threading.local):
        def __init__(self) -> None:
            self.values: dict[int, Tensor] = {}

    _given = _Given()

    @contextlib.contextmanager
    def scalars_given(variables: Sequence[Any], values: Sequence[Tensor]) -> Iterator[None]:
        """Let scalars have these values, where a function must not read variables, as those of another device."""
        before, _given.values = _given.values, {id(x): y for x, y in zip(variables, values, strict=True)}
        try:
            yield
        finally:
            _given.values = before

    _VARIABLES: tuple[type, ...] = (keras.Variable, tf.Variable)

    def _is_concrete(x):
        return isinstance(x, (np.ndarray, EagerTensor))

    def _read(variable):
        # Keras gives TensorFlow's own variable, which is no value yet; reading it is an operation that tapes record.
        return tf.convert_to_tensor(variable)

    def _gather(x, index):
        return tf.gather(x, index, batch_dims=len(index.shape))

else:
    import jax

    def compiled(function: F) -> F:
        """`function` itself: JAX compiles its loops."""
        return function

    @contextlib.contextmanager
    def outside_functions() -> Iterator[None]:
        """Nothing: JAX makes no variables in what it traces."""
        yield

    def is_tracing() -> bool:
        """False: nothing depends on it on JAX."""
        return False

    def next_state(generator: keras.random.SeedGenerator) -> Tensor:
        """The next state of a generator: `generator.next()`."""
        return generator.next()

    def map_rows() -> list[Tensor]:
        """None: JAX' maps are seen by its own generators."""
        return []

    def refuse_as_tensor(cls: type, rule: str) -> None:
        """Nothing: JAX refuses what is no array by itself."""

    class _Scalar:
        def __init__(self, value: Any) -> None:
            self.value = value

        def assign(self, value: float) -> None:
            if isinstance(self.value, keras.Variable):
                self.value.assign(value)
            else:
                self.value = value

    def scalar(value: Any) -> Any:
        """A number that may be set, outside of what Keras tracks: traced functions keep it."""
        return _Scalar(value)

    def scalar_value(variable: Any) -> Tensor:
        """The present value of a `scalar`."""
        return variable.value

    @contextlib.contextmanager
    def scalars_given(variables: Sequence[Any], values: Sequence[Tensor]) -> Iterator[None]:
        """Nothing: JAX has no devices that must not read variables of another."""
        yield

    _VARIABLES = (keras.Variable,)

    def _is_concrete(x):
        return isinstance(x, (np.ndarray, jax.Array)) and not isinstance(x, jax.core.Tracer)

    def _read(variable):
        return variable

    def _gather(x, index):
        axis = index.ndim
        index = jax.numpy.expand_dims(index, tuple(range(axis, x.ndim)))
        return jax.numpy.squeeze(jax.numpy.take_along_axis(x, index, axis), axis)


def global_generator() -> keras.random.SeedGenerator | None:
    """The generator that Keras draws from where it is given no seed; None without private parts."""
    return global_seed_generator() if USES_PRIVATE_PARTS else None


def layers_of(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """All layers of a model or layer, itself and those at any depth."""
    if USES_PRIVATE_PARTS:
        return list(model._flatten_layers())
    found = [model]
    for layer in getattr(model, "layers", ()):
        found += [x for x in layers_of(layer) if not any(x is other for other in found)]
    return found


def mask_of(tensors: Iterable[Tensor]) -> Tensor | None:
    """The mask that Keras hands on with the first of some tensors that has one."""
    masks = (getattr(x, "_keras_mask", None) for x in tensors) if USES_PRIVATE_PARTS else ()
    return next((mask for mask in masks if mask is not None), None)


def set_mask(x: Tensor, mask: Tensor | None) -> None:
    """Hand a mask on with a tensor, as Keras does; without private parts, and on JAX, tensors carry none."""
    if mask is not None and USES_PRIVATE_PARTS:
        with contextlib.suppress(AttributeError):
            x._keras_mask = mask


def concrete(x: Any) -> np.ndarray | None:
    """The values of `x` as a NumPy array where they are at hand (eager), else `None`."""
    if not _is_concrete(x):
        return None
    # NumPy cannot read a bfloat16 EagerTensor without axes.
    return np.asarray(x.numpy() if hasattr(x, "numpy") else x)


def is_variable(x: Any) -> bool:
    """Whether `x` is a variable, of Keras or of TensorFlow, which may change."""
    return isinstance(x, _VARIABLES)


def value_of(x: Any) -> Any:
    """`x`, as a tensor of its present value if it is a variable, which gradients reach, and as an array if a frame."""
    if isinstance(x, keras.Variable):
        x = x.value
    if hasattr(x, "to_numpy"):  # pandas' frames and series, which have dtypes of their own
        x = x.to_numpy()
    return _read(x) if is_variable(x) else unmasked(x)


def unmasked(x: T) -> T:
    """`x`, no array, nor list of arrays, of which entries are masked: the numbers behind a mask are not meant."""
    if _is_masked(x):
        raise ValueError(
            "Numbers must not be masked: leave them out, or fill them. Received: an array with masked entries"
        )
    return x


def _is_masked(x):
    if isinstance(x, (list, tuple)):
        return any(map(_is_masked, x))
    return isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x)


def takes_no_masked(method: F) -> F:
    """`method`, which raises where one of its arguments, possibly nested, is an array with masked entries."""

    @functools.wraps(method)
    def checked(*args, **kwargs):
        for x in tree.flatten((args, kwargs)):
            unmasked(x)
        return method(*args, **kwargs)

    return cast(F, checked)


def all_finite(values: np.ndarray) -> bool:
    """Whether the sum of a NumPy array is finite, and so all of it is: one pass, several times as fast as `isfinite`.

    Where the sum overflows the answer is False although it might be True.
    """
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.sum(values)))


def axes_of_index(part: Any) -> int:
    """How many axes a part of an index takes away or keeps: none for a new one, its own for an array of flags."""
    if part is None or part is Ellipsis:
        return 0
    shape, dtype = getattr(part, "shape", None), str(getattr(part, "dtype", ""))
    return len(shape) if shape is not None and "bool" in dtype else 1


def indexed(x: Tensor, index: tuple[Any, ...]) -> Tensor:
    """`x[index]`, also by an array of integers or flags, which must be all of the index."""
    parts = [np.asarray(part) if isinstance(part, list) else part for part in index]
    if not any(getattr(part, "shape", ()) for part in parts):
        return x[tuple(int(part) if hasattr(part, "dtype") else part for part in parts)]
    first, *others = parts
    if any(part != slice(None) for part in others if part is not Ellipsis):
        raise IndexError("An array of integers or flags must be the first part of an index, before slices of all")
    if "bool" in str(first.dtype):
        rank = len(first.shape)
        x = ops.reshape(x, (-1, *ops.shape(x)[rank:]))
        (first,) = ops.nonzero(ops.reshape(first, (-1,)))
    return ops.take(x, first, axis=0)


def gather(x: Tensor, index: Tensor) -> Tensor:
    """`x[b, index[b]]` for each place `b`, from `x` of shape [B..., n, ...] and `index` of shape [B...]."""
    if isinstance(x, keras.KerasTensor) or isinstance(index, keras.KerasTensor):
        axis = len(index.shape)
        index = ops.expand_dims(index, tuple(range(axis, len(x.shape))))
        return ops.squeeze(ops.take_along_axis(x, index, axis), axis)
    return _gather(x, index)  # `ops.take_along_axis` takes thirty times as long eagerly


def with_gradient(function: F) -> F:
    """`ops.custom_gradient`, also of KerasTensors, which have no gradients."""
    differentiable = ops.custom_gradient(function)

    @functools.wraps(function)
    def call(*tensors: Tensor) -> Tensor:
        if any(isinstance(x, keras.KerasTensor) for x in tensors):
            return function(*tensors)[0]
        return differentiable(*tensors)

    return cast(F, call)
