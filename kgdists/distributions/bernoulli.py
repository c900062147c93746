"""Independent 0 / 1 choices."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from keras import ops

from kgdists.core import backend, shapes, value_checks
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions import one_hot
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.temperature import as_temperature, over_events
from kgdists.distributions.wrappers import in_full_precision
from kgdists.numerics import special
from kgdists.random import uniform

__all__ = ["BernoulliDist"]

INF = float("inf")
_ARTANH = [1 / k for k in range(3, 19, 2)]  # of w^3, w^5, ...


class BernoulliDist(Distribution):
    r"""Distribution over vectors of `n` independent zeros and ones, :math:`p_i = \mathrm{sigmoid}(l_i)` for a one.

    Its variates lie near 0 or 1 and are differentiable in the logits: :math:`\mathrm{sigmoid}((l + \epsilon) / \tau)`
    with logistic noise :math:`\epsilon` (Maddison et al. 2017, appendix C.3).

    Parameters
    ----------
    logits : None or float tensor, shape [B..., n]
        Log-odds of a one. `inf` rules a zero out and `-inf` a one; NaN is an error.
    boltzmann_tau : float or float tensor, > 0, shape [] or [B...]
        Temperature of `sample`. A number is static. A tensor is one more parameter, of shape [B...], which gradients
        reach; a variable is read.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.
    mask : None or integer tensor, shape [B..., n]
        2 where both are allowed, 0 or 1 where only that is (Gymnasium's mask of a `MultiBinary`). In a graph the logit
        becomes NaN where it is something else.
    probs : None or float tensor, 0 to 1, shape [B..., n]
        Probabilities of a one in the place of `logits`: exactly one of the two is given.

    Raises
    ------
    ValueError
        On wrong shapes or dtypes and, where values are at hand, on NaN, another mask or `probs` that are none.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.BernoulliDist([[0.0, 1.0, 2.0]], mask=[[2, 2, 0]])
    >>> pi.sample_action().shape, pi.entropy().shape
    (TensorShape([1, 3]), TensorShape([1]))
    """

    PARAM_NAMES = ("logits",)
    STATIC_NAMES = ("boltzmann_tau", "name")
    REPARAMETERIZED = False

    logits: Tensor
    boltzmann_tau: float | Tensor
    name: str

    def __init__(
        self,
        logits: TensorLike | None = None,
        boltzmann_tau: TensorLike = 0.2,
        *,
        mask: TensorLike | None = None,
        name: str = "bernoulli_dist",
        random_seed: Seed = None,
        probs: TensorLike | None = None,
    ) -> None:
        kind, scores = one_hot.given(logits, probs)
        scores = _log_odds(scores) if kind == "probs" else scores
        shapes.check_not_nan(logits=scores)
        if mask is not None:
            scores = _masked(scores, mask)
        tau = as_temperature("boltzmann_tau", boltzmann_tau, scores)
        self.set_fields(logits=scores, boltzmann_tau=tau, name=name, random_seed=random_seed)

    @property
    @in_full_precision
    def probs(self) -> Tensor:
        """Probabilities of a one, shape [B..., n]."""
        return ops.sigmoid(self.logits)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None, hard: bool = False) -> Tensor:
        """Draw variates near 0 or 1, differentiable in the logits.

        Parameters
        ----------
        sample_shape : int or tuple of int
            Shape in front of the batch shape.
        seed : None, int or keras.random.SeedGenerator
            An int repeats the same draw.
        hard : bool
            Make them exactly 0 or 1, with the gradient of the soft sample (straight-through).

        Returns
        -------
        float tensor, shape [*sample_shape, B..., n].
        """
        soft = ops.sigmoid((self.logits + self._noise(sample_shape, seed)) / over_events(self.boltzmann_tau))
        if not hard:
            return soft
        return ops.cast(soft > 0.5, self.dtype) + (soft - ops.stop_gradient(soft))

    def sample_action(self, seed: Seed = None) -> Tensor:
        """Draw zeros and ones: int32 tensor, shape [B..., n]; -1, which no environment takes, where NaN in a graph."""
        u = ops.cast(uniform(self.draw_shape(()), self.generator(seed)), self.dtype)
        return ops.where(ops.isnan(self.logits), -1, ops.cast(u > ops.sigmoid(-self.logits), "int32"))

    def mode(self) -> Tensor:
        """The likelier of 0 and 1 in each dimension, shape [B..., n]; 0 of equals."""
        return ops.cast(self.mode_action(), self.dtype)

    def mode_action(self) -> Tensor:
        """The likelier of 0 and 1 in each dimension: int32 tensor, shape [B..., n]; 0 of equals."""
        return _choice(self.logits)

    def mean(self) -> Tensor:
        """Mean: `probs`, shape [B..., n]."""
        return self.probs

    def variance(self) -> Tensor:
        """Variance of each dimension, `p (1 - p)`, shape [B..., n]."""
        return ops.sigmoid(self.logits) * ops.sigmoid(-self.logits)

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-probability :math:`\sum_i x_i \log p_i + (1 - x_i) \log(1 - p_i)`.

        Parameters
        ----------
        x : tensor of floats, integers or bools, shape [B..., n]
            Zeros and ones, or floats between; sample axes may come in front.

        Returns
        -------
        float tensor, shape [B...] behind any sample axes; `-inf` for what is ruled out.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on values outside [0, 1] or NaN. In a graph those have
            log-probability `-inf`.
        """
        return ops.sum(self.elementwise_log_proba(x), axis=-1)

    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        """The log-probability of each dimension by itself, shape of `x`."""
        ones = self.as_variate(ops.cast(shapes.as_numbers(x, "x"), self.dtype))
        value_checks.check_values(_check_unit, ones)
        inside = (ones >= 0) & (ones <= 1) | ops.isnan(ones)
        # In terms of |l|, by symmetry: the likelier value has -log(1 + exp(-|l|)), the other one |l| less.
        is_negative, size = _sign_and_size(self.logits)
        missed = ops.where(is_negative, ones, 1.0 - ones)
        penalty = ops.where(ops.equal(missed, 0), 0.0, size) * missed
        return -ops.where(inside, ops.log1p(ops.exp(-size)) + penalty, INF)

    def entropy(self) -> Tensor:
        r"""Entropy :math:`-\sum_i p_i \log p_i + (1 - p_i) \log(1 - p_i)`, shape [B...]."""
        # The likelier value's part as in `log_proba`, where it then is computed once for both.
        _, size = _sign_and_size(self.logits)
        likelier = ops.log1p(ops.exp(-size))
        return ops.sum(likelier + ops.where(ops.equal(size, INF), 0.0, size) * ops.sigmoid(-size), axis=-1)

    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy :math:`-\sum_i p_i \log q_i + (1 - p_i) \log(1 - q_i)` to `other` = q, shape [B...]."""
        self.check_same_kind(other)
        one = _times_log(ops.sigmoid(self.logits), -ops.softplus(-other.logits))
        zero = _times_log(ops.sigmoid(-self.logits), -ops.softplus(other.logits))
        return -ops.sum(one + zero, axis=-1)

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other` = q, shape [B...], >= 0; `inf` if q rules out what p does not:

        :math:`\sum_i p_i \log (p_i / q_i) + (1 - p_i) \log ((1 - p_i) / (1 - q_i))`.
        """
        self.check_same_kind(other)
        of_p, of_q = ops.zeros_like(self.logits), ops.zeros_like(other.logits)  # for one of two without a batch
        p, q = self.logits + of_q, other.logits + of_p
        return ops.sum(_kl(p, q), axis=-1)

    def _noise(self, sample_shape, seed):
        u = ops.cast(uniform(self.draw_shape(sample_shape), self.generator(seed)), self.dtype)
        return ops.log(u) - ops.log1p(-u)


def _log_odds(probs):
    """Log-odds of probabilities: infinite, and without a gradient, of 0 and 1."""
    shapes.check_probability(probs=probs)
    is_one, is_zero = ops.equal(probs, 1), ops.equal(probs, 0)
    # Guarded before the logarithms, for a finite gradient.
    between = ops.where(is_one | is_zero, 0.5, probs)
    return ops.where(is_one, INF, ops.where(is_zero, -INF, ops.log(between) - ops.log1p(-between)))


def _choice(scores):
    return ops.where(ops.isnan(scores), -1, ops.cast(scores > 0, "int32"))


def _sign_and_size(logits):
    # Not `ops.abs`, whose gradient at 0 is 0.
    is_negative = logits < 0
    return is_negative, ops.where(is_negative, -logits, logits)


def _rarer(p, q):
    """Logits of the value that is the rarer one of p, whose probability keeps its digits; 1 if it is one, else -1."""
    sign = ops.where(p > 0, -1.0, ops.ones_like(p))
    return sign * p, sign * q, sign


def _divergence(p, q):
    """The divergence of logits p from logits q, dimension by dimension."""
    p, q, _ = _rarer(p, q)
    proba = ops.sigmoid(p)
    d = ops.where(ops.equal(proba, 0), 0.0, q - p)
    far = ops.where(ops.equal(q, INF), INF, ops.softplus(q) - ops.softplus(p) - proba * d)
    # For smaller d it is log(1 + y) - proba d of y = proba (exp(d) - 1); near 0, where that cancels, it is
    # log(1 + y) - y + proba (exp(d) - 1 - d), with log(1 + y) = 2 (w + w^3 / 3 + w^5 / 5 ...), w = y / (2 + y).
    size = ops.abs(q - p)
    d_middle, d_near = ops.where(d < 1.0, d, 0.0), ops.where(size < special.SERIES_RADIUS, d, 0.0)
    y = proba * ops.expm1(d_middle)
    middle = ops.log1p(y) - proba * d_middle
    w = y / (2.0 + y)
    series = special.polynomial(w * w, _ARTANH[: 8 if shapes.dtype_of(p) == "float64" else 3])
    near = proba * special.expm1_minus_series(d_near) - w * (y - 2.0 * w * w * series)
    nearby = ops.where(size < special.SERIES_RADIUS, near, middle)
    return ops.maximum(ops.where(q - p < 1.0, nearby, far), 0.0)


# Written by hand, the gradients take a fraction of the time that those of all the branches do.
@backend.with_gradient
def _kl(p, q):
    def gradient(upstream):
        p_, q_, sign = _rarer(p, q)
        proba, other = ops.sigmoid(p_), ops.sigmoid(q_)
        gone = ops.equal(proba, 0)
        d = ops.where(gone, 0.0, q_ - p_)
        near = (d < 1.0) & ~gone
        step = ops.where(near, proba * (1.0 - other) * ops.expm1(ops.where(near, d, 0.0)), other - proba)
        return -upstream * sign * proba * (1.0 - proba) * d, upstream * sign * step

    return _divergence(p, q), gradient


def _times_log(x, log_p):
    # 0 * log 0 = 0, guarded before the product so that gradients are finite too.
    return x * ops.where(ops.equal(x, 0) & ops.equal(log_p, -INF), 0.0, log_p)


def _masked(logits, mask):
    """`logits`, infinite where `mask` allows one value only."""
    mask = shapes.as_numbers(mask, "mask")
    if shapes.dtype_of(mask) == "bool":
        raise ValueError("`mask` must be of 0, 1 and 2 (both allowed). Received: mask of dtype bool")
    if not shapes.matches(mask.shape, logits.shape):
        raise ValueError(
            "`mask` must have the shape of `logits`: nothing is broadcast. "
            f"Received: mask of shape {tuple(mask.shape)}, logits of shape {tuple(logits.shape)}"
        )
    values = backend.concrete(mask)
    if values is not None and not np.isin(values, (0, 1, 2)).all():
        raise ValueError(f"`mask` must be of 0, 1 and 2 (both allowed). Received: values {np.unique(values)}")
    logits = ops.where(ops.equal(mask, 2), logits, float("nan"))
    return ops.where(ops.equal(mask, 0), -INF, ops.where(ops.equal(mask, 1), INF, logits))


def _check_unit(values):
    outside = (values < 0) | (values > 1)
    if outside.any():
        raise ValueError(f"`x` must be of zeros and ones, or lie between. Received: {values[outside].flat[0]}")
