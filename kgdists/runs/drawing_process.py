"""The process of a `DrawnElsewhere`: steps an environment and draws it.

It is run as a script, since to import it as a part of kgdists would load TensorFlow.
"""

import pickle
import sys
from multiprocessing.connection import Connection
from typing import Any

import gymnasium

__all__ = ["main"]


def main(descriptor: int) -> None:
    """Answer what comes through a connection, first of all what the environment is made of, until it closes.

    Each answer is a value, and an exception or None.
    """
    connection = Connection(descriptor)
    env: Any = None
    while True:
        try:
            name, arguments = connection.recv()
        except EOFError:
            return
        try:
            if name == "make":
                (source,), answer = arguments, None
                env = gymnasium.make(source, render_mode="rgb_array", disable_env_checker=True)
            elif name == "reset":
                observation, info = env.reset(seed=arguments[0], options=arguments[1])
                answer = observation, _read(info)
            elif name == "step":
                *returned, info = env.step(*arguments)
                answer = *returned, _read(info)
            else:
                answer = env.render()
        except Exception as error:  # of the environment, to be raised where it was called
            connection.send((None, _sendable(error)))
        else:
            connection.send((answer, None))


def _read(info):
    """Of an info, what is read."""
    return {key: info[key] for key in ("action_mask",) if key in info}


def _sendable(error):
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    main(int(sys.argv[1]))
