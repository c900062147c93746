"""Head layer: features -> `RelaxedOneHotCategorical`."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core.checks import count, positive
from kgdists.core.types import Integer, Tensor
from kgdists.distributions import CategoricalDist, RelaxedOneHotCategorical
from kgdists.layers.logits_head import LogitsHead

__all__ = ["RelaxedOneHotHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class RelaxedOneHotHead(LogitsHead):
    """A dense layer whose outputs are the logits of a `RelaxedOneHotCategorical`.

    Parameters
    ----------
    num_categories : int, >= 1
    temperature : float, > 0
        Temperature of the draws; at the start, if it is trained.
    train_temperature : bool
        Whether the logarithm of the temperature is a trained weight.
    **options
        `kernel_gain` and `random_seed` as for `CategoricalHead`.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.RelaxedOneHotHead(3, temperature=0.5)
    >>> head(keras.ops.ones((1, 2))).batch_shape
    (1,)
    """

    def __init__(
        self, num_categories: Integer, temperature: float = 0.5, train_temperature: bool = False, **options: Any
    ) -> None:
        num_categories = count("num_categories", num_categories)
        temperature = positive("temperature", temperature)
        super().__init__(num_categories, temperature, **options)
        self.num_categories = num_categories
        self.train_temperature = train_temperature

    def build(self, features_shape: Sequence[int | None]) -> None:
        super().build(features_shape)
        if self.train_temperature:
            start = keras.initializers.Constant(np.log(self.boltzmann_tau).item())
            self.log_temperature = self.add_weight((), start, name="log_temperature")

    def call(self, features: Tensor, action_mask: Tensor | None = None) -> RelaxedOneHotCategorical:
        temperature = ops.exp(self.log_temperature) if self.train_temperature else self.boltzmann_tau
        choice = CategoricalDist(self.logits(features), random_seed=self.seed_generator, mask=action_mask)
        return choice.relaxed(temperature)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["temperature"] = config.pop("boltzmann_tau")
        return config | {"num_categories": self.num_categories, "train_temperature": self.train_temperature}
