"""Compiled functions of arrays, called with as little as possible around them."""

import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from keras import tree

from kgdists.core import backend
from kgdists.core.tracing import tracing
from kgdists.core.types import Tensor

__all__ = ["Compiled", "CompiledUpdate", "by_xla_where_fast", "is_convolution", "loses_kernels"]

CONVOLUTION = re.compile(r"Conv\dD|DepthwiseConv")
# Operations that XLA has no fast kernel for on a CPU: these at all, or, gradients of convolutions, within a loop.
SLOW_UNDER_XLA = re.compile(r"Conv\w*Backprop|Conv3D|DepthwiseConv|MaxPool\w*Grad")


def loses_kernels(function: Any) -> bool:
    """Whether XLA on a CPU lacks the fast kernels of what a function computes, as of gradients of convolutions.

    Parameters
    ----------
    function : tf.types.experimental.ConcreteFunction
        Judged by its operations, whichever layers they are of.
    """
    if tf.config.list_logical_devices("GPU"):  # on which XLA calls the kernels that TensorFlow does
        return False
    return any(map(SLOW_UNDER_XLA.match, _operations(function)))


def is_convolution(layer: Callable[[Any], Any], example: Any) -> bool:
    """Whether a layer convolves (nested) arrays like an example, by whatever layers it consists of."""
    return any(map(CONVOLUTION.match, _operations(_concrete(layer, False, (example,), {}))))


def _operations(function):
    """The names of the operations in the graph of a concrete function, and in the functions that it calls."""
    graph = function.graph.as_graph_def()
    return {node.op for nodes in (graph.node, *(x.node_def for x in graph.library.function)) for node in nodes}


def by_xla_where_fast(function: Callable[..., Any], *arguments: Any, **settings: Any) -> tuple[Any, bool]:
    """A function of arguments like these, compiled by XLA unless that `loses_kernels`.

    Returns
    -------
    concrete : tf.types.experimental.ConcreteFunction
    is_by_xla : bool
    """
    concrete = _concrete(function, True, arguments, settings)
    if not loses_kernels(concrete):
        return concrete, True
    return _concrete(function, False, arguments, settings), False


def _concrete(function, jit_compile, arguments, settings):
    made = tf.function(function, jit_compile=jit_compile, autograph=False)
    with tracing(for_xla=jit_compile):
        return made.get_concrete_function(*arguments, **settings)


class Compiled:
    """A compiled function of (nested) arrays to (nested) tensors.

    Parameters
    ----------
    function : callable
        Compiled anew for each structure and shape of its arguments, and each value of those by keyword.
    jit_compile : bool
        Whether by XLA as a whole, unless that `loses_kernels`.
    """

    def __init__(self, function: Callable[..., Any], jit_compile: bool = True) -> None:
        self._function, self._jit_compile = function, jit_compile
        self._source: tuple[Compiled, Sequence[Any], Sequence[Any]] | None = None
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Compile anew from now on: what is constant in the function has changed."""
        self._compiled: dict[tuple[Any, ...], tuple[Any, bool, list[Tensor] | None]] = {}

    def share(self, source: "Compiled", variables: Sequence[Any], others: Sequence[Any]) -> None:
        """Take the programs of the same function of other variables, so that each is compiled once for all.

        Parameters
        ----------
        source : Compiled
        variables, others : sequences of variables
            Those that its function uses, and in their order those of this one.
        """
        self._source = source, variables, others

    @property
    def num_traces(self) -> int:
        """How often the function was compiled."""
        return len(self._compiled)

    @property
    def is_by_xla(self) -> bool:
        """Whether XLA compiled the function for all arguments so far."""
        return self._jit_compile and not any(as_written for _, as_written, _ in self._compiled.values())

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        if tf.config.functions_run_eagerly():
            return tf.function(self._function, autograph=False)(*arguments, **settings)
        arrays = tf.nest.flatten(arguments)
        compiled, as_written, captured = self._program(arguments, settings, arrays)
        results = backend.run(compiled, arrays, (), arguments, as_written, captured)
        return tree.pack_sequence_as(compiled.structured_outputs, results)

    def _program(self, arguments, settings, arrays):
        """The function of such arguments, whether to run it as it is written, and what it captures if not its own."""
        key = *settings.items(), *((x.shape, x.dtype) for x in arrays)
        with self._lock:
            if key not in self._compiled:
                self._compiled[key] = self._shared(arguments, settings, arrays) or (
                    *self._made(arguments, settings),
                    None,
                )
            return self._compiled[key]

    def _shared(self, arguments, settings, arrays):
        if self._source is None:
            return None
        source, variables, others = self._source
        compiled, as_written, _ = source._program(arguments, settings, arrays)
        captured = backend.other_variables(compiled, variables, others)
        return None if captured is None else (compiled, as_written, captured)

    def _made(self, arguments, settings):
        """The function of such arguments, and whether to run it as it is written."""
        if not self._jit_compile:
            return _concrete(self._function, False, arguments, settings), False
        concrete, is_by_xla = by_xla_where_fast(self._function, *arguments, **settings)
        return concrete, not is_by_xla


class CompiledUpdate(Compiled):
    """The same of a function to a dict of (nested) tensors, of which scalars come back as floats."""

    def __call__(self, *arguments: Any, **settings: Any) -> dict[str, Any]:
        return _with_floats(super().__call__(*arguments, **settings))


def _with_floats(results):
    return {name: x if tree.is_nested(x) or x.shape.rank else x.numpy().item() for name, x in results.items()}
