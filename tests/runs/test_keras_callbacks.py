"""Every callback of Keras where an agent learns: it works, or one line says what to use instead."""

import csv
import inspect
import re

import keras
import numpy as np
import pytest

import kgdists as kg
from tests.agents.helpers import Counter, Noise, counters, small

pytestmark = pytest.mark.usefixtures("eagerly")

CALLBACKS = {
    name: cls
    for name, cls in vars(keras.callbacks).items()
    if inspect.isclass(cls) and issubclass(cls, keras.callbacks.Callback)
}


class Server:
    """What `RemoteMonitor` posts to."""

    posts = []

    @classmethod
    def post(cls, url, **content):
        cls.posts.append(content)


# Name -> how it is made, in a folder, and what must have come of it after two epochs of 16 steps.
WORK = {
    "Callback": (
        lambda folder: keras.callbacks.Callback(),
        lambda callback, folder, agent: callback.model is agent.policy,
    ),
    "CallbackList": (
        lambda folder: keras.callbacks.CallbackList([keras.callbacks.CSVLogger(folder / "log.csv")]),
        lambda callback, folder, agent: rows(folder / "log.csv", "steps") == [16.0, 32.0],
    ),
    "History": (
        lambda folder: keras.callbacks.History(),
        lambda callback, folder, agent: callback.history["steps"] == [16, 32],
    ),
    "ProgbarLogger": (lambda folder: keras.callbacks.ProgbarLogger(), lambda callback, folder, agent: True),
    "CSVLogger": (
        lambda folder: keras.callbacks.CSVLogger(folder / "log.csv"),
        lambda callback, folder, agent: rows(folder / "log.csv", "steps") == [16.0, 32.0],
    ),
    "TensorBoard": (
        lambda folder: keras.callbacks.TensorBoard(folder / "logs"),
        lambda callback, folder, agent: [*folder.glob("logs/train/events*")] != [],
    ),
    "EarlyStopping": (
        lambda folder: keras.callbacks.EarlyStopping(monitor="return"),
        lambda callback, folder, agent: callback.best == 10.0,
    ),
    "ModelCheckpoint": (
        lambda folder: keras.callbacks.ModelCheckpoint(folder / "{epoch}.keras", save_freq=1),
        lambda callback, folder, agent: {file.stem for file in folder.iterdir()} == {"1", "2"},
    ),
    "ReduceLROnPlateau": (
        lambda folder: keras.callbacks.ReduceLROnPlateau(monitor="return", factor=0.5, patience=1),
        lambda callback, folder, agent: float(agent.optimizer.learning_rate) == pytest.approx(1.5e-4),
    ),
    "LearningRateScheduler": (
        lambda folder: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
        lambda callback, folder, agent: float(agent.optimizer.learning_rate) == pytest.approx(0.75e-4),
    ),
    "TerminateOnNaN": (
        lambda folder: keras.callbacks.TerminateOnNaN(),
        lambda callback, folder, agent: agent.steps == 32,
    ),
    "LambdaCallback": (
        lambda folder: keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: (folder / f"{epoch} {logs['steps']}").touch()
        ),
        lambda callback, folder, agent: {file.name for file in folder.iterdir()} == {"0 16.0", "1 32.0"},
    ),
    "RemoteMonitor": (
        lambda folder: keras.callbacks.RemoteMonitor(send_as_json=True),
        lambda callback, folder, agent: [post["json"]["steps"] for post in Server.posts] == [16, 32],
    ),
}
REFUSED = {
    "BackupAndRestore": (lambda folder: keras.callbacks.BackupAndRestore(folder), "use|put `kg.agents.Checkpoints"),
    "SwapEMAWeights": (lambda folder: keras.callbacks.SwapEMAWeights(), "`kg.agents.EvaluateAndKeepBest`"),
    # Its constructor needs a package of its own.
    "OrbaxCheckpoint": (
        lambda folder: keras.callbacks.OrbaxCheckpoint.__new__(keras.callbacks.OrbaxCheckpoint),
        "put `kg.agents.Checkpoints",
    ),
}


def rows(file, name):
    with file.open(newline="") as opened:
        return [float(row[name]) for row in csv.DictReader(opened)]


def test_the_table_has_every_callback_of_keras():
    assert WORK.keys() | REFUSED.keys() == CALLBACKS.keys() and not WORK.keys() & REFUSED.keys()


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_works_or_says_what_to_use_instead(tmp_path, monkeypatch, name):
    agent = small(counters(4, 4))
    if name in REFUSED:
        make, hint = REFUSED[name]
        with pytest.raises(ValueError, match=f"{name}: .*({hint}).* Received: a {name}"):
            agent.learn(32, make(tmp_path))
        assert agent.steps == 0
        return
    monkeypatch.setattr("keras.src.callbacks.remote_monitor.requests", Server)
    monkeypatch.setattr(Server, "posts", [])
    make, holds = WORK[name]
    callback = make(tmp_path)
    agent.learn(32, callback, verbose=0)
    assert holds(callback, tmp_path, agent)


@pytest.mark.parametrize("verbose", [0, 1])
def test_a_progbar_logger_shows_the_progress_once(capsys, verbose):
    small(counters(4, 4)).learn(32, [keras.callbacks.ProgbarLogger()], verbose=verbose)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("32/32 ") and "return: 10.00" in line


def test_early_stopping_on_the_return_waits_for_the_first_episode_and_for_a_rise():
    agent = small(
        lambda: Counter(10), num_envs=1, n_steps=8, batch_size=8
    )  # its first episode ends in the second epoch
    stopping = keras.callbacks.EarlyStopping(monitor="return", patience=2)
    history = agent.learn(200, stopping, verbose=0).history
    assert np.isnan(history["return"][0]) and agent.steps == 32 and stopping.best == 55.0


@pytest.mark.exhaustive
def test_a_callback_knows_which_way_a_metric_should_go(tmp_path):
    for name, direction in (("return", "max"), ("evaluation_return", "max"), ("value_loss", "min"), ("kl", "min")):
        callback = keras.callbacks.ModelCheckpoint(tmp_path / "a.keras", monitor=name)
        evaluating = kg.agents.EvaluateAndKeepBest(Noise, tmp_path / "best.keras", episodes=1)
        small(Noise).learn(16, [evaluating, callback], verbose=0)
        assert callback.mode == direction
    given = keras.callbacks.EarlyStopping(monitor="return", mode="min")
    small(Noise).learn(16, given, verbose=0)
    assert given.mode == "min"


@pytest.mark.parametrize(
    "make",
    [
        keras.callbacks.EarlyStopping,
        keras.callbacks.ReduceLROnPlateau,
        lambda: keras.callbacks.ModelCheckpoint("best.keras", save_best_only=True),
    ],
)
def test_what_monitors_a_validation_is_told_what_there_is(make):
    with pytest.raises(ValueError, match="pass `monitor=\"return\"`.* Received: monitor='val_loss'"):
        small(Noise).learn(16, make())


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
        lambda: keras.callbacks.ReduceLROnPlateau(monitor="return"),
    ],
)
def test_what_sets_the_learning_rate_needs_one_that_is_a_number(make):
    decay = keras.optimizers.schedules.PolynomialDecay(1e-3, 10)
    with pytest.raises(ValueError, match="needs a `learning_rate` that is a number.* Received: a .*PolynomialDecay"):
        small(Noise, learning_rate=decay).learn(16, make())
    search = kg.agents.ES(Noise, searcher="snes", popsize=4, hidden_units=(4,), seed=0)
    with pytest.raises(ValueError, match="sets a learning rate, and this agent has none"):
        search.learn(16, make())


def test_a_callback_that_is_none_is_named():
    with pytest.raises(ValueError, match=re.escape("`callbacks` must be None, a keras.callbacks.Callback or a seq")):
        small(Noise).learn(16, ["EarlyStopping"])
