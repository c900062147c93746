import gc
import os
import random
import signal

# One thread for each process: the tests' tensors are small, and processes run side by side.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("KGDISTS_CACHE", "")  # commands leave no programs in the cache of whoever runs the tests

# A shell ignores SIGINT for what it starts in the background; the tests of signals need Python's own handler.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import keras  # noqa: E402
import pytest  # noqa: E402

from kgdists.core import frequent  # noqa: E402
from tests import marks  # noqa: E402

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what waits for the exhaustive run, before pytest picks by markers."""
    for item in marks.waiting(items):
        item.add_marker("exhaustive")


def pytest_collection_finish():
    """Keep what is imported and collected by now out of garbage collections, which took a twelfth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


@pytest.fixture(autouse=True)
def same_weights():
    """Seed what Keras' initialisers draw their seeds from: the initial weights of a test are those of every other run.

    Not `keras.utils.set_random_seed`, after which TensorFlow makes all its kernels anew.
    """
    random.seed(0)


@pytest.fixture(autouse=True)
def formulas_as_written(request, monkeypatch):
    """Leave it to its own tests, and to the exhaustive ones, to compile formulas that are called often."""
    if "not exhaustive" in request.config.option.markexpr and request.node.path.stem != "test_frequent":
        monkeypatch.setattr(frequent, "FREQUENT", 10**9)


@pytest.fixture
def eagerly():
    """Run the agents' functions without compiling them, which takes longer than all that a small agent does."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def eagerly_throughout():
    """The same for all tests of a module and for what they share."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
