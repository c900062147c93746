"""Modules that have moved."""

import importlib
import sys

import numpy as np
import pytest

import kgdists as kg
from kgdists.core.moved import MOVED


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_a_module_is_found_by_its_old_name_with_a_warning(old, new):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"`{old}` is `{new}` now"):
        module = importlib.import_module(old)
    assert module is importlib.import_module(new) and module.__spec__.name == new


@pytest.mark.exhaustive
def test_names_in_british_spelling_are_those_in_american():
    with pytest.warns(DeprecationWarning, match="`log_normaliser` is `log_normalizer` now"):
        assert kg.divergences.log_normaliser is kg.divergences.log_normalizer
    x = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.warns(DeprecationWarning, match="`parameterisation` is `parameterization` now"):
        old = kg.mixtures.fit(x, 1, iterations=2, parameterisation="a_at", seed=0)
    new = kg.mixtures.fit(x, 1, iterations=2, parameterization="a_at", seed=0)
    assert np.array_equal(old.distribution.mu, new.distribution.mu)


def test_what_was_documented_by_a_deep_import_is_an_attribute():
    assert kg.evolution.PolicySearch.__name__ == "PolicySearch" and kg.evolution.RaySearch.__name__ == "RaySearch"
    assert kg.runs.record.__name__ == "record" and kg.runs.report.__name__ == "report"
    assert kg.agents.RayRollouts.__name__ == "RayRollouts" and kg.envs.make_envs is kg.agents.make_envs


def test_what_is_imported_at_first_use_is_listed():
    assert {"agents", "interop", "head_for", "NormalDist"} <= set(dir(kg)) and kg.interop.tfp.TFPDist


@pytest.mark.parametrize("package", [kg.agents, kg.divergences, kg.evolution, kg.interop, kg.runs])
def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=f"module {package.__name__!r} has no attribute 'nothing'"):
        package.nothing
