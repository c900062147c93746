"""The progress of a loop on standard output: one line that is rewritten, or plain lines where none can be."""

import math
import operator
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, TypeAlias

import keras
from absl import logging

__all__ = ["Progress", "ProgressBar", "Verbosity", "verbosity"]

Verbosity: TypeAlias = Literal["auto", 0, 1, 2] | bool

REWRITTEN_EVERY, PRINTED_EVERY = 0.2, 5.0  # seconds
COLUMNS = 80  # where nobody knows how wide a line may be
WIDTHS = (20, 15, 10, 5)  # of the bar: few, so that it does not jitter


def verbosity(verbose: Verbosity) -> int:
    """What Keras makes of `verbose`: 0 is silence, 1 a bar, 2 a line for each epoch, and "auto" is 1.

    Raises
    ------
    ValueError
        For anything else.
    """
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    try:
        level = operator.index(verbose)
    except TypeError:
        level = -1
    if level not in (0, 1, 2):
        raise ValueError(f'`verbose` must be "auto", 0, 1 or 2. Received: verbose={verbose!r}')
    return level


class Progress:
    """A line that says how far a loop has come, how long it will take, and what it has found.

    It is rewritten in a terminal and in a notebook. Elsewhere, and with NO_COLOR or TERM=dumb, plain lines without
    control characters come every five seconds and at the end. No line is wider than the terminal, or 80 columns: what
    comes last is left out first.

    Parameters
    ----------
    total : int, >= 1
        Units that the loop will do.
    verbose : {"auto", 0, 1, 2}
        As for Keras' `fit`: 0 is silence, 1 this line, 2 a line for each update; "auto" is 1.
    unit : str
        What is counted, in the singular.
    delay : float, >= 0
        Seconds in which nothing is shown yet, so that a short loop is silent.

    Attributes
    ----------
    done : int
        Units that are done.

    Examples
    --------
    >>> from kgdists.core.progress import Progress
    >>> with Progress(100, unit="sweep") as progress:
    ...     progress.update(100, {"loss": 0.25})
    100/100 0s - loss: 0.2500 - ... sweeps/s
    """

    def __init__(self, total: int, verbose: Verbosity = "auto", unit: str = "step", delay: float = 0.0) -> None:
        self.total, self.unit = total, unit
        self._level = verbosity(verbose)
        self._is_notebook = type(sys.stdout).__module__.startswith("ipykernel")
        self._is_rewritten = self._level == 1 and self._can_rewrite()
        self._interval = REWRITTEN_EVERY if self._is_rewritten else PRINTED_EVERY
        self._start = time.monotonic()
        self._due = self._start + max(delay, 0.0 if self._is_rewritten else self._interval)
        self._quiet_until = self._start + delay
        self._first: tuple[int, float] | None = None  # the first update, which compiles and tells nothing of the speed
        self.done, self._values, self._width = 0, dict[str, float](), 0
        self._is_open = True

    def _can_rewrite(self) -> bool:
        if not keras.config.is_interactive_logging_enabled():
            return False
        if self._is_notebook or "PYCHARM_HOSTED" in os.environ:
            return True
        is_terminal = sys.stdout is not None and sys.stdout.isatty()
        return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def update(self, done: int, values: Mapping[str, float] | None = None) -> None:
        """Say that this many units are done, and what the loop has found; what is not finite is left out."""
        now = time.monotonic()
        self.done, self._values = done, dict(values or {})
        if done and self._first is None:
            self._first = done, now
        if self._level == 2 and done:
            self._write(self._line(now))
        elif self._level == 1 and now >= self._due and (self._is_rewritten or 0 < done < self.total):
            self._due = now + self._interval
            self._write(self._line(now))

    def close(self) -> None:
        """Show the last line, and leave it: what is printed next starts a new one."""
        now = time.monotonic()
        if self._level == 1 and self._is_open and now >= self._quiet_until:
            if self._is_rewritten or self.done:
                self._write(self._line(now, is_last=True), end="\n")
        self._is_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _write(self, line: str, end: str = "") -> None:
        if not keras.config.is_interactive_logging_enabled():  # as Keras does
            logging.info(line)
        elif self._is_rewritten:
            print(f"\r{line:<{min(self._width, self._room())}}", end=end, flush=True)
            self._width = len(line)
        else:
            print(line, flush=True)

    def _line(self, now: float, is_last: bool = False) -> str:
        total = max(self.total, self.done)
        counter, speed = f"{self.done:{len(str(total))}d}/{total}", self._speed(now)
        elapsed = now - self._start
        is_timed = is_last or self._level == 2
        left = "" if is_timed or not speed else f"{_duration((total - self.done) / speed)} left"
        parts = [_duration(elapsed) if is_timed else left]
        parts += [f"{name}: {_number(x)}" for name, x in self._values.items() if math.isfinite(x)]
        parts += [_rate(speed, self.unit)] if speed else []
        parts = [part for part in parts if part]
        room = self._room()
        while len(parts) > 1 and len(counter) + 1 + len(" - ".join(parts)) > room:
            parts.pop()
        text = " - ".join(parts)
        bar = self._bar(room - len(counter) - len(text) - 2, self.done / total) if self._is_rewritten else ""
        return " ".join(part for part in (counter, bar, text) if part)[:room]

    def _room(self) -> int:
        """Columns of a line that does not wrap."""
        return (COLUMNS if self._is_notebook else shutil.get_terminal_size((COLUMNS, 24)).columns) - 1

    def _speed(self, now: float) -> float:
        """Units per second, without the first update where there are others."""
        done, since = self._first or (0, self._start)
        if self.done <= done:
            done, since = 0, self._start
        return (self.done - done) / max(now - since, 1e-9)

    def _bar(self, room: int, share: float) -> str:
        width = next((width for width in WIDTHS if width <= room), 0)
        filled = int(share * width)
        try:
            "━─".encode(getattr(sys.stdout, "encoding", None) or "ascii")
        except UnicodeEncodeError:
            return "=" * filled + "." * (width - filled)
        return "━" * filled + "─" * (width - filled)


class ProgressBar(keras.callbacks.Callback):
    """Show the progress of a training whose logs have `steps`, with its return and length.

    Parameters
    ----------
    total : int, >= 1
        Units to come: of this training, not of those before.
    verbose : {"auto", 0, 1, 2}
        As for Keras' `fit`.
    names : sequence of str
        Further logs that are shown.
    unit : {"step", "generation"}
        What is counted: environment steps, or epochs, which are the generations of a search.
    """

    def __init__(
        self,
        total: int,
        verbose: Verbosity = "auto",
        names: Sequence[str] = (),
        unit: Literal["step", "generation"] = "step",
    ) -> None:
        super().__init__()
        verbosity(verbose)
        self.total, self.verbose, self.names, self.unit = total, verbose, tuple(names), unit

    def on_train_begin(self, logs: Any = None) -> None:
        self._epochs = 0
        self._progress = Progress(self.total, self.verbose, self.unit)
        self._progress.update(0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._epochs += 1
        done = int(logs["steps"]) - self.params["first_step"] if self.unit == "step" else self._epochs
        self._progress.update(min(done, self.total), self._shown(logs))

    def on_train_end(self, logs: Any = None) -> None:
        self._progress.close()

    def _shown(self, logs: Any) -> dict[str, float]:
        is_over = math.isfinite(logs.get("return", math.nan))  # whether any episode is
        names = {"return": "return"} if is_over else {"running_return": "running return"}
        names |= {"evaluation_return": "eval", **{name: name for name in self.names}}
        names |= {"length": "length"} if is_over else {"running_length": "running length"}
        return {shown: float(logs[name]) for name, shown in names.items() if name in logs}


def _number(x: float) -> str:
    """A number in about four digits."""
    size = abs(x)
    if size >= 1e6 or 0.0 < size < 1e-3:
        return f"{x:.2e}"
    digits = 0 if size >= 1e3 else 1 if size >= 100.0 else 2 if size >= 1.0 else 4
    return f"{x:.{digits}f}"


def _duration(seconds: float) -> str:
    seconds = round(min(seconds, 1e9))
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{hours}:{minutes % 60:02d}:{seconds % 60:02d}"
    return f"{minutes}:{seconds % 60:02d}" if minutes else f"{seconds}s"


def _rate(speed: float, unit: str) -> str:
    if speed < 1.0:
        return f"{1.0 / speed:.1f} s/{unit}"
    return f"{speed:.0f} {unit}s/s" if speed >= 10.0 else f"{speed:.1f} {unit}s/s"
