"""Commands in fresh processes, and ratios of what they measured in the same round."""

import json
import os
import statistics
import subprocess
import time
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")
ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "-1",
}


def run(command, environment=None):
    """Run a command and return what it printed and its wall time in seconds."""
    start = time.perf_counter()
    variables = os.environ | ENVIRONMENT | (environment or {})
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=variables)
    seconds = time.perf_counter() - start
    if result.returncode:
        status = f"{' '.join(map(str, command))}: exit status {result.returncode}"
        raise SystemExit(f"{result.stderr[-4000:]}\n{status}")
    return result.stdout, seconds


class Worker:
    """A process that answers lines of JSON; it ends with this one."""

    def __init__(self, command):
        self._process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | ENVIRONMENT,
        )

    def ask(self, question):
        """Its answer to `question`."""
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self):
        """The next line that it prints."""
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args}: exit status {self._process.wait()}")
        return json.loads(line)


def spread(values, digits=2):
    """Median, minimum and maximum as cells of a table."""
    return [f"{x:.{digits}f}" for x in (statistics.median(values), min(values), max(values))]


def ratios(numerators, denominators):
    """Round by round."""
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def print_table(header, rows):
    """Print a Markdown table."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in (header, ["-" * width for width in widths], *rows):
        print(f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |")


def machine():
    """Number of processors and how busy they are."""
    return f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
