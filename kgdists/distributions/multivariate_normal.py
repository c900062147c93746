"""Normal distribution with a full covariance."""

import math
from collections.abc import Sequence
from typing import Self

from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import in_full_precision
from kgdists.numerics import cholesky, special
from kgdists.random import normal

__all__ = ["MultivariateNormalDist"]

LOG_2PI = math.log(2.0 * math.pi)


class MultivariateNormalDist(Distribution):
    r"""Normal distribution over vectors of `n` dimensions that depend on each other: covariance :math:`L L^T`.

    Parameters
    ----------
    mu : float tensor, shape [B..., n]
        Mean.
    scale_tril : float tensor, shape [B..., n, n]
        The Cholesky factor L of the covariance: lower triangular, its diagonal > 0. What is above the diagonal is
        taken for 0 and has no gradient.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Raises
    ------
    ValueError
        On shapes or dtypes that do not fit and, where values are at hand, on NaN or infinite ones, a diagonal that is
        not positive or an entry above it that is not 0, unless `scale_tril` is a variable.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.MultivariateNormalDist(mu=[[0.0, 1.0]], scale_tril=[[[1.0, 0.0], [0.5, 2.0]]])
    >>> pi.sample().shape, pi.log_proba([[0.5, 0.5]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("mu", "scale_tril")
    STATIC_NAMES = ("name",)
    IS_FUSED = False  # XLA solves triangular systems in twice the time of TensorFlow

    mu: Tensor
    scale_tril: Tensor
    name: str

    def __init__(
        self,
        mu: TensorLike,
        scale_tril: TensorLike,
        *,
        name: str = "multivariate_normal_dist",
        random_seed: Seed = None,
    ) -> None:
        mu = shapes.as_float(mu, "mu")
        shapes.check_vector(mu=mu)
        shapes.check_finite(mu=mu)
        scale_tril = cholesky.as_scale_tril(scale_tril, mu)
        self.set_fields(mu=mu, scale_tril=scale_tril, name=name, random_seed=random_seed)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        r"""Draw :math:`\mu + L \epsilon`, differentiable in both parameters.

        Parameters
        ----------
        sample_shape : int or tuple of int
            Shape in front of the batch shape.
        seed : None, int or keras.random.SeedGenerator
            An int repeats the same draw.

        Returns
        -------
        float tensor, shape [*sample_shape, B..., n].
        """
        noise = normal(self.draw_shape(sample_shape), self.generator(seed), self.dtype)
        return self.mu + cholesky.multiply(self.scale_tril, noise)

    def mode(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def mean(self) -> Tensor:
        """The mean, shape [B..., n]."""
        return self.mu

    def variance(self) -> Tensor:
        """The variance of each dimension, shape [B..., n]."""
        return ops.sum(self.scale_tril * self.scale_tril, axis=-1)

    @in_full_precision
    def covariance(self) -> Tensor:
        """The covariance, shape [B..., n, n]."""
        return cholesky.covariance(self.scale_tril)

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`-\frac12 (n \log 2\pi + |z|^2) - \sum_i \log L_{ii}`, :math:`z = L^{-1} (x - \mu)`.

        Parameters
        ----------
        x : float tensor, shape [B..., n]; sample axes may come in front

        Returns
        -------
        float tensor, shape [B...] behind any sample axes.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on NaN.
        """
        z = self._standardized(self.as_variate(x))
        return -0.5 * ops.sum(LOG_2PI + z * z, axis=-1) - self._half_log_det()

    @in_full_precision
    def score(self, x: TensorLike) -> Tensor:
        r"""Gradient of the log-density in `x`: :math:`-\Sigma^{-1} (x - \mu)`, shape of `x`; `x` as for `log_proba`."""
        return -self._pulls(self._standardized(self.as_variate(x)))

    def entropy(self) -> Tensor:
        r"""Entropy :math:`\frac n2 (1 + \log 2\pi) + \sum_i \log L_{ii}`, shape [B...]."""
        return 0.5 * self.event_shape[0] * (1.0 + LOG_2PI) + self._half_log_det()

    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy :math:`-\mathrm{E}_p \log q` to `other` = q, shape [B...]:

        :math:`\frac12 (n \log 2\pi + |M|^2 + |z|^2) + \sum_i \log L_{q,ii}`,
        :math:`M = L_q^{-1} L_p,\ z = L_q^{-1} (\mu_p - \mu_q)`.
        """
        self.check_same_kind(other)
        n = self.event_shape[0]
        whitened = self._whitened_steps(other) + ops.eye(n, n + 1, dtype=self.dtype)
        squares = n * LOG_2PI + ops.sum(whitened * whitened, axis=(-2, -1))
        return 0.5 * squares + cholesky.half_log_det(other.scale_tril)

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other` = q, shape [B...], >= 0:

        :math:`\frac12 (|S|^2 + |z|^2) + \sum_i (e^{d_i} - 1 - d_i)`,
        :math:`S = L_q^{-1} (L_p - L_q),\ d_i = \log L_{p,ii} - \log L_{q,ii}`, z as for the cross-entropy.
        """
        self.check_same_kind(other)
        # With M = 1 + S, triangular as all of them are, so that its determinant is the product of exp(d): terms >= 0.
        whitened = self._whitened_steps(other)
        p, q = cholesky.diagonal(self.scale_tril), cholesky.diagonal(other.scale_tril)
        relative = (p - q) / q
        near = ops.abs(relative) < 0.5
        d = ops.where(near, ops.log1p(ops.where(near, relative, 0.0)), ops.log(p) - ops.log(q))
        squares = ops.sum(whitened * whitened, axis=(-2, -1))
        return 0.5 * squares + ops.sum(special.expm1_minus(d), axis=-1)

    def _whitened_steps(self, other):
        """`L_q^-1 (L_p - L_q)`, in which nearly equal factors keep their digits, with `L_q^-1 (mu_p - mu_q)` behind."""
        steps = ops.concatenate([self.scale_tril - other.scale_tril, (self.mu - other.mu)[..., None]], axis=-1)
        tril = other.scale_tril
        if len(tril.shape) < len(steps.shape):
            tril = tril + ops.zeros_like(steps[..., :-1])
        return ops.solve_triangular(tril, steps, lower=True)

    # The same as those of `NormalDist`, for mixtures.

    def _displaced(self, noise: Tensor) -> Tensor:
        """`mu + L noise`, where `noise` is broadcast to the batch."""
        # `cholesky.multiply`, by which `sample` draws, would repeat the noise for each component.
        return self.mu + ops.sum(self.scale_tril * noise[..., None, :], axis=-1)

    def _standardized(self, x: Tensor) -> Tensor:
        """`L^-1 (x - mu)`, where `x` is broadcast to the batch."""
        return cholesky.solve(self.scale_tril, x - self.mu)

    def _pulls(self, z: Tensor) -> Tensor:
        """`L^-T z`: of z in standard coordinates minus the gradient of the log-density in x."""
        return cholesky.solve_transposed(self.scale_tril, z)

    def _half_log_det(self) -> Tensor:
        """`log det L`."""
        return cholesky.half_log_det(self.scale_tril)
