"""Hold back the pages of TensorFlow's log that nobody asked for; with the variable KGDISTS_LOG they come."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator

__all__ = ["quietly"]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Hold back what is written to the process's stderr, unless it ends in an error."""
    if os.environ.get("KGDISTS_LOG") or "tensorflow" in sys.modules:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryFile() as log, contextlib.ExitStack() as stack:
        stderr = os.dup(2)
        stack.callback(os.close, stderr)
        os.dup2(log.fileno(), 2)
        stack.callback(os.dup2, stderr, 2)
        try:
            yield
        except BaseException:
            log.seek(0)
            with os.fdopen(os.dup(stderr), "wb") as out:
                shutil.copyfileobj(log, out)
            raise
