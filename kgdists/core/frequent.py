"""Formulas that run eagerly again and again: compiled once for each structure and shape of their arguments."""

import contextlib
import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import keras
import numpy as np

from kgdists.core import backend, value_checks
from kgdists.core.types import Tensor

__all__ = ["as_written", "compiled_when_frequent"]

F = TypeVar("F", bound=Callable[..., Any])

FREQUENT = 8  # eager calls before a formula is compiled, which takes as long as some tens of them
CAPACITY = 512  # signatures that are remembered; the oldest goes
LARGE = 1 << 15  # numbers from which on it is worth some tenths of a second to have XLA fuse the operations
CONSTANTS = (bool, int, str, type(None))


class _Settings(threading.local):
    as_written = False


_settings = _Settings()


@contextlib.contextmanager
def as_written() -> Iterator[None]:
    """Run formulas operation by operation within, as a draw must that has the same bits at every call of a seed."""
    before, _settings.as_written = _settings.as_written, True
    try:
        yield
    finally:
        _settings.as_written = before


if keras.backend.backend() == "tensorflow":
    import optree
    import tensorflow as tf

    _calls: OrderedDict[Any, Any] = OrderedDict()  # the number of calls, later the compiled formula, None for never
    _lock = threading.Lock()

    def compiled_when_frequent(formula: F, is_fused: bool = True) -> F:
        """`formula`, a pure function of tensors, compiled once it was called eagerly some times with the same shapes.

        The checks of values that it makes by `value_checks.check_values` run after the compiled function, on what that
        returns for them. What cannot be compiled runs as it is.

        Parameters
        ----------
        formula : callable
            Its arguments are (nested) tensors, arrays and constants.
        is_fused : bool
            Whether XLA may fuse the operations on large tensors, which changes last digits. Else it returns the same
            bits as before.
        """

        @functools.wraps(formula)
        def call(*args: Any, **kwargs: Any) -> Any:
            if _settings.as_written or not tf.executing_eagerly():
                return formula(*args, **kwargs)
            parts: Any = (args, kwargs)
            leaves, structure = optree.tree_flatten(parts, none_is_leaf=True, namespace="keras")
            tensors: list[Tensor] = []
            signature: list[Any] = []
            for x in leaves:
                if type(x) in CONSTANTS:
                    signature.append((type(x), x))
                    continue
                if type(x) is float:  # a level of `quantile`, which takes it to the parameters' dtype
                    x = tf.convert_to_tensor(x, tf.float64)
                elif type(x) is np.ndarray and x.dtype.kind in "fiub":
                    x = tf.convert_to_tensor(x)
                if not isinstance(x, backend.EagerTensor):
                    return formula(*args, **kwargs)
                tensors.append(x)
                signature.append((x.shape, x.dtype))
            key = (formula, structure, *signature)
            found = _calls.get(key, 0)
            if isinstance(found, _Compiled):
                return found(tensors)
            if found is not None:
                found = _counted(key, found, is_fused, formula, structure, leaves, tensors)
            return formula(*args, **kwargs) if found is None else found(tensors)

        return cast(F, call)

    def _counted(key, calls, is_fused, *parts):
        """What to call: the compiled formula from some number of calls on, None before."""
        if tf.config.functions_run_eagerly():
            return None
        compiled = None
        if calls >= FREQUENT:
            try:
                compiled = _Compiled(is_fused, *parts)
            except Exception:  # whatever a trace ends with, the formula itself says what is wrong
                calls = None
        with _lock:
            _calls[key] = compiled or (None if calls is None else calls + 1)
            if len(_calls) > CAPACITY:
                _calls.popitem(last=False)
        return compiled

    class _Compiled:
        # A formula as a concrete function of the tensors among the leaves of its arguments.

        def __init__(
            self, is_fused: bool, formula: Callable[..., Any], structure: Any, leaves: list[Any], tensors: list[Tensor]
        ) -> None:
            places = [type(x) not in CONSTANTS for x in leaves]
            constants = [x for x, is_tensor in zip(leaves, places, strict=True) if not is_tensor]
            self.checks: list[Any] = []

            def function(*given):
                tensors, fixed = iter(given), iter(constants)
                merged = [next(tensors if is_tensor else fixed) for is_tensor in places]
                args, kwargs = optree.tree_unflatten(structure, merged)
                with value_checks.postponed_checks() as postponed:
                    result, self.structure = optree.tree_flatten(formula(*args, **kwargs), namespace="keras")
                self.checks = [(check, len(values)) for check, values in postponed]
                self.num_results = len(result)
                return [*result, *(x for _, values in postponed for x in values)]

            is_fused = is_fused and sum(x.shape.num_elements() for x in tensors) >= LARGE
            self.function = tf.function(function, jit_compile=is_fused, autograph=False).get_concrete_function(
                *(tf.TensorSpec(x.shape, x.dtype) for x in tensors)
            )

        def __call__(self, tensors: list[Tensor]) -> Any:
            outputs = backend.run_as_written(self.function, tensors)
            rest = iter(outputs[self.num_results :])
            for check, num_values in self.checks:
                value_checks.check_values(check, *(next(rest) for _ in range(num_values)))
            return optree.tree_unflatten(self.structure, outputs[: self.num_results])

else:

    def compiled_when_frequent(formula: F, is_fused: bool = True) -> F:
        """`formula` itself."""
        return formula
