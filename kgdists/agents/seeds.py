"""Copies of an agent that differ in their seeds, trained side by side."""

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Self, TypeAlias

import joblib
import keras
import numpy as np
from gymnasium.vector import VectorEnv

from kgdists.core.callback_list import Callbacks, as_callbacks
from kgdists.core.checks import count, in_short
from kgdists.core.progress import Verbosity
from kgdists.core.types import Integer
from kgdists.envs.evaluation import Evaluation
from kgdists.envs.given_env import is_alone
from kgdists.envs.make import Env
from kgdists.policy import Policy
from kgdists.runs.seed_folders import seed_folder, seed_folders

__all__ = ["Seeds"]

# Settings in which agents may differ that run one program.
OF_EACH = ("seed", "learning_rate", "ent_coef")
SEQUENCES = ("hidden_units", "leave_out", "log_info")  # settings that are lists themselves

OwnCallbacks: TypeAlias = Callable[[Any], Callbacks]


class Seeds:
    """Independent agents of one kind, each with a seed of its own, trained side by side.

    In a compiled environment they run one program, which is compiled once, in as many threads as there are processors;
    in other environments each processor has a process. Each agent learns what it would learn alone.

    Parameters
    ----------
    agent : class
        Of the agents: `kgdists.agents.PPO` and the like, which take `num_seeds` themselves.
    env : str, callable or kgdists.envs.CompiledEnv
        An id, a function that makes one environment, or a compiled one.
    num_seeds : int, >= 1
    **settings
        Of the agents. `seed` is that of the first; the others have the numbers that follow. A list has a value for each
        agent.

    Attributes
    ----------
    agents : list of kgdists.agents.Agent
    errors : list of None or Exception
        What ended the last training of each, None where nothing did. An agent that had a process of its own is then
        what it was before.
    stop_training : object
        Set to True, or to a signal, it ends all trainings in this process, each after its present epoch.

    Raises
    ------
    ValueError
        For environments or networks themselves, which there is one of, or a list of another length.

    Examples
    --------
    >>> import kgdists as kg
    >>> seeds = kg.agents.PPO("CartPole-v1", num_seeds=2, vectorization="compiled", n_steps=32, seed=0)
    >>> histories = seeds.learn(2048, verbose=0)
    >>> len(seeds.policies), seeds.agents[1].config.seed
    (2, 1)
    """

    def __init__(self, agent: type[Any], env: Env, num_seeds: Integer, **settings: Any) -> None:
        num_seeds = count("num_seeds", num_seeds)
        if isinstance(env, VectorEnv) or is_alone(env):
            raise ValueError(
                "Agents with seeds of their own need environments of their own: pass an id, or a function that makes "
                f"one. Received: env={in_short(env)}"
            )
        given = [name for name in ("policy", "value", "strategy") if settings.get(name) is not None]
        if given:
            raise ValueError(f"Agents with seeds of their own make their own networks. Received: {', '.join(given)}")
        each = [{name: _of(i, name, x, num_seeds) for name, x in settings.items()} for i in range(num_seeds)]
        self._gather([agent(env, **own) for own in each])

    def _gather(self, agents):
        """Let these agents run the program of the first, where one does for them."""
        self.agents: list[Any] = agents
        self.errors: list[Exception | None] = [None] * len(agents)
        self.stop_training: Any = None
        for other in agents[1:]:
            if other.is_compiled and _is_alike(agents[0].config, other.config):
                other.share_program(agents[0])

    @classmethod
    def of(cls, agents: Sequence[Any]) -> Self:
        """Agents that there are, of one class."""
        made = cls.__new__(cls)
        made._gather(list(agents))
        return made

    @property
    def policies(self) -> list[Policy]:
        """Their policies, ordinary ones."""
        return [agent.policy for agent in self.agents]

    @property
    def steps(self) -> int:
        """Steps of all agents together, so far."""
        return sum(agent.steps for agent in self.agents)

    def learn(
        self,
        total_steps: Integer | float | Sequence[Integer],
        callbacks: OwnCallbacks | None = None,
        verbose: Verbosity = "auto",
    ) -> list[keras.callbacks.History]:
        """Train all of them, each as its own `learn` does.

        Parameters
        ----------
        total_steps : int, >= 1, or list of them
            Of each agent.
        callbacks : None or callable
            An agent -> its callbacks; `agent.config.seed` tells which it is.
        verbose : {"auto", 0, 1, 2}
            As for the `learn` of one; what is shown is the progress of the first.

        Returns
        -------
        list of keras.callbacks.History

        Raises
        ------
        ValueError
            For callbacks that all would have in common.
        Exception
            What ended the training of one, the first in `errors`, once the others have ended theirs.
        """
        if not (callbacks is None or callable(callbacks)):
            raise ValueError(
                "`callbacks` must be None, or a function of an agent to its own ones. "
                f"Received: {as_callbacks(callbacks)!r}"
            )
        steps = list(total_steps) if isinstance(total_steps, Sequence) else [total_steps] * len(self.agents)
        if len(steps) != len(self.agents):
            raise ValueError(f"`total_steps` must be one number, or one for each agent. Received: {total_steps}")
        train = self._in_threads if self.agents[0].is_compiled else self._in_processes
        self.stop_training = None
        trained = train(steps, callbacks, verbose)
        self.errors = [x if isinstance(x, Exception) else None for x in trained]
        for error in filter(None, self.errors):
            raise error
        return trained

    def _in_threads(self, steps, callbacks, verbose):
        """The history of each, or what ended it."""
        with ThreadPoolExecutor(_at_once(len(self.agents))) as pool:
            trainings = []
            for i, agent in enumerate(self.agents):
                own = [_StopsWithAll(self), *as_callbacks(callbacks and callbacks(agent))]
                trainings.append(pool.submit(agent.learn, steps[i], own, verbose if i == 0 else 0))
            try:
                wait(trainings)
            except BaseException:  # an interrupt, which other threads do not see
                self.stop_training = True
                raise
        return [training.exception() or training.result() for training in trainings]

    def _in_processes(self, steps, callbacks, verbose):
        with tempfile.TemporaryDirectory() as folder:
            jobs = []
            for i, agent in enumerate(self.agents):
                kept = agent.checkpoint, agent.owned
                agent.save(seed_folder(folder, i), overwrite=True)
                agent.checkpoint, agent.owned = kept
                shown = verbose if i == 0 else 0
                jobs.append((type(agent), seed_folder(folder, i), agent.env, steps[i], callbacks, shown))
            trained = joblib.Parallel(_at_once(len(jobs)))(joblib.delayed(_learn)(*job) for job in jobs)
            for i, agent in enumerate(self.agents):
                if not isinstance(trained[i], Exception):
                    _take_over(agent, type(agent).load(seed_folder(folder, i), agent.env))
        return [
            x if isinstance(x, Exception) else _history(agent, *x)
            for agent, x in zip(self.agents, trained, strict=True)
        ]

    def evaluate(self, episodes: Integer = 100, **options: Any) -> list[Evaluation]:
        """Play whole episodes with each agent; arguments as for its own `evaluate`."""
        return [agent.evaluate(episodes, **options) for agent in self.agents]

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Save each agent to a run folder of its own, `path/seed_0` and so on."""
        for i, agent in enumerate(self.agents):
            agent.save(seed_folder(path, i), overwrite)

    @classmethod
    def load(cls, agent: type[Any], path: str | Path, env: Env | None = None, **settings: Any) -> Self:
        """Load what `save` wrote: agents of a class, which go on as those would have.

        Raises
        ------
        ValueError
            If there are no run folders of seeds.
        """
        folders = seed_folders(path)
        if not folders:
            raise ValueError(f"There must be the run folders of seeds, seed_0 and so on. Received: {path}")
        return cls.of([agent.load(folder, env, **settings) for folder in folders])


class _StopsWithAll(keras.callbacks.Callback):
    """Ends the training of one agent when all are to end, be it before its turn has come."""

    def __init__(self, seeds: Seeds) -> None:
        super().__init__()
        self.seeds = seeds

    def on_train_begin(self, logs: Any = None) -> None:
        if self.seeds.stop_training:
            self.model.stop_training = self.seeds.stop_training

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.on_train_begin()


def _at_once(num_agents):
    return min(num_agents, os.cpu_count() or 1)


def _learn(cls, folder, env, total_steps, callbacks, verbose):
    """Train one agent in a process of its own; return its epochs and history, or what ended it."""
    try:
        agent = cls.load(folder, env)
        history = agent.learn(total_steps, callbacks and callbacks(agent), verbose)
        agent.save(folder)
    except Exception as error:
        return error
    return history.epoch, history.history


def _history(agent, epoch, history):
    made = keras.callbacks.History()
    made.set_model(agent.policy)
    made.epoch, made.history = epoch, history
    return made


def _take_over(agent, trained):
    """Go on where another agent of the same settings is."""
    for name in agent.MODELS:
        for variable, other in zip(getattr(agent, name).variables, getattr(trained, name).variables, strict=True):
            variable.assign(other)
    agent.restore(trained.arrays())


def _of(index, name, value, num_seeds):
    """A setting of one agent."""
    if isinstance(value, (list, np.ndarray)) and name not in SEQUENCES:
        if len(value) != num_seeds:
            raise ValueError(f"`{name}` must be one value, or one for each of {num_seeds} seeds. Received: {value}")
        return value[index].item() if isinstance(value[index], np.generic) else value[index]
    if name == "seed" and value is not None:
        return count("seed", value, least=0) + index
    return value


def _is_alike(config, other):
    """Whether one program does for both: they differ in numbers alone that are read from variables."""
    one, two = ({name: x for name, x in vars(settings).items() if name not in OF_EACH} for settings in (config, other))
    rates: Any = [getattr(settings, "learning_rate", None) for settings in (config, other)]
    return one == two and (all(isinstance(x, float) for x in rates) or rates[0] is rates[1])
