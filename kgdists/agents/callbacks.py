"""Keras callbacks for agents."""

import csv
import json
import math
import secrets
import shutil
import signal
import sys
import warnings
from pathlib import Path

import keras
from gymnasium.vector import VectorEnv

from kgdists.agents import loadable
from kgdists.agents.acting import player
from kgdists.agents.envs import make_envs
from kgdists.agents.files import RunWarning, aside, damage
from kgdists.agents.rollout import evaluate

__all__ = ["EvaluateAndKeepBest", "MetricsFile", "ProgressBar", "mend_metrics"]

FIRST = ("epoch", "steps", "return")  # columns of metrics


class MetricsFile(keras.callbacks.CSVLogger):
    """Keras' CSV logger with steps and return in front, and no columns for validation, which agents lack.

    Where it goes on with a file that has other columns, that has all of both afterwards.
    """

    def on_epoch_end(self, epoch, logs=None):
        if self.keys is None:
            columns = [*FIRST, *sorted(logs.keys() - set(FIRST))]
            if not self.append_header:
                self.csv_file.close()
                columns = _widened(Path(self.filename), columns)
                self.csv_file = Path(self.filename).open("a", newline="")
            self.keys = columns[1:]
        super().on_epoch_end(epoch, logs)


def mend_metrics(file, steps, epochs):
    """Keep those rows of a metrics file that are whole and of the first so many steps; a warning says what is missing.

    Parameters
    ----------
    file : Path
    steps : int
        Those after which the training goes on.
    epochs : int
        How many it had then.
    """
    if not steps and not file.exists():
        return
    columns, rows = _read_rows(file, steps, epochs)
    missing = epochs - len(rows)
    if missing:  # as after a power cut
        kept = _set_aside(file)
        warnings.warn(f"{file} lacks whole rows of {missing} of {epochs} epochs{kept}", RunWarning, stacklevel=2)
    if columns:
        _write_rows(file, columns, rows)
    else:
        file.unlink(missing_ok=True)


def _widened(file, columns):
    """The columns of a file, which has these too from now on."""
    before, rows = _read_rows(file)
    if set(columns) <= set(before):
        return before
    if not before:
        warnings.warn(f"{file} is begun anew: it held no metrics{_set_aside(file)}", RunWarning, stacklevel=2)
    columns = [*before, *(name for name in columns if name not in before)]
    _write_rows(file, columns, rows)
    return columns


def _set_aside(file):
    """Keep a copy of a file, if there is one, and say where."""
    if not file.exists():
        return ""
    copy = file.with_name(f"{file.stem}-damaged{file.suffix}")
    if copy.exists() and (copy.is_dir() or file.is_dir()):
        copy = file.with_name(f"{file.stem}-damaged-{secrets.token_hex(4)}{file.suffix}")
    if file.is_dir():
        file.rename(copy)
    else:
        shutil.copyfile(file, copy)
    return f"; as it was it is {copy}"


def _read_rows(file, steps=math.inf, epochs=math.inf):
    """The columns of a metrics file and its whole rows up to there: none of either where it is something else."""
    try:
        with file.open(newline="") as lines:
            columns, *rows = csv.reader(line for line in lines if line.endswith("\n"))
    except (OSError, ValueError, csv.Error):
        return [], []
    if not set(FIRST) <= set(columns) or len(set(columns)) < len(columns):
        return [], []
    kept, before = [], (-1.0, 0.0)
    for row in (dict(zip(columns, values, strict=True)) for values in rows if len(values) == len(columns)):
        at = _place(row)
        if at is not None and before[0] < at[0] < epochs and before[1] < at[1] <= steps:
            kept.append(row)
            before = at
    return columns, kept


def _place(row):
    """Epoch and steps of a row, None if it is none."""
    try:
        numbers = {name: math.nan if x == "NA" else float(x) for name, x in row.items()}
    except ValueError:
        return None
    at = numbers["epoch"], numbers["steps"]
    return at if all(x.is_integer() for x in at) else None


def _write_rows(file, columns, rows):
    with aside(file) as partial, partial.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, columns, restval="NA")
        writer.writeheader()
        writer.writerows(rows)


class ProgressBar(keras.callbacks.Callback):
    """Show the steps, the time left and the return while an agent learns.

    Parameters
    ----------
    total_steps : int
        What is passed to `learn`.
    """

    def __init__(self, total_steps):
        super().__init__()
        interval = 0.2 if sys.stdout.isatty() else 5.0
        self.bar = keras.utils.Progbar(total_steps, stateful_metrics=["return"], interval=interval, unit_name="step")

    def on_epoch_end(self, epoch, logs=None):
        steps = min(int(logs["steps"]) - self.params["first_step"], self.bar.target)
        self.bar.update(steps, [("return", logs["return"])], finalize=steps == self.bar.target)


class EvaluateAndKeepBest(keras.callbacks.Callback):
    """Play episodes with the policy now and then, log their mean return, and keep the policy where it is highest.

    Each evaluation plays the same episodes, in environments of its own. It draws nothing from the generators of the
    training, which goes as it would without. `evaluation_return` is in the logs of each epoch, as of the last
    evaluation, for the callbacks that come after this one: early stopping, for instance.

    The first and the last epoch are always evaluated, the latter also where another callback stops the training, but
    not after a signal or an error. Where training goes on, with an agent that was loaded, so do the
    evaluations, and the best policy so far stays.

    Parameters
    ----------
    env : str, callable, gymnasium.vector.VectorEnv or agent
        To play in: an id, a function that makes one environment, or a vector environment with same-step autoreset that
        is not the one trained on. With an agent it is what that was made with; a single environment, of which there
        may be only one, or a vector environment is lent by the training between two updates.
    path : str or path
        Ending in `.keras`. Each time there is a better policy, a whole file takes the place of the last one; beside it
        a `.json` holds its steps and return, and those of all evaluations.
    episodes : int, >= 1
    every_steps : None or int, >= 1
        Environment steps between two evaluations; None is each epoch.
    deterministic : bool
        Take the most probable action, or draw one.
    seed : int, >= 0
        Of the environments, and of the actions if these are drawn.

    Attributes
    ----------
    best_return : None or float
        The highest mean return of an evaluation.
    best_steps : None or int
        The steps of the training after which the policy reached it.
    evaluations : list of [int, float]
        Steps and mean return of all evaluations.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> keeping = kg.agents.EvaluateAndKeepBest("CartPole-v1", "best.keras", every_steps=5_000)
    >>> stopping = keras.callbacks.EarlyStopping("evaluation_return", patience=10, mode="max")
    >>> callbacks = [keeping, stopping]  # of any agent's `learn`, in this order
    """

    def __init__(self, env, path, *, episodes=20, every_steps=10_000, deterministic=True, seed=1_000_000):
        super().__init__()
        for name, number, least in (("episodes", episodes, 1), ("every_steps", every_steps, 1), ("seed", seed, 0)):
            if (name, number) == ("every_steps", None):
                continue
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise ValueError(f"`{name}` must be an int >= {least}. Received: {name}={number!r}")
        self.path = Path(path)
        if self.path.suffix != ".keras":
            raise ValueError(f"`path` must end in .keras. Received: path={str(path)!r}")
        self.env, self.episodes, self.every_steps = env, episodes, every_steps
        self.deterministic, self.seed = deterministic, seed
        self.best_return, self.best_steps, self.evaluations = None, None, []

    def check_training(self):
        """Raise, before the training, if the policy could not be saved."""
        loadable.check_model("policy", self.model)

    def on_train_begin(self, logs=None):
        env = self.env.env if hasattr(self.env, "learn") else self.env
        envs = getattr(self.env, "envs", None) if env is not self.env else None
        self._lends = envs is not None and (envs is env or envs.num_envs == 1)
        self._envs = envs if self._lends else make_envs(env, min(self.episodes, 100))
        self._is_own = not self._lends and not isinstance(env, VectorEnv)
        self._steps = self.params["first_step"]
        if self._steps == 0:
            self.best_return, self.best_steps, self.evaluations = None, None, []
        elif self._record.is_file():
            with damage(self._record):
                record = json.loads(self._record.read_text())
                self.best_return, self.best_steps = float(record["return"]), int(record["steps"])
                # After a crash some may be of steps that are yet to be taken again.
                self.evaluations = [[int(n), float(x)] for n, x in record["evaluations"] if n <= self._steps]
        self._player = player(self.model, self.deterministic, self.seed)

    def on_epoch_end(self, epoch, logs=None):
        steps, every = int(logs["steps"]), self.every_steps or 1
        is_last = epoch + 1 == self.params["epochs"] or steps >= self.params.get("last_step", math.inf)
        if not self.evaluations or is_last or steps // every > self._steps // every:
            self.evaluations.append([steps, self._evaluate().mean])
            self._keep(*self.evaluations[-1])
        self._steps = steps
        logs["evaluation_return"] = self.evaluations[-1][1]

    def on_train_end(self, logs=None):
        try:
            # Whoever sends a signal does not wait for evaluations; a resumed training is evaluated when it is due.
            if (
                logs
                and not isinstance(self.model.stop_training, signal.Signals)
                and self._steps > self.evaluations[-1][0]
            ):
                self.evaluations.append([self._steps, self._evaluate().mean])
                self._keep(*self.evaluations[-1])
        finally:
            if self._is_own:
                self._envs.close()

    @property
    def _record(self):
        return self.path.with_suffix(".json")

    def _keep(self, steps, mean_return):
        if self.best_return is None or math.isnan(self.best_return) or mean_return > self.best_return:
            self.best_return, self.best_steps = mean_return, steps
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with aside(self.path) as file:
                self.model.save(file)
        record = {"steps": self.best_steps, "return": self.best_return, "evaluations": self.evaluations}
        with aside(self._record) as file:
            file.write_text(json.dumps(record) + "\n")

    def _evaluate(self):
        if self._lends:
            self.env.lend()
        return evaluate(self._envs, self._player(), self.episodes, self.seed)
