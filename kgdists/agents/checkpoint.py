"""Agents on disk: `.keras` files, arrays and JSON, nothing that can run code."""

import contextlib
import dataclasses
import json
import os
import zipfile
from pathlib import Path

import keras
import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

from kgdists.policy import Policy

__all__ = ["load", "read_config", "save"]


def save(agent, path):
    """Write an agent to the folder `path`: `config.json`, its models such as `policy.keras`, `state.npz`."""
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    config = {
        "agent": agent.name,
        "env": agent.env if isinstance(agent.env, str) else None,
        "config": config_to_json(agent.config),
    }
    with _aside(path / "config.json") as file:
        file.write_text(json.dumps(config, indent=2) + "\n")
    for name in agent.MODELS:
        with _aside(path / f"{name}.keras") as file:
            getattr(agent, name).save(file)
    with _aside(path / "state.npz") as file:
        np.savez(file, **agent.arrays())


def load(cls, path, env=None):
    """Read an agent of class `cls` that `save` wrote."""
    path = Path(path)
    config = read_config(path)
    env = env or config["env"]
    if env is None:
        raise ValueError("`env` must be given for an agent that was not made with an environment's id. Received: None")
    models = {name: load_model(path / f"{name}.keras") for name in cls.MODELS}
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
        agent.restore(arrays)
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
