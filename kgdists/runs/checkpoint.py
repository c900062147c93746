"""Agents on disk: zip archives of `.keras` files, arrays and JSON, nothing that can run code."""

import contextlib
import dataclasses
import json
import secrets
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

from kgdists.core.files import (
    DamagedFileError,
    atomic_write,
    check_sizes,
    damaged,
    load_model,
    locked,
    not_finite,
    reading,
)
from kgdists.core.lazy_array import LazyArray
from kgdists.core.memory import NotEnoughMemoryError
from kgdists.core.run_warning import RunWarning
from kgdists.core.sharing import share
from kgdists.core.unknown_classes import UnknownClassError
from kgdists.envs.env_id import EnvId
from kgdists.envs.given_env import is_alone
from kgdists.envs.make import Env
from kgdists.policy import Policy
from kgdists.runs import loadable
from kgdists.runs.large_arrays import read_large, write_large
from kgdists.runs.layout import (
    CHECKPOINTS,
    CONFIG,
    POLICY,
    checkpoints,
    is_step_count,
    read_config,
    versions,
    write_config,
)

__all__ = [
    "Ownership",
    "agent_name",
    "check_own",
    "config_from_json",
    "config_to_json",
    "identity",
    "load",
    "save",
]

T = TypeVar("T")

FORMAT = 1
IDENTITY = ("agent", "env", "config")


class Ownership:
    """Which run an agent is of, and which checkpoints are of its own past: no others are overwritten or deleted.

    Attributes
    ----------
    run : str
        A random name of the run.
    saves : set of str
        Random names of the checkpoints that the agent wrote, or was loaded from or in view of.
    is_loadable : bool
        Whether it was found that what the agent saves can be read again.
    """

    def __init__(self) -> None:
        self.run = secrets.token_hex(8)
        self.saves: set[str] = set()
        self.is_loadable = False


def save(agent: Any, path: str | Path, overwrite: bool = False) -> Path:
    """Write a checkpoint of an agent to the run folder `path`, which keeps the last two.

    Beside `checkpoints` the folder has `config.json` and `policy.keras`, those of the last one.

    Returns
    -------
    Path of the checkpoint.
    """
    path = Path(path)
    folder = path / CHECKPOINTS
    check_own(agent, path, overwrite)
    loadable.check_agent(agent)
    arrays = _sound_arrays(agent)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        check_own(agent, path, overwrite)  # again, now that no other process is about to save
        _clear_away([*folder.glob("partial-*"), *path.glob(f"partial-*-{POLICY}"), *path.glob(f"partial-*-{CONFIG}")])
        wanted = identity(agent)
        with contextlib.suppress(ValueError):
            known = read_config(path)
            if _is_same_run(known, wanted, agent.config.FIXED):
                wanted = known | wanted | {"env": wanted["env"] or known["env"]}
        write_config(path, wanted)
        file, name = folder / f"{agent.steps}.zip", secrets.token_hex(8)
        _make_way(file)
        agent.owned.saves.add(name)
        with tempfile.TemporaryDirectory(prefix="partial-", dir=folder) as models:
            with atomic_write(file) as partial:
                _write(agent, arrays, name, partial, Path(models))
            with atomic_write(path / POLICY) as partial:
                shutil.copyfile(Path(models) / POLICY, partial)
        names = _names(path)
        earlier = [other for other in names if int(other.stem) < agent.steps and names[other] in agent.owned.saves]
        for other in names.keys() - {file, *earlier[:1]}:
            other.unlink(missing_ok=True)
    return file


def _make_way(file):
    """Give a folder another name that stands where a file is to be."""
    if file.is_dir():
        other = file.with_name(f"folder-{secrets.token_hex(4)}-{file.name}")
        file.rename(other)
        warnings.warn(f"A folder stood in the place of {file}; it is {other.name} now", RunWarning, stacklevel=4)


def check_own(agent: Any, path: str | Path, overwrite: bool = False) -> None:
    """Raise if a folder holds what another run, or another agent of the same run, has left there."""
    path = Path(path)
    names = set(_names(path).values())
    if overwrite or (names and names <= agent.owned.saves):
        return
    config, known, fixed = path / CONFIG, None, agent.config.FIXED
    with contextlib.suppress(ValueError):
        known = read_config(path)
    is_empty = not names and not (path / POLICY).exists()
    if is_empty and (
        not config.exists() or (known is not None and _is_same_run(known, identity(agent) | {"run": None}, fixed))
    ):
        return
    if not names and known is not None and known.get("run") == agent.owned.run:
        return  # its checkpoints were deleted
    raise ValueError(
        "A run folder belongs to one run: save to a new folder, load the run to go on with it, or pass "
        f"`overwrite=True`. Received: {path}, {'with checkpoints' if names else 'with files'} of another agent"
    )


def _names(path):
    """Checkpoint -> its random name, the newest first; of one that has none, or is damaged, what is known of it."""
    names = {}
    for file in checkpoints(path):
        with contextlib.suppress(OSError):  # it may be gone by now
            names[file] = f"{file.name} {file.stat().st_size}"
        with contextlib.suppress(Exception), zipfile.ZipFile(file) as archive:
            names[file] = str(json.loads(archive.read(CONFIG))["save"])
    return names


def _clear_away(left):
    """Remove what killed processes left; what is none of theirs stays."""
    for file in list(left):
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file, ignore_errors=True)
        elif file.is_file() and not file.is_symlink():
            with contextlib.suppress(OSError):
                file.unlink()


def _sound_arrays(agent):
    """The agent's arrays, if they and its models are fit to be gone on from."""
    arrays = agent.arrays()
    objects = [name for name, x in arrays.items() if x.dtype == object]
    if objects:
        raise ValueError(f"The state of an agent must be arrays of numbers. Received: objects in {', '.join(objects)}")
    bad = _unsound({name: getattr(agent, name) for name in agent.MODELS}, arrays)
    if bad:
        agent.is_sound = False
        good = f". The last good checkpoint is {agent.checkpoint}" if agent.checkpoint else ""
        raise FloatingPointError(f"Training diverged after {agent.steps} steps: {', '.join(bad)} not finite{good}")
    return arrays


def _unsound(models, arrays):
    """The names of the weights and arrays that are not finite."""
    weights = {x.path: np.asarray(x.numpy()) for model in models.values() for x in model.variables}
    # What the environments' episodes have come to is theirs.
    own = {name: x for name, x in arrays.items() if not name.startswith("rollouts_")}
    return not_finite(weights | own)


def _write(agent, arrays, name, file, models):
    with zipfile.ZipFile(file, "w") as archive:
        header = {"format": FORMAT, **identity(agent), "steps": agent.steps, "versions": versions(), "save": name}
        archive.writestr(CONFIG, json.dumps(header, indent=2) + "\n")
        for model in agent.MODELS:
            getattr(agent, model).save(models / f"{model}.keras")
            archive.write(models / f"{model}.keras", f"{model}.keras")
        with archive.open("state.npz", "w", force_zip64=True) as state:
            np.savez(state, **{name: x for name, x in arrays.items() if not isinstance(x, LazyArray)})
        write_large(archive, arrays)


def load(
    cls: type[T],
    path: str | Path,
    env: Env | None = None,
    changes: Mapping[str, Any] | None = None,
    **options: Any,
) -> T:
    """Read an agent of class `cls`, made with the options, from a run folder, or from one of its checkpoints.

    From a folder, it is the last checkpoint that is not damaged; a warning names those that are. `changes` are settings
    that take the place of those it was trained with.
    """
    changes = dict(changes or {})
    path = Path(path)
    name = agent_name(path)
    if name not in cls.names():  # type: ignore[attr-defined]
        raise ValueError(
            "A run must be loaded by the class of its agent, or by `kgdists.agents.load`, which finds it. "
            f"Received: {path} of {name}, for {cls.__name__}"
        )
    if path.is_file():
        agent = _load(cls, path, env, None, changes, options)
        # Later ones are not of its past.
        names = _names(path.parent.parent) if path.parent.name == CHECKPOINTS and is_step_count(path.stem) else {}
        agent.owned.saves |= {name for file, name in names.items() if int(file.stem) <= int(path.stem)}
        return agent
    config = read_config(path)
    names = _names(path)
    errors = [
        damaged(file, "it is a folder")
        for file in (path / CHECKPOINTS).glob("*.zip")
        if file.is_dir() and is_step_count(file.stem) and all(int(file.stem) > int(other.stem) for other in names)
    ]
    for file in names:
        try:
            agent = _load(cls, file, env, config, changes, options)
            agent.owned.saves |= set(names.values())
        except DamagedFileError as error:
            errors.append(error)
            continue
        for found in errors:
            warnings.warn(f"{found}. Going on from {file.name}", RunWarning, stacklevel=3)
        return agent
    if errors:
        raise errors[0]
    raise ValueError(f"A run must contain a checkpoint. Received: {path}")


def agent_name(path: str | Path) -> str:
    """The name of the agent that a run folder, or a checkpoint, is of."""
    path = Path(path)
    if not path.is_file():
        return str(read_config(path)["agent"])
    with reading(path), zipfile.ZipFile(path) as archive:
        return str(json.loads(archive.read(CONFIG))["agent"])


def _load(
    cls: Any, file: Path, env: Env | None, run: dict[str, Any] | None, changes: dict[str, Any], options: dict[str, Any]
) -> Any:
    """Read a checkpoint, of the run whose config is given; the agent is made with the options."""
    header, models, arrays = _read(cls, file)
    if run is not None and not (_is_same_run(header, run, cls.Config.FIXED) and (run["env"] or not header["env"])):
        raise damaged(file, "it is the checkpoint of another run")
    if run is not None and header["steps"] != int(file.stem):
        raise damaged(file, f"it was written after {header['steps']} steps")
    if env is None and not header["env"] and not (run and run["env"]):
        raise ValueError("`env` must be given for an agent that was not made with an environment's id. Received: None")
    with reading(file):
        env = env or EnvId.of(header) or (EnvId.of(run) if run else None)
        settings = config_from_json(header["config"])
        settings.setdefault("encoder", "flat")  # as 0.1 saw everything
        unknown = settings.keys() - {field.name for field in dataclasses.fields(cls.Config)}
    if unknown:
        raise damaged(file, f"it has unknown settings, {', '.join(sorted(unknown))}")
    config = cls.Config(**settings)
    if cls.HAS_ROLLOUTS:  # its arrays are of this many environments
        arrays["num_envs"] = np.asarray(config.num_envs)
    # Environments that are given are as many as they are.
    num_envs = getattr(env, "num_envs", changes.get("num_envs", config.num_envs))
    config = config.for_envs(1 if is_alone(env) else num_envs)
    others = {name: x for name, x in changes.items() if name != "num_envs" or not cls.HAS_ROLLOUTS}
    config = dataclasses.replace(config, **others)
    arrays |= {name: np.asarray(x, arrays[name].dtype) for name, x in others.items() if name in arrays}
    settings = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    try:
        agent = cls(env, **models, **settings, **options)
    except NotEnoughMemoryError:
        raise
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"A run's networks must fit its environment. Received: {file}, env {env}: {reason}") from error
    if agent.name != header["agent"]:
        raise damaged(file, f"its agent is {header['agent']}, its settings are those of {agent.name}")
    with reading(file):
        agent.restore(arrays)
    agent.checkpoint = file
    agent.owned.run = header["run"] or (run or {}).get("run") or agent.owned.run
    return agent


def _read(cls, file):
    """Header, models and arrays of a checkpoint, all that is in it being as it was written."""
    with reading(file), zipfile.ZipFile(file) as archive, tempfile.TemporaryDirectory() as folder:
        check_sizes(file)
        header = json.loads(archive.read(CONFIG))
        names = (*IDENTITY, "format", "steps", "versions")
        header = {name: header[name] for name in names} | {name: header.get(name) for name in ("run", "env_options")}
        header["config"] = dict(header["config"])
        if header["format"] != FORMAT:
            raise damaged(file, f"its format is {header['format']}, not {FORMAT}")
        models = {name: _model(archive, f"{name}.keras", folder) for name in cls.MODELS}
        state = archive.extract("state.npz", folder)  # which can be larger than the memory that is left
        check_sizes(state)
        with np.load(state, allow_pickle=False) as arrays:
            arrays = dict(arrays) | read_large(file)
        if "shared_variables" in arrays:
            share([*models.values()], arrays["shared_variables"])
        bad = _unsound(models, arrays)
    if not isinstance(models["policy"], Policy):
        raise damaged(file, "policy.keras holds no Policy")
    if bad:
        raise damaged(file, f"it holds numbers that are not finite, in {', '.join(bad)}")
    return header, models, arrays


def _model(archive, name, folder):
    file = archive.extract(name, folder)
    try:
        return load_model(Path(file))
    except UnknownClassError:
        raise
    except Exception as error:  # in which there is the name of a folder that nobody knows
        raise ValueError(f"{name} cannot be loaded, {error}".replace(f"{folder}/", "")) from error


def identity(agent: Any) -> dict[str, Any]:
    """What a run and its checkpoints are known by: its random name, the agent's, its environment's id, its settings."""
    env = agent.env if isinstance(agent.env, str) else None
    known = {"agent": agent.name, "env": env, "config": config_to_json(agent.config), "run": agent.owned.run}
    options = env.options() if isinstance(env, EnvId) else None
    return known | ({"env_options": options} if options else {})


def _is_same_run(earlier, later, fixed):
    """Whether two identities are; the later one may have settings that did not exist before.

    A run that is known by its name may have changed all settings on its way but the `fixed` ones, and some parts of it
    may have been played in an environment that has no id.
    """
    runs = earlier.get("run"), later.get("run")
    is_known = None not in runs
    if is_known and runs[0] != runs[1] or earlier["agent"] != later["agent"]:
        return False
    if _place(earlier) != _place(later) and not (is_known and None in (earlier["env"], later["env"])):
        return False
    before, after = (
        {name: x for name, x in y["config"].items() if name in fixed or not is_known} for y in (earlier, later)
    )
    return after == {**after, **before}


def _place(known):
    """The environment's id, and what is said beside it."""
    return known["env"], known.get("env_options")


def config_to_json(config: Any) -> dict[str, Any]:
    """The fields of a config dataclass in JSON's types; schedules and optimizers as Keras serializes them."""
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    fields = {
        name: keras.saving.serialize_keras_object(x)
        if isinstance(x, (LearningRateSchedule, keras.optimizers.Optimizer))
        else x
        for name, x in fields.items()
    }
    return json.loads(json.dumps(fields))  # what is read is what was written: lists for tuples


def config_from_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `config_to_json`: arguments of the config dataclass."""

    def value(x):
        if isinstance(x, dict):
            return keras.saving.deserialize_keras_object(x)
        return tuple(x) if isinstance(x, list) else x

    return {name: value(x) for name, x in fields.items()}
