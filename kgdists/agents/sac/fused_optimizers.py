"""Optimizers by one operation for each variable: where a step is short, their number counts."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from kgdists.core.backend import adam_step
from kgdists.core.types import Tensor

__all__ = ["FUSED", "FusedAdam", "FusedAdamW", "FusedSGD"]


class _Fused(keras.optimizers.Optimizer):
    """What they have in common: they move one variable after the other.

    Keras' own pass all gradients through one IdentityN. Grappler takes each update to come after all of them, drops the
    edges that keep it behind reads of its variable, and later the IdentityN too: then they race.
    """

    def apply(self, grads: Sequence[Tensor], trainable_variables: Sequence[keras.Variable]) -> None:
        """Move variables by one step."""
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            if gradient is not None:  # the loss may not depend on a weight
                self.update_step(gradient, variable.value, self.learning_rate)
        for variable in trainable_variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        self.iterations.assign_add(1)


class FusedAdam(_Fused, keras.optimizers.Adam):
    """Keras' Adam."""

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """Move a variable and its moments by one step."""
        adam_step(self, gradient, variable, learning_rate)


class FusedAdamW(_Fused, keras.optimizers.AdamW):
    """Keras' Adam with decoupled weight decay, which is that of all variables."""

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """Move a variable and its moments by one step."""
        variable.assign_sub(self.weight_decay * learning_rate * variable)
        adam_step(self, gradient, variable, learning_rate)


class FusedSGD(_Fused, keras.optimizers.SGD):
    """Keras' gradient descent without momentum."""

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """Move a variable by one step."""
        tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=learning_rate, delta=gradient)


FUSED = {"adam": FusedAdam, "adamw": FusedAdamW, "sgd": FusedSGD}
