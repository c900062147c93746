"""Ways to follow a gradient as pure functions: a learning rate, `ClipUp`, or any Keras optimizer."""

import numbers
from typing import Any, Protocol, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from kgdists.core.types import Tensor, TensorLike

__all__ = ["Ascent", "ClipUp", "OptimizerLike", "ascent"]


class Ascent(Protocol):
    """A way to follow a gradient, as pure functions of a memory, a nest of tensors."""

    def init(self, parameter: TensorLike, /) -> Any:
        """The first memory."""

    def ascent(self, gradient: Tensor, memory: Any, parameter: Tensor, /) -> tuple[Tensor, Any]:
        """A step, and the next memory."""


# Texts: "clipup".
OptimizerLike: TypeAlias = str | Ascent | keras.optimizers.Optimizer | None


def ascent(optimizer: OptimizerLike, learning_rate: float, parameter: Tensor) -> Ascent:
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
    if isinstance(optimizer, str) or not (hasattr(optimizer, "init") and hasattr(optimizer, "ascent")):
        raise ValueError(
            "`optimizer` must be None, 'clipup', a ClipUp or a keras.optimizers.Optimizer. "
            f"Received: optimizer={optimizer!r}"
        )
    return optimizer


class _LearningRate:
    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate

    def init(self, parameter: TensorLike) -> Any:
        return ()

    def ascent(self, gradient: Tensor, memory: Any, parameter: Tensor) -> tuple[Tensor, Any]:
        return tf.cast(self.learning_rate, gradient.dtype) * gradient, ()


class _KerasAscent:
    """A copy of a Keras optimizer, which sees the negative gradient; the memory is its variables."""

    def __init__(self, optimizer: keras.optimizers.Optimizer | dict[str, Any], parameter: Tensor) -> None:
        config = optimizer if isinstance(optimizer, dict) else keras.optimizers.serialize(optimizer)
        config["config"].pop("name", None)  # which counts the optimizers
        self._config = config
        with tf.init_scope():
            self._parameter = keras.Variable(np.zeros(parameter.shape), dtype=parameter.dtype.name)
            self._optimizer = keras.optimizers.deserialize(config)
            self._optimizer.build([self._parameter])
            self._fresh = [np.array(variable) for variable in self._optimizer.variables]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._config, tf.zeros(self._parameter.shape, self._parameter.dtype))

    def init(self, parameter: TensorLike) -> Any:
        return tuple(tf.constant(value) for value in self._fresh)

    def ascent(self, gradient: Tensor, memory: Any, parameter: Tensor) -> tuple[Tensor, Any]:
        # Keras has no pure `apply` on TensorFlow: its variables serve for the time of a step.
        variables = [self._parameter, *self._optimizer.variables]
        for variable, value in zip(variables, [parameter, *memory], strict=True):
            variable.assign(value)
        self._optimizer.apply([-gradient], [self._parameter])
        new, *memory = (tf.convert_to_tensor(variable.value) for variable in variables)
        return new - parameter, tuple(memory)


class ClipUp:
    """Gradient ascent by steps of one length, whose velocity is clipped (Toklu et al. 2020).

    The velocity is `momentum` times the last one plus `stepsize` times the direction of the gradient, and no longer
    than `max_speed`; it is the step. A gradient of zeros has no direction, and adds nothing.

    Parameters
    ----------
    stepsize : float, > 0
    momentum : float, in [0, 1)
    max_speed : None or float, > 0
        None is twice the `stepsize`.

    Examples
    --------
    >>> from kgdists.evolution import ClipUp
    >>> optimizer = ClipUp(0.5)
    >>> velocity = optimizer.init([0.0, 0.0])
    >>> step, velocity = optimizer.ascent([3.0, 4.0], velocity)
    >>> step.numpy().round(3)
    array([0.3, 0.4], dtype=float32)
    """

    def __init__(self, stepsize: float, momentum: float = 0.9, max_speed: float | None = None) -> None:
        max_speed = 2.0 * stepsize if max_speed is None else max_speed
        for name, value in (("stepsize", stepsize), ("momentum", momentum), ("max_speed", max_speed)):
            valid = isinstance(value, numbers.Real) and (0.0 <= value < 1.0 if name == "momentum" else value > 0.0)
            if not valid:
                rule = "in [0, 1)" if name == "momentum" else "> 0"
                raise ValueError(f"`{name}` must be a number {rule}. Received: {name}={value!r}")
        self.stepsize = float(stepsize)
        self.momentum = float(momentum)
        self.max_speed = float(max_speed)

    def init(self, parameter: TensorLike) -> Tensor:
        """The first velocity, zeros, for a parameter of shape [B..., D]."""
        return tf.zeros_like(parameter)

    def ascent(
        self, gradient: TensorLike, velocity: TensorLike, parameter: TensorLike | None = None
    ) -> tuple[Tensor, Tensor]:
        """A step in the direction of the gradient.

        Parameters
        ----------
        gradient, velocity : tensor, shape [B..., D]
            Each search of a batch has a speed of its own.
        parameter : ignored
            What other optimizers may look at.

        Returns
        -------
        step, velocity : tensor
        """
        velocity = self.momentum * tf.convert_to_tensor(velocity) + self.stepsize * _direction(gradient)
        # Like `_direction`, of numbers that do not overflow.
        speed = tf.norm(velocity, axis=-1, keepdims=True)
        velocity *= tf.minimum(tf.math.divide_no_nan(tf.cast(self.max_speed, speed.dtype), speed), 1.0)
        velocity = tf.where(speed > 0.0, velocity, 0.0)
        return velocity, velocity


def _direction(gradient):
    """The gradient divided by its length; zeros if it is zero."""
    gradient = tf.convert_to_tensor(gradient)
    # Of numbers of order one, whose squares neither overflow nor underflow.
    gradient = tf.math.divide_no_nan(gradient, tf.reduce_max(tf.abs(gradient), axis=-1, keepdims=True))
    return tf.math.divide_no_nan(gradient, tf.norm(gradient, axis=-1, keepdims=True))
