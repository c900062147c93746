"""Gamma distribution with independent dimensions."""

from collections.abc import Sequence
from typing import Any, Self

from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions import half_line
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import in_full_precision
from kgdists.numerics import gamma, incomplete_gamma
from kgdists.random import log_gamma

__all__ = ["GammaDist"]

INF = float("inf")
FAR = 60.0  # logarithm of the ratio to the mean, beside which what is not x is nothing in a score


class GammaDist(Distribution):
    r"""Gamma distribution over vectors of `n` independent dimensions: of amounts, durations and rates.

    Parameters
    ----------
    concentration : float tensor, shape [B..., n], > 0
        a, the shape; above 1 the density has one peak, inside.
    rate : float tensor, shape [B..., n], > 0
        b, in 1 / the units of the variates; the scale is its inverse.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Raises
    ------
    ValueError
        On shapes or dtypes that differ and, where values are at hand, on parameters that are not finite and > 0.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.GammaDist(concentration=[[2.0, 3.0]], rate=[[1.0, 0.5]])
    >>> pi.sample().shape, pi.log_proba([[0.5, 0.5]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("concentration", "rate")
    STATIC_NAMES = ("name",)

    concentration: Tensor
    rate: Tensor
    name: str

    @classmethod
    def from_mean(
        cls,
        mean: TensorLike,
        concentration: TensorLike | None = None,
        *,
        stddev: TensorLike | None = None,
        **fields: Any,
    ) -> Self:
        """Make a distribution of its mean and either its concentration or its standard deviation.

        Parameters
        ----------
        mean : float tensor, shape [B..., n], > 0
        concentration, stddev : None or float tensor of that shape, > 0
            Exactly one of the two.
        **fields
            Further arguments of the constructor.
        """
        if (concentration is None) == (stddev is None):
            received = "neither" if stddev is None else "both"
            raise ValueError(f"One of `concentration` and `stddev` must be given. Received: {received}")
        both = {"mean": mean, "stddev": stddev, "concentration": concentration}
        given = shapes.as_floats(**{name: x for name, x in both.items() if x is not None})
        shapes.check_same(**given)
        shapes.check_positive(**given)
        shape = given.get("concentration")
        shape = ops.square(given["mean"] / given["stddev"]) if shape is None else shape
        return cls(shape, shape / given["mean"], **fields)

    def __init__(
        self, concentration: TensorLike, rate: TensorLike, *, name: str = "gamma_dist", random_seed: Seed = None
    ) -> None:
        params = shapes.as_floats(concentration=concentration, rate=rate)
        shapes.check_vector(**params)
        shapes.check_same(**params)
        shapes.check_positive(**params)
        self.set_fields(**params, name=name, random_seed=random_seed)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Draw exactly (Marsaglia and Tsang 2000), differentiable in both parameters through implicit gradients.

        Parameters
        ----------
        sample_shape : int or tuple of int
            Shape in front of the batch shape.
        seed : None, int or keras.random.SeedGenerator
            An int repeats the same draw.

        Returns
        -------
        float tensor, shape [*sample_shape, B..., n]; 0 where a concentration is so low that a variate underflows.
        """
        return ops.exp(self._draw_log(sample_shape, seed))

    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Tensor, Tensor]:
        """A variate and its log-density, which is exact also where the variate underflows."""
        log_x = self._draw_log(sample_shape, seed)
        a = self.concentration + ops.zeros_like(log_x)
        log_ratio = log_x + (ops.log(self.rate) - ops.log(self.concentration))
        log_density = incomplete_gamma.log_density(a, log_ratio)
        return ops.exp(log_x), ops.sum(log_density - log_x, axis=-1)

    def mode(self) -> Tensor:
        r"""The peak :math:`(a_i - 1) / b_i`, and 0 for concentrations below 1, shape [B..., n]."""
        return ops.maximum(self.concentration - 1.0, 0.0) / self.rate

    def mean(self) -> Tensor:
        r"""Mean :math:`a_i / b_i`, shape [B..., n]."""
        return self.concentration / self.rate

    def variance(self) -> Tensor:
        r"""The variance of each dimension, :math:`a_i / b_i^2`, shape [B..., n]."""
        return self.concentration / self.rate / self.rate

    def stddev(self) -> Tensor:
        r"""The standard deviation of each dimension, :math:`\sqrt{a_i} / b_i`, shape [B..., n]."""
        return ops.sqrt(self.concentration) / self.rate

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`\sum_i (a_i \log b_i + (a_i - 1) \log x_i - b_i x_i - \log \Gamma(a_i))`.

        Parameters
        ----------
        x : float tensor, shape [B..., n], >= 0; sample axes may come in front

        Returns
        -------
        float tensor, shape [B...] behind any sample axes; at 0 `inf` for concentrations below 1, `-inf` above.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on NaN and on values below 0. In a graph those have
            log-density `-inf`.
        """
        return ops.sum(self.elementwise_log_proba(x), axis=-1)

    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        """Log-density of each dimension by itself, shape of `x`."""
        variate = self.as_variate(x)
        half_line.check_not_negative(variate)
        half_line.check_not_tiny(variate)
        inside = half_line.inside_or_one(variate, with_zero=True)
        a, b = self._params_like(variate)
        log_density = gamma.log_density(a, b, inside)
        return ops.where((variate < 0.0) | ops.equal(variate, INF), -INF, log_density)

    @in_full_precision
    def score(self, x: TensorLike) -> Tensor:
        r"""Gradient of the log-density in `x`: :math:`(a_i - 1) / x_i - b_i`, shape of `x`."""
        return (self.concentration - 1.0) / self.as_variate(x) - self.rate

    def cdf(self, x: TensorLike) -> Tensor:
        r"""The regularized incomplete gamma function :math:`P(a_i, b_i x_i)`, 0 below 0; shape of `x`."""
        return ops.exp(self._log_tails(x)[0])

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return self._log_tails(x)[0]

    def survival(self, x: TensorLike) -> Tensor:
        r"""The regularized incomplete gamma function :math:`Q(a_i, b_i x_i)`, 1 below 0; shape of `x`."""
        return ops.exp(self._log_tails(x)[1])

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return self._log_tails(x)[1]

    def quantile(self, q: TensorLike) -> Tensor:
        """Where `cdf` is `q`, found from the nearer end; shape [..., B..., n].

        Its gradient is that of the implicit function.
        """
        levels = self.as_levels(q) + ops.zeros_like(self.concentration)
        a, b = self._params_like(levels)
        is_low = levels <= 0.5
        tail = ops.where(is_low, levels, 1.0 - levels)
        inside = tail > 0.0
        log_x = incomplete_gamma.log_quantile(a, ops.log(ops.where(inside, tail, 0.5)), is_low) - ops.log(b)
        return ops.where(inside, ops.exp(log_x), ops.where(is_low, 0.0, INF))

    def crps(self, x: TensorLike) -> Tensor:
        r""":math:`\sum_i (x (2 F_a(x) - 1) - \frac{a}{b} (2 F_{a + 1}(x) - 1) - 1 / (b \mathrm{B}(\frac12, a)))`.

        Jordan, Krueger and Lerch (2019), appendix A; of x below 0 its distance is added. Shape [B...] behind any
        sample axes.
        """
        variate = self.as_variate(x)
        a, b = self._params_like(variate)
        inside = half_line.inside_or_one(variate)
        is_far = ops.equal(variate, INF) | (gamma.log_ratio_to_mean(a, b, inside) > FAR)
        inside = ops.where(is_far, a / b, inside)
        log_t, log_ratio = ops.log(b) + ops.log(inside), gamma.log_ratio_to_mean(a, b, inside)
        score = gamma.crps(a, b * inside, log_t, log_ratio)
        score = ops.where(variate <= 0.0, gamma.crps_at_zero(a), score) / b + ops.where(variate < 0.0, -variate, 0.0)
        return ops.sum(ops.where(is_far, variate, score), axis=-1)

    def entropy(self) -> Tensor:
        r"""Entropy :math:`\sum_i (a_i - \log b_i + \log \Gamma(a_i) + (1 - a_i) \psi(a_i))`, shape [B...]."""
        return ops.sum(gamma.entropy(self.concentration) - ops.log(self.rate), axis=-1)

    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy :math:`-\mathrm{E}_p \log q` to `other` = q, shape [B...]: the entropy and the divergence."""
        return self.entropy() + self.kl_divergence(other)

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other` = q, shape [B...], >= 0:

        :math:`\sum_i (a_q (e^d - 1 - d) + G(a_q) - G(a_p) - G'(a_p) (a_q - a_p))`, :math:`d = \log (a_p / b_p) - \log
        (a_q / b_q)`, :math:`G(a) = \log \Gamma(a) - a \log a + a`.
        """
        self.check_same_kind(other)
        pairs = *self._params_like(other.rate), *other._params_like(self.rate)
        return ops.sum(gamma.divergence(*pairs), axis=-1)

    def _draw_log(self, sample_shape, seed):
        """A draw of log(x)."""
        concentration = ops.broadcast_to(self.concentration, self.draw_shape(sample_shape))
        return log_gamma(concentration, self.generator(seed)) - ops.log(self.rate)

    def _params_like(self, x):
        """Both parameters, of the shape of `x`."""
        return tuple(part + ops.zeros_like(x) for part in (self.concentration, self.rate))

    def _log_tails(self, x):
        """The logarithms of the probabilities at or below, and above, each dimension of `x`."""
        x = self.as_variate(x)
        a, b = self._params_like(x)
        inside = half_line.inside_or_one(x)
        log_ratio = gamma.log_ratio_to_mean(a, b, inside)
        below, above = incomplete_gamma.log_tails(a, ops.log(b) + ops.log(inside), log_ratio)
        return half_line.by_place(x, below, -INF, 0.0), half_line.by_place(x, above, 0.0, -INF)
