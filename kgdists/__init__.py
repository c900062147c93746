"""Probability distributions as values that flow through Keras."""

import importlib
from typing import Any

from kgdists.core.lazy_names import lazy_names
from kgdists.core.moved import MOVED, find_moved_modules
from kgdists.core.registration import register_with_keras

__version__ = "0.2.0"

_find, __dir__, __all__ = lazy_names(__name__, __file__)


def __getattr__(name: str) -> Any:
    return importlib.import_module(f"kgdists.{name}") if f"kgdists.{name}" in MOVED else _find(name)


find_moved_modules()
register_with_keras()
