"""The networks of agents: defaults, and what they must be."""

import math

import keras
from gymnasium.spaces import Box, Dict

from kgdists.layers import NormalHead, RunningNormalization, StateDependentNormalHead
from kgdists.policy import Policy, split_mask
from kgdists.spaces import head_for

__all__ = ["check_values", "mlp", "normalizations", "policy_network", "value_network"]


def mlp(envs, config, salt):
    """Layers from the observations of `envs`, without action masks, to features: a list for a Sequential model.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
    config : dataclass
        With `hidden_units`, `activation`, `normalize_observations` and `seed`.
    salt : int
        Networks of one seed and different salts start with different weights.
    """
    space = envs.single_observation_space
    shape = (space["observation"] if isinstance(space, Dict) else space).shape
    layers = [keras.Input(shape)]
    if config.normalize_observations:
        layers.append(RunningNormalization())
    if len(shape) != 1:
        layers.append(keras.layers.Flatten())
    if not config.hidden_units:
        layers.append(keras.layers.Identity())
    for i, units in enumerate(config.hidden_units):
        seed = None if config.seed is None else config.seed + 1000 * i + salt
        initializer = keras.initializers.Orthogonal(math.sqrt(2.0), seed=seed)
        layers.append(keras.layers.Dense(units, config.activation, kernel_initializer=initializer))
    return layers


def policy_network(envs, config):
    """The default policy for the spaces of `envs`: layers as `mlp` makes them, and the head for the action space.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
    config : dataclass
        As for `mlp`, with `box_family` and `initial_stddev`, and `sde_sample_freq` and `state_dependent_stddev` where
        there are these choices.

    Returns
    -------
    kgdists.Policy
    """
    space = envs.single_action_space
    options = {"initial_stddev": config.initial_stddev, "random_seed": config.seed}
    if getattr(config, "state_dependent_stddev", False) and isinstance(space, Box) and space.dtype.kind == "f":
        options["state_dependent"] = True
    if getattr(config, "sde_sample_freq", None) is None:
        head = head_for(space, family=config.box_family, **options)
    else:
        normal = head_for(space, family="normal", **options)
        if not isinstance(normal, NormalHead):
            raise ValueError(
                f"`sde_sample_freq` must be None unless the action space is a Box of floats. Received: {space}"
            )
        head = StateDependentNormalHead(normal.num_dims, center=normal.center, scale=normal.scale, **options)
    return Policy(keras.Sequential(mlp(envs, config, salt=1)), head)


def value_network(envs, config):
    """The default values for the observations of `envs`: layers as `mlp` makes them, and a linear one."""
    initializer = keras.initializers.Orthogonal(1.0, seed=config.seed)
    return keras.Sequential([*mlp(envs, config, salt=2), keras.layers.Dense(1, kernel_initializer=initializer)])


def check_values(value, example):
    """Raise unless a model maps observations to values [B, 1]; `example` is a batch of one, with its mask if any."""
    values = value(split_mask(example)[0])
    if tuple(values.shape) != (1, 1):
        raise ValueError(f"`value` must map observations [B, ...] to [B, 1]. Received: shape {tuple(values.shape)}")


def normalizations(layer):
    """All layers in `layer` that keep statistics of observations."""
    if isinstance(layer, RunningNormalization):
        return [layer]
    return [found for part in getattr(layer, "layers", ()) for found in normalizations(part)]
