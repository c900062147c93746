"""Compiled functions of arrays, called with as little as possible around them."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import tree

from kgdists.core import backend

__all__ = ["Compiled", "CompiledUpdate"]


class Compiled:
    """A compiled function of (nested) arrays to (nested) tensors.

    Parameters
    ----------
    function : callable
        Compiled anew for each structure and shape of its arguments, and each value of those by keyword.
    jit_compile : bool
        Whether by XLA as a whole.
    """

    def __init__(self, function: Callable[..., Any], jit_compile: bool = True) -> None:
        self._arguments = function, jit_compile
        self.forget()

    def forget(self) -> None:
        """Compile anew from now on: what is constant in the function has changed."""
        function, jit_compile = self._arguments
        self._function = tf.function(function, jit_compile=jit_compile, autograph=False)
        self._compiled: dict[tuple[Any, ...], Any] = {}

    @property
    def num_traces(self) -> int:
        """How often the function was compiled."""
        return len(self._compiled)

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        if tf.config.functions_run_eagerly():
            return self._function(*arguments, **settings)
        arrays = tf.nest.flatten(arguments)
        key = *settings.items(), *((x.shape, x.dtype) for x in arrays)
        if key not in self._compiled:
            self._compiled[key] = self._function.get_concrete_function(*arguments, **settings)
        compiled = self._compiled[key]
        results = backend.run(compiled, arrays, (), arguments)
        return tree.pack_sequence_as(compiled.structured_outputs, results)


class CompiledUpdate(Compiled):
    """The same of a function to a dict of (nested) tensors, of which scalars come back as floats."""

    def __call__(self, *arguments: Any, **settings: Any) -> dict[str, Any]:
        return _with_floats(super().__call__(*arguments, **settings))


def _with_floats(results):
    return {name: x if tree.is_nested(x) or x.shape.rank else x.numpy().item() for name, x in results.items()}
