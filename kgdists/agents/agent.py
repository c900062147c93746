"""The contract of an agent: learn in the loop of Keras' callbacks, be evaluated, act, be saved and loaded."""

import contextlib
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import keras
import numpy as np
from gymnasium.vector import VectorEnv

from kgdists.agents.acting import CompiledPolicy
from kgdists.agents.config import Config
from kgdists.agents.other_names import HINTS, OTHER_NAMES, check_positions, check_settings
from kgdists.agents.seeds import Seeds
from kgdists.core.callback_list import Callbacks, as_callbacks, run_epochs
from kgdists.core.checks import count
from kgdists.core.did_you_mean import suggests
from kgdists.core.progress import ProgressBar, Verbosity, verbosity
from kgdists.core.types import Integer
from kgdists.envs.array_observations import Encoding
from kgdists.envs.evaluation import Evaluation, step_limit
from kgdists.envs.given_env import is_alone
from kgdists.envs.inputs import Inputs, unmasked_space
from kgdists.envs.make import Env, make_others
from kgdists.envs.play import evaluate
from kgdists.envs.player import decider, predictor
from kgdists.policy import Policy
from kgdists.runs import checkpoint
from kgdists.runs.callbacks import EvaluateAndKeepBest
from kgdists.runs.checkpoint import Ownership
from kgdists.runs.keras_callbacks import adapted

__all__ = ["Agent"]


class Agent:
    """A policy, the environments it acts in, and the steps it has taken there.

    An algorithm is a subclass that sets `name`, `Config` and the attributes below, calls `_prepare_acting`, and defines
    `_train_epoch`, `arrays` and `restore`.

    Attributes
    ----------
    config : Config
    env : str, callable, gymnasium.Env or gymnasium.vector.VectorEnv
        What the agent was made with.
    envs : gymnasium.vector.VectorEnv
        The environments it acts in.
    policy : kgdists.Policy
    steps : int
        Steps of all environments together, so far.
    is_sound : bool
        Whether a checkpoint of it is one to go on from.
    checkpoint : None or Path
        The last checkpoint that it was saved to or loaded from.
    """

    Config: ClassVar[type[Config]]
    MODELS: ClassVar[tuple[str, ...]] = ("policy",)  # attributes that are Keras models, each a file of a checkpoint
    HAS_ROLLOUTS: ClassVar[bool] = False  # whether its arrays have one row for each environment
    LEARNS_FROM_ROLLOUTS: ClassVar[bool] = False  # whether others may collect the rollouts that it learns from

    config: Any
    env: Env
    envs: VectorEnv
    policy: Policy
    steps: int
    is_sound: bool
    checkpoint: Path | None
    owned: Ownership

    def __new__(cls, *args: Any, num_seeds: Integer | None = None, **settings: Any) -> Self:
        check_positions(cls, args)
        if num_seeds is None:
            return super().__new__(cls)
        # Several agents, which have what is used of one: `learn`, `evaluate`, `policies`, `save`.
        return cast(Self, Seeds(cls, args[0] if args else settings.pop("env", None), num_seeds, **settings))

    @property
    def policies(self) -> list[Policy]:
        """The policy, in a list as those of several seeds are."""
        return [self.policy]

    def _prepare_acting(self, example: Any) -> None:
        """Set what acting and files need, once there are `policy` and `envs`; `example` is a batch of one observed."""
        self._like, self._decide = example, decider(self.policy, deterministic=False)
        self._players: dict[int, CompiledPolicy] = {}
        space = self.envs.single_action_space
        self._predict = predictor(
            self.policy,
            space,
            Inputs(example, unmasked_space(self.envs), space, Encoding.of(vars(self.config))),
            example,
        )
        self.checkpoint, self.owned = None, Ownership()

    # What a subclass defines.

    @property
    def name(self) -> str:
        """By which files and the command line know the algorithm; a class attribute of most."""
        raise NotImplementedError(f"{type(self).__name__} must define `name`")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names that its agents may have."""
        return (cls.name,)  # type: ignore[return-value]  # a class attribute

    @property
    def epochs(self) -> int:
        """Epochs of callbacks, so far."""
        raise NotImplementedError(f"{type(self).__name__} must define `epochs`")

    def _train_epoch(self) -> dict[str, Any]:
        """Train for one epoch: the logs of it, with `steps`, those taken so far."""
        raise NotImplementedError(f"{type(self).__name__} must define `_train_epoch`")

    def arrays(self) -> dict[str, np.ndarray]:
        """Name -> array of all that training changes and the models' files do not hold."""
        raise NotImplementedError(f"{type(self).__name__} must define `arrays`")

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from the arrays of an agent whose models this one has."""
        raise NotImplementedError(f"{type(self).__name__} must define `restore`")

    def _check_learning(self, total_steps: int) -> None:
        """Raise, before a training, if the agent cannot be trained."""

    def _last_epoch(self, total_steps: int) -> int | None:
        """How many epochs there will be after this many more steps; None if that is not known beforehand."""
        return None

    def _settling_soundness(self) -> contextlib.AbstractContextManager[Any]:
        """Around the epochs of a training: where an error ends it, settle whether the agent `is_sound`."""
        return contextlib.nullcontext()

    @property
    def is_compiled(self) -> bool:
        """Whether environments, policy and updates are one program."""
        return False

    def share_program(self, other: Self) -> None:
        """Run the compiled program of another agent; here there is none that two could share."""

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files, where several share the updates."""
        return True

    @property
    def starts_new_episodes(self) -> bool:
        """Whether the episodes that were being played are lost, and training goes on with new ones."""
        return False

    @property
    def recent_returns(self) -> Any:
        """Undiscounted returns of the last 100 episodes of the training."""
        raise NotImplementedError(f"{type(self).__name__} must define `recent_returns`")

    @property
    def recent_lengths(self) -> Any:
        """Lengths of the last 100 episodes of the training."""
        raise NotImplementedError(f"{type(self).__name__} must define `recent_lengths`")

    @property
    def lends(self) -> bool:
        """Whether evaluations play in its environments, if not told otherwise, and not in others of that number."""
        return True

    def lend(self) -> VectorEnv:
        """The environments of the training, for others to play in until it goes on, with its own episodes again.

        There may be no more of them: a robot, a licence.
        """
        return self.envs

    # What follows from it.

    @suggests(OTHER_NAMES, HINTS)
    def learn(
        self, total_steps: Integer | float, callbacks: Callbacks = None, verbose: Verbosity = "auto"
    ) -> keras.callbacks.History:
        """Train for a number of environment steps, rounded up to whole epochs.

        Where a training goes on whose schedules are at their end, so that nothing would be learned, they are stretched
        to all of its steps; a warning says so.

        Parameters
        ----------
        total_steps : int, >= 1
            Steps of all environments together, on top of those already taken; 1e6 is a whole number too.
        callbacks : None, keras.callbacks.Callback or sequence of them
            `callback.model` is the policy. A `keras.callbacks.TensorBoard` gets the axis and the tags of
            `kgdists.agents.TensorBoard`; a `ProgbarLogger` is `verbose=1`.
        verbose : {"auto", 0, 1, 2}
            As for Keras' `fit`: 0 is silence, 1 a line with steps, time left, return, length and speed, 2 such a line
            for each epoch; "auto" is 1.

        Returns
        -------
        keras.callbacks.History
            One entry per epoch of `return` and `length` (means of the last 100 episodes), `steps`, and the losses
            and diagnostics of the epoch.

        Raises
        ------
        FloatingPointError
            If a loss or a weight stops being finite.
        ValueError
            If the agent's own networks have parts that it cannot train, such as Dropout, or for a callback that cannot
            work.
        """
        total_steps = count("total_steps", _whole(total_steps))
        level, given = verbosity(verbose), as_callbacks(callbacks)
        if any(type(callback) is keras.callbacks.ProgbarLogger for callback in given):
            given = [callback for callback in given if type(callback) is not keras.callbacks.ProgbarLogger]
            level = level or 1
        callbacks = adapted(given, getattr(self.config, "learning_rate", None))
        self._check_learning(total_steps)
        if level and self.is_chief:
            planned = self.config.num_steps(total_steps) or total_steps
            callbacks.append(ProgressBar(planned, cast(Verbosity, level), self.config.log_info))
        for callback in callbacks:
            if isinstance(callback, EvaluateAndKeepBest):
                callback.meet(self)
        if level and self.is_compiled and isinstance(self.env, str) and self.config.vectorization == "auto":
            print(f"{self.env} is compiled into one program with the agent; vectorization=sync steps it in Python")
        try:
            return run_epochs(
                self._train_epoch,
                self.policy,
                callbacks,
                epoch=self.epochs,
                last_epoch=self._last_epoch(total_steps),
                first_step=self.steps,
                last_step=self.steps + total_steps,
                within=self._settling_soundness(),
            )
        finally:
            if is_alone(self.env):  # in which whoever gave it may play until the training goes on
                self.lend()

    @suggests(OTHER_NAMES, HINTS)
    def evaluate(
        self,
        episodes: Integer = 100,
        deterministic: bool = True,
        seed: Integer | None = None,
        max_steps: Integer | None = None,
        eval_envs: Integer | None = None,
    ) -> Evaluation:
        """Play whole episodes without training.

        They are played in the environments of the training, whose episodes are replayed when it resumes.

        Parameters
        ----------
        episodes : int, >= 1
        deterministic : bool
            Take the most probable action, or draw one.
        seed : None or int, >= 0
            Of the environments and of drawn actions: episodes that no training with this seed, nor an evaluation with
            another, starts with.
        max_steps : None or int, >= 1
            Steps after which an episode is cut off, and counted as such. None: 10,000, but no less than the limit of
            the environment, nor than twice the longest of the last 100 episodes.
        eval_envs : None or int, >= 1
            Play in this many new environments, made of what the agent was made with. None: in those of the training,
            or in as many new ones where episodes of these cannot be repeated.

        Returns
        -------
        Evaluation, with `mean`, `std`, `returns`, `lengths` and `cut`.

        Raises
        ------
        ValueError
            For `eval_envs` where there are no other environments than those that were given.
        """
        episodes, seed = count("episodes", episodes), count("seed", seed, least=0, most=2**62, optional=True)
        max_steps = step_limit(self.envs, max_steps, max(self.recent_lengths, default=0))
        if eval_envs is None and self.lends:
            envs = self.lend()
            return evaluate(envs, self._player(envs.num_envs, deterministic, seed), episodes, seed, max_steps)
        num_envs = self.envs.num_envs if eval_envs is None else eval_envs
        with contextlib.closing(make_others(self.env, num_envs, episodes, Encoding.of(vars(self.config)))) as envs:
            return evaluate(envs, self._player(envs.num_envs, deterministic, seed), episodes, seed, max_steps)

    def _player(self, num_envs, deterministic, seed):
        """What acts in this many environments: observations -> actions."""
        if deterministic:
            if num_envs not in self._players:
                self._players[num_envs] = CompiledPolicy(self.policy, self._like, num_envs, deterministic)
            actor = self._players[num_envs]
            (draw,), act = actor.draws(np.zeros((1, 2), "int64")), actor.acting()
            return lambda observations: act(observations, draw)
        return self._decide if seed is None else _with_keys(self._decide, seed)

    def predict(self, observations: Any, deterministic: bool = True) -> Any:
        """Actions for the environment.

        Parameters
        ----------
        observations : value of the observation space, or a batch of them
            As the environment's `reset` and `step` return them, or arrays as the policy takes them.
        deterministic : bool
            Take the most probable action, or draw one.

        Returns
        -------
        numpy array, shape [*action_shape] or [B, *action_shape], of the action space's dtype, or what else the action
        space consists of.
        """
        return self._predict(observations, deterministic)

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Save the agent to a run folder, as `checkpoints/STEPS.zip`, beside the checkpoint before it.

        It has all that training goes on from: models, optimizers, random counters, the episodes being played. The
        folder also gets `config.json` and `policy.keras`. Each file is a whole one at any time, or not there: it is
        written aside and then renamed. Of several processes that share the updates only the chief writes.

        Parameters
        ----------
        path : str or path
            A run folder: a new one, or that of the run that the agent is of.
        overwrite : bool
            Whether to put this run in the place of another that is there.

        Raises
        ------
        ValueError
            If the folder is another run's, or another agent has saved to it since this one was loaded or saved.
        FloatingPointError
            If weights, statistics or what else training goes on from are not finite: nothing is written then.
        """
        if self.is_chief:
            self.checkpoint = checkpoint.save(self, path, overwrite)

    @classmethod
    def load(cls, path: str | Path, env: Env | None = None, **settings: Any) -> Self:
        """Load an agent that `save` wrote, which goes on as the saved one would have.

        Parameters
        ----------
        path : str or path
            A run folder, for its last checkpoint that is not damaged, or a checkpoint.
        env : None, str, callable, gymnasium.Env or gymnasium.vector.VectorEnv
            May be left out if the agent was made with an id.
        **settings
            With which training goes on, instead of the agent's: any but those in `Config.FIXED`.

        Returns
        -------
        Agent of the class

        Raises
        ------
        ValueError
            If there is no checkpoint of the class that can be read, or a setting may not change.
        TypeError
            For what is no setting of the agent.
        """
        cls._check_changes(settings)
        return checkpoint.load(cls, path, env, settings)

    @classmethod
    def _check_changes(cls, settings: Mapping[str, Any]) -> None:
        """Raise unless a trained agent may change these settings."""
        check_settings(cls.Config, settings)
        for name, value in settings.items():
            if name in cls.Config.FIXED:
                raise ValueError(
                    f"A trained agent keeps what its networks, random numbers and epochs are made of: make a new one "
                    f"for another `{name}`. Received: {name}={value!r}"
                )

    def _diverged(self, bad: list[str], hint: str = "") -> FloatingPointError:
        """The error of a training in which these numbers are not finite."""
        good = f". The last good checkpoint is {self.checkpoint}" if self.checkpoint else ""
        return FloatingPointError(
            f"Training diverged after {self.steps} steps: {', '.join(bad)} not finite{good}{hint}"
        )


def _whole(x):
    """A number such as 1e6 as an int, all else as it is."""
    return int(x) if isinstance(x, (float, np.floating)) and float(x).is_integer() else x


def _with_keys(decide: Callable[..., Any], seed: int) -> Callable[[Any], Any]:
    """`decide` with keys of a seed, one for each call."""
    numbers = itertools.count()
    return lambda observations: decide(observations, np.array([seed, next(numbers)]))
