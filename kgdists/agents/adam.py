"""Adam by one operation for each variable."""

import keras
import tensorflow as tf

__all__ = ["Adam"]


class Adam(keras.optimizers.Adam):
    """Keras' Adam, whose dozen operations for each variable are one: where a step is short, their number counts."""

    def apply(self, grads, trainable_variables):
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

    def update_step(self, gradient, variable, learning_rate):
        """Move a variable and its moments by one step."""
        index, step = self._get_variable_index(variable), tf.cast(self.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
