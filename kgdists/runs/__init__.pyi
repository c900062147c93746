from kgdists.core.run_warning import RunWarning
from kgdists.runs.callbacks import Checkpoints, EvaluateAndKeepBest, StopOnSignal
from kgdists.runs.recording import record
from kgdists.runs.reporting import report

__all__ = ["Checkpoints", "EvaluateAndKeepBest", "RunWarning", "StopOnSignal", "record", "report"]
