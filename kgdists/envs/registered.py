"""Environments of ids: the packages that register them, and what is customary before they are learned."""

import importlib
from typing import Any

import gymnasium
from gymnasium.envs.registration import find_highest_version, parse_env_id
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

from kgdists.envs.env_id import EnvId

__all__ = ["import_package", "make_registered", "newest", "preprocessed"]

# The beginnings of ids -> the module that registers them, and what pip installs.
PACKAGES = {
    ("ALE/",): ("ale_py", "'kgdists[atari]'"),
    ("MiniGrid-", "BabyAI-"): ("minigrid", "'kgdists[minigrid]'"),
    ("highway-", "merge-v", "roundabout-v", "parking-v", "intersection-v", "racetrack-v"): (
        "highway_env",
        "highway-env",
    ),
}


def make_registered(env_id: str, preprocessing: str = "none", **options: Any) -> gymnasium.Env:
    """Make an environment of an id, importing the package that registers it where that is known.

    Parameters
    ----------
    env_id : str
    preprocessing : str
        What it is made for; see `preprocessed`.
    **options
        Arguments of the environment.

    Returns
    -------
    gymnasium.Env

    Raises
    ------
    ValueError
        For an id that names its module in relation to another, or is none of Atari's, for "atari".
    ImportError
        If the package is not installed.
    """
    if env_id.startswith("."):
        raise ValueError(f"The module in the id of an environment must have its full name. Received: {env_id}")
    import_package(env_id)
    if preprocessing == "atari":
        if "frameskip" not in gymnasium.spec(env_id).kwargs:
            raise _no_atari(env_id)
        options = {"frameskip": 1} | options  # the wrapper repeats actions
    # `CheckedEnv` takes the place of Gymnasium's own checks, which stop at the first step and cost more.
    return (env_id if isinstance(env_id, EnvId) else EnvId(env_id)).make(disable_env_checker=True, **options)


def newest(env_id: str) -> str:
    """An id with the newest version that is registered, if it has none itself: `CartPole` means `CartPole-v1`."""
    if isinstance(env_id, EnvId):
        env_id.import_modules()
    import_package(env_id)
    module, _, plain = env_id.rpartition(":")
    if module and not module.startswith("."):
        importlib.import_module(module)
    namespace, name, version = parse_env_id(plain)
    if version is not None or plain in gymnasium.registry:
        return env_id
    version = find_highest_version(namespace, name)
    return env_id if version is None else f"{env_id}-v{version}"


def import_package(env_id: str) -> None:
    """Import the package that registers an environment, where that is known.

    Raises
    ------
    ImportError
        If the package is not installed.
    """
    for beginnings, (module, installed) in PACKAGES.items():
        if env_id.startswith(beginnings) and env_id not in gymnasium.registry:
            try:
                importlib.import_module(module)
            except ImportError as error:
                raise ImportError(
                    f"{env_id} is an environment of {module}, which `pip install {installed}` brings"
                ) from error


def preprocessed(env: gymnasium.Env, preprocessing: str) -> gymnasium.Env:
    """An environment in its customary wrappers.

    Parameters
    ----------
    env : gymnasium.Env
    preprocessing : str
        "none"; "atari": Gymnasium's `AtariPreprocessing`, four frames in one step, 84 x 84 shades of gray, and the last
        four of them stacked (Machado et al. 2018).

    Returns
    -------
    gymnasium.Env

    Raises
    ------
    ValueError
        If the environment is none of Atari's, for "atari".
    """
    if preprocessing == "none":
        return env
    if not hasattr(env.unwrapped, "ale"):
        raise _no_atari(env)
    return FrameStackObservation(AtariPreprocessing(env), 4)


def _no_atari(env):
    return ValueError(f'`preprocessing="atari"` must go with an environment of ale-py. Received: {env}')
