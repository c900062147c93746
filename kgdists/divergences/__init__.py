"""Divergences without a closed form: Monte Carlo estimates with standard errors, and losses of fits."""

from kgdists.divergences.monte_carlo import cross_entropy, entropy, kl_divergence
from kgdists.divergences.training import forward_kl_loss, reverse_kl_loss

__all__ = ["cross_entropy", "entropy", "forward_kl_loss", "kl_divergence", "reverse_kl_loss"]
