"""Steps along gradients: by learning rates, or by what an optimizer makes of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from kgdists.core.types import Tensor, TensorLike
from kgdists.evolution.gaussians.checks import as_tensor, listed

__all__ = ["by_gradient", "steps"]


def steps(
    gradients: Mapping[str, TensorLike],
    default_rates: Mapping[str, float],
    learning_rates: Mapping[str, TensorLike],
    optimizers: Mapping[str, Any],
    dtype: str,
) -> list[Tensor]:
    """The step of each gradient, in the order of `default_rates`; each by its optimizer, or else by a learning rate."""
    if set(gradients) != set(default_rates):
        raise ValueError(f"`gradients` must have {listed(default_rates)}. Received: {listed(gradients)}")
    both = set(learning_rates) & set(optimizers)
    if both:
        raise ValueError(f"A gradient has a learning rate or an optimizer, not both. Received both: {listed(both)}")
    found = []
    for name, default in default_rates.items():
        gradient = as_tensor(gradients[name], dtype)
        if name in optimizers:
            gradient = optimizers[name].ascent(gradient)
        else:
            gradient *= as_tensor(learning_rates.get(name, default), dtype)
        found.append(gradient)
    return found


def by_gradient(given: Mapping[str, Any] | None, names: Sequence[str]) -> dict[str, Any]:
    """A dict by the names of gradients, without the values that are None."""
    given = {name: value for name, value in (given or {}).items() if value is not None}
    unknown = set(given) - set(names)
    if unknown:
        raise ValueError(f"Learning rates and optimizers are those of {listed(names)}. Received: {listed(unknown)}")
    return given
