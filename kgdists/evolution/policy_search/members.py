"""The members of a population: one network, and a vector of weights for each of them."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kgdists.core.types import Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.policy import Policy

__all__ = ["Members"]


class Members:
    """A policy under other weights: flat vectors of its trainable ones, in the order of `policy.trainable_variables`.

    Parameters
    ----------
    policy : kgdists.Policy
        Built: it knows its weights.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._variables = policy.trainable_variables
        self._shapes = [tuple(variable.shape) for variable in self._variables]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        self.length = sum(self._sizes)
        if not self.length:
            raise ValueError("`policy` must have trainable weights. Received: a policy without")
        self._actors: dict[tuple[Any, ...], Callable[..., Any]] = {}

    def weights(self) -> np.ndarray:
        """The weights of the policy itself, a float32 vector."""
        return np.concatenate([np.ravel(variable).astype("float32") for variable in self._variables])

    def assign(self, vector: Tensor) -> None:
        """Set the weights of the policy itself."""
        for variable, x in zip(self._variables, self._parts(tf.convert_to_tensor(vector)), strict=True):
            variable.assign(x)

    def distribution(self, rows: Tensor, observations: Any) -> Distribution:
        """The distributions over actions of N members, of batch shape [N, E].

        Parameters
        ----------
        rows : float tensor, shape [N, D]
            Weights.
        observations : (nested) tensor, shape [N, E, ...]
            Each member's own.
        """
        kept = [variable.value for variable in self.policy.non_trainable_variables]
        structure = None

        def parameters(member):
            nonlocal structure
            row, x = member
            structure, _ = self.policy.stateless_call(self._parts(row), kept, x)
            return keras.tree.flatten(structure)

        leaves = tf.vectorized_map(parameters, (rows, observations))
        return keras.tree.pack_sequence_as(structure, leaves)

    def actor(self, rows: np.ndarray, observations: Any, sample_actions: bool) -> Callable[..., Any]:
        """A compiled function of rows, observations and a key to actions, (nested) tensors [N, E, ...].

        Parameters
        ----------
        rows, observations : (nested) arrays
            Of the shapes that the function is for.
        sample_actions : bool
            Whether actions are drawn by the key, an int64 tensor of shape [2], or are the most probable ones.
        """

        def act(rows, observations, key):
            pi = self.distribution(rows, observations)
            return pi.sample_action(seed=key) if sample_actions else pi.mode_action()

        arguments = [rows, observations, np.zeros(2, "int64")]
        signature = keras.tree.map_structure(lambda x: tf.TensorSpec(np.shape(x), x.dtype), arguments)
        known = (sample_actions, *(tuple(spec.shape) for spec in keras.tree.flatten(signature)))
        if known not in self._actors:
            function = tf.function(act, jit_compile=True, autograph=False)
            self._actors[known] = function.get_concrete_function(*signature)
        return self._actors[known]

    def _parts(self, vector):
        parts = tf.split(vector, self._sizes)
        return [
            tf.cast(tf.reshape(part, shape), variable.dtype)
            for part, shape, variable in zip(parts, self._shapes, self._variables, strict=True)
        ]
