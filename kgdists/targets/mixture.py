"""The base of mixtures of normal distributions with known, constant parameters."""

import functools
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from keras import ops

from kgdists import random
from kgdists.core import shapes
from kgdists.core.checks import choice, count, positive
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.random import procedural
from kgdists.targets import density
from kgdists.targets.dataset import Dataset
from kgdists.targets.rows import ByRows, in_blocks

__all__ = ["Mixture", "as_array", "check_logits", "to_24_bits"]

LOG_2PI = math.log(2.0 * math.pi)
TYPES = ("train", "val", "test")  # the streams 0, 1 and 2 of a procedural seed
SAMPLES = 1 << 62  # the first of those of `sample`
ROWS = 1 << 48  # of a sequence, so that no counter runs over
SINGLE = 1e15  # parameters up to this, and deviations down to its inverse, are computed with in float32
FARTHEST = 9.0  # more standard deviations than any draw is from its mean


class Mixture:
    """A density of which everything is known, computed by compiled functions of rows.

    A subclass checks its parameters and defines `distribution` and `_place(component, noise)`, which makes draws of
    standard normal numbers, float64, by operations that are exact but for the sums.
    """

    logZ = 0.0  # the density is normalised

    _log_prob: ByRows
    _score: ByRows
    _log_prob_and_score: ByRows
    _responsibilities: ByRows

    def __init__(
        self,
        logits: np.ndarray,
        means: np.ndarray,
        factors: Mapping[str, np.ndarray],
        stds: np.ndarray,
        spreads: np.ndarray,
        kB_T: float,
        procedural_seed: Integer,
    ) -> None:
        # `stds` are the deviations of each dimension, `spreads` those given the dimensions before it; both [K, D].
        kB_T = positive("kB_T", kB_T)
        if isinstance(procedural_seed, bool) or not isinstance(procedural_seed, (int, np.integer)):
            raise ValueError(f"`procedural_seed` must be an int. Received: procedural_seed={procedural_seed!r}")
        self.logits, self.means = logits, means
        self.kB_T, self.procedural_seed = float(kB_T), int(procedural_seed)
        self._stds, self._spreads = stds, spreads
        self._needs_double = max(np.abs(means).max(), stds.max(), 1.0 / spreads.min()) > SINGLE
        offsets = _log_softmax(logits.astype("float64")) - np.log(spreads).sum(axis=1) - 0.5 * self.dim * LOG_2PI
        self._params = {"offsets": offsets, "means": means.astype("float64"), **factors}
        self._thresholds = procedural.choice_thresholds(logits.astype("float64"))
        self._compile()

    def _compile(self):
        self._compiled_rows = tf.function(self._rows, jit_compile=True, autograph=False)
        for name, formula in FORMULAS.items():
            setattr(self, name, ByRows(functools.partial(formula, self._params)))

    # Copies and pickles have the numbers; what is compiled is compiled anew.

    def __getstate__(self) -> dict[str, Any]:
        return {name: x for name, x in vars(self).items() if name not in ("_compiled_rows", *FORMULAS)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        for x in [*state.values(), *self._params.values()]:
            if isinstance(x, np.ndarray):
                x.setflags(write=False)
        self._compile()

    @property
    def dim(self) -> int:
        """The number of dimensions, D."""
        return self.means.shape[1]

    @property
    def num_components(self) -> int:
        """The number of components, K."""
        return self.means.shape[0]

    @property
    def log_weights(self) -> np.ndarray:
        """Logarithms of the weights of the components, shape [K]."""
        return _log_softmax(self.logits)

    @property
    def weights(self) -> np.ndarray:
        """Weights of the components, shape [K]."""
        return np.exp(self.log_weights)

    def sample(self, n_samples: Integer | Tensor, seed: Seed = None) -> Tensor:
        """Draw exactly: array of shape [n_samples, D], or a tensor in a `tf.function`.

        Parameters
        ----------
        n_samples : int, >= 0
        seed : None, int or keras.random.SeedGenerator
            An int repeats the same draws, and more of them begin with the same; None draws from Keras' global stream.

        Raises
        ------
        ValueError
            If the dtype of the means cannot hold the draws: its steps are too wide, or it overflows.
        """
        if not tf.is_tensor(n_samples):
            n_samples = count("n_samples", n_samples, least=0)
        seed, number = tf.unstack(tf.cast(random.key(seed), "int64"))
        x = self.draw_rows(seed, number + SAMPLES, 0, n_samples)
        return x.numpy() if tf.executing_eagerly() else x

    def load_dataset(
        self,
        type: Literal["train", "val", "test"],
        length: Integer,
        *,
        start: Integer = 0,
        include_samples: bool = True,
        include_log_probs: bool = False,
        include_scores: bool = False,
    ) -> Dataset:
        """Rows of one of three endless sequences of draws, each a function of its type and of `procedural_seed`.

        Row `i` does not depend on `start` and `length`, and costs the same wherever it is. It is the same, bit for bit,
        eagerly, in a graph, under XLA and on every machine.

        Parameters
        ----------
        type : "train", "val" or "test"
        length : int, >= 0
        start : int, >= 0
            The first row.
        include_samples, include_log_probs, include_scores : bool
            What the dataset has; at least one.

        Returns
        -------
        Dataset

        Raises
        ------
        ValueError
            On another type, negative numbers, and if nothing is included.

        Examples
        --------
        >>> import kgdists as kg
        >>> target = kg.targets.DiagonalGaussianMixture.create_gmm40()
        >>> far = target.load_dataset("train", 10, start=10**12, include_scores=True)
        >>> far.get_samples().shape, far.get_scores().shape
        ((10, 2), (10, 2))
        """
        choice("type", type, TYPES)
        length, start = count("length", length, least=0), count("start", start, least=0)
        if start + length > ROWS:
            raise ValueError(f"A sequence has {ROWS} rows. Received: start={start}, length={length}")
        choices = {"samples": include_samples, "log_probs": include_log_probs, "scores": include_scores}
        included = tuple(name for name, chosen in choices.items() if chosen)
        if not included:
            raise ValueError("At least one of samples, log_probs and scores must be included")
        return Dataset(self, TYPES.index(type), int(start), int(length), included)

    def draw_rows(
        self, seed: Integer | Tensor, stream: Integer | Tensor, start: Integer | Tensor, num_rows: Integer | Tensor
    ) -> Tensor:
        """Rows of the endless sequence of draws of a seed and stream: tensor of shape [num_rows, D].

        Parameters
        ----------
        seed, stream : int or integer scalar tensor
        start : int or int64 scalar tensor, >= 0
        num_rows : int or, in a `tf.function`, integer scalar tensor
        """
        self.check_holds(self.means.dtype.name, "The dtype of `means`")
        if not tf.executing_eagerly():
            return self._rows(seed, stream, start, num_rows)
        seed, stream = procedural.as_word(seed), procedural.as_word(stream)
        rows = in_blocks(
            lambda at, size: self._compiled_rows(seed, stream, tf.constant(start + at, "int64"), size),
            num_rows,
            self.dim,
        )
        return tf.convert_to_tensor(rows)

    def check_holds(self, dtype: str, name: str) -> None:
        """Raise unless a float dtype can hold draws: its steps at each mean must be below half a deviation."""
        info, is_drawn = np.finfo("float32" if dtype == "bfloat16" else dtype), np.isfinite(self.logits)
        eps = 2.0**-7 if dtype == "bfloat16" else float(info.eps)
        means, stds, spreads = (x[is_drawn].astype("float64") for x in (np.abs(self.means), self._stds, self._spreads))
        # Beside 0 most programs take subnormal numbers for 0, but not those of float16.
        least = float(info.tiny) * (eps if dtype == "float16" else 1.0)
        steps = np.maximum(eps * (means + stds), 500.0 * least)
        overflows, is_coarse = means + FARTHEST * stds > float(info.max), 2.0 * steps > spreads
        if not (overflows | is_coarse).any():
            return
        k, i = np.argwhere(overflows | is_coarse)[0]
        received = f"an overflow of {dtype}" if overflows[k, i] else f"steps of {steps[k, i]:.2g} in {dtype}"
        raise ValueError(
            f"{name} must hold the draws: their deviations must be at least twice its steps. Give a wider dtype, or "
            f"subtract the offset. Received: {received} at mean {means[k, i]:g} and deviation {spreads[k, i]:g}"
        )

    def check_holds_scores(self, dtype: str, name: str) -> None:
        """Raise unless a float dtype can hold the scores of draws, which are as large as deviations are small."""
        info, spreads = np.finfo("float32" if dtype == "bfloat16" else dtype), self._spreads[np.isfinite(self.logits)]
        largest, usual = FARTHEST / float(spreads.min()), 1.0 / float(self._stds[np.isfinite(self.logits)].max())
        if largest > float(info.max) or usual < float(info.tiny):
            raise ValueError(
                f"{name} must hold the scores of draws: give a wider dtype, or scale the target. "
                f"Received: {dtype}, scores of some {largest if largest > float(info.max) else usual:.2g}"
            )

    def _rows(self, seed, stream, start, num_rows):
        bits = procedural.procedural_bits(seed, stream, start, num_rows, 1 + self.dim)
        component = procedural.choice_of_bits(bits[:, 0], self._thresholds)
        noise = procedural.normal_of_bits(bits[:, 1:], "float64")
        return tf.cast(self._place(component, noise), self.means.dtype)

    def _place(self, component: Tensor, noise: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define `_place`")

    def log_prob(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`\log \sum_k w_k N(x; \mu_k, \Sigma_k)`.

        Parameters
        ----------
        x : float array or tensor, shape [..., D]
            One point or any batch of points.

        Returns
        -------
        float array or tensor, shape [...].

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on NaN.
        """
        return self._evaluate(self._log_prob, x)

    def score(self, x: TensorLike) -> Tensor:
        r"""Gradient of the log-density in `x`: :math:`-\sum_k r_k \Sigma_k^{-1} (x - \mu_k)`, shape of `x`."""
        return self._evaluate(self._score, x)

    def log_prob_and_score(self, x: TensorLike) -> tuple[Tensor, Tensor]:
        """The two in one pass; arguments and results as for `log_prob` and `score`."""
        return self._evaluate(self._log_prob_and_score, x)

    def responsibilities(self, x: TensorLike) -> Tensor:
        """Probabilities of the components given `x`, shape [..., K]; `x` as for `log_prob`."""
        return self._evaluate(self._responsibilities, x)

    def _evaluate(self, function, x):
        if not hasattr(x, "dtype"):
            x = np.asarray(x, self.means.dtype)
        is_array = tf.executing_eagerly() and isinstance(x, np.ndarray)
        if is_array:  # not made a tensor whole, which would copy it
            x = x.astype(shapes.dtype_of(shapes.as_float(x.flat[:0], "x")), copy=False)
        else:
            x = shapes.as_float(x, "x")
        if len(x.shape) == 0 or x.shape[-1] not in (None, self.dim):
            raise ValueError(f"`x` must have shape [..., {self.dim}]. Received: x of shape {tuple(x.shape)}")
        shapes.check_not_nan(x=x)
        rows = x.reshape(-1, self.dim) if is_array else tf.reshape(x, (-1, self.dim))
        if self._needs_double or x.dtype in ("float16", "bfloat16"):
            wide = "float64" if self._needs_double else "float32"
            rows = rows.astype(wide) if is_array else tf.cast(rows, wide)

        def shaped(result):
            if is_array:
                return result.reshape((*x.shape[:-1], *result.shape[1:])).astype(x.dtype, copy=False)[()]
            return tf.cast(tf.reshape(result, (*ops.shape(x)[:-1], *result.shape[1:])), x.dtype)

        return tf.nest.map_structure(shaped, function(rows))


def _score(params, x):
    return density.log_prob_and_score(params, x)[1]


def _log_softmax(logits):
    shifted = logits - logits.max()
    return shifted - np.log(np.sum(np.exp(shifted)))


def as_array(x: object, name: str, axes: str) -> np.ndarray:
    """A copy of `x` that cannot be changed, of its own float dtype; other numbers become float64.

    Its axes are named by letters, K, D and D.
    """
    x = np.array(x)
    if x.dtype.kind not in "fiu":
        raise ValueError(f"`{name}` must be of numbers. Received: {name} of dtype {x.dtype}")
    if x.ndim != len(axes) or 0 in x.shape:
        raise ValueError(f"`{name}` must have shape [{', '.join(axes)}], all >= 1. Received: {name} of shape {x.shape}")
    x = x if x.dtype in ("float32", "float64") else x.astype("float64")
    x.setflags(write=False)
    return x


def to_24_bits(x: np.ndarray) -> np.ndarray:
    """Float64 numbers, rounded to the digits of float32 but not to its range."""
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.rint(mantissa * 2.0**24), exponent - 24)


def check_logits(logits: np.ndarray, means: np.ndarray) -> None:
    """Raise unless these are log-weights of as many components as there are means."""
    if logits.shape != means.shape[:1]:
        raise ValueError(
            "`logits` must have one entry for each of the means. "
            f"Received: logits of shape {logits.shape}, means of shape {means.shape}"
        )
    if np.isnan(logits).any() or np.isposinf(logits).any() or np.isneginf(logits).all():
        raise ValueError(f"`logits` must be finite or -inf, not all of them -inf. Received: logits={logits}")


FORMULAS = {
    "_log_prob": density.log_prob,
    "_score": _score,
    "_log_prob_and_score": density.log_prob_and_score,
    "_responsibilities": density.responsibilities,
}
