"""Keras reads saved models by the classes that are registered: see to it that those of kgdists are."""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import wrapt

__all__ = ["WITHOUT_KERAS", "register_with_keras"]

# What was imported with kgdists always; of the encoders, what does without Gymnasium.
REGISTERING = (
    *("distributions", "divergences", "layers", "losses", "metrics", "models", "policy", "returns", "testing"),
    *(f"encoders.{name}" for name in ("composite", "image", "network", "numbers", "one_hot", "sequence")),
)
# Modules that the command line imports before it knows whether it needs Keras, which takes seconds.
WITHOUT_KERAS = {
    "kgdists.__main__",
    "kgdists.agents",
    "kgdists.agents.a2c_config",
    "kgdists.agents.config",
    "kgdists.agents.es_config",
    "kgdists.agents.other_names",
    "kgdists.agents.ppo_config",
    "kgdists.agents.reinforce_config",
    "kgdists.agents.sac_config",
    "kgdists.agents.tuned",
    "kgdists.core",
    "kgdists.core.checks",
    "kgdists.core.choices",
    "kgdists.core.did_you_mean",
    "kgdists.core.lazy_names",
    "kgdists.core.moved",
    "kgdists.core.preload",
    "kgdists.core.quiet",
    "kgdists.core.registration",
    "kgdists.core.rules",
    "kgdists.core.run_warning",
    "kgdists.core.types",
    "kgdists.runs",
    "kgdists.runs.metric_guide",
    "kgdists.runs.seed_folders",
}


class _Registering(MetaPathFinder, Loader):
    """Registers all classes before the first module that needs Keras is imported, lest that be found half imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("kgdists.") or fullname in WITHOUT_KERAS or fullname.startswith("kgdists.cli"):
            return None
        _register()
        return ModuleSpec(fullname, self) if fullname in sys.modules else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = sys.modules[spec.name]
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put its own there.
        spec = module.__spec__
        module.__spec__ = spec.loader_state if spec else None


def register_with_keras() -> None:
    """Register the classes of kgdists now, if Keras is imported, or else as soon as it is."""
    sys.meta_path.insert(0, _Registering())
    wrapt.register_post_import_hook(lambda keras: _register(), "keras")


def _register():
    finders = [finder for finder in sys.meta_path if isinstance(finder, _Registering)]
    for finder in finders:
        sys.meta_path.remove(finder)
    for name in REGISTERING if finders else ():
        importlib.import_module(f"kgdists.{name}")
