"""The base of heads whose distributions have a temperature."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
from keras import ops

from kgdists.core import backend, shapes
from kgdists.core.checks import positive
from kgdists.core.types import Tensor
from kgdists.layers.head import Head

__all__ = ["Temperature", "TemperedHead", "temperature_variables"]

Temperature: TypeAlias = float | Tensor | Callable[[Tensor], Tensor]  # a number, a variable or a schedule


class TemperedHead(Head):
    """A head with a temperature that is read at every call, also of a compiled function: it may be set at any time.

    The number is in a variable that is none of the layer's weights. A schedule is a function of the number of calls
    with `training=True`, which is a weight that is not trained.

    Parameters
    ----------
    temperature : float > 0, scalar variable, or function of the number of training calls
        A schedule of Keras, such as `keras.optimizers.schedules.ExponentialDecay`, is saved with the model; so is
        another function if it is registered with Keras. A variable is saved as the number that it is.
    **kwargs
        Of `keras.layers.Layer`.

    Raises
    ------
    ValueError
        If it is none of these, or not finite and > 0, a schedule at its start.
    """

    TEMPERATURE = "boltzmann_tau"  # the name of the argument

    def __init__(self, temperature: Temperature, /, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(temperature, dict):
            temperature = keras.saving.deserialize_keras_object(temperature)
        is_variable = backend.is_variable(temperature)
        self._schedule = temperature if callable(temperature) and not is_variable else None
        start = self._number(temperature if self._schedule is None else self._schedule(0))
        self._temperature = backend.scalar(temperature if is_variable else start)
        self._calls = None

    def build(self, features_shape: Sequence[int | None]) -> None:
        if self._schedule is not None:
            self._calls = self.add_weight((), "zeros", "int32", trainable=False, name="training_calls")

    def _number(self, value):
        name = self.TEMPERATURE
        if hasattr(value, "dtype"):
            shapes.check_scalar(**{name: value})
            array = backend.concrete(backend.value_of(value))
            value = value if array is None else array.item()
        return positive(name, value)

    @property
    def present_temperature(self) -> float:
        """The present temperature; a number that is set counts from the next call on, also of compiled functions.

        Subclasses have it by the name of their argument.
        """
        return float(ops.convert_to_numpy(self.next_temperature(training=False)))

    @present_temperature.setter
    def present_temperature(self, value: float) -> None:
        if self._schedule is not None:
            raise ValueError(
                f"`{self.TEMPERATURE}` follows the schedule that the head was made with: make one with a number to set "
                f"it. Received: {self.TEMPERATURE}={value!r}"
            )
        self.assign_temperature(self._number(value))

    def assign_temperature(self, value: float) -> None:
        """Set the number."""
        self._temperature.assign(value)

    def next_temperature(self, training: bool | None) -> Tensor:
        """The temperature of this call, a scalar tensor; a call with `training` counts."""
        if self._schedule is None or self._calls is None:
            return backend.scalar_value(self._temperature)
        temperature = self._schedule(self._calls.value)
        if training:
            self._calls.assign_add(1)
        return temperature

    def get_config(self) -> dict[str, Any]:
        schedule = self._schedule
        value = self.present_temperature if schedule is None else keras.saving.serialize_keras_object(schedule)
        return super().get_config() | {self.TEMPERATURE: value}


def temperature_variables(model: keras.layers.Layer) -> list[Any]:
    """The variables of the temperatures of all heads in a model or layer, which Keras does not track."""
    heads = [layer for layer in backend.layers_of(model) if isinstance(layer, TemperedHead)]
    return [head._temperature for head in heads if head._schedule is None]
