"""Soft actor-critic."""

from kgdists.agents.sac.sac import SAC
from kgdists.agents.sac.sac_config import SACConfig

__all__ = ["SAC", "SACConfig"]
