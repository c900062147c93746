"""Networks of tensors alone, for export: parameters or actions in the place of distributions."""

from collections.abc import Sequence
from typing import Any

import keras

from kgdists.core.types import Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.models.matching import named

__all__ = ["ENDPOINTS", "by_path", "inputs_like", "served"]

# What may stand for a distribution. An action is drawn, which not every format can.
ENDPOINTS = ("parameters", "action", "mode_action")


class _Endpoint(keras.layers.Layer):
    # A layer, so that it may be computed by what takes no KerasTensors.

    def __init__(self, endpoint: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endpoint = endpoint

    def call(self, dist: Distribution) -> dict[str, Tensor]:
        return by_path(self.endpoint, dist.sample_action() if self.endpoint == "action" else dist.mode_action())


def served(inputs: Any, outputs: Any, endpoints: Sequence[str]) -> keras.Model:
    """The Keras model from inputs to a dict of tensors.

    Parameters
    ----------
    inputs : nested KerasTensors
    outputs : nested KerasTensors and distributions of them
        Of a model; where there are several, the names in the dict begin with theirs, `y/mu`.
    endpoints : sequence of str
        Of `ENDPOINTS`.
    """
    tensors: dict[str, Any] = {}
    each = named(outputs)
    for name, output in each.items():
        if not isinstance(output, Distribution):
            tensors[name] = output
            continue
        parts: dict[str, Any] = {}
        for endpoint in endpoints:
            if endpoint == "parameters":
                parts |= output.params
            else:
                parts |= _Endpoint(endpoint, dtype=output.dtype, autocast=False)(output)
        tensors |= parts if len(each) == 1 else {f"{name}/{part}": x for part, x in parts.items()}
    return keras.Model(inputs, tensors)


def inputs_like(specs: Any, name: str) -> Any:
    """New symbolic inputs of the shapes and dtypes of nested specs, which are called as their keys, or by a name."""
    if isinstance(specs, dict):
        return {key: inputs_like(part, key) for key, part in specs.items()}
    if isinstance(specs, (list, tuple)):
        return type(specs)(inputs_like(part, f"{name}_{i}") for i, part in enumerate(specs))
    return keras.Input(batch_shape=specs.shape, dtype=specs.dtype, name=name)


def by_path(name: str, tree: Any) -> dict[str, Tensor]:
    """Name -> leaf of nested dicts and tuples, the keys joined by slashes."""
    if not isinstance(tree, (dict, tuple)):
        return {name: tree}
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return {path: x for key, branch in branches for path, x in by_path(f"{name}/{key}", branch).items()}
