"""Agents: policies that learn on Gymnasium environments."""

from kgdists.agents.a2c import A2C
from kgdists.agents.a2c_config import A2CConfig
from kgdists.agents.callbacks import EvaluateAndKeepBest
from kgdists.agents.checkpoints import Checkpoints, StopOnSignal
from kgdists.agents.envs import make_envs
from kgdists.agents.episode_record import EpisodeRecord
from kgdists.agents.es import ES
from kgdists.agents.es_config import ESConfig
from kgdists.agents.masks import ActionMask
from kgdists.agents.native_envs import SameStep
from kgdists.agents.ppo import PPO
from kgdists.agents.ppo_config import PPOConfig
from kgdists.agents.reinforce import REINFORCE
from kgdists.agents.reinforce_config import REINFORCEConfig
from kgdists.agents.rollout import Evaluation, evaluate
from kgdists.agents.sac import SAC
from kgdists.agents.sac_config import SACConfig

__all__ = [
    "A2C",
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
    "SACConfig",
    "SameStep",
    "StopOnSignal",
    "evaluate",
    "make_envs",
]
