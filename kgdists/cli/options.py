"""Options of the command line that are fields of the agents' config dataclasses."""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any

from kgdists.agents.agent import Agent

__all__ = ["add_settings", "given_settings"]

HIDDEN = ("searcher",)  # the agent's name says it


def add_settings(parser: argparse.ArgumentParser, agents: Mapping[str, type[Agent]]) -> None:
    """Add an option for each setting, grouped by the agents that have it.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    agents : dict of str to class
        Agents by name; the names of one class stand together.
    """
    names: dict[Any, list[str]] = {}
    for name, agent in agents.items():
        names.setdefault(agent.Config, []).append(name)
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name in _names(names):
        owners = tuple(config for config in names if name in _fields(config))
        groups.setdefault(owners, []).append(name)
    for owners in sorted(groups, key=len, reverse=True):
        is_common = len(owners) == len(names) > 1
        title = "all agents" if is_common else ", ".join(name for config in owners for name in names[config])
        group = parser.add_argument_group(
            f"settings of {title}",
            "By default as `kgdists list` shows for ENV, else as in the agent's config." if is_common else None,
        )
        for name in groups[owners]:
            _add_setting(group, name, {_label(names[config]): _fields(config)[name] for config in owners})


def given_settings(options: argparse.Namespace, name: str, agents: Mapping[str, type[Agent]]) -> dict[str, Any]:
    """Those settings of the agent called `name` that the command line gives, all others left out."""
    configs = [agent.Config for agent in agents.values()]
    given = {setting: getattr(options, setting) for setting in _names(configs)}
    given = {setting: tuple(x) if isinstance(x, list) else x for setting, x in given.items() if x is not None}
    for setting in given:
        if setting not in _fields(agents[name].Config):
            option = f"--{setting.replace('_', '-')}"
            raise ValueError(f"`{option}` must go with an agent that has it. Received: --agent {name}")
    return given


def _fields(config):
    """Name -> field of those settings of a config that are options."""
    return {field.name: field for field in dataclasses.fields(config) if field.name not in HIDDEN}


def _names(configs):
    """The names of all settings, in the order of the configs."""
    return list(dict.fromkeys(name for config in configs for name in _fields(config)))


def _label(names):
    """What the agents of one class are called for short."""
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _add_setting(group, name, fields):
    option, field = f"--{name.replace('_', '-')}", next(iter(fields.values()))
    agents: dict[str, list[str]] = {}
    for agent, other in fields.items():
        agents.setdefault(other.metadata["help"], []).append(agent)
    text = "; ".join(text if len(agents) == 1 else f"{', '.join(labels)}: {text}" for text, labels in agents.items())
    if field.type in (bool, bool | None):
        group.add_argument(option, action=argparse.BooleanOptionalAction, help=text)
    elif name == "hidden_units":
        group.add_argument(option, type=int, nargs="+", metavar="N", help=text)
    elif name in ("leave_out", "log_info"):
        group.add_argument(option, nargs="+", metavar="NAME", help=text)
    elif name == "seed":
        group.add_argument(option, type=int, default=0, metavar="N", help=f"{text}; default: %(default)s")
    elif field.type is str:
        group.add_argument(option, metavar="NAME", help=text)
    else:
        is_int = all(field.type in (int, int | None) for field in fields.values())
        group.add_argument(option, type=int if is_int else float, metavar="N" if is_int else "X", help=text)
