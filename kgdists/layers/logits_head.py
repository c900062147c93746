"""The base of heads of choices: a dense layer of logits."""

from collections.abc import Sequence
from typing import Any

import keras

from kgdists.core.types import Integer
from kgdists.layers.dense import Dense
from kgdists.layers.head import Orthogonal, seed_of
from kgdists.layers.tempered_head import Temperature, TemperedHead

__all__ = ["LogitsHead"]


class LogitsHead(TemperedHead):
    """A dense layer of `num_logits` logits, the settings and the random state of a head of choices."""

    def __init__(
        self,
        num_logits: Integer,
        boltzmann_tau: Temperature = 0.2,
        kernel_gain: float = 0.01,
        random_seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(boltzmann_tau, **kwargs)
        self.kernel_gain = kernel_gain
        self.random_seed = random_seed = seed_of(random_seed)
        self.seed_generator = keras.random.SeedGenerator(random_seed)
        initializer = Orthogonal(kernel_gain, seed=random_seed)
        self.logits = Dense(num_logits, kernel_initializer=initializer, dtype=self.dtype_policy)

    def build(self, features_shape: Sequence[int | None]) -> None:
        super().build(features_shape)
        self.logits.build(features_shape)

    boltzmann_tau = TemperedHead.present_temperature

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "kernel_gain": self.kernel_gain,
            "random_seed": self.random_seed,
        }
