"""`Policy`: a Keras model whose output is a distribution."""

from typing import Any, Self

import keras

from kgdists.core.types import Tensor
from kgdists.core.unknown_classes import naming_unknown
from kgdists.distributions.distribution import Distribution
from kgdists.models import Model
from kgdists.models.serving import inputs_like

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

    # A SavedModel also draws. Nested actions have names such as `action/move` or, for tuples, `action/0`.
    SERVED = ("parameters", "action", "mode_action")

    def __init__(self, trunk: keras.layers.Layer, head: keras.layers.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.autocast = False  # of observations, which the trunk converts: half precision holds no large ones
        self.trunk = trunk
        self.head = head

    def _symbolic_inputs(self, input_signature):
        # Of a Sequential or Functional trunk that knows its own, unless they are given.
        if input_signature is None and getattr(self.trunk, "inputs", None):
            is_sequential = isinstance(self.trunk, keras.Sequential)
            input_signature = [self.trunk.inputs[0] if is_sequential else self.trunk.input]
        if input_signature is None:
            return super()._symbolic_inputs(None)
        return inputs_like(input_signature[0], "observations")

    def call(  # type: ignore[override]  # the mask of actions comes with the observations
        self, observations: Tensor | dict[str, Any], training: bool | None = None
    ) -> Distribution:
        # Keras hands `training` on to the layers called here.
        observations, mask = split_mask(observations)
        return self.of_features(self.trunk(observations), mask)

    def of_features(self, features: Any, action_mask: Any = None) -> Distribution:
        """The distribution of the trunk's features, with a mask for the head if there is one."""
        return self.head(features) if action_mask is None else self.head(features, action_mask=action_mask)

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
        with naming_unknown():
            layers = {
                name: keras.saving.deserialize_keras_object(config[name], custom_objects) for name in ("trunk", "head")
            }
        return cls(**(config | layers))
