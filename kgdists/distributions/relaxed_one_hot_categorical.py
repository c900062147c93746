"""Relaxed one-hot distribution, also known as Concrete or Gumbel-softmax."""

import math
from collections.abc import Sequence

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions import one_hot
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.temperature import of_batch, over_events
from kgdists.distributions.wrappers import in_full_precision
from kgdists.numerics import special

__all__ = ["RelaxedOneHotCategorical"]

INF = float("inf")


class RelaxedOneHotCategorical(Distribution):
    r"""Distribution over the simplex of `n` corners: :math:`y = \mathrm{softmax}((\log p + g) / \tau)`, g Gumbel noise.

    Towards temperature 0 its draws become one-hot, with probabilities p; for large temperatures all entries become
    `1 / n` (Jang et al. 2017, eq. 2; Maddison et al. 2017, eq. 10). Near the corners y is beyond the range of floats,
    but its logarithm is not: `sample_log` draws it, and `log_proba(log_x=...)` takes it.

    Parameters
    ----------
    temperature : float or float tensor, > 0, shape [] or [B...]
        Draws and densities are differentiable in it.
    probs : None or float tensor, >= 0, shape [B..., n]
        Need not sum to one.
    logits : None or float tensor, shape [B..., n]
        Unnormalised log-probabilities; exactly one of `probs` and `logits` is given. A probability of 0, a logit of
        `-inf`, rules a choice out: that entry of y is 0, and the density is that on the face of the others.
    validate_args : None or bool
        False leaves out the checks of values; those of shapes always run.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.

    Raises
    ------
    ValueError
        Unless exactly one of `probs` and `logits` is given; on wrong shapes or dtypes; and, where values are at hand,
        on NaN, negative probabilities, a row that allows nothing or a temperature that is not positive.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.RelaxedOneHotCategorical(0.5, probs=[[0.2, 0.3, 0.5]])
    >>> pi.rsample().shape, pi.log_prob([[0.1, 0.2, 0.7]]).shape
    (TensorShape([1, 3]), TensorShape([1]))
    """

    PARAM_NAMES = ("logits", "temperature")
    STATIC_NAMES = ("name",)

    logits: Tensor
    temperature: Tensor
    name: str

    def __init__(
        self,
        temperature: TensorLike,
        probs: TensorLike | None = None,
        logits: TensorLike | None = None,
        validate_args: bool | None = None,
        *,
        name: str = "relaxed_one_hot_categorical",
        random_seed: Seed = None,
    ) -> None:
        validate = validate_args is not False
        kind, scores = one_hot.given(logits, probs)
        scores = one_hot.logs_of(scores, validate) if kind == "probs" else scores
        if isinstance(temperature, float):
            temperature = np.float64(temperature)  # all its digits, whatever the default float type
        tau = of_batch("temperature", temperature, scores, validate)
        if validate:
            one_hot.check_logits(scores)
        self.set_fields(logits=scores, temperature=tau, name=name, random_seed=random_seed)

    @property
    def num_categories(self) -> int:
        """The number of choices, `n`."""
        return self.event_shape[0]

    @property
    @in_full_precision
    def log_probs(self) -> Tensor:
        """Log-probabilities of the choices that draws are near to, shape [B..., n]."""
        return ops.log_softmax(self.logits, axis=-1)

    @property
    @in_full_precision
    def probs(self) -> Tensor:
        """Probabilities of the choices that draws are near to, shape [B..., n]."""
        return ops.exp(self.log_probs)

    def rsample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None, hard: bool = False) -> Tensor:
        """Draw points of the simplex, differentiable in the logits and in the temperature.

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
        return one_hot.gumbel_softmax(self._scores(sample_shape, seed), hard)

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None, hard: bool = False) -> Tensor:
        """The same as `rsample`."""
        return self.rsample(sample_shape, seed, hard)

    def sample_log(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Draw the logarithm of a sample, which never leaves the range of floats; arguments as for `rsample`."""
        return ops.log_softmax(self._scores(sample_shape, seed), axis=-1)

    def _scores(self, sample_shape, seed):
        out = ops.equal(self.logits, -INF)
        # Guarded before the division, for a finite gradient of the temperature.
        logits = ops.where(out, 0.0, one_hot.centered(self.logits))
        scores = one_hot.gumbel_scores(logits, self.draw_shape(sample_shape), self.generator(seed))
        return ops.where(out, -INF, scores / over_events(self.temperature))

    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Tensor, Tensor]:
        """A sample and its log-density, finite at any temperature: it is that of the logarithm of the sample."""
        scores = self._scores(sample_shape, seed)
        return one_hot.gumbel_softmax(scores), self.log_proba(log_x=ops.log_softmax(scores, axis=-1))

    def sample_action(self, seed: Seed = None) -> Tensor:
        """Draw labels: int32 tensor, shape [B...], exactly distributed by `probs`."""
        return one_hot.draw(self.logits, self.generator(seed))

    def mode_action(self) -> Tensor:
        """The most probable label: int32 tensor, shape [B...]; the first of equals."""
        return one_hot.argmax(self.logits)

    def log_proba(self, x: TensorLike | None = None, *, log_x: TensorLike | None = None) -> Tensor:
        r"""Log-density of a point of the simplex, with respect to its first `n - 1` entries (Maddison et al. 2017):

        :math:`\log\Gamma(n) + (n - 1)\log\tau + \sum_i (\log\mathrm{softmax}_i(\log p - \tau\log y) - \log y_i)`.

        Parameters
        ----------
        x : None or tensor
            Floats of shape [B..., n]; entries below the smallest normal number of the dtype count as that number, so
            that densities are finite up to the boundary. Or integer labels of shape [B...] or [B..., 1], whose
            log-probability, that of the categorical distribution, is returned instead of a density. Sample axes may
            come in front.
        log_x : None or float tensor, shape [B..., n]
            The logarithm of a point in place of the point, `-inf` only where a choice is ruled out. The density
            remains that of the point.

        Returns
        -------
        float tensor, shape [B...] behind any sample axes; `-inf` where a choice that is ruled out is not 0.

        Raises
        ------
        ValueError
            Unless exactly one of `x` and `log_x` is given; on wrong shapes; and, where values are at hand, on NaN,
            labels outside `0 ... n - 1` or floats that are not a point of the simplex.
        """
        if (x is None) == (log_x is None):
            received = "neither" if x is None else "both"
            raise ValueError(f"Exactly one of `x` and `log_x` must be given. Received: {received}")
        n, out = self.num_categories, ops.equal(self.logits, -INF)
        if log_x is None:
            given = shapes.as_numbers(x, "x")
            if "float" not in shapes.dtype_of(given):
                labels, inside = one_hot.as_labels(given, self.batch_shape, n)
                log_proba = one_hot.take(self.log_probs, labels)
                return ops.where(inside | ops.isnan(log_proba), log_proba, -INF)
            y = self.as_variate(given)
            one_hot.check_one_hot(y)
            off_face = out & (y > 0)
            log_y = ops.log(ops.maximum(y, special.smallest(self.dtype)))
        else:
            log_y = self.as_variate(log_x)
            off_face = out & (log_y > -INF)
            log_y = ops.where(out, 0.0, log_y)
        # A common offset of the logits, which a softmax does not see, would take the digits of log y with it.
        scores = one_hot.centered(one_hot.centered(self.logits) - over_events(self.temperature) * log_y)
        # Sums of products, which XLA fuses: a choice that is ruled out has no weight, or takes all if it is not 0.
        allowed = ops.where(out, 0.0, ops.ones_like(scores))
        total = ops.sum(allowed * ops.exp(scores), axis=-1)
        terms = ops.sum(ops.where(off_face, -INF, allowed) * ops.where(out, 1.0, scores - log_y), axis=-1)
        count = ops.sum(allowed * allowed, axis=-1)
        log_factorials = ops.convert_to_tensor([math.lgamma(max(k, 1)) for k in range(n + 1)], self.dtype)
        constant = ops.take(log_factorials, ops.cast(count, "int32")) + (count - 1.0) * ops.log(self.temperature)
        return constant + terms - count * ops.log(total)
