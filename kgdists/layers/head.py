"""The base of heads: layers of features whose output is a distribution."""

from collections.abc import Sequence
from typing import Any

import keras

from kgdists.distributions.distribution import Distribution

__all__ = ["Head"]


class Head(keras.layers.Layer):
    """A layer of features, shape [B..., f], whose output is a distribution of batch shape [B...].

    A subclass defines `call`. Keras' masks of the features, those of padded steps, pass to the losses of a
    `kgdists.Model`, and a summary shows the shapes of the parameters.

    Parameters
    ----------
    **kwargs
        Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Distribution:
        # By `call`, since shapes alone do not tell the distribution.
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

    def compute_output_shape(self, features_shape: Sequence[int | None]) -> dict[str, tuple[int | None, ...]]:
        """Name -> shape of the parameters for features of a shape."""
        dist = self.compute_output_spec(keras.KerasTensor(tuple(features_shape), self.compute_dtype))
        return {name: tuple(x.shape) for name, x in dist.params.items()}
