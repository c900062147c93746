"""Go on with a run: what `kgdists resume` does."""

import argparse
import warnings
from pathlib import Path
from typing import Any

from kgdists.agents import schedules
from kgdists.agents.algorithms import class_of
from kgdists.cli.environments import name_modules
from kgdists.cli.evaluations import Evaluating
from kgdists.cli.seeds import train_seeds
from kgdists.cli.training import exclusive_run, train_to
from kgdists.core.files import reading
from kgdists.core.run_warning import RunWarning
from kgdists.envs.env_id import EnvId
from kgdists.runs import checkpoint, layout
from kgdists.runs.layout import CONFIG, EVALUATION, METRICS, POLICY
from kgdists.runs.metrics import truncate_metrics
from kgdists.runs.seed_folders import seed_folders

__all__ = ["config_to_resume", "go_on", "go_on_with_seeds"]


def config_to_resume(run: Path) -> dict[str, Any]:
    """The `config.json` of a run; raises ValueError unless `kgdists train` started it."""
    config = layout.read_config(run)
    if config.get("total_steps") is None or not isinstance(config["env"], str):
        raise ValueError(f"A run is resumed if `kgdists train` started it. Received: {run}")
    return config


def go_on(options: argparse.Namespace, config: dict[str, Any]) -> int:
    """Go on with a run, by the options of `kgdists resume`; return the exit status."""
    cls = class_of(options.run)
    _look_back(config)
    with exclusive_run(options.run):
        return _trained(cls, config, options)


def go_on_with_seeds(options: argparse.Namespace, config: dict[str, Any]) -> int:
    """Go on with all runs of a folder of several seeds, whose first one's config is given; return the exit status."""
    _look_back(config)
    runs = seed_folders(options.run)
    agents = [_loaded(class_of(run), run, config_to_resume(run)) for run in runs]
    total_steps, finished = config["total_steps"], 0
    for agent, run in zip(agents, runs, strict=True):
        if options.steps is not None:
            total_steps = _extended(agent, run, config["total_steps"], options.steps)
        finished += agent.steps >= total_steps and layout.evaluated_steps(run) == agent.steps
        truncate_metrics(run / METRICS, agent.steps, agent.epochs)
    if finished == len(runs):
        print(f"{options.run} is finished, after {agents[0].steps} steps of each seed")
        return 0
    print(f"{config['agent']} on {config['env']}, {len(runs)} seeds, to step {total_steps}, in {options.run}")
    evaluating = Evaluating.of(options, config)
    return train_seeds(agents, options.run, total_steps, options.save_every, config.get("evaluate_every"), evaluating)


def _look_back(config):
    """Find the modules of a run, and say where versions are others than those it was started with."""
    name_modules(config)
    known = config.get("versions", {})
    other = [f"{name} {x}, not {known.get(name)}" for name, x in layout.versions().items() if known.get(name) != x]
    if other:
        warnings.warn(f"Other versions may compute other numbers: {'; '.join(other)}", RunWarning, stacklevel=3)


def _loaded(cls, run, config):
    if layout.checkpoints(run):
        return cls.load(run)
    if any((run / name).exists() for name in (POLICY, METRICS, EVALUATION)):
        raise ValueError(f"A run goes on from a checkpoint, and this one has none left. Received: {run}")
    # It was interrupted before there was one.
    with reading(run / CONFIG):
        settings = checkpoint.config_from_json(config["config"])
    agent = cls(EnvId.of(config), **settings)
    agent.owned.run = config.get("run", agent.owned.run)  # it is the same run, which may be interrupted again
    agent.save(run)
    return agent


def _trained(cls, config, options):
    run, total_steps = options.run, config["total_steps"]
    agent = _loaded(cls, run, config)
    if options.steps is not None:
        total_steps = _extended(agent, run, total_steps, options.steps)
    if agent.steps >= total_steps and layout.evaluated_steps(run) == agent.steps:
        print(f"{run} is finished, after {agent.steps} steps")
        return 0
    if agent.steps and agent.starts_new_episodes:
        warnings.warn("The episodes being played were not recorded: new ones are started", RunWarning, stacklevel=2)
    truncate_metrics(run / METRICS, agent.steps, agent.epochs)
    print(f"{config['agent']} on {config['env']}, from step {agent.steps} to {total_steps}, in {run}")
    evaluating = Evaluating.of(options, config)
    return train_to(agent, run, total_steps, options.save_every, config.get("evaluate_every"), evaluating)


def _extended(agent, run, before, total_steps):
    """Plan a run for another number of steps, on the disk too."""
    if total_steps < max(1, agent.steps):
        raise ValueError(f"`--steps` must be at least the {agent.steps} that are taken. Received: {total_steps}")
    if total_steps != before:
        for name, value in schedules.stretch(agent, schedules.stretched(agent.config, before, total_steps)).items():
            print(f"{name} is stretched from {before} to {total_steps} steps, and goes on from {value:.3g}")
        agent.save(run)
        layout.write_config(run, layout.read_config(run) | {"total_steps": total_steps})
    return total_steps
