"""The base of agents that act step by step and learn from rollouts, by gradients."""

import contextlib
import dataclasses
import functools
import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import keras
import numpy as np
import tensorflow as tf
from gymnasium.vector import VectorEnv
from keras import tree

from kgdists.agents import schedules
from kgdists.agents.acting import CompiledPolicy, RolloutActions
from kgdists.agents.agent import Agent
from kgdists.agents.compiled_rollout import Ends
from kgdists.agents.compiled_training import CompiledTraining
from kgdists.agents.config import TrainingConfig
from kgdists.agents.networks import check_trainable, largest, policy_network
from kgdists.agents.other_names import check_policy, check_settings
from kgdists.agents.replicas import Replicas
from kgdists.core import backend
from kgdists.core.run_warning import RunWarning
from kgdists.core.sharing import places, trainable
from kgdists.encoders.arrays import example_observation
from kgdists.envs.array_observations import Encoding
from kgdists.envs.episode_record import records_episodes
from kgdists.envs.functional.vector_env import CompiledVectorEnv
from kgdists.envs.given_env import is_alone
from kgdists.envs.make import Env, make_envs
from kgdists.envs.player import NotANumber
from kgdists.envs.rollout import Rollouts, copied
from kgdists.layers.running_normalization import normalized_leaves, running_normalizations
from kgdists.layers.tempered_head import temperature_variables
from kgdists.policy import Policy, split_mask
from kgdists.random.seeds import stream
from kgdists.runs import checkpoint
from kgdists.spaces import check_fits

__all__ = ["RolloutAgent"]

COMPILED_STEPS = 16_384  # of an epoch in a compiled environment, at least, before callbacks
LARGE = 1e4  # observations that networks hardly learn from as they are


class RolloutAgent(Agent):
    """An agent whose policy acts for some steps in all environments, and then learns from these by gradients.

    An algorithm is a subclass with a `name`, its `Config`, the names of its Keras `MODELS`, `optimizers`, the
    `variables` it trains, and two things to do: `steps_per_epoch`, and `_train`, which takes that many steps and
    improves the policy by them.

    Parameters
    ----------
    env : str, callable, gymnasium.Env or gymnasium.vector.VectorEnv
        An id, a function that makes one environment, one environment itself, or a vector environment.
    policy : None or kgdists.Policy
        Observations -> distribution over actions; None makes dense layers and the head for the action space.
    strategy : None or tf.distribute.Strategy
        Shares out the updates of agents that take one: a `MirroredStrategy` or a `MultiWorkerMirroredStrategy`.
    **config
        Fields of `Config`.
    """

    name: ClassVar[str]
    Config: ClassVar[type[TrainingConfig]]
    HAS_ROLLOUTS = True
    HAS_REPLICAS: ClassVar[bool] = False  # whether updates can be shared out by a strategy
    RUNS_COMPILED: ClassVar[bool] = False  # whether it makes one program of a compiled environment and its updates
    OF_ENVIRONMENTS: ClassVar[tuple[str, ...]] = ("discounted_return",)  # state with one number for each environment
    UNDEFINED_AT_TIMES: ClassVar[tuple[str, ...]] = ("explained_variance",)  # metrics that need not be finite

    variables: list[keras.Variable]
    optimizer: keras.optimizers.Optimizer
    optimizers: dict[str, keras.optimizers.Optimizer]
    normalizations: list[Any]
    _leaves: dict[int, int]  # of an observation, that they see

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cast(Any, cls).__init__ = _closing_environments(cls.__init__)

    def __init__(
        self,
        env: Env,
        *,
        policy: Policy | None = None,
        strategy: tf.distribute.Strategy | None = None,
        **config: Any,
    ) -> None:
        check_settings(self.Config, config)
        check_policy(policy)
        self.env = env
        if strategy is not None and not self.HAS_REPLICAS:
            raise ValueError(f"{type(self).__name__} takes no `strategy`. Received: strategy={strategy!r}")
        self.replicas = Replicas(strategy)
        if is_alone(env) and "num_envs" not in config:
            alone = self.Config(**config).for_envs(1)
            config = {field.name: getattr(alone, field.name) for field in dataclasses.fields(alone)}
        num_envs, vectorization = (config.get(x, getattr(self.Config, x)) for x in ("num_envs", "vectorization"))
        names = config.get("log_info", ())
        names = names if isinstance(names, (tuple, list)) else ()
        runs_compiled = self.RUNS_COMPILED and strategy is None
        self.envs = make_envs(env, num_envs, vectorization, Encoding.of(config), names, runs_compiled)
        self.config = settings = self.Config(**(config | {"num_envs": self.envs.num_envs}))
        self.replicas.check_model(policy)
        self.policy = policy or policy_network(self.envs, settings)
        self.steps = 0
        self.is_sound = True
        own_seed = stream(settings.seed, "actions", self.replicas.worker)
        self.seed = np.random.default_rng().integers(2**31).item() if own_seed is None else own_seed
        self.generator = keras.random.SeedGenerator(stream(settings.seed, "updates"))
        self.rollouts = Rollouts(self.envs, self.config.n_steps, self._seed_of_environments(), settings.log_info)
        self._example = copied(example_observation(self.envs.single_observation_space))
        check_fits(self.policy(self._example), self.envs.single_action_space)
        self._act = CompiledPolicy(self.policy, self._example, self.envs.num_envs)
        self._prepare_acting(self._example)
        self._last_step = 0

    @property
    def is_compiled(self) -> bool:
        """Whether environments, policy and updates are one program."""
        is_stepped = self.config.vectorization == "sync" or self.replicas.strategy is not None
        return self.RUNS_COMPILED and isinstance(self.envs, CompiledVectorEnv) and not is_stepped

    @property
    def steps_per_update(self) -> int:
        """Steps of all environments together in one rollout."""
        return self.config.n_steps * self.config.num_envs

    @property
    def steps_per_epoch(self) -> int:
        """Steps of all environments together in one epoch: here one rollout, or some in a compiled environment."""
        return self._updates_per_epoch * self.steps_per_update

    @property
    def _updates_per_epoch(self) -> int:
        return -(-COMPILED_STEPS // self.steps_per_update) if self.is_compiled else 1

    @property
    def epochs(self) -> int:
        """Epochs so far."""
        return -(-self.steps // self.steps_per_epoch)

    def _train(self) -> dict[str, float]:
        """Take the steps of one epoch and improve by them: dict of name -> float, losses and diagnostics."""
        raise NotImplementedError(f"{type(self).__name__} must define `_train`")

    @functools.cached_property
    def program(self) -> Any:
        """What runs in a compiled environment, in one call: rollouts and updates."""
        return CompiledTraining(
            cast(CompiledVectorEnv, self.envs),
            self.policy,
            self._improve,
            self.config.n_steps,
            self._updates_per_epoch,
            self._key_step,
            self.UNDEFINED_AT_TIMES,
            self.config.log_info,
        )

    def share_program(self, other: Self) -> None:
        """Run, in a compiled environment, the very program of another agent whose settings are equal but for numbers.

        These are the seed, the learning rate and the weight of the entropy.
        """
        self.program.compiled.share(other.program.compiled, other.all_variables(), self.all_variables())

    def all_variables(self) -> list[Any]:
        """All that training in a compiled environment reads or changes, in an order that agents have in common."""
        models = self._models()
        of_models = [x for model in models for x in (*model.variables, *temperature_variables(model))]
        return [*of_models, *self._state().values(), *self._settings(), *cast(CompiledVectorEnv, self.envs).variables]

    def _settings(self) -> list[Any]:
        """Variables of settings that agents with one program may differ in."""
        return []

    def _train_compiled(self) -> tuple[dict[str, float], int]:
        """The same of a compiled environment, and the steps that were taken: no more updates than are left."""
        if self.rollouts.starts_anew:
            self.rollouts.reset()
        num_updates = self._updates_left()
        self.rollouts.observations = None  # new episodes, should this be broken off
        metrics, *played = self.program(num_updates, self.seed, self.steps // self.config.num_envs)
        self._take_in(*played)
        return metrics, num_updates * self.steps_per_update

    def _take_in(self, ends: Ends, observations: Any) -> None:
        """Remember the episodes that a program has played."""
        playing = cast(CompiledVectorEnv, self.envs).playing()
        self.rollouts.go_on(
            observations,
            (playing.returns.numpy(), playing.lengths.numpy()),
            (ends.returns.tolist(), ends.lengths.tolist()),
            {name: x.tolist() for name, x in ends.info.items()},
        )

    def _updates_left(self) -> int:
        """Updates of the next epoch of a compiled environment."""
        left = -(-(self._last_step - self.steps) // self.steps_per_update)
        return min(self._updates_per_epoch, max(left, 1))

    def _improve(self, *rollout: Any) -> dict[str, Any]:
        """Improve by a rollout, for traced functions: dict of name -> scalar tensor, losses and diagnostics."""
        raise NotImplementedError(f"{type(self).__name__} must define `_improve`")

    def _key_step(self, steps: Any) -> Any:
        """The numbers of steps as their keys have them."""
        return steps

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files, where several share the updates."""
        return self.replicas.is_chief

    @property
    def starts_new_episodes(self) -> bool:
        """Whether the episodes that were being played are lost, and training goes on with new ones."""
        return self.rollouts.observations is None

    @property
    def recent_returns(self) -> Any:
        """Undiscounted returns of the last 100 episodes of the training."""
        return self.rollouts.recent_returns

    @property
    def recent_lengths(self) -> Any:
        """Lengths of the last 100 episodes of the training."""
        return self.rollouts.recent_lengths

    def _check_learning(self, total_steps: int) -> None:
        if not self.steps:  # an agent that was loaded goes on as it did
            self._check_models()
        self._check_frozen()
        schedules.stretch_ended(self, total_steps)
        self._last_step = self.steps + total_steps

    def _train_epoch(self) -> dict[str, Any]:
        start = time.perf_counter()
        self.is_sound = False
        metrics, steps = self._train_compiled() if self.is_compiled else (self._train(), self.steps_per_epoch)
        self._check_finite(metrics)
        self.steps += steps
        self.is_sound = True
        speed = {"steps_per_second": steps / (time.perf_counter() - start)}
        return self._progress() | metrics | speed

    @contextlib.contextmanager
    def _settling_soundness(self) -> Iterator[None]:
        try:
            yield
        except NotANumber:
            self.is_sound = False
            raise self._diverged(["the policy's distribution"]) from None
        except Exception as error:
            # An environment's error leaves the weights as they are.
            self.is_sound = not isinstance(error, FloatingPointError) and not self._bad_weights()
            raise

    def _check_models(self):
        """Raise unless the agent's own networks are such that it can train them."""
        for name in self.MODELS:
            check_trainable(name, getattr(self, name), self._inputs(name, self._example))
        self._normalized_leaves(self.MODELS)

    def _find_normalizations(self, models):
        """Set the layers of models, given by name, that keep statistics, and which leaf of an observation each sees."""
        self.normalizations = running_normalizations(*(getattr(self, name) for name in models))
        is_nested = tree.is_nested(split_mask(self._example)[0])
        self._leaves = self._normalized_leaves(models) if is_nested else {}

    def _normalized_leaves(self, models):
        leaves: dict[int, int] = {}
        for name in models:
            inputs = functools.partial(self._inputs, name)
            leaves |= normalized_leaves(getattr(self, name), self._example, inputs)
        return leaves

    def _seen(self, layer, observations):
        """What a layer that keeps statistics sees of observations, an array or tensor."""
        return tree.flatten(split_mask(observations)[0])[self._leaves.get(id(layer.mean), 0)]

    def _check_frozen(self):
        """Raise if layers were frozen, or set free, after the agent was made."""
        known = {id(x) for x in self.variables}
        models = [model for model in self._models() if any(id(x) in known for x in model.variables)]
        now = trainable(*models)
        changed = [x.path for x in now if id(x) not in known]
        left = known - {id(x) for x in now}
        changed += [x.path for model in models for x in model.variables if id(x) in left]
        if changed:
            raise ValueError(
                "Which weights are trained is settled when an agent is made: freeze layers, or set them free, before. "
                f"Received: `trainable` changed of {', '.join(dict.fromkeys(changed))}"
            )

    def _last_epoch(self, total_steps: int) -> int | None:
        """How many epochs there will be after this many more steps; None if that is not known beforehand."""
        return self.epochs - (-total_steps // self.steps_per_epoch)

    def _seed_of_environments(self):
        return stream(self.config.seed, "environments", self.replicas.worker, self.steps)

    def _models(self):
        return [getattr(self, name) for name in self.MODELS]

    def _inputs(self, name, example):
        """What a model takes, of an example of what is observed, a batch of one."""
        return example if name == "policy" else split_mask(example)[0]

    def _collect(self):
        """The next rollout, of `n_steps` steps of each environment: arrays as `Rollouts.collect` returns them."""
        return self.rollouts.collect(self._actions())

    def _actions(self):
        """What the policy does in the next rollout."""
        first = self.steps // self.config.num_envs
        return RolloutActions(self._act, self._keys(np.arange(first, first + self.config.n_steps)))

    def _keys(self, steps):
        """Keys [T, 2] of the actions at the steps [T]."""
        steps = self._key_step(steps)
        return np.stack([np.full_like(steps, self.seed), steps], axis=1)

    def _check_finite(self, metrics):
        bad = [name for name, x in metrics.items() if not math.isfinite(x) and name not in self.UNDEFINED_AT_TIMES]
        if not math.isfinite(metrics.get("weight_norm", math.nan)):  # which tells of all weights at once
            bad += self._bad_weights()
        if bad:
            raise self._diverged(bad)

    def _diverged(self, bad: list[str], hint: str = "") -> FloatingPointError:
        size = largest(self.rollouts.observations)
        if size > LARGE and not self.normalizations:
            hint = f". Observations are as large as {size:.0e}: standardize them, `normalize_observations=True`"
        return super()._diverged(bad, hint)

    def _bad_weights(self):
        return [variable.path for variable in self.variables if not np.isfinite(backend.read(variable).numpy()).all()]

    def _progress(self):
        returns, lengths = self.rollouts.recent_returns, self.rollouts.recent_lengths
        return {
            "steps": self.steps,
            "return": float(np.mean(returns)) if returns else math.nan,
            "length": float(np.mean(lengths)) if lengths else math.nan,
            **self._running(),
            **self.rollouts.infos.means(),
        }

    def _running(self):
        """Logs of the episodes that are being played."""
        return self.rollouts.running()

    @property
    def lends(self) -> bool:
        """Whether evaluations play in its environments: episodes can be repeated, or there may be no other ones."""
        return isinstance(self.env, VectorEnv) or records_episodes(self.envs)

    def lend(self) -> VectorEnv:
        """The environments of the training, for others to play in until it goes on, with its own episodes again."""
        self.rollouts.lend(self._seed_of_environments())
        return self.envs

    @classmethod
    def load(
        cls,
        path: str | Path,
        env: Env | None = None,
        strategy: tf.distribute.Strategy | None = None,
        **settings: Any,
    ) -> Self:
        """Load an agent that `save` wrote, which goes on as the saved one would have.

        Parameters
        ----------
        path : str or path
            A run folder, for its last checkpoint that is not damaged, or a checkpoint.
        env : None, str, callable, gymnasium.Env or gymnasium.vector.VectorEnv
            May be left out if the agent was made with an id.
        strategy : None or tf.distribute.Strategy
            As for the class. All processes that share the updates read the chief's file; the others start new episodes.
        **settings
            With which training goes on, instead of the agent's: `learning_rate`, `clip_range` and any others but those
            in `Config.FIXED`. A schedule starts now.

        Returns
        -------
        Agent of the class

        Raises
        ------
        ValueError
            If there is no checkpoint of the class that can be read, or a setting may not change.
        TypeError
            For what is no setting of the agent.

        Examples
        --------
        >>> import tempfile, kgdists as kg
        >>> run = tempfile.mkdtemp()
        >>> kg.agents.PPO("CartPole-v1", num_envs=2, n_steps=32, seed=0).save(run)
        >>> agent = kg.agents.PPO.load(run, learning_rate=1e-4, ent_coef=0.01)
        >>> agent.config.ent_coef
        0.01
        """
        cls._check_changes(settings)
        rates = schedules.split_off(settings)
        agent = checkpoint.load(cls, path, env, settings, **({} if strategy is None else {"strategy": strategy}))
        schedules.set_rates(agent, rates)
        return agent

    def arrays(self) -> dict[str, np.ndarray]:
        """Name -> array of all that training changes and the models' files do not hold."""
        rollouts = {f"rollouts_{name}": x for name, x in self.rollouts.arrays().items()}
        state = {name: np.asarray(variable) for name, variable in self._state().items()}
        shared = places(self._models())
        if shared is not None:
            state["shared_variables"] = shared
        return state | rollouts | {"steps": np.asarray(self.steps), "seed": np.asarray(self.seed)}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from the arrays of an agent whose models this one has."""
        num_envs = int(arrays.get("num_envs", self.config.num_envs))
        is_fit = num_envs == self.config.num_envs
        for name, variable in self._state().items():
            if is_fit or name not in self.OF_ENVIRONMENTS:
                variable.assign(arrays[name])
        self.steps, self.is_sound = int(arrays["steps"]), True
        of_rollouts = {name.removeprefix("rollouts_"): x for name, x in arrays.items() if name.startswith("rollouts_")}
        if self.replicas.is_chief:
            self.seed = int(arrays["seed"])
        if not (self.replicas.is_chief and is_fit):  # the file has not the actions and episodes of this process
            of_rollouts = {name: x for name, x in of_rollouts.items() if name.startswith("recent_")}
        if not is_fit:
            warnings.warn(
                f"The run had {num_envs} environments, this one has {self.config.num_envs}: new episodes are started",
                RunWarning,
                stacklevel=2,
            )
        # Not the episodes of the start again, nor those of another process.
        self.rollouts.restore(of_rollouts, self._seed_of_environments())

    def _state(self):
        """Name -> variable of all that training changes and the models' files do not hold."""
        # Keras restores no generators.
        of_models = [variable for name in self.MODELS for variable in getattr(self, name).variables]
        generators = [self.generator.state, *(v for v in of_models if v.name == "seed_generator_state")]
        variables = {f"generator_{i}": state for i, state in enumerate(generators)}
        for name, optimizer in self.optimizers.items():
            variables |= {f"{name}_{i}": variable for i, variable in enumerate(optimizer.variables)}
        return variables


def _closing_environments(init):
    """A constructor that closes the environments it has made where it raises."""

    @functools.wraps(init)
    def made(self, *args, **kwargs):
        try:
            init(self, *args, **kwargs)
        except BaseException:
            envs = getattr(self, "envs", None)
            if envs is not None and not isinstance(self.env, VectorEnv):
                envs.close()
            raise

    return made
