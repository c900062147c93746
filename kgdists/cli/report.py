"""`kgdists report`."""

import argparse
from pathlib import Path

from kgdists.cli.run_folder import run_or_seeds
from kgdists.cli.tensorflow import start_tensorflow
from kgdists.runs.seed_folders import expanded

__all__ = ["add_to", "report"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "report",
        help="write a page about runs",
        description="Write an HTML page about runs: evaluations, learning curves, settings, the course of the "
        "training, films that `kgdists record` left in the runs, and the commands that make them again. Runs that "
        "differ in their seeds alone are summed up. The page refers to nothing outside itself.",
    )
    parser.add_argument(
        "runs", type=run_or_seeds, nargs="+", metavar="RUN", help="The run folders, or folders of several seeds."
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="Write the page to FILE, an .html file. Default: report.html in the first RUN.",
    )
    parser.set_defaults(command=report)


def report(options: argparse.Namespace) -> int:
    """Write the page and print its name."""
    out = options.out or options.runs[0] / "report.html"
    if out.is_dir() or not out.parent.is_dir():
        raise ValueError(f"`--out` must be a file in a folder that exists. Received: {out}")
    start_tensorflow()
    from kgdists.cli.reproduce import command_of
    from kgdists.core.files import atomic_write
    from kgdists.runs.folder import read_run
    from kgdists.runs.reporting import report as report_on

    runs = expanded(options.runs)
    page = report_on(runs, [command_of(read_run(run)) for run in runs])
    with atomic_write(out) as file:
        file.write_text(page, encoding="utf-8")
    print(out)
    return 0
