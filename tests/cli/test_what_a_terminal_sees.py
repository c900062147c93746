"""Progress of the command line in real pipes and pseudo-terminals."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

TRAIN = [
    sys.executable,
    "-m",
    "kgdists",
    "train",
    "CartPole-v1",
    "--steps",
    "20000",
    "--log-info",
    "a_rather_long_name",
]


def environment(**others):
    known = {name: x for name, x in os.environ.items() if name not in ("NO_COLOR", "TERM", "COLUMNS")}
    return known | {"TERM": "xterm", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"} | others


def seen(command, columns=80, **variables):
    """What a command writes to standard output, a terminal of this width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL, env=environment(**variables))
    os.close(slave)
    parts = []
    try:
        while part := os.read(master, 65536):
            parts.append(part)
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(master)
    assert process.wait(timeout=120) == 0
    return b"".join(parts).decode().replace("\r\n", "\n")


def of_progress(text):
    return [line.rstrip() for line in re.split(r"[\r\n]", text) if re.match(r" *\d+/\d+ ", line)]


@pytest.mark.exhaustive
def test_a_file_gets_plain_lines(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        subprocess.run([*TRAIN, "--out", tmp_path / "run"], stdout=log, stderr=subprocess.DEVNULL, env=environment())
    text = (tmp_path / "log").read_text()
    assert all(x.isprintable() for x in text.replace("\n", ""))
    assert of_progress(text)[-1].split()[0].split("/")[0] == of_progress(text)[-1].split()[0].split("/")[1]


@pytest.mark.exhaustive
@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_that_takes_no_control_characters_gets_plain_lines(tmp_path, variables):
    text = seen([*TRAIN, "--out", tmp_path / "run"], **variables)
    assert all(x.isprintable() for x in text.replace("\n", "")) and of_progress(text)


@pytest.mark.exhaustive
@pytest.mark.parametrize("columns", [80, 120, 40])
def test_a_terminal_sees_a_line_that_never_wraps(tmp_path, columns):
    text = seen([*TRAIN, "--out", tmp_path / "run"], columns)
    lines = of_progress(text)
    assert len(lines) > 5 and max(map(len, lines)) < columns and "\x1b" not in text
    assert ("steps/s" in lines[-1]) == (columns >= 80) and "return: " in lines[-1]
    assert text.count("\n") < 8  # what is rewritten leaves one line
