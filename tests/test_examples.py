"""The examples run on a tiny budget, and stay short."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
BUDGET = {
    "cartpole_ppo.py": ["--steps", "512", "--episodes", "2"],
    "pendulum_ppo.py": ["--steps", "1024", "--episodes", "2"],
    "custom_loop.py": ["--steps", "512"],
    "dict_actions.py": ["--steps", "512", "--episodes", "2"],
    "es_rastrigin.py": ["--searchers", "SNES", "--dimensions", "3", "--popsize", "20", "--generations", "5"],
    "es_cartpole.py": ["--steps", "400", "--popsize", "10", "--episodes", "2"],
    "es_ray.py": ["--workers", "0", "--generations", "2", "--popsize", "8", "--episodes", "1"],
    "gmm40_target.py": ["--samples", "1000", "--components", "3", "--iterations", "20"],
    "gmm_divergences.py": ["--iterations", "20", "--components", "1", "--samples", "1000"],
    "gumbel_softmax_vae.py": ["--epochs", "1"],
    "masked_actions.py": ["--steps", "1024", "--episodes", "2"],
    "mixture_density_regression.py": ["--epochs", "1"],
}


def test_every_example_has_a_budget():
    assert [file.name for file in EXAMPLES] == sorted(BUDGET)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_example_runs(file, tmp_path):
    done = subprocess.run(
        [sys.executable, file, *BUDGET[file.name]], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert any(word in done.stdout for word in ("return", "nats", "fitness"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_example_is_under_a_hundred_lines(file):
    assert len(file.read_text().splitlines()) < 100
