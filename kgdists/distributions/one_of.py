"""A choice between distributions."""

from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor
from kgdists.distributions.categorical import CategoricalDist
from kgdists.distributions.composite import CompositeDist, map_branches
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.wrappers import unwrapped

__all__ = ["OneOfDist"]


class OneOfDist(CompositeDist):
    r"""A branch is chosen, and then a value in it.

    :math:`\log p(c, x) = \log p(c) + \log p_c(x_c)`. A variate or action is a tuple: the choice, and a tuple of values,
    one for each branch. Only the value of the chosen branch counts.

    Parameters
    ----------
    dists : tuple (CategoricalDist, tuple of Distribution)
        The choice, and as many branches.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None lets each part draw from its own stream.

    Raises
    ------
    ValueError
        If the number of branches is not that of the categories, or batch shapes or dtypes differ.

    Examples
    --------
    >>> import kgdists as kg
    >>> branches = (kg.CategoricalDist([[0.0, 1.0, 0.0]]), kg.NormalDist([[0.0, 0.0]], [[0.0, 0.0]]))
    >>> pi = kg.OneOfDist((kg.CategoricalDist([[0.0, 0.0]]), branches))
    >>> choice, values = pi.sample_action()
    >>> choice.shape, [value.shape for value in values], pi.entropy().shape
    (TensorShape([1]), [TensorShape([1]), TensorShape([1, 2])], TensorShape([1]))
    """

    REPARAMETERIZED = False

    # The branches have these, a choice between them has not.
    cdf, log_cdf = Distribution.cdf, Distribution.log_cdf
    survival, log_survival = Distribution.survival, Distribution.log_survival
    quantile, crps = Distribution.quantile, Distribution.crps

    def __init__(
        self,
        dists: tuple[CategoricalDist, tuple[Any, ...]],
        *,
        name: str = "one_of_dist",
        random_seed: Seed = None,
    ) -> None:
        super().__init__(dists, name=name, random_seed=random_seed)
        parts = self.dists if isinstance(self.dists, tuple) else ()
        if len(parts) != 2 or not isinstance(parts[0], CategoricalDist) or not isinstance(parts[1], tuple):
            raise ValueError(
                "`dists` must be a tuple of a CategoricalDist and the tuple of its branches. "
                f"Received: {type(dists).__name__} of {[type(part).__name__ for part in parts]}"
            )
        if len(self.values) != self.choice.num_categories:
            raise ValueError(
                "There must be as many branches as categories. "
                f"Received: {self.choice.num_categories} categories, {len(self.values)} branches"
            )

    @property
    def choice(self) -> CategoricalDist:
        """The distribution of the branch, a `CategoricalDist`."""
        return self.dists[0]

    @property
    def values(self) -> tuple[Any, ...]:
        """The distributions of the values, a tuple."""
        return self.dists[1]

    @unwrapped
    def sample_action(self, seed: Seed = None) -> Tensor:
        """Draw a label [B...] and values, exactly distributed; values of branches not chosen are zeros."""
        return _chosen_only(super().sample_action(seed))

    def mode_action(self) -> Tensor:
        """The most probable branch and the mode in it; values of branches not chosen are zeros."""
        return _chosen_only(super().mode_action())

    @unwrapped
    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Tensor, Tensor]:
        """A variate and its log-probability; arguments as for `sample`."""
        (choice, log_proba), drawn = self._draw(lambda dist, seed: dist.sample_and_log_proba(sample_shape, seed), seed)
        x = choice, tuple(value for value, _ in drawn)
        return x, log_proba + sum(choice[..., i] * term for i, (_, term) in enumerate(drawn))

    def log_proba(self, x: Any) -> Tensor:
        r"""Log-probability :math:`\log p(c) + \log p_c(x_c)`, shape [B...] behind any sample axes.

        Parameters
        ----------
        x : tuple
            Integer labels and the values of all branches, of which those not chosen may be anything; or a near one-hot
            choice and the values, each of which counts with its weight.
        """
        choice, values = map_branches(lambda _, part: part, self.dists, x)
        choice = shapes.as_numbers(choice, "x")
        log_proba = self.choice.log_proba(choice)
        is_label = "float" not in shapes.dtype_of(choice)
        if is_label:
            choice = choice if len(choice.shape) == len(log_proba.shape) else ops.squeeze(choice, -1)
        for i, (dist, value) in enumerate(zip(self.values, values, strict=True)):
            counts = ops.equal(choice, i) if is_label else ops.not_equal(choice[..., i], 0)
            term = dist.log_proba(_supported(dist, value, counts))
            weight = 1.0 if is_label else ops.cast(choice[..., i], self.dtype)
            log_proba = log_proba + weight * ops.where(counts, term, 0.0)
        return log_proba

    def entropy(self) -> Tensor:
        r"""Entropy :math:`\mathrm{H}(c) + \sum_c p(c) \mathrm{H}_c`, shape [B...]."""
        return self.choice.entropy() + self._expected([dist.entropy() for dist in self.values])

    def cross_entropy(self, other: Self) -> Tensor:
        r"""Cross-entropy to `other`, that of the choices plus the expected one of the values, shape [B...]."""
        self.check_same_kind(other)
        values = [p.cross_entropy(q) for p, q in zip(self.values, other.values, strict=True)]
        return self.choice.cross_entropy(other.choice) + self._expected(values)

    def kl_divergence(self, other: Self) -> Tensor:
        r"""Kullback-Leibler divergence to `other`: that of the choices plus the expected one of the values, >= 0."""
        self.check_same_kind(other)
        values = [p.kl_divergence(q) for p, q in zip(self.values, other.values, strict=True)]
        return self.choice.kl_divergence(other.choice) + self._expected(values)

    def _expected(self, values):
        probs = self.choice.probs
        # A branch of probability 0 contributes 0 even if its value is infinite.
        return sum(probs[..., i] * ops.where(ops.equal(probs[..., i], 0), 0.0, x) for i, x in enumerate(values))


def _chosen_only(action):
    choice, values = action
    zeros = keras.tree.map_structure(ops.zeros_like, values)
    return choice, tuple(_where(ops.equal(choice, i), *pair) for i, pair in enumerate(zip(values, zeros, strict=True)))


def _supported(dist, value, counts):
    """`value` where it counts, else a likely one: its density must be finite all the same, for the gradient."""
    if isinstance(dist, CompositeDist):
        return map_branches(lambda part, x: _supported(part, x, counts), dist.dists, value)
    value = shapes.as_numbers(value, "x")
    likely = _likely(dist, "float" not in shapes.dtype_of(value))
    event = tuple(likely.shape[len(dist.batch_shape) :])
    if event == () and shapes.matches(value.shape, (*counts.shape, 1)):
        likely, event = ops.expand_dims(likely, -1), (1,)  # labels in a column
    if not shapes.matches(value.shape, (*counts.shape, *event)):
        raise ValueError(
            f"The values of each branch must have shape {(*counts.shape, *event)}, the first axes as the choice has. "
            f"Received: values of shape {tuple(value.shape)} and dtype {shapes.dtype_of(value)}"
        )
    return _where(counts, value, likely)


def _likely(dist, is_action):
    """A mode, or the same draw at every call if there is no closed form of one."""
    try:
        return dist.mode_action() if is_action else dist.mode()
    except NotImplementedError:
        return ops.stop_gradient(dist.sample_action(seed=0) if is_action else dist.sample(seed=0))


def _where(condition, x, other):
    """`x` where `condition`, of shape [B...], holds for its row, else `other`, leaf by leaf."""

    def pick(a, b):
        rows = ops.expand_dims(condition, tuple(range(len(condition.shape), len(a.shape))))
        return ops.where(rows, a, ops.cast(b, shapes.dtype_of(a)))

    return keras.tree.map_structure(pick, x, other)
