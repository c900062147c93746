"""How well the probabilities of choices agree with what is chosen."""

from typing import Any

import keras
from keras import ops

from kgdists.core.checks import count
from kgdists.distributions import BernoulliDist, CategoricalDist

__all__ = ["BrierScore", "CalibrationError"]


@keras.saving.register_keras_serializable(package="kgdists")
class BrierScore(keras.metrics.Mean):
    r"""The mean squared distance of the probabilities from what was chosen (Brier 1950); the lower the better.

    Of a categorical distribution :math:`\sum_i (p_i - 1\{y = i\})^2`, of flags the mean of :math:`(p_i - y_i)^2`.

    Parameters
    ----------
    name : str
    dtype : None or str

    Examples
    --------
    >>> import kgdists as kg
    >>> metric = kg.metrics.BrierScore()
    >>> metric.update_state([0], kg.CategoricalDist([[0.0, 0.0]]))
    >>> float(metric.result())
    0.5
    """

    def __init__(self, name: str = "brier", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: CategoricalDist | BernoulliDist, sample_weight: Any = None) -> None:
        """Take in labels [B...], or flags [B..., n], their distribution and weights of the rows."""
        chosen = _chosen(y_true, y_pred)
        squares = ops.square(ops.cast(y_pred.probs, self.dtype) - ops.cast(chosen, self.dtype))
        if isinstance(y_pred, CategoricalDist):
            squares = ops.sum(squares, axis=-1)
        super().update_state(squares, sample_weight=sample_weight)


@keras.saving.register_keras_serializable(package="kgdists")
class CalibrationError(keras.metrics.Metric):
    r"""The expected calibration error: how far confidence is from accuracy, over bins of confidence.

    :math:`\sum_b \frac{n_b}{n} |\mathrm{accuracy}_b - \mathrm{confidence}_b|` with the probability of the most probable
    value as confidence (Guo et al. 2017, equation 3).

    Parameters
    ----------
    bins : int, >= 1
        Of equal width.
    name : str
    dtype : None or str

    Examples
    --------
    >>> import kgdists as kg
    >>> metric = kg.metrics.CalibrationError()
    >>> metric.update_state([0, 1], kg.CategoricalDist([[9.0, 0.0], [9.0, 0.0]]))
    >>> round(float(metric.result()), 3)
    0.5
    """

    def __init__(  # noqa: B042
        self, bins: int = 15, name: str = "calibration_error", dtype: str | None = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.bins = count("bins", bins)
        self.counts, self.right, self.confidence = (
            self.add_variable((self.bins,), "zeros", name=part) for part in ("counts", "right", "confidence")
        )

    def update_state(self, y_true: Any, y_pred: CategoricalDist | BernoulliDist, sample_weight: Any = None) -> None:
        """Take in labels [B...], or flags [B..., n], their distribution and weights of the rows."""
        probs, chosen = ops.cast(y_pred.probs, self.dtype), ops.cast(_chosen(y_true, y_pred), self.dtype)
        if isinstance(y_pred, CategoricalDist):
            confidence = ops.max(probs, axis=-1)
            right = ops.sum(chosen * ops.one_hot(ops.argmax(probs, axis=-1), probs.shape[-1], dtype=self.dtype), -1)
        else:
            confidence, right = (
                ops.maximum(probs, 1.0 - probs),
                ops.cast(ops.equal(probs > 0.5, chosen > 0.5), self.dtype),
            )
        weights = ops.ones_like(confidence)
        if sample_weight is not None:
            given = ops.cast(sample_weight, self.dtype)
            weights = weights * ops.reshape(
                given, (*ops.shape(given), *(1,) * (len(confidence.shape) - len(given.shape)))
            )
        place = ops.minimum(ops.cast(confidence * self.bins, "int32"), self.bins - 1)
        bins = ops.one_hot(ops.reshape(place, (-1,)), self.bins, dtype=self.dtype)
        for total, values in (
            (self.counts, weights),
            (self.right, weights * right),
            (self.confidence, weights * confidence),
        ):
            total.assign_add(ops.sum(bins * ops.reshape(values, (-1, 1)), axis=0))

    def result(self) -> Any:
        """The error, a scalar; 0 before anything was taken in."""
        gap = ops.sum(ops.abs(self.right - self.confidence))
        return gap / ops.maximum(ops.sum(self.counts), 1e-12)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"bins": self.bins}


def _chosen(y_true, y_pred):
    """What was chosen, as an array of the shape of the probabilities."""
    y = ops.convert_to_tensor(y_true)
    if isinstance(y_pred, BernoulliDist):
        return y
    if not isinstance(y_pred, CategoricalDist):
        raise ValueError(
            f"Probabilities must be those of a CategoricalDist or a BernoulliDist. Received: a {type(y_pred).__name__}"
        )
    rank = len(y_pred.batch_shape)
    if len(y.shape) == rank + 1:
        if y.shape[-1] != 1:
            return y
        y = ops.squeeze(y, -1)
    return ops.one_hot(ops.cast(y, "int32"), y_pred.num_categories)
