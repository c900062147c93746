"""Lines of progress: what a terminal, a notebook, a file and a script of one's own get to see."""

import contextlib
import io
import re
import sys
import types

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgdists.core import progress
from kgdists.core.progress import Progress


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


class Ascii(Terminal):
    encoding = "ascii"


# As `ipykernel.iostream.OutStream`, which is no terminal.
Notebook = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told otherwise."""
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    for name in ("NO_COLOR", "TERM", "COLUMNS", "PYCHARM_HOSTED"):
        monkeypatch.delenv(name, raising=False)
    return clock


def shown(clock, out, total=100, seconds=1.0, every=10, values=None, **options):
    """What a loop of `total` units writes that takes `seconds` for each `every` of them."""
    with contextlib.redirect_stdout(out), Progress(total, **options) as bar:
        bar.update(0)
        for done in range(every, total + 1, every):
            clock.now += seconds
            bar.update(done, values or {"loss": 1.0 / done})
    return out.getvalue()


def lines(text):
    """What was visible at any time, one after the other."""
    return [line.rstrip() for line in re.split(r"[\r\n]", text) if line.strip()]


def test_a_terminal_sees_one_line_that_is_rewritten_and_stays_at_the_end(clock):
    text = shown(clock, Terminal())
    assert text.count("\n") == 1 and text.endswith("\n") and "\x1b" not in text
    assert lines(text)[0].startswith("  0/100 ─")
    assert lines(text)[5] == " 50/100 ━━━━━━━━━━────────── 5s left - loss: 0.0200 - 10 steps/s"
    assert lines(text)[-1] == "100/100 ━━━━━━━━━━━━━━━━━━━━ 10s - loss: 0.0100 - 10 steps/s"


def test_a_line_that_gets_shorter_leaves_nothing_of_the_longer_one(clock):
    out = Terminal()
    with contextlib.redirect_stdout(out), Progress(10) as bar:
        bar.update(1, {"loss": -1.2345e300})
        clock.now += 1.0
        bar.update(2, {})
    first, second, *_ = out.getvalue().lstrip("\r").split("\r")
    assert len(second) >= len(first) > len(second.rstrip())


def test_a_notebook_sees_one_line_that_is_rewritten(clock):
    text = shown(clock, Notebook())
    assert text.count("\r") > 5 and text.count("\n") == 1


@pytest.mark.parametrize("where", ["a file", "NO_COLOR", "TERM=dumb"])
def test_elsewhere_come_plain_lines_now_and_then_and_at_the_end(clock, monkeypatch, where):
    if where == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    if where == "TERM=dumb":
        monkeypatch.setenv("TERM", "dumb")
    text = shown(clock, io.StringIO() if where == "a file" else Terminal())
    assert all(x.isprintable() for x in text.replace("\n", ""))
    assert text.splitlines() == [
        " 50/100 5s left - loss: 0.0200 - 10 steps/s",
        "100/100 10s - loss: 0.0100 - 10 steps/s",
    ]
    text = shown(clock, io.StringIO() if where == "a file" else Terminal(), total=30)
    assert text.splitlines() == ["30/30 3s - loss: 0.0333 - 10 steps/s"]


def test_silence_and_a_line_for_each_update(clock):
    assert shown(clock, Terminal(), verbose=0) == "" == shown(clock, io.StringIO(), verbose=False)
    for out in (Terminal(), io.StringIO()):
        text = shown(clock, out, verbose=2)
        assert "\r" not in text and len(text.splitlines()) == 10
        assert text.splitlines()[1] == " 20/100 2s - loss: 0.0500 - 10 steps/s"
    assert shown(clock, Terminal(), verbose="auto") == shown(clock, Terminal(), verbose=1)
    assert shown(clock, Terminal(), verbose=np.int64(1)) == shown(clock, Terminal(), verbose=True)


@pytest.mark.parametrize("verbose", [3, -1, "yes", None, 1.0])
def test_other_verbosities_are_refused(verbose):
    with pytest.raises(ValueError, match='`verbose` must be "auto", 0, 1 or 2. Received: verbose='):
        Progress(10, verbose)


def test_keras_is_told_to_be_quiet_for_all(clock):
    keras.config.disable_interactive_logging()
    try:
        assert shown(clock, Terminal()) == ""
    finally:
        keras.config.enable_interactive_logging()


def test_what_is_short_is_silent_if_asked_for(clock):
    for out in (Terminal(), io.StringIO()):
        assert shown(clock, out, seconds=0.01, delay=1.0) == ""
    assert lines(shown(clock, Terminal(), seconds=0.2, delay=1.0))[-1].startswith("100/100")


def test_the_first_update_which_compiles_does_not_count_in_the_speed(clock):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), Progress(1000) as bar:
        for done, seconds in ((100, 60.0), (200, 1.0), (300, 7.0)):
            clock.now += seconds
            bar.update(done)
    assert out.getvalue().splitlines() == [
        " 100/1000 9:00 left - 1.7 steps/s",
        " 300/1000 28s left - 25 steps/s",
        " 300/1000 1:08 - 25 steps/s",
    ]


def test_an_encoding_without_lines_has_a_bar_too(clock):
    assert lines(shown(clock, Ascii()))[5] == " 50/100 ==========.......... 5s left - loss: 0.0200 - 10 steps/s"


def test_a_process_without_standard_output_goes_on(clock, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with Progress(10) as bar:
        bar.update(10)


def test_an_error_leaves_the_line_and_what_is_printed_next_starts_another(clock):
    out = Terminal()
    with contextlib.suppress(RuntimeError), contextlib.redirect_stdout(out), Progress(10) as bar:
        bar.update(3)
        raise RuntimeError
    assert out.getvalue().endswith("\n")


numbers = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=300, deadline=None)
@given(
    columns=st.integers(8, 200),
    total=st.integers(1, 10**15),
    share=st.floats(0.0, 1.0),
    seconds=st.floats(0.0, 1e12),
    values=st.dictionaries(st.sampled_from(["return", "length", "is_success", "a long name of something"]), numbers),
    is_terminal=st.booleans(),
    verbose=st.sampled_from([1, 2]),
)
def test_no_line_ever_wraps(columns, total, share, seconds, values, is_terminal, verbose):
    with pytest.MonkeyPatch.context() as monkeypatch:
        now = iter([0.0, 0.0, *100 * [seconds]])
        monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: next(now)))
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")
        out = Terminal() if is_terminal else io.StringIO()
        with contextlib.redirect_stdout(out), Progress(total, verbose) as bar:
            for done in (0, int(share * total), total):
                bar.update(done, values)
    for line in re.split(r"[\r\n]", out.getvalue()):
        assert len(line) < columns and "nan" not in line and "inf" not in line


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.4, "0s"), (59, "59s"), (60, "1:00"), (3599, "59:59"), (3600, "1:00:00")]
)
def test_durations_are_written_as_keras_does(clock, seconds, expected):
    assert f"10/10 {expected} - " in shown(clock, io.StringIO(), total=10, seconds=seconds, verbose=2)
