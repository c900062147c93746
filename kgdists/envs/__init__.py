"""Environments: made, looked at, stepped and played."""

from kgdists.envs.action_mask import ActionMask
from kgdists.envs.array_observations import Encoding
from kgdists.envs.checking import Finding, Report, check
from kgdists.envs.env_id import EnvId
from kgdists.envs.episode_record import EpisodeRecord
from kgdists.envs.evaluation import Evaluation
from kgdists.envs.make import make_envs
from kgdists.envs.play import evaluate
from kgdists.envs.same_step import SameStep

__all__ = [
    "ActionMask",
    "Encoding",
    "EnvId",
    "EpisodeRecord",
    "Evaluation",
    "Finding",
    "Report",
    "SameStep",
    "check",
    "evaluate",
    "make_envs",
]
