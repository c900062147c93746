"""Schedules of settings where a training goes on."""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any, Protocol, Self

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule, PolynomialDecay

from kgdists.agents.config import Config
from kgdists.core.compiled import CompiledUpdate
from kgdists.core.run_warning import RunWarning
from kgdists.core.types import Tensor

__all__ = ["Moved", "set_rates", "split_off", "stretch", "stretch_ended", "stretched"]


class _Learner(Protocol):
    """What an agent that learns by gradients has."""

    config: Any
    steps: int
    optimizer: keras.optimizers.Optimizer


@keras.saving.register_keras_serializable(package="kgdists")
class Moved(LearningRateSchedule):
    """A schedule that starts at another gradient step, or takes another number of them.

    Parameters
    ----------
    schedule : keras.optimizers.schedules.LearningRateSchedule
    start : int
        The step at which it starts.
    factor : float, > 0
        How much longer it takes.

    Examples
    --------
    >>> from keras.optimizers.schedules import PolynomialDecay
    >>> schedule = Moved(PolynomialDecay(1.0, 10, 0.0), start=100, factor=2.0)
    >>> [float(schedule(step)) for step in (100, 110, 120)]
    [1.0, 0.5, 0.0]
    """

    def __init__(self, schedule: LearningRateSchedule, start: int = 0, factor: float = 1.0) -> None:
        self.schedule, self.start, self.factor = schedule, start, factor

    def __call__(self, step: Tensor) -> Tensor:
        # In whole steps first: a float32 does not hold all numbers of them.
        return self.schedule(ops.cast(ops.convert_to_tensor(step) - self.start, "float32") / self.factor)

    def get_config(self) -> dict[str, Any]:
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "start": self.start, "factor": self.factor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**(config | {"schedule": keras.saving.deserialize_keras_object(config["schedule"])}))


def _scheduled(config):
    """Name -> schedule of those settings that have one."""
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {name: x for name, x in fields.items() if isinstance(x, LearningRateSchedule)}


def stretched(config: Config, before: int, total_steps: int) -> float:
    """How many times as many gradient steps are taken in `total_steps` as in `before`."""
    planned, wanted = config.num_gradient_steps(before), config.num_gradient_steps(total_steps)
    return total_steps / before if wanted is None or not planned else wanted / planned


def stretch(agent: _Learner, factor: float, **factors: float) -> dict[str, float]:
    """Let an agent's schedules take `factor` times as long, or as `factors` have it by their names.

    Returns
    -------
    dict of name -> float, the values from which they go on.
    """
    moved = {}
    for name, x in _scheduled(agent.config).items():
        old = x if isinstance(x, Moved) else Moved(x)
        # What lies behind is stretched too: a decay goes on from where the longer one would be.
        moved[name] = Moved(old.schedule, old.start, old.factor * factors.get(name, factor))
    if moved:
        _replace(agent, moved)
    return {name: float(x(int(agent.optimizer.iterations))) for name, x in moved.items()}


def stretch_ended(agent: _Learner, total_steps: int) -> None:
    """Stretch schedules by which an agent would learn nothing in most of the steps that are ahead, and say so."""
    steps = int(agent.optimizer.iterations)
    if not agent.steps or not steps:
        return
    planned = agent.config.num_gradient_steps(agent.steps)
    if planned:
        total_steps = agent.config.num_steps(total_steps)  # no whole epoch, where that is some updates
        ahead = agent.config.num_gradient_steps(agent.steps + total_steps) - planned
    else:
        ahead = steps * total_steps / agent.steps
    middle = int(steps + 0.5 * ahead)
    ended = {name: x for name, x in _scheduled(agent.config).items() if _is_over(x, middle)}
    if not ended:
        return
    # They may have ended long before, or end soon, and are to end with the last of the steps that are ahead.
    starts = {name: getattr(x, "start", 0) for name, x in ended.items()}
    factors = {
        name: (steps + ahead - starts[name]) / max(1, _end(x, middle) - starts[name]) for name, x in ended.items()
    }
    values = stretch(agent, 1.0 + ahead / steps, **factors)
    listed = ", ".join(f"`{name}` from {x:.3g}" for name, x in values.items())
    warnings.warn(
        f"Schedules at whose end nothing is learned are stretched to {agent.steps + total_steps} steps: {listed}",
        RunWarning,
        stacklevel=4,
    )


def _is_over(schedule, step):
    return abs(float(schedule(step))) < 1e-12


def _end(schedule, last):
    """The step at which a schedule that is over at step `last` has come to its end, by bisection."""
    first = getattr(schedule, "start", 0)
    while last - first > 1:
        middle = (first + last) // 2
        first, last = (first, middle) if _is_over(schedule, middle) else (middle, last)
    return last


def split_off(settings: dict[str, Any]) -> dict[str, Any]:
    """Take those out of the settings that `set_rates` sets: schedules, and the learning rate, which is a variable."""
    is_none = settings.get("learning_rate", 0.0) is None
    names = [name for name, x in settings.items() if name == "learning_rate" or isinstance(x, LearningRateSchedule)]
    rates = {name: settings.pop(name) for name in names}
    return {name: x for name, x in rates.items() if not is_none or name != "learning_rate"}


def set_rates(agent: _Learner, rates: Mapping[str, Any]) -> None:
    """Let an agent go on with a learning rate, and with schedules that start now."""
    if not rates:
        return
    dataclasses.replace(agent.config, **rates)  # raises if it is none
    start, moved = int(agent.optimizer.iterations), dict[str, Any]()
    for name, x in rates.items():
        if isinstance(x, LearningRateSchedule):
            moved[name] = Moved(x, start=start)
        elif name in _scheduled(agent.config):  # a checkpoint of a schedule has no variable for the rate
            moved[name] = PolynomialDecay(x, 1, x)
        else:
            moved[name] = x
    _replace(agent, moved)


def _replace(agent, settings):
    """Give a trained agent other schedules; what was compiled with the old ones is compiled anew."""
    agent.config = dataclasses.replace(agent.config, **settings)
    if "learning_rate" in settings:
        agent.optimizer.learning_rate = settings["learning_rate"]
    for x in vars(agent).values():
        if isinstance(x, CompiledUpdate):
            x.forget()
