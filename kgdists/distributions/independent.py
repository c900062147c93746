"""Rows of a batch as one event."""

from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops

from kgdists.core.checks import count
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.nested import NestedDist, seed_of

__all__ = ["Independent"]


class Independent(NestedDist):
    r"""The last axes of the batch of another distribution, as axes of the event: densities are summed over them.

    Parameters
    ----------
    dist : Distribution
        Of batch shape [B..., m...] and event shape [..., n].
    num_axes : int, >= 1
        How many axes of the batch become axes of the event.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from the stream of `dist`.

    Raises
    ------
    ValueError
        If the batch has too few axes, or the size of one of these is not known.
    TypeError
        If `dist` is no distribution of arrays.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.Independent(kg.NormalDist(mu=[[[0.0], [1.0]]], logvar=[[[0.0], [0.0]]]))
    >>> pi.batch_shape, pi.event_shape, pi.log_proba([[[0.5], [0.5]]]).shape
    ((1,), (2, 1), TensorShape([1]))
    """

    PARAM_NAMES = ("dist",)
    STATIC_NAMES = ("num_axes", "name")
    SUPPORT_NAMES = ("num_axes",)

    dist: Distribution
    num_axes: int
    name: str

    def __init__(
        self, dist: Distribution, num_axes: int = 1, *, name: str = "independent", random_seed: Seed = None
    ) -> None:
        if not isinstance(dist, Distribution) or not _is_shape(dist.event_shape):
            raise TypeError(f"`dist` must be a distribution of arrays. Received: {type(dist).__name__}")
        num_axes, batch = count("num_axes", num_axes), dist.batch_shape
        if len(batch) < num_axes or None in batch[len(batch) - num_axes :]:
            raise ValueError(
                f"The batch of `dist` must have {num_axes} axes of known size at its end. Received: batch shape {batch}"
            )
        self.set_fields(dist=dist, num_axes=num_axes, name=name, random_seed=seed_of(random_seed, dist))

    @property
    def batch_shape(self) -> tuple[int | None, ...]:
        """Static shape of the batch, a tuple; None where unknown."""
        return self.dist.batch_shape[: -self.num_axes]

    @property
    def event_shape(self) -> Any:
        """Static shape of one variate, a tuple."""
        return (*self.dist.batch_shape[-self.num_axes :], *self.dist.event_shape)

    def _batch_sizes(self) -> tuple[Any, ...]:
        return self.dist._batch_sizes()[: -self.num_axes]

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Draw of `dist`, shape [*sample_shape, B..., *event_shape]; arguments as for any distribution."""
        return self.dist.sample(sample_shape, self.generator(seed))

    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Tensor, Tensor]:
        """A variate and its log-probability; arguments as for `sample`."""
        x, log_proba = self.dist.sample_and_log_proba(sample_shape, self.generator(seed))
        return x, self._sum(log_proba)

    def sample_action(self, seed: Seed = None) -> Tensor:
        """Draw in the form that `dist` does."""
        return self.dist.sample_action(self.generator(seed))

    def mode(self) -> Tensor:
        """The mode of `dist`."""
        return self.dist.mode()

    def mode_action(self) -> Tensor:
        """The mode of `dist`, in the form of `sample_action`."""
        return self.dist.mode_action()

    def mean(self) -> Tensor:
        """The mean of `dist`."""
        return self.dist.mean()

    def variance(self) -> Tensor:
        """The variance of `dist`."""
        return self.dist.variance()

    def median(self) -> Tensor:
        """The median of `dist`."""
        return self.dist.median()

    def log_proba(self, x: TensorLike) -> Tensor:
        """The log-probability of `dist`, summed over the axes; shape [B...] behind any sample axes.

        Parameters
        ----------
        x : tensor, shape [B..., *event_shape]; sample axes may come in front
        """
        return self._sum(self.dist.log_proba(x))

    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        """That of `dist`, shape of `x`."""
        return self.dist.elementwise_log_proba(x)

    def cdf(self, x: TensorLike) -> Tensor:
        """That of `dist`, shape of `x`."""
        return self.dist.cdf(x)

    def log_cdf(self, x: TensorLike) -> Tensor:
        """That of `dist`, shape of `x`."""
        return self.dist.log_cdf(x)

    def survival(self, x: TensorLike) -> Tensor:
        """That of `dist`, shape of `x`."""
        return self.dist.survival(x)

    def log_survival(self, x: TensorLike) -> Tensor:
        """That of `dist`, shape of `x`."""
        return self.dist.log_survival(x)

    def quantile(self, q: TensorLike) -> Tensor:
        """That of `dist`, shape [..., B..., *event_shape]."""
        return self.dist.quantile(q)

    def crps(self, x: TensorLike) -> Tensor:
        """That of `dist`, summed over the axes; shape [B...] behind any sample axes."""
        return self._sum(self.dist.crps(x))

    def entropy(self) -> Tensor:
        """Entropy, the sum of those of `dist` over the axes, shape [B...]."""
        return self._sum(self.dist.entropy())

    def cross_entropy(self, other: Self) -> Tensor:
        """Cross-entropy to `other`, the sum of those of `dist` over the axes, shape [B...]."""
        p, q = self._pair(other)
        return self._sum(p.cross_entropy(q))

    def kl_divergence(self, other: Self) -> Tensor:
        """Kullback-Leibler divergence to `other`, the sum of those of `dist` over the axes, shape [B...], >= 0."""
        p, q = self._pair(other)
        return self._sum(p.kl_divergence(q))

    def _sum(self, x):
        return ops.sum(x, axis=tuple(range(-self.num_axes, 0)))

    def _pair(self, other):
        """What both are made of, of one batch shape: one of the two may have no batch."""
        self.check_same_kind(other)
        if len(self.batch_shape) == len(other.batch_shape):
            return self.dist, other.dist
        if self.batch_shape:
            return self.dist, _repeated(other.dist, self._batch_sizes())
        return _repeated(self.dist, other._batch_sizes()), other.dist


def _repeated(dist, sizes):
    return keras.tree.map_structure(lambda x: ops.broadcast_to(x, (*sizes, *x.shape)), dist)


def _is_shape(event):
    return isinstance(event, tuple) and all(size is None or isinstance(size, int) for size in event)
