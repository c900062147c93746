"""Networks of tensors alone, for export: parameters or actions in the place of distributions."""

from typing import Any

import keras

from kgdists.core.types import Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.models.matching import named

__all__ = ["ENDPOINTS", "by_path", "served"]

ENDPOINTS = ("parameters", "mode_action")


class _ModeAction(keras.layers.Layer):
    # A layer, so that a mode may be computed by what takes no KerasTensors.

    def call(self, dist: Distribution) -> dict[str, Tensor]:
        return by_path("mode_action", dist.mode_action())


def served(inputs: Any, outputs: Any, endpoint: str) -> keras.Model:
    """The Keras model from inputs to a dict of tensors.

    Parameters
    ----------
    inputs : nested KerasTensors
    outputs : nested KerasTensors and distributions of them
        Of a model; where there are several, the names in the dict begin with theirs, `y/mu`.
    endpoint : str
        One of `ENDPOINTS`.
    """
    tensors: dict[str, Any] = {}
    each = named(outputs)
    for name, output in each.items():
        if not isinstance(output, Distribution):
            tensors[name] = output
            continue
        if endpoint == "parameters":
            parts = dict(output.params)
        else:
            parts = _ModeAction(dtype=output.dtype, autocast=False)(output)
        tensors |= parts if len(each) == 1 else {f"{name}/{part}": x for part, x in parts.items()}
    return keras.Model(inputs, tensors)


def by_path(name: str, tree: Any) -> dict[str, Tensor]:
    """Name -> leaf of nested dicts and tuples, the keys joined by slashes."""
    if not isinstance(tree, (dict, tuple)):
        return {name: tree}
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return {path: x for key, branch in branches for path, x in by_path(f"{name}/{key}", branch).items()}
