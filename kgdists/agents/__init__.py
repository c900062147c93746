"""Agents: policies that learn on Gymnasium environments."""

import importlib
from typing import TYPE_CHECKING, Any

from kgdists.agents.a2c import A2C, A2CConfig
from kgdists.agents.algorithms import ALGORITHMS, load
from kgdists.agents.es import ES, ESConfig
from kgdists.agents.ppo import PPO, PPOConfig
from kgdists.agents.reinforce import REINFORCE, REINFORCEConfig
from kgdists.agents.sac.sac import SAC
from kgdists.agents.sac.sac_config import SACConfig
from kgdists.envs.action_mask import ActionMask
from kgdists.envs.episode_record import EpisodeRecord
from kgdists.envs.evaluation import Evaluation
from kgdists.envs.make import make_envs
from kgdists.envs.play import evaluate
from kgdists.envs.same_step import SameStep
from kgdists.runs.callbacks import Checkpoints, EvaluateAndKeepBest, StopOnSignal

if TYPE_CHECKING:
    from kgdists.agents.ray_rollouts import RayRollouts

__all__ = [
    "A2C",
    "ALGORITHMS",
    "ES",
    "PPO",
    "REINFORCE",
    "SAC",
    "A2CConfig",
    "ActionMask",
    "Checkpoints",
    "ESConfig",
    "EpisodeRecord",
    "EvaluateAndKeepBest",
    "Evaluation",
    "PPOConfig",
    "REINFORCEConfig",
    "RayRollouts",
    "SACConfig",
    "SameStep",
    "StopOnSignal",
    "evaluate",
    "load",
    "make_envs",
]


def __getattr__(name: str) -> Any:
    if name == "RayRollouts":  # which imports Ray
        return importlib.import_module("kgdists.agents.ray_rollouts").RayRollouts
    raise AttributeError(f"module 'kgdists.agents' has no attribute {name!r}")
