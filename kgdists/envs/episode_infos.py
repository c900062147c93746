"""What environments tell in the info at the end of an episode, by name: a success, a profit."""

import math
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgdists.core.run_warning import RunWarning

__all__ = ["EpisodeInfos", "as_number"]


def as_number(x: Any) -> float:
    """A number, flag or array of one of these as a float; NaN for whatever else, and for what is not finite."""
    try:
        array = np.asarray(x)
        number = float(array.item()) if array.dtype.kind in "biufO" and not isinstance(x, str) else math.nan
    except Exception:  # there is no end of what infos hold
        return math.nan
    return number if math.isfinite(number) else math.nan


class EpisodeInfos:
    """The values at the end of each of the last 100 episodes.

    What is missing in an info, or no number, is left out, which a warning says once.

    Parameters
    ----------
    names : sequence of str
        Of the entries of infos.

    Examples
    --------
    >>> import numpy as np
    >>> from kgdists.envs.episode_infos import EpisodeInfos
    >>> infos = EpisodeInfos(["profit"])
    >>> infos.add({"profit": np.array([3.0, 4.0, 5.0])}, ended=np.array([True, False, True]))
    >>> infos.means()
    {'profit': 4.0}
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.recent: dict[str, deque[float]] = {name: deque(maxlen=100) for name in names}
        self.left: np.ndarray | None = None  # episodes that count, of each environment; None is all
        self._has_said = False

    def add(self, infos: Mapping[str, Any], ended: np.ndarray) -> None:
        """Take in the infos of a step of vector environments.

        Parameters
        ----------
        infos : dict
            As Gymnasium's vector environments return them: where episodes start in the step in which one ends,
            `"final_info"` has what ended ones tell.
        ended : bool array, shape [N]
        """
        if not self.recent:
            return
        if self.left is not None:
            ended = ended & (self.left > 0)
            self.left = self.left - ended
        for i in np.flatnonzero(ended).tolist():
            self.extend({name: [_value(infos, name, i)] for name in self.recent})

    def extend(self, values: Mapping[str, Sequence[float]]) -> None:
        """Take in values of further episodes, by name; NaN is none."""
        bad = [name for name, x in values.items() if any(map(math.isnan, x))]
        for name, x in values.items():
            self.recent[name].extend(number for number in x if not math.isnan(number))
        if bad and not self._has_said:
            self._has_said = True
            warnings.warn(
                f"`log_info`: {', '.join(bad)} must be a number in the info of the step in which an episode ends; "
                "episodes where it is missing, or something else, are left out of the mean",
                RunWarning,
                stacklevel=3,
            )

    def means(self) -> dict[str, float]:
        """Name -> mean over the last 100 episodes that tell it, NaN if none has."""
        return {name: float(np.mean(x)) if x else math.nan for name, x in self.recent.items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """Name -> array of what the means are taken of."""
        return {f"recent_info_{name}": np.asarray(x, "float64") for name, x in self.recent.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from such arrays; what is not among them starts with no episode."""
        for name, x in self.recent.items():
            x.clear()
            x.extend(np.asarray(arrays.get(f"recent_info_{name}", ())).tolist())


def _value(infos, name, i):
    """What the environment `i` tells by this name."""
    try:
        told = infos.get("final_info", infos)
        if not isinstance(told, Mapping):  # one info for each environment
            return as_number(told[i][name])
        is_told = told.get(f"_{name}")
        return as_number(told[name][i]) if is_told is None or is_told[i] else math.nan
    except Exception:
        return math.nan
