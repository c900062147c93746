"""The agents of the command line, by name."""

import dataclasses
import functools
from collections.abc import Callable

from kgdists.agents import A2C, ES, PPO, REINFORCE, SAC, ESConfig, checkpoint
from kgdists.agents.tuned import tuned_config
from kgdists.evolution.gym import SEARCHERS

__all__ = ["AGENTS", "agent_of"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """An agent's class, and its settings for an environment: (env, total steps or None, **settings) -> both of them."""

    agent: type
    tuned: Callable


def _entry(name, agent, config):
    return Entry(agent, lambda env, total_steps, **settings: tuned_config(env, name, config, total_steps, **settings))


AGENTS = {agent.name: _entry(agent.name, agent, agent.Config) for agent in (PPO, A2C, REINFORCE, SAC)} | {
    searcher: _entry(searcher, ES, functools.partial(ESConfig, searcher=searcher)) for searcher in SEARCHERS
}


def agent_of(run):
    """The class of the agent that was trained in a run folder."""
    name = checkpoint.read_config(run)["agent"]
    if name not in list(AGENTS):
        raise ValueError(f"The run's agent must be one of {', '.join(sorted(AGENTS))}. Received: {name}")
    return AGENTS[name].agent
