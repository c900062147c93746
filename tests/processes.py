"""Python code in a fresh process."""

import subprocess
import sys
import textwrap


def run_python(code, *arguments):
    """Run `code` with `arguments` in `sys.argv[1:]` and return what it printed."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout
