"""Head layers: features -> `CompositeDist` or `OneOfDist`, from a head for each branch."""

from collections.abc import Sequence
from typing import Any, Self, TypeAlias

import keras

from kgdists.core.types import Tensor
from kgdists.core.unknown_classes import naming_unknown
from kgdists.distributions import CompositeDist, OneOfDist
from kgdists.distributions.composite import branches, map_branches
from kgdists.layers.head import Head

__all__ = ["CompositeHead", "OneOfHead"]

Heads: TypeAlias = dict[str, Any] | tuple[Any, ...]  # of layers, nested
Mask: TypeAlias = Tensor | dict[str, Any] | tuple[Any, ...]  # nested as the heads are


@keras.saving.register_keras_serializable(package="kgdists")
class CompositeHead(Head):
    """Heads side by side, on the same features, whose distributions make up a `CompositeDist`.

    It is called with features and, optionally, an `action_mask`: nested as the heads are, with an empty one, of shape
    [B..., 0], for a head that takes none.

    Parameters
    ----------
    heads : dict or tuple of layers, nested

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.CompositeHead({"move": kg.layers.CategoricalHead(3), "push": kg.layers.NormalHead(2)})
    >>> head(keras.ops.ones((1, 4))).event_shape
    {'move': (3,), 'push': (2,)}
    """

    def __init__(self, heads: Heads, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._structure = _plain(heads)
        self.branches = branches(self._structure)  # Keras finds, and saves, the layers in a flat list
        if not self.branches or not all(isinstance(head, keras.layers.Layer) for head in self.branches):
            raise ValueError(f"`heads` must be nested dicts and tuples of layers. Received: heads={heads}")

    def build(self, features_shape: Sequence[int | None]) -> None:
        for head in self.branches:
            if not head.built:  # those of a saved head come built
                head.build(features_shape)

    def call(self, features: Tensor, action_mask: Mask | None = None) -> CompositeDist:
        return CompositeDist(self._dists(features, action_mask))

    def _dists(self, features, action_mask):
        if action_mask is None:
            return map_branches(lambda head: head(features), self._structure)

        def apply(head, mask):
            # An empty mask is that of a head without one; a nested one is that of another composite.
            is_empty = not isinstance(mask, (dict, tuple)) and mask.shape[-1:] == (0,)
            return head(features) if is_empty else head(features, action_mask=mask)

        return map_branches(apply, self._structure, action_mask)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"heads": keras.saving.serialize_keras_object(self._structure)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        with naming_unknown():
            return cls(**config | {"heads": keras.saving.deserialize_keras_object(config["heads"])})


@keras.saving.register_keras_serializable(package="kgdists")
class OneOfHead(CompositeHead):
    """A `CategoricalHead` for the branch and a head for each branch, whose distributions make up a `OneOfDist`.

    Parameters
    ----------
    heads : tuple (CategoricalHead, tuple of layers)

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> choice, branches = kg.layers.CategoricalHead(2), (kg.layers.CategoricalHead(3), kg.layers.NormalHead(2))
    >>> kg.layers.OneOfHead((choice, branches))(keras.ops.ones((1, 4))).event_shape
    ((2,), ((3,), (2,)))
    """

    def call(self, features: Tensor, action_mask: Mask | None = None) -> OneOfDist:
        return OneOfDist(self._dists(features, action_mask))


def _plain(heads):
    # Keras wraps the dicts and lists that layers are given, and JSON makes lists of tuples.
    if isinstance(heads, dict):
        return {key: _plain(heads[key]) for key in sorted(heads)}
    return tuple(map(_plain, heads)) if isinstance(heads, (tuple, list)) else heads
