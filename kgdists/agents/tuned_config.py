"""The settings of an agent for an environment, and the schedules of those that decay."""

import dataclasses
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, TypeVar

from keras.optimizers.schedules import PolynomialDecay

from kgdists.agents.config import Config
from kgdists.agents.tuned import Tuned, known_settings
from kgdists.core.checks import in_short
from kgdists.core.choices import MAX_STEPS

__all__ = ["tuned_config"]

C = TypeVar("C", bound=Config)


def tuned_config(
    env: str, agent: str, config: Callable[..., C], total_steps: int | None = None, **settings: Any
) -> tuple[int, C]:
    """The settings of an agent for an environment.

    Parameters
    ----------
    env : str
        An id; one that is not in `TUNED` with this agent gets the defaults of its config.
    agent : str
        The agent's name, `"ppo"` for instance.
    config : callable
        The agent's config dataclass, or a function that makes one: settings -> config.
    total_steps : None or int
        Instead of the known number of steps; decays are stretched to it.
    **settings
        Fields of the config that differ from the known ones; a setting given here does not decay.

    Returns
    -------
    total_steps : int
    config : dataclass

    Examples
    --------
    >>> from kgdists.agents import PPOConfig
    >>> total_steps, config = tuned_config("Pendulum-v1", "ppo", PPOConfig, 50_000, learning_rate=3e-4)
    >>> total_steps, config.gamma, config.learning_rate
    (50000, 0.95, 0.0003)
    """
    known = known_settings(env).get(agent) or Tuned(config().TOTAL_STEPS, MappingProxyType({}))
    total_steps = known.total_steps if total_steps is None else total_steps
    if not 1 <= total_steps <= MAX_STEPS:
        raise ValueError(
            f"`total_steps` must be an int from 1 to {MAX_STEPS:.0e}. Received: total_steps={in_short(total_steps)}"
        )
    made = config(**{**known.settings, **settings})
    decayed = {
        name: PolynomialDecay(getattr(made, name), made.num_gradient_steps(total_steps), 0.0)
        for name in known.decay
        if name not in settings
    }
    return total_steps, dataclasses.replace(made, **decayed)
