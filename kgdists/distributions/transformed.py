"""A distribution carried along by a monotone map."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions.bounds import is_between
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.inversion import tail_quantile
from kgdists.distributions.nested import NestedDist, check_has_density, check_part, elementwise, seed_of
from kgdists.distributions.transforms import Transform

__all__ = ["Transformed"]

INF = float("inf")


class Transformed(NestedDist):
    r"""Distribution of :math:`x = g(u)`, where g maps each dimension by itself and `u` is of another distribution.

    Parameters
    ----------
    dist : Distribution
        Of `u`, over vectors of n dimensions, with a density.
    transform : Transform
        Of `kgdists.distributions.transforms`, or one of one's own: g.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from the stream of `dist`.

    Raises
    ------
    TypeError
        If `dist` is no distribution or `transform` no transform.
    ValueError
        If `dist` has no density, or shapes of the transform's tensors differ from those of `dist`.

    Notes
    -----
    Given a value at an end of the range of g, `log_proba` takes it for the float next to it, since draws are rounded to
    the ends. `sample_and_log_proba` is exact.

    Mean, variance, entropy and the mode are those of affine maps only.

    Examples
    --------
    >>> import kgdists as kg
    >>> t = kg.distributions.transforms
    >>> pi = kg.Transformed(kg.NormalDist(mu=[[0.0, 1.0]], logvar=[[0.0, -1.0]]), t.Exp())
    >>> pi.sample().shape, pi.log_proba([[0.5, 2.5]]).shape
    (TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("dist", "transform")
    STATIC_NAMES = ("name",)

    dist: Distribution
    transform: Transform
    name: str

    def __init__(
        self, dist: Distribution, transform: Transform, *, name: str = "transformed", random_seed: Seed = None
    ) -> None:
        check_part("dist", dist)
        check_has_density("dist", dist)
        if not isinstance(transform, Transform):
            raise TypeError(
                f"`transform` must be one of `kgdists.distributions.transforms`. Received: {type(transform).__name__}"
            )
        transform.check_vectors((*dist.batch_shape, *dist.event_shape), dist.dtype)
        self.set_fields(dist=dist, transform=transform, name=name, random_seed=seed_of(random_seed, dist))

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None) -> Tensor:
        """Map a draw of `dist`, differentiable as that is.

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
        return self.transform.forward(self.dist.sample(sample_shape, self.generator(seed)))

    def sample_and_log_proba(
        self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None
    ) -> tuple[Tensor, Tensor]:
        """A variate and its log-density, which is exact also where the variate is rounded."""
        u, log_proba = self.dist.sample_and_log_proba(sample_shape, self.generator(seed))
        return self.transform.forward(u), log_proba - ops.sum(self.transform.log_det(u), axis=-1)

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-density :math:`\sum_i (\log p(u_i) - \log |g'(u_i)|)` at :math:`u = g^{-1}(x)`.

        Parameters
        ----------
        x : float tensor, shape [B..., n]; sample axes may come in front

        Returns
        -------
        float tensor, shape [B...] behind any sample axes.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on NaN and on values outside the range. In a graph those have
            log-density `-inf`.
        """
        return ops.sum(self.elementwise_log_proba(x), axis=-1)

    def elementwise_log_proba(self, x: TensorLike) -> Tensor:
        """The summands of `log_proba`, shape of `x`."""
        x = self.as_variate(x)
        low, high = self.transform.ends(-INF, INF, self.dtype)
        inside = is_between(x, low, high)
        shapes.check_each("lie in the range of the transform", x, inside)
        u = self._inverse(x)
        log_density = elementwise(self.dist, u) - self.transform.log_det(u)
        # An infinite variate has density 0, and must not meet an infinite derivative.
        return ops.where(ops.isnan(x) | (inside & (ops.abs(x) < INF)), log_density, -INF)

    def mode(self) -> Tensor:
        """That of `dist`, mapped, of an affine map; shape [B..., n]."""
        self._check_affine("mode")
        return self.transform.forward(self.dist.mode())

    def mean(self) -> Tensor:
        """That of `dist`, mapped, of an affine map; shape [B..., n]."""
        self._check_affine("mean")
        return self.transform.forward(self.dist.mean())

    def variance(self) -> Tensor:
        """That of `dist` times the square of the scale, of an affine map; shape [B..., n]."""
        self._check_affine("variance")
        variance = self.dist.variance()
        return variance * ops.exp(2.0 * self.transform.log_det(variance))

    def cdf(self, x: TensorLike) -> Tensor:
        r""":math:`F(g^{-1}(x_i))`, or :math:`1 - F` where g decreases; shape of `x`."""
        return self._by_side(x, self.dist.cdf, self.dist.survival, 0.0, 1.0)

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, shape of `x`."""
        return self._by_side(x, self.dist.log_cdf, self.dist.log_survival, -INF, 0.0)

    def survival(self, x: TensorLike) -> Tensor:
        r""":math:`1 - F(g^{-1}(x_i))`, or F where g decreases; shape of `x`."""
        return self._by_side(x, self.dist.survival, self.dist.cdf, 1.0, 0.0)

    def log_survival(self, x: TensorLike) -> Tensor:
        """The logarithm of `survival`, shape of `x`."""
        return self._by_side(x, self.dist.log_survival, self.dist.log_cdf, 0.0, -INF)

    def quantile(self, q: TensorLike) -> Tensor:
        """That of `dist`, mapped; where g decreases that of the same probability above. Shape [..., B..., n]."""
        levels = self.as_levels(q)

        def from_above():
            is_tail = (levels > 0.0) & (levels < 0.5)
            tail = tail_quantile(self.dist, ops.log(ops.where(is_tail, levels, 0.5)) + self._zeros(), True)
            return ops.where(is_tail, tail, self.dist.quantile(1.0 - levels))

        return self.transform.forward(self._by_order(lambda: self.dist.quantile(levels), from_above))

    def _tail_quantile(self, log_tail, is_upper):
        is_upper = ops.equal(is_upper, self.transform.is_increasing)
        return self.transform.forward(tail_quantile(self.dist, log_tail, is_upper))

    def crps(self, x: TensorLike) -> Tensor:
        """That of `dist` times the scale, of an affine map of one dimension; shape [B...] behind any sample axes."""
        self._check_affine("crps")
        if self.event_shape != (1,):
            return super().crps(x)
        return ops.exp(self._log_volume()) * self.dist.crps(self.transform.inverse(self.as_variate(x)))

    def entropy(self) -> Tensor:
        r"""That of `dist` and :math:`\sum_i \log |\mathrm{scale}_i|`, of an affine map; shape [B...]."""
        self._check_affine("entropy")
        return self.dist.entropy() + self._log_volume()

    def cross_entropy(self, other: Self) -> Tensor:
        r"""That of `dist` to the one of `other` and :math:`\sum_i \log |\mathrm{scale}_i|`, of one affine map."""
        self._check_affine("cross_entropy")
        self._check_same("cross_entropy", other)
        return self.dist.cross_entropy(other.dist) + self._log_volume()

    def kl_divergence(self, other: Self) -> Tensor:
        """That of `dist` to the one of `other`, which must have the same transform; shape [B...], >= 0.

        A transform of tensors is the same only if these are the very same objects.
        """
        self._check_same("kl_divergence", other)
        return self.dist.kl_divergence(other.dist)

    def _check_same(self, name, other):
        """Raise unless `other` has the same transform: of numbers, or of the very same tensors."""
        self.check_same_kind(other)
        mine, its = self.transform, other.transform
        is_same = type(mine) is type(its) and mine._static() == its._static()
        pairs = zip(mine.params.values(), its.params.values(), strict=True) if is_same else ()
        if not is_same or not all(a is b for a, b in pairs):
            getattr(Distribution, name)(self, other)

    def _check_affine(self, name):
        if not self.transform.is_affine:
            getattr(Distribution, name)(self, *[None] * (name in ("crps", "cross_entropy")))

    def _log_volume(self):
        return ops.sum(self.transform.log_det(self._zeros()), axis=-1)

    def _inverse(self, x):
        most = float(np.finfo(self.dtype).max) / 4.0
        return self.transform.inverse(ops.minimum(ops.maximum(x, -most), most))

    def _by_side(self, x, increasing, decreasing, below, above):
        """A function of `u`, by the order that the map keeps; values at the ends of the range, and beyond."""
        x = self.as_variate(x)
        low, high = self.transform.ends(-INF, INF, self.dtype)
        u = self._inverse(x)
        inside = self._by_order(lambda: increasing(u), lambda: decreasing(u))
        return ops.where(x >= high, above, ops.where(x <= low, below, inside))

    def _by_order(self, increasing, decreasing):
        """What two functions return, the one of each dimension that the map keeps the order of."""
        keeps = self.transform.is_increasing
        if not shapes.is_tensor(keeps) and (np.all(keeps) or not np.any(keeps)):
            return increasing() if np.all(keeps) else decreasing()
        return ops.where(keeps, increasing(), decreasing())
