"""`kgdists resume`."""

import argparse
import warnings
from pathlib import Path

from kgdists.agents import schedules
from kgdists.cli.agents import agent_of
from kgdists.cli.evaluations import Evaluating, add_evaluating
from kgdists.cli.training import add_save_every, exclusive_run, set_threads, train_to
from kgdists.core.checks import in_short
from kgdists.core.files import RunWarning, reading
from kgdists.runs import checkpoint, layout
from kgdists.runs.layout import CONFIG, EVALUATION, MAX_STEPS, METRICS, POLICY
from kgdists.runs.metrics import truncate_metrics

__all__ = ["add_to", "resume"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser("resume", help="resume an interrupted run, even after kill -9")
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="train to this many environment steps in all, also a finished run; schedules are stretched to them",
    )
    add_evaluating(parser, "as the run had")
    add_save_every(parser)
    parser.set_defaults(command=resume)


def resume(options: argparse.Namespace) -> int:
    """Go on with a run from its last good checkpoint to its last step."""
    config = layout.read_config(options.run)
    total_steps = config.get("total_steps")
    if total_steps is None or not isinstance(config["env"], str):
        raise ValueError(f"A run is resumed if `kgdists train` started it. Received: {options.run}")
    if options.steps is not None and not 1 <= options.steps <= MAX_STEPS:
        raise ValueError(f"`--steps` must be from 1 to {MAX_STEPS:.0e}. Received: {in_short(options.steps)}")
    cls = agent_of(options.run)
    set_threads(config.get("threads", 1))
    known = config.get("versions", {})
    other = [f"{name} {x}, not {known.get(name)}" for name, x in layout.versions().items() if known.get(name) != x]
    if other:
        warnings.warn(f"Other versions may compute other numbers: {'; '.join(other)}", RunWarning, stacklevel=2)
    with exclusive_run(options.run):
        return _resume(cls, config, options)


def _resume(cls, config, options):
    run, total_steps = options.run, config["total_steps"]
    if layout.checkpoints(run):
        agent = cls.load(run)
    elif any((run / name).exists() for name in (POLICY, METRICS, EVALUATION)):
        raise ValueError(f"A run goes on from a checkpoint, and this one has none left. Received: {run}")
    else:  # it was interrupted before there was one
        with reading(run / CONFIG):
            settings = checkpoint.config_from_json(config["config"])
        agent = cls(config["env"], **settings)
        agent.owned.run = config.get("run", agent.owned.run)  # it is the same run, which may be interrupted again
        agent.save(run)
    if options.steps is not None:
        total_steps = _extend(agent, run, total_steps, options.steps)
    if agent.steps >= total_steps and layout.evaluated_steps(run) == agent.steps:
        print(f"{run} is finished, after {agent.steps} steps")
        return 0
    if agent.steps and agent.starts_new_episodes:
        warnings.warn("The episodes being played were not recorded: new ones are started", RunWarning, stacklevel=2)
    truncate_metrics(run / METRICS, agent.steps, agent.epochs)
    print(f"{config['agent']} on {config['env']}, from step {agent.steps} to {total_steps}, in {run}")
    evaluating = Evaluating.of(options, config)
    return train_to(agent, run, total_steps, options.save_every, config.get("evaluate_every"), evaluating)


def _extend(agent, run, before, total_steps):
    """Plan a run for another number of steps, on the disk too."""
    if total_steps < max(1, agent.steps):
        raise ValueError(f"`--steps` must be at least the {agent.steps} that are taken. Received: {total_steps}")
    if total_steps != before:
        for name, value in schedules.stretch(agent, schedules.stretched(agent.config, before, total_steps)).items():
            print(f"{name} is stretched from {before} to {total_steps} steps, and goes on from {value:.3g}")
        agent.save(run)
        layout.write_config(run, layout.read_config(run) | {"total_steps": total_steps})
    return total_steps
