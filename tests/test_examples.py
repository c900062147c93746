"""The examples run on a tiny budget, and stay short."""

import json
from pathlib import Path

import pytest

from tests.processes import run_python

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
    "kl_by_hand.py": ["--iterations", "5", "--samples", "20", "--components", "1", "--restarts", "1"],
    "masked_actions.py": ["--steps", "1024", "--episodes", "2"],
    "mixture_density_regression.py": ["--epochs", "1"],
}


def test_every_example_has_a_budget():
    assert [file.name for file in EXAMPLES] == sorted(BUDGET)


# One after the other in one process, because imports take as long as most of them.
RUN = """
    import contextlib, io, json, os, runpy, sys

    outputs = {}
    for file, arguments in json.loads(sys.argv[1]).items():
        sys.argv = [file, *arguments]
        with contextlib.redirect_stdout(io.StringIO()) as output:
            runpy.run_path(file, run_name="__main__")
        outputs[file] = output.getvalue()
    print(json.dumps(outputs))
    """


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(2))
def test_examples_run(part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = EXAMPLES[part::2]
    outputs = json.loads(run_python(RUN, json.dumps({str(file): BUDGET[file.name] for file in files})).splitlines()[-1])
    assert len(outputs) == len(files)
    for file, output in outputs.items():
        assert any(word in output for word in ("return", "nats", "fitness")), file


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_example_is_under_a_hundred_lines(file):
    assert len(file.read_text().splitlines()) < 100
