"""Names of a package that are found when they are asked for (PEP 562): those that its stub imports."""

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The `__getattr__`, `__dir__` and `__all__` of a package whose names stand in the stub beside its file.

    Type checkers read the stub too, so that each name is written once.

    Parameters
    ----------
    package : str
        Its `__name__`.
    file : str
        Its `__file__`.
    """
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    sources = {alias.name: node.module for node in imports for alias in node.names}

    def find(name: str) -> Any:
        if name not in sources:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        source = sources[name]
        value = (
            importlib.import_module(f"{package}.{name}")
            if source == package
            else getattr(importlib.import_module(f"{source}"), name)
        )
        vars(sys.modules[package])[name] = value
        return value

    return find, lambda: sorted({*vars(sys.modules[package]), *sources}), sorted(sources)
