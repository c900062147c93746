"""`Value`: named tensors and static fields, fixed for good, that are one node of every tree."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NoReturn, Self

import keras
from keras import ops

from kgdists.core import pytree, shapes
from kgdists.core.types import Tensor, TensorLike

__all__ = ["Value"]


class _Frozen:
    # A tensor on its way through a pickle.

    def __init__(self, tensor: Tensor) -> None:
        self.array = ops.convert_to_numpy(tensor)


def _restored(cls, metadata, leaves):
    return cls._unflatten(
        metadata, tuple(ops.convert_to_tensor(x.array) if isinstance(x, _Frozen) else x for x in leaves)
    )


class Value:
    """Named parameter tensors and a few static fields, fixed for good: a node of `keras.tree` and `tf.nest`.

    Attributes
    ----------
    PARAM_NAMES, STATIC_NAMES : tuple of str
    """

    PARAM_NAMES: tuple[str, ...] = ()
    STATIC_NAMES: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        pytree.register(cls)
        keras.saving.register_keras_serializable(cls.__module__.partition(".")[0])(cls)

    def set_fields(self, **fields: Any) -> None:
        """Set all fields, once: the last thing that `__init__` does, since a value is immutable.

        Parameters
        ----------
        **fields
            Each of `PARAM_NAMES`, tensors or nested values, and each of `STATIC_NAMES`, which must be hashable and
            known to JSON, or a tensor: then it is one more parameter of this one.
        """
        tensors = tuple(name for name in self.STATIC_NAMES if shapes.is_tensor(fields.get(name)))
        if tensors:
            fields["PARAM_NAMES"] = fields.get("PARAM_NAMES", self.PARAM_NAMES) + tensors
            fields["STATIC_NAMES"] = tuple(name for name in self.STATIC_NAMES if name not in tensors)
        self.__dict__.update(fields)

    def __setattr__(self, field: str, value: Any) -> NoReturn:
        raise AttributeError(f"A {type(self).__name__} is immutable: make a new one. Received: {field} = {value!r}")

    def __delattr__(self, field: str) -> NoReturn:
        raise AttributeError(f"A {type(self).__name__} is immutable: make a new one. Received: del {field}")

    # The pytree. Unflattening skips `__init__`: Keras also unflattens with None, strings and lists as leaves.

    def _flatten(self) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[str, ...]]:
        leaves = tuple(self.__dict__[name] for name in self.PARAM_NAMES)
        static = (self.__dict__[name] for name in self.STATIC_NAMES)
        return leaves, (self.PARAM_NAMES, *static), self.PARAM_NAMES

    @classmethod
    def _unflatten(cls, metadata: Any, leaves: Any) -> Self:
        value = object.__new__(cls)
        names, *static = metadata
        fields = cls.STATIC_NAMES
        if names != cls.PARAM_NAMES:  # a class whose instances differ in their parameters
            fields = tuple(name for name in fields if name not in names)
            value.__dict__.update(PARAM_NAMES=names, STATIC_NAMES=fields)
        value.__dict__.update(zip(names, leaves, strict=True))
        value.__dict__.update(zip(fields, static, strict=True))
        return value

    def __tf_flatten__(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        leaves, metadata, _ = self._flatten()
        return metadata, leaves

    @classmethod
    def __tf_unflatten__(cls, metadata: Any, leaves: Any) -> Self:
        return cls._unflatten(metadata, leaves)

    # Copies and pickles: tensors travel as arrays.

    def __reduce__(self) -> tuple[Any, ...]:
        leaves, metadata, _ = self._flatten()
        return _restored, (type(self), metadata, [_Frozen(x) if ops.is_tensor(x) else x for x in leaves])

    # What it is made of.

    @property
    def params(self) -> OrderedDict[str, Tensor]:
        """Ordered dict of parameter name -> tensor."""
        return OrderedDict((name, self.__dict__[name]) for name in self.PARAM_NAMES)

    def _static(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self.STATIC_NAMES}

    @classmethod
    def from_params(cls, params: Mapping[str, TensorLike], **static: Any) -> Self:
        """Make one of its parameters, a dict of name -> tensor, and of its static fields."""
        return cls(**params, **static)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor as Keras saves them, parameters as arrays."""
        params = {name: ops.convert_to_numpy(x) for name, x in self.params.items()}
        return keras.saving.serialize_keras_object({"params": params}) | self._static()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make one of what `get_config` returned."""
        return cls.from_params(**{name: keras.saving.deserialize_keras_object(x) for name, x in config.items()})

    def __repr__(self) -> str:
        # Leaves of a node that Keras unflattened need not be tensors.
        params = (
            f"{name}=<{getattr(x.dtype, 'name', x.dtype)} {x.shape}>" if hasattr(x, "dtype") else f"{name}={x!r}"
            for name, x in self.params.items()
        )
        static = (f"{name}={self.__dict__[name]!r}" for name in self.STATIC_NAMES)
        return f"{type(self).__name__}({', '.join([*params, *static])})"
