"""The absolute error of a point forecast."""

from typing import Any

import keras
from keras import ops

from kgdists.core.checks import choice
from kgdists.distributions.distribution import Distribution

__all__ = ["MeanAbsoluteError"]


@keras.saving.register_keras_serializable(package="kgdists")
class MeanAbsoluteError(keras.metrics.Mean):
    """The mean absolute error of the median, which makes it least, or of the mean.

    Parameters
    ----------
    of : {"median", "mean"}
    name : str
    dtype : None or str

    Examples
    --------
    >>> import kgdists as kg
    >>> metric = kg.metrics.MeanAbsoluteError()
    >>> metric.update_state([[1.5]], kg.NormalDist([[1.0]], [[0.0]]))
    >>> float(metric.result())
    0.5
    """

    def __init__(self, of: str = "median", name: str = "mae", dtype: str | None = None) -> None:  # noqa: B042
        super().__init__(name=name, dtype=dtype)
        self.of = choice("of", of, ("median", "mean"))

    def update_state(self, y_true: Any, y_pred: Distribution, sample_weight: Any = None) -> None:
        """Take in targets [B..., n], their distribution and weights of the rows."""
        forecast = y_pred.median() if self.of == "median" else y_pred.mean()
        super().update_state(ops.abs(y_pred.as_variate(y_true) - forecast), sample_weight=sample_weight)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"of": self.of}
