"""A search on many processes is the same as on one, whatever happens to them."""

import pickle

import numpy as np
import pytest
import tensorflow as tf

from kgdists.evolution import CEM, CMAES, PGPE, SNES, XNES, ExpSeparableGaussian, generations
from kgdists.evolution.distributed import partition, ray_search
from kgdists.evolution.distributed.ray_search import RaySearch
from kgdists.random import hashed_normal
from tests.processes import run_python
from tests.test_readme import snippets

needs_ray = pytest.mark.skipif(not ray_search.HAS_RAY, reason="Ray is not installed")

LENGTH = 6


@pytest.fixture
def uncompiled(monkeypatch):
    """Graphs that are not compiled by XLA, which takes longer than all that a small search does."""

    def traced(function, *specs):
        return tf.function(function, autograph=False).get_concrete_function(*specs)

    monkeypatch.setattr(generations, "compiled", traced)
    monkeypatch.setattr(partition, "compiled", traced)


def sphere(x):
    return tf.reduce_sum(tf.square(x - 1.0), axis=-1)


def searcher_of(cls=SNES, objective=sphere, **kwargs):
    settings = {"objective_sense": "min", "solution_length": LENGTH, "popsize": 20, "stdev_init": 1.0, "seed": 1}
    return cls(objective, **(settings | kwargs))


def ran(searcher, generations=5, **kwargs):
    """The tensors of a searcher after some generations by blocks."""
    with RaySearch(searcher, num_workers=0, **kwargs) as search:
        search.run(generations, verbose=0)
    return [x.numpy() for x in tf.nest.flatten(searcher.state)]


SEARCHERS = {
    "pgpe": lambda: searcher_of(PGPE),
    "xnes": lambda: searcher_of(XNES),
    "cem": lambda: searcher_of(CEM, parenthood_ratio=0.5),
    "cmaes": lambda: searcher_of(CMAES),
    "snes": lambda: searcher_of(SNES, dtype="float64", bounds=(-2.0, 2.0), center_init=np.zeros((3, LENGTH))),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("make", SEARCHERS.values(), ids=SEARCHERS)
def test_blocks_search_as_the_searcher_alone_does(make, uncompiled):
    alone = make()
    alone.run(5, verbose=0)
    by_blocks = make()
    ran(by_blocks, block_size=8)
    for name, values in alone.history.items():
        np.testing.assert_allclose(by_blocks.history[name], values, rtol=2e-3)
    np.testing.assert_allclose(by_blocks.best.solution, alone.best.solution, rtol=1e-2, atol=1e-4)
    np.testing.assert_allclose(by_blocks.center, alone.center, rtol=1e-2, atol=1e-3)


class Hands(ray_search._Here):
    """One process that works as several do: parts of any size, in any order."""

    num_parts = 3
    rng = np.random.default_rng(0)

    def fitnesses(self, tasks, parameters):
        results = {i: super(Hands, self).fitnesses([tasks[i]], parameters)[0] for i in self.rng.permutation(len(tasks))}
        return [results[i] for i in range(len(tasks))]

    def sums(self, tasks):
        return super().sums([tasks[i] for i in self.rng.permutation(len(tasks))])


@pytest.mark.exhaustive
@pytest.mark.parametrize("cls", [PGPE, XNES])
def test_results_do_not_depend_on_how_work_is_divided(cls, monkeypatch, uncompiled):
    alone = ran(searcher_of(cls), block_size=4)
    monkeypatch.setattr(ray_search, "_Here", Hands)
    for one, other in zip(alone, ran(searcher_of(cls), block_size=4), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.exhaustive
def test_the_traffic_is_that_of_the_arrays_that_are_passed(monkeypatch, uncompiled):
    passed = {"parameters": 0, "rows": 0, "sums": 0}

    class Counting(Hands):
        def fitnesses(self, tasks, parameters):
            results = super().fitnesses(tasks, parameters)
            passed["parameters"] += sum(x.nbytes for x in parameters)
            passed["rows"] += sum(x.nbytes for x in results)
            return results

        def sums(self, tasks):
            passed["rows"] += sum(weights.nbytes for _, _, weights, _ in tasks)
            totals = super().sums(tasks)
            passed["sums"] += sum(x.nbytes for x in totals.values())
            return totals

    monkeypatch.setattr(ray_search, "_Here", Counting)
    search = RaySearch(searcher_of(), num_workers=0)
    search.run(1, verbose=0)
    assert passed == search.traffic == {"parameters": 8 * LENGTH, "sums": 8 * LENGTH, "rows": 8 * 20}


@pytest.mark.parametrize(("name", "sums"), [("pgpe", 2 * LENGTH), ("xnes", LENGTH + LENGTH**2), ("cmaes", 0)])
def test_who_moves_by_sums_gets_them_of_the_workers(name, sums):
    assert RaySearch(SEARCHERS[name](), num_workers=0).traffic["sums"] == 4 * sums


class Telling(SNES):
    """A `tell` of its own, which says nothing of sums."""

    def tell(self, state, samples, fitnesses):
        return super().tell(state, samples, fitnesses)


class Later(Telling):
    pass


class Mixed(type("Tells", (), {"tell": Telling.tell}), SNES):
    pass


class Declared(Telling):
    MOVES_BY_SUMS = True

    def tell(self, state, samples, fitnesses):
        return super().tell(state, samples, fitnesses)


@pytest.mark.parametrize(
    ("cls", "by_sums"),
    [(SNES, True), (XNES, True), (CMAES, False), (Telling, False), (Later, False), (Mixed, False), (Declared, True)],
)
def test_a_tell_of_ones_own_promises_sums_only_where_it_says_so(cls, by_sums):
    assert cls.MOVES_BY_SUMS is by_sums
    assert (RaySearch(searcher_of(cls), num_workers=0).traffic["sums"] > 0) is by_sums


class Cubes(ExpSeparableGaussian):
    """Sums that the package does not know, and the same gradients."""

    SUM_POWERS = {"first": 1, "third": 3, "second": 2}

    def noise_sums(self, z, weights):
        powers = self.SUM_POWERS.items()
        return {name: tf.linalg.matvec(z**power, weights, transpose_a=True) for name, power in powers}

    def gradients(self, sums, weights):
        return super().gradients({"mu": sums["first"], "sigma": sums["second"]}, weights)


class Undeclared(ExpSeparableGaussian):
    def _compute_gradients(self, samples, weights, ranking_used):
        sums = super().noise_sums(self._to_noise(samples), weights)
        return super().gradients(sums, weights)

    def gradients(self, sums, weights):
        raise AssertionError("not of sums")


@pytest.mark.parametrize(
    ("kind", "by_sums"), [(Cubes, True), pytest.param(Undeclared, False, marks=pytest.mark.exhaustive)]
)
def test_a_distribution_of_ones_own_declares_its_sums(kind, by_sums, uncompiled):
    class Own(SNES):
        def init(self, seed=None):
            state = super().init(seed)
            return state._replace(distribution=kind(state.distribution.parameters))

    assert bool(kind.SUM_POWERS) is by_sums
    for one, other in zip(ran(searcher_of(SNES), 2), ran(searcher_of(Own), 2), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_rows_are_the_same_after_pickling(uncompiled):
    searcher = searcher_of(bounds=(-1.0, 1.0), evaluation="solution", objective=np.sum)
    state = searcher.state
    own = partition.Partition(state.distribution, searcher.objective, searcher.bounds, searcher.popsize, 8)
    key = hashed_normal.generation_key(state.seed, state.generation).numpy()
    leaves = [x.numpy() for x in tf.nest.flatten(state.distribution)]
    fitnesses = own.fitnesses(range(3), key, leaves)
    assert fitnesses.shape == (20,)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(own)).fitnesses(range(3), key, leaves), fitnesses)


@pytest.mark.exhaustive
def test_a_search_by_blocks_is_saved_and_resumed(tmp_path, uncompiled):
    whole = ran(searcher_of(), 6)
    first, second = searcher_of(), searcher_of()
    ran(first, 3)
    first.save(tmp_path / "run")
    second.load(tmp_path / "run")
    for one, other in zip(whole, ran(second, 3), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.exhaustive
def test_a_closed_search_runs_in_the_searcher_again(uncompiled):
    searcher = searcher_of()
    ran(searcher, 1)
    searcher.run(2, verbose=0)
    assert len(searcher.history["best"]) == 3


@pytest.mark.exhaustive
def test_the_snippet_of_the_page_runs(uncompiled):
    [snippet] = snippets("docs/many_machines.md")
    assert "RaySearch(searcher)" in snippet
    names = {}
    exec(compile(snippet.replace("RaySearch(searcher)", "RaySearch(searcher, 0)"), "page", "exec"), names)
    assert names["searcher"].best.fitness < names["searcher"].history["best"][0]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"num_workers": -1}, "`num_workers` must be None or an int >= 0"),
        ({"block_size": 0}, "`block_size` must be None or an int >= 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        RaySearch(searcher_of(), **({"num_workers": 0} | arguments))


def test_a_searcher_without_objective_is_refused():
    with pytest.raises(ValueError, match="must have an objective"):
        RaySearch(searcher_of(objective=None), num_workers=0)


def test_workers_without_ray_are_refused(monkeypatch):
    monkeypatch.setattr(ray_search, "HAS_RAY", False)
    with pytest.raises(ImportError, match=r"Workers need Ray: `pip install 'kgdists\[ray\]'`"):
        RaySearch(searcher_of(), num_workers=2)


CLUSTER = """
    import os
    import signal
    import sys
    from pathlib import Path

    import numpy as np
    import ray
    import tensorflow as tf

    from kgdists.evolution import PGPE
    from kgdists.random import hashed_normal
    from kgdists.evolution.distributed import ray_search
    from kgdists.evolution.distributed.ray_search import RaySearch

    marks = Path(sys.argv[1])
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)


    def sphere(x):
        if (marks / "fail").exists():
            raise ValueError("An objective of its own mind.")
        try:
            (marks / "die").unlink()
        except FileNotFoundError:
            return np.sum(np.square(x - 1.0), axis=-1)
        os.kill(os.getpid(), signal.SIGKILL)  # amid a generation, once


    def new_searcher():
        return PGPE(
            sphere, objective_sense="min", solution_length=6, popsize=20, stdev_init=1.0, seed=1, evaluation="numpy"
        )


    def state(searcher):
        return [x.numpy() for x in tf.nest.flatten(searcher.state)]


    alone = new_searcher()
    with RaySearch(alone, num_workers=0, block_size=4) as search:
        search.run(20, verbose=0)

    together = new_searcher()
    search = RaySearch(together, 2, block_size=4)
    search.run(5, verbose=0)
    workers, first = search._processes, set(search._processes._workers)
    (marks / "die").touch()
    search.run(5, verbose=0)
    print("one has died:", len(workers._workers & first))

    def sums(tasks):
        ray.kill(*(workers._workers & first))  # between the two halves of a generation
        del workers.sums
        return workers.sums(tasks)

    workers.sums = sums
    search.run(10, verbose=0)
    print("all have died:", len(workers._workers & first))
    print("same bits:", all(np.array_equal(*pair) for pair in zip(state(alone), state(together), strict=True)))

    rows = search.searcher._generations.rows
    key, weights = np.array([1, 2]), np.linspace(-0.5, 0.5, 20, dtype="float32")
    tasks = [(range(i, i + 1), key, weights[4 * i : 4 * i + 4], abs(weights).sum()) for i in range(5)]
    ray_search.FAN_IN = 2
    tree, line = workers.sums(tasks), ray_search._Here(rows).sums(tasks)
    print("sums by a tree:", all(np.array_equal(tree[name], line[name]) for name in line))

    (marks / "fail").touch()
    try:
        search.run(1, verbose=0)
    except ValueError as error:
        print(error, "Workers:", len(workers._workers))
    """


KILLER = """
    import os
    import signal

    import numpy as np
    import ray

    from kgdists.evolution import SNES
    from kgdists.evolution.distributed.ray_search import RaySearch

    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)


    def kills(x):
        os.kill(os.getpid(), signal.SIGKILL)


    for evaluation in ("solution", "numpy"):
        searcher = SNES(
            kills, objective_sense="min", solution_length=3, popsize=8, stdev_init=1.0, seed=1, evaluation=evaluation
        )
        search = RaySearch(searcher, 1, block_size=4)
        hired = []
        try:
            search._engine(searcher, searcher.objective, searcher._current())
            processes, hire = search._processes, search._processes._hire
            search._engine = lambda *arguments: None
            processes._hire = lambda: hired.append(hire())
            rows = processes._rows
            key = np.array([1, 2])
            parameters = [x.numpy() for x in searcher.state.distribution._tensors()]
            processes.fitnesses([(range(0, 2), key)], parameters)
        except ValueError as error:
            print(error, "Hired:", len(hired))
    """


@needs_ray
@pytest.mark.exhaustive
def test_an_objective_that_ends_its_process_is_named_after_two_deaths(tmp_path):
    lines = [line for line in run_python(KILLER, tmp_path).splitlines() if line.startswith("An objective")]
    rule = "An objective must leave alone the process that it runs in. Received: the process ended twice, last with "
    assert lines == [
        f"{rule}kills at solution 0 of a population Hired: 2",
        f"{rule}kills at solutions 0 to 3 of a population Hired: 2",
    ]


@pytest.mark.exhaustive
@needs_ray
def test_workers_find_the_same_bits_also_when_they_die(tmp_path):
    lines = [line for line in run_python(CLUSTER, tmp_path).splitlines() if "raylet" not in line]
    assert lines == [
        "one has died: 1",
        "all have died: 0",
        "same bits: True",
        "sums by a tree: True",
        "An objective of its own mind. Workers: 0",
    ]
