"""Entropies and divergences without a closed form: estimates, bounds, and losses of fits."""

from kgdists.divergences.importance import effective_sample_size, elbo, eubo, log_normaliser
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

__all__ = [
    "alpha_divergence",
    "cross_entropy",
    "effective_sample_size",
    "elbo",
    "entropy",
    "entropy_bounds",
    "eubo",
    "forward_kl_loss",
    "jensen_shannon_divergence",
    "kl_divergence",
    "kl_divergence_approximation",
    "kl_divergence_bounds",
    "log_normaliser",
    "reverse_kl",
    "reverse_kl_loss",
]
