"""`kgdists plot`."""

from pathlib import Path

from kgdists import plotting

__all__ = ["add_to", "plot"]


def add_to(commands):
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser("plot", help="plot the learning curves of runs")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="image to write; default: learning_curve.png in the first RUN"
    )
    parser.set_defaults(command=plot)


def plot(options):
    """Write an image of learning curves and print its name."""
    out = options.out or options.runs[0] / "learning_curve.png"
    if out.is_dir():
        raise ValueError(f"`--out` must be an image file, not a folder. Received: {out}")
    plotting.learning_curve(options.runs).savefig(out, dpi=120)
    print(out)
    return 0
