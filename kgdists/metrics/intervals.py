"""Central intervals: how often they hold the target, and how wide they are."""

from typing import Any

import keras
from keras import ops

from kgdists.core.checks import fraction
from kgdists.distributions.distribution import Distribution

__all__ = ["IntervalCoverage", "IntervalWidth"]


class _OfIntervals(keras.metrics.Mean):
    # A mean over the central intervals of the dimensions.

    def __init__(self, mass: float = 0.9, name: str = "intervals", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.mass = fraction("mass", mass)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"mass": self.mass}


@keras.saving.register_keras_serializable(package="kgdists")
class IntervalCoverage(_OfIntervals):
    """The share of targets within the central interval of their distribution, dimension by dimension.

    That of a calibrated model is the mass of the interval.

    Parameters
    ----------
    mass : float, > 0 and < 1
    name : str
    dtype : None or str

    Examples
    --------
    >>> import kgdists as kg
    >>> metric = kg.metrics.IntervalCoverage(0.95)
    >>> metric.update_state([[1.9], [2.0]], kg.NormalDist([[0.0], [0.0]], [[0.0], [0.0]]))
    >>> float(metric.result())
    0.5
    """

    def __init__(self, mass: float = 0.9, name: str = "coverage", dtype: str | None = None) -> None:
        super().__init__(mass, name, dtype)

    def update_state(self, y_true: Any, y_pred: Distribution, sample_weight: Any = None) -> None:
        """Take in targets [B..., n], their distribution and weights of the rows."""
        low, high = y_pred.interval(self.mass)
        y = y_pred.as_variate(y_true)
        super().update_state(ops.cast((low <= y) & (y <= high), self.dtype), sample_weight=sample_weight)


@keras.saving.register_keras_serializable(package="kgdists")
class IntervalWidth(_OfIntervals):
    """The mean width of central intervals, in the units of the targets.

    Parameters
    ----------
    mass : float, > 0 and < 1
    name : str
    dtype : None or str
    """

    def __init__(self, mass: float = 0.9, name: str = "width", dtype: str | None = None) -> None:
        super().__init__(mass, name, dtype)

    def update_state(self, y_true: Any, y_pred: Distribution, sample_weight: Any = None) -> None:
        """Take in the distribution and weights of the rows; targets have no part in it."""
        low, high = y_pred.interval(self.mass)
        super().update_state(high - low, sample_weight=sample_weight)
