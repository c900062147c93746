import json
import re
from multiprocessing.pool import ThreadPool

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdists.evolution import ExpSeparableGaussian, Searcher, SeparableGaussian, State, generations

TARGET = np.array([1.0, -2.0, 0.5])
COMPILED = {}


def sphere(x):
    return tf.reduce_sum(tf.square(x - tf.cast(TARGET, x.dtype)), axis=-1)


def sphere_of_arrays(x):
    return np.sum((x - TARGET) ** 2, axis=-1)


def compiled_once(searcher, objective, start):
    """What the searchers of these tests share, which are alike but for what they have been through."""
    if not objective.is_compiled:
        return generations.Generations(searcher, objective, start)
    arguments = [(name, x) for name, x in searcher._arguments.items() if name not in ("seed", "popsize")]
    return COMPILED.setdefault(
        repr([*arguments, searcher.popsize]), generations.Generations(searcher, objective, start)
    )


class NaturalSearch(Searcher):
    """The smallest searcher."""

    engine = staticmethod(compiled_once)

    def __init__(
        self, objective, *, objective_sense="min", solution_length=3, popsize=8, stdev_init=1.0, seed=1, **options
    ):
        super().__init__(
            objective,
            objective_sense=objective_sense,
            solution_length=solution_length,
            popsize=popsize,
            stdev_init=stdev_init,
            seed=seed,
            ranking_method="nes",
            **options,
        )

    def init(self, seed=None):
        return self._first(ExpSeparableGaussian({"mu": self.center_init, "sigma": self.stdev_init}), seed=seed)

    def update(self, state, gradients):
        sigma = state.distribution.sigma
        distribution = state.distribution.update_parameters(gradients, learning_rates={"mu": 1.0, "sigma": 0.3})
        distribution = distribution.modified_copy(sigma=self._limited(distribution.sigma, sigma))
        return state._replace(generation=state.generation + 1, distribution=distribution)


def run(searcher, generations, **options):
    searcher.run(generations, verbose=0, **options)
    return searcher


def assert_same(one, other):
    """Two searchers are at the same place, bit for bit."""
    for x, y in zip(*(tf.nest.flatten(searcher._current()) for searcher in (one, other)), strict=True):
        np.testing.assert_array_equal(x, y)
    assert one.history.keys() == other.history.keys()
    for name, column in one.history.items():
        np.testing.assert_array_equal(column, other.history[name])


@pytest.fixture
def uncompiled(monkeypatch):
    """Searches with an objective of arrays run eagerly, because a few generations take less time than compiling."""
    monkeypatch.setattr(generations, "compiled", lambda function, *specs: function)


@pytest.fixture(scope="module")
def finished():
    return run(NaturalSearch(sphere), 60)


def test_a_run_finds_the_optimum(finished):
    np.testing.assert_allclose(finished.center, TARGET, atol=0.02)
    np.testing.assert_allclose(finished.best.solution, TARGET, atol=0.02)
    assert finished.best.fitness == finished.history["best"].min()
    assert finished.best.fitness == pytest.approx(sphere_of_arrays(finished.best.solution), rel=1e-5)


def test_history_has_a_number_for_each_generation(finished):
    assert {name: x.shape for name, x in finished.history.items()} == dict.fromkeys(("stdev", "best", "mean"), (60,))
    assert finished.history["stdev"][0] == 1.0
    assert (finished.history["best"] <= finished.history["mean"]).all()


def test_ask_and_tell_are_the_run(finished):
    searcher = NaturalSearch(sphere)
    state = searcher.init()
    assert isinstance(state, State)
    means = []
    for _ in range(3):
        samples = searcher.ask(state)
        fitnesses = sphere(samples)
        means.append(tf.reduce_mean(fitnesses))
        state = searcher.tell(state, samples, fitnesses)
    assert state.generation == 3
    np.testing.assert_allclose(finished.history["mean"][:3], means, rtol=1e-5)
    assert np.isnan(searcher.best.fitness)  # which are pure functions


def test_rows_of_a_population_are_had_on_their_own():
    searcher = NaturalSearch(sphere)
    state = searcher.init()
    np.testing.assert_array_equal(searcher.ask(state)[3:5], searcher.ask(state, 2, first_row=3))


def test_the_seed_decides():
    populations = [
        searcher.ask(searcher.init(seed)).numpy()
        for searcher, seed in (
            (NaturalSearch(sphere), None),
            (NaturalSearch(sphere, seed=2), 1),
            (NaturalSearch(sphere, seed=2), None),
            (NaturalSearch(sphere, seed=None), None),
            (NaturalSearch(sphere, seed=None), None),
        )
    ]
    np.testing.assert_array_equal(populations[0], populations[1])
    assert len({population.tobytes() for population in populations}) == 4


def test_calls_of_any_number_of_generations_are_the_same_run(finished):
    searcher = NaturalSearch(sphere)
    searcher.step()
    run(searcher, 5)
    run(searcher, 4, callbacks=[keras.callbacks.Callback()])
    assert_same(run(searcher, 50), finished)


@pytest.mark.exhaustive
def test_many_searches_run_at_once():
    starts = np.array([[[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]]])
    searcher = run(NaturalSearch(sphere, center_init=starts, dtype="float64"), 60)
    assert searcher.best.solution.shape == (1, 2, 3) and searcher.best.fitness.shape == (1, 2)
    assert searcher.history["mean"].shape == (60, 1, 2)
    assert searcher.center.dtype == "float64"
    np.testing.assert_allclose(searcher.center, np.broadcast_to(TARGET, (1, 2, 3)), atol=0.1)
    assert not (searcher.center[0, 0] == searcher.center[0, 1]).any()


def test_status_says_where_a_search_stands(finished):
    status = finished.status
    assert (status["generation"], status["popsize"], status["num_restarts"]) == (60, 8, 0)
    assert status["best_fitness"] == finished.best.fitness
    assert status["mean"] == finished.history["mean"][-1]
    assert NaturalSearch(sphere).status["generation"] == 0


# Objectives.


@pytest.mark.parametrize("sense", ["min", "max"])
def test_best_and_mean_are_of_what_is_not_nan(sense, uncompiled):
    sign = 1.0 if sense == "min" else -1.0
    values = iter([[3, 2, np.nan, 4], [np.nan, np.inf, 1, np.nan], [5, -np.inf, np.nan, 9]])
    searcher = NaturalSearch(
        lambda x: sign * np.array(next(values)), objective_sense=sense, popsize=4, evaluation="numpy"
    )
    run(searcher, 2)
    np.testing.assert_array_equal(searcher.history["best"], [sign * 2.0, sign * 1.0])
    np.testing.assert_array_equal(searcher.history["mean"], [sign * 3.0, sign * np.inf])
    assert searcher.best.fitness == sign
    state = searcher.state
    searcher.step()
    assert searcher.best.fitness == -sign * np.inf
    np.testing.assert_allclose(searcher.best.solution, searcher.ask(state)[1], rtol=1e-5)


def test_a_fitness_that_is_worst_is_better_than_none(uncompiled):
    searcher = NaturalSearch(lambda x: np.array([np.nan, np.inf, np.nan, np.nan]), popsize=4, evaluation="numpy")
    assert run(searcher, 1).best.fitness == np.inf


def test_fitnesses_that_are_all_nan_are_an_error(uncompiled):
    values = iter([np.arange(4.0), np.full(4, np.nan)])
    searcher = NaturalSearch(lambda x: next(values), popsize=4, evaluation="numpy")
    searcher.step()
    with pytest.raises(ValueError, match="not NaN. Received: only NaN, in generation 2"):
        searcher.step()
    assert searcher.state.generation == 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("evaluation", ["numpy", "graph"])
def test_an_objective_of_arrays_is_the_same_search(finished, evaluation):
    objective = sphere_of_arrays if evaluation == "numpy" else asks_python
    searcher = run(NaturalSearch(objective, evaluation=evaluation), 5)
    np.testing.assert_allclose(searcher.history["best"], finished.history["best"][:5], rtol=1e-4)
    np.testing.assert_allclose(searcher.history["mean"], finished.history["mean"][:5], rtol=1e-4)


def test_an_objective_of_one_solution_is_the_same_search(uncompiled):
    starts = [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    searcher = run(NaturalSearch(sphere_of_arrays, center_init=starts, evaluation="numpy"), 3)
    with ThreadPool(2) as pool:
        one_by_one = NaturalSearch(sphere_of_arrays, center_init=starts, evaluation="solution", map=pool.map)
        assert_same(run(one_by_one, 3), searcher)


def branches(x):
    return sphere(x) if tf.reduce_sum(x) > 0.0 else -sphere(x)


def asks_python(x):
    return tf.ensure_shape(tf.py_function(sphere, [x], x.dtype), x.shape[:-1])


@pytest.mark.few(1)
@pytest.mark.parametrize("objective", [branches, asks_python, lambda x: sphere_of_arrays(x.numpy())])
def test_an_objective_that_cannot_be_compiled_is_told_what_to_do(objective):
    with pytest.raises(ValueError, match='need `evaluation="graph"`'):
        NaturalSearch(objective).step()


def test_an_objective_that_cannot_be_traced_is_told_what_to_do():
    with pytest.raises(ValueError, match='`evaluation="graph"` must be a function of tensors; others need "numpy"'):
        NaturalSearch(lambda x: sphere_of_arrays(x.numpy()), evaluation="graph").step()


@pytest.mark.parametrize("evaluation", ["tensorflow", "numpy"])
@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (lambda x: x, r"of shape \(8,\). Received: shape \(8, 3\)"),
        (lambda x: x[..., :1], r"of shape \(8,\). Received: shape \(8, 1\)"),
        (lambda x: x[:, 0] > 0.0, "real numbers. Received: dtype bool"),
    ],
)
def test_what_an_objective_returns_is_checked(evaluation, objective, message, uncompiled):
    with pytest.raises(ValueError, match=message):
        NaturalSearch(objective, evaluation=evaluation).step()


def test_an_objective_of_one_solution_returns_a_number(uncompiled):
    with pytest.raises(ValueError, match="must return a number"):
        NaturalSearch(lambda x: x, evaluation="solution").step()


# Bounds and limits.


@pytest.mark.exhaustive
@pytest.mark.parametrize("method", ["reflect", "transform"])
def test_solutions_are_within_bounds(method, uncompiled):
    bounds = ([0.0, -np.inf, -1.0], [4.0, -1.0, 0.25])
    seen = []

    def objective(x):
        seen.append(x)
        return sphere_of_arrays(x)

    searcher = run(NaturalSearch(objective, bounds=bounds, bounds_method=method, popsize=30, evaluation="numpy"), 30)
    seen = np.concatenate(seen)
    assert ((seen >= bounds[0]) & (seen <= bounds[1])).all()
    np.testing.assert_allclose(searcher.center, [1.0, -2.0, 0.25], atol=0.05)


def test_standard_deviations_stay_within_their_limits():
    old = tf.constant([1.0, 1.0, 1.0])
    searcher = NaturalSearch(sphere, stdev_min=0.5, stdev_max=[2.0, 2.0, 1.1], stdev_max_change=0.2)
    np.testing.assert_allclose(searcher._limited(tf.constant([0.1, 1.1, 9.0]), old), [0.8, 1.1, 1.1])
    searcher = NaturalSearch(sphere, bounds=(-3.0, [3.0, 3.0, np.inf]))
    np.testing.assert_allclose(searcher._limited(tf.constant([9.0, 2.0, 9.0]), old), [3.0, 2.0, 9.0])


def test_a_radius_is_the_length_of_the_standard_deviations():
    stdev = NaturalSearch(sphere, stdev_init=None, radius_init=3.0).init().distribution.sigma
    assert np.linalg.norm(stdev) == pytest.approx(3.0)


# Restarts.


@pytest.mark.exhaustive
def test_a_search_that_has_converged_starts_again():
    searcher = NaturalSearch(sphere, restarts=2, tol_stdev=0.5)
    history = searcher.run(1000, verbose=0)
    assert searcher.is_converged and searcher.num_restarts == 2
    assert len(history.epoch) == len(searcher.history["best"]) < 1000
    (starts,) = np.nonzero(searcher.history["stdev"] == 1.0)
    assert len(starts) == 3
    assert searcher.best.fitness == searcher.history["best"].min()
    assert searcher.run(3, verbose=0).history == {}


def test_a_search_that_finds_nothing_better_has_converged(uncompiled):
    searcher = run(NaturalSearch(lambda x: np.zeros(8), restarts=0, patience=4, evaluation="numpy"), 50)
    assert searcher.is_converged and len(searcher.history["best"]) == 5


# Callbacks and progress.


def test_callbacks_are_called_for_each_generation(tmp_path):
    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            generations.append((epoch, int(self.model.searcher.state.generation), sorted(logs)))

    generations = []
    stop = keras.callbacks.EarlyStopping("best", mode="min", patience=0, baseline=0.0)
    callbacks = [keras.callbacks.CSVLogger(tmp_path / "log.csv"), keras.callbacks.TensorBoard(tmp_path), Watch()]
    searcher = NaturalSearch(sphere)
    history = searcher.run(3, callbacks=callbacks, verbose=0)
    assert generations == [(i, i + 1, ["best", "mean", "stdev"]) for i in range(3)]
    assert (tmp_path / "log.csv").read_text().startswith("epoch,best,mean,stdev")
    assert len(list(tmp_path.glob("**/events*"))) == 1
    np.testing.assert_array_equal(history.history["best"], searcher.history["best"])
    assert len(searcher.run(10, callbacks=[stop], verbose=0).epoch) == 2


def test_progress_is_shown(capsys, finished):
    NaturalSearch(sphere).run(20)
    assert "20/20" in capsys.readouterr().out
    NaturalSearch(sphere).run(20, verbose=0)
    assert capsys.readouterr().out == ""


def test_the_best_so_far_is_shown_by_each_generation(capsys):
    searcher = NaturalSearch(sphere)
    for _ in range(2):  # also where the search goes on
        searcher.run(3, verbose=2)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == ["1/3", "2/3", "3/3"]
        shown = [float(re.search(r"best: (\S+)", line)[1]) for line in lines]
        best = np.minimum.accumulate(searcher.history["best"])[-3:]
        np.testing.assert_allclose(shown, best, rtol=0.01, atol=1e-4)


def test_the_old_name_of_verbose_is_known_until_0_3(capsys):
    with pytest.warns(DeprecationWarning, match="`progress` is `verbose` now"):
        NaturalSearch(sphere).run(3, progress=False)
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="`verbose` must be"):
        NaturalSearch(sphere).run(3, verbose=4)


# Run files.


def test_a_resumed_search_ends_where_an_uninterrupted_one_ends(tmp_path, finished):
    run(NaturalSearch(sphere), 25).save(tmp_path / "search")
    searcher = NaturalSearch(sphere, seed=9)
    searcher.load(tmp_path / "search")
    assert_same(run(searcher, 35), finished)
    assert [file.name for file in tmp_path.iterdir()] == ["search"]


@pytest.mark.exhaustive
def test_a_search_is_resumed_after_its_restarts(tmp_path, uncompiled):
    options = {"evaluation": "numpy", "restarts": 2, "double_popsize": True, "tol_stdev": 0.5}
    through = run(NaturalSearch(sphere_of_arrays, **options), 1000)
    assert through.ask(through.state).shape == (32, 3)
    searcher = NaturalSearch(sphere_of_arrays, **options)
    while searcher.num_restarts == 0:
        searcher.step()
    searcher.save(tmp_path / "search")
    searcher = NaturalSearch(sphere_of_arrays, **options)
    searcher.load(tmp_path / "search")
    assert (searcher.num_restarts, searcher.popsize) == (1, 16)
    assert_same(run(searcher, 1000), through)
    assert searcher.is_converged


def test_a_damaged_file_is_one_clear_error(tmp_path):
    file = tmp_path / "search"
    NaturalSearch(sphere).save(file)
    content = file.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(ValueError, match="this one is damaged: .* Received: .*search$"):
            NaturalSearch(sphere).load(file)
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    file.write_bytes(flipped)
    with pytest.raises(ValueError, match="damaged"):
        NaturalSearch(sphere).load(file)


def test_a_file_runs_no_code(tmp_path):
    class Code:
        def __reduce__(self):
            return (pytest.fail, ("code of a file was run",))

    np.savez(tmp_path / "search.npz", header=np.array([Code()], dtype=object))
    with pytest.raises(ValueError, match="damaged"):
        NaturalSearch(sphere).load(tmp_path / "search.npz")


def test_a_file_holds_json(tmp_path):
    NaturalSearch(sphere, center_init=TARGET).save(tmp_path / "search")
    with np.load(tmp_path / "search") as arrays:
        header = json.loads(arrays["header"].item())
    assert header["searcher"] == "NaturalSearch" and header["settings"]["popsize"] == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"popsize": 10}, "popsize=10, but 8 in"),
        ({"stdev_init": 2.0}, "stdev_init=2.0, but 1.0 in"),
        ({"objective_sense": "max"}, "objective_sense='max', but 'min' in"),
        ({"center_init": np.ones(3)}, "center_init="),
    ],
)
def test_a_search_is_resumed_by_the_same_searcher(tmp_path, options, message):
    NaturalSearch(sphere).save(tmp_path / "search")
    with pytest.raises(ValueError, match=f"same arguments. Received: {re.escape(message)}"):
        NaturalSearch(sphere, **options).load(tmp_path / "search")


def test_a_file_is_replaced_at_once(tmp_path, monkeypatch):
    searcher = NaturalSearch(sphere)
    searcher.save(tmp_path / "search")

    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        searcher.save(tmp_path / "search")
    NaturalSearch(sphere).load(tmp_path / "search")


def test_a_file_must_exist(tmp_path):
    with pytest.raises(ValueError, match="a file that `save` wrote"):
        NaturalSearch(sphere).load(tmp_path / "nothing")


# Arguments.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective_sense": "up"}, "`objective_sense` must be one of"),
        ({"popsize": 0}, "`popsize` must be an int >= 1"),
        ({"solution_length": 2.0}, "`solution_length` must be an int >= 1"),
        ({"radius_init": 1.0}, "One of `stdev_init` and `radius_init`"),
        ({"stdev_init": None}, "One of `stdev_init` and `radius_init`"),
        ({"stdev_init": 0.0}, "finite and > 0"),
        ({"center_init": [0.0, np.nan, 0.0]}, "must be finite"),
        ({"center_init": [0.0, 0.0]}, r"must have shape \[D\] or \[B..., D\]"),
        ({"dtype": "float16"}, "`dtype` must be"),
        ({"evaluation": "torch"}, "`evaluation` must be one of"),
        ({"restarts": -1}, "`restarts` must be an int >= 0"),
        ({"bounds": 1.0}, "`bounds` must be a pair"),
        ({"bounds": (1.0, 0.0)}, "`low` must be <= `high`"),
        ({"bounds": (0.0, 0.0)}, "low < high"),
        ({"bounds": (0.0, 1.0), "bounds_method": "clip"}, "`bounds_method` must be one of"),
        ({"bounds": (0.0, 1.0), "center_init": 2.0}, "within `bounds`"),
        ({"bounds": (0.0, 1.0), "center_init": 1.0, "bounds_method": "transform"}, "inside `bounds`"),
    ],
)
def test_arguments_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        NaturalSearch(sphere, **options)


def test_an_objective_must_be_callable():
    with pytest.raises(ValueError, match="`objective` must be callable"):
        NaturalSearch(3)


def test_a_searcher_without_an_objective_does_not_run():
    with pytest.raises(ValueError, match="run by its `ask` and `tell`"):
        NaturalSearch(None).step()


def test_generations_are_counted():
    with pytest.raises(ValueError, match="`num_generations` must be an int >= 1"):
        NaturalSearch(sphere).run(0)


@pytest.mark.parametrize("kind", [SeparableGaussian, ExpSeparableGaussian])
def test_standard_deviations_do_not_underflow(kind):
    distribution = kind({"mu": [1.0], "sigma": [1e-37]}, dtype="float32")
    for _ in range(3):
        distribution = distribution.update_parameters({"mu": [0.0], "sigma": [-300.0]})
    assert distribution.sigma > 0.0
    gradients = distribution.compute_gradients([[1.0], [1.0]], [0.0, 1.0], objective_sense="max")
    assert np.isfinite([gradients["mu"], gradients["sigma"]]).all()
