"""Ways to follow a gradient as pure functions: a learning rate, `ClipUp`, or any Keras optimizer."""

import keras
import numpy as np
import tensorflow as tf

from kgdists.evolution.clip_up import ClipUp

__all__ = ["ascent"]


def ascent(optimizer, learning_rate, parameter):
    """An object with `init(parameter) -> memory` and `ascent(gradient, memory, parameter) -> (step, memory)`.

    Parameters
    ----------
    optimizer : None, ClipUp, keras.optimizers.Optimizer or "clipup"
        None steps by the learning rate alone, which is also the step size of `"clipup"`.
    learning_rate : float
    parameter : tensor
        Of the shape and dtype of all that will be searched.
    """
    if optimizer is None:
        return _LearningRate(learning_rate)
    if optimizer == "clipup":
        return ClipUp(learning_rate)
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return _KerasAscent(optimizer, parameter)
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "ascent")):
        raise ValueError(
            "`optimizer` must be None, 'clipup', a ClipUp or a keras.optimizers.Optimizer. "
            f"Received: optimizer={optimizer!r}"
        )
    return optimizer


class _LearningRate:
    def __init__(self, learning_rate):
        self.learning_rate = learning_rate

    def init(self, parameter):
        return ()

    def ascent(self, gradient, memory, parameter):
        return tf.cast(self.learning_rate, gradient.dtype) * gradient, ()


class _KerasAscent:
    """A copy of a Keras optimizer, which sees the negative gradient; the memory is its variables."""

    def __init__(self, optimizer, parameter):
        config = optimizer if isinstance(optimizer, dict) else keras.optimizers.serialize(optimizer)
        config["config"].pop("name", None)  # which counts the optimizers
        self._config = config
        with tf.init_scope():
            self._parameter = keras.Variable(np.zeros(parameter.shape), dtype=parameter.dtype.name)
            self._optimizer = keras.optimizers.deserialize(config)
            self._optimizer.build([self._parameter])
            self._fresh = [np.array(variable) for variable in self._optimizer.variables]

    def __reduce__(self):
        return type(self), (self._config, tf.zeros(self._parameter.shape, self._parameter.dtype))

    def init(self, parameter):
        return tuple(tf.constant(value) for value in self._fresh)

    def ascent(self, gradient, memory, parameter):
        # Keras has no pure `apply` on TensorFlow: its variables serve for the time of a step.
        variables = [self._parameter, *self._optimizer.variables]
        for variable, value in zip(variables, [parameter, *memory], strict=True):
            variable.assign(value)
        self._optimizer.apply([-gradient], [self._parameter])
        new, *memory = (tf.convert_to_tensor(variable.value) for variable in variables)
        return new - parameter, tuple(memory)
