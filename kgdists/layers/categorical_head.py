"""Head layer: features -> `CategoricalDist`."""

import keras

from kgdists.distributions import CategoricalDist

__all__ = ["CategoricalHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class CategoricalHead(keras.layers.Layer):
    """A dense layer whose outputs are the logits of a `CategoricalDist`.

    Parameters
    ----------
    num_categories : int, >= 1
    boltzmann_tau : float, > 0
        Temperature of the distribution's samples.
    kernel_gain : float
        Gain of the orthogonal initial kernel; a small one starts near the uniform distribution.
    random_seed : None or int
        An int makes the initial weights and the sequence of draws reproducible.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.CategoricalHead(3)
    >>> head(keras.ops.ones((1, 2))).batch_shape
    (1,)
    """

    def __init__(self, num_categories, boltzmann_tau=0.2, kernel_gain=0.01, random_seed=None, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(num_categories, int) or num_categories < 1:
            raise ValueError(f"`num_categories` must be an int >= 1. Received: num_categories={num_categories!r}")
        self.num_categories = num_categories
        self.boltzmann_tau = boltzmann_tau
        self.kernel_gain = kernel_gain
        self.random_seed = random_seed
        self.seed_generator = keras.random.SeedGenerator(random_seed)
        initializer = keras.initializers.Orthogonal(kernel_gain, seed=random_seed)
        self.logits = keras.layers.Dense(num_categories, kernel_initializer=initializer, dtype=self.dtype_policy)

    def build(self, features_shape):
        self.logits.build(features_shape)

    def call(self, features):
        return CategoricalDist(self.logits(features), self.boltzmann_tau, random_seed=self.seed_generator)

    def get_config(self):
        return super().get_config() | {
            "num_categories": self.num_categories,
            "boltzmann_tau": self.boltzmann_tau,
            "kernel_gain": self.kernel_gain,
            "random_seed": self.random_seed,
        }
