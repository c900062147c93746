"""Keras' TensorBoard over the steps of a training that is no `fit`."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.scalar.summary_v2 import scalar_pb

__all__ = ["StepTensorBoard"]


class StepTensorBoard(keras.callbacks.TensorBoard):
    """Keras' TensorBoard whose axis is the `steps` of the logs, instead of epochs.

    It overrides two private methods of Keras. Without them the axis would be that of Keras again, which the tests see.
    """

    def tag_of(self, name: str) -> str:
        """The tag of an entry of the logs."""
        return name

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Write a batch's logs, unless those of epochs are all that is asked for."""
        # Keras then calls the operation for each of them, which writes nothing.
        super().on_train_batch_end(batch, None if self.update_freq == "epoch" else logs)

    def _log_epoch_metrics(self, epoch: int, logs: Any) -> None:
        self._steps = int(logs["steps"])
        rate = getattr(self.model.optimizer, "learning_rate", None)
        scalars = ({} if rate is None else {"learning_rate": float(ops.convert_to_numpy(rate))}) | logs
        written = Summary()
        for name, value in scalars.items():
            written.MergeFrom(scalar_pb(self.tag_of(name), value))
        with self._train_writer.as_default():  # by one operation, which takes as long as that for each scalar
            tf.summary.experimental.write_raw_pb(written.SerializeToString(), self._steps)

    def _log_weights(self, epoch: int) -> None:
        super()._log_weights(self._steps)
