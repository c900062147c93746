"""Environments drawn in a process without TensorFlow.

Mesa, which draws OpenGL where there is no graphics card, compiles by LLVM, as TensorFlow does by another one. In one
process they crash.
"""

import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

__all__ = ["DrawnElsewhere", "source_elsewhere"]

OPENGL = ("mujoco", "pyglet", "OpenGL", "panda3d")  # modules that draw by it
SCRIPT = Path(__file__).with_name("drawing_process.py")


def source_elsewhere(env_id: str, spec: EnvSpec | None) -> str | EnvSpec | None:
    """What another process makes an environment of that may draw by OpenGL.

    Parameters
    ----------
    env_id : str
    spec : None or EnvSpec
        Of the environment that was made of it.

    Returns
    -------
    The id, where it names the module that registers it, or else the spec; None for an environment that is drawn here.
    """
    if os.name == "nt" or spec is None or not any(module in sys.modules for module in OPENGL):
        return None
    if ":" in env_id:
        return env_id
    if not isinstance(spec.entry_point, str) or spec.entry_point.startswith("__main__:"):
        return None
    try:
        pickle.dumps(spec)
    except Exception:  # of arguments, which may be anything
        return None
    return spec


class DrawnElsewhere(gymnasium.Wrapper):
    """An environment whose twin in a process of its own is stepped and drawn.

    Of infos nothing but the action mask comes back.

    Parameters
    ----------
    env : gymnasium.Env
        Made of an id, for the render mode "rgb_array". Only its spaces and other attributes are used.
    source : str or EnvSpec
        What the process makes the twin of.

    Raises
    ------
    ValueError
        If the process dies.
    Exception
        Whatever the environment raises.
    """

    def __init__(self, env: gymnasium.Env, source: str | EnvSpec) -> None:
        super().__init__(env)
        self._connection, other = multiprocessing.Pipe()
        variables = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        if not os.environ.get("DISPLAY"):
            variables.setdefault("MUJOCO_GL", "egl")
        command = [sys.executable, "-P", str(SCRIPT), str(other.fileno())]
        self._process = subprocess.Popen(command, env=variables, pass_fds=[other.fileno()], stdin=subprocess.DEVNULL)
        other.close()
        try:
            self._ask("make", source)
        except BaseException:
            self._end()
            raise

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return self._ask("reset", seed, options)

    def step(self, action: Any) -> Any:
        return self._ask("step", action)

    def render(self) -> Any:
        return self._ask("render")

    def close(self) -> None:
        self._end()
        super().close()

    def _ask(self, name, *arguments):
        try:
            self._connection.send((name, arguments))
            answer, error = self._connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError) as cause:
            status = self._process.wait()
            raise ValueError(f"The process that draws an environment must live. Received: status {status}") from cause
        if error is not None:
            raise error
        return answer

    def _end(self):
        """End the process by closing the connection; drivers that crash at its end do no harm."""
        self._connection.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
