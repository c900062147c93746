"""Methods of a `TFPDist` of KerasTensors, as operations."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar, cast

import keras

from kgdists.core import shapes
from kgdists.distributions.distribution import Distribution

__all__ = ["Evaluate", "evaluates"]

F = TypeVar("F", bound=Callable[..., Any])


def evaluates(method: F) -> F:
    """Let a method without random numbers run on KerasTensors too: as an operation."""

    @functools.wraps(method)
    def evaluate(self, *args):
        if not any(shapes.is_symbolic(x) for x in keras.tree.flatten((self, args))):
            return method(self, *args)
        for other in args:
            if isinstance(other, Distribution):
                self.check_same_kind(other)
        statics = [x._static() if isinstance(x, Distribution) else None for x in (self, *args)]
        trees = (dict(x.params) if isinstance(x, Distribution) else x for x in (self, *args))
        return Evaluate(method.__name__, statics)(*trees)

    return cast(F, evaluate)


@keras.saving.register_keras_serializable(package="kgdists")
class Evaluate(keras.Operation):
    """Rebuild distributions from their parameters and call a method of the first with the others.

    Users never make this operation: a method of a `TFPDist` does when it meets KerasTensors.

    Parameters
    ----------
    method : str
    statics : list
        For the distribution itself and each argument of the method, the static fields of a `TFPDist`, or None for
        a tensor.
    """

    def __init__(self, method: str, statics: Sequence[dict[str, Any] | None], name: str | None = None) -> None:
        super().__init__(name=name)
        self.method = method
        self.statics = statics

    def call(self, *trees: Any) -> Any:
        cls = keras.saving.get_registered_object("kgdists>TFPDist")
        dist, *args = (
            tree if static is None else cls.from_params(tree, **static)
            for tree, static in zip(trees, self.statics, strict=True)
        )
        return getattr(dist, self.method)(*args)

    def get_config(self) -> dict[str, Any]:
        return {"method": self.method, "statics": self.statics, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{name: keras.saving.deserialize_keras_object(x) for name, x in config.items()})
