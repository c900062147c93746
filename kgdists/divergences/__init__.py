"""Entropies and divergences without a closed form: estimates, bounds, and losses of fits."""

import warnings
from typing import Any

from kgdists.divergences.calibration import probability_integral_transform
from kgdists.divergences.importance import effective_sample_size, elbo, eubo, log_normalizer
from kgdists.divergences.kl_losses import forward_kl_loss, reverse_kl_loss
from kgdists.divergences.mixture_bounds import entropy_bounds, kl_divergence_approximation, kl_divergence_bounds
from kgdists.divergences.monte_carlo import (
    alpha_divergence,
    cross_entropy,
    entropy,
    jensen_shannon_divergence,
    kl_divergence,
    reverse_kl,
)
from kgdists.divergences.scores import crps, energy_score

__all__ = [
    "alpha_divergence",
    "crps",
    "cross_entropy",
    "effective_sample_size",
    "elbo",
    "energy_score",
    "entropy",
    "entropy_bounds",
    "eubo",
    "forward_kl_loss",
    "jensen_shannon_divergence",
    "kl_divergence",
    "kl_divergence_approximation",
    "kl_divergence_bounds",
    "log_normalizer",
    "probability_integral_transform",
    "reverse_kl",
    "reverse_kl_loss",
]


def __getattr__(name: str) -> Any:
    if name == "log_normaliser":
        warnings.warn(
            "`log_normaliser` is `log_normalizer` now: its old name goes in 0.3", DeprecationWarning, stacklevel=2
        )
        return log_normalizer
    raise AttributeError(f"module 'kgdists.divergences' has no attribute {name!r}")
