"""What a function is traced for: formulas may have one form for XLA and another for TensorFlow's own kernels."""

import contextlib
import contextvars
from collections.abc import Iterator

__all__ = ["is_for_xla", "tracing"]

_FOR_XLA = contextvars.ContextVar("for_xla", default=False)


def is_for_xla() -> bool:
    """Whether a function is being traced that XLA compiles."""
    return _FOR_XLA.get()


@contextlib.contextmanager
def tracing(for_xla: bool) -> Iterator[None]:
    """Trace a function, for XLA or not."""
    before = _FOR_XLA.set(for_xla)
    try:
        yield
    finally:
        _FOR_XLA.reset(before)
