"""Start TensorFlow, quietly."""

import contextlib
import gc
import os
from collections.abc import Iterator

from kgdists.cli.program_cache import keep_programs
from kgdists.core.quiet import quietly

__all__ = ["set_threads", "start_tensorflow", "threads_for", "uncollected"]


def start_tensorflow(threads: int | None = None) -> None:
    """Import Keras and TensorFlow, and find the devices.

    Parameters
    ----------
    threads : None or int
        See `set_threads`.
    """
    keep_programs()
    with quietly(), uncollected():
        import keras  # noqa: F401

        set_threads(threads)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Load modules, which stay, without looking for garbage among them again and again: a sixth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def set_threads(threads: int | None) -> None:
    """Set how many threads an operation of TensorFlow has, None for as many as there are, and find the devices."""
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # TensorFlow runs already, within a process of the caller's
        if threads is not None:  # a thread handing over to another costs more than a small network does
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.list_logical_devices()


def threads_for(num_seeds: int) -> int:
    """Threads for agents that are trained side by side: programs of XLA share those of an operation."""
    return max(1, min(num_seeds, os.cpu_count() or 1))
