"""Run folders as a training leaves them, without training."""

import contextlib
import json

import gymnasium
import keras
import numpy as np

import kgdists as kg
from kgdists.cli import main


def kgdists(*arguments):
    """The exit status of the command."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code


@contextlib.contextmanager
def registered(env):
    name = f"kgdists/{env.__name__}-v0"
    gymnasium.register(name, env)
    try:
        yield name
    finally:
        del gymnasium.registry[name]


def policy(n=2, inputs=2):
    """A policy of so many choices."""
    made = kg.Policy(keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(3)]), kg.layers.CategoricalHead(n))
    made(np.zeros((1, inputs)))
    return made


def written(folder, *, env="CartPole-v1", agent="ppo", seed=0, returns=(10.0, 20.0, 30.0), **settings):
    """A run whose return was `returns` after 100, 200, ... steps, and in both episodes of the evaluation the last."""
    folder.mkdir(parents=True)
    config = {"gamma": 0.99, "learning_rate": 3e-4, "hidden_units": [64, 64]} | settings | {"seed": seed}
    (folder / "config.json").write_text(json.dumps({"agent": agent, "env": env, "config": config}))
    steps = 100 * np.arange(1, len(returns) + 1)
    rows = [f"{i},{n},{x},{0.7 - 0.1 * i},0.0{i},500.0" for i, (n, x) in enumerate(zip(steps, returns, strict=True))]
    (folder / "metrics.csv").write_text("\n".join(["epoch,steps,return,entropy,kl,steps_per_second", *rows]) + "\n")
    (folder / "evaluation.json").write_text(json.dumps({"returns": [returns[-1]] * 2, "lengths": [5, 7]}))
    policy().save(folder / "policy.keras")
    return folder


def assert_one_line(capsys, status, *parts, expected=2):
    """That a command ended with one line of error, and what is in it."""
    captured = capsys.readouterr()
    assert status == expected, captured.err
    (line,) = captured.err.splitlines()
    assert line.startswith("kgdists") and ": error: " in line
    assert [part for part in parts if part not in line] == [], line
