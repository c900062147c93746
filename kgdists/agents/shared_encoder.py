"""An encoder that policy and values have in common: its features are computed once for both."""

from typing import Any

import keras
import tensorflow as tf

from kgdists.agents.networks import as_float32, values_of
from kgdists.core.compiled import is_convolution
from kgdists.core.types import Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.encoders.network import EncodedNetwork
from kgdists.policy import Policy, split_mask

__all__ = ["encoder_to_share", "policy_and_values", "shares_encoder"]


def encoder_to_share(policy: Policy, example: Any, share: bool | None) -> keras.layers.Layer | None:
    """The encoder of a policy that the values are to share, if any.

    Parameters
    ----------
    policy : kgdists.Policy
    example : (nested) arrays, shape [1, ...]
        Like the observations.
    share : None or bool
        None shares one with convolutions.

    Raises
    ------
    ValueError
        If one is to be shared and the policy has none.
    """
    if share is False:
        return None
    if not isinstance(policy.trunk, EncodedNetwork):
        if share:
            raise ValueError(
                "`share_encoder` needs a policy whose trunk is a kgdists.encoders.EncodedNetwork, as the default is "
                "where more is observed than a vector of floats. Received: "
                f"share_encoder=True, a {type(policy.trunk).__name__}"
            )
        return None
    encoder, observations = policy.trunk.encoder, split_mask(example)[0]
    return encoder if share or is_convolution(encoder, observations) else None


def shares_encoder(policy: Policy, value: keras.Model) -> bool:
    """Whether both are `EncodedNetwork`s that have one encoder, or, as after a load, two of the same variables."""
    trunk = policy.trunk
    if not isinstance(trunk, EncodedNetwork) or not isinstance(value, EncodedNetwork):
        return False
    own, other = ([id(x) for x in network.encoder.variables] for network in (trunk, value))
    return trunk.encoder is value.encoder or (own == other and bool(own))


def policy_and_values(policy: Policy, value: keras.Model, observations: Any) -> tuple[Distribution, Tensor]:
    """The distribution and the values [B] of observations [B, ...], which may hold action masks."""
    if not shares_encoder(policy, value):
        values = values_of(value, observations)
        return policy(observations), values
    rest, mask = split_mask(observations)
    features = policy.trunk.encoder(rest)
    values = as_float32(tf.squeeze(value.of_features(features), axis=-1))
    return policy.of_features(policy.trunk.of_features(features), mask), values
