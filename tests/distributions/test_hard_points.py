"""Numbers at the hard points: huge, tiny and unequal concentrations, next to a bound of 0, against mpmath."""

import json

import numpy as np
import pytest
import tensorflow as tf

from kgdists import BetaDist
from tests.golden import FOLDER, gradient_of

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
CASES = json.loads((FOLDER / "hard_points.json").read_text())["cases"]


def _log_prob(a, b, x):
    return BetaDist(a[:, None], b[:, None]).log_proba(x[:, None])


def _entropy(a, b):
    return BetaDist(a[:, None], b[:, None]).entropy()


def _pair(name):
    return lambda a, b, c, d: getattr(BetaDist(a[:, None], b[:, None]), name)(BetaDist(c[:, None], d[:, None]))


QUANTITIES = {
    "log_prob": _log_prob,
    "entropy": _entropy,
    "cross_entropy": _pair("cross_entropy"),
    "kl_divergence": _pair("kl_divergence"),
}


@pytest.mark.parametrize(
    "mode", ["eager", *(pytest.param(mode, marks=pytest.mark.exhaustive) for mode in ("graph", "xla"))]
)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_beta_of_huge_tiny_and_unequal_concentrations(dtype, mode):
    """To the tolerance relative to each answer's own conditioning, the gradients to that of the whole."""

    def answers(inputs):
        return {kind: gradient_of(function, *inputs[kind]) for kind, function in QUANTITIES.items()}

    groups = {kind: [case for case in CASES if case["kind"] == kind and case["dtype"] == dtype] for kind in QUANTITIES}
    inputs = {kind: list(np.array([case["inputs"] for case in group], dtype).T) for kind, group in groups.items()}
    run = answers if mode == "eager" else tf.function(answers, jit_compile=mode == "xla")
    for kind, (value, gradients) in run(inputs).items():
        want, scale, slopes = (np.array([case[key] for case in groups[kind]]) for key in ("expected", "scale", "gradients"))
        size = np.maximum(1.0, np.maximum(np.abs(want), scale))
        error = np.abs(np.asarray(value, "float64") - want) / size
        _check(kind, error, groups[kind], value, TOLERANCE[dtype])
        for i, gradient in enumerate(gradients):
            fits = np.abs(slopes[:, i]) < np.finfo(dtype).max / 1e4
            x = np.abs(np.asarray(inputs[kind][i], "float64"))
            allowed = np.maximum(np.maximum(1.0, np.abs(slopes[:, i])), np.maximum(1.0, scale) / x)
            error = np.where(fits, np.abs(np.asarray(gradient, "float64") - slopes[:, i]) / allowed, 0.0)
            _check(f"{kind} gradient {i}", error, groups[kind], gradient, TOLERANCE[dtype])


def _check(name, error, cases, got, tolerance):
    worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    assert error[worst] <= tolerance, f"{name}: {error[worst]:.3g}, got {got[worst]} of {cases[worst]}"
