"""The outcome of playing whole episodes."""

import dataclasses

import numpy as np

__all__ = ["Evaluation"]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Undiscounted returns and lengths of whole episodes."""

    returns: tuple[float, ...]
    lengths: tuple[int, ...]

    @property
    def mean(self):
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def std(self):
        """Standard deviation of the return over the episodes."""
        return float(np.std(self.returns))

    def __str__(self):
        return f"return {self.mean:.1f} +- {self.std:.1f} over {len(self.returns)} episodes"
