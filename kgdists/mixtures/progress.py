"""The progress bar of a fit, which ends a fit that breaks."""

from collections.abc import Callable

import keras
import numpy as np

__all__ = ["Progress"]


class Progress:
    """A progress bar.

    Parameters
    ----------
    iterations, verbose : int
    cure : callable
        What helps where no loss is finite: the middle of an error.
    """

    def __init__(self, iterations: int, verbose: int, cure: Callable[[], str]) -> None:
        self.bar = keras.utils.Progbar(iterations, stateful_metrics=["loss"], verbose=verbose, unit_name="iteration")
        self.cure = cure

    def show(self, done: int, losses: np.ndarray) -> None:
        """Show the lowest loss of the restarts after this many iterations; raise if none is finite."""
        lowest = np.fmin.reduce(losses)
        if not np.isfinite(lowest):
            raise ValueError(
                f"The loss must stay finite: {self.cure()}Received: losses {losses} after {done} iterations"
            )
        self.bar.update(done, [("loss", lowest)], finalize=False)

    def end(self, done: int) -> None:
        """Close it."""
        self.bar.update(done, finalize=True)
