"""Actions of a policy for observations of environments, fast."""

import numpy as np
import tensorflow as tf
from keras import tree

__all__ = ["actor", "batched"]


def actor(policy, example, num_envs):
    """A fast function of observations of all environments and a key to actions, arrays or nested ones.

    Parameters
    ----------
    policy : kgdists.Policy
    example : array, shape [1, *shape], or dict of them
        Like the observations of one environment.
    num_envs : int

    Returns
    -------
    callable, observations [num_envs, *shape] and an int64 key [2] -> actions [num_envs, ...].
    """
    # A pure function: a generator's counter, a variable to write, would double the time of a call.
    act = tf.function(lambda x, key: policy(x).sample_action(seed=key), jit_compile=True, autograph=False)
    observations = tree.map_structure(lambda x: tf.TensorSpec((num_envs, *x.shape[1:]), x.dtype), example)
    act = act.get_concrete_function(observations, tf.TensorSpec((2,), tf.int64))
    is_nested = tree.is_nested(act.structured_outputs)

    def call(observations, key):
        # The flat call leaves out the checks of the structured one, which take as long as a small network.
        flat = map(tf.constant, tree.flatten(observations))
        actions = [x.numpy() for x in act.inference_fn.call_flat(*flat, key, *act.captured_inputs)]
        return tree.pack_sequence_as(act.structured_outputs, actions) if is_nested else actions[0]

    return call


def batched(observations, example):
    """Observations behind a batch axis like those of `example`, and whether they had none."""
    shape = tree.map_structure(lambda x: x.shape[1:], example)
    try:
        arrays = tree.map_structure_up_to(example, lambda like, x: np.asarray(x, like.dtype), example, observations)
    except (TypeError, ValueError):
        arrays = None
    if tree.map_structure(np.shape, arrays) == shape:
        return tree.map_structure(lambda x: x[None], arrays), True
    if arrays is None or tree.map_structure(lambda x: x.shape[1:], arrays) != shape:
        received = tree.map_structure(np.shape, observations if arrays is None else arrays)
        raise ValueError(f"`observations` must have shape {shape}, behind a batch axis or not. Received: {received}")
    return arrays, False
