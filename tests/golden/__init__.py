"""Reference numbers made by other means than kgdists, and how they are compared."""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def cases(name, kind, dtype="float64"):
    """The cases of one kind in `name`.json that hold in `dtype`."""
    found = [_numbers(case) for case in json.loads((FOLDER / f"{name}.json").read_text())["cases"]]
    return [case for case in found if case["kind"] == kind and (dtype == "float64" or case[dtype])]


def assert_close(got, want, tolerance, scale=0.0):
    """Assert |got - want| <= tolerance * max(1, |want|, scale); infinities must be equal, NaN wanted says nothing."""
    got, want, scale = (np.asarray(x, "float64") for x in (got, want, scale))
    assert got.shape == want.shape
    exact = np.isinf(want)
    np.testing.assert_array_equal(got[exact], want[exact])
    compared = np.isfinite(want)
    bound = tolerance * np.maximum(np.maximum(1.0, np.abs(want)), scale)
    error = np.abs(got[compared] - want[compared]) / np.broadcast_to(bound, want.shape)[compared]
    assert (error <= 1.0).all(), f"error is {np.max(error):.3g} times what is allowed\ngot {got}\nwant {want}"


def _numbers(value):
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value) if value in ("inf", "-inf", "nan") else value
