"""Which ids have a compiled environment."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import gymnasium

from kgdists.core.checks import in_short
from kgdists.envs.env_id import EnvId
from kgdists.envs.functional.acrobot import Acrobot
from kgdists.envs.functional.cart_pole import CartPole
from kgdists.envs.functional.compiled_env import CompiledEnv
from kgdists.envs.functional.grids.asterix import Asterix
from kgdists.envs.functional.grids.breakout import Breakout
from kgdists.envs.functional.grids.freeway import Freeway
from kgdists.envs.functional.mountain_car import MountainCar, MountainCarContinuous
from kgdists.envs.functional.pendulum import Pendulum
from kgdists.envs.functional.single_env import CompiledGymEnv

__all__ = ["compiled", "has_compiled", "register"]

_MAKERS: dict[str, Callable[..., CompiledEnv]] = {
    env.id: env for env in (Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum)
}


def register(id: str, env: Callable[..., CompiledEnv]) -> None:  # noqa: A002  # Gymnasium's name
    """Give a compiled environment an id, for agents, the command line and `gymnasium.make`.

    Parameters
    ----------
    id : str
        As Gymnasium's: `"Walk-v0"`.
    env : callable
        A subclass of `CompiledEnv`, or another function that makes one; keywords of the environment are its arguments.

    Raises
    ------
    ValueError
        For an environment itself.

    Examples
    --------
    >>> import gymnasium, kgdists as kg
    >>> from kgdists.envs.functional.cart_pole import CartPole
    >>> kg.envs.register("ExactCartPole-v0", lambda: CartPole(dtype="float64"))
    >>> gymnasium.make("ExactCartPole-v0").observation_space.shape
    (4,)
    """
    if not callable(env):
        raise ValueError(
            "`env` must be a subclass of CompiledEnv, or a function that makes an environment: each user gets one of "
            f"their own. Received: {in_short(env)}"
        )
    _MAKERS[id] = env
    # Its own limit is the one that counts.
    gymnasium.register(id, entry_point=functools.partial(CompiledGymEnv, env), disable_env_checker=True)


def has_compiled(env: Any) -> bool:
    """Whether there is a compiled environment that does the same as an id, or as one itself."""
    if isinstance(env, EnvId) and (env.wrappers or env.arguments):
        return False
    return isinstance(env, CompiledEnv) or (isinstance(env, str) and _registered(env) in _MAKERS)


def compiled(env: str | CompiledEnv, **kwargs: Any) -> CompiledEnv:
    """Find the compiled environment of an id.

    Parameters
    ----------
    env : str
        CartPole-v1, Pendulum-v1, Acrobot-v1, MountainCar-v0, MountainCarContinuous-v0, kgdists/Breakout-v0,
        kgdists/BlindBreakout-v0, whose ball has no trail, kgdists/Freeway-v0, kgdists/Asterix-v0, or one that
        `register` knows.
    **kwargs
        Arguments of the environment.

    Returns
    -------
    CompiledEnv

    Raises
    ------
    ValueError
        If there is none, if it is to have wrappers, or for an argument that it does not have.

    Examples
    --------
    >>> import kgdists as kg
    >>> kg.envs.compiled("CartPole-v1").max_episode_steps
    500
    """
    if isinstance(env, CompiledEnv):
        return env
    if not isinstance(env, str) or _registered(env) not in _MAKERS:
        raise ValueError(
            f"There must be a compiled environment: one of {', '.join(sorted(_MAKERS))}, or an id that "
            f"`kgdists.envs.register` knows. Received: {in_short(env)}"
        )
    if isinstance(env, EnvId):
        if env.wrappers:
            raise ValueError(
                "A compiled environment has no wrappers: write what they do into a `CompiledEnv`, or take another "
                f"`vectorization`. Received: {env} in {', '.join(env.wrappers)}"
            )
        kwargs = env.arguments | kwargs
    try:
        made = _MAKERS[_registered(env)](**kwargs)
    except TypeError as error:
        raise ValueError(
            f"The compiled {env} must be made with the arguments that it has. Received: {kwargs}; {error}"
        ) from error
    if isinstance(env, EnvId) and env.max_episode_steps is not None:
        made.max_episode_steps = env.max_episode_steps
    return made


def _registered(env):
    """An id without the modules that register it, which are imported."""
    if isinstance(env, EnvId):
        env.import_modules()
    module, _, name = env.rpartition(":")
    if module and not module.startswith("."):
        importlib.import_module(module)
    return name


register(Breakout.id, Breakout)
register("kgdists/BlindBreakout-v0", functools.partial(Breakout, observes_trail=False))
register(Freeway.id, Freeway)
register(Asterix.id, Asterix)
