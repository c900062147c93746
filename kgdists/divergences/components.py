"""The components of mixtures as distributions of their own."""

from kgdists.distributions import GaussianMixtureDist, MultivariateNormalDist, NormalDist
from kgdists.divergences.sampling import as_density

__all__ = ["as_mixture", "components"]


def as_mixture(p, name):
    """`p`, which must be a Gaussian mixture or a target of one, in full precision."""
    p = as_density(p)
    if not isinstance(p, GaussianMixtureDist):
        raise TypeError(f"`{name}` must be a GaussianMixtureDist. Received: {type(p).__name__}")
    return p


def components(mixture):
    """The components of a Gaussian mixture as one distribution of batch shape [B..., K]."""
    if "logvar" in mixture.PARAM_NAMES:
        return NormalDist(mixture.mu, mixture.logvar)
    return MultivariateNormalDist(mixture.mu, mixture.scale_tril)
