"""`RaySearch`: the generations of a search spread over the processes of a Ray cluster."""

import collections
import contextlib
import importlib.util
import math
from collections.abc import Iterable, Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from kgdists.core.checks import count
from kgdists.core.progress import Verbosity
from kgdists.core.types import Integer
from kgdists.evolution import generations
from kgdists.evolution.distributed.exact_sums import from_units
from kgdists.evolution.distributed.partition import Partition, sum_bounds
from kgdists.evolution.gaussians.search_distribution import SearchDistribution
from kgdists.evolution.objective import Objective
from kgdists.evolution.searcher import Searcher
from kgdists.random import hashed_normal

HAS_RAY = importlib.util.find_spec("ray") is not None  # an extra, without which there is one process
if HAS_RAY:
    import ray

__all__ = ["RaySearch"]

TASKS_PER_WORKER = 4  # of fitnesses, so that who is faster does more
FAN_IN = 8  # partial sums that one process adds up
LOSSES = 3  # of workers, after which their task is to blame; of fitnesses it is taken apart after the first
BLOCK_SIZE = 16
BLOCK_NUMBERS = 2**22  # of a block of long solutions


class RaySearch:
    """Runs a searcher on many processes and machines, with results that do not depend on how many.

    Workers make their rows of the population from its key, and return their fitnesses. Then they are given the weights
    of their rows, and return their parts of the sums that the gradients are made of. What goes to and from a worker is
    of the size of a few solutions, however large the population is.

    Rows are evaluated in blocks of a fixed size, and sums are exact: the search ends with the same bits on any number
    of workers, also where some have died and others have taken over. A task of fitnesses during which a worker has
    died is taken apart; if another dies of a part of it, a ValueError names the solutions and the objective. Searchers
    that do not move by sums, such as `CMAES`, have only their fitnesses computed by the workers (`MOVES_BY_SUMS` of a
    searcher's class, and `SUM_POWERS` of its distribution's).

    Parameters
    ----------
    searcher : Searcher
        Runs, and is saved, as ever; only its generations are computed elsewhere. Its objective goes to the workers by
        `cloudpickle`. A "solution" is evaluated by the worker's own `map`.
    num_workers : None or int
        None: as many as the cluster has room for. 0: this process alone, without Ray.
    block_size : None or int
        Solutions that are evaluated in one call; where they come in pairs, even. Another block size may give other
        roundings. None: 16, fewer where solutions are long.
    **options
        Of each worker, as for `ray.remote`: `num_cpus` (1 by default, also the number of TensorFlow's threads),
        `num_gpus`, `resources`, ...

    Examples
    --------
    >>> from kgdists.evolution import SNES
    >>> from kgdists.evolution import RaySearch
    >>> searcher = SNES(
    ...     lambda x: -abs(x).sum(), objective_sense="max", solution_length=3, stdev_init=1.0, evaluation="solution"
    ... )
    >>> with RaySearch(searcher, num_workers=0) as search:
    ...     _ = search.run(5, progress=False)
    >>> len(searcher.history["best"])
    5
    """

    def __init__(
        self,
        searcher: Searcher,
        num_workers: Integer | None = None,
        *,
        block_size: Integer | None = None,
        **options: Any,
    ) -> None:
        if searcher.objective is None:
            raise ValueError("A searcher on many processes must have an objective. Received: objective=None")
        num_workers = count("num_workers", num_workers, least=0, optional=True)
        block_size = count("block_size", block_size, optional=True)
        if block_size is None:
            block_size = max(2, min(BLOCK_SIZE, BLOCK_NUMBERS // searcher.solution_length // 2 * 2))
        if num_workers != 0 and not HAS_RAY:
            raise ImportError(
                "Workers need Ray: `pip install 'kgdists[ray]'`. Without it `num_workers` must be 0. "
                f"Received: num_workers={num_workers}"
            )
        self.searcher = searcher
        self.num_workers = None if num_workers is None else int(num_workers)
        self.block_size, self.options = int(block_size), options
        self._processes: _Here | _Workers | None = None
        searcher.engine, searcher._generations = self._engine, None

    def run(
        self,
        num_generations: Integer,
        callbacks: keras.callbacks.Callback | Sequence[keras.callbacks.Callback] | None = None,
        verbose: Verbosity = "auto",
        progress: bool | None = None,
    ) -> keras.callbacks.History:
        """Run this many generations; arguments and result as for `Searcher.run`."""
        return self.searcher.run(num_generations, callbacks, verbose, progress)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy has workers of its own, once it runs.
        searcher, settings = self.searcher, {"block_size": self.block_size, **self.options}
        return _again, (type(self), searcher, self.num_workers, settings)

    def close(self) -> None:
        """Stop the workers. From then on the searcher runs by itself."""
        if self._processes is not None:
            self._processes.close()
        self.searcher.__dict__.pop("engine", None)
        self.searcher._generations = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def traffic(self) -> dict[str, int]:
        """Bytes of a generation by what they are: a dict.

        "parameters" go to each worker, "sums" come from each worker, and "rows" are the weights to and the fitnesses
        from all workers together.
        """
        distribution = self.searcher.state.distribution
        size = distribution.mu.dtype.size
        lengths = [x.shape.num_elements() for x in tf.nest.flatten(distribution)]
        count = math.prod(distribution.batch_shape) * self.searcher.popsize
        if not _adds_up(self.searcher, distribution):
            return {"parameters": size * sum(lengths), "sums": 0, "rows": size * count}
        return {"parameters": size * sum(lengths), "sums": size * sum(lengths[:2]), "rows": 2 * size * count}

    def _engine(self, searcher, objective, start):
        # Of a pool there is no `map` on another machine.
        objective = Objective(objective.function, objective.evaluation)
        rows = Partition(start.state.distribution, objective, searcher.bounds, searcher.popsize, self.block_size)
        if self._processes is not None:
            self._processes.close()
        self._processes = _Here(rows) if self.num_workers == 0 else _Workers(rows, self.num_workers, self.options)
        return _Generations(searcher, objective, start, rows, self._processes)


def _again(kind, searcher, num_workers, settings):
    return kind(searcher, num_workers, **settings)


class _Generations(generations.Generations):
    """Generations that are computed by other processes, and led by this one."""

    def __init__(
        self,
        searcher: Searcher,
        objective: Objective,
        start: generations.Progress,
        rows: Partition,
        processes: "_Here | _Workers",
    ) -> None:
        self.rows, self.processes = rows, processes
        self.adds_up = _adds_up(searcher, start.state.distribution)
        super().__init__(searcher, objective, start)

    def run(
        self, progress: generations.Progress, number: int
    ) -> tuple[generations.Progress, dict[str, np.ndarray], bool]:
        leaves, rows, is_converged = self._one_by_one(progress, number)
        return self._packed(leaves), rows, bool(is_converged)

    def _generation(self, progress):
        state = progress.state
        key = self._call(hashed_normal.generation_key, state.seed, state.generation).numpy()
        parameters = [x.numpy() for x in tf.nest.flatten(state.distribution)]
        pieces = [(blocks, key) for blocks in self._divided(self.processes.num_parts * TASKS_PER_WORKER)]
        fitnesses = tf.constant(np.concatenate(self.processes.fitnesses(pieces, parameters), axis=-1))
        leaves = tf.nest.flatten(generations.widened(progress, fitnesses.dtype))
        if not self.adds_up:
            return self._call(self._told_all, fitnesses, *leaves)
        weights, total = (x.numpy() for x in self._call(self._weighed, fitnesses, *leaves))
        tasks = []
        for blocks in self._divided(self.processes.num_parts):
            rows = slice(blocks.start * self.rows.block_size, blocks.stop * self.rows.block_size)
            tasks.append((blocks, key, weights[..., rows], total))
        sums = {name: tf.constant(x) for name, x in self.processes.sums(tasks).items()}
        return self._call(self._moved, fitnesses, tf.constant(weights), tf.constant(total), sums, *leaves)

    def _divided(self, parts):
        """The blocks of the population in this many parts, fewer if there are not enough."""
        count = self.rows.num_blocks
        parts = min(parts, count)
        return [range(i * count // parts, (i + 1) * count // parts) for i in range(parts)]

    def _weighed(self, fitnesses, *leaves):
        searcher = self.searcher
        weights = self._packed(leaves).state.distribution.weights(
            fitnesses, objective_sense=searcher.objective_sense, ranking_method=searcher.ranking_method
        )
        return weights, tf.reduce_sum(tf.abs(weights), axis=-1)

    def _moved(self, fitnesses, weights, total, sums, *leaves):
        progress = self._packed(leaves)
        old = progress.state
        bounds = sum_bounds(sums, total, old.distribution.SUM_POWERS)
        sums = {name: from_units(sums[name], bounds[name]) for name in sums}
        state = self.searcher.update(old, old.distribution.gradients(sums, weights))
        progress, row = self._recorded(progress, state, fitnesses, lambda index: self._sample_at(old, index))
        return self._is_converged(progress), row, tf.nest.flatten(progress)

    def _told_all(self, fitnesses, *leaves):
        progress = self._packed(leaves)
        return self._told(self.searcher.ask(progress.state), fitnesses, *leaves)

    def _sample_at(self, state, index):
        """For each search one row of its population, made again."""
        index = tf.reshape(index, (-1,))
        samples = []
        for i in range(index.shape[0]):
            pair = self.searcher.ask(state, 2, index[i] // 2 * 2)
            pair = tf.reshape(pair, (index.shape[0], 2, self.searcher.solution_length))
            samples.append(tf.gather(pair[i], index[i] % 2))
        return tf.reshape(tf.stack(samples), state.distribution.mu.shape)


class _Here:
    """This process, which does all by itself."""

    num_parts = 1

    def __init__(self, rows: Partition) -> None:
        self.rows = rows

    def fitnesses(self, tasks: list[tuple[range, np.ndarray]], parameters: list[np.ndarray]) -> list[np.ndarray]:
        return [self.rows.fitnesses(blocks, key, parameters) for blocks, key in tasks]

    def sums(self, tasks: list[tuple[Any, ...]]) -> dict[str, np.ndarray]:
        return _added(self.rows.sums(*task) for task in tasks)

    def close(self) -> None:
        """Nothing is left behind."""


class _Workers:
    """Processes of a Ray cluster: who is free is given a task, who dies is replaced, and its task given again."""

    def __init__(self, rows: Partition, num_workers: int | None, options: dict[str, Any]) -> None:
        if not ray.is_initialized():
            ray.init(log_to_driver=False)
        options = {"num_cpus": 1} | options
        cpus = options["num_cpus"]
        if num_workers is None:
            num_workers = max(1, int(ray.cluster_resources().get("CPU", 0) / (cpus or 1)))
        self.num_parts = num_workers
        self._actor: Any = ray.remote(_Worker).options(**options)
        self._rows = rows
        self._arguments = ray.put(ray.cloudpickle.dumps(rows)), max(1, int(cpus))
        self._workers: set[Any] = set()
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Any, Any]] = {}

    def fitnesses(self, tasks: list[tuple[range, np.ndarray]], parameters: list[np.ndarray]) -> list[np.ndarray]:
        shared = ray.put(parameters)  # once for all workers of a machine
        arguments = [(*task, shared) for task in tasks]
        return self._kept(lambda: ray.get(self._done("fitnesses", arguments)))

    def sums(self, tasks: list[tuple[Any, ...]]) -> dict[str, np.ndarray]:
        def added():
            parts = self._done("sums", tasks)
            while len(parts) > FAN_IN:
                parts = self._done("add", [parts[i : i + FAN_IN] for i in range(0, len(parts), FAN_IN)])
            return _added(ray.get(parts))

        return self._kept(added)

    def close(self) -> None:
        for worker in self._workers:
            ray.kill(worker)
        self._workers, self._idle, self._busy = set(), [], {}

    def _kept(self, compute):
        """What `compute` returns; once more if a machine is lost after it has done its tasks."""
        for _ in range(LOSSES - 1):
            with contextlib.suppress(ray.exceptions.ObjectLostError):
                return compute()
        return compute()

    def _done(self, method, tasks):
        """References to the results of a method, in the order of its tasks."""
        try:
            return self._run(method, tasks)
        except BaseException:
            self.close()  # what is still being done is of no use
            raise

    def _run(self, method, tasks):
        while len(self._workers) < self.num_parts:
            self._hire()
        waiting, results = collections.deque(range(len(tasks))), dict[int, Any]()
        losses = collections.Counter[int | None]()
        tasks, count = list(tasks), len(tasks)
        pieces: dict[int, range] = {}  # numbers of the pieces of a task by its number
        while len(results) < len(tasks) - len(pieces):
            while waiting and self._idle:
                worker, number = self._idle.pop(), waiting.popleft()
                done, result = getattr(worker, method).options(num_returns=2).remote(*tasks[number])
                self._busy[done] = worker, number, result
            [done], _ = ray.wait(list(self._busy))
            worker, number, result = self._busy.pop(done)
            try:
                ray.get(done)
            except ray.exceptions.RayActorError as error:
                self._workers.remove(worker)
                ray.kill(worker)  # it may only be out of reach
                losses[number] += 1
                if error.actor_init_failed or losses[number] >= LOSSES * (self.num_parts if number is None else 1):
                    raise
                if number is not None and number >= count:
                    raise ValueError(
                        "An objective must leave alone the process that it runs in. Received: the process ended twice, "
                        f"last with {self._rows.described(tasks[number][0], tasks[number][-1])}"
                    ) from error
                self._hire()
                if number is not None and method == "fitnesses":
                    # Piece by piece, and at once, so that what ends the process has a name.
                    blocks, *rest = tasks[number]
                    new = [(piece, *rest, row) for piece, row in self._rows.pieces(blocks)]
                    pieces[number] = range(len(tasks), len(tasks) + len(new))
                    tasks += new
                    waiting.extendleft(reversed(pieces[number]))
                elif number is not None:
                    waiting.append(number)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            else:
                self._idle.append(worker)
                if number is not None:
                    results[number] = result
        for number, parts in pieces.items():
            results[number] = ray.put(np.concatenate(ray.get([results[part] for part in parts]), axis=-1))
        return [results[number] for number in range(count)]

    def _hire(self):
        worker = self._actor.remote(*self._arguments)
        self._workers.add(worker)
        self._busy[worker.ready.remote()] = worker, None, None


class _Worker:
    """An actor: its methods return whether they are done, and apart from that, possibly large, their result."""

    def __init__(self, rows: bytes, num_threads: int) -> None:
        with contextlib.suppress(RuntimeError):  # in a process where TensorFlow has already run
            tf.config.threading.set_intra_op_parallelism_threads(num_threads)
        self._rows = ray.cloudpickle.loads(rows)

    def ready(self) -> None:
        """Return once the process is up."""

    def fitnesses(self, *task: Any) -> tuple[bool, np.ndarray]:
        return True, self._rows.fitnesses(*task)

    def sums(self, *task: Any) -> tuple[bool, dict[str, np.ndarray]]:
        return True, self._rows.sums(*task)

    def add(self, *parts: dict[str, np.ndarray]) -> tuple[bool, dict[str, np.ndarray]]:
        return True, _added(parts)


def _added(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The sum of parts, each a dict of integer arrays."""
    parts = list(parts)
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def _adds_up(searcher: Searcher, distribution: SearchDistribution) -> bool:
    """Whether the searcher moves by sums over its population, rather than by the population itself."""
    return searcher.MOVES_BY_SUMS and bool(distribution.SUM_POWERS)
