"""The outcome of playing whole episodes."""

import dataclasses
from typing import Any

import numpy as np

from kgdists.core.checks import count
from kgdists.core.types import Integer

__all__ = ["MAX_STEPS", "Evaluation", "step_limit"]

MAX_STEPS = 10_000  # of an episode that nothing else ends


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Undiscounted returns and lengths of whole episodes, `cut` of which were cut off at the limit of steps."""

    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    cut: int = 0

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def std(self) -> float:
        """Standard deviation of the return over the episodes."""
        return float(np.std(self.returns))

    def __str__(self) -> str:
        cut = f", {self.cut} of them cut off after {max(self.lengths)} steps" if self.cut else ""
        return f"return {self.mean:.1f} +- {self.std:.1f} over {len(self.returns)} episodes{cut}"


def step_limit(envs: Any, max_steps: Integer | None = None, longest: int = 0) -> int:
    """Steps after which an episode is cut off, so that a policy that never ends one cannot keep a program from ending.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv or gymnasium.Env
        The limit is never below the one of their own.
    max_steps : None or int, >= 1
        None: 10,000, or twice the longest episode so far if that is more.
    longest : int
        The longest episode so far.

    Returns
    -------
    int
    """
    max_steps = count("max_steps", max_steps, optional=True)
    if max_steps is not None:
        return max_steps
    own = getattr(getattr(envs, "spec", None), "max_episode_steps", None) or 0
    return int(max(MAX_STEPS, own, 2 * longest))
