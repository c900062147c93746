"""Runs of environments x agents x seeds, each a process of its own, and the table of their returns.

    python -m kgdists.agents.benchmark --envs CartPole-v1 Pendulum-v1 --agents ppo --seeds 0 1 2 --out results --jobs 2

Killed and started again, it skips the runs that are finished and goes on with the others from their checkpoints.
"""

import argparse
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kgdists.agents.tuned import TUNED, default_agent
from kgdists.core.files import atomic_write
from kgdists.core.types import Integer, TensorLike
from kgdists.runs.folder import read_run
from kgdists.runs.layout import CONFIG, read_config, read_evaluation, read_versions
from kgdists.runs.metrics import read_metrics

__all__ = ["Job", "bootstrap_interval", "interquartile_mean", "main", "read_results", "run_jobs", "table"]

POLL_SECONDS = 0.5
STATUS_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Job:
    """One training by `kgdists train`, in the folder `out / "runs" / name`; its result becomes `out / "name.json"`."""

    env: str
    agent: str
    seed: int
    out: Path
    steps: int | None = None

    @property
    def name(self) -> str:
        return f"{self.env.replace('/', '-')}_{self.agent}_{self.seed}"

    @property
    def folder(self) -> Path:
        return self.out / "runs" / self.name

    @property
    def file(self) -> Path:
        return self.out / f"{self.name}.json"

    def command(self) -> list[str]:
        """The command that starts the run or, where it was interrupted, goes on with it."""
        start = [sys.executable, "-m", "kgdists"]
        if (self.folder / CONFIG).is_file():
            return [*start, "resume", str(self.folder)]
        steps = [] if self.steps is None else ["--steps", str(self.steps)]
        options = ["--agent", self.agent, "--seed", str(self.seed), "--out", str(self.folder), *steps]
        return [*start, "train", self.env, *options]

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process, whose output goes to `out / "runs" / "name.log"`."""
        if self.folder.is_dir() and not (self.folder / CONFIG).is_file():
            shutil.rmtree(self.folder)  # killed before it began
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self.folder.with_name(f"{self.name}.log").open("a") as log:
            return subprocess.Popen(self.command(), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def share_done(self) -> float:
        """Which part of its steps the run has taken, in [0, 1]."""
        try:
            return read_metrics(self.folder)["steps"][-1] / read_config(self.folder)["total_steps"]
        except (KeyError, TypeError, ValueError):
            return 0.0

    def finish(self) -> dict[str, Any] | None:
        """Write the result of the run if it has taken all its steps, and return it; else None."""
        try:
            run, evaluation, metrics = read_run(self.folder), read_evaluation(self.folder), read_metrics(self.folder)
        except ValueError:
            return None
        if evaluation is None or self.share_done() < 1.0:
            return None
        steps = metrics["steps"]
        seconds = np.sum(np.diff(steps, prepend=0.0) / metrics["steps_per_second"])
        result = {
            "env": self.env,
            "agent": self.agent,
            "seed": self.seed,
            "steps": int(steps[-1]),
            "seconds": round(float(seconds), 1),
            "steps_per_second": round(float(steps[-1] / seconds), 1),
            "returns": evaluation.returns,
            "settings": run.config,
            "versions": read_versions(self.folder),
        }
        with atomic_write(self.file) as partial:
            partial.write_text(json.dumps(result) + "\n")
        return result


def run_jobs(jobs: Sequence[Job], num_processes: Integer = 1, say: Callable[[str], Any] = print) -> list[Job]:
    """Run the jobs that have no result yet, this many at a time.

    Parameters
    ----------
    jobs : list of Job
    num_processes : int, >= 1
    say : callable
        Called with lines of text about the progress.

    Returns
    -------
    list of Job, those that failed.
    """
    waiting = [job for job in jobs if not job.file.is_file() and job.finish() is None]
    say(f"{len(jobs)} runs, {len(jobs) - len(waiting)} of them finished before")
    running: dict[Job, subprocess.Popen[bytes]] = {}
    failed, status_due = [], time.monotonic() + STATUS_SECONDS
    try:
        while waiting or running:
            while waiting and len(running) < num_processes:
                job = waiting.pop(0)
                say(f"{job.name}: {'goes on' if (job.folder / CONFIG).is_file() else 'starts'}")
                running[job] = job.launch()
            time.sleep(POLL_SECONDS)
            for job in [job for job, process in running.items() if process.poll() is not None]:
                status, result = running.pop(job).returncode, job.finish()
                if result is None:
                    failed.append(job)
                    say(f"{job.name}: failed with status {status}, see {job.folder.with_name(job.name)}.log")
                else:
                    say(f"{job.name}: return {np.mean(result['returns']):.1f}, {result['seconds']:.0f} s")
            if running and time.monotonic() > status_due:
                parts = ", ".join(f"{job.name} {job.share_done():.0%}" for job in running)
                say(f"running: {parts}; {len(waiting)} waiting")
                status_due = time.monotonic() + STATUS_SECONDS
    finally:
        for process in running.values():
            process.terminate()  # they save a checkpoint
        for process in running.values():
            process.wait()
    return failed


def read_results(out: str | Path) -> list[dict[str, Any]]:
    """The results in a folder: list of dicts."""
    return [json.loads(file.read_text()) for file in sorted(Path(out).glob("*_*_*.json"))]


def interquartile_mean(x: TensorLike) -> np.ndarray:
    """Mean of what is left without the lowest and the highest quarter, as `scipy.stats.trim_mean(x, 0.25)`.

    Parameters
    ----------
    x : array, shape [..., n]

    Returns
    -------
    array, shape [...]

    Examples
    --------
    >>> float(interquartile_mean([0.0, 1.0, 3.0, 100.0]))
    2.0
    """
    x = np.sort(np.asarray(x, float), axis=-1)
    cut = x.shape[-1] // 4
    return x[..., cut : x.shape[-1] - cut].mean(axis=-1)


def bootstrap_interval(
    returns: TensorLike, confidence: float = 0.95, num_resamples: Integer = 2000, seed: Integer = 0
) -> tuple[float, float]:
    """Percentile interval of the interquartile mean of all episodes of several runs.

    A resample draws runs, and episodes within each: runs differ more than episodes do. See Agarwal et al. (2021), Deep
    reinforcement learning at the edge of the statistical precipice.

    Parameters
    ----------
    returns : array, shape [runs, episodes]
    confidence : float, in (0, 1)
    num_resamples : int, >= 1
    seed : int

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> low, high = bootstrap_interval([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]])
    >>> 1.0 <= low < high <= 5.0
    True
    """
    returns, rng = np.asarray(returns, float), np.random.default_rng(seed)
    num_runs, num_episodes = returns.shape
    runs = rng.integers(num_runs, size=(num_resamples, num_runs, 1))
    episodes = rng.integers(num_episodes, size=(num_resamples, num_runs, num_episodes))
    means = interquartile_mean(returns[runs, episodes].reshape(num_resamples, -1))
    low, high = np.quantile(means, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return float(low), float(high)


def table(results: Iterable[dict[str, Any]]) -> str:
    """A Markdown table of results: a row for each environment and agent, with the mean return of every seed.

    Parameters
    ----------
    results : list of dict
        As `read_results` returns them.

    Returns
    -------
    str
    """
    groups: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
    for result in sorted(results, key=lambda result: result["seed"]):
        groups.setdefault((_place(result["env"]), result["env"], result["agent"]), []).append(result)
    lines = [
        "| environment | agent | steps | seconds | steps/s | mean return of each seed | mean | IQM [95 %] |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (_, env, agent), group in sorted(groups.items()):
        returns = np.array([result["returns"] for result in group])
        low, high = bootstrap_interval(returns)
        cells = [
            env,
            agent,
            _range([result["steps"] for result in group]),
            _range([round(result["seconds"]) for result in group]),
            _range([round(result["steps_per_second"]) for result in group]),
            ", ".join(f"{x:,.1f}" for x in returns.mean(axis=1)),
            f"{returns.mean():,.1f}",
            f"{float(interquartile_mean(returns.ravel())):,.1f} [{low:,.1f}, {high:,.1f}]",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _place(env):
    return list(TUNED).index(env) if env in TUNED else len(TUNED)


def _range(numbers):
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 1 if a run failed, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="python -m kgdists.agents.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("--envs", nargs="+", default=list(TUNED), metavar="ENV", help="default: all that are tuned")
    parser.add_argument(
        "--agents", nargs="+", metavar="AGENT", help="default: for each environment the first of `kgdists list`"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    parser.add_argument("--steps", type=int, metavar="N", help="environment steps; default: tuned")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results and runs")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time; default: 1")
    parser.add_argument("--table", action="store_true", help="run nothing, print the table of the results in DIR")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"`--jobs` must be at least 1. Received: {options.jobs}")
    failed = []
    if not options.table:
        jobs = [
            Job(env, agent, seed, options.out, options.steps)
            for env in options.envs
            for agent in options.agents or [default_agent(env)]
            for seed in options.seeds
        ]
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the runs too
        try:
            failed = run_jobs(jobs, options.jobs)
        except KeyboardInterrupt:
            print("interrupted; the same command goes on")
            return 130
        finally:
            signal.signal(signal.SIGTERM, before)
    print(table(read_results(options.out)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
