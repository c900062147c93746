"""One environment that is given as it is: a robot, a licence, a window, of which there may be no second."""

from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv

from kgdists.core.types import Integer

__all__ = ["GivenEnv", "check_alone", "is_alone"]


class GivenEnv(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """An environment that whoever gave it closes, and nobody else.

    Parameters
    ----------
    env : gymnasium.Env
    """

    def __init__(self, env: gymnasium.Env) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)

    def close(self) -> None:
        """Do nothing."""


def is_alone(env: Any) -> bool:
    """Whether `env` is one environment itself, neither what makes some nor several in one program."""
    return isinstance(env, gymnasium.Env) and not isinstance(env, VectorEnv)


def check_alone(num_envs: Integer, vectorization: str) -> None:
    """Raise unless one environment itself can be stepped in this way.

    Parameters
    ----------
    num_envs : int
        How many are wanted.
    vectorization : str
        As for `make_envs`.

    Raises
    ------
    ValueError
        For more environments than one, or for one in another process.
    """
    if num_envs != 1:
        raise ValueError(
            "`num_envs` must be 1 with one environment itself: pass its id, or a function that makes one, for more. "
            f"Received: num_envs={num_envs!r}"
        )
    if vectorization not in ("auto", "sync"):
        raise ValueError(
            'One environment itself is stepped as it is, by `vectorization="auto"` or "sync". '
            f"Received: vectorization={vectorization!r}"
        )
