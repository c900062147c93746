import keras
import pytest

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf


@pytest.fixture
def eagerly():
    """Run the agents' functions without compiling them, which takes longer than all that a small agent does."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
