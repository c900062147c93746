"""Gradient descent on the parameters of several mixtures at once, in compiled blocks of iterations."""

import contextlib
import dataclasses
import functools
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kgdists.core.types import Tensor
from kgdists.distributions import GaussianMixtureDist
from kgdists.divergences import forward_kl_loss, reverse_kl_loss
from kgdists.divergences.sampling import log_density
from kgdists.mixtures.parameterizations import mixture, parameters, values

__all__ = ["BLOCK_SIZE", "SHORT_BLOCK_SIZE", "ForwardLoss", "ReverseLoss", "descend"]

BLOCK_SIZE = 500  # iterations between two looks at the progress bar and at the best
SHORT_BLOCK_SIZE = 100  # where a look costs next to nothing
# What a density raises that is written for values, not for tensors of a graph.
UNTRACEABLE = (AttributeError, NotImplementedError, tf.errors.OperatorNotAllowedInGraphError)


@dataclasses.dataclass(frozen=True)
class ForwardLoss:
    """The mean negative log-likelihood of samples x [N, n], one for each restart of the mixture q."""

    def __call__(self, q: GaussianMixtureDist, x: Tensor, key: Tensor) -> Tensor:
        return forward_kl_loss(q, ops.broadcast_to(x[:, None], (x.shape[0], *q.batch_shape, x.shape[1])))


@dataclasses.dataclass(frozen=True)
class ReverseLoss:
    """The reverse divergence of each restart of the mixture q, whose x is `(y - center) / scale` of the target's y."""

    target: Any = dataclasses.field(compare=False)  # some targets have no hash
    identity: int
    num_samples: int
    estimator: Literal["score", "pathwise"]
    center: tuple[float, ...]
    scale: tuple[float, ...]

    def __call__(self, q: GaussianMixtureDist, x: Tensor, key: Tensor) -> Tensor:
        return reverse_kl_loss(q, self.log_prob, self.num_samples, key, self.estimator)

    def log_prob(self, x: Tensor) -> Tensor:
        """The target's log-density of `center + scale x`, in units of x."""
        center, scale = np.array(self.center, "float32"), np.array(self.scale, "float32")
        return log_density(self.target, center + scale * x, x[..., 0]) + float(np.log(scale).sum())


def descend(
    loss: ForwardLoss | ReverseLoss,
    draw: Callable[[int], np.ndarray] | None,
    start: tuple[np.ndarray, ...],
    form: str,
    optimizer: dict[str, Any],
    iterations: int,
    floor: np.ndarray,
    rng: np.random.Generator,
    on_progress: Callable[[int, np.ndarray], object],
    judge: Callable[..., np.ndarray] | None,
    block_size: int = BLOCK_SIZE,
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Minimise a loss.

    Parameters
    ----------
    loss : ForwardLoss or ReverseLoss
    draw : None or callable
        `count -> samples [count, N, n]` for that many iterations; None for a loss that draws its own.
    start : tuple of array
        Log-weights, means and spreads, with a leading axis of restarts.
    form : str
        One of `kgdists.mixtures.parameterizations.FORMS`.
    optimizer : dict
        Configuration of a Keras optimizer.
    iterations : int
    floor : array, shape [n]
        Of the standard deviations.
    rng : numpy.random.Generator
    on_progress : callable
        Called now and then with the number of iterations done and the last losses.
    judge : None or callable
        `(log-weights, means, spreads) -> losses [restarts]` by which the iterates between blocks are compared. With it
        a descent that breaks ends there, if it has met something better than its start.
    block_size : int
        Iterations between two looks.

    Returns
    -------
    losses : array, shape [iterations, restarts]
        Of fewer iterations where the descent broke.
    final : array, shape [restarts]
        The mean over the last tenth.
    average : tuple of array
        The parameters averaged over the last tenth (Polyak and Juditsky 1992), which takes out most of the noise of
        the samples; those of the start where a restart broke, the best where the descent did.
    best : tuple of array
        The parameters that `judge` found best: of the start, the ends of the blocks and the average.
    """
    block_size = min(block_size, iterations)
    logits, mu, spread = start
    tensors = [np.asarray(tensor, "float32") for tensor in parameters(form, logits, mu, spread, floor)]
    optimizer["config"].pop("name", None)  # which counts the optimizers
    shapes = tuple(tensor.shape for tensor in tensors)
    # What others define may change from one fit to the next, so that its trace serves only once.
    lasting = isinstance(loss, ForwardLoss) or type(loss.target).__module__.startswith("kgdists.")
    make = _descent if lasting else _descent.__wrapped__
    descent = make(loss, form, json.dumps(optimizer, sort_keys=True), block_size, shapes)
    tail = iterations - max(1, iterations // 10)
    blocks: list[np.ndarray] = []
    best = _Best(judge, start)
    with descent.lock, _explained():
        descent.prepare(tensors, floor)
        for first in range(0, iterations, block_size):
            steps = min(block_size, iterations - first)
            x = tf.zeros((block_size, 0)) if draw is None else tf.constant(draw(block_size), "float32")
            key = tf.constant(rng.integers(2**31, size=2, dtype="int32"))
            block_losses = descent.block(x, key, tf.constant(steps), tf.constant(tail - first))
            blocks.append(np.array(block_losses)[:steps])
            best.meet(form, [variable.numpy() for variable in descent.variables], floor)
            if best.improved and not np.isfinite(blocks[-1][-1]).any():
                average = best.values
                break
            on_progress(first + steps, blocks[-1][-1])
        else:
            average = best.meet(form, [total.numpy() / (iterations - tail) for total in descent.totals], floor)
    losses = np.concatenate(blocks).astype("float64")
    return losses, losses[-(iterations - tail) :].mean(axis=0), average, best.values


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say what is wrong with a density that cannot be traced."""
    try:
        yield
    except UNTRACEABLE as error:
        raise ValueError(
            "A density must be a function of tensors, written in TensorFlow or `keras.ops`, that XLA compiles. "
            f"Received: {type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')[:200]}"
        ) from error


class _Best:
    """The parameters of the lowest loss that each restart has met."""

    def __init__(self, judge: Callable[..., np.ndarray] | None, start: tuple[np.ndarray, ...]) -> None:
        self.judge, self.start, self.values = judge, start, start
        self.losses = np.empty(0) if judge is None else judge(*start)
        self.improved = False

    def meet(self, form: str, tensors: list[np.ndarray], floor: np.ndarray) -> tuple[np.ndarray, ...]:
        """Compare other free tensors, and return their values, those of the start where they are not finite."""
        tensors = [np.asarray(tensor) for tensor in tensors]
        numbers = [np.where(tensors[0] == -np.inf, 0.0, tensors[0]), *tensors[1:]]  # a component may be taken out
        sound = np.all([np.isfinite(part).reshape(len(part), -1).all(axis=1) for part in numbers], axis=0)
        logits, mu, spread = self.start
        fallback = parameters(form, logits, mu, spread, floor)
        new = values(form, [_where(sound, *pair) for pair in zip(tensors, fallback, strict=True)], floor)
        if self.judge is not None:
            losses = self.judge(*new)
            better = losses < self.losses
            self.improved |= bool(better.any())
            self.losses = np.where(better, losses, self.losses)
            self.values = tuple(_where(better, *pair) for pair in zip(new, self.values, strict=True))
        return new


def _where(chosen, these, others):
    return np.where(chosen.reshape(-1, *(1,) * (these.ndim - 1)), these, others)


@functools.lru_cache(maxsize=16)
def _descent(loss, form, optimizer, block_size, shapes):
    return _Descent(loss, form, json.loads(optimizer), block_size, shapes)


class _Descent:
    """A compiled block of iterations, and the variables on which it works."""

    def __init__(
        self,
        loss: ForwardLoss | ReverseLoss,
        form: str,
        optimizer: dict[str, Any],
        block_size: int,
        shapes: tuple[tuple[int, ...], ...],
    ) -> None:
        self.loss = loss
        self.form = form
        self.floor = keras.Variable(np.zeros(shapes[1][-1:], "float32"), trainable=False)
        self.block_size = block_size
        self.lock = threading.Lock()
        # Not trainable: an open tape does not watch them.
        self.variables = [keras.Variable(np.zeros(shape, "float32"), trainable=False) for shape in shapes]
        self.totals = [keras.Variable(np.zeros(shape, "float32"), trainable=False) for shape in shapes]
        self.optimizer = keras.optimizers.deserialize(optimizer)
        self.optimizer.build(self.variables)
        self.fresh = [variable.numpy() for variable in self.optimizer.variables]
        self.compiled: dict[Any, Any] = {}

    def prepare(self, tensors: list[np.ndarray], floor: np.ndarray) -> None:
        """Start from these parameters with a fresh optimizer."""
        self.floor.assign(floor)
        for variable, value in zip(self.variables + self.optimizer.variables, [*tensors, *self.fresh], strict=True):
            variable.assign(value)
        for total in self.totals:
            total.assign(np.zeros(total.shape, "float32"))

    def block(self, x: Tensor, *inputs: Tensor) -> Tensor:
        """The losses of `steps` iterations, the first ones of all that x has samples for."""
        if x.shape not in self.compiled:
            function = tf.function(self._block, jit_compile=True, autograph=False)
            # Its concrete function, because TensorFlow warns of functions that it traces one after the other.
            self.compiled[x.shape] = function.get_concrete_function(x, *inputs)
        with tf.init_scope():  # an open tape does not record the call: the gradient of a compiled loop needs its length
            return self.compiled[x.shape](x, *inputs)

    def _block(self, x, key, steps, tail):
        def body(i, losses):
            tensors = [tf.convert_to_tensor(variable.value) for variable in self.variables]
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                loss = self.loss(
                    mixture(self.form, tensors, tf.convert_to_tensor(self.floor.value)), x[i], key + tf.stack([0, i])
                )
                # The restarts do not meet: the gradient of the sum is that of each.
                overall = tf.reduce_sum(loss)
            self.optimizer.apply(tape.gradient(overall, tensors), self.variables)
            for total, variable in zip(self.totals, self.variables, strict=True):
                total.assign_add(tf.where(i >= tail, variable.value, 0.0))
            return i + 1, losses.write(i, loss)

        restarts = self.variables[0].shape[0]
        losses = tf.TensorArray("float32", self.block_size, element_shape=(restarts,))
        return tf.while_loop(lambda i, losses: i < steps, body, (0, losses))[1].stack()
