"""Classes and functions of a user's own that a saved model needs, and that nobody has registered."""

import ast
import contextlib
import re
from collections.abc import Iterator

__all__ = ["UnknownClassError", "naming_unknown"]

# How Keras says it: of most objects, and of initializers and the like.
MISSING = re.compile(
    "|".join(
        (
            r"Could not locate (?:class|function) '([^']+)'",
            r"Cannot deserialize object of type `([^`]+)`",
            r"Could not interpret \w+ identifier: \{'module': (?!'keras)[^,]+, 'class_name': '([^']+)'",
        )
    )
)


class UnknownClassError(ValueError):
    """A model needs a class or a function that is not registered.

    Parameters
    ----------
    name : str
        That it was registered with, such as `"mine>Twice"`.
    file : str
        Of the model, if known.
    """

    def __init__(self, name: str, file: str = "") -> None:
        super().__init__(name, file)
        self.name, self.file = name, file

    def __str__(self) -> str:
        short = self.name.rpartition(">")[2]
        return (
            "Classes and functions of your own must be known where a model is read: import the module that registers "
            f"{short} by `@keras.saving.register_keras_serializable()`, or pass `custom_objects={{{self.name!r}: "
            f"{short}}}`, to `keras.saving.custom_object_scope` where a run is read. "
            f"Received: {self.file or 'a model'} with {self.name}"
        )


@contextlib.contextmanager
def naming_unknown() -> Iterator[None]:
    """Re-raise Keras' pages about a class that it does not know as the one-line `UnknownClassError`."""
    try:
        yield
    except UnknownClassError:
        raise
    except (TypeError, ValueError) as error:
        text = str(error)
        found = MISSING.search(text)
        if found is None:
            raise
        registered = _registered_name(text[found.end() :])
        raise UnknownClassError(
            found[found.lastindex or 0] if registered in (None, "function") else registered
        ) from error


def _registered_name(text):
    """The name in the configuration that Keras' message ends with; that of functions is `"function"`."""
    with contextlib.suppress(ValueError, SyntaxError, AttributeError):
        return ast.literal_eval(text.partition("Full object config: ")[2]).get("registered_name")
