"""Gradients are finite and agree with central differences."""

import functools

import numpy as np

from kgdists.distributions.distribution import Distribution
from kgdists.testing.requirements import closed_form, require_close
from kgdists.testing.values import as_array, flat, gradients_of, moved, repeated

__all__ = ["check_gradients"]


def check_gradients(p: Distribution, q: Distribution, rng: np.random.Generator, seed: int) -> None:
    """Along one random direction in each parameter; the parameters moved up and down are rows of one batch."""
    x, leaves = p.sample_action(seed), [as_array(leaf) for leaf in flat(p)]
    functions = {
        "log_proba": lambda p, q, x: p.log_proba(x),
        "entropy": lambda p, q, x: p.entropy(),
        "cross_entropy": lambda p, q, x: p.cross_entropy(q),
        "kl_divergence": lambda p, q, x: p.kl_divergence(q),
    }
    step, tolerance = (1e-5, 1e-6) if p.dtype == "float64" else (1e-2, 2e-3)
    directions = []
    for leaf in leaves:
        direction = np.where(np.isfinite(leaf), rng.choice([-1.0, 1.0], size=leaf.shape), 0.0)
        directions.append(direction * np.where(leaf == 0, 1.0, np.minimum(1.0, np.abs(leaf))))
    signs = np.kron(step * np.eye(len(leaves)), [[1.0], [-1.0]])
    moves = [sign.reshape(-1, *[1] * v.ndim) * v for sign, v in zip(signs.T, directions, strict=True)]
    rows = [repeated(tree, len(signs)) for tree in (p, q, x)]
    rows[0] = moved(rows[0], moves)
    for method, function in functions.items():
        values = closed_form(function, *rows)
        if values is None:
            continue
        values = as_array(values).reshape(len(leaves), 2, *p.batch_shape)
        gradients = gradients_of(functools.partial(function, q=q, x=x), p)
        for name, gradient, direction, (up, down) in zip(p.params, gradients, directions, values, strict=True):
            if not np.isfinite(gradient).all():
                raise AssertionError(f"gradient of {method} in `{name}` is not finite")
            slope = np.sum((gradient * direction).reshape(*up.shape, -1), axis=-1)
            allowed = tolerance * (1.0 + np.abs(slope) + np.abs(up))
            what = f"gradient of {method} in `{name}` differs from central differences"
            require_close(what, slope, (up - down) / (2 * step), allowed)
