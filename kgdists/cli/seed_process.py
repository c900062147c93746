"""The training of one of several seeds in a process of its own, which imports TensorFlow without its log."""

import contextlib
import io
from pathlib import Path

from kgdists.cli.evaluations import Evaluating
from kgdists.cli.tensorflow import start_tensorflow

__all__ = ["train_one"]


def train_one(
    run: Path, threads: int, total_steps: int, save_every: float, evaluate_every: int | None, evaluating: Evaluating
) -> tuple[int, str]:
    """Train a run as `kgdists resume` does; return the exit status and the last words.

    Parameters
    ----------
    run : Path
    threads : int
        Of one operation of TensorFlow.
    total_steps, save_every, evaluate_every, evaluating
        As for `kgdists.cli.training.train_to`.
    """
    start_tensorflow(threads)
    from kgdists.agents.algorithms import load
    from kgdists.cli.training import train_to

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = train_to(load(run), run, total_steps, save_every, evaluate_every, evaluating)
        except Exception as error:  # the other seeds go on
            status = 1
            print(f"error: {type(error).__name__}: {' '.join(str(error).split())}")
    return status, "; ".join([line for line in said.getvalue().splitlines() if line.strip()][-2:])
