"""Keras callbacks for agents."""

import json
import math
import sys
from pathlib import Path

import keras
from gymnasium.vector import VectorEnv

from kgdists.agents.acting import player
from kgdists.agents.envs import make_envs
from kgdists.agents.files import aside, damage
from kgdists.agents.rollout import evaluate

__all__ = ["EvaluateAndKeepBest", "MetricsFile", "ProgressBar"]


class MetricsFile(keras.callbacks.CSVLogger):
    """Keras' CSV logger with steps and return in front, and no columns for validation, which agents lack."""

    def on_epoch_end(self, epoch, logs=None):
        self.keys = self.keys or ["steps", "return", *sorted(logs.keys() - {"steps", "return"})]
        super().on_epoch_end(epoch, logs)


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

    The first and the last epoch are always evaluated. Where training goes on, with an agent that was loaded, so do the
    evaluations, and the best policy so far stays.

    Parameters
    ----------
    env : str, callable or gymnasium.vector.VectorEnv
        To play in: an id, a function that makes one environment, or a vector environment with same-step autoreset that
        is not the one trained on.
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

    def on_train_begin(self, logs=None):
        self._envs = make_envs(self.env, min(self.episodes, 100))
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
        is_last = epoch + 1 == self.params["epochs"]
        if not self.evaluations or is_last or steps // every > self._steps // every:
            self.evaluations.append([steps, self._evaluate().mean])
            self._keep(*self.evaluations[-1])
        self._steps = steps
        logs["evaluation_return"] = self.evaluations[-1][1]

    def on_train_end(self, logs=None):
        if not isinstance(self.env, VectorEnv):
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
        return evaluate(self._envs, self._player(), self.episodes, self.seed)
