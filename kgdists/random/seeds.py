"""Seeds of what is random in a training: one for each purpose, so that no two of them draw the same numbers."""

import zlib
from typing import overload

import numpy as np

from kgdists.core.checks import count
from kgdists.core.types import Integer

__all__ = ["stream"]


@overload
def stream(seed: Integer, purpose: str, *index: int) -> int: ...


@overload
def stream(seed: Integer | None, purpose: str, *index: int) -> int | None: ...


def stream(seed: Integer | None, purpose: str, *index: int) -> int | None:
    """A seed for one purpose, independent of those of other purposes, other indices and other seeds.

    Seeds that are a little apart, as s and s + 1, are those of other agents, whose networks, actions and environments
    would be the same ones a place further on.

    Parameters
    ----------
    seed : None or int, >= 0
        Of the agent; None has no streams.
    purpose : str
    *index : int, >= 0
        Of a layer or a process, for instance.

    Returns
    -------
    None or int in [0, 2^31).

    Raises
    ------
    ValueError
        If the seed is none.

    Examples
    --------
    >>> from kgdists.random.seeds import stream
    >>> stream(0, "environments") == stream(0, "environments"), stream(0, "environments") == stream(0, "actions")
    (True, False)
    """
    if seed is None:
        return None
    seed = count("seed", seed, least=0, optional=True)
    sequence = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(purpose.encode()), *index))
    return int(sequence.generate_state(1)[0]) >> 1
