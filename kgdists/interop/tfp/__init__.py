"""TensorFlow Probability: its distributions as values that flow through Keras 3, and ours as its.

- `to_tfp(dist)`: the TFP counterpart of a kgdists distribution.
- `from_tfp(tfp_dist)` and `TFPDist`: a TFP distribution as a kgdists one, hence as the output of a layer or a policy.
- `TFPHead`: features -> `TFPDist`, with a dense layer for each parameter.

What `tfp.layers.DistributionLambda` did is a layer that ends with `from_tfp`:

>>> import keras, tensorflow_probability as tfp
>>> from kgdists.interop.tfp import from_tfp
>>> @keras.saving.register_keras_serializable()
... class PoissonHead(keras.layers.Layer):
...     def __init__(self, **kwargs):
...         super().__init__(**kwargs)
...         self.log_rate = keras.layers.Dense(1)
...
...     def call(self, features):
...         rates = tfp.distributions.Poisson(log_rate=self.log_rate(features))
...         return from_tfp(tfp.distributions.Independent(rates, 1))
>>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), PoissonHead()])
>>> model(keras.ops.ones((5, 4))).mean().shape
TensorShape([5, 1])

Files that hold any of these are loaded after `import kgdists.interop.tfp`. All of it needs Keras' TensorFlow backend.
"""

from kgdists.interop.tfp.counterparts import to_tfp
from kgdists.interop.tfp.evaluate import Evaluate
from kgdists.interop.tfp.tfp_dist import TFPDist, from_tfp
from kgdists.interop.tfp.tfp_head import TFPHead

__all__ = ["Evaluate", "TFPDist", "TFPHead", "from_tfp", "to_tfp"]
