"""Head layer: features -> `CategoricalDist`."""

from typing import Any

import keras

from kgdists.core.checks import count
from kgdists.core.types import Integer, Tensor
from kgdists.distributions import CategoricalDist
from kgdists.layers.logits_head import LogitsHead

__all__ = ["CategoricalHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class CategoricalHead(LogitsHead):
    """A dense layer whose outputs are the logits of a `CategoricalDist`.

    It is called with features and, optionally, an `action_mask`, shape [B..., num_categories], True where allowed.

    Parameters
    ----------
    num_categories : int, >= 1
    boltzmann_tau : float > 0, scalar variable, or schedule
        Temperature of the distribution's samples, read at every call: `head.boltzmann_tau = 0.1` counts at once, also
        in a compiled training. A schedule is a function of the number of calls with `training=True`, as in `fit`.
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

    def __init__(self, num_categories: Integer, **options: Any) -> None:
        num_categories = count("num_categories", num_categories)
        super().__init__(num_categories, **options)
        self.num_categories = num_categories

    def call(
        self, features: Tensor, action_mask: Tensor | None = None, training: bool | None = None
    ) -> CategoricalDist:
        logits, tau = self.logits(features), self.next_temperature(training)
        return CategoricalDist(logits, tau, random_seed=self.seed_generator, mask=action_mask)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_categories": self.num_categories}
