"""Agents on disk: zip archives of `.keras` files, arrays and JSON, nothing that can run code."""

import contextlib
import dataclasses
import importlib.metadata
import io
import json
import shutil
import tempfile
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

from kgdists.agents.files import DamageError, RunWarning, aside, damage, damaged
from kgdists.agents.sharing import share
from kgdists.policy import Policy

__all__ = [
    "checkpoints",
    "config_from_json",
    "config_to_json",
    "identity",
    "load",
    "load_model",
    "read_config",
    "save",
    "versions",
    "write_config",
]

FORMAT = 1
IDENTITY = ("agent", "env", "config")
PACKAGES = ("kgdists", "keras", "tensorflow", "numpy", "gymnasium")


def save(agent, path):
    """Write a checkpoint of an agent to the run folder `path`, which keeps the last two.

    Beside `checkpoints` the folder has `config.json` and `policy.keras`, those of the last one.

    Returns
    -------
    Path of the checkpoint.
    """
    path = Path(path)
    folder = path / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("partial-*"):  # by a process that was killed
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    wanted = identity(agent)
    with contextlib.suppress(ValueError):
        known = read_config(path)
        wanted = known | wanted if _is_same_run(known, wanted) else wanted
    write_config(path, wanted)
    file = folder / f"{agent.steps}.zip"
    with tempfile.TemporaryDirectory(prefix="partial-", dir=folder) as models:
        with aside(file) as partial:
            _write(agent, partial, Path(models))
        with aside(path / "policy.keras") as partial:
            shutil.copyfile(Path(models) / "policy.keras", partial)
    earlier = [other for other in checkpoints(path) if int(other.stem) < agent.steps]
    for other in set(checkpoints(path)) - {file, *earlier[:1]}:
        other.unlink()
    return file


def _write(agent, file, models):
    arrays = agent.arrays()
    objects = [name for name, x in arrays.items() if x.dtype == object]
    if objects:
        raise ValueError(f"The state of an agent must be arrays of numbers. Received: objects in {', '.join(objects)}")
    with zipfile.ZipFile(file, "w") as archive:
        header = {"format": FORMAT, **identity(agent), "steps": agent.steps, "versions": versions()}
        archive.writestr("config.json", json.dumps(header, indent=2) + "\n")
        for name in agent.MODELS:
            getattr(agent, name).save(models / f"{name}.keras")
            archive.write(models / f"{name}.keras", f"{name}.keras")
        with archive.open("state.npz", "w", force_zip64=True) as state:
            np.savez(state, **arrays)


def load(cls, path, env=None, **options):
    """Read an agent of class `cls`, made with the options, from a run folder, or from one of its checkpoints.

    From a folder, it is the last checkpoint that is not damaged; a warning names those that are.
    """
    path = Path(path)
    if path.is_file():
        return _load(cls, path, env, None, options)
    config = read_config(path)
    errors = []
    for file in checkpoints(path):
        try:
            agent = _load(cls, file, env, config, options)
        except DamageError as error:
            errors.append(error)
            continue
        for found in errors:
            warnings.warn(f"{found}. Going on from {file.name}", RunWarning, stacklevel=3)
        return agent
    if errors:
        raise errors[0]
    raise ValueError(f"A run must contain a checkpoint. Received: {path}")


def _load(cls, file, env, run, options):
    """Read a checkpoint, of the run whose config is given; the agent is made with the options."""
    header, models, arrays = _read(cls, file)
    if run is not None and not _is_same_run(header, run):
        raise damaged(file, "it is the checkpoint of another run")
    env = env or header["env"]
    if env is None:
        raise ValueError("`env` must be given for an agent that was not made with an environment's id. Received: None")
    with damage(file):
        settings = config_from_json(header["config"])
        unknown = settings.keys() - {field.name for field in dataclasses.fields(cls.Config)}
    if unknown:
        raise damaged(file, f"it has unknown settings, {', '.join(sorted(unknown))}")
    config = cls.Config(**settings)
    if hasattr(config, "num_envs"):
        arrays["num_envs"] = np.asarray(config.num_envs)
    if hasattr(config, "for_envs"):
        config = config.for_envs(getattr(env, "num_envs", config.num_envs))  # a vector environment has its own
    settings = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    try:
        agent = cls(env, **models, **settings, **options)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"A run's networks must fit its environment. Received: {file}, env {env}: {reason}") from error
    if agent.name != header["agent"]:
        raise ValueError(f"A checkpoint of {header['agent']} must be read as that. Received: {file} for {agent.name}")
    with damage(file):
        agent.restore(arrays)
    agent.checkpoint = file
    return agent


def _read(cls, file):
    """Header, models and arrays of a checkpoint, all that is in it being as it was written."""
    with damage(file), zipfile.ZipFile(file) as archive, tempfile.TemporaryDirectory() as folder:
        header = json.loads(archive.read("config.json"))
        header = {name: header[name] for name in (*IDENTITY, "format", "steps", "versions")}
        header["config"] = dict(header["config"])
        if header["format"] != FORMAT:
            raise damaged(file, f"its format is {header['format']}, not {FORMAT}")
        models = {name: _model(archive, f"{name}.keras", folder) for name in cls.MODELS}
        with np.load(io.BytesIO(archive.read("state.npz")), allow_pickle=False) as arrays:
            arrays = dict(arrays)
        if "shared_variables" in arrays:
            share([*models.values()], arrays["shared_variables"])
    if not isinstance(models["policy"], Policy):
        raise damaged(file, "policy.keras holds no Policy")
    return header, models, arrays


def _model(archive, name, folder):
    file = archive.extract(name, folder)
    try:
        return keras.models.load_model(file, compile=False)
    except Exception as error:  # in which there is the name of a folder that nobody knows
        raise ValueError(f"{name} cannot be loaded, {error}".replace(f"{folder}/", "")) from error


def load_model(file):
    """A `.keras` file, in safe mode."""
    with damage(file):
        return keras.models.load_model(file, compile=False)


def checkpoints(path):
    """The checkpoints of a run folder, the newest first, whole ones or not."""
    files = [file for file in (Path(path) / "checkpoints").glob("*.zip") if file.stem.isdecimal()]
    return sorted(files, key=lambda file: int(file.stem), reverse=True)


def write_config(path, config):
    """Write the `config.json` of a run folder: a dict as `read_config` returns it."""
    Path(path).mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=2) + "\n"
    file = Path(path) / "config.json"
    if not file.is_file() or file.read_text() != text:
        with aside(file) as partial:
            partial.write_text(text)


def read_config(path):
    """The `config.json` of a run folder, a dict with `agent`, `env`, `config`, and what else the run is to remember."""
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"A run must be an existing folder. Received: {path}")
    file = path / "config.json"
    if not file.is_file():
        raise ValueError(f"A run must contain the file config.json. Received: {path}")
    with damage(file):
        config = json.loads(file.read_text())
        return config | {name: config[name] for name in ("agent", "env")} | {"config": dict(config["config"])}


def versions():
    """The versions of the packages that the numbers of a run depend on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def identity(agent):
    """What a run and its checkpoints are known by: the agent's name, its environment's id, its settings."""
    env = agent.env if isinstance(agent.env, str) else None
    return {"agent": agent.name, "env": env, "config": config_to_json(agent.config)}


def _is_same_run(earlier, later):
    """Whether two identities are; the later one may have settings that did not exist before."""
    if any(earlier[name] != later[name] for name in ("agent", "env")):
        return False
    return later["config"] == {**later["config"], **earlier["config"]}


def config_to_json(config):
    """The fields of a config dataclass in JSON's types; schedules as Keras serialises them."""
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    fields = {
        name: keras.saving.serialize_keras_object(x) if isinstance(x, LearningRateSchedule) else x
        for name, x in fields.items()
    }
    return json.loads(json.dumps(fields))  # what is read is what was written: lists for tuples


def config_from_json(fields):
    """The inverse of `config_to_json`: arguments of the config dataclass."""

    def value(x):
        if isinstance(x, dict):
            return keras.saving.deserialize_keras_object(x)
        return tuple(x) if isinstance(x, list) else x

    return {name: value(x) for name, x in fields.items()}
