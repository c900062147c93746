"""Closed forms agree with their Monte Carlo estimates."""

from typing import Any

import numpy as np

from kgdists.distributions.distribution import Distribution
from kgdists.testing.requirements import ROUNDING, closed_form, estimate, require_close
from kgdists.testing.values import as_array, first_row, flat, repeated, shape_of

__all__ = ["check_closed_forms", "check_moments"]


def check_moments(dist: Distribution, x: Any) -> None:
    mean, variance = closed_form(dist.mean), closed_form(dist.variance)
    if mean is None or shape_of(first_row(x)) != shape_of(mean):
        return  # labels and the like
    for leaf, center in zip(flat(x), flat(mean), strict=True):
        require_close("mean differs from that of draws", center, *estimate(leaf))
    if variance is not None:
        for leaf, center, spread in zip(flat(x), flat(mean), flat(variance), strict=True):
            squares = (as_array(leaf) - as_array(center)) ** 2
            require_close("variance differs from that of draws", spread, *estimate(squares))


def check_closed_forms(p: Distribution, q: Distribution, many: Distribution, x: Any) -> None:
    log_p = as_array(many.log_proba(x))
    log_q = as_array(repeated(q, len(log_p)).log_proba(x))
    ratio = as_array(many.proba_ratio(x, repeated(q, len(log_p))))
    require_close("proba_ratio differs from that of the densities", ratio, np.exp(log_p - log_q), 1e-5 * ratio)
    estimates = {
        "entropy": (closed_form(p.entropy), -log_p),
        "cross_entropy": (closed_form(p.cross_entropy, q), -log_q),
        "kl_divergence": (closed_form(p.kl_divergence, q), log_p - log_q),
    }
    value = estimates["kl_divergence"][0]
    if value is not None:
        if np.min(as_array(value)) < -ROUNDING:
            raise AssertionError(f"kl_divergence is negative: {np.min(as_array(value)):.6g}")
        own = as_array(p.kl_divergence(p))
        require_close("kl_divergence to itself is not 0", own, 0.0 * own, 0.0)
    for name, (value, terms) in estimates.items():
        if value is not None:
            require_close(f"{name} differs from its Monte Carlo estimate", value, *estimate(terms))
