"""Probability distributions as values that flow through Keras."""

import importlib
from typing import TYPE_CHECKING, Any

from kgdists import distributions, divergences, layers, losses, metrics, random, returns, testing
from kgdists.core.moved import MOVED, find_moved_modules
from kgdists.distributions import *
from kgdists.distributions.distribution import Distribution
from kgdists.models import Model
from kgdists.policy import Policy

if TYPE_CHECKING:
    from kgdists import agents, encoders, envs, evolution, interop, mixtures, plotting, runs, spaces, targets
    from kgdists.encoders import encoder_for
    from kgdists.spaces import decode_action, encode_action, head_for

__version__ = "0.2.0"

__all__ = [
    "Distribution",
    "Model",
    "Policy",
    "agents",
    "decode_action",
    "distributions",
    "divergences",
    "encode_action",
    "encoder_for",
    "encoders",
    "envs",
    "evolution",
    "head_for",
    "interop",
    "layers",
    "losses",
    "metrics",
    "mixtures",
    "plotting",
    "random",
    "returns",
    "runs",
    "spaces",
    "targets",
    "testing",
]
__all__ += distributions.__all__

find_moved_modules()


def __getattr__(name: str) -> Any:
    # What needs Gymnasium or Matplotlib is imported at first use (PEP 562): `import kgdists` costs no more than Keras.
    if name in (
        "agents",
        "encoders",
        "envs",
        "evolution",
        "interop",
        "mixtures",
        "plotting",
        "runs",
        "spaces",
        "targets",
    ):
        return importlib.import_module(f"kgdists.{name}")
    if name in ("decode_action", "encode_action", "head_for"):
        return getattr(importlib.import_module("kgdists.spaces"), name)
    if name == "encoder_for":
        return importlib.import_module("kgdists.encoders").encoder_for
    if f"kgdists.{name}" in MOVED:
        return importlib.import_module(f"kgdists.{name}")
    raise AttributeError(f"module 'kgdists' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
