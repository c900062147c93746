from kgdists.agents.a2c import A2C
from kgdists.agents.a2c_config import A2CConfig
from kgdists.agents.algorithms import ALGORITHMS, load
from kgdists.agents.es import ES
from kgdists.agents.es_config import ESConfig
from kgdists.agents.ppo import PPO
from kgdists.agents.ppo_config import PPOConfig
from kgdists.agents.ray_rollouts import RayRollouts
from kgdists.agents.reinforce import REINFORCE
from kgdists.agents.reinforce_config import REINFORCEConfig
from kgdists.agents.sac.sac import SAC
from kgdists.agents.sac_config import SACConfig
from kgdists.agents.seeds import Seeds
from kgdists.envs.action_mask import ActionMask
from kgdists.envs.episode_record import EpisodeRecord
from kgdists.envs.evaluation import Evaluation
from kgdists.envs.make import make_envs
from kgdists.envs.play import evaluate
from kgdists.envs.same_step import SameStep
from kgdists.runs.callbacks import Checkpoints, EvaluateAndKeepBest, StopOnSignal
from kgdists.runs.tensorboard import TensorBoard

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
    "Seeds",
    "StopOnSignal",
    "TensorBoard",
    "evaluate",
    "load",
    "make_envs",
]
