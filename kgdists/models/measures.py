"""What is measured of the outputs of a model while it is trained and evaluated."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kgdists.core import backend
from kgdists.core.types import Tensor
from kgdists.distributions import CategoricalDist, MultiCategoricalDist
from kgdists.distributions.distribution import Distribution
from kgdists.metrics import CRPS, Accuracy, BrierScore, NegativeLogLikelihood
from kgdists.models.matching import for_each_output, matched, named
from kgdists.models.outputs import mask_of

__all__ = ["Measures"]

NAMED = {"acc": Accuracy, "accuracy": Accuracy, "brier": BrierScore, "crps": CRPS, "nll": NegativeLogLikelihood}

# What Keras' own metrics are handed of a distribution: those of this list its probabilities, all others its value.
OF_PROBABILITIES = (
    keras.metrics.AUC,
    keras.metrics.BinaryAccuracy,
    keras.metrics.BinaryCrossentropy,
    keras.metrics.BinaryIoU,
    keras.metrics.CategoricalAccuracy,
    keras.metrics.CategoricalCrossentropy,
    keras.metrics.CategoricalHinge,
    keras.metrics.F1Score,
    keras.metrics.FalseNegatives,
    keras.metrics.FalsePositives,
    keras.metrics.FBetaScore,
    keras.metrics.Hinge,
    keras.metrics.KLDivergence,
    keras.metrics.OneHotIoU,
    keras.metrics.OneHotMeanIoU,
    keras.metrics.Poisson,
    keras.metrics.Precision,
    keras.metrics.PrecisionAtRecall,
    keras.metrics.Recall,
    keras.metrics.RecallAtPrecision,
    keras.metrics.SensitivityAtSpecificity,
    keras.metrics.SparseCategoricalAccuracy,
    keras.metrics.SparseCategoricalCrossentropy,
    keras.metrics.SparseTopKCategoricalAccuracy,
    keras.metrics.SpecificityAtSensitivity,
    keras.metrics.SquaredHinge,
    keras.metrics.TopKCategoricalAccuracy,
    keras.metrics.TrueNegatives,
    keras.metrics.TruePositives,
)


class Measures:
    """The metrics of each output.

    Parameters
    ----------
    metrics, weighted_metrics : object
        As given to `compile`; `weighted_metrics` count a row by its sample weight.
    """

    def __init__(self, metrics: Any = None, weighted_metrics: Any = None) -> None:
        self.arguments = {"metrics": metrics, "weighted_metrics": weighted_metrics}
        self.metrics: list[keras.metrics.Metric] = []
        self._updates: dict[str, list[Callable[..., object]]] = {}

    def make(self, outputs: dict[str, Any]) -> None:
        """Make the metrics of outputs, name -> output, if they are not there yet."""
        if self._updates:
            return
        self._updates = {name: [] for name in outputs}
        for argument, given in self.arguments.items():
            each = for_each_output(argument, given, list(outputs), shared=False)
            for (name, output), metrics in zip(outputs.items(), each, strict=True):
                for metric in metrics if isinstance(metrics, (list, tuple)) else [metrics] * (metrics is not None):
                    made, read = _metric_of(metric, output)
                    if len(outputs) > 1:
                        made.name = f"{name}_{made.name}"
                    self.metrics.append(made)
                    self._updates[name].append(_update(made, read, argument == "weighted_metrics"))

    def update_state(self, y: Any, y_pred: Any, sample_weight: Any) -> None:
        """Take in a batch."""
        outputs = matched(y, y_pred, sample_weight)
        with backend.outside_functions():
            self.make(named(y_pred))
        for name, (targets, output, weights) in outputs.items():
            for update in self._updates[name]:
                update(targets, output, weights)


def _update(metric, read, is_weighted):
    def update(targets, output, weights):
        targets, values = read(targets, output)
        mask = mask_of(output)
        counted = weights if is_weighted else None
        if mask is not None:
            counted = ops.cast(mask, "float32") * (1.0 if counted is None else ops.cast(counted, "float32"))
        metric.update_state(targets, values, sample_weight=counted)

    return update


def _metric_of(metric, output):
    """A Keras metric, and a function of targets and output to what it is updated with."""
    if not isinstance(output, Distribution):
        return _of_tensor(metric), lambda y, x: (y, x)
    if isinstance(metric, str) and metric in NAMED:
        return NAMED[metric](name=metric), lambda y, d: (y, d)
    name = metric if isinstance(metric, str) else None
    found = keras.metrics.get(metric)
    if isinstance(found, keras.metrics.Metric):
        if name:
            found.name = name
        return found, _reader(found)
    if getattr(inspect.getmodule(found), "__name__", "").startswith("keras."):
        return keras.metrics.MeanMetricWrapper(found, name=name or found.__name__), _read_value
    return _FunctionMetric(found), lambda y, d: (y, d)


def _of_tensor(metric):
    if isinstance(metric, str) and metric.lower() in ("acc", "accuracy"):
        return _TensorAccuracy(metric)
    found = keras.metrics.get(metric)
    if not isinstance(found, keras.metrics.Metric):
        found = keras.metrics.MeanMetricWrapper(found, name=found.__name__)
    if isinstance(metric, str):
        found.name = metric
    return found


class _TensorAccuracy(keras.metrics.Mean):
    # What Keras means by "accuracy" of a tensor: it chooses by the shapes, which are known when there are targets.

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None) -> None:
        if y_pred.shape[-1] == 1:
            right = keras.metrics.binary_accuracy(y_true, y_pred)
        elif len(y_true.shape) < len(y_pred.shape) or y_true.shape[-1] == 1:
            right = keras.metrics.sparse_categorical_accuracy(y_true, y_pred)
        else:
            right = keras.metrics.categorical_accuracy(y_true, y_pred)
        super().update_state(right, sample_weight=sample_weight)


def _reader(metric):
    if isinstance(metric, OF_PROBABILITIES):
        return _read_probabilities
    return _read_value if type(metric).__module__.startswith("keras.") else lambda y, d: (y, d)


def _read_probabilities(y, dist):
    if not hasattr(dist, "probs"):
        raise ValueError(
            f"A metric of probabilities must measure a distribution of choices. Received: a {type(dist).__name__}"
        )
    return y, dist.probs


def _read_value(y, dist):
    if isinstance(dist, (CategoricalDist, MultiCategoricalDist)):
        return y, dist.mode_action()
    return y, dist.mean()


class _FunctionMetric(keras.metrics.Mean):
    # The mean of a function of targets and distribution.

    def __init__(self, function: Callable[[Any, Distribution], Tensor]) -> None:
        super().__init__(name=getattr(function, "__name__", "metric"))
        self.function = function

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(self.function(y_true, y_pred), sample_weight=sample_weight)
