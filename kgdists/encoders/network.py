"""`EncodedNetwork`: an encoder and the layers behind it, as one model."""

import warnings
from typing import Any, Self

import keras
from keras import tree

from kgdists.core.types import Tensor
from kgdists.core.unknown_classes import naming_unknown

__all__ = ["EncodedNetwork"]


@keras.saving.register_keras_serializable(package="kgdists")
class EncodedNetwork(keras.Model):
    """Observations, (nested) arrays -> encoder -> features [B, n] -> further layers.

    Parameters
    ----------
    encoder : keras.layers.Layer
        For instance from `kgdists.encoder_for`. Several networks may share one.
    body : list of keras.layers.Layer
        Called one after the other.
    inputs : (nested) arrays, tensors or keras.KerasTensor, shape [B, ...]
        Like the observations.

    Attributes
    ----------
    encoder : keras.layers.Layer
    body : list of keras.layers.Layer
    """

    def __init__(self, encoder: keras.layers.Layer, body: list[keras.layers.Layer], inputs: Any, **kwargs: Any) -> None:
        symbols = _symbols(inputs)
        features = encoder(symbols)
        for layer in body:
            features = layer(features)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "When providing `inputs` as a dict")  # not all keys can be names
            super().__init__(inputs=symbols, outputs=features, **kwargs)
        self.encoder, self.body = encoder, list(body)

    def of_features(self, features: Tensor) -> Tensor:
        """What the further layers make of the encoder's features [B, n]."""
        for layer in self.body:
            features = layer(features)
        return features

    def get_config(self) -> dict[str, Any]:
        inputs = tree.map_structure(lambda x: keras.KerasTensor(x.shape, x.dtype), self._inputs_struct)
        return {
            "name": self.name,
            "trainable": self.trainable,
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "body": keras.saving.serialize_keras_object(list(self.body)),
            "inputs": keras.saving.serialize_keras_object(inputs),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        with naming_unknown():
            made = {
                name: keras.saving.deserialize_keras_object(config[name], custom_objects)
                for name in ("encoder", "body", "inputs")
            }
        return cls(**(config | made))


def _symbols(inputs):
    if isinstance(inputs, dict):
        is_name = {name: str(name).isidentifier() and not tree.is_nested(x) for name, x in inputs.items()}
        return {
            name: _symbol(x, name) if is_name[name] else tree.map_structure(_symbol, x) for name, x in inputs.items()
        }
    return tree.map_structure(_symbol, inputs)


def _symbol(x, name=None):
    return keras.Input(x.shape[1:], dtype=keras.backend.standardize_dtype(x.dtype), name=name)
