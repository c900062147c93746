"""The density integrates to one."""

from typing import Any

import numpy as np

from kgdists.distributions.distribution import Distribution
from kgdists.testing.requirements import estimate, require_close
from kgdists.testing.values import as_array, flat, is_float, repeated, rows_of, width_of

__all__ = ["check_normalisation"]


def check_normalisation(dist: Distribution, many: Distribution, x: Any, rng: np.random.Generator) -> None:
    """Importance sampling of the integral, with the product of the draws' histograms as proposal."""
    rows, _, unpack = rows_of(many, x)
    is_integer = np.concatenate([np.full(width_of(many, leaf), not is_float(leaf)) for leaf in flat(x)])
    half = rows.shape[1] // 2
    if any(_is_flat(row[:, ~is_integer]) for row in rows):
        return  # a simplex, for instance: the density is not that of all coordinates
    proposed = np.empty_like(rows[:, :half])
    log_q, inside = np.zeros(proposed.shape[:2]), np.ones(proposed.shape[:2], bool)
    for i, integer in enumerate(is_integer):
        columns = [_propose(row[:half, i], row[half : 2 * half, i], integer, rng) for row in rows]
        proposed[..., i], log_q_i, inside_i = (np.stack(parts) for parts in zip(*columns, strict=True))
        log_q, inside = log_q + log_q_i, inside & inside_i
    log_p = as_array(repeated(dist, half).log_proba(unpack(proposed))).reshape(half, -1).T
    weight = np.exp(log_p - log_q)
    effective = np.sum(weight, axis=1) ** 2 / np.maximum(np.sum(weight**2, axis=1), 1e-300)
    # Without an effective sample, or a draw in the box, nothing can be said.
    known = (effective > 100) & inside.any(axis=1)
    (total, total_error), (mass, mass_error) = estimate(weight.T), estimate(inside.T)
    error = np.sqrt(total_error**2 + mass_error**2)
    require_close(
        "integral of exp(log_proba) over a box differs from the share of draws in it",
        *(values[known] for values in (total, mass, error)),
    )


def _propose(seen, fresh, integer, rng):
    """Draws of a marginal like that of `seen`, the logarithm of their density, and which of `fresh` are inside."""
    if integer or np.all(seen == seen[0]):
        values, counts = np.unique(seen, return_counts=True)
        i = rng.choice(len(values), len(seen), p=counts / len(seen))
        return values[i], np.log(counts / len(seen))[i], np.isin(fresh, values)
    # Atoms at single points make empty bins, which are left out.
    edges = np.unique(np.quantile(seen, np.linspace(0.0, 1.0, 65)))
    i = rng.integers(len(edges) - 1, size=len(seen))
    width = np.diff(edges)[i]
    inside = (fresh > edges[0]) & (fresh < edges[-1]) & ~np.isin(fresh, edges)
    return edges[i] + width * rng.random(len(seen)), -np.log(width * (len(edges) - 1)), inside


def _is_flat(row):
    """Whether points lie in a plane of fewer dimensions than they vary in."""
    row = row[:, row.std(axis=0) > 0]
    if row.shape[1] < 2:
        return False
    row = (row - row.mean(axis=0)) / row.std(axis=0)
    return np.linalg.matrix_rank(row, tol=1e-4 * np.sqrt(len(row))) < row.shape[1]
