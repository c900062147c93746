"""`ParameterValue`: named parameters as an immutable value, which is a node of trees."""

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any, Self

from kgdists.core.types import Tensor

__all__ = ["ParameterValue"]


class ParameterValue:
    """What a search distribution is as a value: parameters by name, of which some are tensors and the others static.

    They are attributes, and never change. Where its length is not that of a parameter, `solution_length` is static too.
    """

    OPTIONAL_PARAMETERS: Set[str]
    TENSORS: tuple[str, ...]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, field: str, value: Any) -> None:
        raise AttributeError(f"A {type(self).__name__} is immutable: make a new one. Received: {field} = {value!r}")

    def __delattr__(self, field: str) -> None:
        raise AttributeError(f"A {type(self).__name__} is immutable: make a new one. Received: del {field}")

    # A node of trees. Unflattening skips `__init__`.

    def _flatten(self):
        static = tuple((name, self.__dict__[name]) for name in sorted(self.OPTIONAL_PARAMETERS - set(self.TENSORS)))
        if "solution_length" in self.__dict__:
            static += (("solution_length", self.solution_length),)
        return tuple(self.__dict__[name] for name in self.TENSORS), static, self.TENSORS

    @classmethod
    def _unflatten(cls, metadata: Any, leaves: Sequence[Any]) -> Self:
        dist = object.__new__(cls)
        dist.__dict__.update(zip(cls.TENSORS, leaves, strict=True))
        dist.__dict__.update(metadata)
        return dist

    def __tf_flatten__(self) -> tuple[Any, tuple[Tensor, ...]]:
        leaves, metadata, _ = self._flatten()
        return metadata, leaves

    @classmethod
    def __tf_unflatten__(cls, metadata: Any, leaves: Sequence[Tensor]) -> Self:
        return cls._unflatten(metadata, leaves)

    def _with(self, **tensors: Tensor) -> Self:
        """The same distribution with other tensors, unchecked."""
        _, metadata, _ = self._flatten()
        return self._unflatten(metadata, [tensors.get(name, self.__dict__[name]) for name in self.TENSORS])

    @property
    def parameters(self) -> dict[str, Any]:
        """A new dict of the parameters that are set."""
        names = (*self.TENSORS, *sorted(self.OPTIONAL_PARAMETERS - set(self.TENSORS)))
        return {name: self.__dict__[name] for name in names if self.__dict__[name] is not None}

    def _tensors(self) -> list[Tensor]:
        return [self.__dict__[name] for name in self.TENSORS if self.__dict__[name] is not None]

    @property
    def dtype(self) -> str:
        """Name of the dtype of parameters and samples."""
        return self._tensors()[0].dtype.name

    @property
    def device(self) -> str:
        """Where the parameters are."""
        return self._tensors()[0].device

    def __repr__(self) -> str:
        parameters = (
            f"{name}=<{x.dtype.name} {x.shape}>" if hasattr(x, "dtype") else f"{name}={x!r}"
            for name, x in self.parameters.items()
        )
        return f"{type(self).__name__}({', '.join(parameters)})"
