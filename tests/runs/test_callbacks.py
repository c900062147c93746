import csv
import json
import re
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box
from tensorflow.core.util import event_pb2

import kgdists as kg
from kgdists.envs.evaluation import Evaluation
from kgdists.runs.callbacks import EvaluateAndKeepBest
from kgdists.runs.metrics import MetricsFile
from tests.agents.helpers import Bandit, Counter, Noise, counters, small, weights
from tests.cli.helpers import policy
from tests.marks import exhaustive

pytestmark = pytest.mark.usefixtures("eagerly")


def test_a_metrics_file_has_a_column_per_log_in_their_order(tmp_path):
    history = small(counters(4, 4)).learn(32, [MetricsFile(tmp_path / "metrics.csv")]).history
    with (tmp_path / "metrics.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert reader.fieldnames[:3] == ["epoch", "steps", "return"]
    assert set(reader.fieldnames) == {"epoch", *history}
    assert [float(row["steps"]) for row in rows] == [16.0, 32.0]


# The best policy


def keeping(path, env=lambda: Counter(4), **options):
    return EvaluateAndKeepBest(env, path / "best.keras", **{"episodes": 4, "every_steps": None} | options)


class Scripted(EvaluateAndKeepBest):
    """As if evaluations gave these returns."""

    def __init__(self, path, *returns, **options):
        super().__init__(Noise, path / "best.keras", **{"every_steps": None} | options)
        self.returns = list(returns)

    def _evaluate(self):
        return Evaluation((self.returns.pop(0),), (1,))


def train(callback, epochs, first_step=0):
    """As if an agent trained, 16 steps an epoch: its one weight is the number of steps. Returns the logs."""
    model = policy()
    callbacks = keras.callbacks.CallbackList([callback], model=model, epochs=epochs, first_step=first_step)
    callbacks.on_train_begin()
    logged = []
    for epoch in range(epochs):
        logs = {"steps": first_step + 16 * (epoch + 1)}
        model.set_weights([np.full_like(x, logs["steps"]) for x in model.get_weights()])
        callback.on_epoch_end(epoch, logs)
        logged.append(logs["evaluation_return"])
    callbacks.on_train_end()
    return logged


def kept(folder):
    """The steps after which the best policy was kept, and what is written down."""
    weights = keras.models.load_model(folder / "best.keras").trainable_weights
    return np.unique([np.unique(x) for x in weights]).tolist(), json.loads((folder / "best.json").read_text())


@pytest.mark.exhaustive
def test_the_evaluation_is_in_the_logs_of_every_epoch(tmp_path):
    history = small(Noise).learn(64, [keeping(tmp_path)]).history
    assert history["evaluation_return"] == 4 * [10.0]


def test_it_is_played_every_so_many_steps_first_and_last(tmp_path):
    logged = train(Scripted(tmp_path, 1.0, 2.0, 3.0, 4.0, every_steps=40), 7)
    assert logged == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0]  # of 16, 48, 80 and 112 steps


def test_the_best_policy_is_kept(tmp_path):
    callback = Scripted(tmp_path, 1.0, 5.0, 5.0, 2.0)
    train(callback, 4)
    assert (callback.best_return, callback.best_steps) == (5.0, 32)
    evaluations = [[16, 1.0], [32, 5.0], [48, 5.0], [64, 2.0]]
    assert kept(tmp_path) == ([32], {"steps": 32, "return": 5.0, "evaluations": evaluations})
    assert {file.name for file in tmp_path.iterdir()} == {"best.keras", "best.json"}


def test_whatever_is_a_number_is_better_than_none(tmp_path):
    train(Scripted(tmp_path, np.nan, -5.0, np.nan, -7.0), 4)
    assert kept(tmp_path)[0] == [32]


def test_where_training_goes_on_the_best_policy_stays(tmp_path):
    train(Scripted(tmp_path, 1.0, 5.0), 2)
    callback = Scripted(tmp_path, 3.0, 4.0)
    train(callback, 2, first_step=32)
    assert kept(tmp_path)[0] == [32] and callback.best_steps == 32
    train(Scripted(tmp_path, 6.0), 1, first_step=64)
    steps, record = kept(tmp_path)
    assert steps == [80] and record["return"] == 6.0 and [x for _, x in record["evaluations"]] == [1, 5, 3, 4, 6]


def test_where_training_goes_on_evaluations_do_too(tmp_path):
    train(Scripted(tmp_path, 1.0, 5.0, every_steps=64), 2)
    assert train(Scripted(tmp_path, 3.0, 4.0, every_steps=64), 3, first_step=32) == [5.0, 3.0, 4.0]


def test_evaluations_of_steps_that_are_taken_again_are_played_again(tmp_path):
    train(Scripted(tmp_path, 1.0, 5.0, 2.0), 3)
    callback = Scripted(tmp_path, 5.0, 3.0)
    assert train(callback, 2, first_step=16) == [5.0, 3.0]
    assert callback.evaluations == [[16, 1.0], [32, 5.0], [48, 3.0]]
    assert (callback.best_return, callback.best_steps) == (5.0, 32)


def test_a_new_training_starts_without_a_best_policy(tmp_path):
    train(Scripted(tmp_path, 5.0), 1)
    callback = Scripted(tmp_path, 1.0, 2.0)
    train(callback, 2)
    assert callback.best_return == 2.0 and kept(tmp_path)[0] == [32]


def test_a_damaged_record_is_refused(tmp_path):
    (tmp_path / "best.json").write_text('{"steps": 3')
    with pytest.raises(ValueError, match="damaged: .* Received: .*best.json"):
        train(Scripted(tmp_path, 5.0), 1, first_step=16)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("space", "deterministic"),
    [pytest.param(None, True, marks=pytest.mark.exhaustive), (Box(-1.0, 1.0, (2,)), False)],
    ids=str,
)
def test_the_training_goes_bit_for_bit_as_it_would_without(tmp_path, space, deterministic):
    def trained(*callbacks):
        agent = small(lambda: Bandit(space))
        keras.utils.set_random_seed(0)
        history = agent.learn(48, callbacks).history
        return weights(agent), history["policy_loss"], keras.random.uniform((1,)), agent.arrays()

    callback = keeping(tmp_path, lambda: Bandit(space), deterministic=deterministic)
    plain, watched = trained(), trained(callback)
    for x, y in zip(keras.tree.flatten(plain), keras.tree.flatten(watched), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.exhaustive
def test_each_evaluation_plays_the_same_episodes(tmp_path):
    agent = small(Noise, learning_rate=1e-30)
    history = agent.learn(48, [keeping(tmp_path, Noise, deterministic=False)]).history
    assert len(set(history["evaluation_return"])) == 1
    other = agent.learn(16, [keeping(tmp_path, Noise, deterministic=False, seed=7)]).history
    assert other["evaluation_return"][0] != history["evaluation_return"][0]


def test_a_search_keeps_its_best_policy_too(tmp_path):
    agent = kg.agents.ES(lambda: Counter(4), searcher="snes", popsize=4, seed=0)
    callback = keeping(tmp_path)
    history = agent.learn(40, [callback]).history
    assert history["evaluation_return"] == [10.0] * len(history["steps"]) and callback.best_return == 10.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episodes": 0}, "`episodes` must be an int >= 1. Received: episodes=0"),
        ({"every_steps": 0}, "`every_steps` must be an int >= 1. Received: every_steps=0"),
        ({"seed": -1}, "`seed` must be an int >= 0. Received: seed=-1"),
        ({"seed": None}, "`seed` must be an int >= 0. Received: seed=None"),
        ({"path": "best.h5"}, "`path` must end in .keras. Received: path='best.h5'"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        EvaluateAndKeepBest(Noise, **{"path": "best.keras"} | options)


# What callbacks are promised


class Raises(keras.callbacks.Callback):
    """Raises in one of its methods, and notes which were called."""

    def __init__(self, where=None, error=RuntimeError):
        super().__init__()
        self.where, self.error, self.called = where, error, []

    def _call(self, name, logs=None):
        self.called.append(name)
        if name == self.where:
            raise self.error(f"raised in {name}")

    def on_train_begin(self, logs=None):
        self._call("on_train_begin")

    def on_epoch_begin(self, epoch, logs=None):
        self._call("on_epoch_begin")

    def on_epoch_end(self, epoch, logs=None):
        self._call("on_epoch_end")

    def on_train_batch_end(self, batch, logs=None):
        self._call("on_train_batch_end")

    def on_train_end(self, logs=None):
        self._call("on_train_end")
        self.logs = logs


PLACES = ["on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_epoch_end", "on_train_end"]


AGENTS = {
    "ppo": lambda: small(Noise),
    "a2c": lambda: kg.agents.A2C(Noise, num_envs=2, hidden_units=(4,), epoch_steps=16, seed=0),
    "reinforce": lambda: kg.agents.REINFORCE(Noise, num_envs=2, hidden_units=(4,), episodes=2, seed=0),
    "snes": lambda: kg.agents.ES(Noise, searcher="snes", popsize=4, hidden_units=(4,), seed=0),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize(
    ("make", "is_before"),
    [*((make, True) for make in AGENTS.values()), (AGENTS["ppo"], False), (AGENTS["snes"], False)],
)
def test_a_callback_that_raises_leaves_signals_as_they_were_and_what_was_trained_saved(
    tmp_path, make, where, error, is_before
):
    agent, faulty, other = make(), Raises(where, error), Raises()
    before = [signal.getsignal(number) for number in kg.agents.StopOnSignal.SIGNALS]
    others = [other, kg.agents.StopOnSignal(), kg.agents.Checkpoints(agent, tmp_path / "run")]
    with pytest.raises(error, match=f"raised in {where}"):
        agent.learn(32, [faulty, *others] if is_before else [*others, faulty])
    assert [signal.getsignal(number) for number in kg.agents.StopOnSignal.SIGNALS] == before
    if where == "on_train_begin" and is_before:  # the others have not begun
        assert other.called == [] and not (tmp_path / "run").exists()
    else:
        assert other.called.count("on_train_end") == 1 and other.logs is None or where == "on_train_end"
    if where in ("on_epoch_end", "on_train_end") and error is RuntimeError:
        assert type(agent).load(tmp_path / "run", agent.env).steps == agent.steps > 0
    again = Raises()
    agent.learn(16, [again])
    assert again.called[-1] == "on_train_end" and again.logs["steps"] == agent.steps


@pytest.mark.exhaustive
def test_two_callbacks_that_raise_at_the_end_are_both_told():
    with pytest.raises((RuntimeError, KeyError)) as error:
        small(Noise).learn(16, [Raises("on_train_end"), Raises("on_train_end", KeyError)])
    assert {type(error.value), type(error.value.__context__)} == {RuntimeError, KeyError}


@pytest.mark.exhaustive
@pytest.mark.parametrize("save_freq", [1, 2, *exhaustive("epoch")])
def test_a_checkpoint_of_keras_is_written_after_so_many_updates(tmp_path, save_freq):
    callback = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", save_freq=save_freq)
    small(Noise).learn(64, [callback])
    every = 1 if save_freq == "epoch" else save_freq
    assert {file.stem for file in tmp_path.iterdir()} == {str(n) for n in range(every, 5, every)}


class Listens(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.promised, self.batches = dict(self.params), 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += "steps" in logs

    def on_epoch_end(self, epoch, logs=None):
        self.epochs, self.steps = epoch + 1, logs["steps"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("make", AGENTS.values(), ids=AGENTS)
@pytest.mark.parametrize("total_steps", [1, 32, 40, 3000])
def test_the_number_of_epochs_that_is_promised_is_that_which_comes(make, total_steps):
    agent, listens = make(), Listens()
    if total_steps == 3000 and agent.name != "reinforce":
        return
    for _ in range(2):
        first = agent.steps
        history = agent.learn(total_steps, [listens])
        assert listens.promised["epochs"] in (None, listens.epochs)
        assert (listens.promised["first_step"], listens.promised["last_step"]) == (first, first + total_steps)
        assert listens.steps >= first + total_steps and listens.batches == len(history.epoch)
    if agent.name in ("ppo", "a2c"):
        assert listens.promised["epochs"] is not None


def test_a_search_for_a_number_of_generations_promises_that():
    agent, listens = AGENTS["snes"](), Listens()
    for expected in (2, 4):
        agent.search.run(2, [listens])
        assert listens.promised["epochs"] == listens.epochs == expected


class StopAfter(keras.callbacks.Callback):
    def __init__(self, epochs, reason=True):
        super().__init__()
        self.left, self.reason = epochs, reason

    def on_epoch_end(self, epoch, logs=None):
        self.left -= 1
        if self.left == 0:
            self.model.stop_training = self.reason


@pytest.mark.exhaustive
@pytest.mark.parametrize("make", AGENTS.values(), ids=AGENTS)
@pytest.mark.parametrize("stops", [(), (1,), (2,), (3,)], ids=str)
@pytest.mark.parametrize("is_behind", [True, False])
def test_the_first_and_the_last_epoch_are_evaluated_however_the_training_ends(tmp_path, make, stops, is_behind):
    agent, callback = make(), keeping(tmp_path, every_steps=10**9)
    callbacks = [callback, *map(StopAfter, stops)]
    history = agent.learn(80, callbacks if is_behind else callbacks[::-1]).history
    expected = sorted({history["steps"][0], agent.steps})
    assert [steps for steps, _ in callback.evaluations] == expected
    assert kept_record(tmp_path)["evaluations"] == callback.evaluations


def kept_record(folder):
    return json.loads((folder / "best.json").read_text())


@pytest.mark.exhaustive
def test_what_a_signal_or_an_error_ends_is_not_kept_waiting_by_an_evaluation(tmp_path):
    agent, callback = small(Noise), keeping(tmp_path, every_steps=10**9)
    agent.learn(80, [callback, StopAfter(2, signal.SIGTERM)])
    assert [steps for steps, _ in callback.evaluations] == [16]
    with pytest.raises(RuntimeError):
        agent.learn(80, [callback, StopAfter(2), Raises("on_epoch_begin")])
    assert [steps for steps, _ in callback.evaluations] == [16]


# Callbacks of Keras


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """An agent trained with all of them, the folder they wrote to, and the history."""
    folder, agent = tmp_path_factory.mktemp("callbacks"), small(Noise)
    checkpoint = keras.callbacks.ModelCheckpoint
    callbacks = [
        Scripted(folder, 1.0, 5.0, 4.0, 3.0, 9.0),
        keras.callbacks.EarlyStopping("evaluation_return", patience=2, mode="max", restore_best_weights=True),
        checkpoint(folder / "by_return.keras", monitor="evaluation_return", mode="max", save_best_only=True),
        checkpoint(folder / "{epoch}-{steps}.keras"),
        checkpoint(folder / "last.weights.h5", save_weights_only=True),
        keras.callbacks.CSVLogger(folder / "log.csv"),
        keras.callbacks.TensorBoard(folder / "logs", histogram_freq=1),
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1)),
    ]
    tf.config.run_functions_eagerly(True)
    history = agent.learn(80, callbacks)
    tf.config.run_functions_eagerly(False)
    return agent, folder, history.history


def is_same(policy, other):
    return all(np.array_equal(a, b) for a, b in zip(policy.get_weights(), other.get_weights(), strict=True))


@pytest.mark.exhaustive
def test_early_stopping_stops_and_gives_the_best_weights_back(observed):
    agent, folder, _ = observed
    assert agent.steps == 64 and is_same(agent.policy, keras.models.load_model(folder / "best.keras"))


@pytest.mark.exhaustive
def test_model_checkpoint_saves_policies(observed):
    agent, folder, _ = observed
    names = {file.name for file in folder.glob("*-*.keras")}
    assert names == {"1-16.0.keras", "2-32.0.keras", "3-48.0.keras", "4-64.0.keras"}
    best, by_return, second, last = (
        keras.models.load_model(folder / f"{name}.keras") for name in ("best", "by_return", "2-32.0", "4-64.0")
    )
    assert is_same(best, by_return) and is_same(best, second) and not is_same(best, last)
    best.load_weights(folder / "last.weights.h5")
    assert is_same(best, last)


@pytest.mark.exhaustive
def test_csv_logger_writes_every_log(observed):
    _, folder, history = observed
    with (folder / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {name for name in rows[0] if not name.startswith("val_")} == {"epoch", *history}  # Keras expects validation
    for name, column in history.items():
        np.testing.assert_allclose([float(row[name]) for row in rows], column, rtol=1e-6, equal_nan=True)


def test_tensorboard_shows_every_log_and_the_weights(observed):
    agent, folder, history = observed
    (file,) = (folder / "logs").glob("train/events.out.tfevents.*")
    scalars = {}
    for record in tf.compat.v1.io.tf_record_iterator(str(file)):
        for value in event_pb2.Event.FromString(record).summary.value:
            scalars.setdefault(value.tag, []).append(value)
    assert {tag.partition("/")[2] for tag in scalars} >= {name.removeprefix("evaluation_") for name in history}
    assert [tf.make_ndarray(x.tensor).item() for x in scalars["evaluation/return"]] == [1.0, 5.0, 4.0, 3.0]
    assert sum("histogram" in tag for tag in scalars) == len(agent.policy.weights)


def test_the_learning_rate_can_be_scheduled_by_a_callback(observed):
    agent, _, history = observed
    assert float(agent.policy.optimizer.learning_rate) == 0.125
    assert history["learning_rate"] == [0.5, 0.25, pytest.approx(0.5 / 3), 0.125]
