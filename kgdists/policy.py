"""`Policy`: a Keras model whose output is a distribution."""

import os
from collections.abc import Sequence
from typing import Any, Self

import keras

from kgdists.core.types import Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.models import Model
from kgdists.models.serving import by_path

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


@keras.saving.register_keras_serializable(package="kgdists")
class Policy(Model):
    """A trunk, observations -> features, and a head, features -> distribution.

    Observations are what the trunk takes. A dict of them may also hold an `"action_mask"` for the head, as
    `kgdists.spaces.encode_mask` returns it; None rules nothing out. The trunk gets the rest: the dict without it or, if
    only `"observation"` is left, its value.

    It is a `kgdists.Model`: `fit` on pairs of observation and action maximises the log-probability of the actions
    (behaviour cloning, density regression); `predict` returns the distribution with NumPy parameters; `save` and
    `keras.models.load_model` work in safe mode.

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

    def _known_inputs(self):
        """The symbolic inputs of a Sequential or Functional trunk; None if it does not know them."""
        if not getattr(self.trunk, "inputs", None):
            return None
        return self.trunk.inputs[0] if isinstance(self.trunk, keras.Sequential) else self.trunk.input

    def call(  # type: ignore[override]  # the mask of actions comes with the observations
        self, observations: Tensor | dict[str, Any], training: bool | None = None
    ) -> Distribution:
        # Keras hands `training` on to the layers called here.
        observations, mask = split_mask(observations)
        features = self.trunk(observations)
        return self.head(features) if mask is None else self.head(features, action_mask=mask)

    def export(
        self,
        filepath: str | os.PathLike[str],
        input_signature: Sequence[Any] | None = None,
        *,
        format: str = "tf_saved_model",
        endpoint: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the policy for other programs, which need nothing of kgdists.

        A SavedModel has an endpoint `serve` that maps observations to the parameters, `action`, a draw, and
        `mode_action`. Nested actions come out under names such as `action/move` or, for tuples, `action/0`. With a
        named endpoint, and in any other format, there is no draw.

        Parameters
        ----------
        filepath : str or path
            Folder or file to write.
        input_signature : None or list of keras.InputSpec
            Of the observations, batch axis included, for instance `[{"observation": ..., "action_mask": ...}]`; may be
            left out if the trunk is a Sequential or Functional model that knows its inputs, and there is no mask.
        format : str
            What `keras.Model.export` takes: `"tf_saved_model"`, `"onnx"`, `"litert"`, `"openvino"`.
        endpoint : None, "parameters" or "mode_action"
            What stands for the distribution; None is all of them in a SavedModel, the parameters in other formats.
        **kwargs
            Further arguments of `keras.Model.export`.
        """
        if format != "tf_saved_model" or endpoint is not None:
            super().export(filepath, input_signature, format=format, endpoint=endpoint, **kwargs)
            return
        if input_signature is None:
            input_signature = [keras.tree.map_structure(_spec, self._symbolic_inputs(None))]

        def serve(observations):
            dist = self(observations)
            actions = by_path("action", dist.sample_action()) | by_path("mode_action", dist.mode_action())
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
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        layers = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects) for name in ("trunk", "head")
        }
        return cls(**(config | layers))


def _spec(x):
    return keras.InputSpec(dtype=x.dtype, shape=(None, *x.shape[1:]))
