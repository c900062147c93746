"""Whether what a training would save can be read again, by another process and in Keras' safe mode."""

import dataclasses
import json
import random
from typing import Any

import keras
from keras.optimizers.schedules import LearningRateSchedule

from kgdists.core.backend import layers_of
from kgdists.core.files import reason
from kgdists.core.unknown_classes import UnknownClassError, naming_unknown

__all__ = ["check_agent", "check_model"]


def check_agent(agent: Any) -> None:
    """Raise unless the models and schedules of an agent can be read again once they are saved."""
    if agent.owned.is_loadable:
        return
    for name in agent.MODELS:
        check_model(name, getattr(agent, name))
    for field in dataclasses.fields(agent.config):
        if isinstance(getattr(agent.config, field.name), LearningRateSchedule):
            _check(field.name, getattr(agent.config, field.name))
    agent.owned.is_loadable = True


def check_model(name: str, model: keras.Model) -> None:
    """Raise unless a model can be read again once it is saved."""
    bad = [x.name for x in layers_of(model) if isinstance(x, keras.layers.Lambda)]
    if bad:
        raise ValueError(
            f"A model that is saved must be read again without running code in it: `{name}` must have no Lambda "
            "layers. Write a layer of your own, with `keras.saving.register_keras_serializable`. "
            f"Received: {', '.join(bad)}"
        )
    _check(name, model)


def _check(name, x):
    """Raise unless Keras makes the same object from its configuration as a file has it."""
    state = random.getstate()  # from which Keras takes seeds of initial weights
    try:
        config = keras.saving.serialize_keras_object(x)
        config.pop("compile_config", None)
        with naming_unknown():
            keras.saving.deserialize_keras_object(json.loads(json.dumps(config)), safe_mode=True)
    except Exception as error:  # there is no end of what constructors raise
        why = f"{error.name}, which is not registered" if isinstance(error, UnknownClassError) else reason(error)
        raise ValueError(
            "What is saved must be read again by other processes: register classes and functions of your own with "
            "`keras.saving.register_keras_serializable`, and let `get_config` return the arguments of the "
            f"constructor. Received: `{name}`, {why}"
        ) from error
    finally:
        random.setstate(state)
