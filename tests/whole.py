"""Run all tests, the exhaustive ones too, piece by piece, and write down how each piece went.

    python -m tests.whole
    python -m tests.whole quick agents

The pieces are the quick tests, and of the exhaustive ones those of each folder, those beside the folders ("rest"), and
the examples in docstrings ("kgdists"). Each has processes of its own, since what XLA has compiled stays in the memory
of a process. What docs/results/test_run.json has of other pieces stays.
"""

import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "docs" / "results" / "test_run.json"
COUNTS = ("tests", "failures", "errors", "skipped")


def pieces():
    """Name -> arguments of pytest."""
    tests = sorted((ROOT / "tests").iterdir())
    folders = [path for path in tests if any(path.rglob("test_*.py"))]
    arguments = {folder.name: [folder] for folder in folders}
    arguments |= {
        "rest": [path for path in tests if path.name.startswith("test_")],
        "kgdists": ["-p", "tests.conftest", ROOT / "kgdists"],
    }
    return {"quick": ["-m", "not exhaustive"]} | {name: ["-m", "exhaustive", *x] for name, x in arguments.items()}


def commit_of_work_tree(record):
    """What is run; "-dirty" if anything but the record differs from it, "unknown" in a copy that is no repository."""
    quiet = {"cwd": ROOT, "capture_output": True, "text": True}
    commit = subprocess.run(["git", "describe", "--always"], **quiet).stdout.strip()
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", ".", f":!{record.relative_to(ROOT)}"], **quiet)
    return f"{commit}-dirty" if commit and changed.returncode else commit or "unknown"


def counts_of(report):
    """How many tests there were, and how they went, from a report of pytest."""
    (suite,) = ElementTree.parse(report).getroot()
    return {name: int(suite.get(name)) for name in COUNTS}


def write(path, record):
    """Write a record, one line for each of its entries."""
    path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in record.items()) + "\n}\n")


def run(arguments):
    """Run tests, and return of what, with what, how many and how long."""
    commit = commit_of_work_tree(RECORD)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-n", "auto", f"--junitxml={report}", *arguments]
        subprocess.run(command, cwd=ROOT, check=False)
        counts = counts_of(report)
    return {
        "commit": commit,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("tensorflow", "keras", "numpy", "gymnasium")},
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **counts,
        "minutes": round((time.monotonic() - began) / 60, 1),
    }


def main(names):
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    wanted = {name: x for name, x in pieces().items() if name in (names or pieces())}
    for name, arguments in wanted.items():
        record[name] = run(arguments)
        write(RECORD, record)
    return any(record[name][count] for name in wanted for count in ("failures", "errors"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
