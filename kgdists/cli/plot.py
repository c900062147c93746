"""`kgdists plot`."""

import argparse
from collections import Counter
from pathlib import Path

from kgdists.cli.run_folder import run_folder
from kgdists.cli.tensorflow import start_tensorflow

__all__ = ["add_to", "plot"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "plot",
        help="plot the learning curves of runs",
        description="Plot the return over the steps. Runs that differ in their seeds alone are one curve, their mean, "
        "in a band from the lower to the upper quartile; each environment has its own axes.",
    )
    parser.add_argument("runs", type=run_folder, nargs="+", metavar="RUN", help="The run folders.")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="Write the image to FILE. Default: learning_curve.png in the first RUN.",
    )
    parser.set_defaults(command=plot)


def plot(options: argparse.Namespace) -> int:
    """Write an image of learning curves and print its name."""
    out = options.out or options.runs[0] / "learning_curve.png"
    if out.is_dir():
        raise ValueError(f"`--out` must be an image file, not a folder. Received: {out}")
    if not out.suffix:
        out = out.with_name(f"{out.name.rstrip('.')}.png")
    start_tensorflow()
    _figure(options.runs).savefig(out, dpi=120)
    print(out)
    return 0


def _figure(paths):
    from kgdists import plotting
    from kgdists.runs.folder import experiments, names_of, read_run

    if len(paths) == 1:
        return plotting.learning_curve(paths)
    groups = experiments([read_run(path) for path in paths])
    labels: list[str] = []
    folders: Counter[tuple[str, str]] = Counter()
    for name, group in zip(names_of(groups), groups, strict=True):
        folder = group[0].path.name
        folders[group[0].env, folder] += 1
        number = folders[group[0].env, folder]
        alone = folder if number == 1 else f"{folder} ({number})"  # of one name, but not seeds of one curve
        labels += len(group) * [name if len(group) > 1 else alone]
    runs = [run for group in groups for run in group]
    panels = [run.env for run in runs]
    return plotting.learning_curve([run.path for run in runs], labels, panels if len(set(panels)) > 1 else None)
