"""The driver of benchmarks: with processes that only write what a run writes, and one real run."""

import json
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from kgdists.agents import benchmark
from kgdists.agents.benchmark import Job, bootstrap_interval, interquartile_mean, main, read_results, run_jobs, table
from kgdists.runs.layout import write_config

RUN = """
import json, sys
from pathlib import Path
folder, steps = Path(sys.argv[1]), int(sys.argv[2])
(folder / "metrics.csv").write_text(f"steps,return,steps_per_second\\n50,1.0,25.0\\n{steps},2.0,50.0\\n")
(folder / "evaluation.json").write_text(json.dumps({"returns": [1.0, 2.0], "lengths": [3, 4], "steps": steps}))
"""


@pytest.fixture
def played(monkeypatch):
    """Jobs that were launched; each writes the files of a finished run, but those named "broken" and "slow"."""
    launched = []

    def launch(job):
        launched.append(job.name)
        job.folder.mkdir(parents=True, exist_ok=True)
        facts = {"agent": job.agent, "env": job.env, "config": {"seed": job.seed}, "total_steps": 100}
        write_config(job.folder, {"format": 1, **facts})
        code = {"broken": "raise SystemExit(3)", "slow": RUN}.get(job.agent, RUN)
        steps = 75 if job.agent == "slow" and launched.count(job.name) == 1 else 100
        return subprocess.Popen([sys.executable, "-S", "-c", code, str(job.folder), str(steps)])

    monkeypatch.setattr(Job, "launch", launch)
    monkeypatch.setattr(benchmark, "POLL_SECONDS", 0.01)
    return launched


def jobs_of(out, *agents, seeds=(0, 1)):
    return [Job("Bandit-v0", agent, seed, out) for agent in agents for seed in seeds]


def test_every_job_is_run_once_and_has_a_result(played, tmp_path):
    jobs, lines = jobs_of(tmp_path, "ppo", "sac"), []
    assert run_jobs(jobs, 3, lines.append) == []
    assert sorted(played) == sorted(job.name for job in jobs)
    assert lines[0] == "4 runs, 0 of them finished before"
    assert "Bandit-v0_ppo_0: return 1.5, 3 s" in lines
    [result] = [result for result in read_results(tmp_path) if (result["agent"], result["seed"]) == ("sac", 1)]
    assert result == {
        "env": "Bandit-v0",
        "agent": "sac",
        "seed": 1,
        "steps": 100,
        "seconds": 3.0,
        "steps_per_second": 33.3,
        "returns": [1.0, 2.0],
        "settings": {"seed": 1},
        "versions": {},
    }


def test_finished_runs_are_skipped(played, tmp_path):
    run_jobs(jobs_of(tmp_path, "ppo"), say=str)
    lines = []
    run_jobs(jobs_of(tmp_path, "ppo", seeds=(0, 1, 2)), say=lines.append)
    assert len(played) == 3 and lines[:2] == ["3 runs, 2 of them finished before", "Bandit-v0_ppo_2: starts"]


def test_a_run_that_stopped_early_goes_on_the_next_time(played, tmp_path):
    jobs, lines = jobs_of(tmp_path, "slow", seeds=(0,)), []
    assert run_jobs(jobs, say=str) == jobs and read_results(tmp_path) == []
    assert run_jobs(jobs, say=lines.append) == [] and lines[1] == "Bandit-v0_slow_0: goes on"
    assert [result["steps"] for result in read_results(tmp_path)] == [100]


def test_a_run_that_fails_is_told_and_leaves_the_others_alone(played, tmp_path):
    lines = []
    failed = run_jobs(jobs_of(tmp_path, "broken", "ppo", seeds=(0,)), say=lines.append)
    assert [job.agent for job in failed] == ["broken"] and len(read_results(tmp_path)) == 1
    assert any("Bandit-v0_broken_0: failed with status 3, see " in line for line in lines)


def test_an_interrupt_ends_the_runs_too(monkeypatch, tmp_path, capsys):
    code = "import os, signal, time; os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
    processes = []

    def launch(job):
        processes.append(subprocess.Popen([sys.executable, "-S", "-c", code]))
        return processes[-1]

    monkeypatch.setattr(Job, "launch", launch)
    assert main(["--envs", "CartPole-v1", "--seeds", "0", "--out", str(tmp_path)]) == 130
    assert processes[0].poll() is not None and capsys.readouterr().out.endswith("the same command goes on\n")


def test_commands_start_a_run_or_go_on_with_it(tmp_path):
    job = Job("CartPole-v1", "ppo", 3, tmp_path, steps=64)
    start = [sys.executable, "-m", "kgdists"]
    options = ["--agent", "ppo", "--seed", "3", "--out", str(job.folder), "--steps", "64"]
    assert job.command() == [*start, "train", "CartPole-v1", *options]
    job.folder.mkdir(parents=True)
    (job.folder / "config.json").write_text("{}")
    assert job.command() == [*start, "resume", str(job.folder)]


@pytest.mark.parametrize("n", [1, 3, 4, 7, 100])
def test_the_interquartile_mean_is_that_of_scipy(n):
    x = np.random.default_rng(0).normal(size=(5, n))
    np.testing.assert_allclose(interquartile_mean(x), scipy.stats.trim_mean(x, 0.25, axis=1), rtol=1e-12)


def test_the_interval_of_many_runs_is_that_of_scipy():
    returns = np.random.default_rng(0).normal(size=(400, 1))
    want = scipy.stats.bootstrap(
        (returns[:, 0],), interquartile_mean, method="percentile", n_resamples=2000
    ).confidence_interval
    # Both are quantiles of 2,000 resamples, with a standard error of about 0.003 each.
    np.testing.assert_allclose(bootstrap_interval(returns), want, atol=0.02)


def test_runs_that_differ_widen_the_interval_more_than_episodes_do():
    alike = np.random.default_rng(0).normal(size=(3, 100))
    low, high = bootstrap_interval(alike)
    wide_low, wide_high = bootstrap_interval(alike + [[-5.0], [0.0], [5.0]])
    assert high - low < 1.0 and wide_high - wide_low > 4.0


def test_the_table_has_a_row_per_environment_and_agent_in_the_order_of_the_tuned_ones():
    def result(env, agent, seed, steps=1000, seconds=10.0):
        returns = [seed - 1.0, seed + 1.0]
        facts = {"env": env, "agent": agent, "seed": seed, "returns": returns, "steps": steps, "seconds": seconds}
        return facts | {"steps_per_second": steps / seconds}

    results = [result("Pendulum-v1", "ppo", 10), result("Bandit-v0", "sac", 2), result("CartPole-v1", "ppo", 1, 2000)]
    rows = table([*results, result("Pendulum-v1", "ppo", 0, 1001, 5.0)]).splitlines()
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| CartPole-v1", "| Pendulum-v1", "| Bandit-v0"]
    assert rows[3].startswith("| Pendulum-v1 | ppo | 1,000 to 1,001 | 5 to 10 | 100 to 200 | 0.0, 10.0 | 5.0 | 5.0 [")


@pytest.mark.exhaustive
def test_a_tiny_run_is_benchmarked_in_a_process_of_its_own(tmp_path, capsys):
    arguments = ["--envs", "CartPole-v1", "--agents", "snes", "--seeds", "4", "--steps", "200", "--out", str(tmp_path)]
    assert main(arguments) == 0
    [result] = read_results(tmp_path)
    assert (result["env"], result["agent"], result["seed"]) == ("CartPole-v1", "snes", 4)
    assert result["steps"] >= 200 and len(result["returns"]) == 100 and result["steps_per_second"] > 0.0
    assert result["settings"]["stdev_init"] == 0.5 and "tensorflow" in result["versions"]
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("| CartPole-v1 | snes | ") and f"{np.mean(result['returns']):,.1f}" in row
    assert main(["--table", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == row


def test_no_processes_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), "--jobs", "0"])
    assert "`--jobs` must be at least 1. Received: 0" in capsys.readouterr().err
    assert json.dumps([path.name for path in tmp_path.iterdir()]) == "[]"
