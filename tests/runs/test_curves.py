import types

import keras
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from kgdists.plotting import fit_history, learning_curve
from kgdists.runs.curves import seed_band


def written(folder, *rows, columns="steps,return,length"):
    """A run folder with these lines in its metrics."""
    folder.mkdir()
    (folder / "metrics.csv").write_text("\n".join([columns, *rows]) + "\n")
    return folder


@pytest.fixture
def run(tmp_path):
    return written(tmp_path / "run", "100,1.5,9", "200,2.5,9", "300,-3.0,9")


def lines(figure):
    return figure.axes[0].get_lines()


def legend(figure):
    """The names of the curves, without what is said of lines and marks."""
    (only,) = figure.legends
    texts = [text.get_text() for text in only.get_texts()]
    return [text for text in texts if not text.startswith(("training:", "evaluation", "seeds:"))]


def test_the_curve_is_the_return_over_the_steps(run):
    (line,) = lines(learning_curve([run]))
    np.testing.assert_array_equal(line.get_xydata(), [[100, 1.5], [200, 2.5], [300, -3.0]])


def test_columns_may_come_in_any_order(tmp_path):
    run = written(tmp_path / "run", "0,7.0,100", columns="epoch,return,steps")
    np.testing.assert_array_equal(lines(learning_curve([run]))[0].get_xydata(), [[100, 7.0]])


def test_updates_without_a_finished_episode_leave_a_gap(tmp_path):
    run = written(tmp_path / "run", "100,nan,nan", "200,2.5,9")
    np.testing.assert_array_equal(lines(learning_curve([run]))[0].get_ydata(), [np.nan, 2.5])


def test_each_run_has_a_curve_named_after_its_folder(run, tmp_path):
    figure = learning_curve([run, str(written(tmp_path / "other", "50,0.0,1"))])
    assert len(lines(figure)) == 2 and legend(figure) == ["run", "other"]


def test_curves_can_be_named(run):
    assert legend(learning_curve([run, run], ["a", "b"])) == ["a", "b"]


def test_there_must_be_a_name_for_each_curve(run):
    with pytest.raises(ValueError, match="shorter"):
        learning_curve([run, run], ["a"])


def test_both_axes_are_labelled(run):
    axes = learning_curve([run]).axes[0]
    assert "steps" in axes.get_xlabel() and "return" in axes.get_ylabel()


def test_the_figure_can_be_written(run, tmp_path):
    learning_curve([run]).savefig(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("make", [lambda path: path, lambda path: path.mkdir() or path], ids=["no folder", "no file"])
def test_a_run_without_metrics_is_refused(tmp_path, make):
    with pytest.raises(ValueError, match="the file metrics.csv. Received: .*nowhere"):
        learning_curve([make(tmp_path / "nowhere")])


def test_a_run_without_an_update_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one update .* Received: .*run"):
        learning_curve([written(tmp_path / "run")])


@pytest.mark.parametrize("row", ["100", "100,high,9", "100,"], ids=["short", "word", "empty"])
def test_damaged_rows_are_refused(tmp_path, row):
    with pytest.raises(ValueError, match="damaged: .* Received: .*metrics.csv"):
        learning_curve([written(tmp_path / "run", "50,1.0,9", row)])


def test_missing_columns_are_refused(tmp_path):
    with pytest.raises(ValueError, match="damaged: .* Received: .*metrics.csv"):
        learning_curve([written(tmp_path / "run", "50,1.0", columns="steps,loss")])


def test_metrics_that_are_no_text_are_refused(run):
    (run / "metrics.csv").write_bytes(np.random.default_rng(0).bytes(500))
    with pytest.raises(ValueError, match="damaged: .* Received: .*metrics.csv"):
        learning_curve([run])


def test_a_fit_is_drawn_with_its_running_mean():
    values, mean = lines(fit_history([{"loss": [4.0, 2.0, 0.0, 2.0]}], window=2))
    np.testing.assert_array_equal(values.get_xydata(), [[1, 4.0], [2, 2.0], [3, 0.0], [4, 2.0]])
    np.testing.assert_array_equal(mean.get_xydata(), [[2, 3.0], [3, 1.0], [4, 1.0]])


def test_a_window_of_one_draws_the_values_alone():
    (line,) = lines(fit_history([{"loss": [4.0, 2.0]}], window=1))
    np.testing.assert_array_equal(line.get_ydata(), [4.0, 2.0])


def test_a_window_is_never_longer_than_the_fit():
    np.testing.assert_array_equal(lines(fit_history([{"loss": [4.0, 2.0]}]))[1].get_xydata(), [[2, 3.0]])


def test_what_has_a_history_is_as_good_as_one():
    history = keras.callbacks.History()
    history.history = {"kl": [1.0, 2.0]}
    fit = types.SimpleNamespace(history=history)
    figure = fit_history([history, fit, history.history], quantity="kl", window=1)
    assert [list(line.get_ydata()) for line in lines(figure)] == 3 * [[1.0, 2.0]]
    assert legend(figure) == ["fit 1", "fit 2", "fit 3"] and figure.axes[0].get_ylabel() == "kl"


def test_restarts_have_a_line_each_and_one_name():
    figure = fit_history([{"losses": [[4.0, 1.0], [2.0, 1.0]]}], ["a"], quantity="losses", window=2)
    assert [list(line.get_ydata()) for line in lines(figure)] == [[4.0, 2.0], [1.0, 1.0], [3.0], [1.0]]
    assert legend(figure) == ["a"] and len({line.get_color() for line in lines(figure)}) == 1


def test_fits_can_be_named():
    assert legend(fit_history([{"loss": [1.0]}], ["reverse KL"])) == ["reverse KL"]


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({"kl": [1.0]}, r"`quantity` must be one of \['kl'\]. Received: quantity='loss'"),
        ([1.0], "dict of arrays. Received: list"),
        ({"loss": []}, r"numbers for each iteration. Received: shape \(0,\)"),
        ({"loss": 1.0}, r"numbers for each iteration. Received: shape \(\)"),
    ],
)
def test_what_is_no_history_is_refused(history, message):
    with pytest.raises(ValueError, match=message):
        fit_history([history])


# Several seeds


def test_runs_of_one_label_are_seeds_of_one_curve(tmp_path):
    runs = [written(tmp_path / str(x), f"10,{x},9", f"20,{x + 4.0},9") for x in (0.0, 1.0, 5.0)]
    figure = learning_curve([*runs, runs[0]], ["a", "a", "a", "b"])
    *thin, mean, alone = lines(figure)
    assert [line.get_ydata().tolist() for line in thin] == [[0.0, 4.0], [1.0, 5.0], [5.0, 9.0]]
    assert {line.get_color() for line in thin} == {mean.get_color()} != {alone.get_color()}
    assert all(line.get_linewidth() < mean.get_linewidth() for line in thin)
    np.testing.assert_array_equal(mean.get_xydata(), [[10, 2.0], [20, 6.0]])
    np.testing.assert_array_equal(alone.get_ydata(), [0.0, 4.0])
    (band,) = figure.axes[0].collections
    corners = {tuple(point) for point in band.get_paths()[0].vertices.tolist()}
    assert corners == {(10, 0.5), (10, 3.0), (20, 4.5), (20, 7.0)}
    assert legend(figure) == ["a, 3 seeds", "b"]


def test_each_panel_has_its_own_axes(tmp_path):
    run = written(tmp_path / "run", "10,1.0,9")
    figure = learning_curve(4 * [run], ["a", "b", "a", "a"], ["x", "x", "y", "z"])
    assert [axes.get_title() for axes in figure.axes] == ["x", "y", "z"]
    assert [len(axes.get_lines()) for axes in figure.axes] == [2, 1, 1]


def test_another_quantity_can_be_plotted(tmp_path):
    run = written(tmp_path / "run", "10,1.0,9", "20,2.0,8")
    assert list(lines(learning_curve([run], quantity="length"))[0].get_ydata()) == [9.0, 8.0]
    with pytest.raises(ValueError, match="`quantity` must be one of length, return, steps. Received: 'kl' of .*run"):
        learning_curve([run], quantity="kl")


def test_a_band_is_where_all_seeds_have_values():
    curves = [([10, 20, 30], [np.nan, 2.0, 4.0]), ([15, 25, 35], [0.0, 1.0, 9.0])]
    steps, mean, low, high = seed_band([tuple(map(np.array, curve)) for curve in curves])
    np.testing.assert_array_equal(steps, [20, 25, 30])
    np.testing.assert_allclose(mean, [(2.0 + 0.5) / 2, (3.0 + 1.0) / 2, (4.0 + 5.0) / 2])
    np.testing.assert_allclose(high - low, np.array([1.5, 2.0, 1.0]) / 2)


def test_without_common_steps_there_is_no_band():
    curves = [(np.array([1, 2]), np.array([1.0, 2.0])), (np.array([1, 2]), np.array([np.nan, np.nan]))]
    assert [len(x) for x in seed_band(curves)] == [0, 0, 0, 0]
    assert [len(x) for x in seed_band([curves[0], (np.array([5, 6]), np.array([1.0, 2.0]))])] == [0, 0, 0, 0]


def test_a_long_band_has_few_points():
    steps = np.arange(5000)
    grid, mean, _, _ = seed_band([(steps, 2.0 * steps), (steps, 4.0 * steps)])
    assert len(grid) == 400 and (grid[0], grid[-1]) == (0, 4999)
    np.testing.assert_allclose(mean, 3.0 * grid)


# Evaluations beside the training


def test_the_evaluation_at_the_end_stands_beside_the_curve_with_its_deviation(run):
    (run / "evaluation.json").write_text('{"returns": [4.0, 8.0], "lengths": [1, 1], "steps": 290}')
    figure = learning_curve([run])
    diamond = lines(figure)[1]
    assert diamond.get_xydata().tolist() == [[290.0, 6.0]] and diamond.get_marker() == "D"
    (deviation,) = figure.axes[0].collections
    assert deviation.get_segments()[0].tolist() == [[290.0, 4.0], [290.0, 8.0]]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("with exploration" in text for text in texts) and any("most probable actions" in text for text in texts)


def test_an_evaluation_without_steps_is_of_the_last_ones(run):
    (run / "evaluation.json").write_text('{"returns": [4.0], "lengths": [1]}')
    assert lines(learning_curve([run]))[1].get_xdata().tolist() == [300.0]


def test_evaluations_on_the_way_are_those_of_the_callback(run):
    (run / "best.json").write_text('{"steps": 1, "return": 5.0, "evaluations": [[100, 5.0], [200, 5.0], [300, 6.0]]}')
    assert lines(learning_curve([run]))[1].get_xydata().tolist() == [[100.0, 5.0], [200.0, 5.0], [300.0, 6.0]]


def test_evaluations_on_the_way_are_read_off_the_metrics_where_the_callback_wrote_elsewhere(tmp_path):
    rows = ("100,1.0,nan", "200,1.0,5.0", "300,1.0,5.0", "400,1.0,7.0")
    run = written(tmp_path / "run", *rows, columns="steps,return,evaluation_return")
    assert lines(learning_curve([run]))[1].get_xydata().tolist() == [[200.0, 5.0], [400.0, 7.0]]
    assert len(lines(learning_curve([run], quantity="evaluation_return"))) == 1


def test_damaged_evaluations_on_the_way_are_refused(run):
    (run / "best.json").write_text('{"evaluations": 3}')
    with pytest.raises(ValueError, match="Received: .*best.json"):
        learning_curve([run])


# As a designer would pass it

LONG = "ppo, learning_rate=0.001 → 0 over 4680, clip_range=0.2 → 0 over 4680, hidden_units=64 x 64, a=b$c$, " * 2


def boxes(figure):
    """Where the legend of a figure is, and where its axes are with all their labels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    (legend,) = figure.legends
    assert all(axes.get_legend() is None for axes in figure.axes)
    return legend.get_window_extent(renderer), [axes.get_tightbbox(renderer) for axes in figure.axes]


FIGURES = {
    "short names": lambda runs: learning_curve(runs, list("abc")),
    "a long name": lambda runs: learning_curve(runs, ["a", "b", LONG]),
    "three long names": lambda runs: learning_curve(runs, [LONG, f"{LONG}2", "_of folders that begin so"]),
    "panels": lambda runs: learning_curve(runs, ["a", "a", LONG], ["x", "y", "z"]),
    "rows of panels": lambda runs: learning_curve(runs * 2, list("ababab"), list("uvwxyz")),
    "many names": lambda runs: learning_curve(runs * 6, [f"a name of some length, {i}" for i in range(18)]),
    "fits": lambda runs: fit_history([{"loss": [1.0, 2.0]}] * 3, ["a", "b", LONG]),
}


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_a_legend_covers_no_axes_and_is_within_the_figure(tmp_path, make):
    runs = [written(tmp_path / name, "10,1.0,9", "20,2.0,8") for name in "abc"]
    (runs[0] / "evaluation.json").write_text('{"returns": [4.0, 8.0], "lengths": [1, 1]}')
    figure = make(runs)
    legend, axes = boxes(figure)
    assert [box for box in axes if box.overlaps(legend)] == []
    assert figure.bbox.containsx(legend.x0) and figure.bbox.containsx(legend.x1)
    assert figure.bbox.containsy(legend.y0) and figure.bbox.containsy(legend.y1)


def test_long_names_are_wrapped_and_whole(tmp_path):
    figure = learning_curve([written(tmp_path / "run", "10,1.0,9")], [LONG])
    (name,) = legend(figure)
    assert "\n" in name and name.replace("\n", " ").replace(r"\$", "$").strip() == LONG.strip()


def test_a_name_that_begins_with_an_underscore_is_in_the_legend(tmp_path):
    assert legend(learning_curve([written(tmp_path / "_run", "10,1.0,9")])) == ["_run"]


def test_panels_have_axes_of_one_size(tmp_path):
    runs = [written(tmp_path / str(x), f"10,{x},9", f"2000000,{-x},8") for x in (1.0, 123456.0, 1e-5)]
    figure = learning_curve(runs, list("abc"), list("xyz"))
    boxes(figure)
    sizes = np.array([axes.get_position().size for axes in figure.axes])
    np.testing.assert_allclose(sizes, sizes[:1].repeat(3, axis=0), rtol=1e-6)


def test_one_name_has_one_color_in_all_panels(tmp_path):
    run = written(tmp_path / "run", "10,1.0,9")
    figure = learning_curve(4 * [run], ["b", "a", "b", "c"], ["x", "x", "y", "y"])
    colors = [[line.get_color() for line in axes.get_lines()] for axes in figure.axes]
    assert colors[0][0] == colors[1][0] and len({*colors[0], *colors[1]}) == 3
    assert legend(figure) == ["b", "a", "c"]


def test_what_a_logger_left_out_is_a_gap(tmp_path):
    run = written(tmp_path / "run", "100,NA,9", "200,2.5,9")
    np.testing.assert_array_equal(lines(learning_curve([run]))[0].get_ydata(), [np.nan, 2.5])
