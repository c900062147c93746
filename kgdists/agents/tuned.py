"""Settings that are known to work: the table of environments and agents."""

import dataclasses
import fnmatch
from types import MappingProxyType
from typing import Any

__all__ = ["TUNED", "Tuned", "default_agent", "known_settings"]


@dataclasses.dataclass(frozen=True)
class Tuned:
    """How an agent trains on one environment.

    `decay` names the settings that go down linearly to 0 over the training, by gradient steps.
    """

    total_steps: int
    settings: MappingProxyType[str, Any]
    decay: tuple[str, ...] = ()


def _tuned(total_steps, decay=(), **settings):
    return Tuned(total_steps, MappingProxyType(settings), decay)


GRIDS = {
    "num_envs": 16,
    "n_steps": 128,
    "batch_size": 256,
    "n_epochs": 4,
    "learning_rate": 1e-3,
    "ent_coef": 0.01,
}

# The first agent of an environment is the one that trains there when none is named. A star stands for any characters.
TUNED: dict[str, dict[str, Tuned]] = {
    "CartPole-v1": {
        "ppo": _tuned(
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
        "a2c": _tuned(
            150_528,
            decay=("learning_rate",),
            n_steps=16,
            learning_rate=2e-3,
            epsilon=1e-5,
            gamma=0.98,
            gae_lambda=0.9,
        ),
        "reinforce": _tuned(100_000, learning_rate=1e-2, baseline=False),
        "pgpe": _tuned(600_000, stdev_init=0.3, center_learning_rate=0.2),
        "snes": _tuned(600_000, stdev_init=0.5),
        "cem": _tuned(600_000, stdev_init=0.5),
    },
    "Acrobot-v1": {
        "ppo": _tuned(
            999_424,
            decay=("learning_rate",),
            num_envs=16,
            n_steps=256,
            batch_size=256,
            n_epochs=6,
            learning_rate=1e-3,
            gae_lambda=0.94,
            normalize_observations=True,
            normalize_rewards=True,
        ),
    },
    "MountainCarContinuous-v0": {
        "ppo": _tuned(
            20_000,
            num_envs=4,
            n_steps=500,
            batch_size=250,
            n_epochs=10,
            learning_rate=3e-4,
            gamma=0.999,
            normalize_observations=True,
            normalize_rewards=True,
            hidden_units=(),  # pushing with the velocity is linear
            initial_stddev=2.0,
            sde_sample_freq=1000,  # the same noise for an episode climbs the hill, that of single steps does not
        ),
        "sac": _tuned(
            50_000,
            n_steps=32,
            learning_starts=1000,
            buffer_size=50_000,
            batch_size=512,
            learning_rate=3e-4,
            gamma=0.9999,
            tau=0.01,
            ent_coef=0.1,
            noise_repeat=32,
            hidden_units=(64, 64),
        ),
    },
    "Pendulum-v1": {
        "ppo": _tuned(
            99_328,
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
        "sac": _tuned(20_000, n_steps=8, learning_rate=1e-3),
    },
    "LunarLander-v3": {
        "ppo": _tuned(
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
    },
    "LunarLanderContinuous-v3": {
        "ppo": _tuned(
            999_424,
            decay=("learning_rate",),
            n_steps=256,
            batch_size=128,
            n_epochs=10,
            learning_rate=5e-4,
            gamma=0.999,
            gae_lambda=0.98,
            normalize_observations=True,
            normalize_rewards=True,
            box_family="beta",
        ),
        "sac": _tuned(
            500_000,
            decay=("learning_rate",),
            n_steps=8,
            learning_starts=10_000,
            learning_rate=7.3e-4,
            tau=0.01,
        ),
    },
    "BipedalWalker-v3": {
        "sac": _tuned(
            500_000,
            decay=("learning_rate",),
            n_steps=64,
            learning_starts=10_000,
            buffer_size=300_000,
            learning_rate=7.3e-4,
            gamma=0.98,
            tau=0.02,
        ),
        "ppo": _tuned(
            1_998_848,
            decay=("learning_rate",),
            n_steps=256,
            batch_size=128,
            n_epochs=10,
            learning_rate=5e-4,
            normalize_observations=True,
            normalize_rewards=True,
            initial_stddev=0.5,
            box_family="normal",
        ),
    },
    "HalfCheetah-v5": {
        "ppo": _tuned(
            999_424,
            decay=("learning_rate",),
            n_steps=256,
            batch_size=128,
            n_epochs=10,
            learning_rate=5e-4,
            clip_range=0.1,
            gamma=0.98,
            gae_lambda=0.92,
            ent_coef=4e-4,
            vf_coef=0.58,
            max_grad_norm=0.8,
            normalize_observations=True,
            normalize_rewards=True,
            initial_stddev=0.2,
            box_family="normal",
        ),
        "sac": _tuned(1_000_000, decay=("learning_rate",), n_steps=8, learning_starts=10_000, learning_rate=1e-3),
    },
    "Hopper-v5": {
        "ppo": _tuned(
            999_424,
            decay=("learning_rate",),
            n_steps=256,
            batch_size=128,
            n_epochs=10,
            learning_rate=5e-4,
            normalize_observations=True,
            normalize_rewards=True,
            initial_stddev=0.5,
            box_family="normal",
        ),
    },
    "Walker2d-v5": {
        "ppo": _tuned(
            999_424,
            decay=("learning_rate",),
            n_steps=256,
            batch_size=128,
            n_epochs=10,
            learning_rate=5e-4,
            normalize_observations=True,
            normalize_rewards=True,
            initial_stddev=0.5,
            box_family="normal",
        ),
    },
    "InvertedDoublePendulum-v5": {
        "ppo": _tuned(
            299_008,
            decay=("learning_rate",),
            n_steps=256,
            batch_size=256,
            n_epochs=10,
            learning_rate=1e-3,
            normalize_observations=True,
            normalize_rewards=True,
            initial_stddev=0.4,
            box_family="normal",
        ),
    },
    "MiniGrid-*": {"ppo": _tuned(100_352, decay=("learning_rate",), **GRIDS)},
    "MinAtar/*": {"ppo": _tuned(501_760, decay=("learning_rate",), **GRIDS)},
    "ALE/*": {
        "ppo": _tuned(
            9_999_360,
            decay=("learning_rate", "clip_range"),
            n_steps=128,
            batch_size=256,
            n_epochs=4,
            learning_rate=2.5e-4,
            clip_range=0.1,
            ent_coef=0.01,
            preprocessing="atari",
            normalize_rewards=True,
            hidden_units=(),
        ),
    },
    "CarRacing-v3": {
        "ppo": _tuned(
            999_424,
            decay=("learning_rate",),
            n_steps=128,
            batch_size=128,
            n_epochs=4,
            learning_rate=3e-4,
            normalize_rewards=True,
        ),
    },
    "highway-*": {
        "ppo": _tuned(
            20_480,
            num_envs=4,
            n_steps=64,
            batch_size=64,
            n_epochs=10,
            learning_rate=5e-4,
            gamma=0.8,
            hidden_units=(256, 256),
        ),
    },
}


def known_settings(env: str) -> dict[str, Tuned]:
    """Agent -> how it trains on an environment, by its id, or by the first row with a star that it is of.

    Parameters
    ----------
    env : str
        A module in front of it, as in `ale_py:ALE/Pong-v5`, does not matter; without a version it is the newest.
    """
    env = env.rpartition(":")[2]
    newest = max((known for known in TUNED if known.rpartition("-v")[0] == env), default=env)
    if newest in TUNED:
        return TUNED[newest]
    return next((known for pattern, known in TUNED.items() if fnmatch.fnmatchcase(env, pattern)), {})


def default_agent(env: str) -> str:
    """The name of the agent that trains on an environment when none is named: its first in `TUNED`, else PPO."""
    return next(iter(known_settings(env) or ("ppo",)))
