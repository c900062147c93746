"""Ranks, gradients, updates, relative entropies, coordinates and errors against reference numbers."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from kgdists import evolution
from kgdists.evolution import ExpGaussian, SeparableGaussian, rank
from tests.golden import assert_close, cases

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
CLASSES = ["SeparableGaussian", "SymmetricSeparableGaussian", "ExpSeparableGaussian", "ExpGaussian"]
# Compiled are as many as there are paths through the formulas.
COMPILED = {
    "float64": (
        "SeparableGaussian-divide-total_weight-weight_stdev",
        "SeparableGaussian-parenthood-0.5-min",
        "SymmetricSeparableGaussian-raw-max",
        "ExpSeparableGaussian-nes-max",
        "ExpGaussian-linear-min",
    ),
    "float32": ("SymmetricSeparableGaussian-centered-min", "ExpGaussian-normalized-max"),
}
# Where the reference lets sigma become negative, it stays positive.
FLOORED = ("SeparableGaussian-raw-min", "SeparableGaussian-negative-sigma")


def name_of(case):
    return case["id"].split("/")[-1]


def contract(kind, dtype="float64"):
    return [case for case in cases("search_gaussians", kind, dtype) if "reference_only" not in case.get("tags", ())]


def table(kind):
    return pytest.mark.parametrize(
        "case, dtype",
        [
            pytest.param(case, dtype, id=f"{name_of(case)}-{dtype}")
            for dtype in TOLERANCE
            for case in contract(kind, dtype)
        ],
    )


def arrays(inputs, dtype):
    """The lists of the inputs as tensors."""
    if isinstance(inputs, dict):
        return {name: arrays(x, dtype) for name, x in inputs.items()}
    return tf.constant(inputs, dtype) if isinstance(inputs, list) else inputs


def assert_all_close(got, want, dtype, scale=None):
    for name, x in want.items():
        if isinstance(x, dict):
            assert_all_close(got[name], x, dtype, (scale or {}).get(name))
        else:
            assert_close(got[name], x, TOLERANCE[dtype], (scale or {}).get(name, 0.0))


def step(inputs, tensors):
    distribution = getattr(evolution, inputs["class"])({**inputs["parameters"], **tensors["parameters"]})
    gradients = distribution.compute_gradients(
        tensors["samples"],
        tensors["fitnesses"],
        objective_sense=inputs["objective_sense"],
        ranking_method=inputs["ranking_method"],
    )
    updated = distribution.update_parameters(gradients, learning_rates=inputs["learning_rates"])
    ranks = rank(tensors["fitnesses"], inputs["ranking_method"], inputs["objective_sense"] == "max")
    tensors = {name: x for name, x in updated.parameters.items() if tf.is_tensor(x)}
    return {"ranks": ranks, "gradients": gradients, "updated": tensors}


def tensors_of(case, dtype):
    inputs = {name: case["inputs"][name] for name in ("parameters", "samples", "fitnesses")}
    inputs["parameters"] = {name: x for name, x in inputs["parameters"].items() if isinstance(x, list)}
    return arrays(inputs, dtype)


def check_step(case, dtype, got):
    want = dict(case["expected"])
    if name_of(case) in FLOORED:
        assert (got["updated"]["sigma"].numpy() > 0.0).all()
        want["updated"] = {"mu": want["updated"]["mu"]}
    assert_all_close(got, want, dtype, case.get("scale"))


@pytest.mark.few(61)
@table("step")
def test_a_step(case, dtype):
    check_step(case, dtype, step(case["inputs"], tensors_of(case, dtype)))


@functools.cache
def compiled_steps(dtype):
    found = {name_of(case): case for case in contract("step", dtype) if name_of(case) in COMPILED[dtype]}
    # One function for all cases, so that XLA compiles only once.
    function = tf.function(
        lambda tensors: {name: step(found[name]["inputs"], x) for name, x in tensors.items()},
        jit_compile=True,
        autograph=False,
    )
    return found, function({name: tensors_of(case, dtype) for name, case in found.items()})


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype, name", [(dtype, name) for dtype, names in COMPILED.items() for name in names])
def test_a_compiled_step(dtype, name):
    found, steps = compiled_steps(dtype)
    check_step(found[name], dtype, steps[name])


def test_where_the_reference_has_a_negative_sigma():
    (case,) = (case for case in cases("search_gaussians", "step") if name_of(case) in FLOORED[1:])
    check_step(case, "float64", step(case["inputs"], tensors_of(case, "float64")))


@table("ranking")
def test_ranks(case, dtype):
    inputs = case["inputs"]
    fitnesses = tf.constant(inputs["fitnesses"], dtype)
    got = rank(fitnesses, inputs["ranking_method"], inputs["objective_sense"] == "max")
    assert_close(got, case["expected"]["ranks"], TOLERANCE[dtype])


@table("relative_entropy")
@pytest.mark.parametrize("name", CLASSES)
def test_relative_entropies(case, dtype, name):
    p, q = (getattr(evolution, name)(arrays(case["inputs"][x], dtype)) for x in "pq")
    assert_all_close({"relative_entropy": p.relative_entropy(q)}, case["expected"], dtype, case["scale"])


@table("coordinates")
def test_coordinates(case, dtype):
    inputs = arrays(case["inputs"], dtype)
    distribution = ExpGaussian({"mu": inputs["mu"], "sigma": inputs["sigma"]})
    solutions = distribution.to_global_coordinates(inputs["local"])
    want = {name: x for name, x in case["expected"].items() if name != "cov_evotorch"}  # not that of the samples
    got = {
        "global": solutions,
        "local_again": distribution.to_local_coordinates(solutions),
        "sigma_inv": distribution.A_inv,
        "cov_of_samples": distribution.cov,
    }
    assert_all_close(got, want, dtype, case.get("scale"))


# Errors. Not among them: `mu` with two axes is a batch of searches, and every relative entropy exists.

X, F = np.zeros((4, 3)), np.arange(4.0)


def make(kind, **parameters):
    return kind({"mu": np.zeros(3), "sigma": np.ones(3)} | parameters)


def update(distribution, missing=None, **options):
    gradients = distribution.compute_gradients(X, F, objective_sense="max")
    return distribution.update_parameters(
        {name: x for name, x in gradients.items() if name != missing}, learning_rates={"mu": 0.1}, **options
    )


CALLS = {
    "sigma missing": lambda kind: kind({"mu": np.zeros(3)}),
    "unknown parameter name": lambda kind: make(kind, tau=1.0),
    "sigma longer than mu": lambda kind: make(kind, sigma=np.ones(4)),
    "solution_length differs from the length of mu": lambda kind: kind(
        {"mu": np.zeros(3), "sigma": np.ones(3)}, solution_length=4
    ),
    "mu with two axes": lambda kind: make(kind, mu=np.zeros((2, 3)), sigma=np.ones((2, 3))),
    "divide_mu_grad_by given": lambda kind: make(kind, divide_mu_grad_by="num_solutions"),
    "parenthood_ratio given": lambda kind: make(kind, parenthood_ratio=0.5),
    "divide_mu_grad_by with an unknown value": lambda kind: make(kind, divide_mu_grad_by="all"),
    "sigma zero": lambda kind: make(kind, sigma=np.zeros(3)),
    "neither num_solutions nor out": lambda kind: make(kind).sample(),
    "both num_solutions and out": lambda kind: make(kind).sample(4, out=tf.Variable(X)),
    "out with one axis": lambda kind: make(kind).sample(out=tf.Variable(F)),
    "out with the wrong number of columns": lambda kind: make(kind).sample(out=tf.Variable(X[:, :2])),
    "odd num_solutions": lambda kind: make(kind).sample(3),
    "objective_sense neither min nor max": lambda kind: make(kind).compute_gradients(X, F, objective_sense="up"),
    "unknown ranking_method": lambda kind: make(kind).compute_gradients(
        X, F, objective_sense="max", ranking_method="best"
    ),
    "fewer fitnesses than samples": lambda kind: make(kind).compute_gradients(X, F[:3], objective_sense="max"),
    "fitnesses with two axes": lambda kind: make(kind).compute_gradients(X, F[:, None], objective_sense="max"),
    "samples with one axis": lambda kind: make(kind).compute_gradients(X[0], F, objective_sense="max"),
    "a gradient is missing": lambda kind: update(make(kind), missing="d" if kind is ExpGaussian else "mu"),
    "learning rate and optimizer for one parameter": lambda kind: update(make(kind), optimizers={"mu": 1.0}),
    "no learning rates": lambda kind: make(kind).update_parameters(
        make(kind).compute_gradients(X, F, objective_sense="max")
    ),
    "of two of this class": lambda kind: make(kind).relative_entropy(make(kind)),
}


@pytest.mark.parametrize("case", contract("error"), ids=name_of)
def test_errors_are_value_errors(case):
    what, kind = case["inputs"]["what"], getattr(evolution, case["inputs"]["class"])
    separable = issubclass(kind, SeparableGaussian)
    accepted = (
        ("mu with two axes", "no learning rates", "of two of this class")
        + ("divide_mu_grad_by given", "parenthood_ratio given") * separable
        + ("odd num_solutions",) * (kind is not evolution.SymmetricSeparableGaussian)
    )
    if what in accepted:
        CALLS[what](kind)
    else:
        with pytest.raises(ValueError, match="Received"):
            CALLS[what](kind)
