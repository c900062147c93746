"""TFP's own classes, by name."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["SPACES", "class_of", "event_ndims", "name_of"]

SPACES = {
    "distributions": (tfp.distributions, tfp.distributions.Distribution),
    "bijectors": (tfp.bijectors, tfp.bijectors.Bijector),
    "linalg": (tf.linalg, tf.linalg.LinearOperator),
}


def class_of(space: str, name: str) -> type[Any]:
    """The class of a name among distributions, bijectors or linear operators."""
    module, base = SPACES[space]
    cls = getattr(module, name, None) if isinstance(name, str) else None
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise ValueError(f"`distribution` must be the name of a class of TFP's {space}. Received: {name!r}")
    return cls


def name_of(tfp_object: Any) -> str:
    """The public name of the class of a distribution, bijector or linear operator."""
    cls = type(tfp_object)
    name = cls.__name__.lstrip("_")
    for module, _ in SPACES.values():
        if isinstance(getattr(module, name, None), type) and issubclass(getattr(module, name), cls):
            return name
    raise TypeError(
        "Only TFP's own classes can be rebuilt by name: derive a class of your own from `kgdists.Distribution`. "
        f"Received: {cls.__module__}.{cls.__name__}"
    )


def event_ndims(cls: type[Any]) -> dict[str, int]:
    """How many axes of each tensor parameter of a TFP class belong to one event."""
    try:
        properties = cls.parameter_properties()
    except NotImplementedError:
        return {}
    return {name: p.event_ndims for name, p in properties.items() if isinstance(p.event_ndims, int)}
