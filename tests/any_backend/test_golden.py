"""Reference numbers on another backend than TensorFlow, where each distribution's own tests have them."""

import keras
import numpy as np
import pytest
from keras import ops

import kgdists as kg
from tests.golden import TOLERANCE, assert_close, cases

if keras.backend.backend() == "tensorflow":
    pytest.skip("the tests of each distribution have these", allow_module_level=True)

DTYPES = ["float32", "float64"] if ops.convert_to_tensor(np.zeros(1)).dtype == "float64" else ["float32"]
DISTRIBUTIONS = {
    "bernoulli": kg.BernoulliDist,
    "beta": kg.BetaDist,
    "categorical": kg.CategoricalDist,
    "multi_categorical": kg.MultiCategoricalDist,
    "multivariate_normal": kg.MultivariateNormalDist,
    "normal": kg.NormalDist,
    "squashed_normal": kg.SquashedNormalDist,
}
VARIATES = ("x", "action", "labels", "actions")
METHODS = ("entropy", "mean", "mode", "variance", "cross_entropy", "kl_divergence")


def made(cls, case, dtype, prefix=""):
    """The distribution of a case's inputs whose names start with `prefix`."""
    names = (*cls.PARAM_NAMES, *cls.SUPPORT_NAMES)
    inputs = {name.removeprefix(prefix): x for name, x in case["inputs"].items()}
    return cls(
        **{name: x if name in cls.SUPPORT_NAMES else np.array(x, dtype) for name, x in inputs.items() if name in names}
    )


def compared(name, kind):
    found = [(case, dtype) for dtype in DTYPES for case in cases(name, kind, dtype)]
    return [pytest.param(name, *pair, id=f"{pair[0]['id']}-{pair[1]}") for pair in found]


@pytest.mark.parametrize(
    "name, case, dtype",
    [row for name in DISTRIBUTIONS for kind in ("single", "action") for row in compared(name, kind)],
)
def test_reference_numbers_of_one_distribution(name, case, dtype):
    dist = made(DISTRIBUTIONS[name], case, dtype)
    for key, want in case["expected"].items():
        scale = case.get("scale", {}).get(key, 0.0)
        if key in ("log_proba", "log_prob"):
            (x,) = (x for name, x in case["inputs"].items() if name in VARIATES)
            x = np.array(x, dtype if np.asarray(x).dtype.kind == "f" else "int32")
            assert_close(dist.log_proba(x), want, TOLERANCE[dtype], scale)
        elif key in METHODS:
            assert_close(getattr(dist, key)(), want, TOLERANCE[dtype], scale)


@pytest.mark.parametrize("name, case, dtype", [row for name in DISTRIBUTIONS for row in compared(name, "pair")])
def test_reference_numbers_of_two_distributions(name, case, dtype):
    p, q = (made(DISTRIBUTIONS[name], case, dtype, prefix) for prefix in ("p_", "q_"))
    for key, want in case["expected"].items():
        if key in METHODS:
            assert_close(getattr(p, key)(q), want, TOLERANCE[dtype], case.get("scale", {}).get(key, 0.0))
