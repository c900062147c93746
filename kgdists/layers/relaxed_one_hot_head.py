"""Head layer: features -> `RelaxedOneHotCategorical`."""

import keras
import numpy as np
from keras import ops

from kgdists.distributions import CategoricalDist

__all__ = ["RelaxedOneHotHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class RelaxedOneHotHead(keras.layers.Layer):
    """A dense layer whose outputs are the logits of a `RelaxedOneHotCategorical`.

    Parameters
    ----------
    num_categories : int, >= 1
    temperature : float, > 0
        Temperature of the draws; at the start, if it is trained.
    train_temperature : bool
        Whether the logarithm of the temperature is a trained weight.
    kernel_gain : float
        Gain of the orthogonal initial kernel; a small one starts near equal probabilities.
    random_seed : None or int
        An int makes the initial weights and the sequence of draws reproducible.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.RelaxedOneHotHead(3, temperature=0.5)
    >>> head(keras.ops.ones((1, 2))).batch_shape
    (1,)
    """

    def __init__(
        self,
        num_categories,
        temperature=0.5,
        train_temperature=False,
        kernel_gain=0.01,
        random_seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(num_categories, int) or num_categories < 1:
            raise ValueError(f"`num_categories` must be an int >= 1. Received: num_categories={num_categories!r}")
        if not 0 < temperature < np.inf:
            raise ValueError(f"`temperature` must be a finite number > 0. Received: temperature={temperature!r}")
        self.num_categories = num_categories
        self.temperature = temperature
        self.train_temperature = train_temperature
        self.kernel_gain = kernel_gain
        self.random_seed = random_seed
        self.seed_generator = keras.random.SeedGenerator(random_seed)
        initializer = keras.initializers.Orthogonal(kernel_gain, seed=random_seed)
        self.logits = keras.layers.Dense(num_categories, kernel_initializer=initializer, dtype=self.dtype_policy)

    def build(self, features_shape):
        self.logits.build(features_shape)
        if self.train_temperature:
            start = keras.initializers.Constant(np.log(self.temperature).item())
            self.log_temperature = self.add_weight((), start, name="log_temperature")

    def call(self, features, action_mask=None):
        temperature = ops.exp(self.log_temperature) if self.train_temperature else self.temperature
        choice = CategoricalDist(self.logits(features), random_seed=self.seed_generator, mask=action_mask)
        return choice.relaxed(temperature)

    def get_config(self):
        return super().get_config() | {
            "num_categories": self.num_categories,
            "temperature": self.temperature,
            "train_temperature": self.train_temperature,
            "kernel_gain": self.kernel_gain,
            "random_seed": self.random_seed,
        }
