"""Head layer: features -> `MultiCategoricalDist`."""

from collections.abc import Sequence
from typing import Any

import keras

from kgdists.core.types import Integer, Tensor
from kgdists.distributions import MultiCategoricalDist
from kgdists.distributions.multi_categorical import as_nvec
from kgdists.layers.logits_head import LogitsHead

__all__ = ["MultiCategoricalHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class MultiCategoricalHead(LogitsHead):
    """A dense layer whose outputs are the logits of a `MultiCategoricalDist`.

    It is called with features and, optionally, an `action_mask`, shape [B..., sum(nvec)], True where allowed.

    Parameters
    ----------
    nvec : sequence of int, >= 1
        Numbers of options.
    **options
        `boltzmann_tau`, `kernel_gain` and `random_seed` as for `CategoricalHead`.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.MultiCategoricalHead([2, 3])
    >>> head(keras.ops.ones((1, 2))).sample_action().shape
    TensorShape([1, 2])
    """

    def __init__(self, nvec: Sequence[Integer], **options: Any) -> None:
        nvec = as_nvec(nvec)
        super().__init__(sum(nvec), **options)
        self.nvec = nvec

    def call(
        self, features: Tensor, action_mask: Tensor | None = None, training: bool | None = None
    ) -> MultiCategoricalDist:
        return MultiCategoricalDist(
            self.logits(features),
            self.nvec,
            self.next_temperature(training),
            random_seed=self.seed_generator,
            mask=action_mask,
        )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"nvec": self.nvec}
