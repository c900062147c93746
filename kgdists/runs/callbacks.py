"""Keras callbacks for agents."""

import json
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import keras
from gymnasium.vector import VectorEnv

from kgdists.core.checks import count, number
from kgdists.core.files import atomic_write, reading
from kgdists.core.run_warning import RunWarning
from kgdists.core.types import Integer
from kgdists.envs.array_observations import Encoding
from kgdists.envs.given_env import is_alone
from kgdists.envs.make import Env, make_envs, make_others
from kgdists.envs.play import evaluate
from kgdists.envs.player import make_player
from kgdists.runs import checkpoint, loadable

__all__ = ["Checkpoints", "EvaluateAndKeepBest", "StopOnSignal"]


DEFAULT_ENVS = 8  # for evaluations of a training whose agent is not known


class Playing(Protocol):
    """An agent as `EvaluateAndKeepBest` knows it: what it was made with, and its environments, which it may lend."""

    @property
    def env(self) -> Env: ...

    @property
    def envs(self) -> VectorEnv: ...

    @property
    def config(self) -> Any: ...

    @property
    def lends(self) -> bool: ...

    def lend(self) -> VectorEnv: ...


class EvaluateAndKeepBest(keras.callbacks.Callback):
    """Play episodes with the policy now and then, log their mean return, and keep the policy where it is highest.

    Each evaluation plays the same episodes. It draws nothing from the generators of the training, which goes as it
    would without: episodes of environments that it lends are replayed when it resumes. `evaluation_return` is in the
    logs of each epoch, as of the last evaluation, for the callbacks that come after this one: early stopping, for
    instance.

    The first and the last epoch are always evaluated, the latter also where another callback stops the training, but
    not after a signal or an error. Where training goes on, with an agent that was loaded, so do the
    evaluations, and the best policy so far stays.

    Parameters
    ----------
    env : str, callable, gymnasium.Env, gymnasium.vector.VectorEnv or agent
        To play in. With an id, or a function that makes one environment, there are as many new ones as the agent has,
        though no more than episodes. With the agent, or with the very environment or vector environment that it was
        made with, the training lends its own between two updates, unless their episodes cannot be repeated and others
        can be made.
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
    eval_envs : None or int, >= 1
        Play in this many new environments.
    max_steps : None or int, >= 1
        Steps after which an episode is cut off, which a warning says; see `Agent.evaluate`.

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

    def __init__(
        self,
        env: Env | Playing,
        path: str | Path,
        *,
        episodes: Integer = 20,
        every_steps: Integer | None = 10_000,
        deterministic: bool = True,
        seed: Integer = 1_000_000,
        eval_envs: Integer | None = None,
        max_steps: Integer | None = None,
    ) -> None:
        super().__init__()
        episodes, seed = count("episodes", episodes), count("seed", seed, least=0)
        every_steps = None if every_steps is None else count("every_steps", every_steps)
        self.path = Path(path)
        if self.path.suffix != ".keras":
            raise ValueError(f"`path` must end in .keras. Received: path={str(path)!r}")
        self.env: Any = env
        self.episodes, self.every_steps = episodes, every_steps
        self.deterministic, self.seed = deterministic, seed
        self.eval_envs = count("eval_envs", eval_envs, optional=True)
        self.max_steps = count("max_steps", max_steps, optional=True)
        self._agent: Playing | None = None
        self._has_said_cut = False
        self.best_return: float | None = None
        self.best_steps: int | None = None
        self.evaluations: list[list[Any]] = []

    def check_training(self) -> None:
        """Raise, before the training, if the policy could not be saved."""
        loadable.check_model("policy", self.model)

    def meet(self, agent: Playing) -> None:
        """Know the agent that is about to train, whose environments these may be."""
        self._agent = agent

    def on_train_begin(self, logs: Any = None) -> None:
        self._lender, self._envs, self._is_own = self._find_envs()
        self._steps = self.params["first_step"]
        if self._steps == 0:
            self.best_return, self.best_steps, self.evaluations = None, None, []
        elif self._record.is_file():
            with reading(self._record):
                record = json.loads(self._record.read_text())
                self.best_return, self.best_steps = float(record["return"]), int(record["steps"])
                # After a crash some may be of steps that are yet to be taken again.
                self.evaluations = [[int(n), float(x)] for n, x in record["evaluations"] if n <= self._steps]
        self._player = make_player(self.model, self.deterministic, self.seed)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        steps, every = int(logs["steps"]), self.every_steps or 1
        is_last = epoch + 1 == self.params["epochs"] or steps >= self.params.get("last_step", math.inf)
        if not self.evaluations or is_last or steps // every > self._steps // every:
            self.evaluations.append([steps, self._evaluate().mean])
            self._keep(*self.evaluations[-1])
        self._steps = steps
        logs["evaluation_return"] = self.evaluations[-1][1]

    def on_train_end(self, logs: Any = None) -> None:
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
            self._agent = None

    @property
    def _record(self):
        return self.path.with_suffix(".json")

    def _keep(self, steps, mean_return):
        if self.best_return is None or math.isnan(self.best_return) or mean_return > self.best_return:
            self.best_return, self.best_steps = mean_return, steps
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.path) as file:
                self.model.save(file)
        record = {"steps": self.best_steps, "return": self.best_return, "evaluations": self.evaluations}
        with atomic_write(self._record) as file:
            file.write_text(json.dumps(record) + "\n")

    def _find_envs(self):
        """Who lends environments, if anyone, the environments, and whether they are to be closed."""
        agent, env = self._agent, self.env
        if not (isinstance(env, (str, gymnasium.Env, VectorEnv)) or callable(env)):
            agent, env, is_lent = env, env.env, env.lends
        else:
            is_lent = agent is not None and agent.env is env and (isinstance(env, VectorEnv) or is_alone(env))
        if agent is not None and self.eval_envs is None and is_lent:
            return agent, agent.envs, False
        if self.eval_envs is None and (isinstance(env, VectorEnv) or is_alone(env)):
            return None, make_envs(env, 1), False
        num_envs = self.eval_envs or (DEFAULT_ENVS if agent is None else agent.envs.num_envs)
        encoding = None if agent is None else Encoding.of(vars(agent.config))
        return None, make_others(env, num_envs, self.episodes, encoding), True

    def _evaluate(self):
        if self._lender is not None:
            self._lender.lend()
        evaluation = evaluate(self._envs, self._player(), self.episodes, self.seed, self.max_steps)
        if evaluation.cut and not self._has_said_cut:
            self._has_said_cut = True
            warnings.warn(
                f"{evaluation.cut} of {self.episodes} episodes of an evaluation were cut off after "
                f"{max(evaluation.lengths)} steps, where the environment does not end them; `max_steps` sets another "
                "limit",
                RunWarning,
                stacklevel=4,
            )
        return evaluation


class Checkpoints(keras.callbacks.Callback):
    """Save an agent while it learns, and at the end, also where an environment's error ends it.

    Saving changes nothing of the training. Put it behind the other callbacks: what they have written belongs to the
    checkpoint then. Training that diverged is not saved.

    Parameters
    ----------
    agent : Agent
    path : str or path
        A run folder: a new one, or that of the run that the agent is of, see `Agent.save`.
    every_seconds : float, >= 0
        Time between two checkpoints; 0 is after each epoch. Where saving is slow, as with a large replay, it takes a
        thirtieth of the time at most.
    overwrite : bool
        Whether to put this run in the place of another that is there.

    Raises
    ------
    ValueError
        Where training begins, if the folder is another run's.

    Examples
    --------
    >>> import tempfile, kgdists as kg
    >>> agent, run = kg.agents.PPO("CartPole-v1", num_envs=2, n_steps=32, seed=0), tempfile.mkdtemp()
    >>> history = agent.learn(128, [kg.agents.Checkpoints(agent, run)], verbose=0)
    >>> kg.agents.PPO.load(run).steps
    128
    """

    def __init__(self, agent: Any, path: str | Path, every_seconds: float = 60.0, overwrite: bool = False) -> None:
        super().__init__()
        every_seconds = math.inf if every_seconds == math.inf else number("every_seconds", every_seconds, least=0)
        self.agent, self.path, self.every_seconds, self.overwrite = agent, path, every_seconds, overwrite

    def check_training(self) -> None:
        """Raise, before the training, if the agent could not be saved."""
        if self.agent.is_chief:  # which alone writes
            loadable.check_agent(self.agent)
            checkpoint.check_own(self.agent, self.path, self.overwrite)

    def on_train_begin(self, logs: Any = None) -> None:
        self.check_training()
        self._saved = self.agent.steps if self.agent.checkpoint else None
        self._due = time.monotonic() + self.every_seconds

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if time.monotonic() >= self._due:
            self._save()

    def on_train_end(self, logs: Any = None) -> None:
        if self.agent.is_sound and self.agent.steps != self._saved:
            self._save()

    def _save(self):
        start = time.monotonic()
        self.agent.save(self.path, self.overwrite)
        self.overwrite = False  # what is there from now on is its own
        end = time.monotonic()
        self._saved = self.agent.steps
        self._due = end + self.every_seconds
        if self.every_seconds:
            self._due = max(self._due, end + 30.0 * (end - start))


class StopOnSignal(keras.callbacks.Callback):
    """End training after the present epoch when the process is interrupted (Ctrl-C) or told to end.

    The second time it is ended at once. Outside the main thread, which alone gets signals, this does nothing.

    Parameters
    ----------
    say : callable
        Called with a line of text at the first signal.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)
    ends_last = True  # a signal must not end the process while others save

    def __init__(self, say: Callable[[str], Any] = print) -> None:
        super().__init__()
        self.say = say
        self.signal: signal.Signals | None = None  # that ended the training
        self._before: dict[signal.Signals, Any] = {}

    @property
    def is_stopped(self) -> bool:
        """Whether a signal ended the training."""
        return self.signal is not None

    def on_train_begin(self, logs: Any = None) -> None:
        self.signal = None
        if threading.current_thread() is threading.main_thread():
            # What a shell starts in the background ignores SIGINT, and is to go on doing so.
            heard = [number for number in self.SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._stop) for number in heard}

    def on_train_end(self, logs: Any = None) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def _stop(self, number, frame):
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = self.model.stop_training = signal.Signals(number)  # which is true, and says why
        self.say("stopping after this update; once more to stop at once")
