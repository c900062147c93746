"""Drawing from a distribution whose parameters are KerasTensors: a layer, so that Keras tracks its random state."""

import zlib
from typing import Any, Self

import keras

from kgdists.core.types import Seed, Tensor
from kgdists.core.unknown_classes import UnknownClassError

__all__ = ["Draw"]


@keras.saving.register_keras_serializable(package="kgdists")
class Draw(keras.layers.Layer):
    """Rebuild a distribution from its parameters and call one of its drawing methods.

    Users never make this layer: `dist.sample()` does when the parameters of `dist` are KerasTensors.

    Parameters
    ----------
    distribution : type
        A registered `Distribution` class.
    static : dict
        Its static fields.
    method : str
        Name of the drawing method.
    arguments : dict
        The method's arguments; with a `seed` among them, which is an int, all calls draw the same.
    seed : None, int or keras.random.SeedGenerator
        With `None` every model, also every reloaded one, draws its own sequence.
    """

    def __init__(
        self,
        distribution: type[Any],
        static: dict[str, Any],
        method: str,
        arguments: dict[str, Any],
        seed: Seed = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(autocast=False, **kwargs)
        self.distribution = distribution
        self.static = static
        self.method = method
        self.arguments = arguments
        self.seed = seed
        is_generator = isinstance(seed, keras.random.SeedGenerator)
        self.seed_generator = seed if is_generator else keras.random.SeedGenerator(seed)

    def call(self, params: dict[str, Tensor]) -> Any:
        dist = self.distribution.from_params(params, **self.static)
        return getattr(dist, self.method)(**({"seed": self.seed_generator} | self.arguments))

    def get_config(self) -> dict[str, Any]:
        seed = self.seed
        if isinstance(seed, keras.random.SeedGenerator):
            seed = seed.get_config()["seed"]
            # Layers that share a generator here have one each there, and must not draw the same.
            seed = None if seed is None else zlib.crc32(f"{seed} {self.name}".encode())
        return super().get_config() | {
            "distribution": keras.saving.get_registered_name(self.distribution),
            "static": dict(self.static),
            "method": self.method,
            "arguments": dict(self.arguments),
            "seed": seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        distribution = keras.saving.get_registered_object(config["distribution"])
        if distribution is None:
            raise UnknownClassError(config["distribution"])
        return cls(**(config | {"distribution": distribution}))
