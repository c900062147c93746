"""Layer: normalise observations by statistics gathered while an agent trains."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from kgdists.core.backend import layers_of, unmasked
from kgdists.core.checks import positive
from kgdists.core.types import Tensor, TensorLike

__all__ = ["RunningNormalization", "normalized_leaves", "running_normalizations"]


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


def normalized_leaves(
    model: keras.Model, example: Any, inputs: Callable[[Any], Any] = lambda example: example
) -> dict[int, int]:
    """Which leaf of an observation each layer that keeps statistics of observations is given.

    Parameters
    ----------
    model : keras.Model
    example : (nested) arrays, shape [1, ...], or dict with them as `"observation"` and with an `"action_mask"`
        Of what is observed.
    inputs : callable
        Such an example -> what the model takes.

    Returns
    -------
    dict of int to int
        The identity of a layer's mean -> the index of the leaf, as `keras.tree.flatten` counts them.

    Raises
    ------
    ValueError
        If a layer is not given a leaf of floats as it is.
    """
    layers = running_normalizations(model)
    if not layers:
        return {}
    is_masked = isinstance(example, dict) and "action_mask" in example
    like = example["observation"] if is_masked else example
    # Integers, each of both signs: half precision holds them, and no layer leaves them as they are by chance.
    rng = np.random.default_rng(0)
    leaves = [rng.integers(1, 101, x.shape).astype("float32") if x.dtype.kind == "f" else x for x in tree.flatten(like)]
    negative = [-x if x.dtype.kind == "f" else x for x in leaves]
    found = {}
    for layer in layers:
        indices = set(range(len(leaves)))
        for drawn in (leaves, negative):
            observation = tree.pack_sequence_as(like, drawn)
            given = _given(layer, model, inputs(example | {"observation": observation} if is_masked else observation))
            indices &= {i for i, x in enumerate(drawn) if x.dtype.kind == "f" and all(_are_same(x, y) for y in given)}
        if not indices:
            raise ValueError(
                "RunningNormalization keeps statistics of observations: it must come first, or after layers that only "
                f"reshape. Put LayerNormalization where others come before. Received: {layer.name}, whose inputs have "
                f"shape {given[0].shape}"
            )
        found[id(layer.mean)] = min(indices)
    return found


def _given(layer, model, inputs):
    """What a layer is given in a model that is called: a list of arrays."""
    given: list[np.ndarray] = []
    call = layer.call

    def noted(x):
        given.append(ops.convert_to_numpy(x))
        return call(x)

    object.__setattr__(layer, "call", noted)
    try:
        model(inputs)
    finally:
        object.__delattr__(layer, "call")
    return given


def _are_same(x, y):
    return x.size == y.size and bool((x.ravel() == y.ravel()).all())
