"""Run all tests, the exhaustive ones too, and write down how the run went.

python -m tests.whole
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


def run(marker):
    """Run the tests that a marker expression picks, and return their counts and their time."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-n", "auto", "-m", marker, f"--junitxml={report}"]
        began = time.monotonic()
        subprocess.run(command, cwd=ROOT, check=False)
        seconds = time.monotonic() - began
        (suite,) = ElementTree.parse(report).getroot()
    counts = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    return counts | {"minutes": round(seconds / 60, 1)}


def main():
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    record = {
        "commit": commit.stdout.strip(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("tensorflow", "keras", "numpy", "gymnasium")},
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    record |= {part: run(marker) for part, marker in PARTS.items()}
    RECORD.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))
    return any(record[part][name] for part in PARTS for name in ("failures", "errors"))


if __name__ == "__main__":
    sys.exit(main())
