"""Layer: encoders side by side, for dicts and tuples."""

from typing import Any, Self

import keras
from keras import ops

from kgdists.core.checks import in_short
from kgdists.core.types import Tensor
from kgdists.core.unknown_classes import naming_unknown

__all__ = ["CompositeEncoder"]


@keras.saving.register_keras_serializable(package="kgdists")
class CompositeEncoder(keras.layers.Layer):
    """Encoders of the parts of an observation, whose features stand behind each other: nested [B, ...] -> [B, n].

    Parameters
    ----------
    parts : dict or tuple of layers
        One for each part, themselves composite for nested ones. Parts of a dict that have none are left out.

    Examples
    --------
    >>> import gymnasium, keras, kgdists as kg
    >>> space = gymnasium.spaces.Dict(
    ...     camera=gymnasium.spaces.Box(0, 255, (64, 64, 3), "uint8"), speed=gymnasium.spaces.Box(0.0, 9.0, (2,))
    ... )
    >>> encoder = kg.encoder_for(space)
    >>> encoder({"camera": keras.ops.zeros((5, 64, 64, 3)), "speed": keras.ops.zeros((5, 2))}).shape
    TensorShape([5, 514])
    """

    def __init__(self, parts: dict[str, keras.layers.Layer] | tuple[keras.layers.Layer, ...], **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        if not parts:
            raise ValueError("`parts` must have an encoder of at least one part of an observation. Received: none")
        self._names = list(parts) if isinstance(parts, dict) else list(range(len(parts)))
        self.encoders = list(parts.values()) if isinstance(parts, dict) else list(parts)

    @property
    def parts(self) -> Any:
        """Part -> its encoder: a dict, or a tuple."""
        is_tuple = isinstance(self._names[0], int)
        return tuple(self.encoders) if is_tuple else dict(zip(self._names, self.encoders, strict=True))

    def call(self, observations: Any) -> Tensor:
        self._check_parts(observations)
        pairs = zip(self._names, self.encoders, strict=True)
        return ops.concatenate([encoder(observations[name]) for name, encoder in pairs], axis=-1)

    def _check_parts(self, given):
        if not {*self._names} <= {*(given if isinstance(given, dict) else range(len(given)))}:
            parts = ", ".join(map(repr, self._names))
            raise ValueError(f"An observation must have the parts {parts}. Received: {in_short(given)}")

    def build(self, input_shape: Any) -> None:
        self._check_parts(input_shape)
        for name, encoder in zip(self._names, self.encoders, strict=True):
            if not encoder.built:
                encoder.build(input_shape[name])
                encoder.built = True

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"parts": keras.saving.serialize_keras_object(self.parts)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        with naming_unknown():
            return cls(**config | {"parts": keras.saving.deserialize_keras_object(config["parts"])})
