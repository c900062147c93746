"""Reference numbers of the methods of one family, values and gradients, and the test of them."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.golden import FOLDER
from tests.marks import exhaustive

TOLERANCE = {"float64": dict.fromkeys(("log_proba", "entropy", "cross_entropy", "kl_divergence"), 1e-12)}
TOLERANCE["float64"] |= dict.fromkeys(("cdf", "log_cdf", "survival", "log_survival", "crps"), 1e-10)
TOLERANCE["float64"] |= {"quantile": 1e-8}
TOLERANCE["float32"] = dict.fromkeys(TOLERANCE["float64"], 1e-5)
GRADIENT_TOLERANCE = {"float64": 1e-8, "float32": 1e-4}
SMALL = 1e-6  # of the conditioning of a value: what a gradient may always miss, times its tolerance


def answers(family, kind, columns, width=1):
    """A method, and its gradients, of a batch of settings: of the place or level first, where there is one.

    Each `width` columns are one vector.
    """
    sources = [tf.constant(x[:, None]) for x in columns]
    count = len(family.PARAM_NAMES)
    with tf.GradientTape() as tape:
        tape.watch(sources)
        vectors = [tf.concat(sources[i : i + width], axis=-1) for i in range(0, len(sources), width)]
        if kind == "entropy":
            value = family(*vectors).entropy()
        elif kind in ("cross_entropy", "kl_divergence"):
            value = getattr(family(*vectors[:count]), kind)(family(*vectors[count:]))
        else:
            value = getattr(family(*vectors[1:]), kind)(vectors[0])
    gradients = tape.gradient(value, sources, unconnected_gradients="zero")
    return np.ravel(value), [np.ravel(x) for x in gradients]


def errors(name, family, kind, dtype, width=1):
    """Those of values and of gradients, in units of the conditioning."""
    cases = json.loads((FOLDER / f"{name}.json").read_text())["cases"]
    cases = [each for each in cases if each["kind"] == kind and each["dtype"] == dtype]
    inputs = np.array([each["inputs"] for each in cases], dtype).T
    value, gradients = answers(family, kind, inputs, width)
    want, scale, slopes, scales = (
        np.array([each[key] for each in cases]) for key in ("expected", "scale", "gradients", "gradient_scales")
    )
    of_values = np.abs(value - want) / np.where(scale > 0.0, scale, 1.0)
    allowed = np.maximum(scales, SMALL * scale[:, None]) if dtype == "float64" else np.maximum(scales, scale[:, None])
    allowed = np.where(allowed > 0.0, allowed, 1.0)
    of_gradients = np.abs((np.stack(gradients, axis=1) - slopes) * inputs.T.astype("float64")) / allowed
    return cases, of_values, of_gradients


def golden_test(name, family, width=1):
    """A test of all cases in `name`.json, method by method, in each dtype."""
    kinds = dict.fromkeys(each["kind"] for each in json.loads((FOLDER / f"{name}.json").read_text())["cases"])

    @pytest.mark.parametrize("dtype", ["float64", *exhaustive("float32")])
    @pytest.mark.parametrize("kind", kinds)
    def test_golden_values_and_gradients(kind, dtype):
        cases, of_values, of_gradients = errors(name, family, kind, dtype, width)
        worst = int(np.argmax(np.where(np.isnan(of_values), np.inf, of_values)))
        assert of_values[worst] <= TOLERANCE[dtype][kind], (of_values[worst], cases[worst])
        most = np.max(np.where(np.isnan(of_gradients), np.inf, of_gradients), axis=1)
        worst = int(np.argmax(most))
        assert most[worst] <= GRADIENT_TOLERANCE[dtype], (of_gradients[worst], cases[worst])

    return test_golden_values_and_gradients
