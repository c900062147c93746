"""Mixture of normal distributions, with diagonal or full covariances."""

import math
from collections.abc import Sequence

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions import one_hot
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.mixture import MixtureDist
from kgdists.distributions.multivariate_normal import MultivariateNormalDist
from kgdists.distributions.normal import NormalDist
from kgdists.distributions.temperature import as_temperature, over_events
from kgdists.distributions.wrappers import in_full_precision
from kgdists.numerics import cholesky
from kgdists.numerics import normal as gaussian
from kgdists.random import normal, split, uniform

__all__ = ["GaussianMixtureDist"]

INF = float("inf")
LOG_2PI = math.log(2.0 * math.pi)
FAR = {dtype: np.array(far, dtype) for dtype, far in {"float32": 1e19, "float64": 1e154}.items()}


class GaussianMixtureDist(Distribution):
    r"""Mixture of K normal distributions over vectors of `n` dimensions: :math:`\sum_k w_k N(\mu_k, \Sigma_k)`.

    Parameters
    ----------
    logits : None or float tensor, shape [B..., K]
        Unnormalised log-weights. `-inf` takes a component out.
    mu : float tensor, shape [B..., K, n]
        Means of the components.
    logvar : None or float tensor, shape [B..., K, n]
        Logarithms of the variances of components with independent dimensions.
    scale_tril : None or float tensor, shape [B..., K, n, n]
        Cholesky factors of full covariances, as for a `MultivariateNormalDist`. Exactly one of `logvar` and
        `scale_tril` is given.
    gumbel_tau : float or float tensor, > 0, shape [] or [B...]
        Temperature at which `relaxed_sample` chooses among the components. A number is static. A tensor is one more
        parameter, of shape [B...], which gradients reach; a variable is read.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.
    probs : None or float tensor, 0 to 1, shape [B..., K]
        Weights in the place of `logits`: exactly one of the two is given. Each row sums to 1, to rounding.

    Raises
    ------
    ValueError
        On shapes or dtypes that do not fit and, where values are at hand, on NaN, no component at all, `probs` that are
        none, or factors that are not proper.

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
    IS_FUSED = False

    logits: Tensor
    mu: Tensor
    logvar: Tensor  # one of these two
    scale_tril: Tensor
    gumbel_tau: float | Tensor
    name: str

    def __init__(
        self,
        logits: TensorLike | None = None,
        mu: TensorLike | None = None,
        logvar: TensorLike | None = None,
        scale_tril: TensorLike | None = None,
        *,
        gumbel_tau: TensorLike = 0.2,
        name: str = "gaussian_mixture_dist",
        random_seed: Seed = None,
        probs: TensorLike | None = None,
    ) -> None:
        if (logvar is None) == (scale_tril is None):
            received = "neither" if logvar is None else "both"
            raise ValueError(f"Exactly one of `logvar` and `scale_tril` must be given. Received: {received}")
        if mu is None:
            raise ValueError("`mu` must be given: the means of the components. Received: mu=None")
        kind, weights = one_hot.given(logits, probs)
        weights = one_hot.logits_of(weights) if kind == "probs" else weights
        means: Tensor = shapes.as_float(mu, "mu")
        shapes.check_vector(logits=weights, mu=means)
        if not shapes.matches(means.shape[:-1], weights.shape):
            raise ValueError(
                "`mu` must have the shape of `logits` and one more axis: nothing is broadcast. "
                f"Received: logits of shape {tuple(weights.shape)}, mu of shape {tuple(means.shape)}"
            )
        if shapes.dtype_of(means) != shapes.dtype_of(weights):
            raise ValueError(
                "`logits` and `mu` must have the same dtype. "
                f"Received: logits of {shapes.dtype_of(weights)}, mu of {shapes.dtype_of(means)}"
            )
        one_hot.check_logits(weights)
        shapes.check_finite(mu=means)
        spread: dict[str, Tensor] = {}
        if logvar is not None:
            spread["logvar"] = shapes.as_float(logvar, "logvar")
            shapes.check_same(mu=means, **spread)
            shapes.check_finite(**spread)
        if scale_tril is not None:
            spread["scale_tril"] = cholesky.as_scale_tril(scale_tril, means)
        self.set_fields(
            PARAM_NAMES=("logits", "mu", *spread),
            logits=weights,
            mu=means,
            **spread,
            gumbel_tau=as_temperature("gumbel_tau", gumbel_tau, weights),
            name=name,
            random_seed=random_seed,
        )

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Static shape of one variate, a tuple."""
        return tuple(self.mu.shape[-1:])

    @property
    def num_components(self) -> int:
        """The number of components, K."""
        return self.logits.shape[-1]

    @property
    def components(self) -> NormalDist | MultivariateNormalDist:
        """The components as one distribution of batch shape [B..., K], without their weights.

        It is a `NormalDist` if the mixture has log-variances, a `MultivariateNormalDist` if it has factors. It shares
        the mixture's parameters, which gradients reach through it, and its stream of draws. Nothing is broadcast: its
        `log_proba` takes one `x` for each component, shape [B..., K, n].

        Examples
        --------
        >>> import kgdists as kg
        >>> pi = kg.GaussianMixtureDist(logits=[0.0, 1.0], mu=[[-1.0], [1.0]], logvar=[[0.0], [-1.0]])
        >>> pi.components.batch_shape, pi.components.log_proba([[-1.0], [1.0]]).shape
        ((2,), TensorShape([2]))
        """
        kind: type[NormalDist | MultivariateNormalDist]
        if "logvar" in self.PARAM_NAMES:
            kind, spread = NormalDist, self.logvar
        else:
            # Again lower triangular, so that a leaf of this node too has no gradient above its diagonal.
            kind, spread = MultivariateNormalDist, ops.tril(self.scale_tril)
        # Not by the constructor: all has been checked, and each method of the mixture asks for its components.
        return kind._unflatten((kind.PARAM_NAMES, "components", self._stream), (self.mu, spread))

    @property
    @in_full_precision
    def log_weights(self) -> Tensor:
        """Log-probabilities of the components, shape [B..., K]."""
        return ops.log_softmax(self.logits, axis=-1)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        r"""Draw exactly: a component k by its weight, then :math:`\mu_k + \sigma_k \epsilon`.

        The draw moves with the mean and the spread of its component. The choice does not move: logits have no gradient
        here; that of a mean over draws is by the score, as `divergences` estimate it, or by `relaxed_sample`.

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
        choice_seed, noise_seed = split(self.generator(seed), 2)
        upper = ops.cumsum(ops.exp(ops.cast(self.log_weights, "float32")), axis=-1)
        lower = ops.concatenate([ops.zeros_like(upper[..., :1]), upper[..., :-1]], axis=-1)
        u = uniform(self.draw_shape(sample_shape, (1,)), choice_seed)
        # Rounding must not reach the end, where no component is. Weights that are NaN in a graph give draws that are.
        u = ops.minimum(u, 1.0 - 2.0**-22) * upper[..., -1:]
        chosen = ops.where(ops.isnan(u), u, ops.cast((lower <= u) & (u < upper), "float32"))
        noise = normal(self.draw_shape(sample_shape), noise_seed, self.dtype)
        return self._combined(ops.stop_gradient(ops.cast(chosen, self.dtype)), noise)

    def relaxed_sample(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None, hard: bool = False
    ) -> Tensor:
        r"""Draw differentiably in all parameters, the choice of the component relaxed: not exactly from the mixture.

        Each component draws :math:`x_k = \mu_k + \sigma_k \epsilon` of a noise in common, and the result is
        :math:`\sum_k y_k x_k`, y a Gumbel-softmax sample of the weights at `gumbel_tau` (Jang et al. 2017): near one
        of the components most of the time, but now and then in between.

        Parameters
        ----------
        sample_shape, seed
            As for `sample`.
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
        y = one_hot.gumbel_softmax(scores / over_events(self.gumbel_tau), hard)
        return self._combined(y, normal(self.draw_shape(sample_shape), noise_seed, self.dtype))

    def log_proba(self, x: TensorLike) -> Tensor:
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
    def responsibilities(self, x: TensorLike) -> Tensor:
        """Probabilities of the components given `x`, shape [B..., K] behind any sample axes; `x` as for `log_proba`."""
        return _shares(self._joint_log_proba(x)[0])

    @in_full_precision
    def score(self, x: TensorLike) -> Tensor:
        r"""Gradient of the log-density in `x`: :math:`-\sum_k r_k \Sigma_k^{-1} (x - \mu_k)`, shape of `x`."""
        joint, z = self._joint_log_proba(x)
        return -ops.sum(_shares(joint)[..., None] * self.components._pulls(z), axis=-2)

    def mode(self) -> Tensor:
        """The mean of a component, the one at which the density of the mixture is highest, shape [B..., n].

        It is the peak where components lie apart, and near it where they overlap.
        """
        axis = len(self.logits.shape) - 1
        centres = ops.moveaxis(self.mu, axis, 0)
        densities = ops.moveaxis(self.log_proba(centres), 0, -1)
        present = ops.where(ops.equal(self.logits, -INF), -INF, densities)
        best = ops.one_hot(ops.argmax(present, axis=-1), self.num_components, dtype=self.dtype)
        return ops.sum(best[..., None] * self.mu, axis=-2)

    def mean(self) -> Tensor:
        """The mean of the mixture, shape [B..., n]."""
        return ops.sum(ops.exp(self.log_weights)[..., None] * self.mu, axis=-2)

    def variance(self) -> Tensor:
        """The variance of each dimension: within components and between their means, shape [B..., n]."""
        between = self.mu - self.mean()[..., None, :]
        within = self.components.variance()
        return ops.sum(ops.exp(self.log_weights)[..., None] * (within + between * between), axis=-2)

    @in_full_precision
    def covariance(self) -> Tensor:
        """The covariance of the mixture: within components and between their means, shape [B..., n, n]."""
        between = self.mu - self.mean()[..., None, :]
        within = self.components.covariance()
        weights = ops.exp(self.log_weights)[..., None, None]
        return ops.sum(weights * (within + between[..., :, None] * between[..., None, :]), axis=-3)

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`\sum_k w_k \Phi((x - \mu_k) / \sigma_k)` of mixtures over one dimension, shape of `x`."""
        return self._marginal("cdf").cdf(x)

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return self._marginal("log_cdf").log_cdf(x)

    def survival(self, x: TensorLike) -> Tensor:
        r""":math:`\sum_k w_k \Phi((\mu_k - x) / \sigma_k)` of mixtures over one dimension, shape of `x`."""
        return self._marginal("survival").survival(x)

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return self._marginal("log_survival").log_survival(x)

    def quantile(self, q: TensorLike) -> Tensor:
        """Where `cdf` is `q`, for mixtures over one dimension: by bisection between the quantiles of the components.

        Its gradient is that of the implicit function. Shape [..., B..., 1].
        """
        return self._marginal("quantile").quantile(q)

    def crps(self, x: TensorLike) -> Tensor:
        r"""The score of mixtures over one dimension, shape [B...] behind any sample axes:

        :math:`\sum_k w_k A(x - \mu_k, \sigma_k^2)
        - \frac12 \sum_{jk} w_j w_k A(\mu_j - \mu_k, \sigma_j^2 + \sigma_k^2)`
        with :math:`A(m, s^2) = m (2 \Phi(m / s) - 1) + 2 s \phi(m / s)`; Grimit et al. (2006), equation 5.
        """
        self._check_one_dimension("crps")
        mu, variance, weights = self.mu[..., 0], self.components.variance()[..., 0], ops.exp(self.log_weights)
        near = ops.sum(weights * _mean_distance(self.as_variate(x) - mu, variance), axis=-1)
        between = _mean_distance(mu[..., :, None] - mu[..., None, :], variance[..., :, None] + variance[..., None, :])
        return near - 0.5 * ops.sum(weights[..., :, None] * weights[..., None, :] * between, axis=(-2, -1))

    def _marginal(self, name):
        """The same of events of one dimension, by the normal distributions of that."""
        self._check_one_dimension(name)
        logvar = self.logvar if "logvar" in self.PARAM_NAMES else 2.0 * ops.log(self.scale_tril[..., 0])
        return MixtureDist(self.logits, NormalDist(self.mu, logvar))

    def _check_one_dimension(self, name):
        if self.event_shape != (1,):
            raise NotImplementedError(
                f"A GaussianMixtureDist has a `{name}` over one dimension only, since the others depend on it: count "
                f"draws. Received: events of shape {self.event_shape}"
            )

    def _combined(self, choice, noise):
        """The sum of what each component makes of `noise`, by the weights `choice`, shape [..., B..., K]."""
        return ops.sum(choice[..., None] * self.components._displaced(noise[..., None, :]), axis=-2)

    def _joint_log_proba(self, x):
        """Logarithms of `w_k N(x; mu_k, Sigma_k)`, shape [..., B..., K], and x in their standard coordinates."""
        components = self.components
        z = components._standardized(self.as_variate(x)[..., None, :])
        # A component so far that z^2 overflows has density 0. Its z is 0, for gradients that are finite.
        far = ops.abs(z) > FAR[self.dtype]
        z = ops.where(far, 0.0, z)
        joint = self.log_weights - 0.5 * ops.sum(LOG_2PI + z * z, axis=-1) - components._half_log_det()
        return ops.where(ops.any(far, axis=-1), -INF, joint), z


def _mean_distance(mean, variance):
    """The mean of the absolute value of a normal variable."""
    stddev = ops.sqrt(variance)
    z = mean / stddev
    return mean * ops.erf(z / 2.0**0.5) + 2.0 * stddev * gaussian.density(z)


def _shares(joint):
    # Keras' softmax warns of a single component.
    return ops.exp(ops.log_softmax(joint, axis=-1))
