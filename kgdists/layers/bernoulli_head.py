"""Head layer: features -> `BernoulliDist`."""

from typing import Any

import keras

from kgdists.core.checks import count
from kgdists.core.types import Integer, Tensor
from kgdists.distributions import BernoulliDist
from kgdists.layers.logits_head import LogitsHead

__all__ = ["BernoulliHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class BernoulliHead(LogitsHead):
    """A dense layer whose outputs are the logits of a `BernoulliDist`.

    It is called with features and, optionally, an `action_mask`, shape [B..., num_dims], of 0, 1 and 2 (both allowed).

    Parameters
    ----------
    num_dims : int, >= 1
    **options
        `boltzmann_tau`, `kernel_gain` and `random_seed` as for `CategoricalHead`.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.BernoulliHead(3)
    >>> head(keras.ops.ones((1, 2))).event_shape
    (3,)
    """

    def __init__(self, num_dims: Integer, **options: Any) -> None:
        num_dims = count("num_dims", num_dims)
        super().__init__(num_dims, **options)
        self.num_dims = num_dims

    def call(self, features: Tensor, action_mask: Tensor | None = None, training: bool | None = None) -> BernoulliDist:
        logits, tau = self.logits(features), self.next_temperature(training)
        return BernoulliDist(logits, tau, random_seed=self.seed_generator, mask=action_mask)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_dims": self.num_dims}
