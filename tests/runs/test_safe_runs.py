import os
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest

from kgdists.agents import ES, PPO, Checkpoints, StopOnSignal
from tests.agents.helpers import Bandit, Broken, Noise, small, weights
from tests.marks import exhaustive

pytestmark = pytest.mark.usefixtures("eagerly")


def saved(path):
    return sorted(int(file.stem) for file in (path / "checkpoints").glob("*.zip") if file.stem.isdecimal())


class Note(keras.callbacks.Callback):
    """Writes down which checkpoints there are after each epoch."""

    def __init__(self, path):
        super().__init__()
        self.path, self.seen = path, []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(saved(self.path))


class Faulty(Noise):
    """Fails at the 20th step of all."""

    left = 20

    def step(self, action):
        Faulty.left -= 1
        if Faulty.left == 0:
            raise RuntimeError("the physics broke")
        return super().step(action)


# When an agent is saved


@pytest.mark.exhaustive
def test_an_agent_is_saved_after_each_epoch(tmp_path):
    agent, note = small(Bandit), Note(tmp_path)
    agent.learn(48, [Checkpoints(agent, tmp_path, every_seconds=0), note])
    assert note.seen == [[16], [16, 32], [32, 48]]


@pytest.mark.exhaustive
def test_an_agent_is_saved_now_and_then_and_at_the_end(tmp_path, monkeypatch):
    agent, note, times = small(Bandit), Note(tmp_path), iter(range(0, 1000, 25))
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    agent.learn(80, [Checkpoints(agent, tmp_path, every_seconds=60), note], verbose=0)  # which reads the clock
    assert note.seen == [[], [], [48], [48], [48]]
    assert saved(tmp_path) == [48, 80]


@pytest.mark.exhaustive
def test_a_search_is_saved_too(tmp_path):
    search = ES("CartPole-v1", searcher="snes", popsize=4, hidden_units=(4,), stdev_init=0.5, seed=0)
    search.learn(1, [Checkpoints(search, tmp_path)])
    loaded = ES.load(tmp_path)
    history, expected = loaded.learn(1), search.learn(1)
    assert history.epoch == expected.epoch == [1]
    assert history.history["best_fitness"] == expected.history["best_fitness"]
    np.testing.assert_equal(loaded.arrays(), search.arrays())


def test_a_search_that_diverges_names_its_last_good_checkpoint(tmp_path):
    options = {"stdev_init": 1e4, "center_learning_rate": 3e38, "seed": 0}
    search = ES(Bandit, searcher="snes", popsize=4, hidden_units=(4,), **options)
    search.save(tmp_path)
    with pytest.raises(FloatingPointError, match=r"after 0 steps: .*finite. The last good checkpoint is .*0\.zip"):
        for _ in range(9):
            search.learn(1)
    assert np.isfinite(search.policy.get_weights()[0]).all() and ES.load(tmp_path, Bandit).steps == 0


@pytest.mark.exhaustive
def test_saving_changes_nothing_of_the_training(tmp_path):
    config = {"batch_size": 8, "normalize_observations": True, "normalize_rewards": True}
    one, other = small(Noise, **config), small(Noise, **config)
    histories = [one.learn(48).history, other.learn(48, [Checkpoints(other, tmp_path, every_seconds=0)]).history]
    for history in histories:
        del history["steps_per_second"]
    np.testing.assert_equal(*histories)
    np.testing.assert_equal(one.arrays(), other.arrays())
    np.testing.assert_array_equal(weights(one), weights(other))


@pytest.mark.exhaustive
def test_what_has_diverged_is_not_saved(tmp_path):
    agent = small(lambda: Broken(12))
    with pytest.raises(FloatingPointError, match=r"after 16 steps: .*loss.*The last good checkpoint is .*16\.zip"):
        agent.learn(48, [Checkpoints(agent, tmp_path, every_seconds=0)])
    assert saved(tmp_path) == [16]


@pytest.mark.exhaustive
def test_a_weight_that_is_not_finite_is_named(tmp_path):
    agent = small(Bandit)
    bias = agent.value.trainable_variables[1]

    class Poison(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                bias.assign(np.full(bias.shape, np.nan))

    with pytest.raises(FloatingPointError, match=f"after 16 steps: .*{bias.path}"):
        agent.learn(48, [Poison()])


@pytest.mark.exhaustive
def test_what_was_trained_before_an_environment_failed_is_saved(tmp_path):
    Faulty.left = 20
    agent = small(Faulty)
    with pytest.raises(RuntimeError, match="the physics broke"):
        agent.learn(48, [Checkpoints(agent, tmp_path)])
    loaded = PPO.load(tmp_path, Noise)
    assert loaded.steps == 16
    np.testing.assert_array_equal(weights(loaded), weights(agent))


@pytest.mark.parametrize("seconds", [-1, None, "often", True, float("nan")])
def test_a_wrong_time_is_refused(seconds, tmp_path):
    with pytest.raises(ValueError, match="`every_seconds` must be a finite number >= 0. Received: every_seconds="):
        Checkpoints(None, tmp_path, every_seconds=seconds)


# Signals


class Signals(Bandit):
    """Sends its process signals in the middle of the second epoch."""

    left, numbers = 20, ()

    def step(self, action):
        Signals.left -= 1
        if Signals.left == 0:
            for number in self.numbers:
                os.kill(os.getpid(), number)
        return super().step(action)


def learned(monkeypatch, *numbers):
    monkeypatch.setattr(Signals, "left", 20)
    monkeypatch.setattr(Signals, "numbers", numbers)
    agent, said = small(Signals), []
    stop = StopOnSignal(said.append)
    try:
        agent.learn(80, [stop])
    finally:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return agent, stop, said


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_training_after_the_epoch(monkeypatch, number):
    agent, stop, said = learned(monkeypatch, number)
    assert agent.steps == 32 and agent.is_sound and stop.is_stopped
    assert said == ["stopping after this update; once more to stop at once"]


@pytest.mark.exhaustive
def test_the_second_signal_ends_it_at_once(monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        learned(monkeypatch, signal.SIGINT, signal.SIGINT)


@pytest.mark.exhaustive
def test_an_agent_that_was_interrupted_is_not_saved(monkeypatch, tmp_path):
    monkeypatch.setattr(Signals, "left", 20)
    monkeypatch.setattr(Signals, "numbers", (signal.SIGINT,))
    agent = small(Signals)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(80, [Checkpoints(agent, tmp_path)])
    assert not agent.is_sound and saved(tmp_path) == []


@pytest.mark.exhaustive
def test_another_thread_learns_without_signals(monkeypatch):
    agent, result = small(Bandit), []
    thread = threading.Thread(target=lambda: result.append(agent.learn(16, [StopOnSignal()])))
    thread.start()
    thread.join()
    assert result[0].history["steps"] == [16]


@pytest.mark.exhaustive
def test_what_ignores_interrupts_goes_on_doing_so_and_still_stops_at_sigterm(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as for what a shell starts in the background
    try:
        monkeypatch.setattr(Signals, "left", 20)
        monkeypatch.setattr(Signals, "numbers", (signal.SIGINT, signal.SIGINT, signal.SIGTERM))
        agent, stop = small(Signals), StopOnSignal(lambda text: None)
        agent.learn(80, [stop])
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert agent.steps == 32 and stop.is_stopped


TERMINATED = """
import sys
from kgdists.cli import main

sys.exit(main(sys.argv[1:]))
"""
TRAINING = ["train", "CartPole-v1", "--agent", "ppo", "--steps", "200000", "--num-envs", "4", "--n-steps", "16"]
TRAINING += ["--batch-size", "64", "--n-epochs", "1", "--hidden-units", "4", "--save-every", "0"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("is_background", [False, True])
@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_a_training_whose_process_group_is_told_to_end_is_saved(vectorization, is_background, tmp_path):
    run, log = tmp_path / "run", tmp_path / "log"
    command = [sys.executable, "-c", TERMINATED, *TRAINING, "--vectorization", vectorization, "--out", str(run)]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if is_background else signal.default_int_handler)
    try:
        with log.open("w") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        end = time.monotonic() + 120.0
        while max(saved(run), default=0) < 256 and time.monotonic() < end:
            time.sleep(0.01)
        before = max(saved(run))
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(120.0) == 128 + signal.SIGTERM, log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    text = log.read_text()
    assert "stopped after" in text and "Traceback" not in text
    assert max(saved(run)) >= before and PPO.load(run).steps == max(saved(run))
    end = time.monotonic() + 20.0  # no process is left in the group
    while time.monotonic() < end:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("processes were left behind")


class Told(keras.callbacks.Callback):
    """The process is told to end while a training ends."""

    def on_train_end(self, logs=None):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), 0)


@pytest.mark.parametrize("is_first", [True, *exhaustive(False)])
def test_a_signal_while_a_training_ends_keeps_nothing_from_being_saved(tmp_path, is_first):
    agent, said = small(Bandit), []
    stop, before = StopOnSignal(said.append), signal.getsignal(signal.SIGTERM)
    others = [Told(), Checkpoints(agent, tmp_path, every_seconds=1e9)]
    agent.learn(16, [stop, *others] if is_first else [*others, stop])
    assert saved(tmp_path) == [16] and stop.is_stopped and said
    assert signal.getsignal(signal.SIGTERM) is before
