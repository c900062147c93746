"""How often the most probable value is the right one."""

from typing import Any

import keras
from keras import ops

from kgdists.distributions.distribution import Distribution

__all__ = ["Accuracy"]


@keras.saving.register_keras_serializable(package="kgdists")
class Accuracy(keras.metrics.Mean):
    """The share of targets that are the most probable value of their distribution.

    Choices of several parts, such as flags, count part by part.

    Parameters
    ----------
    name : str
    dtype : None or str

    Examples
    --------
    >>> import kgdists as kg
    >>> metric = kg.metrics.Accuracy()
    >>> metric.update_state([0, 1], kg.CategoricalDist([[1.0, 0.0], [2.0, 0.0]]))
    >>> float(metric.result())
    0.5
    """

    def __init__(self, name: str = "accuracy", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Distribution, sample_weight: Any = None) -> None:
        """Take in targets [B...], or one-hot ones, their distribution and weights of the rows."""
        mode = y_pred.mode_action()
        targets = ops.convert_to_tensor(y_true)
        if len(targets.shape) == len(mode.shape) + 1:
            is_column = targets.shape[-1] == 1
            targets = ops.squeeze(targets, -1) if is_column else ops.argmax(targets, axis=-1)
        right = ops.equal(ops.cast(targets, mode.dtype), mode)
        super().update_state(ops.cast(right, self.dtype), sample_weight=sample_weight)
