"""Start a run: what `kgdists train` does."""

import argparse
import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kgdists.agents.algorithms import CLASSES
from kgdists.agents.tuned_config import tuned_config
from kgdists.cli.agents import CONFIGS, fixed
from kgdists.cli.environments import env_of
from kgdists.cli.evaluations import Evaluating
from kgdists.cli.seeds import train_seeds
from kgdists.cli.training import exclusive_run, train_to
from kgdists.runs import checkpoint, layout
from kgdists.runs.seed_folders import seed_folder

__all__ = ["start"]


def start(options: argparse.Namespace, name: str, settings: Mapping[str, Any], evaluating: Evaluating) -> int:
    """Start a run, by the options of `kgdists train`; return the exit status.

    Parameters
    ----------
    options : argparse.Namespace
    name : str
        Of the agent.
    settings : dict of setting -> value
        Those that differ from the tuned ones.
    evaluating : Evaluating
    """
    env = env_of(options)
    total_steps, config = tuned_config(env, name, CONFIGS[name], options.steps, **fixed(name), **settings)
    own_settings = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    facts = {
        "total_steps": total_steps,
        "threads": options.threads,
        "evaluate_every": options.evaluate_every,
        **evaluating.facts(),
        "versions": layout.versions(),
    }
    cls: Any = CLASSES[name]
    seed = settings["seed"]
    agents = [cls(env, **own_settings | {"seed": seed + i}) for i in range(options.seeds or 1)]
    agent, kind = agents[0], f"{env.replace('/', '-').replace(':', '-')}-{name}"
    run = _new_folder(options.out, f"{kind}-{f'{options.seeds}-seeds' if options.seeds else f'seed{config.seed}'}")
    steps = config.num_steps(total_steps)
    announced = f"at least {total_steps} steps" if steps is None else f"{steps} steps"
    is_rounded = steps not in (None, total_steps)
    rounded = f"\n{total_steps} steps were asked for; whole updates take {steps}" if is_rounded else ""
    if options.seeds:
        for own, folder in zip(agents, (seed_folder(run, i) for i in range(options.seeds)), strict=True):
            (folder / "checkpoints").mkdir(parents=True)
            layout.write_config(folder, checkpoint.identity(own) | facts)
            own.save(folder)
        print(f"{name} on {env}, seeds {seed} to {seed + options.seeds - 1}, {announced} each, into {run}{rounded}")
        return train_seeds(agents, run, total_steps, options.save_every, options.evaluate_every, evaluating)
    layout.write_config(run, checkpoint.identity(agent) | facts)
    with exclusive_run(run):
        agent.save(run)
        print(f"{name} on {env}, seed {config.seed}, {announced}, into {run}{rounded}")
        return train_to(agent, run, total_steps, options.save_every, options.evaluate_every, evaluating)


def _new_folder(folder, name):
    """`folder` if it is new or empty; a new numbered one under `runs` if it is None.

    Of several processes that ask for it at once one alone gets it.
    """
    if folder is None:
        folder = next(filter(_is_made, (Path("runs") / f"{name}-{number}" for number in itertools.count(1))))
        (folder / "checkpoints").mkdir()
        return folder
    if (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))) or not _is_made(folder / "checkpoints"):
        raise ValueError(f"`--out` must be a new or empty folder. Received: {folder}")
    return folder


def _is_made(folder):
    """Whether this process made the folder."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True
