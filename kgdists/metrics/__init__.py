"""Keras metrics of targets and distributions: for `compile(metrics=...)` of a `kgdists.Model`, and by themselves."""

from kgdists.metrics.accuracy import Accuracy
from kgdists.metrics.calibration import BrierScore, CalibrationError
from kgdists.metrics.errors import MeanAbsoluteError
from kgdists.metrics.intervals import IntervalCoverage, IntervalWidth
from kgdists.metrics.scores import CRPS, NegativeLogLikelihood

__all__ = [
    "CRPS",
    "Accuracy",
    "BrierScore",
    "CalibrationError",
    "IntervalCoverage",
    "IntervalWidth",
    "MeanAbsoluteError",
    "NegativeLogLikelihood",
]
