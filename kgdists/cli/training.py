"""Shared by `train` and `resume`."""

import contextlib
import errno
import importlib.util
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import keras

from kgdists import plotting
from kgdists.agents.agent import Agent
from kgdists.cli.evaluations import Evaluating
from kgdists.core.files import atomic_write, locked
from kgdists.core.run_warning import RunWarning
from kgdists.envs.checked_env import WrongReturnError
from kgdists.envs.evaluation import Evaluation
from kgdists.runs.callbacks import Checkpoints, EvaluateAndKeepBest, StopOnSignal
from kgdists.runs.layout import BEST, CURVE, METRICS, TENSORBOARD, write_evaluation
from kgdists.runs.metrics import MetricsFile
from kgdists.runs.tensorboard import TensorBoard

__all__ = ["draw_curve", "evaluate_run", "exclusive_run", "print_error", "run_callbacks", "train_to"]

DEFAULT = Evaluating()
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # what a disk says that takes no more


@contextlib.contextmanager
def exclusive_run(run: Path) -> Iterator[None]:
    """Keep other processes from training in a run folder; the end of this one, even a sudden one, lets them."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(run, waits=False))
        except BlockingIOError as error:
            raise ValueError(
                f"A run is trained by one process at a time, and another is at it. Received: {run}"
            ) from error
        yield


def train_to(
    agent: Agent,
    run: Path,
    total_steps: int,
    save_every: float,
    evaluate_every: int | None = None,
    evaluating: Evaluating = DEFAULT,
) -> int:
    """Train until the agent has taken this many steps, evaluate it, plot, and say so.

    Returns
    -------
    int, the exit status.
    """
    start, left = time.perf_counter(), total_steps - agent.steps
    stop = StopOnSignal(lambda text: print(f"\n{text}"))
    try:
        if left > 0:
            agent.learn(left, [stop, *run_callbacks(agent, run, save_every, evaluate_every, evaluating)])
    except KeyboardInterrupt:
        print(f"\naborted; `kgdists resume {run}` goes on from {agent.checkpoint}", file=sys.stderr)
        return 130
    except Exception as error:
        print_error(error, agent, run)
        return 1
    status = 0
    if stop.signal is not None and agent.steps < total_steps:
        status = 128 + stop.signal
        print(f"stopped after {agent.steps} of {total_steps} steps; `kgdists resume {run}` goes on")
    is_drawn = agent.steps > 0 and draw_curve(agent, run)  # already, since the evaluation may take long
    evaluation = evaluate_run(agent, run, evaluating)
    if is_drawn:
        draw_curve(agent, run)  # with the evaluation
    seconds = time.perf_counter() - start
    print(f"{agent.env}: {evaluation}\n{agent.steps} steps in {seconds:.1f} s; saved in {run}")
    return status


def print_error(error: Exception, agent: Agent, run: Path) -> None:
    """Say in one line what ended a training; where that does not say all, with the traceback before it."""
    reason = " ".join(str(error).split())
    if not isinstance(error, FloatingPointError):  # which says where it came from, and what to load
        is_full = isinstance(error, OSError) and error.errno in NO_ROOM
        if not (is_full or isinstance(error, WrongReturnError)):
            traceback.print_exception(error)
        reason = f"{type(error).__name__} after {agent.steps} steps: {reason}"
        reason += f"; `kgdists resume {run}` goes on from {agent.checkpoint}"
    print(f"kgdists: error: {reason}", file=sys.stderr)


def run_callbacks(
    agent: Agent, run: Path, save_every: float, evaluate_every: int | None, evaluating: Evaluating
) -> list[keras.callbacks.Callback]:
    """What writes the files of a run while it trains."""
    return [
        *_evaluations(agent, run, evaluate_every, evaluating),
        MetricsFile(run / METRICS, append=True),
        *_tensorboard(run / TENSORBOARD),
        Checkpoints(agent, run, save_every),
    ]


def evaluate_run(agent: Agent, run: Path, evaluating: Evaluating) -> Evaluation:
    """Evaluate an agent at the end of its training."""
    evaluation = agent.evaluate(
        evaluating.episodes or 100,
        seed=agent.config.seed,
        max_steps=evaluating.max_steps,
        eval_envs=evaluating.envs,
    )
    write_evaluation(run, evaluation, agent.steps)
    return evaluation


def draw_curve(agent: Agent, run: Path) -> bool:
    """Draw the learning curve, a by-product of the training; return whether it could be drawn."""
    try:
        with atomic_write(run / CURVE) as file:
            plotting.learning_curve([run], [agent.name], [str(agent.env)]).savefig(file, dpi=120)
    except (OSError, ValueError) as error:
        warnings.warn(f"The learning curve is not drawn: {error}", RunWarning, stacklevel=2)
        return False
    return True


def _tensorboard(folder):
    if folder.exists() and not folder.is_dir():
        warnings.warn(f"TensorBoard's logs are left out: {folder} is no folder", RunWarning, stacklevel=2)
        return []
    if importlib.util.find_spec("tensorboard") is None:
        rule = "they need tensorboard, which `pip install 'kgdists[agents]'` brings"
        warnings.warn(f"TensorBoard's logs are left out: {rule}", RunWarning, stacklevel=2)
        return []
    return [TensorBoard(folder, write_graph=False)]


def _evaluations(agent, run, every_steps, evaluating):
    if every_steps is None:
        return []
    limits = {"eval_envs": evaluating.envs, "max_steps": evaluating.max_steps}
    return [
        EvaluateAndKeepBest(agent, run / BEST, episodes=evaluating.episodes or 20, every_steps=every_steps, **limits)
    ]
