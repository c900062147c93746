"""Bridges to other libraries, one per folder, each imported at first use."""

import importlib
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    if name == "tfp":  # which imports TensorFlow Probability
        return importlib.import_module("kgdists.interop.tfp")
    raise AttributeError(f"module 'kgdists.interop' has no attribute {name!r}")
