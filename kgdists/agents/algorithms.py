"""All agents by the names that run folders and the command line know them by."""

from pathlib import Path
from typing import Any

from kgdists.agents.a2c import A2C
from kgdists.agents.agent import Agent
from kgdists.agents.es import ES
from kgdists.agents.ppo import PPO
from kgdists.agents.reinforce import REINFORCE
from kgdists.agents.sac.sac import SAC
from kgdists.envs.make import Env
from kgdists.runs.checkpoint import agent_name

__all__ = ["ALGORITHMS", "CLASSES", "class_of", "load"]

# Those of one name each; a search has the name of its searcher.
ALGORITHMS = (PPO, A2C, REINFORCE, SAC)

CLASSES: dict[str, type[Agent]] = {name: cls for cls in (*ALGORITHMS, ES) for name in cls.names()}


def class_of(path: str | Path) -> type[Agent]:
    """The class of the agent that wrote a run folder, or a checkpoint.

    Raises
    ------
    ValueError
        If that is no class of kgdists.
    """
    name = agent_name(path)
    if name not in CLASSES:
        raise ValueError(
            f"A run's agent must be one of {', '.join(sorted(CLASSES))}; one of your own is loaded by its class. "
            f"Received: {name}, in {path}"
        )
    return CLASSES[name]


def load(path: str | Path, env: Env | None = None, **settings: Any) -> Agent:
    """Load an agent of any class that `save` wrote, which goes on as the saved one would have.

    Parameters
    ----------
    path : str or path
        A run folder, for its last checkpoint that is not damaged, or a checkpoint.
    env : None, str, callable, gymnasium.Env or gymnasium.vector.VectorEnv
        May be left out if the agent was made with an id.
    **settings
        With which training goes on, instead of the agent's: any but those in its `Config.FIXED`.

    Returns
    -------
    Agent: a `PPO`, `A2C`, `REINFORCE`, `SAC` or `ES`

    Raises
    ------
    ValueError
        If the folder holds no whole run of one of these, needs a class that is not registered, or a setting may not
        change.
    TypeError
        For what is no setting of the agent.
    """
    return class_of(path).load(path, env, **settings)
