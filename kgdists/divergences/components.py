"""The components of mixtures as distributions of their own."""

from kgdists.distributions import GaussianMixtureDist, MultivariateNormalDist, NormalDist

__all__ = ["check_mixture", "components"]


def check_mixture(**dists):
    """Raise unless each is a Gaussian mixture."""
    for name, dist in dists.items():
        if not isinstance(dist, GaussianMixtureDist):
            raise TypeError(f"`{name}` must be a GaussianMixtureDist. Received: {type(dist).__name__}")


def components(mixture):
    """The components of a Gaussian mixture as one distribution of batch shape [B..., K]."""
    if "logvar" in mixture.PARAM_NAMES:
        return NormalDist(mixture.mu, mixture.logvar)
    return MultivariateNormalDist(mixture.mu, mixture.scale_tril)
