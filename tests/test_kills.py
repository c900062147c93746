import os
import subprocess
import sys

import pytest


@pytest.mark.exhaustive
@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked")
def test_a_run_that_is_killed_ends_as_if_it_had_never_been():
    command = [
        sys.executable,
        "-m",
        "tests.kills",
        "--kills",
        "3",
        "--kills-per-run",
        "3",
        "--eager",
        "--runs",
        "ppo Noise",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    assert "3 times by kill" in result.stdout and ": 0 wrong" in result.stdout
