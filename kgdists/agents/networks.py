"""The networks of agents: defaults, and what they must be."""

import inspect
import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from gymnasium.spaces import Box, Dict, Tuple
from gymnasium.vector import VectorEnv
from keras import ops, tree

from kgdists.agents.config import Config
from kgdists.core.types import Tensor
from kgdists.encoders.arrays import example_observation
from kgdists.encoders.network import EncodedNetwork
from kgdists.encoders.observation_space import encoder_for, is_image
from kgdists.envs.inputs import unmasked_space
from kgdists.envs.rollout import copied
from kgdists.layers import NormalHead, RunningNormalization, StateDependentNormalHead
from kgdists.layers.dense import Dense
from kgdists.policy import Policy, split_mask
from kgdists.random.seeds import stream
from kgdists.spaces import head_for

__all__ = [
    "as_float32",
    "check_trainable",
    "check_values",
    "default_encoder",
    "flat",
    "largest",
    "network",
    "observed_space",
    "penalty",
    "policy_network",
    "value_network",
    "values_of",
]

# Layers whose `training` is about quantized weights alone.
QUANTIZED = keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Embedding


def network(envs: VectorEnv, config: Config, name: str, last: Sequence[Any] = (), encoder: Any = None) -> keras.Model:
    """A default network from the observations of `envs`, without action masks: an encoder and dense layers.

    One vector of floats, or a box of them that is no image, needs no encoder.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
    config : dataclass
        With `encoder`, `leave_out`, `max_length`, `hidden_units`, `activation`, `normalize_observations` and `seed`.
    name : str
        Networks of one seed and different names start with different weights.
    last : list of keras.layers.Layer
        Behind the hidden layers.
    encoder : None or keras.layers.Layer
        One to share with another network; None makes one.

    Returns
    -------
    keras.Model
    """
    space = observed_space(envs)
    if config.encoder not in ("auto", "flat") and not any(map(is_image, _parts(space))):
        raise ValueError(
            f"`encoder` must be auto or flat where no image is observed. Received: encoder={config.encoder!r}, {space}"
        )
    layers = [*_hidden_layers(config, name), *last]
    if config.encoder == "flat" or _is_flat(unmasked_space(envs)):
        if config.leave_out:
            raise ValueError(
                "`leave_out` must name parts of an observation that is not one vector. "
                f"Received: {', '.join(config.leave_out)}"
            )
        before = [RunningNormalization()] if config.normalize_observations else []
        before += [keras.layers.Flatten()] if len(space.shape) != 1 else []
        return keras.Sequential([keras.Input(space.shape), *before, *layers])
    encoder = encoder or default_encoder(envs, config, name)
    return EncodedNetwork(encoder, layers, copied(example_observation(space)))


def default_encoder(envs: VectorEnv, config: Config, name: str) -> keras.layers.Layer:
    """The encoder of a default network; see `network`."""
    return encoder_for(
        unmasked_space(envs),
        network=config.encoder,
        normalize=config.normalize_observations,
        max_length=config.max_length,
        leave_out=config.leave_out,
        random_seed=stream(config.seed, f"{name} encoder"),
    )


def observed_space(envs: VectorEnv) -> Any:
    """The space of what is observed, arrays, without action masks."""
    space: Any = envs.single_observation_space
    is_masked = isinstance(space, Dict) and "action_mask" in space.keys()
    return space["observation"] if is_masked else space


def _is_flat(space):
    """Whether a space is a Box of floats that is no image, and that nobody has registered another encoder for."""
    is_plain = encoder_for.dispatch(type(space)) is encoder_for.dispatch(Box)
    return is_plain and space.dtype.kind == "f" and not is_image(space)


def _parts(space):
    """A space and all that it consists of."""
    parts: Iterable[Any] = ()
    if isinstance(space, (Dict, Tuple)):
        parts = space.spaces.values() if isinstance(space, Dict) else space.spaces
    return [space, *(x for part in parts for x in _parts(part))]


def _hidden_layers(config, name):
    if not config.hidden_units:
        return [keras.layers.Identity()]
    layers = []
    for i, units in enumerate(config.hidden_units):
        initializer = keras.initializers.Orthogonal(math.sqrt(2.0), seed=stream(config.seed, name, i))
        layers.append(Dense(units, config.activation, kernel_initializer=initializer))
    return layers


def policy_network(envs: VectorEnv, config: Config) -> Policy:
    """The default policy for the spaces of `envs`: layers as `network` makes them, and a head.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
    config : dataclass
        As for `network`, with `box_family` and `initial_stddev`, and `sde_sample_freq` and `state_dependent_stddev`
        where there are these choices.

    Returns
    -------
    kgdists.Policy
    """
    space = envs.single_action_space
    options: dict[str, Any] = {"initial_stddev": config.initial_stddev, "random_seed": stream(config.seed, "head")}
    if config.state_dependent_stddev and isinstance(space, Box) and space.dtype.kind == "f":
        options["state_dependent"] = True
    if config.sde_sample_freq is None:
        head = head_for(space, family=config.box_family, **options)
    else:
        normal = head_for(space, family="normal", **options)
        if not isinstance(normal, NormalHead):
            raise ValueError(
                f"`sde_sample_freq` must be None unless the action space is a Box of floats. Received: {space}"
            )
        head = StateDependentNormalHead(normal.num_dims, center=normal.center, scale=normal.scale, **options)
    return Policy(network(envs, config, "policy"), head)


def value_network(envs: VectorEnv, config: Config, encoder: keras.layers.Layer | None = None) -> keras.Model:
    """The default values for the observations of `envs`: layers as `network` makes them, and a linear one."""
    initializer = keras.initializers.Orthogonal(1.0, seed=stream(config.seed, "values"))
    return network(envs, config, "value", [Dense(1, kernel_initializer=initializer)], encoder)


def check_values(value: keras.Model, example: Any) -> None:
    """Raise unless a model maps observations to values [B, 1]; `example` is a batch of one, with its mask if any."""
    values = value(split_mask(example)[0])
    if tuple(values.shape) != (1, 1):
        raise ValueError(f"`value` must map observations [B, ...] to [B, 1]. Received: shape {tuple(values.shape)}")


def penalty(variables: Iterable[keras.Variable]) -> Tensor:
    """The sum of what the regularizers of weights, such as Keras' `L2`, add to the loss; 0.0 if there are none."""
    regularized = [variable for variable in variables if getattr(variable, "regularizer", None) is not None]
    return sum(ops.cast(variable.regularizer(ops.convert_to_tensor(variable)), "float32") for variable in regularized)


def check_trainable(name: str, model: keras.Model, inputs: Any) -> None:
    """Raise unless a model is one that agents can train: what it does depends on inputs and weights alone.

    Updates compare what the policy does with what the one that acted did. Noise in training alone, or statistics of a
    batch, would be part of the comparison.

    Parameters
    ----------
    name : str
        The argument that the model was.
    model : keras.Model
    inputs : (nested) arrays
        A batch of one.
    """
    inputs = tree.map_structure(ops.convert_to_tensor, inputs)
    before = [ops.convert_to_numpy(x) for x in model.variables]
    (acts, losses, draws), (trains, _, _) = (_called(model, inputs, training) for training in (False, True))
    state = acts[len(acts) - len(before) :]
    if draws or not all(np.array_equal(x, y, equal_nan=True) for x, y in zip(before, state, strict=True)):
        raise ValueError(
            f"`{name}` must give the same outputs for the same inputs when it acts: agents take no layers that draw "
            f"noise or change what they hold. Take them out. Received: {model.name}"
        )
    if not all(np.array_equal(x, y, equal_nan=True) for x, y in zip(acts, trains, strict=True)):
        layers = [
            x.name
            for x in _leaves(model)
            if "training" in inspect.signature(x.call).parameters and not isinstance(x, QUANTIZED)
        ]
        raise ValueError(
            f"`{name}` must do in training what it does when it acts: agents train no Dropout, no BatchNormalization. "
            "Take them out, or put LayerNormalization or kgdists.layers.RunningNormalization in their place. "
            f"Received: {', '.join(layers) or model.name}"
        )
    if losses:
        raise ValueError(
            f"`{name}` must have no losses but those of its weights: agents train with kernel and bias regularizers, "
            "not with `activity_regularizer` or `add_loss`. Take these out. "
            f"Received: {losses} losses of activations in {model.name}"
        )


def _called(model, inputs, training):
    """What comes of a call that leaves a model as it is.

    Outputs and variables after it, how many losses are not of weights, and whether Keras' global stream was drawn from.
    """
    values = [(x, ops.convert_to_tensor(x)) for x in model.variables]
    with keras.StatelessScope(state_mapping=values, collect_losses=True) as scope:
        outputs = tree.flatten(model(inputs, training=training))
        state = [scope.get_current_value(x) for x in model.variables]
    drawn = len(scope.state_mapping) > len({id(x) for x in model.variables})
    return [ops.convert_to_numpy(x) for x in (*outputs, *state)], len(scope.losses), drawn


def _leaves(layer):
    """The layers that a layer consists of, itself if of none."""
    parts = getattr(layer, "layers", ())
    return [leaf for part in parts for leaf in _leaves(part)] if parts else [layer]


def as_float32(x: Tensor) -> Tensor:
    """A tensor of losses' dtype, also where the networks compute in another."""
    return ops.cast(x, "float32")


def flat(x: Tensor) -> Tensor:
    """[T, N, ...] -> [T N, ...]."""
    return ops.reshape(x, (-1, *x.shape[2:]))


def largest(observations: Any) -> float:
    """The largest magnitude of the floats among observations; 0.0 of none."""
    floats = [x for x in tree.flatten(observations) if getattr(x, "dtype", np.dtype(bool)).kind == "f"]
    return max((float(np.max(np.abs(x), initial=0.0)) for x in floats), default=0.0)


def values_of(model: keras.Model, observations: Any) -> Tensor:
    """A model's values [B] of observations [B, ...], which may hold action masks."""
    return as_float32(ops.squeeze(model(split_mask(observations)[0]), axis=-1))
