"""Reference numbers made by other means than kgdists, and how they are compared."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from tests.marks import exhaustive

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

FOLDER = Path(__file__).parent
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
STATIC = ("low", "high", "nvec")
INTEGERS = ("labels", "actions")


def cases(name, kind, dtype="float64"):
    """The cases of one kind in `name`.json that hold in `dtype`."""
    found = [_numbers(case) for case in json.loads((FOLDER / f"{name}.json").read_text())["cases"]]
    return [case for case in found if case["kind"] == kind and (dtype == "float64" or case[dtype])]


def assert_close(got, want, tolerance, scale=0.0, name=""):
    """Assert |got - want| <= tolerance * max(1, |want|, scale); infinities must be equal, NaN wanted says nothing."""
    got, want, scale = (np.asarray(x, "float64") for x in (got, want, scale))
    assert got.shape == want.shape, name
    exact = np.isinf(want)
    np.testing.assert_array_equal(got[exact], want[exact], name)
    compared = np.isfinite(want)
    bound = tolerance * np.maximum(np.maximum(1.0, np.abs(want)), scale)
    error = np.abs(got[compared] - want[compared]) / np.broadcast_to(bound, want.shape)[compared]
    assert (error <= 1.0).all(), f"{name}: error is {np.max(error):.3g} times what is allowed\ngot {got}\nwant {want}"


def gradient_of(function, *xs):
    """Value and gradients of the sum of `function(*xs)`."""
    xs = [ops.convert_to_tensor(x) for x in xs]
    with tf.GradientTape() as tape:
        tape.watch(xs)
        value = function(*xs)
    return value, tape.gradient(value, xs, unconnected_gradients="zero")


def with_gradients(name, function, **xs):
    """Answers `name` and `grad_<name>_<x>` of `function(**xs)`."""
    value, gradients = gradient_of(lambda *values: function(**dict(zip(xs, values, strict=True))), *xs.values())
    return {name: value} | {f"grad_{name}_{x}": gradient for x, gradient in zip(xs, gradients, strict=True)}


def reference_test(name, **answer):
    """A test of all cases in `name`.json, in each dtype, eagerly and under XLA.

    `answer` has a function for each kind of case: it takes the inputs, bounds as lists of numbers and all others as
    tensors, and returns the quantities expected.
    """

    def all_answers(kind, dtype, jit_compile):
        static, inputs, groups = {}, {}, {}
        for case in cases(name, kind, dtype):
            fixed = {key: x for key, x in case["inputs"].items() if key in STATIC}
            arrays = {
                key: np.array(x, "int32" if key in INTEGERS else dtype)
                for key, x in case["inputs"].items()
                if key not in STATIC
            }
            group = str((fixed, {key: x.shape for key, x in arrays.items()})) if jit_compile else case["id"]
            static[group] = fixed
            inputs.setdefault(group, []).append(arrays)
            groups[case["id"]] = group, len(inputs[group]) - 1

        def answer_all(inputs):  # one function for all cases, so that XLA compiles only once
            return {group: answer[kind](**static[group], **arrays) for group, arrays in inputs.items()}

        # Cases that are alike but for their numbers are a batch.
        inputs = {group: keras.tree.map_structure(lambda *x: ops.stack(x), *many) for group, many in inputs.items()}
        run = tf.function(answer_all, jit_compile=True, autograph=False) if jit_compile else answer_all
        answers = keras.tree.map_structure(np.array, run(inputs))
        return {case: {key: x[place] for key, x in answers[group].items()} for case, (group, place) in groups.items()}

    @pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["eager", "xla"])
    @pytest.mark.parametrize("dtype", TOLERANCE)
    @pytest.mark.parametrize("kind", answer)
    def test_reference_numbers(kind, dtype, jit_compile):
        got = all_answers(kind, dtype, jit_compile)
        for case in cases(name, kind, dtype):
            for key, want in case["expected"].items():
                scale = case.get("scale", {}).get(key, 0.0)
                assert_close(got[case["id"]][key], want, TOLERANCE[dtype], scale, f"{case['id']}: {key}")

    return test_reference_numbers


def _numbers(value):
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value) if value in ("inf", "-inf", "nan") else value
