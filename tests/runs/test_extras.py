"""What is said where a package of an extra is missing."""

import importlib
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "package"), [("recording", "PIL"), ("reporting", "jinja2"), ("curves", "matplotlib.axes")]
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"kgdists.runs.{module}", raising=False)
    rule = rf"{package} is missing, which `pip install 'kgdists\[agents\]'` brings"
    with pytest.raises(ModuleNotFoundError, match=rule) as caught:
        importlib.import_module(f"kgdists.runs.{module}")
    assert caught.value.name == package
