"""The optimizer of an agent."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

__all__ = ["make_optimizer"]


def make_optimizer(
    settings: Any,
    variables: Sequence[keras.Variable],
    own: Mapping[str, Mapping[str, Any]] | None = None,
    classes: Mapping[str, type[keras.optimizers.Optimizer]] | None = None,
) -> keras.optimizers.Optimizer:
    """The optimizer that settings name, or a copy of the one they give, with its variables.

    Parameters
    ----------
    settings : dataclass
        With `optimizer` and `learning_rate`, and `max_grad_norm` where gradients have a bound.
    variables : list of keras.Variable
        That it moves.
    own : None or dict of name -> dict
        Arguments of an optimizer that the algorithm has other defaults for than Keras.
    classes : None or dict of name -> class
        In place of those of Keras.
    """
    given = settings.optimizer
    if isinstance(given, str):
        options = {"learning_rate": settings.learning_rate, **(own or {}).get(given, {})}
        if getattr(settings, "max_grad_norm", None) is not None:
            options["global_clipnorm"] = settings.max_grad_norm
        made = (classes or {}).get(given, type(keras.optimizers.get(given)))(**options)
    else:
        made = type(given).from_config(given.get_config())  # the given one may be that of other agents too
    made.build(variables)
    return made
