"""`RayRollouts`: the environments of an agent spread over the processes of a Ray cluster."""

import contextlib
import functools
import importlib.util
import json
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import create_empty_array
from keras import tree

from kgdists.agents.acting import CompiledPolicy
from kgdists.agents.rollout_agent import RolloutAgent
from kgdists.core.checks import count
from kgdists.core.run_warning import RunWarning
from kgdists.core.types import Integer
from kgdists.encoders.arrays import example_observation
from kgdists.envs.array_observations import Encoding
from kgdists.envs.episode_record import records_episodes
from kgdists.envs.frames import Frames, as_frames
from kgdists.envs.functional.vector_env import CompiledVectorEnv
from kgdists.envs.make import make_env
from kgdists.envs.rollout import Rollouts, copied
from kgdists.envs.sync_envs import SyncEnvs
from kgdists.runs.layout import POLICY

HAS_RAY = importlib.util.find_spec("ray") is not None  # an extra, without which there is one process
if HAS_RAY:
    import ray

__all__ = ["RayRollouts"]

LOSSES = 3  # of one worker in one rollout, after which the environments are to blame


class RayRollouts(Rollouts):
    """Collects an agent's rollouts by many processes and machines, the very numbers that the agent alone would collect.

    Each worker has a part of the environments, and acts by itself for the whole rollout: it is sent the weights of the
    policy and the keys of the random numbers once. What action environment i takes at step t follows from the weights,
    the observation, the seed, t and i, whoever computes it. So a training run ends with the same bits on any number of
    workers of the same kind of machine.

    A worker that dies is replaced. The new one repeats the episodes of the old one up to the beginning of the rollout
    and takes the rollout again, so that nothing changes; environments that do not repeat themselves start new
    episodes. What an environment raises is raised here, and the next rollout starts where the last whole one ended.

    Parameters
    ----------
    agent : PPO or A2C
        Made with an id or a function that makes an environment, which goes to the workers by `cloudpickle`. It trains
        and is saved as ever. Its environments should be made with `vectorization="sync"`: they stand still.
    num_workers : None or int, >= 1
        None: as many as the cluster has room for. At most one for each environment.
    **options
        Of each worker, as for `ray.remote`: `num_cpus` (1 by default, also the number of TensorFlow's threads),
        `resources`, ...
    """

    _seed: int | None
    _states: Sequence[dict[str, np.ndarray]]  # of the workers

    def __init__(self, agent: RolloutAgent, num_workers: Integer | None = None, **options: Any) -> None:
        if not (isinstance(agent, RolloutAgent) and agent.LEARNS_FROM_ROLLOUTS):
            raise ValueError(f"`agent` must learn from rollouts, as PPO and A2C do. Received: agent={agent!r}")
        if isinstance(agent.env, VectorEnv):
            raise ValueError(
                "`agent` must have been made with an id or a function that makes an environment. "
                f"Received: an agent with {agent.env}"
            )
        if not records_episodes(agent.envs) or isinstance(agent.envs, CompiledVectorEnv):
            kind = "compiled" if isinstance(agent.envs, CompiledVectorEnv) else "native"
            raise ValueError(
                f'`agent` must have been made with `vectorization="sync"` or "async". Received: {kind} ones'
            )
        num_workers = count("num_workers", num_workers, optional=True)
        if not HAS_RAY:
            raise ImportError("Workers need Ray: `pip install 'kgdists[ray]'`")
        super().__init__(agent.envs, agent.rollouts.n_steps, log_info=agent.config.log_info)
        if not ray.is_initialized():
            ray.init(log_to_driver=False)
        options = {"num_cpus": 1} | options
        num_threads = max(1, int(options["num_cpus"]))
        if num_workers is None:
            num_workers = max(1, int(ray.cluster_resources().get("CPU", 0) / (options["num_cpus"] or 1)))
        num_envs = agent.envs.num_envs
        num_workers = min(num_workers, num_envs)
        bounds = [num_envs * i // num_workers for i in range(num_workers + 1)]
        self._parts = [slice(*pair) for pair in zip(bounds[:-1], bounds[1:], strict=True)]
        config, log_info = agent.config, agent.config.log_info
        makers = [
            functools.partial(make_env, agent.env, i, encoding=Encoding.of(vars(config)), log_info=log_info)
            for i in range(num_envs)
        ]
        self._actor: Any = ray.remote(_Worker).options(**options)
        sources = ray.put((ray.cloudpickle.dumps(makers), _to_bytes(agent.policy)))
        self._arguments = sources, self.n_steps, log_info, num_threads
        self._workers: list[Any] = []
        self._agent, self._own = agent, agent.rollouts
        self.restore(self._own.arrays(), self._own.seed)
        agent.rollouts = self

    def reset(self) -> None:
        """Start new episodes in all environments, at the next rollout."""
        self.restore(self._recent(), self.seed)

    def collect(self, act: Any) -> tuple[Any, ...]:
        """Step the environments T times; `act` is a `RolloutActions`, result as of `Rollouts.collect`."""
        weights = ray.put([np.asarray(variable.value) for variable in act.actor.policy.variables])
        try:
            results = self._results(weights, act.keys)
        except BaseException:
            self._dismiss()  # whose environments have moved on
            raise
        rollouts, observations, self._states, infos = zip(*results, strict=True)
        for of_worker in infos:
            self.infos.extend(of_worker)
        self._seed = None
        rollout = tree.map_structure(lambda *x: np.concatenate(x, axis=1), *rollouts)
        _, _, rewards, _, terminated, truncated = rollout
        for of_step in zip(rewards, terminated | truncated, strict=True):
            self._count(*of_step)
        self.observations = tree.map_structure(lambda *x: np.concatenate(x), *observations)
        return rollout

    def collect_frames(self, act: Any) -> Frames:
        """The same as `Frames`."""
        return as_frames(*self.collect(act))

    def arrays(self) -> dict[str, np.ndarray]:
        """Name -> array of what the next rollout follows from, as those of `Rollouts`."""
        arrays = self._recent()
        if self.observations is None or not all("starts" in state for state in self._states):
            return arrays
        arrays |= {"returns": self._returns, "lengths": self._lengths}
        arrays |= {f"observations_{i}": x for i, x in enumerate(tree.flatten(self.observations))}
        starts = [start for state in self._states for start in json.loads(state["starts"].item())]
        actions = []
        for state, part in zip(self._states, self._parts, strict=True):
            actions += [state[f"actions_{i}"] for i in range(part.stop - part.start)]
        return arrays | {"starts": np.asarray(json.dumps(starts))} | {f"actions_{i}": x for i, x in enumerate(actions)}

    def restore(self, arrays: dict[str, np.ndarray], seed: int | None) -> None:
        """Go on where other rollouts gave these arrays, as `Rollouts.restore` does, at the next rollout."""
        self._dismiss()
        self._restore_recent(arrays)
        self.seed = self._seed = seed
        self.observations = None
        num_envs = self.envs.num_envs
        self._returns = np.array(arrays.get("returns", np.zeros(num_envs)))
        self._lengths = np.array(arrays.get("lengths", np.zeros(num_envs, int)))
        self._states = [_part_of(arrays, part) for part in self._parts]
        if "starts" in arrays:
            like = copied(create_empty_array(self.envs.single_observation_space, num_envs))
            leaves = [arrays[f"observations_{i}"] for i in range(len(tree.flatten(like)))]
            self.observations = tree.pack_sequence_as(like, leaves)

    def lend(self, seed: int | None = None) -> None:
        """Do nothing: the workers have environments of their own."""

    def close(self) -> None:
        """Stop the workers. From then on the agent collects by itself, where the workers have ended."""
        self._own.restore(self.arrays(), self._seed)
        self._agent.rollouts = self._own
        self._dismiss()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _results(self, *task):
        """What each worker returns, those that are lost being replaced."""
        if not self._workers:
            self._workers = [self._hire(i) for i in range(len(self._parts))]
        running = [worker.collect.remote(*task) for worker in self._workers]
        results = []
        for i in range(len(running)):
            for attempt in range(LOSSES):
                try:
                    *result, messages = ray.get(running[i])
                    break
                except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError) as error:
                    if getattr(error, "actor_init_failed", False) or attempt + 1 == LOSSES:
                        raise
                    ray.kill(self._workers[i])  # it may only be out of reach
                    self._workers[i] = self._hire(i)
                    running[i] = self._workers[i].collect.remote(*task)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from error
            for message in messages:
                warnings.warn(message, RunWarning, stacklevel=3)
            results.append(result)
        return results

    def _hire(self, i):
        part = self._parts[i]
        worker = self._actor.remote(*self._arguments, part)
        worker.restore.remote(self._states[i], None if self._seed is None else self._seed + part.start)
        return worker

    def _dismiss(self):
        for worker in getattr(self, "_workers", ()):
            ray.kill(worker)
        self._workers = []


class _Worker:
    """An actor with a part of the environments."""

    def __init__(
        self, sources: tuple[bytes, bytes], n_steps: int, log_info: tuple[str, ...], num_threads: int, part: slice
    ) -> None:
        with contextlib.suppress(RuntimeError):  # in a process where TensorFlow has already run
            tf.config.threading.set_intra_op_parallelism_threads(num_threads)
        pickled, policy = sources
        makers = ray.cloudpickle.loads(pickled)
        envs = SyncEnvs(makers[part])
        self._rollouts = Rollouts(envs, n_steps, log_info=log_info)
        self._part, self._num_envs = part, len(makers)
        self._policy = _from_bytes(policy)
        example = copied(example_observation(envs.single_observation_space))
        self._policy(example)
        self._actor = CompiledPolicy(self._policy, example, self._num_envs)
        self._messages: list[str] = []

    def restore(self, arrays: dict[str, np.ndarray], seed: int | None) -> None:
        with self._noting():
            self._rollouts.restore(arrays, seed)

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        """Keep what warnings say, for the process that learns."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RunWarning)
            yield
        self._messages += [str(warning.message) for warning in caught if issubclass(warning.category, RunWarning)]

    def collect(
        self, weights: Iterable[np.ndarray], keys: np.ndarray
    ) -> tuple[Any, Any, dict[str, np.ndarray], dict[str, list[float]], list[str]]:
        for variable, value in zip(self._policy.variables, weights, strict=True):
            variable.assign(value)
        act, draws = self._actor.acting(), iter(self._actor.draws(keys))

        def act_in_part(observations):
            # All draw the numbers of all environments, in the program that the agent has, and take what is theirs.
            actions = act(tree.map_structure(self._padded, observations), next(draws))
            return tree.map_structure(lambda x: x[self._part], actions)

        infos = self._rollouts.infos
        infos.restore({})  # these are of the rollout alone
        with self._noting():
            rollout = self._rollouts.collect(act_in_part)
        messages, self._messages = self._messages, []
        told = {name: list(x) for name, x in infos.recent.items()}
        return rollout, self._rollouts.observations, self._rollouts.arrays(), told, messages

    def _padded(self, x):
        before, after = self._part.start, self._num_envs - self._part.stop
        return np.concatenate([x[:1].repeat(before, axis=0), x, x[:1].repeat(after, axis=0)])


def _part_of(arrays, part):
    """The arrays of some of the environments."""
    state = {name: np.zeros(0) for name in ("recent_returns", "recent_lengths")}
    if "starts" not in arrays:
        return state
    state |= {name: x[part] for name, x in arrays.items() if name in ("returns", "lengths") or "observations_" in name}
    state |= {f"actions_{i}": arrays[f"actions_{part.start + i}"] for i in range(part.stop - part.start)}
    return state | {"starts": np.asarray(json.dumps(json.loads(arrays["starts"].item())[part]))}


def _to_bytes(policy):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / POLICY
        policy.save(file)
        return file.read_bytes()


def _from_bytes(content):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / POLICY
        file.write_bytes(content)
        return keras.models.load_model(file, compile=False)
