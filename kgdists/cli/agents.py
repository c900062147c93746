"""The agents of the command line, by name."""

import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kgdists.agents import ALGORITHMS, ES, ESConfig
from kgdists.agents.agent import Agent
from kgdists.agents.algorithms import class_of
from kgdists.agents.tuned import tuned_config
from kgdists.evolution.algorithms import SEARCHERS
from kgdists.runs import layout

__all__ = ["AGENTS", "agent_of", "name_module"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """An agent's class, and its settings for an environment: (env, total steps or None, **settings) -> both of them."""

    agent: type[Agent]
    tuned: Callable[..., tuple[int, Any]]


def _entry(name, agent, config):
    return Entry(agent, lambda env, total_steps, **settings: tuned_config(env, name, config, total_steps, **settings))


AGENTS = {agent.name: _entry(agent.name, agent, agent.Config) for agent in ALGORITHMS} | {
    searcher: _entry(searcher, ES, functools.partial(ESConfig, searcher=searcher)) for searcher in SEARCHERS
}


def agent_of(run: Path) -> type[Agent]:
    """The class of the agent that was trained in a run folder, whose environment will be made."""
    cls = class_of(run)
    name_module(layout.read_config(run)["env"])
    return cls


def name_module(env: Any) -> None:
    """Say which module an environment's id makes Gymnasium import: a run of someone else's may name any."""
    if isinstance(env, str) and ":" in env:
        module, _, _ = env.partition(":")
        print(f"kgdists: importing the Python module {module}, as the environment {env} asks for", file=sys.stderr)
