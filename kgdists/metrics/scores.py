"""Means of proper scores: the negative log-likelihood and the ranked probability score."""

from typing import Any

import keras

from kgdists.core.types import Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.divergences import crps

__all__ = ["CRPS", "NegativeLogLikelihood", "ranked_probability_score"]

NUM_SAMPLES = 100  # pairs of draws of a score that is estimated


@keras.saving.register_keras_serializable(package="kgdists")
class NegativeLogLikelihood(keras.metrics.Mean):
    """The mean of `-log p(y)`, in nats.

    Parameters
    ----------
    name : str
    dtype : None or str

    Examples
    --------
    >>> import kgdists as kg
    >>> metric = kg.metrics.NegativeLogLikelihood()
    >>> metric.update_state([[0.0]], kg.NormalDist([[0.0]], [[0.0]]))
    >>> round(float(metric.result()), 4)
    0.9189
    """

    def __init__(self, name: str = "nll", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Distribution, sample_weight: Any = None) -> None:
        """Take in targets, their distribution and weights of the rows."""
        super().update_state(-y_pred.log_proba(y_true), sample_weight=sample_weight)


@keras.saving.register_keras_serializable(package="kgdists")
class CRPS(keras.metrics.Mean):
    """The mean continuous ranked probability score, in the units of the targets, summed over their dimensions.

    Where a distribution has no closed form of it, it is estimated from 100 pairs of draws.

    Parameters
    ----------
    name : str
    dtype : None or str

    Examples
    --------
    >>> import kgdists as kg
    >>> metric = kg.metrics.CRPS()
    >>> metric.update_state([[0.0]], kg.NormalDist([[0.0]], [[0.0]]))
    >>> round(float(metric.result()), 4)
    0.2337
    """

    def __init__(self, name: str = "crps", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Distribution, sample_weight: Any = None) -> None:
        """Take in targets, their distribution and weights of the rows."""
        super().update_state(ranked_probability_score(y_true, y_pred, NUM_SAMPLES), sample_weight=sample_weight)


def ranked_probability_score(y: Any, dist: Distribution, num_samples: int) -> Tensor:
    """The score of targets [B..., n], shape [B...]; without a closed form an estimate from that many pairs of draws."""
    try:
        return dist.crps(y)
    except NotImplementedError:
        return crps(dist, y, num_samples)[0]
