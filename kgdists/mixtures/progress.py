"""The progress of a fit, which ends one that breaks."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from kgdists.core.progress import Progress

__all__ = ["FitProgress"]

DELAY = 1.0  # seconds of a fit that is shown only because nobody said not to


class FitProgress:
    """Shows the lowest loss of the restarts, and raises where none is finite.

    Parameters
    ----------
    iterations : int
    verbose : {"auto", 0, 1, 2}
        "auto" is 1, but silent for fits of less than a second.
    cure : callable
        What helps where no loss is finite: the middle of an error.
    """

    def __init__(self, iterations: int, verbose: Any, cure: Callable[[], str]) -> None:
        self.progress = Progress(iterations, verbose, "iteration", DELAY if verbose == "auto" else 0.0)
        self.cure = cure

    def show(self, done: int, losses: np.ndarray) -> None:
        """Show the lowest loss after this many iterations; raise if none is finite."""
        lowest = np.fmin.reduce(losses)
        if not np.isfinite(lowest):
            raise ValueError(
                f"The loss must stay finite: {self.cure()}Received: losses {losses} after {done} iterations"
            )
        self.progress.update(done, {"loss": float(lowest)})

    def __enter__(self) -> Self:
        self.progress.update(0)
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:  # a fit that has converged is at its end
            self.progress.total = self.progress.done
        self.progress.close()
