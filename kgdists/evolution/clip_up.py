"""`ClipUp`: momentum of normalised gradients, with a speed limit."""

import numbers

import tensorflow as tf

__all__ = ["ClipUp"]


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

    def __init__(self, stepsize, momentum=0.9, max_speed=None):
        max_speed = 2.0 * stepsize if max_speed is None else max_speed
        for name, value in (("stepsize", stepsize), ("momentum", momentum), ("max_speed", max_speed)):
            valid = isinstance(value, numbers.Real) and (0.0 <= value < 1.0 if name == "momentum" else value > 0.0)
            if not valid:
                rule = "in [0, 1)" if name == "momentum" else "> 0"
                raise ValueError(f"`{name}` must be a number {rule}. Received: {name}={value!r}")
        self.stepsize = float(stepsize)
        self.momentum = float(momentum)
        self.max_speed = float(max_speed)

    def init(self, parameter):
        """The first velocity, zeros, for a parameter of shape [B..., D]."""
        return tf.zeros_like(parameter)

    def ascent(self, gradient, velocity, parameter=None):
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
