"""Modules under the names that they had in 0.1, for one version more."""

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["MOVED", "find_moved_modules"]

MOVED = {
    "kgdists.agents.callbacks": "kgdists.runs.callbacks",
    "kgdists.agents.checkpoints": "kgdists.runs.callbacks",
    "kgdists.agents.envs": "kgdists.envs.make",
    "kgdists.agents.episode_record": "kgdists.envs.episode_record",
    "kgdists.agents.files": "kgdists.core.files",
    "kgdists.agents.masks": "kgdists.envs.action_mask",
    "kgdists.agents.native_envs": "kgdists.envs.same_step",
    "kgdists.agents.recording": "kgdists.runs.recording",
    "kgdists.agents.replay": "kgdists.agents.sac.replay_buffer",
    "kgdists.agents.report": "kgdists.runs.reporting",
    "kgdists.agents.rollout": "kgdists.envs.rollout",
    "kgdists.agents.runs": "kgdists.runs.folder",
    "kgdists.distribution": "kgdists.distributions.distribution",
    "kgdists.evolution.gym": "kgdists.evolution.policy_search.search",
    "kgdists.evolution.noise": "kgdists.random.hashed_normal",
    "kgdists.evolution.ray_map": "kgdists.evolution.distributed.ray_search",
    "kgdists.plotting.curves": "kgdists.runs.curves",
    "kgdists.plotting.metrics": "kgdists.runs.metrics",
}


class _Moved(MetaPathFinder, Loader):
    """Imports a module by its old name, with a warning: both names mean the same module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        warnings.warn(f"`{spec.name}` is `{new}` now: its old name goes in 0.3", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(new)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put its own there.
        spec: Any = module.__spec__
        module.__spec__ = spec.loader_state


def find_moved_modules() -> None:
    """Let imports find modules by their old names."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
