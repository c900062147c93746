"""Independent distributions side by side, in nested dicts and tuples."""

from collections.abc import Callable, Sequence
from typing import Any, Self

from kgdists.core import shapes
from kgdists.core.checks import is_count
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.nested import NestedDist
from kgdists.distributions.wrappers import unwrapped
from kgdists.random import split

__all__ = ["CompositeDist", "branches", "map_branches"]


class CompositeDist(NestedDist):
    r"""Independent distributions in a nested structure; its variates and actions have that structure.

    :math:`\log p(x) = \sum_b \log p_b(x_b)` over the branches b; entropies and divergences add up likewise.

    Parameters
    ----------
    dists : dict or tuple of Distribution, nested
        All of one batch shape and dtype.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None lets each branch draw from its own stream.

    Raises
    ------
    ValueError
        If there is no branch, or batch shapes or dtypes differ.
    TypeError
        If a branch is no distribution.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.CompositeDist({"move": kg.CategoricalDist([[0.0, 1.0]]), "push": kg.NormalDist([[0.0]], [[0.0]])})
    >>> action = pi.sample_action()
    >>> action["move"].shape, action["push"].shape, pi.log_proba(action).shape
    (TensorShape([1]), TensorShape([1, 1]), TensorShape([1]))
    """

    PARAM_NAMES = ("dists",)
    STATIC_NAMES = ("name",)

    dists: Any
    name: str

    def __init__(
        self,
        dists: dict[str, Any] | tuple[Any, ...] | list[Any],
        *,
        name: str = "composite_dist",
        random_seed: Seed = None,
    ) -> None:
        dists = _checked(dists)
        each = branches(dists)
        if not each:
            raise ValueError(f"`dists` must hold at least one distribution. Received: dists={dists}")
        first, *others = each
        for dist in others:
            if not shapes.matches(dist.batch_shape, first.batch_shape) or dist.dtype != first.dtype:
                raise ValueError(
                    "`dists` must be of one batch shape and dtype. "
                    f"Received: {first.batch_shape} of {first.dtype} and {dist.batch_shape} of {dist.dtype}"
                )
        self.set_fields(dists=dists, name=name, random_seed=random_seed)

    def __getitem__(self, key: Any) -> Any:
        """The branch, or the structure of branches, at a name, or at a number of a tuple; else rows of the batch."""
        is_branch = isinstance(key, str) or (isinstance(self.dists, tuple) and is_count(key, least=-len(self.dists)))
        return self.dists[key] if is_branch else super().__getitem__(key)

    # What it is made of.

    def _parts(self) -> Any:
        return self.dists

    @classmethod
    def _of_parts(cls, parts: Any, **fields: Any) -> Self:
        return cls(parts, **fields)

    @property
    def _first(self) -> Any:
        return branches(self.dists)[0]

    @property
    def event_shape(self) -> Any:
        """Static shapes of a variate, in the structure of the branches."""
        return map_branches(lambda dist: dist.event_shape, self.dists)

    @property
    def REPARAMETERIZED(self) -> bool:  # type: ignore[override]
        """Whether `sample` is an exact draw in every branch."""
        return all(dist.REPARAMETERIZED for dist in branches(self.dists))

    # What the branches do, one by one.

    @unwrapped
    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Draw a variate of each branch, differentiable as that is; arguments as for any distribution."""
        return self._draw(lambda dist, seed: dist.sample(sample_shape, seed), seed)

    @unwrapped
    def sample_action(self, seed: Seed = None) -> Tensor:
        """Draw an action of each branch, exactly distributed."""
        return self._draw(lambda dist, seed: dist.sample_action(seed), seed)

    @unwrapped
    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Tensor, Tensor]:
        """A variate and its log-probability; arguments as for `sample`."""
        drawn = self._draw(lambda dist, seed: dist.sample_and_log_proba(sample_shape, seed), seed)
        x = map_branches(lambda _, pair: pair[0], self.dists, drawn)
        return x, sum(branches(map_branches(lambda _, pair: pair[1], self.dists, drawn)))

    @unwrapped
    def mode(self) -> Tensor:
        """The mode of each branch."""
        return map_branches(lambda dist: dist.mode(), self.dists)

    def mode_action(self) -> Tensor:
        """The most probable action of each branch."""
        return map_branches(lambda dist: dist.mode_action(), self.dists)

    @unwrapped
    def mean(self) -> Tensor:
        """The mean of each branch."""
        return map_branches(lambda dist: dist.mean(), self.dists)

    @unwrapped
    def variance(self) -> Tensor:
        """The variances of each branch."""
        return map_branches(lambda dist: dist.variance(), self.dists)

    @unwrapped
    def stddev(self) -> Tensor:
        """The standard deviations of each branch."""
        return map_branches(lambda dist: dist.stddev(), self.dists)

    @unwrapped
    def median(self) -> Tensor:
        """The median of each branch."""
        return map_branches(lambda dist: dist.median(), self.dists)

    @unwrapped
    def cdf(self, x: Any) -> Tensor:
        """The distribution functions of each branch; `x` as for `log_proba`."""
        return map_branches(lambda dist, x: dist.cdf(x), self.dists, x)

    @unwrapped
    def log_cdf(self, x: Any) -> Tensor:
        """The logarithms of `cdf` of each branch."""
        return map_branches(lambda dist, x: dist.log_cdf(x), self.dists, x)

    @unwrapped
    def survival(self, x: Any) -> Tensor:
        """The probabilities to be above, of each branch."""
        return map_branches(lambda dist, x: dist.survival(x), self.dists, x)

    @unwrapped
    def log_survival(self, x: Any) -> Tensor:
        """The logarithms of `survival` of each branch."""
        return map_branches(lambda dist, x: dist.log_survival(x), self.dists, x)

    @unwrapped
    def quantile(self, q: TensorLike) -> Tensor:
        """The quantiles of each branch at the same levels."""
        return map_branches(lambda dist: dist.quantile(q), self.dists)

    def crps(self, x: Any) -> Tensor:
        """The sum of the scores of the branches, shape [B...] behind any sample axes; `x` as for `log_proba`."""
        return self._sum(lambda dist, x: dist.crps(x), x)

    def log_proba(self, x: Any) -> Tensor:
        r"""Log-probability :math:`\sum_b \log p_b(x_b)`, shape [B...] behind any sample axes.

        Parameters
        ----------
        x : nested dict or tuple
            A variate or an action of each branch.
        """
        return self._sum(lambda dist, x: dist.log_proba(x), x)

    def entropy(self) -> Tensor:
        """Entropy, the sum of those of the branches, shape [B...]."""
        return self._sum(lambda dist: dist.entropy())

    def cross_entropy(self, other: Self) -> Tensor:
        """Cross-entropy to `other`, the sum of those of the branches, shape [B...]."""
        self.check_same_kind(other)
        return self._sum(lambda p, q: p.cross_entropy(q), other.dists)

    def kl_divergence(self, other: Self) -> Tensor:
        """Kullback-Leibler divergence to `other`, the sum of those of the branches, shape [B...], >= 0."""
        self.check_same_kind(other)
        return self._sum(lambda p, q: p.kl_divergence(q), other.dists)

    def check_same_kind(self, other: Distribution) -> None:
        """Raise unless `other` is of the same type, and each of its branches of the same kind as the one here."""
        if type(other) is not type(self):
            raise TypeError(
                f"`other` must be of the same type, {type(self).__name__}. Received: {type(other).__name__}"
            )
        map_branches(lambda p, q: p.check_same_kind(q), self.dists, other.dists)

    def _draw(self, function: Callable[[Any, Seed], Any], seed: Seed) -> Any:
        seeds = iter(split(self.generator(seed), len(branches(self.dists))))
        return map_branches(lambda dist: function(dist, next(seeds)), self.dists)

    def _sum(self, function: Callable[..., Tensor], *trees: Any) -> Tensor:
        return sum(branches(map_branches(function, self.dists, *trees)))


def map_branches(function: Callable[..., Any], dists: Any, *trees: Any) -> Any:
    """`function(branch, *parts)` for each distribution in a nested dict or tuple, and the same part of other trees."""
    if isinstance(dists, dict):
        for tree in trees:
            if not isinstance(tree, dict) or tree.keys() != dists.keys():
                raise ValueError(
                    f"Nested values must be a dict with the keys {list(dists)}. Received: {_outline(tree)}"
                )
        return {key: map_branches(function, dist, *(tree[key] for tree in trees)) for key, dist in dists.items()}
    if isinstance(dists, tuple):
        for tree in trees:
            if not isinstance(tree, (tuple, list)) or len(tree) != len(dists):
                raise ValueError(f"Nested values must be a tuple of length {len(dists)}. Received: {_outline(tree)}")
        return tuple(map_branches(function, *parts) for parts in zip(dists, *trees, strict=True))
    return function(dists, *trees)


def branches(tree: Any) -> list[Any]:
    """All leaves of a nested dict or tuple, in order."""
    if isinstance(tree, dict):
        return [leaf for part in tree.values() for leaf in branches(part)]
    return [leaf for part in tree for leaf in branches(part)] if isinstance(tree, tuple) else [tree]


def _outline(tree):
    if isinstance(tree, dict):
        return f"dict with the keys {list(tree)}"
    return f"{type(tree).__name__} of length {len(tree)}" if isinstance(tree, (tuple, list)) else type(tree).__name__


def _checked(dists):
    """`dists` of plain dicts, ordered by key as trees are everywhere, and tuples."""
    if isinstance(dists, dict):
        for key in dists:
            if not isinstance(key, str):
                raise TypeError(f"Keys of `dists` must be strings. Received: {key!r}")
        return {key: _checked(dists[key]) for key in sorted(dists)}
    if isinstance(dists, (tuple, list)):
        return tuple(map(_checked, dists))
    if not isinstance(dists, Distribution):
        raise TypeError(f"`dists` must be nested dicts and tuples of distributions. Received: {type(dists).__name__}")
    return dists
