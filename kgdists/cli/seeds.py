"""Train agents with seeds of their own side by side: what `--seeds` does."""

import contextlib
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import keras
import numpy as np

from kgdists.agents.agent import Agent
from kgdists.agents.seeds import Seeds
from kgdists.cli.evaluations import Evaluating
from kgdists.cli.seed_process import train_one
from kgdists.cli.training import draw_curve, evaluate_run, exclusive_run, run_callbacks
from kgdists.runs import layout
from kgdists.runs.callbacks import StopOnSignal
from kgdists.runs.seed_folders import seed_folder

__all__ = ["train_seeds"]


def train_seeds(
    agents: Sequence[Agent],
    folder: Path,
    total_steps: int,
    save_every: float,
    evaluate_every: int | None,
    evaluating: Evaluating,
) -> int:
    """Train agents, each with its run folder in `folder`, to a number of steps; return the exit status.

    Parameters
    ----------
    agents : list of Agent
        The agent of the run `seed_0`, and so on.
    folder : Path
    total_steps : int
    save_every : float
        Seconds between checkpoints.
    evaluate_every : None or int
        Steps between evaluations.
    evaluating : Evaluating
    """
    runs = [seed_folder(folder, i) for i in range(len(agents))]
    train = _in_threads if agents[0].is_compiled else _in_processes
    with contextlib.ExitStack() as stack:
        for run in runs:
            stack.enter_context(exclusive_run(run))
        status = train(agents, runs, total_steps, save_every, evaluate_every, evaluating)
    if status in (128 + 2, 128 + 15):
        print(f"stopped; `kgdists resume {folder}` goes on", file=sys.stderr)
    return status


class _All:
    """What a signal stops: all agents, as the model of a `StopOnSignal`."""

    def __init__(self, agents: Sequence[Agent]) -> None:
        self._agents = agents
        self.is_stopped = False

    @property
    def stop_training(self) -> bool:
        return self.is_stopped

    @stop_training.setter
    def stop_training(self, value: Any) -> None:
        self.is_stopped = bool(value)
        for agent in self._agents:
            agent.policy.stop_training = self.is_stopped


class _StopsWithAll(keras.callbacks.Callback):
    """Does not begin the training of an agent whose turn comes after a signal."""

    def __init__(self, everyone: _All) -> None:
        super().__init__()
        self.everyone = everyone

    def on_train_begin(self, logs: Any = None) -> None:
        if self.everyone.is_stopped:
            self.model.stop_training = True


def _in_threads(agents, runs, total_steps, save_every, evaluate_every, evaluating):
    """All in this process, by one program."""
    everyone, own = _All(agents), dict(zip(map(id, agents), runs, strict=True))
    left = [(agent, total_steps - agent.steps) for agent in agents if agent.steps < total_steps]
    stop = StopOnSignal(lambda text: print(f"\n{text}"))
    stop.set_model(everyone)

    def callbacks(agent):
        run = own[id(agent)]
        return [_StopsWithAll(everyone), *run_callbacks(agent, run, save_every, evaluate_every, evaluating)]

    stop.on_train_begin()
    try:
        if left:
            Seeds.of([agent for agent, _ in left]).learn([steps for _, steps in left], callbacks)
    finally:
        stop.on_train_end()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        evaluations = list(pool.map(evaluate_run, agents, runs, [evaluating] * len(runs)))
    for agent, run, evaluation in zip(agents, runs, evaluations, strict=True):
        draw_curve(agent, run)  # one after the other: Matplotlib takes no threads
        print(f"seed {agent.config.seed}: {evaluation}, {agent.steps} steps, saved in {run}")
    _sum_up(agents[0].env, [evaluation.mean for evaluation in evaluations])
    is_early = any(agent.steps < total_steps for agent in agents)
    return 128 + stop.signal if stop.signal is not None and is_early else 0


def _in_processes(agents, runs, total_steps, save_every, evaluate_every, evaluating):
    """Each in a process, as many at once as there are processors."""
    threads = int(layout.read_config(runs[0]).get("threads", 1))
    jobs = [
        joblib.delayed(train_one)(run, threads, total_steps, save_every, evaluate_every, evaluating) for run in runs
    ]
    for agent in agents:
        agent.envs.close()
    worst = 0
    for run, (status, said) in zip(runs, joblib.Parallel(-1, return_as="generator")(jobs), strict=True):
        print(f"{run.name}: {said}")
        worst = max(worst, status)
    evaluations = map(layout.read_evaluation, runs)
    _sum_up(agents[0].env, [evaluation.mean for evaluation in evaluations if evaluation is not None])
    return worst


def _sum_up(env, returns):
    if returns:
        print(f"{env}: return {np.mean(returns):.1f} +- {np.std(returns):.1f} over {len(returns)} seeds")
