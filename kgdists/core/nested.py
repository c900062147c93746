"""`Nested`: a value of which some parameters are values themselves."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from numbers import Integral
from typing import Any, Self

import keras

from kgdists.core.types import Tensor, TensorLike
from kgdists.core.value import Value

__all__ = ["Nested"]


class Nested(Value):
    """A value of which some parameters are values themselves, possibly in tuples and dicts.

    Its `params` are those of all parts, by their paths. A saved one has, beside them, the classes and static fields of
    its parts as a JSON text, `structure`.
    """

    @property
    def params(self) -> OrderedDict[str, Tensor]:
        """Ordered dict of the parameters of all parts, such as `"dist/mu"` -> tensor."""
        return OrderedDict(_named_params(self._parts()))

    @classmethod
    def from_params(  # type: ignore[override]
        cls, params: Mapping[str, TensorLike], structure: str, **fields: Any
    ) -> Self:
        """Make one of its `params` and of the JSON text `structure`, which `get_config` has too."""
        return cls._of_parts(_rebuilt(json.loads(structure), params), **fields)

    def _static(self) -> dict[str, Any]:
        return {"structure": json.dumps(_structure(self._parts()))} | super()._static()

    def _parts(self) -> Any:
        """All that is not static, as nested dicts and tuples of values and tensors."""
        return {name: self.__dict__[name] for name in self.PARAM_NAMES}

    @classmethod
    def _of_parts(cls, parts: Any, **fields: Any) -> Self:
        return cls(**parts, **fields)


def _named_params(tree, prefix=""):
    if isinstance(tree, Value):
        yield from ((prefix + name, x) for name, x in tree.params.items())
    elif isinstance(tree, (dict, tuple)):
        for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _named_params(part, prefix + _step(key))
    else:
        yield prefix.removesuffix("/"), tree


def _step(key):
    # As in a JSON pointer (RFC 6901), so that no two names are the same.
    return str(key).replace("~", "~0").replace("/", "~1") + "/"


def _structure(tree):
    """Everything but the parameters and generators, as JSON has it; a tensor is null."""
    if isinstance(tree, dict):
        return {"dict": {key: _structure(part) for key, part in tree.items()}}
    if isinstance(tree, tuple):
        return {"tuple": [_structure(part) for part in tree]}
    if not isinstance(tree, Value):
        return None
    seed = getattr(tree, "random_seed", None)
    seeded = {"random_seed": int(seed)} if isinstance(seed, Integral) else {}
    return {"class": keras.saving.get_registered_name(type(tree)), "static": tree._static() | seeded}


def _rebuilt(structure, params, prefix=""):
    if structure is None:
        return params[prefix.removesuffix("/")]
    if "dict" in structure:
        return {key: _rebuilt(part, params, prefix + _step(key)) for key, part in structure["dict"].items()}
    if "tuple" in structure:
        return tuple(_rebuilt(part, params, prefix + _step(i)) for i, part in enumerate(structure["tuple"]))
    own = {name.removeprefix(prefix): x for name, x in params.items() if name.startswith(prefix)}
    return keras.saving.get_registered_object(structure["class"]).from_params(own, **structure["static"])
