"""Agents on disk: `.keras` files, arrays and JSON, nothing that can run code."""

import contextlib
import dataclasses
import json
import os
import zipfile
from collections import deque
from pathlib import Path

import keras
import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

from kgdists.policy import Policy

__all__ = ["load", "read_config", "save"]


def save(agent, path):
    """Write an agent to the folder `path`: `config.json`, `policy.keras`, `value.keras`, `state.npz`."""
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    config = {
        "agent": type(agent).__name__.lower(),
        "env": agent.env if isinstance(agent.env, str) else None,
        "config": config_to_json(agent.config),
    }
    with _aside(path / "config.json") as file:
        file.write_text(json.dumps(config, indent=2) + "\n")
    for name, model in (("policy", agent.policy), ("value", agent.value)):
        with _aside(path / f"{name}.keras") as file:
            model.save(file)
    with _aside(path / "state.npz") as file:
        np.savez(file, **{name: np.asarray(x) for name, x in _state(agent).items()}, **_progress(agent))


def load(cls, path, env=None):
    """Read an agent of class `cls` that `save` wrote."""
    path = Path(path)
    config = read_config(path)
    env = env or config["env"]
    if env is None:
        raise ValueError("`env` must be given for an agent that was not made with an environment's id. Received: None")
    models = {name: load_model(path / f"{name}.keras") for name in ("policy", "value")}
    with _damage(path / "config.json"):
        settings = config_from_json(config["config"])
        unknown = settings.keys() - {field.name for field in dataclasses.fields(cls.Config)}
        if unknown:
            raise ValueError(f"unknown settings: {unknown}")
    settings = dataclasses.asdict(cls.Config(**settings))
    if not isinstance(models["policy"], Policy):
        raise ValueError(
            f"A run's policy.keras must hold a Policy; this one is damaged. Received: {path / 'policy.keras'}"
        )
    try:
        agent = cls(env, **models, **settings)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"A run's networks must fit its environment. Received: {path}, env {env}: {reason}") from error
    with _damage(path / "state.npz"), (path / "state.npz").open("rb") as file, np.load(file) as arrays:
        for name, variable in _state(agent).items():
            variable.assign(arrays[name])
        agent.steps, agent.seed = int(arrays["steps"]), int(arrays["seed"])
        if agent.config.seed is not None:
            agent.rollouts.seed = agent.config.seed + agent.steps  # not the episodes of the start again
        for name in ("recent_returns", "recent_lengths"):
            setattr(agent.rollouts, name, deque(arrays[name].tolist(), maxlen=100))
    return agent


def read_config(path):
    """The `config.json` of a run folder, a dict with `agent`, `env` and `config`."""
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"A run must be an existing folder. Received: {path}")
    with _damage(path / "config.json"):
        config = json.loads((path / "config.json").read_text())
        return {name: config[name] for name in ("agent", "env", "config")}


def load_model(file):
    """A `.keras` file, in safe mode."""
    with _damage(file):
        return keras.models.load_model(file, compile=False)


def config_to_json(config):
    """The fields of a config dataclass in JSON's types; schedules as Keras serialises them."""
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {
        name: keras.saving.serialize_keras_object(x) if isinstance(x, LearningRateSchedule) else x
        for name, x in fields.items()
    }


def config_from_json(fields):
    """The inverse of `config_to_json`: arguments of the config dataclass."""

    def value(x):
        if isinstance(x, dict):
            return keras.saving.deserialize_keras_object(x)
        return tuple(x) if isinstance(x, list) else x

    return {name: value(x) for name, x in fields.items()}


def _state(agent):
    """Name -> variable of all that training changes and the models' files do not hold; Keras restores no generators."""
    generators = [agent.generator.state, *(v for v in agent.policy.variables if v.name == "seed_generator_state")]
    return (
        {f"optimizer_{i}": variable for i, variable in enumerate(agent.optimizer.variables)}
        | {f"generator_{i}": state for i, state in enumerate(generators)}
        | {f"return_statistics_{i}": variable for i, variable in enumerate(agent.return_statistics.variables)}
        | {"discounted_return": agent.discounted_return}
    )


def _progress(agent):
    rollouts = agent.rollouts
    return {
        "steps": agent.steps,
        "seed": agent.seed,
        "recent_returns": list(rollouts.recent_returns),
        "recent_lengths": list(rollouts.recent_lengths),
    }


@contextlib.contextmanager
def _aside(file):
    """A path to write to that takes the place of `file` once it is written."""
    aside = file.with_name(f"partial-{file.name}")
    yield aside
    os.replace(aside, file)


@contextlib.contextmanager
def _damage(file):
    """Turn what a missing or damaged file raises into one clear line."""
    try:
        yield
    except (AttributeError, OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        if not file.is_file():
            raise ValueError(f"A run must contain the file {file.name}. Received: {file.parent}") from error
        raise ValueError(
            f"A run's files must be as they were written; this one is damaged. Received: {file}"
        ) from error
