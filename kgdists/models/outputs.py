"""What a model returns: distributions and tensors, nested, taken apart into tensors and put together again."""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import keras

from kgdists.core import backend
from kgdists.core.types import Tensor
from kgdists.core.unknown_classes import UnknownClassError
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.nested import parts_of
from kgdists.distributions.wrappers import HALF, widened

__all__ = ["Outputs", "leaf_at", "leaves_of", "mask_of", "widened_output"]


def leaves_of(outputs: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Path and leaf of each distribution and tensor in nested dicts, lists and tuples."""
    if isinstance(outputs, (dict, list, tuple)):
        for key, part in outputs.items() if isinstance(outputs, dict) else enumerate(outputs):
            yield from leaves_of(part, (*path, key))
    else:
        yield path, outputs


def leaf_at(tree: Any, path: Sequence[str | int], name: str) -> Any:
    """The part of nested dicts, lists and tuples at a path of `leaves_of`; raise if there is none."""
    part = tree
    for key in path:
        try:
            part = part[key]
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(
                f"`{name}` must be nested as the outputs of the model are, with a part for each. "
                f"Received: none at {'/'.join(map(str, path))}"
            ) from error
    return part


def mask_of(output: Any) -> Tensor | None:
    """The Keras mask of the rows of a distribution or a tensor."""
    return backend.mask_of(output.params.values() if isinstance(output, Distribution) else [output])


def widened_output(output: Any) -> Any:
    """A distribution of half precision as one of float32, in which losses are finite; any other output as it is."""
    if not isinstance(output, Distribution) or output.dtype not in HALF:
        return output
    dist = widened(output)
    backend.set_mask(next(iter(dist.params.values())), mask_of(output))
    return dist


class Outputs:
    """How the outputs of a model are made of tensors.

    Parameters
    ----------
    structure : dict
        As a configuration has it: what JSON can hold.

    Raises
    ------
    UnknownClassError
        If the class of a distribution is not registered.
    """

    def __init__(self, structure: dict[str, Any]) -> None:
        self.structure = structure
        for leaf in _distributions(structure):
            if keras.saving.get_registered_object(leaf["distribution"]) is None:
                raise UnknownClassError(leaf["distribution"])
        seeds = (leaf["seed"] for leaf in _distributions(structure) if "seed" in leaf)
        self.generators = [keras.random.SeedGenerator(seed) for seed in seeds]

    @classmethod
    def of(cls, outputs: Any) -> tuple[Self, list[Tensor]]:
        """The structure of symbolic outputs, and the tensors that they are made of."""
        tensors: list[Tensor] = []
        return cls(_structure(outputs, tensors)), tensors

    def pack(self, tensors: Sequence[Tensor]) -> Any:
        """The outputs that tensors make up; a distribution keeps the Keras mask of its first parameter."""
        return _packed(self.structure, tensors, iter(self.generators))


def _structure(outputs, tensors):
    first = len(tensors)
    match outputs:
        case dict():
            return {"dict": {key: _structure(part, tensors) for key, part in outputs.items()}}
        case list() | tuple():
            kind = "list" if isinstance(outputs, list) else "tuple"
            return {kind: [_structure(part, tensors) for part in outputs]}
        case Distribution():
            for name, x in outputs.params.items():
                if not isinstance(x, keras.KerasTensor):
                    raise ValueError(
                        "Parameters of a distribution that is an output must come from the inputs: "
                        f"add `keras.ops.zeros_like` of another. Received: {name} of {type(outputs).__name__}, constant"
                    )
                tensors.append(x)
            return {
                "distribution": keras.saving.get_registered_name(type(outputs)),
                "static": outputs._static(),
                "names": list(outputs.params),
                "first": first,
            } | _seed(outputs)
        case keras.KerasTensor():
            tensors.append(outputs)
            return {"tensor": first}
    raise TypeError(
        "`outputs` must be distributions and KerasTensors, in dicts, lists and tuples. "
        f"Received: {type(outputs).__name__}"
    )


def _seed(dist):
    """The seed of the sequence that a model's distribution draws; none if it draws from Keras' global stream."""
    seeded = [part for part in parts_of(dist) if part.random_seed is not None]
    return {"seed": seeded[0]._stream.child()} if seeded else {}


def _distributions(structure):
    for kind, part in structure.items():
        if kind == "distribution":
            yield structure
        elif kind in ("dict", "list", "tuple"):
            for branch in part.values() if kind == "dict" else part:
                yield from _distributions(branch)


def _packed(structure, tensors, generators):
    if "dict" in structure:
        return {key: _packed(part, tensors, generators) for key, part in structure["dict"].items()}
    for kind in (list, tuple):
        if kind.__name__ in structure:
            return kind(_packed(part, tensors, generators) for part in structure[kind.__name__])
    if "tensor" in structure:
        return tensors[structure["tensor"]]
    cls = keras.saving.get_registered_object(structure["distribution"])
    first, names = structure["first"], structure["names"]
    own = tensors[first : first + len(names)]
    seed = {"random_seed": next(generators)} if "seed" in structure else {}
    dist = cls.from_params(dict(zip(names, own, strict=True)), **structure["static"], **seed)
    backend.set_mask(dist.params[names[0]], backend.mask_of(own))
    return dist
