"""Categorical distribution with Gumbel-softmax samples."""

from collections.abc import Sequence
from typing import Self

from keras import ops

from kgdists.core import backend, shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions import one_hot
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.relaxed_one_hot_categorical import RelaxedOneHotCategorical
from kgdists.distributions.temperature import as_temperature, over_events
from kgdists.distributions.wrappers import in_full_precision
from kgdists.numerics import special

__all__ = ["CategoricalDist"]

INF = float("inf")
LOWEST = -1e4  # its exponential is 0 in every dtype, and that times it too


class CategoricalDist(Distribution):
    r"""Categorical distribution over `n` choices.

    Its variates are near one-hot vectors, differentiable in the logits: Gumbel-softmax samples
    :math:`\mathrm{softmax}((\log p + g) / \tau)`, :math:`g_i \sim \mathrm{Gumbel}(0, 1)` (Jang et al. 2017, eq. 2).

    Parameters
    ----------
    logits : None or float tensor, shape [B..., n]
        Unnormalised log-probabilities. `-inf` rules a choice out; NaN and `+inf` are errors.
    boltzmann_tau : float or float tensor, > 0, shape [] or [B...]
        Temperature of `sample`: towards 0 samples become one-hot, for large values all entries become `1 / n`.
        A number is static. A tensor is one more parameter, of shape [B...], which gradients reach; a variable is read.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.
    mask : None or bool (or 0 / 1 integer) tensor, shape [B..., n]
        True where a choice is allowed; the same as a logit of `-inf` where it is not.
    probs : None or float tensor, 0 to 1, shape [B..., n]
        Probabilities in the place of `logits`: exactly one of the two is given. Each row sums to 1, to rounding.

    Raises
    ------
    ValueError
        On wrong shapes or dtypes and, where values are at hand, on NaN, a row that allows nothing or `probs` that are
        none.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.CategoricalDist([[0.0, 1.0, 2.0]], mask=[[True, False, True]])
    >>> pi.sample().shape, pi.entropy().shape
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
        name: str = "categorical_dist",
        random_seed: Seed = None,
        *,
        mask: TensorLike | None = None,
        probs: TensorLike | None = None,
    ) -> None:
        kind, scores = one_hot.given(logits, probs)
        scores = one_hot.logits_of(scores) if kind == "probs" else scores
        if mask is not None:
            scores = ops.where(one_hot.as_mask(mask, scores), scores, -INF)
        one_hot.check_logits(scores)
        tau = as_temperature("boltzmann_tau", boltzmann_tau, scores)
        self.set_fields(logits=scores, boltzmann_tau=tau, name=name, random_seed=random_seed)

    @property
    def num_categories(self) -> int:
        """The number of choices, `n`."""
        return self.event_shape[0]

    @property
    @in_full_precision
    def log_probs(self) -> Tensor:
        """Log-probabilities of all choices, shape [B..., n]; `-inf` where ruled out."""
        y, total = one_hot.shifted(self.logits)
        return y - ops.log(total)

    @property
    @in_full_precision
    def probs(self) -> Tensor:
        """Probabilities of all choices, shape [B..., n]."""
        y, total = one_hot.shifted(self.logits)
        return ops.exp(y) / total

    def relaxed(self, temperature: TensorLike | None = None) -> RelaxedOneHotCategorical:
        """The distribution of `sample`, a `RelaxedOneHotCategorical`, at `temperature` or else `boltzmann_tau`."""
        temperature = self.boltzmann_tau if temperature is None else temperature
        return RelaxedOneHotCategorical(temperature, logits=self.logits, random_seed=self.generator())

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None, hard: bool = False) -> Tensor:
        """Draw near one-hot variates, differentiable in the logits.

        Parameters
        ----------
        sample_shape : int or tuple of int
            Shape in front of the batch shape.
        seed : None, int or keras.random.SeedGenerator
            An int repeats the same draw.
        hard : bool
            Make them exactly one-hot, with the gradient of the soft sample (straight-through).

        Returns
        -------
        float tensor, shape [*sample_shape, B..., n]; rows sum to one.
        """
        scores = one_hot.gumbel_scores(
            one_hot.shifted(self.logits)[0], self.draw_shape(sample_shape), self.generator(seed)
        )
        return one_hot.gumbel_softmax(scores / over_events(self.boltzmann_tau), hard)

    def sample_action(self, seed: Seed = None) -> Tensor:
        """Draw labels: int32 tensor, shape [B...], exactly distributed by `probs`.

        In a graph a row that is NaN or allows nothing gives -1, which no environment takes.
        """
        return one_hot.draw(self.logits, self.generator(seed))

    def mode(self) -> Tensor:
        """The most probable choice as a one-hot vector, shape [B..., n]; the first of equals."""
        return ops.one_hot(self.mode_action(), self.num_categories, dtype=self.dtype)

    def mode_action(self) -> Tensor:
        """The most probable label: int32 tensor, shape [B...]; the first of equals."""
        return one_hot.argmax(self.logits)

    def mean(self) -> Tensor:
        """Mean of the one-hot vector: `probs`, shape [B..., n]."""
        return self.probs

    def variance(self) -> Tensor:
        """Variance of each entry of the one-hot vector: `p (1 - p)`, shape [B..., n]."""
        return self.probs * (1.0 - self.probs)

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-probability :math:`\sum_i x_i \log p_i`.

        Parameters
        ----------
        x : tensor
            Integer labels of shape [B...] or [B..., 1], or (near) one-hot floats of shape [B..., n]; sample axes may
            come in front.

        Returns
        -------
        float tensor, shape [B...] behind any sample axes; `-inf` for a choice that is ruled out.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on labels outside `0 ... n - 1` or NaN. In a graph such a
            label has log-probability `-inf`.
        """
        x = shapes.as_numbers(x, "x")
        if "float" in shapes.dtype_of(x):
            # 0 * log 0 = 0, guarded before the product so that gradients are finite too.
            x, log_probs = self._near_one_hot(x), self.log_probs
            return ops.sum(x * ops.where(ops.equal(x, 0) & ops.equal(log_probs, -INF), 0.0, log_probs), axis=-1)
        labels, inside = one_hot.as_labels(x, self.batch_shape, self.num_categories)
        y, total = one_hot.shifted(self.logits)
        log_proba = one_hot.take(y, labels) - ops.log(ops.squeeze(total, axis=-1))
        return ops.where(inside | ops.isnan(log_proba), log_proba, -INF)

    def entropy(self) -> Tensor:
        r"""Entropy :math:`-\sum_i p_i \log p_i`, shape [B...]."""
        # Of y = logits - max and t = sum exp(y) it is log t - sum y exp(y) / t: two parts >= 0, nothing cancels.
        y, total = one_hot.shifted(self.logits)
        part = ops.sum(ops.exp(y) * ops.maximum(y, LOWEST), axis=-1)
        total = ops.squeeze(total, axis=-1)
        return ops.log(total) - part / total

    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy :math:`-\sum_i p_i \log q_i` to `other` = q, shape [B...]; `inf` if q lacks a choice of p."""
        self.check_same_kind(other)
        p, log_q = self.probs, other.log_probs
        return -ops.sum(p * ops.where(ops.equal(p, 0), 0.0, log_q), axis=-1)

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence :math:`\sum_i p_i \log (p_i / q_i)` to `other` = q, shape [B...], >= 0."""
        self.check_same_kind(other)
        return _kl(self.logits, other.logits)

    def _near_one_hot(self, x):
        if not shapes.ends_with(x.shape, (*self.batch_shape, self.num_categories)):
            raise ValueError(
                f"`x` of floats must be one-hot, of shape {(*self.batch_shape, self.num_categories)} behind any sample "
                f"axes; labels must be integers. Received: x of shape {tuple(x.shape)} and dtype {shapes.dtype_of(x)}"
            )
        x = ops.cast(x, self.dtype)
        one_hot.check_one_hot(x)
        return x


def _divergence(p, q):
    """The divergence of logits p from logits q, and its gradients to both."""
    # With d = log q - log p it is sum p (exp(d) - 1 - d), every term >= 0, because the p and the q sum to one.
    # Nearly equal logits are subtracted from each other first, which is exact. An offset between the two is taken off
    # before, each side by its own maximum, or it would take the digits of the other side with it.
    shift = ops.stop_gradient(special.max_last(q) - special.max_last(p))
    apart = ops.abs(shift) > 1.0
    difference = q - p
    (p, p_total), (q, q_total) = one_hot.shifted(p), one_hot.shifted(q)
    difference = ops.where(apart, q - p, difference)
    p, q = ops.exp(p) / p_total, ops.exp(q) / q_total
    gone = ops.equal(p, 0)
    d = ops.where(gone, 0.0, difference - (ops.log(q_total) - ops.log(p_total) + ops.where(apart, 0.0, shift)))
    near = (ops.abs(d) < special.SERIES_RADIUS) & ~gone
    d_near = ops.where(near, d, 0.0)
    # p = 0 leaves q. Beyond the series p exp(d) is q, and is far enough from p (1 + d) for plain subtraction.
    total = ops.sum(ops.where(near, p * special.expm1_minus_series(d_near), q - p - p * d), axis=-1)
    total = ops.where(total < 0, 0.0, total)  # where q has underflowed and p has only just not
    to_p = -p * (d + ops.expand_dims(total, axis=-1))
    return total, to_p, ops.where(near, p * ops.expm1(d_near), q - p)


# Written by hand, the gradients take a fraction of the time that those of all the branches do.
@backend.with_gradient
def _kl(p, q):
    def gradient(upstream):
        _, to_p, to_q = _divergence(p, q)
        upstream = ops.expand_dims(upstream, axis=-1)
        return _sum_to(upstream * to_p, p), _sum_to(upstream * to_q, q)

    return _divergence(p, q)[0], gradient


def _sum_to(gradient, x):
    """`gradient` summed over the batch if `x` has none."""
    return ops.sum(ops.reshape(gradient, (-1, x.shape[-1])), axis=0) if len(x.shape) == 1 else gradient
