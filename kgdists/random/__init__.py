"""Random numbers with explicit seeds.

On TensorFlow there are also procedural streams, `procedural_bits`, `procedural_uniform` and `procedural_normal`:
endless tables any rows of which are made on their own.
"""

import keras

from kgdists.random.draws import gumbel, log_gamma, normal, uniform
from kgdists.random.permutations import permutation
from kgdists.random.streams import Stream, key, split

__all__ = ["Stream", "gumbel", "key", "log_gamma", "normal", "permutation", "split", "uniform"]

if keras.backend.backend() == "tensorflow":
    from kgdists.random.procedural import procedural_bits, procedural_normal, procedural_uniform

    __all__ += ["procedural_bits", "procedural_normal", "procedural_uniform"]
