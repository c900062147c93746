"""Record what a terminal shows of a training, its interruption, and what comes after, into docs/results.

    python -m tests.pictures.terminal

It needs tmux. Nothing may be wider than the terminal: what tmux joins again is an error here.
"""

import os
import shlex
import subprocess
import sys
import tempfile
import time

from tests.whole import ROOT

RESULTS = ROOT / "docs" / "results"
ROWS, SECONDS = 60, 180
COMMANDS = (
    "kgdists train CartPole-v1 --steps 200000 --out run",
    "echo status $?",
    "kgdists resume run --steps 40000",
    "kgdists evaluate run --episodes 5",
    "kgdists report run",
)


class Terminal:
    """A shell in a terminal of so many columns, in a folder."""

    def __init__(self, columns, folder):
        self._tmux = ["tmux", "-L", f"kgdists{columns}", "-f", os.devnull]
        variables = {"PYTHONPATH": str(ROOT), "PS1": "$ ", "HOME": str(folder), "PATH": os.environ["PATH"]}
        shell = shlex.join(["env", "-i", "TERM=screen", *(f"{k}={v}" for k, v in variables.items()), "bash", "--norc"])
        size = ["-x", str(columns), "-y", str(ROWS)]
        self._run("new-session", "-d", *size, "-c", str(folder), f"{shell} --noprofile")
        self.type(f'kgdists() {{ {sys.executable} -P -m kgdists "$@"; }}; clear')

    def _run(self, *arguments):
        return subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True).stdout

    def type(self, text, is_key=False):
        """Type a line, or press a key by its name."""
        self._run("send-keys", *([text] if is_key else ["-l", f"{text}\n"]))
        time.sleep(1.0)

    def lines(self, joined=False):
        """What is to be seen."""
        return self._run("capture-pane", "-p", *(["-J"] if joined else [])).rstrip().splitlines()

    def wait(self, is_there):
        """Wait until the lines fulfil a condition."""
        end = time.monotonic() + SECONDS
        while not is_there(self.lines()):
            if time.monotonic() > end:
                raise TimeoutError("\n".join(self.lines()))
            time.sleep(0.5)

    def close(self):
        """End the shell."""
        self._run("kill-server")


def record(columns):
    """Run the commands; return what was seen at the end."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        terminal = Terminal(columns, folder)
        try:
            for command in COMMANDS:
                terminal.type(command)
                if command.startswith("kgdists train"):
                    terminal.wait(lambda lines: "steps/s" in lines[-1])
                    time.sleep(10.0)
                    terminal.type("C-c", is_key=True)
                terminal.wait(lambda lines: lines[-1] == "$")
            seen, joined = terminal.lines(), terminal.lines(joined=True)
        finally:
            terminal.close()
    if len(seen) != len(joined):
        raise ValueError(f"No line may be wider than the terminal. Received: {[x for x in joined if len(x) > columns]}")
    return seen


def main():
    for columns in (80, 120):
        (RESULTS / f"terminal_{columns}.txt").write_text("\n".join(record(columns)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
