"""Layer: normalise observations by statistics gathered while an agent trains."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core.backend import layers_of, unmasked
from kgdists.core.checks import positive
from kgdists.core.types import Tensor, TensorLike

__all__ = ["RunningNormalization", "check_places", "running_normalizations"]


@keras.saving.register_keras_serializable(package="kgdists")
class RunningNormalization(keras.layers.Layer):
    """`clip((x - mean) / sqrt(variance + epsilon))` with statistics over everything `update` has seen.

    The statistics are weights, so they are saved with the model. Before the first update the layer only clips. They are
    float64 (float32 on JAX, which has no other by default): in float32 they stand still once a batch moves them by less
    than half a unit in the last place. A batch whose mean or variance is not finite does not count.

    Parameters
    ----------
    clip : float, > 0
        Bound of the normalised values.
    epsilon : float, > 0
        Added to the variance.
    """

    def __init__(self, clip: float = 10.0, epsilon: float = 1e-8, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.clip, self.epsilon = positive("clip", clip), positive("epsilon", epsilon)

    def build(self, input_shape: Sequence[int | None]) -> None:
        shape = tuple(input_shape[1:])
        dtype = "float32" if keras.backend.backend() == "jax" else "float64"
        kept = {"dtype": dtype, "autocast": False, "trainable": False}
        self.mean = self.add_weight(shape, "zeros", name="mean", **kept)
        self.variance = self.add_weight(shape, "ones", name="variance", **kept)
        self.count = self.add_weight((), "zeros", name="count", **kept)

    def call(self, x: Tensor) -> Tensor:
        # Half precision holds neither epsilon nor large observations.
        mean, scale = (ops.cast(of_all, "float32") for of_all in (self.mean, ops.sqrt(self.variance + self.epsilon)))
        normalised = (ops.cast(x, "float32") - mean) / scale
        return ops.cast(ops.clip(normalised, -self.clip, self.clip), self.compute_dtype)

    def update(self, x: TensorLike) -> None:
        """Take a batch `x`, shape [B..., *shape], into the statistics (Chan et al. 1979, parallel variance)."""
        x = ops.reshape(ops.cast(unmasked(x), self.mean.dtype), (-1, *self.mean.shape))
        self.update_moments(ops.shape(x)[0], ops.mean(x, axis=0), ops.var(x, axis=0))

    def update_moments(self, count: TensorLike, mean: TensorLike, variance: TensorLike) -> None:
        """Take a batch into the statistics by its size, and its mean and variance, arrays of shape [*shape]."""
        n, mean, variance = (ops.cast(x, self.mean.dtype) for x in (count, mean, variance))
        is_finite = ops.all(ops.isfinite(mean) & ops.isfinite(variance)) & (n > 0)
        share = n / ops.where(is_finite, self.count + n, 1.0)  # of the batch in all that has been seen
        delta = mean - self.mean
        new = (
            (self.variance, (1.0 - share) * (self.variance + share * delta**2) + share * variance),
            (self.mean, self.mean + share * delta),
            (self.count, self.count + n),
        )
        for variable, value in new:
            variable.assign(ops.where(is_finite, value, variable))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"clip": self.clip, "epsilon": self.epsilon}


def running_normalizations(*layers: keras.layers.Layer) -> list[keras.layers.Layer]:
    """All layers, at any depth, that keep statistics of observations; one for each of the statistics."""
    parts = [part for layer in layers for part in layers_of(layer)]
    found = {id(part.mean): part for part in parts if hasattr(part, "update_moments")}
    return list(found.values())


def check_places(
    model: keras.Model,
    example: np.ndarray | dict[str, np.ndarray],
    inputs: Callable[[Any], Any] = lambda example: example,
) -> None:
    """Raise unless each layer that keeps statistics of observations is given them as they are.

    Parameters
    ----------
    model : keras.Model
    example : array, shape [1, *shape], or dict with it as `"observation"`
        Of what is observed.
    inputs : callable
        Such an example -> what the model takes.
    """
    like = example["observation"] if isinstance(example, dict) else example
    # Integers, each of both signs: half precision holds them, and no layer leaves them as they are by chance.
    drawn = np.random.default_rng(0).integers(1, 101, like.shape).astype("float32")
    for layer, x in itertools.product(running_normalizations(model), (drawn, -drawn)):
        _check_place(
            layer, x, lambda x: model(inputs(example | {"observation": x} if isinstance(example, dict) else x))
        )


def _check_place(layer: keras.layers.Layer, x: np.ndarray, run: Callable[[np.ndarray], Any]) -> None:
    """Raise unless a layer is given an observation as it is, in the model that is run with it."""
    given: list[np.ndarray] = []
    call = layer.call

    def noted(inputs):
        given.append(ops.convert_to_numpy(inputs))
        return call(inputs)

    object.__setattr__(layer, "call", noted)
    try:
        run(x)
    finally:
        object.__delattr__(layer, "call")
    if not all(found.size == x.size and (found.ravel() == x.ravel()).all() for found in given):
        raise ValueError(
            "RunningNormalization keeps statistics of observations: it must come first, or after layers that only "
            f"reshape. Put LayerNormalization where others come before. Received: {layer.name}, whose inputs have "
            f"shape {given[0].shape}"
        )
