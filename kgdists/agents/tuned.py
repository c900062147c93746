"""Settings that are known to work, by environment."""

import dataclasses
from types import MappingProxyType

from keras.optimizers.schedules import PolynomialDecay

from kgdists.agents.es_config import ESConfig
from kgdists.agents.ppo_config import PPOConfig

__all__ = ["TUNED", "TUNED_SEARCHES", "Tuned", "tuned_config", "tuned_search"]


@dataclasses.dataclass(frozen=True)
class Tuned:
    """How to train on one environment.

    `decay` names the settings that go down linearly to 0 over the training, by gradient steps.
    """

    total_steps: int
    settings: MappingProxyType
    decay: tuple[str, ...] = ()


def _tuned(total_steps, decay=(), **settings):
    return Tuned(total_steps, MappingProxyType(settings), decay)


TUNED = {
    "CartPole-v1": _tuned(
        59_904,
        decay=("learning_rate", "clip_range"),
        n_steps=32,
        batch_size=256,
        n_epochs=20,
        learning_rate=1e-3,
        clip_range=0.2,
        gamma=0.98,
        gae_lambda=0.8,
    ),
    "Pendulum-v1": _tuned(
        149_504,
        decay=("learning_rate",),
        n_steps=128,
        batch_size=128,
        n_epochs=10,
        learning_rate=1e-3,
        gamma=0.95,
        gae_lambda=0.95,
        ent_coef=0.01,
        normalize_rewards=True,
        box_family="normal",
    ),
    "Acrobot-v1": _tuned(
        100_000,
        n_steps=128,
        batch_size=128,
        n_epochs=10,
        learning_rate=1e-3,
        gae_lambda=0.94,
        normalize_observations=True,
    ),
    "LunarLander-v3": _tuned(
        802_816,
        decay=("learning_rate",),
        num_envs=16,
        n_steps=256,
        batch_size=256,
        n_epochs=8,
        learning_rate=1e-3,
        gamma=0.995,
        gae_lambda=0.98,
        ent_coef=0.01,
    ),
    "LunarLanderContinuous-v3": _tuned(
        802_816,
        decay=("learning_rate",),
        num_envs=16,
        n_steps=256,
        batch_size=256,
        n_epochs=8,
        learning_rate=1e-3,
        gamma=0.995,
        gae_lambda=0.98,
        box_family="squashed",
    ),
}

DEFAULT = _tuned(100_000)

TUNED_SEARCHES = {
    "CartPole-v1": {
        "pgpe": _tuned(600_000, stdev_init=0.3, center_learning_rate=0.2),
        "snes": _tuned(600_000, stdev_init=0.5),
        "cem": _tuned(600_000, stdev_init=0.5),
    },
}

DEFAULT_SEARCH = _tuned(1_000_000)


def tuned_config(env, total_steps=None, **settings):
    """The settings for an environment as total steps and arguments of an agent.

    Parameters
    ----------
    env : str
        An id; one that is not in `TUNED` gets the defaults of `PPOConfig`.
    total_steps : None or int
        Instead of the known number of steps; decays are stretched to it.
    **settings
        Fields of `PPOConfig` that differ from the known ones; a setting given here does not decay.

    Returns
    -------
    total_steps : int
    config : PPOConfig
    """
    known = TUNED.get(env, DEFAULT)
    total_steps = _total_steps(known, total_steps)
    config = PPOConfig(**{**known.settings, **settings})
    per_update = config.n_steps * config.num_envs
    gradient_steps = -(-total_steps // per_update) * config.n_epochs * (per_update // config.batch_size)
    decayed = {
        name: PolynomialDecay(getattr(config, name), gradient_steps, 0.0)
        for name in known.decay
        if name not in settings
    }
    return total_steps, dataclasses.replace(config, **decayed)


def tuned_search(env, searcher, total_steps=None, **settings):
    """The settings of a searcher for an environment as total steps and arguments of `ES`.

    Parameters
    ----------
    env : str
        An id; one that is not in `TUNED_SEARCHES` gets the defaults of `ESConfig`.
    searcher : str
    total_steps : None or int
        Instead of the known number of steps.
    **settings
        Fields of `ESConfig` that differ from the known ones.

    Returns
    -------
    total_steps : int
    config : ESConfig
    """
    known = TUNED_SEARCHES.get(env, {}).get(searcher, DEFAULT_SEARCH)
    return _total_steps(known, total_steps), ESConfig(searcher=searcher, **{**known.settings, **settings})


def _total_steps(known, total_steps):
    total_steps = known.total_steps if total_steps is None else total_steps
    if total_steps < 1:
        raise ValueError(f"`total_steps` must be an int >= 1. Received: total_steps={total_steps}")
    return total_steps
