"""Everything on disk: run folders, checkpoints, curves, films, reports, and the callbacks that write them."""

import importlib
from typing import TYPE_CHECKING, Any

from kgdists.core.files import RunWarning
from kgdists.runs.callbacks import Checkpoints, EvaluateAndKeepBest, StopOnSignal

if TYPE_CHECKING:
    from kgdists.runs.recording import record
    from kgdists.runs.reporting import report

__all__ = ["Checkpoints", "EvaluateAndKeepBest", "RunWarning", "StopOnSignal", "record", "report"]

FIGURES = {"record": "recording", "report": "reporting"}  # need Pillow or Matplotlib, imported at first use


def __getattr__(name: str) -> Any:
    if name in FIGURES:
        return getattr(importlib.import_module(f"kgdists.runs.{FIGURES[name]}"), name)
    raise AttributeError(f"module 'kgdists.runs' has no attribute {name!r}")
