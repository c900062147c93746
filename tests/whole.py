"""Run all tests, the exhaustive ones too, and write down how the run went.

python -m tests.whole [quick | exhaustive]
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
PARTS = {"quick": "not exhaustive", "exhaustive": "exhaustive"}
COUNTS = ("tests", "failures", "errors", "skipped")


def pieces(part):
    """What is run by processes of its own: programs that XLA has compiled stay in the memory of a process."""
    tests = sorted(path for path in (ROOT / "tests").iterdir() if path.name.startswith("test_") or path.is_dir())
    files = [path for path in tests if path.is_file()]
    folders = [path for path in tests if path.is_dir() and any(path.rglob("test_*.py")) and path.name != "benchmarks"]
    return [[]] if part == "quick" else [*([folder] for folder in folders), files, [ROOT / "kgdists"]]


def run(part):
    """Run the tests of a part, and return their counts and their time."""
    total, began = dict.fromkeys(COUNTS, 0), time.monotonic()
    for paths in pieces(part):
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            command = [sys.executable, "-m", "pytest", "-n", "auto", "-m", PARTS[part], f"--junitxml={report}", *paths]
            subprocess.run(command, cwd=ROOT, check=False)
            (suite,) = ElementTree.parse(report).getroot()
        total = {name: total[name] + int(suite.get(name)) for name in COUNTS}
    return total | {"minutes": round((time.monotonic() - began) / 60, 1)}


def circumstances():
    """Of what, and with what, the tests are run."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return {
        "commit": commit.stdout.strip(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("tensorflow", "keras", "numpy", "gymnasium")},
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def main(parts):
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for part in parts or PARTS:
        record[part] = circumstances() | run(part)
        RECORD.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))
    return any(record[part][name] for part in parts or PARTS for name in ("failures", "errors"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
