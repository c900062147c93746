"""`kgdists plot`."""

import argparse
from pathlib import Path

from kgdists.cli.run_folder import run_or_seeds
from kgdists.cli.tensorflow import start_tensorflow
from kgdists.runs.seed_folders import expanded

__all__ = ["add_to", "plot"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "plot",
        help="plot the learning curves of runs",
        description="Plot the return over the steps, with the evaluations beside it. Runs that differ in their seeds "
        "alone are one curve, their mean, in a band from the lower to the upper quartile; each environment has its own "
        "axes.",
    )
    parser.add_argument(
        "runs", type=run_or_seeds, nargs="+", metavar="RUN", help="The run folders, or folders of several seeds."
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="Write the image to FILE, such as a .png, .svg or .pdf. Default: learning_curve.png in the first RUN.",
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
    _figure(expanded(options.runs)).savefig(out, dpi=120)
    print(out)
    return 0


def _figure(paths):
    from kgdists import plotting
    from kgdists.runs.folder import experiments, names_of, read_run

    groups = experiments([read_run(path) for path in paths])
    runs = [run for group in groups for run in group]
    labels = [name for name, group in zip(names_of(groups), groups, strict=True) for _ in group]
    return plotting.learning_curve([run.path for run in runs], labels, [run.env for run in runs])
