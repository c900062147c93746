"""Which loss, metrics, targets and weights belong to which output of a model."""

from collections.abc import Sequence
from typing import Any

from kgdists.models.outputs import leaf_at, leaves_of, widened_output

__all__ = ["for_each_output", "matched", "named"]


def for_each_output(name: str, given: Any, outputs: Sequence[str], shared: bool) -> list[Any]:
    """What each output gets of an argument of `compile`.

    Parameters
    ----------
    name : str
        Of the argument, for errors.
    given : object
        None, one for all, a list of one for each output, or a dict by names of outputs.
    outputs : list of str
        The names of the outputs.
    shared : bool
        Whether what is no list and no dict is for all outputs; else only a model of one output may get it.
    """
    if given is None:
        return [None] * len(outputs)
    if isinstance(given, dict):
        if unknown := sorted(set(given) - set(outputs)):
            raise ValueError(f"`{name}` must have names of outputs as keys: {list(outputs)}. Received: {unknown}")
        return [given.get(output) for output in outputs]
    if len(outputs) == 1:
        return [given]
    if isinstance(given, (list, tuple)):
        if len(given) != len(outputs):
            raise ValueError(
                f"`{name}` must have one entry for each output: {list(outputs)}. Received: {len(given)} entries"
            )
        return list(given)
    if not shared:
        raise ValueError(
            f"`{name}` must be a list or a dict by the names of outputs: {list(outputs)}. Received: {name}={given!r}"
        )
    return [given] * len(outputs)


def matched(y: Any, y_pred: Any, sample_weight: Any) -> dict[str, tuple[Any, Any, Any]]:
    """Name -> targets, output in full precision and weights of its rows, for each output of a model.

    Parameters
    ----------
    y : nested arrays
        The targets, nested as the outputs; those of one output as they are.
    y_pred : distribution, tensor, or dict, list or tuple of them
    sample_weight : None, array, or nested arrays
        One array for all outputs, or one for each.
    """
    found = {}
    for path, output in leaves_of(y_pred):
        is_nested = isinstance(sample_weight, (dict, list, tuple))
        weights = leaf_at(sample_weight, path, "sample_weight") if is_nested and path else sample_weight
        found[_name(path)] = leaf_at(y, path, "y"), widened_output(output), weights
    return found


def named(outputs: Any) -> dict[str, Any]:
    """Name -> output of a model."""
    return {_name(path): output for path, output in leaves_of(outputs)}


def _name(path):
    """The keys that lead to an output; a place in a list or tuple is `output_0`."""
    return "/".join(key if isinstance(key, str) else f"output_{key}" for key in path) or "output"
