"""`Dataset`: rows of an endless sequence of draws, made when they are asked for."""

from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from kgdists.core.checks import count
from kgdists.core.types import Integer, Seed, Tensor

__all__ = ["Dataset"]

FLOATS = ("float16", "bfloat16", "float32", "float64")


class Target(Protocol):
    """What a dataset needs of its target, a `Mixture`."""

    kB_T: float
    procedural_seed: int

    def draw_rows(self, seed: Seed, stream: int, start: Tensor, num_rows: int) -> Tensor: ...
    def log_prob(self, x: Tensor) -> Tensor: ...
    def score(self, x: Tensor) -> Tensor: ...
    def check_holds(self, dtype: str, name: str) -> None: ...
    def check_holds_scores(self, dtype: str, name: str) -> None: ...


class Dataset:
    """Rows `start` to `start + length` of one endless sequence of draws from a target, with what is known of them.

    Nothing is stored: every call makes the rows anew, and the same. Made by `load_dataset` of a target.

    Parameters
    ----------
    target : Mixture
    stream : int
        Which of the target's sequences.
    start, length : int, >= 0
    included : tuple of str
        Of "samples", "log_probs" and "scores".
    """

    def __init__(self, target: Target, stream: int, start: int, length: int, included: tuple[str, ...]) -> None:
        self._target, self._stream = target, stream
        self.start, self.length, self.included = start, length, included

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        return f"Dataset(start={self.start}, length={self.length}, included={self.included})"

    def get_samples(self, length: Integer = -1) -> np.ndarray:
        """The first `length` samples, or all of them (-1): array of shape [length, D]."""
        self._check_included("samples")
        return self._samples(length)

    def get_log_probs(self, length: Integer = -1) -> np.ndarray:
        """Their log-densities, shape [length]; `length` as for `get_samples`."""
        self._check_included("log_probs")
        return self._target.log_prob(self._samples(length))

    def get_energies(self, length: Integer = -1) -> np.ndarray:
        """Their energies `-kB_T log_prob`, shape [length]; `length` as for `get_samples`."""
        return -self._target.kB_T * self.get_log_probs(length)

    def get_scores(self, length: Integer = -1) -> np.ndarray:
        """Gradients of the log-density at the samples, shape [length, D]; `length` as for `get_samples`."""
        self._check_included("scores")
        return self._target.score(self._samples(length))

    def get_forces(self, length: Integer = -1) -> np.ndarray:
        """Their forces `kB_T score`, shape [length, D]; `length` as for `get_samples`."""
        return self._target.kB_T * self.get_scores(length)

    def as_tf_dataset(
        self, batch_size: Integer, *, dtype: str | None = None, num_shards: Integer = 1, shard_index: Integer = 0
    ) -> tf.data.Dataset:
        """Stream batches endlessly, each row once: from `start` on, and past `length`.

        Batch `i` is a function of `i` alone and computed in the graph. `shard` and `tf.distribute` (by data) give each
        worker batches of its own; with `num_shards` and `shard_index` it does not make those of the others.

        Parameters
        ----------
        batch_size : int, >= 1
        dtype : None or str
            Float dtype of the elements; None is `keras.config.floatx()`.
        num_shards, shard_index : int
            Take batches `shard_index`, `shard_index + num_shards`, and so on.

        Returns
        -------
        tf.data.Dataset
            Of tensors [batch_size, D] if only samples are included; else of dicts of "samples", "log_probs" and
            "scores", whichever are.

        Raises
        ------
        ValueError
            If the dtype is not one of floats, or cannot hold the samples: its steps at their offset are too wide, or
            it overflows.

        Examples
        --------
        >>> import kgdists as kg
        >>> dataset = kg.targets.DiagonalGaussianMixture.create_gmm40().load_dataset("train", 1000)
        >>> batch = next(iter(dataset.as_tf_dataset(32)))
        >>> batch.shape, bool(abs(batch - dataset.get_samples(32)).numpy().max() < 1e-5)
        (TensorShape([32, 2]), True)
        """
        batch_size, num_shards = count("batch_size", batch_size), count("num_shards", num_shards)
        shard_index = count("shard_index", shard_index, least=0)
        if shard_index >= num_shards:
            raise ValueError(
                "`shard_index` must be below `num_shards`. "
                f"Received: shard_index={shard_index}, num_shards={num_shards}"
            )
        dtype = _float_dtype(dtype)
        if "samples" in self.included:
            self._target.check_holds(dtype, "`dtype`")
        if "scores" in self.included:
            self._target.check_holds_scores(dtype, "`dtype`")

        def batch(index):
            samples = self._target.draw_rows(
                self._target.procedural_seed, self._stream, self.start + index * batch_size, batch_size
            )
            elements = {"samples": samples}
            if "log_probs" in self.included:
                elements["log_probs"] = self._target.log_prob(samples)
            if "scores" in self.included:
                elements["scores"] = self._target.score(samples)
            elements = {name: tf.cast(elements[name], dtype) for name in self.included}
            return elements["samples"] if self.included == ("samples",) else elements

        batches = tf.data.Dataset.counter(shard_index, num_shards)
        return batches.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def _samples(self, length: Integer) -> np.ndarray:
        length = self.length if length == -1 else length
        length = count("length", length, least=0)
        if length > self.length:
            raise ValueError(
                f"`length` must be -1 or at most {self.length}, what was loaded. Received: length={length}"
            )
        return self._target.draw_rows(self._target.procedural_seed, self._stream, self.start, length).numpy()

    def _check_included(self, name):
        if name not in self.included:
            raise ValueError(
                f"The dataset has no {name}: load it with include_{name}=True. Received: a dataset of {self.included}"
            )


def _float_dtype(dtype: str | None) -> str:
    try:
        name = keras.backend.standardize_dtype(keras.config.floatx() if dtype is None else dtype)
    except (ValueError, TypeError):
        name = None
    if name not in FLOATS:
        raise ValueError(f"`dtype` must be one of {', '.join(map(repr, FLOATS))}. Received: dtype={dtype!r}")
    return name
