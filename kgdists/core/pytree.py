"""Classes as nodes of trees: of `keras.tree` and, on JAX, of JAX."""

from typing import Any

import keras
import optree

__all__ = ["register"]

if keras.backend.backend() == "jax":
    import jax

    def _register_with_backend(cls: type[Any]) -> None:
        jax.tree_util.register_pytree_node(cls, lambda node: node._flatten()[:2], cls._unflatten)

else:

    def _register_with_backend(cls: type[Any]) -> None:
        pass  # `tf.nest` asks the class itself, for `__tf_flatten__`


def register(cls: type[Any]) -> None:
    """Register a class that has `_flatten`, to leaves, metadata and names, and a class method `_unflatten`."""
    optree.register_pytree_node(cls, cls._flatten, cls._unflatten, namespace="keras")
    _register_with_backend(cls)
