"""Layer: normalise observations by statistics gathered while an agent trains."""

import keras
from keras import ops

__all__ = ["RunningNormalization"]


@keras.saving.register_keras_serializable(package="kgdists")
class RunningNormalization(keras.layers.Layer):
    """`clip((x - mean) / sqrt(variance + epsilon))` with statistics over everything `update` has seen.

    The statistics are weights, so they are saved with the model. Before the first update the layer only clips.

    Parameters
    ----------
    clip : float, > 0
        Bound of the normalised values.
    epsilon : float, > 0
        Added to the variance.
    """

    def __init__(self, clip=10.0, epsilon=1e-8, **kwargs):
        super().__init__(autocast=False, **kwargs)
        for name, number in (("clip", clip), ("epsilon", epsilon)):
            if not 0 < number < float("inf"):
                raise ValueError(f"`{name}` must be a finite number > 0. Received: {name}={number!r}")
        self.clip = clip
        self.epsilon = epsilon

    def build(self, input_shape):
        shape = tuple(input_shape[1:])
        # Half precision holds neither epsilon nor large observations.
        kept = {"dtype": "float32", "autocast": False, "trainable": False}
        self.mean = self.add_weight(shape, "zeros", name="mean", **kept)
        self.variance = self.add_weight(shape, "ones", name="variance", **kept)
        self.count = self.add_weight((), "zeros", name="count", **kept)

    def call(self, x):
        normalised = (ops.cast(x, "float32") - self.mean) / ops.sqrt(self.variance + self.epsilon)
        return ops.cast(ops.clip(normalised, -self.clip, self.clip), self.compute_dtype)

    def update(self, x):
        """Take a batch `x`, shape [B..., *shape], into the statistics (Chan et al. 1979, parallel variance)."""
        x = ops.reshape(ops.cast(x, "float32"), (-1, *self.mean.shape))
        self.update_moments(ops.shape(x)[0], ops.mean(x, axis=0), ops.var(x, axis=0))

    def update_moments(self, count, mean, variance):
        """Take a batch into the statistics by its size, and its mean and variance, arrays of shape [*shape]."""
        n, mean, variance = (ops.cast(x, "float32") for x in (count, mean, variance))
        total = self.count + n
        delta = mean - self.mean
        squares = self.variance * self.count + variance * n + delta**2 * self.count * n / total
        self.variance.assign(squares / total)
        self.mean.assign(self.mean + delta * n / total)
        self.count.assign(total)

    def get_config(self):
        return super().get_config() | {"clip": self.clip, "epsilon": self.epsilon}
