"""The command that makes a run again."""

import shlex
from typing import Any

from kgdists.agents.tuned_config import tuned_config
from kgdists.cli.agents import CONFIGS, fixed
from kgdists.runs.checkpoint import config_to_json
from kgdists.runs.folder import Run, in_words
from kgdists.runs.layout import read_config
from kgdists.runs.metrics import read_metrics

__all__ = ["command_of"]

FACTS = ("evaluate_every", "eval_episodes", "eval_envs", "eval_max_steps", "threads")  # of a config.json, and options
OTHERS = (
    "agent",
    "config",
    "env",
    "env_options",
    "run",
    "total_steps",
    "versions",
)  # which are no options, or said otherwise


def command_of(run: Run) -> tuple[str, str] | None:
    """The command that trains with the settings of a run, and what no option says; None without an id.

    Parameters
    ----------
    run : kgdists.runs.folder.Run

    Returns
    -------
    None or (str, str)
        A line for a shell, without the settings that it has by itself: those of the environment's table, or defaults.
        Then what only Python sets, in words, mostly nothing.
    """
    name = run.config.get("searcher", run.agent)
    facts = read_config(run.path)
    if not isinstance(facts["env"], str) or name not in CONFIGS:
        return None
    steps = facts.get("total_steps") or int(read_metrics(run.path)["steps"][-1])
    given: dict[str, Any] = {}
    try:
        for _ in range(2):  # once more, because what is given moves what decays
            known = _settings(name, run.env, steps, given)
            differ = {setting: x for setting, x in run.config.items() if setting in known and known[setting] != x}
            given |= {setting: x for setting, x in differ.items() if _is_an_option(x)}
        known = _settings(name, run.env, steps, given)
    except (TypeError, ValueError):  # of a run whose settings no agent takes
        return None
    settings = {setting: x for setting, x in run.config.items() if setting not in facts.get("env_options", {})}
    unsaid = [setting for setting, x in settings.items() if setting not in known or known[setting] != x]
    options: dict[str, Any] = {"agent": name, "steps": steps, "seed": run.config.get("seed")}
    options |= {setting: x for setting, x in given.items() if setting not in ("seed", *unsaid)}
    options |= {fact: facts[fact] for fact in FACTS if fact in facts and (fact, facts[fact]) != ("threads", 1)}
    words = ["kgdists", "train", run.env]
    words += _words_of_environment(facts.get("env_options", {}))
    for option, x in options.items():
        words += _words(option, x)
    notes = {setting: run.config[setting] for setting in unsaid}
    notes |= {fact: x for fact, x in facts.items() if x is not None and fact not in (*FACTS, *OTHERS)}
    return shlex.join(words), ", ".join(f"{name}={in_words(x)}" for name, x in notes.items())


def _settings(name, env, steps, given):
    """All settings that the command line makes of these, as `config.json` has them."""
    settings = {setting: tuple(x) if isinstance(x, list) else x for setting, x in given.items()}
    _, config = tuned_config(env, name, CONFIGS[name], steps, **fixed(name) | settings)
    return config_to_json(config)


def _is_an_option(x):
    return isinstance(x, (bool, int, float, str)) or (isinstance(x, list) and bool(x))


def _words_of_environment(said):
    """The options about the environment, by what a `config.json` says of it."""
    words = [word for wrapper in said.get("wrappers", ()) for word in ("--wrapper", wrapper)]
    options = {"import": said.get("imports"), "env_kwargs": said.get("env_kwargs")}
    options["max_episode_steps"] = said.get("max_episode_steps")
    return [word for option, x in options.items() if x for word in _words(option, x)] + words


def _words(option, x):
    flag = f"--{option.replace('_', '-')}"
    if x is None:
        return []
    if isinstance(x, bool):
        return [flag if x else f"--no-{option.replace('_', '-')}"]
    return [flag, *(str(part) for part in (x if isinstance(x, list) else [x]))]
