"""Normal distribution with state-dependent exploration."""

from collections.abc import Sequence
from typing import Self

from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.normal import NormalDist
from kgdists.distributions.wrappers import in_full_precision
from kgdists.random import normal

__all__ = ["StateDependentNormalDist"]

FLOOR = 1e-6


class StateDependentNormalDist(Distribution):
    r"""Normal distribution whose noise is a function of features: generalised state-dependent exploration, gSDE.

    A draw is :math:`\mu_i + \sum_f \ell_{fi} \epsilon_{fi}`, where :math:`\ell` are features times standard deviations
    and :math:`\epsilon` is standard normal (Raffin et al. 2021, eq. 7). The noise depends on nothing but the seed: who
    keeps the same int or key for several steps explores along a smooth function of the features in each of them.
    For one step the dimensions are independent normals, and densities, entropies and divergences are those of
    `marginal`.

    Parameters
    ----------
    mu : float tensor, shape [B..., n]
        Mean.
    loadings : float tensor, shape [B..., f, n]
        Each of `f` features times its standard deviation in each dimension.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Raises
    ------
    ValueError
        On shapes or dtypes that do not fit and, where values are at hand, on NaN or infinite ones.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.StateDependentNormalDist(mu=[[0.0, 1.0]], loadings=[[[0.5, 0.1], [0.0, 0.3], [-0.2, 0.0]]])
    >>> pi.sample().shape, pi.log_proba([[0.5, 0.5]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("mu", "loadings")
    STATIC_NAMES = ("name",)

    mu: Tensor
    loadings: Tensor
    name: str

    def __init__(
        self,
        mu: TensorLike,
        loadings: TensorLike,
        *,
        name: str = "state_dependent_normal_dist",
        random_seed: Seed = None,
    ) -> None:
        params = shapes.as_floats(mu=mu, loadings=loadings)
        shapes.check_vector(**params)
        mean, shape = params["mu"], tuple(params["loadings"].shape)
        if len(shape) < 2 or not shape[-2] or not shapes.matches((*shape[:-2], shape[-1]), mean.shape):
            raise ValueError(
                "`loadings` must have the shape of `mu` and an axis of features before its last: nothing is broadcast. "
                f"Received: mu of shape {tuple(mean.shape)}, loadings of shape {shape}"
            )
        dtypes = [shapes.dtype_of(x) for x in params.values()]
        if dtypes[0] != dtypes[1]:
            raise ValueError(
                f"`mu` and `loadings` must have the same dtype. Received: mu of {dtypes[0]}, loadings of {dtypes[1]}"
            )
        shapes.check_finite(**params)
        self.set_fields(**params, name=name, random_seed=random_seed)

    @property
    @in_full_precision
    def marginal(self) -> NormalDist:
        r"""The `NormalDist` of one draw, of variance :math:`10^{-6} + \sum_f \ell_{fi}^2`.

        The constant keeps densities finite where all features are 0. Draws have it too.
        """
        return NormalDist(self.mu, ops.log(self.variance()))

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Draw variates, differentiable in both parameters; equal seeds mean equal noise.

        Parameters
        ----------
        sample_shape : int or tuple of int
            Shape in front of the batch shape.
        seed : None, int or keras.random.SeedGenerator
            An int repeats the same noise, for other features too.

        Returns
        -------
        float tensor, shape [*sample_shape, B..., n].
        """
        num_features, num_dims = self.loadings.shape[-2:]
        # The last row of the noise is that of the constant variance.
        noise = normal(self.draw_shape(sample_shape, (num_features + 1, num_dims)), self.generator(seed), self.dtype)
        explored = ops.sum(self.loadings * noise[..., :-1, :], axis=-2)
        return self.mu + explored + FLOOR**0.5 * noise[..., -1, :]

    def mode(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def mean(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def variance(self) -> Tensor:
        """The variance of each dimension, shape [B..., n]."""
        return FLOOR + ops.sum(self.loadings * self.loadings, axis=-2)

    def log_proba(self, x: TensorLike) -> Tensor:
        """Log-density of one draw, that of `marginal`; `x` of shape [B..., n], sample axes may come in front."""
        return self.marginal.log_proba(self.as_variate(x))

    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        """Log-density of each dimension of one draw by itself, that of `marginal`, shape of `x`."""
        return self.marginal.elementwise_log_proba(self.as_variate(x))

    def cdf(self, x: TensorLike) -> Tensor:
        """The distribution function of one draw, that of `marginal`, shape of `x`."""
        return self.marginal.cdf(self.as_variate(x))

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return self.marginal.log_cdf(self.as_variate(x))

    def survival(self, x: TensorLike) -> Tensor:
        """The probability that one draw is above, shape of `x`."""
        return self.marginal.survival(self.as_variate(x))

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return self.marginal.log_survival(self.as_variate(x))

    def quantile(self, q: TensorLike) -> Tensor:
        """The quantiles of `marginal`, shape [..., B..., n]."""
        return self.marginal.quantile(self.as_levels(q))

    def median(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def crps(self, x: TensorLike) -> Tensor:
        """The score of `marginal`, shape [B...] behind any sample axes."""
        return self.marginal.crps(self.as_variate(x))

    def entropy(self) -> Tensor:
        """Entropy of one draw, shape [B...]."""
        return self.marginal.entropy()

    def cross_entropy(self, other: Self) -> Tensor:
        """Cross-entropy to `other`, shape [B...]."""
        self.check_same_kind(other)
        return self.marginal.cross_entropy(other.marginal)

    def kl_divergence(self, other: Self) -> Tensor:
        """Kullback-Leibler divergence to `other`, shape [B...], >= 0."""
        self.check_same_kind(other)
        return self.marginal.kl_divergence(other.marginal)
