"""Keras callbacks that make a run safe."""

import signal
import threading
import time

import keras

from kgdists.agents import checkpoint, loadable

__all__ = ["Checkpoints", "StopOnSignal"]


class Checkpoints(keras.callbacks.Callback):
    """Save an agent while it learns, and at the end, also where an environment's error ends it.

    Saving changes nothing of the training. Put it behind the other callbacks: what they have written belongs to the
    checkpoint then. Training that diverged is not saved.

    Parameters
    ----------
    agent : Agent
    path : str or path
        A run folder: a new one, or that of the run that the agent is of, see `Agent.save`.
    every_seconds : float, >= 0
        Time between two checkpoints; 0 is after each epoch. Where saving is slow, as with a large replay, it takes a
        thirtieth of the time at most.
    overwrite : bool
        Whether to put this run in the place of another that is there.

    Raises
    ------
    ValueError
        Where training begins, if the folder is another run's.

    Examples
    --------
    >>> import tempfile, kgdists as kg
    >>> agent, run = kg.agents.PPO("CartPole-v1", num_envs=2, n_steps=32, seed=0), tempfile.mkdtemp()
    >>> history = agent.learn(128, [kg.agents.Checkpoints(agent, run)])
    >>> kg.agents.PPO.load(run).steps
    128
    """

    def __init__(self, agent, path, every_seconds=60.0, overwrite=False):
        super().__init__()
        if isinstance(every_seconds, bool) or not isinstance(every_seconds, (int, float)) or not every_seconds >= 0:
            raise ValueError(f"`every_seconds` must be a number >= 0. Received: every_seconds={every_seconds!r}")
        self.agent, self.path, self.every_seconds, self.overwrite = agent, path, every_seconds, overwrite

    def check_training(self):
        """Raise, before the training, if the agent could not be saved."""
        replicas = getattr(self.agent, "replicas", None)
        if replicas is None or replicas.is_chief:  # which alone writes
            loadable.check_agent(self.agent)
            checkpoint.check_own(self.agent, self.path, self.overwrite)

    def on_train_begin(self, logs=None):
        self.check_training()
        self._saved = self.agent.steps if self.agent.checkpoint else None
        self._due = time.monotonic() + self.every_seconds

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() >= self._due:
            self._save()

    def on_train_end(self, logs=None):
        if self.agent.is_sound and self.agent.steps != self._saved:
            self._save()

    def _save(self):
        start = time.monotonic()
        self.agent.save(self.path, self.overwrite)
        self.overwrite = False  # what is there from now on is its own
        end = time.monotonic()
        self._saved = self.agent.steps
        self._due = end + self.every_seconds
        if self.every_seconds:
            self._due = max(self._due, end + 30.0 * (end - start))


class StopOnSignal(keras.callbacks.Callback):
    """End training after the present epoch when the process is interrupted (Ctrl-C) or told to end.

    The second time it is ended at once. Outside the main thread, which alone gets signals, this does nothing.

    Parameters
    ----------
    say : callable
        Called with a line of text at the first signal.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)
    ends_last = True  # a signal must not end the process while others save

    def __init__(self, say=print):
        super().__init__()
        self.say = say
        self.is_stopped = False
        self._before = {}

    def on_train_begin(self, logs=None):
        self.is_stopped = False
        if threading.current_thread() is threading.main_thread():
            # What a shell starts in the background ignores SIGINT, and is to go on doing so.
            heard = [number for number in self.SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._stop) for number in heard}

    def on_train_end(self, logs=None):
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def _stop(self, number, frame):
        if self.is_stopped:
            raise KeyboardInterrupt
        self.is_stopped = True
        self.model.stop_training = signal.Signals(number)  # which is true, and says why
        self.say("stopping after this update; once more to stop at once")
