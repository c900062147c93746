"""`Policy`: a Keras model whose output is a distribution."""

import keras
from keras import ops

__all__ = ["Policy"]


@keras.saving.register_keras_serializable(package="kgdists")
class Policy(keras.Model):
    """A trunk, observations -> features, and a head, features -> distribution.

    `fit` on pairs of observation and action maximises the log-probability of the actions (behaviour cloning, density
    regression); `predict` returns the distribution with NumPy parameters; `save` and `keras.models.load_model` work in
    safe mode.

    Parameters
    ----------
    trunk : keras.layers.Layer
        Any layer or model.
    head : keras.layers.Layer
        A layer of `kgdists.layers`, for instance from `kgdists.head_for(action_space)`.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> trunk = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh")])
    >>> policy = kg.Policy(trunk, kg.layers.CategoricalHead(2))
    >>> policy(keras.ops.zeros((5, 4))).sample_action().shape
    TensorShape([5])
    """

    def __init__(self, trunk, head, **kwargs):
        super().__init__(**kwargs)
        self.trunk = trunk
        self.head = head

    def _inputs(self):
        """The symbolic inputs of a Sequential or Functional trunk; None if it does not know them."""
        if not getattr(self.trunk, "inputs", None):
            return None
        return self.trunk.inputs[0] if isinstance(self.trunk, keras.Sequential) else self.trunk.input

    def call(self, observations, training=None):
        # Keras hands `training` on to the layers called here.
        return self.head(self.trunk(observations))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean negative log-probability of the actions `y` under the distribution `y_pred`, plus the layers' losses."""
        loss = -y_pred.log_proba(y)
        if sample_weight is not None:
            loss = loss * ops.reshape(ops.cast(sample_weight, loss.dtype), ops.shape(loss))
        return sum(self.losses, ops.mean(loss))

    def export(self, filepath, input_signature=None, **kwargs):
        """Write a SavedModel whose endpoint `serve` maps observations to the parameters, `action` and `mode_action`.

        Parameters
        ----------
        filepath : str or path
            Folder to write.
        input_signature : None or list of keras.InputSpec
            Of the observations, batch axis included; may be left out if the trunk is a Sequential or Functional model
            that knows its inputs.
        **kwargs
            Further arguments of `keras.export.ExportArchive.write_out`.
        """
        if input_signature is None:
            if self._inputs() is None:
                raise ValueError("`input_signature` must be given for a trunk that has no `inputs`. Received: None")
            input_signature = [keras.tree.map_structure(_spec, self._inputs())]

        def serve(observations):
            dist = self(observations)
            return dict(dist.params) | {"action": dist.sample_action(), "mode_action": dist.mode_action()}

        archive = keras.export.ExportArchive()
        archive.track(self)
        archive.add_endpoint("serve", serve, input_signature=input_signature)
        archive.write_out(filepath, **kwargs)

    def get_config(self):
        return super().get_config() | {
            "trunk": keras.saving.serialize_keras_object(self.trunk),
            "head": keras.saving.serialize_keras_object(self.head),
        }

    @classmethod
    def from_config(cls, config):
        layers = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("trunk", "head")}
        return cls(**(config | layers))


def _spec(x):
    return keras.InputSpec(dtype=x.dtype, shape=(None, *x.shape[1:]))
