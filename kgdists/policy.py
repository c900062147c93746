"""`Policy`: a Keras model whose output is a distribution."""

import os
from collections import namedtuple
from collections.abc import Sequence
from typing import Any, Self, cast

import keras
from keras import ops

from kgdists.core.types import Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.numerics import special

__all__ = ["Policy", "split_mask"]


def split_mask(observations: Tensor | dict[str, Any]) -> tuple[Tensor | dict[str, Any], Any]:
    """Observations without the action mask among them, and that mask; None if there is none.

    Parameters
    ----------
    observations : array, or dict of arrays
        With the key `"action_mask"`, it holds a mask for the head; if `"observation"` is all that is left, its value is
        the observation.
    """
    if not isinstance(observations, dict) or "action_mask" not in observations:
        return observations, None
    rest = {name: x for name, x in observations.items() if name != "action_mask"}
    return rest["observation"] if rest.keys() == {"observation"} else rest, observations["action_mask"]


class _ReplicaLoss(keras.losses.Loss):
    # Under `tf.distribute` Keras sums the gradients of the replicas, and divides the losses that it reduces itself.

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred


def _replicated(dist):
    # `tf.distribute` joins what the replicas return entry by entry in tuples, lists and dicts, but not in other nodes.
    # It then makes a named tuple anew by its `_make`, and that makes the distribution.
    leaves = keras.tree.flatten(dist)
    fields = cast(Any, namedtuple("Replicated", map(str, range(len(leaves))), rename=True))
    fields._make = lambda _, leaves: keras.tree.pack_sequence_as(dist, leaves)
    return fields(*leaves)


@keras.saving.register_keras_serializable(package="kgdists")
class Policy(keras.Model):
    """A trunk, observations -> features, and a head, features -> distribution.

    Observations are what the trunk takes. A dict of them may also hold an `"action_mask"` for the head, as
    `kgdists.spaces.encode_mask` returns it; None rules nothing out. The trunk gets the rest: the dict without it or, if
    only `"observation"` is left, its value.

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

    def __init__(self, trunk: keras.layers.Layer, head: keras.layers.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trunk = trunk
        self.head = head

    def _inputs(self):
        """The symbolic inputs of a Sequential or Functional trunk; None if it does not know them."""
        if not getattr(self.trunk, "inputs", None):
            return None
        return self.trunk.inputs[0] if isinstance(self.trunk, keras.Sequential) else self.trunk.input

    def call(self, observations: Tensor | dict[str, Any], training: bool | None = None) -> Distribution:
        # Keras hands `training` on to the layers called here.
        observations, mask = split_mask(observations)
        features = self.trunk(observations)
        return self.head(features) if mask is None else self.head(features, action_mask=mask)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Mean negative log-probability of the actions `y` under the distribution `y_pred`, plus the layers' losses.

        Actions of composite distributions are nested as `sample_action` returns them.
        """
        loss = -y_pred.log_proba(y)
        if sample_weight is not None:
            loss = loss * ops.reshape(ops.cast(sample_weight, loss.dtype), ops.shape(loss))
        total = ops.reshape(sum(self.losses, special.mean(loss)), (1,))
        return _ReplicaLoss("replica_loss", dtype=total.dtype)(total, total)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Distribution:
        """The distributions of many observations, with NumPy parameters; arguments as for `keras.Model.predict`.

        No rows, an array of shape [0, ...], give a distribution of batch shape [0].
        """
        # Keras has no batch of such an array, and then no outputs to join.
        return self.predict_on_batch(x) if _has_no_rows(x) else super().predict(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Loss and metrics of observations and actions; arguments as for `keras.Model.evaluate`.

        Raises
        ------
        ValueError
            If there are no rows, whose mean loss has no value.
        """
        if _has_no_rows(x):
            raise ValueError("`x` must have at least one row: the mean loss of none has no value. Received: no rows")
        return super().evaluate(x, *args, **kwargs)

    def predict_step(self, *args: Any) -> Any:
        # Their number depends on the backend; only TensorFlow's has strategies.
        dist = super().predict_step(*args)
        strategy = getattr(self, "distribute_strategy", None)
        return dist if strategy is None or strategy.num_replicas_in_sync == 1 else _replicated(dist)

    def export(
        self, filepath: str | os.PathLike[str], input_signature: Sequence[Any] | None = None, **kwargs: Any
    ) -> None:
        """Write a SavedModel whose endpoint `serve` maps observations to the parameters, `action` and `mode_action`.

        Nested actions come out under names such as `action/move` or, for tuples, `action/0`.

        Parameters
        ----------
        filepath : str or path
            Folder to write.
        input_signature : None or list of keras.InputSpec
            Of the observations, batch axis included, for instance `[{"observation": ..., "action_mask": ...}]`; may be
            left out if the trunk is a Sequential or Functional model that knows its inputs, and there is no mask.
        **kwargs
            Further arguments of `keras.export.ExportArchive.write_out`.
        """
        if input_signature is None:
            if self._inputs() is None:
                raise ValueError("`input_signature` must be given for a trunk that has no `inputs`. Received: None")
            input_signature = [keras.tree.map_structure(_spec, self._inputs())]

        def serve(observations):
            dist = self(observations)
            actions = _named("action", dist.sample_action()) | _named("mode_action", dist.mode_action())
            return dict(dist.params) | actions

        archive = keras.export.ExportArchive()
        # Not the policy itself: Keras would trace it with a mask of floats.
        archive.track(self.trunk)
        archive.track(self.head)
        archive.add_endpoint("serve", serve, input_signature=input_signature)
        archive.write_out(filepath, **kwargs)

    def get_build_config(self) -> dict[str, Any] | None:
        # A loaded policy is built without a mask: Keras would make one of floats.
        config = super().get_build_config()
        return config and {"input_shape": split_mask(config["input_shape"])[0]}

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "trunk": keras.saving.serialize_keras_object(self.trunk),
            "head": keras.saving.serialize_keras_object(self.head),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        layers = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("trunk", "head")}
        return cls(**(config | layers))


def _has_no_rows(x):
    """Whether observations are arrays, possibly nested and with None among them, of no rows."""
    arrays = [leaf for leaf in keras.tree.flatten(x) if leaf is not None]
    shapes = [tuple(getattr(leaf, "shape", ())) for leaf in arrays]
    return bool(shapes) and all(shape[:1] == (0,) for shape in shapes)


def _spec(x):
    return keras.InputSpec(dtype=x.dtype, shape=(None, *x.shape[1:]))


def _named(name, tree):
    """Name -> leaf of nested dicts and tuples, the keys joined by slashes."""
    if not isinstance(tree, (dict, tuple)):
        return {name: tree}
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return {path: x for key, branch in branches for path, x in _named(f"{name}/{key}", branch).items()}
