"""Updates shared out among devices and machines by a strategy of `tf.distribute`."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops, tree

from kgdists import random
from kgdists.core.backend import scalars_given
from kgdists.core.compiled import loses_kernels
from kgdists.core.types import Tensor
from kgdists.layers import RunningNormalization
from kgdists.layers.tempered_head import temperature_variables

__all__ = ["Replicas"]


class Replicas:
    """The replicas that compute the gradients of one update together; without a strategy, this device alone.

    A `MirroredStrategy` splits each batch among devices; of `MultiWorkerMirroredStrategy` each process has its own
    environments, and a batch is what the processes' batches are together. The weights are ordinary variables, one copy
    in each process, which moves by the mean of the gradients. So models are not made in `strategy.scope()`.

    Parameters
    ----------
    strategy : None or tf.distribute.Strategy
        A `MirroredStrategy` or a `MultiWorkerMirroredStrategy`.

    Attributes
    ----------
    worker : int
        The index of this process; that of the chief, which writes files, is 0.
    num_workers : int
        Processes.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None) -> None:
        if strategy is not None and not isinstance(
            strategy, (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy)
        ):
            raise ValueError(
                "`strategy` must be None, a tf.distribute.MirroredStrategy or a "
                f"tf.distribute.MultiWorkerMirroredStrategy. Received: strategy={strategy!r}"
            )
        self.strategy: Any = strategy
        self._num_devices = 1 if strategy is None else len(strategy.extended.worker_devices)
        self.num_workers = 1 if strategy is None else strategy.num_replicas_in_sync // self._num_devices
        self.worker = 0 if strategy is None or self.num_workers == 1 else _index(strategy.cluster_resolver)
        self._is_agreed = self.num_workers == 1

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.worker == 0

    def check(self, name: str, batch_size: int) -> None:
        """Raise unless a batch can be split among the devices of this process."""
        if batch_size % self._num_devices:
            raise ValueError(
                f"`{name}` must be a multiple of the devices that share it, {self._num_devices}. "
                f"Received: {name}={batch_size}"
            )

    def check_model(self, model: keras.Model | None) -> None:
        """Raise if the variables of a model, which may be None, are the strategy's."""
        if model is not None and any(isinstance(x.value, tf.distribute.DistributedValues) for x in model.variables):
            raise ValueError(f"Models must not be made in `strategy.scope()`. Received: {model}")

    def gradients(
        self,
        loss: Callable[..., tuple[Tensor, dict[str, Tensor]]],
        models: Sequence[keras.Model],
        variables: Sequence[keras.Variable],
        rows: Sequence[Any],
        generator: keras.random.SeedGenerator,
        step: keras.Variable,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The gradients of a loss that is a mean over rows, and its metrics, over the rows of all replicas.

        Parameters
        ----------
        loss : callable
            `loss(*rows, seed)` -> the loss and a dict of metrics, scalar tensors that are means over the rows.
        models : list of keras.Model
            All whose variables the loss reads.
        variables : list of variable
            To differentiate by.
        rows : list of (nested) tensors, shape [B, ...]
            Those of this process.
        generator : keras.random.SeedGenerator
            Of `seed`; with a strategy its counter stays as it is, and `seed` is a key for each replica.
        step : variable
            The number of this gradient step.

        Returns
        -------
        gradients : list of tensors
        metrics : dict of str to tensor
        """
        if self.strategy is None:
            with tf.GradientTape() as tape:
                value, metrics = loss(*rows, generator)
            return tape.gradient(value, variables), metrics
        kept = [variable for model in models for variable in model.variables]
        index = {id(variable): i for i, variable in enumerate(kept)}
        indices = [index[id(variable)] for variable in variables]
        outputs = None
        temperatures = [x for model in models for x in temperature_variables(model)]

        def flat_gradients(values, scalars, rows, seed):
            # XLA reads no variables of other devices.
            with (
                keras.StatelessScope(state_mapping=list(zip(kept, values, strict=True))),
                scalars_given(temperatures, scalars),
            ):
                trained = [values[i] for i in indices]
                with tf.GradientTape() as tape:
                    tape.watch(trained)
                    value, metrics = loss(*rows, seed)
                nonlocal outputs
                outputs = tape.gradient(value, trained, unconnected_gradients="zero"), metrics
            return tf.concat([tf.reshape(ops.cast(x, "float32"), (-1,)) for x in tree.flatten(outputs)], axis=0)

        by_xla, otherwise = (tf.function(flat_gradients, jit_compile=x, autograph=False) for x in (True, False))

        def on_replica(rows, seed):
            arguments = [tf.identity(x) for x in kept], [tf.identity(x) for x in temperatures], rows, seed
            is_slow = loses_kernels(by_xla.get_concrete_function(*arguments))
            return (otherwise if is_slow else by_xla)(*arguments)

        key = tf.stack([tf.cast(generator.state.value[0], "int64"), tf.cast(step.value, "int64")])
        seeds = random.split(key, self.strategy.num_replicas_in_sync)
        shares = [self._per_replica(lambda i, x=x: tf.split(x, self._num_devices)[i]) for x in tree.flatten(rows)]
        shares = tree.pack_sequence_as(rows, shares)
        first = self.worker * self._num_devices
        mean = self._mean(self.strategy.run(on_replica, (shares, self._per_replica(lambda i: seeds[first + i]))))
        like = tree.flatten(outputs)  # one reduction for all: of small tensors each takes as long
        parts = tf.split(mean, [x.shape.num_elements() for x in like])
        means = [ops.cast(tf.reshape(part, x.shape), x.dtype) for part, x in zip(parts, like, strict=True)]
        return tree.pack_sequence_as(outputs, means)

    def weights(self, is_step: Tensor) -> Tensor:
        """Weights [B] of rows that are steps of an episode or not, bools: 0 of those that are not, 1 on average."""
        counts = ops.cast(is_step, "float32")
        return counts / ops.maximum(self._mean_of_workers(ops.mean(counts)), 1e-8)

    def standardized(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """Numbers minus their mean over all processes, over their standard deviation; a single one stays as it is."""
        if x.shape[0] * self.num_workers < 2:
            return x  # less itself it would be 0, and teach nothing
        if self.num_workers == 1 and weights is None:
            return (x - ops.mean(x)) / (ops.std(x) + 1e-8)
        mean, variance = self._moments(ops.reshape(x, (-1, 1)), weights)
        return (x - mean) / (ops.sqrt(variance) + 1e-8)

    def update(self, layer: RunningNormalization, x: Tensor, is_step: Tensor | None = None) -> None:
        """Take `x`, shape [B..., *shape], of all processes into the statistics of a `RunningNormalization`.

        Where `is_step`, bools [B...], is false there is nothing to take.
        """
        if self.num_workers == 1 and is_step is None:
            layer.update(x)
            return
        x = ops.reshape(ops.cast(x, layer.mean.dtype), (-1, *layer.mean.shape))
        if is_step is None:
            layer.update_moments(x.shape[0] * self.num_workers, *self._moments(x))
            return
        is_step = ops.reshape(is_step, (-1,))
        count = self._mean_of_workers(ops.sum(ops.cast(is_step, "float32"))) * self.num_workers
        layer.update_moments(count, *self._moments(x, self.weights(is_step)))

    def agree(self, *owners: keras.Model | keras.optimizers.Optimizer) -> None:
        """Give the variables of models and optimizers the chief's values in all processes; once, before any update."""
        if self._is_agreed:
            return
        for variable in (variable for owner in owners for variable in owner.variables):
            value = variable.value if hasattr(variable, "value") else variable
            own = tf.convert_to_tensor(value if self.is_chief else tf.zeros_like(value))
            total = self.strategy.reduce(
                "SUM", self._per_replica(lambda i, x=own: x if i == 0 else tf.zeros_like(x)), None
            )
            variable.assign(total)
        self._is_agreed = True

    def _moments(self, x, weights=None):
        """Mean and variance over the first axis and all processes, which have as many rows each."""
        rows = 1.0 if weights is None else ops.reshape(ops.cast(weights, x.dtype), (-1, *[1] * (len(x.shape) - 1)))
        mean = self._mean_of_workers(ops.mean(rows * x, axis=0))
        return mean, self._mean_of_workers(ops.mean(rows * ops.square(x - mean), axis=0))

    def _mean_of_workers(self, x):
        if self.num_workers == 1:
            return x
        return self._mean(self._per_replica(lambda i: x))

    def _mean(self, x):
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, x, axis=None)

    def _per_replica(self, function):
        """A value for each device of this process, by its index."""
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: function(context.replica_id_in_sync_group % self._num_devices)
        )


def _index(resolver):
    """The index of this process among all that train: the chief's, or the first worker's, is 0."""
    if resolver.task_type == "chief":
        return 0
    return resolver.task_id + ("chief" in resolver.cluster_spec().jobs)
