"""Environments: made, looked at, stepped and played."""

from kgdists.envs.action_mask import ActionMask
from kgdists.envs.array_observations import Encoding
from kgdists.envs.checking import Finding, Report, check
from kgdists.envs.env_id import EnvId
from kgdists.envs.episode_record import EpisodeRecord
from kgdists.envs.evaluation import Evaluation
from kgdists.envs.functional.compiled_env import CompiledEnv
from kgdists.envs.functional.known import compiled, register
from kgdists.envs.functional.single_env import CompiledGymEnv
from kgdists.envs.functional.vector_env import CompiledVectorEnv
from kgdists.envs.make import make_envs
from kgdists.envs.play import evaluate
from kgdists.envs.same_step import SameStep

__all__ = [
    "ActionMask",
    "CompiledEnv",
    "CompiledGymEnv",
    "CompiledVectorEnv",
    "Encoding",
    "EnvId",
    "EpisodeRecord",
    "Evaluation",
    "Finding",
    "Report",
    "SameStep",
    "check",
    "compiled",
    "evaluate",
    "make_envs",
    "register",
]
