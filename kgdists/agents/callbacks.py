"""Keras callbacks for agents."""

import sys

import keras

__all__ = ["MetricsFile", "ProgressBar"]


class MetricsFile(keras.callbacks.CSVLogger):
    """Keras' CSV logger with steps and return in front, and no columns for validation, which agents lack."""

    def on_epoch_end(self, epoch, logs=None):
        self.keys = self.keys or ["steps", "return", *sorted(logs.keys() - {"steps", "return"})]
        super().on_epoch_end(epoch, logs)


class ProgressBar(keras.callbacks.Callback):
    """Show the steps, the time left and the return while an agent learns.

    Parameters
    ----------
    total_steps : int
        What is passed to `learn`.
    """

    def __init__(self, total_steps):
        super().__init__()
        interval = 0.2 if sys.stdout.isatty() else 5.0
        self.bar = keras.utils.Progbar(total_steps, stateful_metrics=["return"], interval=interval, unit_name="step")

    def on_epoch_end(self, epoch, logs=None):
        steps = min(int(logs["steps"]) - self.params["first_step"], self.bar.target)
        self.bar.update(steps, [("return", logs["return"])], finalize=steps == self.bar.target)
