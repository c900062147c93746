"""The default networks of agents."""

import math

import keras
from gymnasium.spaces import Dict

from kgdists.layers import RunningNormalization

__all__ = ["mlp"]


def mlp(envs, config, salt):
    """Layers from the observations of `envs`, without action masks, to features: a list for a Sequential model.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
    config : dataclass
        With `hidden_units`, `normalize_observations` and `seed`.
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
        layers.append(keras.layers.Dense(units, "tanh", kernel_initializer=initializer))
    return layers
