"""The default critics of the soft actor-critic."""

import dataclasses
import math

import keras
from gymnasium.vector import VectorEnv

from kgdists.agents.networks import network
from kgdists.agents.sac_config import SACConfig
from kgdists.layers.dense import Dense
from kgdists.random.seeds import stream

__all__ = ["twin_critic"]


def twin_critic(envs: VectorEnv, config: SACConfig, num_inputs: int, num_outputs: int) -> keras.Model:
    """The default critics, one model: two networks side by side that share nothing but their inputs.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
    config : SACConfig
    num_inputs : int
        Length of actions, which are an input next to observations unless it is 0.
    num_outputs : int

    Returns
    -------
    keras.Model, observations [B, *shape], or a list of them and actions [B, num_inputs], -> values [B, 2, num_outputs].
    """
    encoder = network(envs, dataclasses.replace(config, hidden_units=()), "critic")
    inputs = encoder.inputs[0] if isinstance(encoder, keras.Sequential) else encoder.input
    features = encoder.outputs[0]
    if num_inputs:
        actions = keras.Input((num_inputs,))
        inputs, features = [inputs, actions], keras.layers.Concatenate()([features, actions])
    outputs = []
    for critic in range(2):
        x = features
        for i, units in enumerate((*config.hidden_units, num_outputs)):
            is_last = i == len(config.hidden_units)
            seed = stream(config.seed, "critic", critic, i)
            initializer = keras.initializers.Orthogonal(1.0 if is_last else math.sqrt(2.0), seed=seed)
            x = Dense(units, None if is_last else config.activation, kernel_initializer=initializer)(x)
        outputs.append(keras.layers.Reshape((1, num_outputs))(x))
    return keras.Model(inputs, keras.layers.Concatenate(axis=1)(outputs))
