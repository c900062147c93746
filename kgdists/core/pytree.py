"""Classes as nodes of trees: of `keras.tree` and, on JAX, of JAX."""

import keras
import optree

__all__ = ["register"]

if keras.backend.backend() == "jax":
    import jax

    def _register_with_backend(cls):
        jax.tree_util.register_pytree_node(cls, lambda node: node._flatten()[:2], cls._unflatten)

else:

    def _register_with_backend(cls):
        pass  # `tf.nest` asks the class itself, for `__tf_flatten__`


def register(cls):
    """Register a class that has `_flatten`, to leaves, metadata and names, and a class method `_unflatten`."""
    optree.register_pytree_node(cls, cls._flatten, cls._unflatten, namespace="keras")
    _register_with_backend(cls)
