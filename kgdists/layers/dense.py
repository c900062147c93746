"""A dense layer of the default networks and within heads."""

import keras

from kgdists.core.dense_product import dense_product
from kgdists.core.types import Tensor

__all__ = ["Dense"]


@keras.saving.register_keras_serializable(package="kgdists")
class Dense(keras.layers.Dense):
    """Keras' dense layer, whose gradients take less time in the programs that agents compile by XLA on a CPU.

    Arguments, weights and results are those of `keras.layers.Dense`; last digits of gradients may differ.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> network = keras.Sequential([keras.Input((4,)), kg.layers.Dense(64, "tanh"), kg.layers.Dense(2)])
    >>> network.output_shape
    (None, 2)
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if self.bias is None:
            return super().call(inputs, training)
        return self.activation(dense_product(inputs, self.kernel, self.bias))
