"""Keras' TensorBoard over the steps of a training that is no `fit`."""

from typing import Any

import keras
from keras import ops

__all__ = ["StepTensorBoard"]


class StepTensorBoard(keras.callbacks.TensorBoard):
    """Keras' TensorBoard whose axis is the `steps` of the logs, instead of epochs.

    It overrides two private methods of Keras. Without them the axis would be that of Keras again, which the tests see.
    """

    def tag_of(self, name: str) -> str:
        """The tag of an entry of the logs."""
        return name

    def _log_epoch_metrics(self, epoch: int, logs: Any) -> None:
        self._steps = int(logs["steps"])
        rate = getattr(self.model.optimizer, "learning_rate", None)
        scalars = ({} if rate is None else {"learning_rate": float(ops.convert_to_numpy(rate))}) | logs
        with self._train_writer.as_default():
            for name, value in scalars.items():
                self.summary.scalar(self.tag_of(name), value, step=self._steps)

    def _log_weights(self, epoch: int) -> None:
        super()._log_weights(self._steps)
