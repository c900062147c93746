import os

# One thread for each process: the tests' tensors are small, and processes run side by side.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import keras  # noqa: E402
import pytest  # noqa: E402

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf


@pytest.fixture(autouse=True)
def same_weights():
    """Start every test from the same global seed: the initial weights of its models are those of every other run."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def eagerly():
    """Run the agents' functions without compiling them, which takes longer than all that a small agent does."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
