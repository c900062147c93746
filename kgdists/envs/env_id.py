"""Ids of environments with arguments, wrappers and a limit, as the command line and run folders write them."""

import ast
import contextlib
import importlib
import pkgutil
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

import gymnasium

from kgdists.core.checks import in_short, is_count

__all__ = ["EnvId", "is_options"]

OPTIONS = ("imports", "env_kwargs", "wrappers", "max_episode_steps")
COMMA = re.compile(r",(?=\s*\w+\s*=)")  # of which each begins a new argument


class EnvId(str):
    """An id, and what is done to the environment that Gymnasium makes from it. Everywhere else it is the id alone.

    Parameters
    ----------
    env_id : str
    imports : sequence of str
        Modules to import first, which may register the environment.
    env_kwargs : sequence of str
        Arguments of the environment, each as `"key=value"`. A value is a Python literal, else a text.
    wrappers : sequence of str
        Wrappers from the inside out, each as `"package.Class"` or `"package.Class:key=value,key=value"`.
    max_episode_steps : None or int, >= 1
        The length of an episode, in place of the environment's own limit.

    Raises
    ------
    ValueError
        For an argument that is not of that form.

    Examples
    --------
    >>> import kgdists as kg
    >>> env = kg.envs.EnvId("FrozenLake-v1", env_kwargs=["is_slippery=False"], max_episode_steps=30)
    >>> env, env.arguments, env.make().spec.max_episode_steps
    ('FrozenLake-v1', {'is_slippery': False}, 30)
    """

    imports: tuple[str, ...]
    env_kwargs: tuple[str, ...]
    wrappers: tuple[str, ...]
    max_episode_steps: int | None
    arguments: dict[str, Any]  # what env_kwargs say
    _wrappers: list[tuple[str, dict[str, Any]]]

    def __new__(
        cls,
        env_id: str,
        imports: Sequence[str] = (),
        env_kwargs: Sequence[str] = (),
        wrappers: Sequence[str] = (),
        max_episode_steps: int | None = None,
    ) -> Self:
        self = super().__new__(cls, env_id)
        self.imports, self.env_kwargs, self.wrappers = tuple(imports), tuple(env_kwargs), tuple(wrappers)
        self.max_episode_steps = max_episode_steps
        self.arguments = _arguments(self.env_kwargs)
        self._wrappers = [(name, _arguments(COMMA.split(x) if x else ())) for name, _, x in map(_parted, self.wrappers)]
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.imports, self.env_kwargs, self.wrappers, self.max_episode_steps

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> str | None:
        """The environment that a run's `config.json` names; None if it has no id."""
        env, options = config["env"], config.get("env_options")
        if options and not is_options(options):
            raise ValueError(f"`env_options` must be as `EnvId.options` returns them. Received: {in_short(options)}")
        return cls(env, **options) if isinstance(env, str) and options else env

    def options(self) -> dict[str, Any]:
        """What is said beside the id, in JSON's types, for `of`."""
        given = {name: getattr(self, name) for name in OPTIONS}
        return {name: list(x) if isinstance(x, tuple) else x for name, x in given.items() if x not in ((), None)}

    def import_modules(self) -> None:
        """Import what may register the environment; raises ImportError if it is missing."""
        for module in self.imports:
            importlib.import_module(module)

    def make(self, **options: Any) -> gymnasium.Env:
        """Make the environment, in its wrappers.

        Parameters
        ----------
        **options
            Further arguments of `gymnasium.make`; those of the id go before them.

        Raises
        ------
        ImportError
            If a module is missing.
        ValueError
            If a wrapper is no class, or an argument is not the environment's or the wrapper's.
        """
        self.import_modules()
        limit = {} if self.max_episode_steps is None else {"max_episode_steps": self.max_episode_steps}
        with _naming(f"environment {self}", self.arguments):
            env = gymnasium.make(str(self), **options | self.arguments | limit)
        for name, arguments in self._wrappers:
            wrapper = _named_wrapper(name)
            with _naming(f"wrapper {name}", arguments):
                env = wrapper(env, **arguments)
        return env


def is_options(x: Any) -> bool:
    """Whether something read from a file is what `EnvId.options` returns."""
    if not isinstance(x, dict) or not x.keys() <= set(OPTIONS):
        return False
    limit, texts = x.get("max_episode_steps", 1), [x[name] for name in OPTIONS[:3] if name in x]
    return is_count(limit) and all(isinstance(y, list) and all(isinstance(z, str) for z in y) for y in texts)


def _named_wrapper(name: str) -> Any:
    """The class of a full name such as `gymnasium.wrappers.FlattenObservation`; raises ValueError if there is none."""
    try:
        found = pkgutil.resolve_name(name)
    except (AttributeError, ValueError):
        found = None
    if not (isinstance(found, type) and issubclass(found, gymnasium.Wrapper)):
        raise ValueError(f"A wrapper must be the full name of a gymnasium.Wrapper, as package.Class. Received: {name}")
    return found


@contextlib.contextmanager
def _naming(what, arguments):
    """Say which arguments do not fit."""
    try:
        yield
    except TypeError as error:
        if "argument" not in str(error):
            raise
        given = ", ".join(f"{name}={x!r}" for name, x in arguments.items()) or "none"
        reason = str(error).partition(" was raised from the environment creator")[0]
        raise ValueError(
            f"The {what} must be made with the arguments that it has: give them by `--env-kwargs key=value`, those of "
            f"a wrapper behind its name, or pass a function that makes it. Received: {given}; {reason}"
        ) from error


def _parted(wrapper):
    """A wrapper's name and its arguments; `package.module:Class` is a name too."""
    name, colon, arguments = wrapper.partition(":")
    if colon and "=" not in arguments.partition(":")[0]:
        inner, colon, arguments = arguments.partition(":")
        name = f"{name}.{inner}"
    return name, colon, arguments


def _arguments(texts):
    """Texts such as `"size=3"` as a dict of Python's values."""
    arguments = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name.strip().isidentifier()):
            raise ValueError(f"An argument must have the form key=value. Received: {text}")
        arguments[name.strip()] = _value(value)
    return arguments


def _value(text):
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
