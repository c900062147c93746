"""What starting a run and going on with one have in common."""

import argparse
import contextlib
import csv
import dataclasses
import io
import json
import os
import sys
import time
import traceback

import keras
import tensorflow as tf

try:
    import fcntl
except ImportError:  # where there is no POSIX
    fcntl = None  # type: ignore[assignment]

from kgdists import plotting
from kgdists.agents.callbacks import EvaluateAndKeepBest, MetricsFile, ProgressBar
from kgdists.agents.checkpoints import Checkpoints, StopOnSignal
from kgdists.agents.files import aside, damage
from kgdists.checked_env import WrongReturnError

__all__ = ["add_save_every", "alone", "cut_metrics", "evaluated_steps", "go_on", "set_threads"]


def add_save_every(parser):
    """Add the option of how often a run is saved."""
    parser.add_argument(
        "--save-every",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="time between two checkpoints, 0: after each update; default: %(default)g",
    )


def _seconds(text):
    seconds = float(text)
    if not seconds >= 0.0:
        raise argparse.ArgumentTypeError(f"must be a number >= 0. Received: {text}")
    return seconds


def set_threads(threads):
    """Set how many threads an operation of TensorFlow has."""
    # A thread handing over to another costs more than a small network does.
    with contextlib.suppress(RuntimeError):  # TensorFlow runs already, within a process of the caller's
        tf.config.threading.set_intra_op_parallelism_threads(threads)


@contextlib.contextmanager
def alone(run):
    """Keep other processes from training in a run folder; the end of this one, even a sudden one, lets them."""
    if fcntl is None:
        yield
        return
    folder = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(folder)
        raise ValueError(f"A run is trained by one process at a time, and another is at it. Received: {run}") from error
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(folder)


def go_on(agent, run, total_steps, save_every, evaluate_every=None):
    """Train until the agent has taken so many steps, evaluate it, plot, and say so.

    Returns
    -------
    int, the exit status.
    """
    start, left = time.perf_counter(), total_steps - agent.steps
    stop = StopOnSignal(lambda text: print(f"\n{text}"))
    callbacks = [
        stop,
        ProgressBar(max(1, left)),
        *_evaluations(agent, run, evaluate_every),
        MetricsFile(run / "metrics.csv", append=True),
        keras.callbacks.TensorBoard(run / "tensorboard", write_graph=False),
        Checkpoints(agent, run, save_every),
    ]
    try:
        if left > 0:
            agent.learn(left, callbacks)
    except FloatingPointError:
        raise
    except KeyboardInterrupt:
        print(f"\naborted; `kgdists resume {run}` goes on from {agent.checkpoint}", file=sys.stderr)
        return 130
    except Exception as error:
        if not isinstance(error, WrongReturnError):  # which says all there is to say
            traceback.print_exc()
        reason = f"{type(error).__name__} after {agent.steps} steps: {' '.join(str(error).split())}"
        print(f"kgdists: error: {reason}; `kgdists resume {run}` goes on from {agent.checkpoint}", file=sys.stderr)
        return 1
    if stop.is_stopped:
        print(f"stopped after {agent.steps} of {total_steps} steps; `kgdists resume {run}` goes on")
    if agent.steps:  # before the evaluation, which may take long
        with aside(run / "learning_curve.png") as file:
            plotting.learning_curve([run]).savefig(file, dpi=120)
    evaluation = agent.evaluate(100, seed=agent.config.seed)
    with aside(run / "evaluation.json") as file:
        file.write_text(json.dumps(dataclasses.asdict(evaluation) | {"steps": agent.steps}) + "\n")
    seconds = time.perf_counter() - start
    print(f"{agent.env}: {evaluation} after {agent.steps} steps, {seconds:.1f} s; saved in {run}")
    return 0


def _evaluations(agent, run, every_steps):
    if every_steps is None:
        return []
    return [EvaluateAndKeepBest(agent.env, run / "best.keras", every_steps=every_steps)]


def evaluated_steps(run):
    """The steps after which the run was last evaluated and plotted, None if it was not."""
    file = run / "evaluation.json"
    if not file.is_file() or not (run / "learning_curve.png").is_file():
        return None
    with damage(file):
        return json.loads(file.read_text()).get("steps")


def cut_metrics(file, steps):
    """Leave out the rows of a metrics file behind so many steps, and one that was not written to its end."""
    if not file.is_file():
        return
    with damage(file):
        lines = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
        column = next(csv.reader(lines[:1])).index("steps") if lines else 0
        kept = lines[:1] + [line for line in lines[1:] if float(next(csv.reader(io.StringIO(line)))[column]) <= steps]
    with aside(file) as partial:
        partial.write_text("".join(kept))
