"""Agents: policies that learn on Gymnasium environments."""

from kgdists.agents.callbacks import EvaluateAndKeepBest
from kgdists.agents.envs import make_envs
from kgdists.agents.es import ES
from kgdists.agents.es_config import ESConfig
from kgdists.agents.masks import ActionMask
from kgdists.agents.native_envs import SameStep
from kgdists.agents.ppo import PPO
from kgdists.agents.ppo_config import PPOConfig
from kgdists.agents.rollout import Evaluation, evaluate

__all__ = [
    "ES",
    "PPO",
    "ActionMask",
    "ESConfig",
    "EvaluateAndKeepBest",
    "Evaluation",
    "PPOConfig",
    "SameStep",
    "evaluate",
    "make_envs",
]
