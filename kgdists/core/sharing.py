"""Variables that several models share: trained once, and shared again after a load."""

from collections.abc import Sequence

import keras
import numpy as np

from kgdists.core.backend import layers_of

__all__ = ["places", "share", "trainable"]


def trainable(*models: keras.Model) -> list[keras.Variable]:
    """The weights that models are trained by, each of them once."""
    return list({id(variable): variable for model in models for variable in model.trainable_variables}.values())


def places(models: Sequence[keras.Model]) -> np.ndarray | None:
    """Where among the variables of all models together each of them stands first; None if no two models share one."""
    variables = [variable for model in models for variable in model.variables]
    first = {id(variable): i for i, variable in reversed([*enumerate(variables)])}
    found = np.array([first[id(variable)] for variable in variables], int)
    return None if (found == np.arange(len(found))).all() else found


def share(models: Sequence[keras.Model], found: np.ndarray) -> None:
    """Let models that were saved one by one share variables again, as `places` found them.

    Raises
    ------
    ValueError
        If the models have other variables than those were.
    """
    variables = [variable for model in models for variable in model.variables]
    if len(found) != len(variables) or any(
        variables[i].shape != variable.shape for i, variable in zip(found, variables, strict=True)
    ):
        raise ValueError("models that share variables must have those that were saved")
    replaced = {id(variable): variables[i] for i, variable in zip(found, variables, strict=True)}
    for model in models:
        for owner in _owners(model):
            _replace(owner, replaced)
    shared = places(models)
    if shared is None or not np.array_equal(shared, found):
        raise ValueError("a layer hides its variables: they cannot be shared again")


def _owners(model):
    layers = layers_of(model)
    generators = (x for layer in layers for x in vars(layer).values() if isinstance(x, keras.random.SeedGenerator))
    return [*layers, *generators]


def _replace(owner, replaced):
    # A layer has its variables under names of its own, also in lists and dicts, and in lists of those it is trained by.
    for name, x in vars(owner).items():
        new = _replaced(x, replaced)
        if new is not x:
            object.__setattr__(owner, name, new)


def _replaced(x, replaced):
    """A variable, or what holds some, with others in their place; lists and dicts stay the same objects."""
    if isinstance(x, keras.Variable):
        return replaced.get(id(x), x)
    inside = getattr(x, "__wrapped__", getattr(x, "_storage", x)) if isinstance(x, (list, dict)) else x
    if inside is not x:  # as TensorFlow wraps what a layer holds
        _replaced(inside, replaced)
        return x
    # By the methods of `list` and `dict`: those of Keras' own add to what a layer tracks.
    if isinstance(x, list):
        for i, part in enumerate(list.__iter__(x)):
            list.__setitem__(x, i, _replaced(part, replaced))
    elif isinstance(x, dict):
        for key, part in [*dict.items(x)]:
            dict.__setitem__(x, key, _replaced(part, replaced))
    elif type(x) is tuple and any(isinstance(part, (keras.Variable, list, dict, tuple)) for part in x):
        return tuple(_replaced(part, replaced) for part in x)
    return x
