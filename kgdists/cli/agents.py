"""The agents of the command line, by name, and their settings, told without importing Keras."""

from typing import Any

from kgdists.agents.a2c_config import A2CConfig
from kgdists.agents.config import Config
from kgdists.agents.es_config import ESConfig
from kgdists.agents.ppo_config import PPOConfig
from kgdists.agents.reinforce_config import REINFORCEConfig
from kgdists.agents.sac_config import SACConfig
from kgdists.core.choices import SEARCHER_NAMES

__all__ = ["CONFIGS", "fixed"]

CONFIGS: dict[str, type[Config]] = {
    "ppo": PPOConfig,
    "a2c": A2CConfig,
    "reinforce": REINFORCEConfig,
    "sac": SACConfig,
    **dict.fromkeys(SEARCHER_NAMES, ESConfig),
}


def fixed(name: str) -> dict[str, Any]:
    """The settings that the name of an agent says."""
    return {"searcher": name} if name in SEARCHER_NAMES else {}
