"""`kgdists train --seeds`: several agents side by side, by command line."""

import json

import pytest

import kgdists as kg
from kgdists.cli import main
from kgdists.cli.evaluations import Evaluating
from kgdists.cli.seed_process import train_one
from tests.envs.functional.test_stepping import without_xla  # noqa: F401

SMALL = ["--num-envs", "4", "--n-steps", "16", "--batch-size", "32", "--n-epochs", "1", "--hidden-units", "8"]


@pytest.mark.exhaustive
def test_seeds_are_trained_and_gone_on_with(tmp_path, capsys):
    folder = tmp_path / "runs"
    train = ["train", "CartPole-v1", "--agent", "ppo", *SMALL, "--seed", "3", "--vectorization", "compiled"]
    train += ["--eval-episodes", "2", "--eval-max-steps", "20", "--save-every", "0", "--out", str(folder)]
    assert main([*train, "--seeds", "2", "--steps", "64"]) == 0
    said = capsys.readouterr().out
    assert f"ppo on CartPole-v1, seeds 3 to 4, 64 steps each, into {folder}" in said
    assert "over 2 seeds" in said and "seed 4: return" in said
    for i in range(2):
        config = json.loads((folder / f"seed_{i}" / "config.json").read_text())
        assert config["config"]["seed"] == 3 + i and config["total_steps"] == 64
        rows = (folder / f"seed_{i}" / "metrics.csv").read_text().splitlines()
        assert len(rows) == 2 and (folder / f"seed_{i}" / "evaluation.json").is_file()
    assert main(["resume", str(folder)]) == 0 and "is finished, after 64 steps" in capsys.readouterr().out
    assert main(["resume", str(folder), "--steps", "128"]) == 0
    assert "2 seeds, to step 128" in capsys.readouterr().out
    assert main(["report", str(folder)]) == 0 and main(["plot", str(folder)]) == 0
    page = (folder / "report.html").read_text()
    assert "seed_0" in page and "seed_1" in page and (folder / "learning_curve.png").is_file()
    with pytest.raises(SystemExit):
        main(["evaluate", str(folder)])
    assert f"pass one of them, such as {folder}/seed_0" in capsys.readouterr().err
    assert main(["evaluate", str(folder / "seed_1"), "--episodes", "2"]) == 0


def test_a_number_of_seeds_out_of_range_is_refused(capsys):
    assert main(["train", "CartPole-v1", "--seeds", "0"]) == 2
    assert "`--seeds` must be from 1 to 1000. Received: 0" in capsys.readouterr().err


@pytest.mark.exhaustive
def test_seeds_of_python_environments_have_processes(tmp_path, capsys):
    folder = tmp_path / "runs"
    train = ["train", "Pendulum-v1", "--agent", "ppo", *SMALL, "--eval-episodes", "2", "--out", str(folder)]
    assert main([*train, "--seeds", "2", "--steps", "128"]) == 0
    said = capsys.readouterr().out
    assert "seed_0: Pendulum-v1: return" in said and "over 2 seeds" in said
    assert main(["resume", str(folder), "--steps", "192"]) == 0


@pytest.mark.exhaustive
def test_a_seed_that_fails_leaves_the_others_their_ends(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "runs"
    train = ["train", "CartPole-v1", "--agent", "ppo", *SMALL, "--vectorization", "compiled", "--out", str(folder)]
    train += ["--eval-episodes", "2", "--eval-max-steps", "20", "--seeds", "2", "--steps", "64"]
    learn = kg.agents.PPO.learn

    def diverges(self, *args, **options):
        if self.config.seed == 0:
            raise FloatingPointError("Training diverged after 0 steps: policy_loss not finite")
        return learn(self, *args, **options)

    monkeypatch.setattr(kg.agents.PPO, "learn", diverges)
    assert main(train) == 1
    said = capsys.readouterr()
    assert said.err == "kgdists: error: Training diverged after 0 steps: policy_loss not finite\n"
    assert "seed 1: return" in said.out and "over 1 seeds" in said.out
    assert (folder / "seed_1" / "evaluation.json").is_file()


@pytest.mark.exhaustive
def test_a_process_says_in_a_line_what_ended_it(tmp_path):
    folder = tmp_path / "runs"
    train = ["train", "Pendulum-v1", "--agent", "ppo", *SMALL, "--eval-episodes", "2", "--out", str(folder)]
    assert main([*train, "--seeds", "2", "--steps", "64"]) == 0
    for file in (folder / "seed_0" / "checkpoints").iterdir():
        file.write_bytes(b"spoiled")
    status, said = train_one(folder / "seed_0", 1, 128, 60.0, None, Evaluating())
    assert status == 1 and said.startswith("error: ")
