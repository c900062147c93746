"""Options of the command line that are fields of the agents' config dataclasses."""

import argparse
import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kgdists.agents.config import Config
from kgdists.agents.other_names import OTHER_NAMES
from kgdists.agents.tuned import known_settings
from kgdists.cli.agents import CONFIGS

__all__ = ["GROUPS", "add_settings", "given_settings", "option_of", "suggestion"]

HIDDEN = ("searcher",)  # the agent's name says it
GROUPS = ("run", "environment", "networks", "algorithm", "evaluation", "output")


def add_settings(
    groups: Mapping[str, argparse._ArgumentGroup], agents: Sequence[str] = (), env: str | None = None
) -> None:
    """Add an option for each setting of an agent.

    Parameters
    ----------
    groups : dict of str to group
        Groups of options by their titles.
    agents : sequence of str
        Agents whose settings are shown in the help; those of others are taken and hidden. None: all are shown.
    env : None or str
        The environment whose tuned settings are the defaults that the help shows.
    """
    shown = list(agents) or list(CONFIGS)
    for name in _names():
        owners = [agent for agent in CONFIGS if name in _fields(CONFIGS[agent])]
        fields = {agent: _fields(CONFIGS[agent])[name] for agent in owners if agent in shown}
        first = next(iter(fields.values()), _fields(CONFIGS[owners[0]])[name])
        text = _help(name, fields, shown, env) if fields else argparse.SUPPRESS
        groups[first.metadata["group"]].add_argument(option_of(name), help=text, **_kind(name, first))


def given_settings(options: argparse.Namespace, agent: str) -> dict[str, Any]:
    """Those settings of an agent that the command line gives, all others left out."""
    given = {name: getattr(options, name) for name in _names()}
    given = {name: tuple(x) if isinstance(x, list) else x for name, x in given.items() if x is not None}
    for name in given.keys() - _fields(CONFIGS[agent]).keys():
        owners = [other for other, config in CONFIGS.items() if name in _fields(config)]
        raise ValueError(
            f"{agent} has no setting {option_of(name)}; it belongs to {', '.join(owners)}. Received: --agent {agent}"
        )
    return given


def option_of(name: str) -> str:
    """The option of a setting."""
    return f"--{name.replace('_', '-')}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """Which of the known options is meant by a word that is none, as the end of an error; empty if nothing is near."""
    name = word.partition("=")[0].removeprefix("--").replace("-", "_")
    meant = OTHER_NAMES.get(name, name).replace("total_steps", "steps")
    near = difflib.get_close_matches(option_of(meant), list(known), 1)
    return f"; did you mean {near[0]}?" if near and word.startswith("--") else ""


def _fields(config: type[Config]) -> dict[str, dataclasses.Field[Any]]:
    """Name -> field of those settings of a config that are options."""
    return {field.name: field for field in dataclasses.fields(config) if field.name not in HIDDEN}


def _names():
    """The names of all settings, in the order of the configs."""
    return list(dict.fromkeys(name for config in CONFIGS.values() for name in _fields(config)))


def _kind(name, field):
    """How argparse reads a setting."""
    rule = field.metadata["rule"]
    if rule.text == "True or False":
        return {"action": argparse.BooleanOptionalAction}
    if name == "hidden_units":
        return {"type": int, "nargs": "+", "metavar": "N"}
    if rule.text.startswith("a tuple"):
        return {"nargs": "+", "metavar": "NAME"}
    if rule.choices:
        return {"metavar": "NAME"}
    is_int = rule.text.startswith("a whole number")
    return {"type": int if is_int else float, "metavar": "N" if is_int else "X"}


def _help(name, fields, shown, env):
    """A help that stands alone: what the option does, for whom, its range and its default."""
    texts = _by_value({agent: field.metadata["help"] for agent, field in fields.items()})
    defaults = _by_value({agent: _default(agent, name, field, env) for agent, field in fields.items()})
    rules = dict.fromkeys(rule for rule in (_range(field) for field in fields.values()) if rule)
    whose = f"For {_listed(fields)}. " if len(fields) < len(shown) else ""
    what = " ".join(text if len(texts) == 1 else f"For {_listed(agents)}: {text}" for text, agents in texts.items())
    default = ", ".join(
        text if len(defaults) == 1 else f"{text} for {_listed(agents)}" for text, agents in defaults.items()
    )
    return " ".join([whose + what, *rules, f"Default: {default}."]).replace("%", "%%")


def _by_value(values):
    """Value -> the agents that have it."""
    agents: dict[str, list[str]] = {}
    for agent, value in values.items():
        agents.setdefault(value, []).append(agent)
    return agents


def _listed(agents):
    """Agents in words; the searchers, which share their settings, as one."""
    searchers = [agent for agent in CONFIGS if CONFIGS[agent] is CONFIGS["pgpe"]]
    agents = list(agents)
    if len(searchers) > 1 and set(searchers) <= set(agents):
        agents = [agent for agent in agents if agent not in searchers] + ["evolution strategies"]
    return " and ".join([*filter(None, [", ".join(agents[:-1])]), agents[-1]])


def _range(field):
    rule = field.metadata["rule"]
    if rule.text.startswith("a tuple") or rule.text == "True or False":
        return ""
    if rule.text.startswith("in "):
        return f"A number {rule.text}."
    text = f"{rule.text[0].upper()}{rule.text[1:]}".rstrip(",")
    return f"{text}."


def _default(agent, name, field, env):
    """What a setting is where it is not given."""
    known = known_settings(env).get(agent) if env else None
    value = 0 if name == "seed" else field.default
    value = value if known is None else known.settings.get(name, value)
    text = _written(field.metadata["unset"] if value is None else value)
    return f"{text}, falling to 0" if known is not None and name in known.decay else text


def _written(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
