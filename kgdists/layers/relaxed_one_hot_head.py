"""Head layer: features -> `RelaxedOneHotCategorical`."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core.checks import count
from kgdists.core.types import Integer, Tensor
from kgdists.distributions import CategoricalDist, RelaxedOneHotCategorical
from kgdists.layers.logits_head import LogitsHead
from kgdists.layers.tempered_head import Temperature

__all__ = ["RelaxedOneHotHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class RelaxedOneHotHead(LogitsHead):
    """A dense layer whose outputs are the logits of a `RelaxedOneHotCategorical`.

    Parameters
    ----------
    num_categories : int, >= 1
    temperature : float > 0, scalar variable, or schedule
        Temperature of the draws, as `boltzmann_tau` of a `CategoricalHead`; at the start, if it is trained.
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

    TEMPERATURE = "temperature"

    def __init__(
        self, num_categories: Integer, temperature: Temperature = 0.5, train_temperature: bool = False, **options: Any
    ) -> None:
        num_categories = count("num_categories", num_categories)
        super().__init__(num_categories, temperature, **options)
        self.num_categories = num_categories
        self.train_temperature = train_temperature

    def build(self, features_shape: Sequence[int | None]) -> None:
        super().build(features_shape)
        if self.train_temperature:
            start = super().next_temperature
            self.log_temperature = self.add_weight(
                (), lambda shape, dtype: ops.log(ops.cast(start(training=False), dtype)), name="log_temperature"
            )

    temperature = LogitsHead.present_temperature

    def next_temperature(self, training: bool | None) -> Tensor:
        """The temperature of this call, a scalar tensor."""
        trained = self.train_temperature and self.built
        return ops.exp(self.log_temperature) if trained else super().next_temperature(training)

    def assign_temperature(self, value: float) -> None:
        """Set the number, and the weight if it is trained."""
        super().assign_temperature(value)
        if self.train_temperature and self.built:
            self.log_temperature.assign(np.log(value))

    def call(
        self, features: Tensor, action_mask: Tensor | None = None, training: bool | None = None
    ) -> RelaxedOneHotCategorical:
        choice = CategoricalDist(self.logits(features), random_seed=self.seed_generator, mask=action_mask)
        return choice.relaxed(self.next_temperature(training))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return config | {"num_categories": self.num_categories, "train_temperature": self.train_temperature}
