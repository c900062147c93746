"""Adam by one operation for each variable."""

from collections.abc import Sequence

import keras

from kgdists.core.backend import adam_step
from kgdists.core.types import Tensor

__all__ = ["Adam"]


class Adam(keras.optimizers.Adam):
    """Keras' Adam, whose dozen operations for each variable are one: where a step is short, their number counts."""

    def apply(self, grads: Sequence[Tensor], trainable_variables: Sequence[keras.Variable]) -> None:
        """Move variables by one step."""
        # Keras' own passes all gradients through one IdentityN. Grappler takes each update to come after all of them,
        # drops the edges that keep it behind reads of its variable, and later the IdentityN too: then they race.
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            if gradient is not None:  # the loss may not depend on a weight
                self.update_step(gradient, variable.value, self.learning_rate)
        for variable in trainable_variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        self.iterations.assign_add(1)

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """Move a variable and its moments by one step."""
        adam_step(self, gradient, variable, learning_rate)
