"""Mixture of normal distributions, with diagonal or full covariances."""

import math

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.distributions import one_hot
from kgdists.distributions.distribution import Distribution, draws, in_full_precision
from kgdists.numerics import cholesky, special
from kgdists.random import normal, split

__all__ = ["GaussianMixtureDist"]

INF = float("inf")
LOG_2PI = math.log(2.0 * math.pi)
FAR = {dtype: np.array(far, dtype) for dtype, far in {"float32": 1e19, "float64": 1e154}.items()}


class GaussianMixtureDist(Distribution):
    r"""Mixture of K normal distributions over vectors of `n` dimensions: :math:`\sum_k w_k N(\mu_k, \Sigma_k)`.

    Parameters
    ----------
    logits : float tensor, shape [B..., K]
        Unnormalised log-weights. `-inf` takes a component out.
    mu : float tensor, shape [B..., K, n]
        Means of the components.
    logvar : None or float tensor, shape [B..., K, n]
        Logarithms of the variances of components with independent dimensions.
    scale_tril : None or float tensor, shape [B..., K, n, n]
        Cholesky factors of full covariances, as for a `MultivariateNormalDist`. Exactly one of `logvar` and
        `scale_tril` is given.
    gumbel_tau : float, > 0
        Temperature at which `sample` chooses among the components.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Raises
    ------
    ValueError
        On shapes or dtypes that do not fit and, where values are at hand, on NaN, no component at all, or factors that
        are not proper.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.GaussianMixtureDist(logits=[0.0, 1.0], mu=[[-1.0, 0.0], [1.0, 0.0]], logvar=[[0.0, 0.0], [-1.0, -1.0]])
    >>> pi.sample(5).shape, pi.log_proba([0.5, 0.5]).shape
    (TensorShape([5, 2]), TensorShape([]))
    """

    PARAM_NAMES = ("logits", "mu", "logvar")
    STATIC_NAMES = ("gumbel_tau", "name")
    REPARAMETERIZED = False

    def __init__(
        self,
        logits,
        mu,
        logvar=None,
        scale_tril=None,
        *,
        gumbel_tau=0.2,
        name="gaussian_mixture_dist",
        random_seed=None,
    ):
        if (logvar is None) == (scale_tril is None):
            received = "neither" if logvar is None else "both"
            raise ValueError(f"Exactly one of `logvar` and `scale_tril` must be given. Received: {received}")
        logits, mu = shapes.as_float(logits, "logits"), shapes.as_float(mu, "mu")
        shapes.check_vector(logits=logits, mu=mu)
        if not shapes.matches(mu.shape[:-1], logits.shape):
            raise ValueError(
                "`mu` must have the shape of `logits` and one more axis: nothing is broadcast. "
                f"Received: logits of shape {tuple(logits.shape)}, mu of shape {tuple(mu.shape)}"
            )
        if shapes.dtype_of(mu) != shapes.dtype_of(logits):
            raise ValueError(
                "`logits` and `mu` must have the same dtype. "
                f"Received: logits of {shapes.dtype_of(logits)}, mu of {shapes.dtype_of(mu)}"
            )
        one_hot.check_logits(logits)
        shapes.check_finite(mu=mu)
        if not (isinstance(gumbel_tau, (int, float)) and not isinstance(gumbel_tau, bool) and 0 < gumbel_tau < INF):
            raise ValueError(f"`gumbel_tau` must be a finite number > 0. Received: gumbel_tau={gumbel_tau!r}")
        if scale_tril is None:
            logvar = shapes.as_float(logvar, "logvar")
            shapes.check_same(mu=mu, logvar=logvar)
            shapes.check_finite(logvar=logvar)
            spread = {"logvar": logvar}
        else:
            spread = {"scale_tril": cholesky.as_scale_tril(scale_tril, mu)}
        self.set_fields(
            PARAM_NAMES=("logits", "mu", *spread),
            logits=logits,
            mu=mu,
            **spread,
            gumbel_tau=float(gumbel_tau),
            name=name,
            random_seed=random_seed,
        )

    @property
    def event_shape(self):
        """Static shape of one variate, a tuple."""
        return tuple(self.mu.shape[-1:])

    @property
    def num_components(self):
        """The number of components, K."""
        return self.logits.shape[-1]

    @property
    @in_full_precision
    def log_weights(self):
        """Log-probabilities of the components, shape [B..., K]."""
        return ops.log_softmax(self.logits, axis=-1)

    @draws
    @in_full_precision
    def sample(self, sample_shape=(), seed=None, hard=False):
        r"""Draw differentiably in all parameters, the choice of the component relaxed.

        Each component draws :math:`x_k = \mu_k + \sigma_k \epsilon` of a noise in common, and the result is
        :math:`\sum_k y_k x_k`, y a Gumbel-softmax sample of the weights at `gumbel_tau` (Jang et al. 2017): near one
        of the components most of the time, but now and then in between. With `hard`, and from `sample_action`, draws
        are exact.

        Parameters
        ----------
        sample_shape : int or tuple of int
            Shape in front of the batch shape.
        seed : None, int or keras.random.SeedGenerator
            An int repeats the same draw.
        hard : bool
            Take one component: an exact draw, with the gradient of the relaxed choice (straight-through), which is
            exact for means and spreads and biased for logits.

        Returns
        -------
        float tensor, shape [*sample_shape, B..., n].
        """
        choice_seed, noise_seed = split(self.generator(seed), 2)
        scores = one_hot.gumbel_scores(
            self.log_weights, self.draw_shape(sample_shape, self.logits.shape[-1:]), choice_seed
        )
        y = one_hot.gumbel_softmax(scores / self.gumbel_tau, hard)
        noise = normal(self.draw_shape(sample_shape), noise_seed, self.dtype)[..., None, :]
        if "logvar" in self.PARAM_NAMES:
            steps = ops.exp(0.5 * self.logvar) * noise
        else:
            steps = ops.sum(self.scale_tril * noise[..., None, :], axis=-1)
        return ops.sum(y[..., None] * (self.mu + steps), axis=-2)

    @draws
    def sample_action(self, seed=None):
        """Draw exactly from the mixture, shape [B..., n]."""
        return self.sample(seed=seed, hard=True)

    @in_full_precision
    def log_proba(self, x):
        r"""Log-density :math:`\log \sum_k w_k N(x; \mu_k, \Sigma_k)`.

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
        return ops.logsumexp(self._joint_log_proba(x)[0], axis=-1)

    @in_full_precision
    def responsibilities(self, x):
        """Probabilities of the components given `x`, shape [B..., K] behind any sample axes; `x` as for `log_proba`."""
        return _shares(self._joint_log_proba(x)[0])

    @in_full_precision
    def score(self, x):
        r"""Gradient of the log-density in `x`: :math:`-\sum_k r_k \Sigma_k^{-1} (x - \mu_k)`, shape of `x`."""
        joint, z = self._joint_log_proba(x)
        if "logvar" in self.PARAM_NAMES:
            pulls = special.standardized(z, self.logvar)
        else:
            pulls = cholesky.solve_transposed(self.scale_tril, z)
        return -ops.sum(_shares(joint)[..., None] * pulls, axis=-2)

    @in_full_precision
    def mode(self):
        """The mean of a component, the one at which the density of the mixture is highest, shape [B..., n].

        It is the peak where components lie apart, and near it where they overlap.
        """
        axis = len(self.logits.shape) - 1
        centres = ops.moveaxis(self.mu, axis, 0)
        densities = ops.moveaxis(self.log_proba(centres), 0, -1)
        present = ops.where(ops.equal(self.logits, -INF), -INF, densities)
        best = ops.one_hot(ops.argmax(present, axis=-1), self.num_components, dtype=self.dtype)
        return ops.sum(best[..., None] * self.mu, axis=-2)

    @in_full_precision
    def mean(self):
        """The mean of the mixture, shape [B..., n]."""
        return ops.sum(ops.exp(self.log_weights)[..., None] * self.mu, axis=-2)

    @in_full_precision
    def variance(self):
        """The variance of each dimension: within components and between their means, shape [B..., n]."""
        between = self.mu - self.mean()[..., None, :]
        if "logvar" in self.PARAM_NAMES:
            within = ops.exp(self.logvar)
        else:
            within = ops.sum(self.scale_tril * self.scale_tril, axis=-1)
        return ops.sum(ops.exp(self.log_weights)[..., None] * (within + between * between), axis=-2)

    @in_full_precision
    def covariance(self):
        """The covariance of the mixture: within components and between their means, shape [B..., n, n]."""
        between = self.mu - self.mean()[..., None, :]
        if "logvar" in self.PARAM_NAMES:
            within = ops.exp(self.logvar)[..., None] * ops.eye(self.event_shape[0], dtype=self.dtype)
        else:
            within = cholesky.covariance(self.scale_tril)
        weights = ops.exp(self.log_weights)[..., None, None]
        return ops.sum(weights * (within + between[..., :, None] * between[..., None, :]), axis=-3)

    def _joint_log_proba(self, x):
        """Logarithms of `w_k N(x; mu_k, Sigma_k)`, shape [..., B..., K], and x in their standard coordinates."""
        steps = self.as_variate(x)[..., None, :] - self.mu
        if "logvar" in self.PARAM_NAMES:
            z, half_log_det = special.standardized(steps, self.logvar), 0.5 * ops.sum(self.logvar, axis=-1)
        else:
            z, half_log_det = cholesky.solve(self.scale_tril, steps), cholesky.half_log_det(self.scale_tril)
        # A component so far that z^2 overflows has density 0. Its z is 0, for gradients that are finite.
        far = ops.abs(z) > FAR[self.dtype]
        z = ops.where(far, 0.0, z)
        joint = self.log_weights - 0.5 * ops.sum(LOG_2PI + z * z, axis=-1) - half_log_det
        return ops.where(ops.any(far, axis=-1), -INF, joint), z


def _shares(joint):
    # Keras' softmax warns of a single component.
    return ops.exp(ops.log_softmax(joint, axis=-1))
