from kgdists.encoders.arrays import array_space, encode_observation, encode_observations, example_observation
from kgdists.encoders.composite import CompositeEncoder
from kgdists.encoders.image import ImageEncoder
from kgdists.encoders.network import EncodedNetwork
from kgdists.encoders.numbers import FloatEncoder, IntegerEncoder
from kgdists.encoders.observation_space import encoder_for
from kgdists.encoders.one_hot import OneHotEncoder
from kgdists.encoders.sequence import SequenceEncoder, TextEncoder

__all__ = [
    "CompositeEncoder",
    "EncodedNetwork",
    "FloatEncoder",
    "ImageEncoder",
    "IntegerEncoder",
    "OneHotEncoder",
    "SequenceEncoder",
    "TextEncoder",
    "array_space",
    "encode_observation",
    "encode_observations",
    "encoder_for",
    "example_observation",
]
