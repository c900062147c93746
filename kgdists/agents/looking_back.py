"""How an update looks at the observations of a rollout: all at once or, where they are heavy, piece by piece."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops, tree

from kgdists.agents.networks import as_float32, flat, values_of
from kgdists.agents.shared_encoder import policy_and_values
from kgdists.core.types import Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.policy import Policy

__all__ = ["AllAtOnce", "InPieces", "Judged", "in_pieces"]


class Judged(NamedTuple):
    """What the networks make of the B steps of a rollout: a distribution, and tensors of shape [B]."""

    pi: Distribution
    log_proba: Tensor
    values: Tensor
    next_values: Tensor


class AllAtOnce:
    """Observations of which all networks see all steps at once.

    Parameters
    ----------
    observations, next_observations : (nested) tensors, shape [T, N, ...]
    """

    def __init__(self, observations: Any, next_observations: Any) -> None:
        self.of_steps = observations
        self._rows, self._next_rows = (tree.map_structure(flat, x) for x in (observations, next_observations))

    def judge(self, policy: Policy, value: keras.Model, actions: Any) -> Judged:
        """What the networks make of all steps, at which these actions [T N, ...] were taken."""
        pi, values = policy_and_values(policy, value, self._rows)
        next_values = values_of(value, self._next_rows)
        return Judged(pi, as_float32(pi.log_proba(actions)), values, next_values)

    def batches(self, order: Tensor | None, num_batches: int, *others: Any) -> tuple[Any, Callable[[Any, Tensor], Any]]:
        """Observations and other rows [T N, ...] in batches, by an order if there is one.

        Returns
        -------
        kept : nested tensors
            What a loop keeps.
        take : callable
            That, and the number of a batch -> the observations and the other rows of it.
        """
        rows = [self._rows, *others]
        if order is not None:
            rows = tree.map_structure(lambda x: ops.take(x, order, axis=0), rows)
        rows = tree.map_structure(lambda x: ops.reshape(x, (num_batches, -1, *x.shape[1:])), rows)
        return rows, lambda rows, j: tree.map_structure(lambda x: x[j], rows)


class InPieces:
    """Observations of which the networks see a batch at a time; they are in memory once, in their own dtype.

    Parameters
    ----------
    frames : (nested) tensors, shape [T + 1, N, ...]
    finals : (nested) tensors, shape [F, ...]
    final_at : int tensor, shape [F]
        As of `kgdists.envs.frames.Frames`.
    size : int, >= 1
        Steps at a time.
    """

    def __init__(self, frames: Any, finals: Any, final_at: Tensor, size: int) -> None:
        steps, self._num_envs = tree.flatten(frames)[0].shape[:2]
        self._rows, self._finals, self._final_at = tree.map_structure(flat, frames), finals, final_at
        self._num_steps, self._size = (steps - 1) * self._num_envs, size

    @property
    def of_steps(self) -> Any:
        """Observations of all steps, (nested) tensors [T N, ...]."""
        return tree.map_structure(lambda x: x[: self._num_steps], self._rows)

    def judge(self, policy: Policy, value: keras.Model, actions: Any) -> Judged:
        """What the networks make of all steps, at which these actions [T N, ...] were taken."""

        def judged(observations, actions):
            pi, values = policy_and_values(policy, value, observations)
            return pi, as_float32(pi.log_proba(actions)), values

        def only_values(observations):
            return values_of(value, observations)

        pi, log_proba, values = in_pieces(judged, (self._rows, actions), self._num_steps, self._size)
        last = tree.map_structure(lambda x: x[self._num_steps :], self._rows)
        next_values = [
            values[self._num_envs :],
            in_pieces(only_values, (last,), self._num_envs, self._size),
            ops.zeros(1),
        ]
        of_finals = in_pieces(only_values, (self._finals,), self._final_at.shape[0], self._size)
        # The last place is for rows that follow no step.
        next_values = tf.tensor_scatter_nd_update(ops.concatenate(next_values), self._final_at[:, None], of_finals)
        return Judged(pi, log_proba, values, next_values[:-1])

    def batches(self, order: Tensor | None, num_batches: int, *others: Any) -> tuple[Any, Callable[[Any, Tensor], Any]]:
        """As of `AllAtOnce`; observations are gathered batch by batch."""
        order = ops.arange(self._num_steps, dtype="int32") if order is None else order
        rows = [self._rows, *others]
        index = ops.reshape(order, (num_batches, -1))
        return index, lambda index, j: tree.map_structure(lambda x: ops.take(x, index[j], axis=0), rows)


def in_pieces(function: Callable[..., Any], arrays: tuple[Any, ...], count: int, size: int) -> Any:
    """A function of rows, of `size` rows at a time: what it returns of the first `count` rows, (nested) tensors.

    Parameters
    ----------
    function : callable
        Of (nested) tensors [B, ...] to such, for any B.
    arrays : tuple of (nested) tensors, shape [count or more, ...]
    count, size : int, >= 1
    """
    size = min(size, count)

    def part(first, length):
        return tree.map_structure(
            lambda x: tf.slice(x, [first, *[0] * (len(x.shape) - 1)], [length, *x.shape[1:]]), arrays
        )

    def step(i, stacks):
        found = tree.flatten(function(*part(i * size, size)))
        return i + 1, [stack.write(i, x) for stack, x in zip(stacks, found, strict=True)]

    first = function(*part(0, size))
    whole = count // size
    stacks = [tf.TensorArray(x.dtype, whole, element_shape=x.shape).write(0, x) for x in tree.flatten(first)]
    _, stacks = tf.while_loop(lambda i, _: i < whole, step, (1, stacks), parallel_iterations=1)
    results = [stack.concat() for stack in stacks]
    if count % size:
        rest = tree.flatten(function(*part(whole * size, count % size)))
        results = [ops.concatenate(pair) for pair in zip(results, rest, strict=True)]
    return tree.pack_sequence_as(first, results)
