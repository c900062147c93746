"""Agents: policies that learn on Gymnasium environments."""

from kgdists.agents.ppo import PPO
from kgdists.agents.ppo_config import PPOConfig
from kgdists.agents.rollout import Evaluation, evaluate, make_envs

__all__ = ["PPO", "Evaluation", "PPOConfig", "evaluate", "make_envs"]
