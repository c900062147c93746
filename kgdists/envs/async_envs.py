"""Environments in processes of their own, stepped at the same time."""

import contextlib
import multiprocessing
import multiprocessing.reduction
import multiprocessing.util
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Dict, Tuple
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import CloudpickleWrapper, batch_space, create_empty_array
from keras import tree

from kgdists.core.checks import count
from kgdists.core.types import Integer
from kgdists.envs.sync_envs import SyncEnvs

__all__ = ["AsyncEnvs"]

SECONDS_TO_CLOSE = 10.0


class AsyncEnvs(VectorEnv):
    """As many environments as functions are given, shared out among processes.

    Each process steps its environments one after the other, as `SyncEnvs`; so all numbers are those of one `SyncEnvs`
    of all environments, whatever the number of processes. Observations, rewards and ends of episodes come through
    shared memory, actions and final observations through pipes.

    What an environment raises is raised here, with the traceback of its process as the cause. Interrupts by the
    keyboard and SIGTERM, which reach the processes too where they are sent to a group, are left to the process that
    steps. The processes end when this object is closed or is no more, and when that process ends, however it does.

    Parameters
    ----------
    makers : list of callable
        Each makes a `gymnasium.Env`, and goes to its process by `cloudpickle`. The first is called here as well, once.
    num_workers : None or int, >= 1
        None: as many as there are processors to run on. Never more than environments.
    """

    def __init__(self, makers: Sequence[Callable[[], gymnasium.Env]], num_workers: Integer | None = None) -> None:
        num_workers = count("num_workers", num_workers, optional=True)
        self.num_envs = len(makers)
        with contextlib.closing(makers[0]()) as example:
            self.metadata = dict(example.metadata) | {"autoreset_mode": AutoresetMode.SAME_STEP}
            self.render_mode, self.spec = example.render_mode, example.spec
            self.single_observation_space = example.observation_space
            self.single_action_space = example.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

        num_workers = min(num_workers or _num_processors(), self.num_envs)
        bounds = [self.num_envs * i // num_workers for i in range(num_workers + 1)]
        self._parts = [slice(*pair) for pair in zip(bounds[:-1], bounds[1:], strict=True)]
        self._makers = makers
        self._start()

    def _start(self):
        """Start the processes, and let each make its environments."""
        spaces = self.single_observation_space, self.single_action_space, self.num_envs
        context = _context()
        buffers = [context.RawArray("b", max(1, x.nbytes)) for x in tree.flatten(_empty(*spaces))]
        self._arrays = _in_memory(spaces, buffers)
        self._pipes: list[Any] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []
        # At exit before `multiprocessing` tells such processes to end by SIGTERM.
        self._end = multiprocessing.util.Finalize(self, _end, (self._pipes, self._processes), exitpriority=100)
        self._is_interrupted = False
        with _without_main_script():
            for part in self._parts:
                pipe, other = context.Pipe()
                given: Any = self._makers[part], spaces  # no function, which the wrapper asks for and does not need
                arguments = other, CloudpickleWrapper(given), part, buffers
                name = f"environments {part.start} to {part.stop - 1}"
                process = context.Process(target=_work, args=arguments, name=name, daemon=True)
                process.start()
                other.close()  # so that the end of the process is the end of the pipe
                self._pipes.append(pipe)
                self._processes.append(process)
        try:
            self._answers()
        except BaseException:
            self.close()
            raise

    def reset(
        self,
        *,
        seed: int | list[int | None] | tuple[int | None, ...] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start new episodes; environment i is seeded with `seed + i`, or with the i-th of a list."""
        if not isinstance(seed, (list, tuple)):
            seed = [None if seed is None else seed + i for i in range(self.num_envs)]
        infos = self._ask("reset", [(seed, options) for seed in self._shared_out(seed)])
        return self._observations(), self._merged(infos)

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step all environments, at the same time as far as there are processes."""
        infos = self._ask("step", [(_some(self.single_action_space, actions, part),) for part in self._parts])
        rewards, terminated, truncated = (x.copy() for x in self._arrays[1:])
        return self._observations(), rewards, terminated, truncated, self._merged(infos)

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The attribute `name` of each environment, or what it returns if it is a method: a tuple."""
        return tuple(x for part in self._ask("call", [(name, args, kwargs)] * len(self._parts)) for x in part)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The attribute `name` of each environment: a tuple."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of each environment, to one value or to those of a list or tuple."""
        values = values if isinstance(values, (list, tuple)) else [values] * self.num_envs
        self._ask("set_attr", [(name, values) for values in self._shared_out(values)])

    def render(self) -> tuple[Any, ...]:
        """What each environment renders: a tuple."""
        return self.call("render")

    def close_extras(self, **kwargs: Any) -> None:
        """End the processes."""
        self._end()

    def _shared_out(self, values):
        if len(values) != self.num_envs:
            raise ValueError(f"Each of {self.num_envs} environments must have a value. Received: {len(values)} values")
        return [list(values[part]) for part in self._parts]

    def _ask(self, name, arguments):
        """Let each process do what is called `name`: a list of what they answer."""
        if self.closed:
            raise ValueError("These environments are closed: make new ones")
        if self._is_interrupted:
            self._start()
        messages = [_packed((name, given)) for given in arguments]  # all, before one is sent
        try:
            for pipe, message in zip(self._pipes, messages, strict=True):
                with contextlib.suppress(BrokenPipeError):  # no answer will tell
                    pipe.send_bytes(message)
            return self._answers()
        except Exception:
            raise
        except BaseException:  # an interrupt: answers still on their way would be taken for later ones
            self._kill()
            self._is_interrupted = True
            raise

    def _answers(self):
        # All, before one is unpacked: what cannot be must not leave others behind, to be taken for later ones.
        answers = [self._answer(*pair) for pair in zip(self._pipes, self._processes, strict=True)]
        answers = [pickle.loads(answer) for answer in answers]
        for process, (is_good, answer) in zip(self._processes, answers, strict=True):
            if not is_good:
                error, text = answer
                raise error from RuntimeError(f"In the process of {process.name}:\n{text}")
        return [answer for _, answer in answers]

    def _answer(self, pipe, process):
        try:
            return pipe.recv_bytes()
        except (EOFError, ConnectionResetError) as error:
            process.join(SECONDS_TO_CLOSE)
            ended = f"The process of {process.name} has ended, exit code {process.exitcode}"
            self._kill()
            self.close()
            raise RuntimeError(ended) from error

    def _kill(self):
        for process in self._processes:
            process.kill()
        self._end()

    def _observations(self):
        return tree.map_structure(np.copy, self._arrays[0])

    def _merged(self, infos):
        """What some environments tell at the end of episodes among that of all."""
        merged: dict[str, Any] = {}
        for part, info in zip(self._parts, infos, strict=True):
            for name, x in info.items():
                if name == "final_info":
                    numbers = merged.setdefault(name, {})
                    for key, values in x.items():
                        numbers.setdefault(key, np.full(self.num_envs, np.nan))[part] = values
                else:
                    merged.setdefault(name, np.full(self.num_envs, None if x.dtype == object else False))[part] = x
        return merged


def _work(pipe, given, part, buffers):
    """Worker loop: reply with (ok, result) to each request."""
    # Not ignored, as a process that an environment starts would take over.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave_to_parent)
    try:
        makers, spaces = given.fn
        envs = SyncEnvs(makers, copy=False)
        if (envs.single_observation_space, envs.single_action_space) != spaces[:2]:
            raise ValueError(
                f"All environments must have the same spaces, {spaces[0]} and {spaces[1]}. "
                f"Received: {envs.single_observation_space} and {envs.single_action_space}"
            )
        arrays = tree.map_structure(lambda x: x[part], _in_memory(spaces, buffers))
        pipe.send_bytes(pickle.dumps((True, None)))
    except Exception as error:
        pipe.send_bytes(pickle.dumps((False, _portable(error))))
        return
    while message := _received(pipe):
        try:
            name, arguments = pickle.loads(message)
            answer = _packed((True, _DUTIES[name](envs, arrays, *arguments)))
        except Exception as error:
            answer = pickle.dumps((False, _portable(error)))
        with contextlib.suppress(OSError):  # the process that steps is gone
            pipe.send_bytes(answer)
    envs.close()


def _leave_to_parent(number, frame):
    """Do nothing: the process that steps ends this one."""


def _packed(message):
    try:
        return bytes(multiprocessing.reduction.ForkingPickler.dumps(message))
    except Exception as error:  # there is no end of what objects raise
        raise ValueError(
            "What goes to environments in processes of their own, and what comes from them, must pickle. "
            f"Received: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


def _end(pipes, processes):
    for pipe in pipes:
        with contextlib.suppress(OSError):
            pipe.send_bytes(b"")
    for pipe, process in zip(pipes, processes, strict=True):
        process.join(SECONDS_TO_CLOSE)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()
        pipe.close()


def _reset(envs, arrays, seed, options):
    observations, infos = envs.reset(seed=seed, options=options)
    _write(arrays[:1], (observations,))
    return infos


def _step(envs, arrays, actions):
    *values, infos = envs.step(actions)
    _write(arrays, values)
    return infos


def _write(arrays, values):
    for array, value in zip(tree.flatten(arrays), tree.flatten(values), strict=True):
        array[...] = value


_DUTIES: dict[str, Callable[..., Any]] = {
    "reset": _reset,
    "step": _step,
    "call": lambda envs, arrays, name, args, kwargs: envs.call(name, *args, **kwargs),
    "set_attr": lambda envs, arrays, name, values: envs.set_attr(name, values),
}


def _received(pipe):
    try:
        return pipe.recv_bytes()
    except (EOFError, ConnectionResetError):  # the process that steps is gone
        return b""


def _portable(error):
    """An exception and its traceback as text, for another process."""
    text = traceback.format_exc()
    try:
        pickle.loads(pickle.dumps(error))  # as the pipe to the process that made this one does
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return error, text


def _empty(observation_space, action_space, num_envs):
    """Arrays of observations, rewards, terminated and truncated."""
    observations = create_empty_array(observation_space, num_envs, np.zeros)
    return observations, np.zeros(num_envs), np.zeros(num_envs, bool), np.zeros(num_envs, bool)


def _in_memory(spaces, buffers):
    empty = _empty(*spaces)
    arrays = [np.ndarray(x.shape, x.dtype, y) for x, y in zip(tree.flatten(empty), buffers, strict=True)]
    return tree.pack_sequence_as(empty, arrays)


def _some(space, actions, part):
    """The actions of some environments: of arrays, or of tuples for spaces whose values cannot be stacked."""
    if isinstance(space, Dict):
        return {name: _some(branch, actions[name], part) for name, branch in space.items()}
    if isinstance(space, Tuple):
        return tuple(_some(branch, x, part) for branch, x in zip(space.spaces, actions, strict=True))
    return actions[part]


def _num_processors():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _context():
    """How processes are started: not by copies of this one, in whose threads TensorFlow may hold locks.

    Where there is a server to fork them from, that alone imports this module, and with it TensorFlow.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kgdists.core.preload"])
    return context


@contextlib.contextmanager
def _without_main_script():
    """Start processes that do not run the main script again, since what it defines comes to them by value."""
    main = vars(sys.modules["__main__"])
    names = ("__spec__", "__file__")
    hidden = {name: main[name] for name in names if name in main}
    try:
        main.update(dict.fromkeys(names))
        yield
    finally:
        for name in names:
            del main[name]
        main.update(hidden)
