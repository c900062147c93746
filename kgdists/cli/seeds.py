"""Train agents with seeds of their own side by side: what `--seeds` does."""

import contextlib
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np

from kgdists.agents.agent import Agent
from kgdists.agents.seeds import Seeds
from kgdists.cli.evaluations import Evaluating
from kgdists.cli.seed_process import train_one
from kgdists.cli.training import draw_curve, evaluate_run, exclusive_run, print_error, run_callbacks
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


def _in_threads(agents, runs, total_steps, save_every, evaluate_every, evaluating):
    """All in this process, by one program."""
    own = dict(zip(map(id, agents), runs, strict=True))
    left = [agent for agent in agents if agent.steps < total_steps]
    seeds, stop = Seeds.of(left), StopOnSignal(lambda text: print(f"\n{text}"))
    stop.set_model(seeds)
    stop.on_train_begin()
    try:
        if left:
            seeds.learn(
                [total_steps - agent.steps for agent in left],
                lambda agent: run_callbacks(agent, own[id(agent)], save_every, evaluate_every, evaluating),
            )
    except Exception:
        if not any(seeds.errors):
            raise
    finally:
        stop.on_train_end()
    failed = [(agent, error) for agent, error in zip(left, seeds.errors, strict=True) if error is not None]
    for agent, error in failed:
        print_error(error, agent, own[id(agent)])
    trained = [agent for agent in agents if agent not in [one for one, _ in failed]]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        evaluations = list(pool.map(lambda agent: evaluate_run(agent, own[id(agent)], evaluating), trained))
    for agent, evaluation in zip(trained, evaluations, strict=True):
        draw_curve(agent, own[id(agent)])  # one after the other: Matplotlib takes no threads
        print(f"seed {agent.config.seed}: {evaluation}, {agent.steps} steps, saved in {own[id(agent)]}")
    _sum_up(agents[0].env, [evaluation.mean for evaluation in evaluations])
    if failed:
        return 1
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
