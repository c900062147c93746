"""Several independent categorical choices."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Self

from keras import ops

from kgdists.core import shapes
from kgdists.core.checks import is_count
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.distributions import one_hot
from kgdists.distributions.categorical import CategoricalDist
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.temperature import as_temperature
from kgdists.distributions.wrappers import in_full_precision
from kgdists.random import split

__all__ = ["MultiCategoricalDist", "as_nvec"]


class MultiCategoricalDist(Distribution):
    r"""Independent categorical choices, the i-th among `nvec[i]`, with all logits in one vector.

    Its variates are the concatenated near one-hot vectors of the choices, as those of a `CategoricalDist`.

    Parameters
    ----------
    logits : None or float tensor, shape [B..., sum(nvec)]
        Unnormalised log-probabilities. `-inf` rules an option out; NaN and `+inf` are errors.
    nvec : sequence of int, >= 1
        Numbers of options.
    boltzmann_tau : float or float tensor, > 0, shape [] or [B...]
        Temperature of `sample`. A number is static. A tensor is one more parameter, of shape [B...], which gradients
        reach; a variable is read.
    mask : None or bool (or 0 / 1 integer) tensor, shape [B..., sum(nvec)]
        True where an option is allowed.
    name : str
    random_seed : None or int
        An int makes the sequence of draws reproducible; None draws from Keras' global stream.
    probs : None or float tensor, 0 to 1, shape [B..., sum(nvec)]
        Probabilities in the place of `logits`: exactly one of the two is given. Those of each choice sum to 1, to
        rounding.

    Raises
    ------
    ValueError
        On wrong shapes or dtypes and, where values are at hand, on NaN, a choice that allows nothing or `probs`
        that are none.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.MultiCategoricalDist([[0.0, 1.0, 0.0, 0.0, 2.0]], nvec=[2, 3])
    >>> pi.sample().shape, pi.sample_action().shape, pi.entropy().shape
    (TensorShape([1, 5]), TensorShape([1, 2]), TensorShape([1]))
    """

    PARAM_NAMES = ("logits",)
    STATIC_NAMES = ("nvec", "boltzmann_tau", "name")
    SUPPORT_NAMES = ("nvec",)
    REPARAMETERIZED = False

    logits: Tensor
    nvec: tuple[int, ...]
    boltzmann_tau: float | Tensor
    name: str

    def __init__(
        self,
        logits: TensorLike | None = None,
        nvec: Iterable[Integer] | None = None,
        boltzmann_tau: TensorLike = 0.2,
        *,
        mask: TensorLike | None = None,
        name: str = "multi_categorical_dist",
        random_seed: Seed = None,
        probs: TensorLike | None = None,
    ) -> None:
        kind, scores = one_hot.given(logits, probs)
        nvec = as_nvec(nvec)
        if sum(nvec) != scores.shape[-1]:
            raise ValueError(
                f"`{kind}` must have sum(nvec) entries on its last axis. "
                f"Received: {kind} of shape {tuple(scores.shape)}, nvec={nvec}"
            )
        scores = one_hot.logits_of(scores, nvec) if kind == "probs" else scores
        tau = as_temperature("boltzmann_tau", boltzmann_tau, scores)
        masks = [None] * len(_runs(nvec)) if mask is None else _split(_checked_mask(mask, scores), nvec)
        parts = [CategoricalDist(part, mask=allowed) for part, allowed in zip(_split(scores, nvec), masks, strict=True)]
        joined = scores if mask is None else _join([part.logits for part in parts])
        self.set_fields(logits=joined, nvec=nvec, boltzmann_tau=tau, name=name, random_seed=random_seed)

    @property
    def parts(self) -> list[CategoricalDist]:
        """Categoricals of shape [B..., r, n], one for each run of r neighbours with equally many options."""
        return self._parts_of(self.logits, self.boltzmann_tau)

    def _parts_of(self, logits: Tensor, tau: float | Tensor) -> list[CategoricalDist]:
        # What the constructor has checked is not checked again.
        choices = _split(logits, self.nvec)
        if isinstance(tau, float):
            metadata: tuple[Any, ...] = (CategoricalDist.PARAM_NAMES, tau, self.name, self._stream)
            return [CategoricalDist._unflatten(metadata, (x,)) for x in choices]
        metadata = (("logits", "boltzmann_tau"), self.name, self._stream)
        return [CategoricalDist._unflatten(metadata, (x, tau[..., None] + ops.zeros_like(x[..., 0]))) for x in choices]

    @property
    @in_full_precision
    def probs(self) -> Tensor:
        """Probabilities of all options, shape [B..., sum(nvec)]; those of each choice sum to one."""
        return _join([part.probs for part in self.parts])

    def sample(self, sample_shape: Integer | Sequence[Integer] = (), seed: Seed = None, hard: bool = False) -> Tensor:
        """Draw concatenated near one-hot vectors, differentiable in the logits.

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
        float tensor, shape [*sample_shape, B..., sum(nvec)].
        """
        seeds = split(self.generator(seed), len(self.parts))
        return _join([part.sample(sample_shape, s, hard) for part, s in zip(self.parts, seeds, strict=True)])

    def sample_action(self, seed: Seed = None) -> Tensor:
        """Draw labels: int32 tensor, shape [B..., len(nvec)], exactly distributed; -1 as in a `CategoricalDist`."""
        seeds = split(self.generator(seed), len(self.parts))
        return ops.concatenate([part.sample_action(s) for part, s in zip(self.parts, seeds, strict=True)], axis=-1)

    def mode(self) -> Tensor:
        """The most probable options as concatenated one-hot vectors, shape [B..., sum(nvec)]; the first of equals."""
        return _join([part.mode() for part in self.parts])

    def mode_action(self) -> Tensor:
        """The most probable labels: int32 tensor, shape [B..., len(nvec)]; the first of equals."""
        return ops.concatenate([part.mode_action() for part in self.parts], axis=-1)

    def mean(self) -> Tensor:
        """Mean of the one-hot vectors: `probs`, shape [B..., sum(nvec)]."""
        return self.probs

    def variance(self) -> Tensor:
        """Variance of each entry of the one-hot vectors: `p (1 - p)`, shape [B..., sum(nvec)]."""
        return _join([part.variance() for part in self.parts])

    def log_proba(self, x: TensorLike) -> Tensor:
        r"""Log-probability :math:`\sum_i \log p_i(x_i)`.

        Parameters
        ----------
        x : tensor
            Integer labels of shape [B..., len(nvec)], or concatenated (near) one-hot floats of shape [B..., sum(nvec)];
            sample axes may come in front.

        Returns
        -------
        float tensor, shape [B...] behind any sample axes; `-inf` for an option that is ruled out.

        Raises
        ------
        ValueError
            On wrong shapes and, where values are at hand, on labels outside their range or NaN. In a graph such a label
            has log-probability `-inf`.
        """
        given = shapes.as_numbers(x, "x")
        if "float" in shapes.dtype_of(given):
            xs = _split(self.as_variate(given), self.nvec)
        elif shapes.ends_with(given.shape, (*self.batch_shape, len(self.nvec))):
            # A categorical takes a last axis of 1 off its labels, but not behind two sample axes.
            xs = _cut(ops.expand_dims(given, (0, 1)), [r for _, r in _runs(self.nvec)])
        else:
            raise ValueError(
                f"`x` of integer labels must have shape {(*self.batch_shape, len(self.nvec))} behind any sample axes; "
                f"one-hot vectors must be floats. Received: x of shape {tuple(given.shape)}"
            )
        log_proba = sum(ops.sum(part.log_proba(each), axis=-1) for part, each in zip(self.parts, xs, strict=True))
        return log_proba if "float" in shapes.dtype_of(given) else ops.squeeze(log_proba, (0, 1))

    def entropy(self) -> Tensor:
        """Entropy, the sum of those of the choices, shape [B...]."""
        return sum(ops.sum(part.entropy(), axis=-1) for part in self.parts)

    def cross_entropy(self, other: Self) -> Tensor:
        """Cross-entropy to `other`, the sum of those of the choices, shape [B...]."""
        self.check_same_kind(other)
        return sum(ops.sum(p.cross_entropy(q), axis=-1) for p, q in self._pairs(other))

    def kl_divergence(self, other: Self) -> Tensor:
        """Kullback-Leibler divergence to `other`, the sum of those of the choices, shape [B...], >= 0."""
        self.check_same_kind(other)
        return sum(ops.sum(p.kl_divergence(q), axis=-1) for p, q in self._pairs(other))

    def _pairs(self, other):
        """The parts of both, of one batch shape."""
        p, q = self.logits, other.logits
        p, q = p + ops.zeros_like(q), q + ops.zeros_like(p)
        return zip(self._parts_of(p, 1.0), self._parts_of(q, 1.0), strict=True)


def as_nvec(nvec: Any) -> tuple[int, ...]:
    """`nvec` as a tuple of Python ints."""
    sizes = tuple(nvec) if hasattr(nvec, "__iter__") else ()
    if not sizes or not all(is_count(n) for n in sizes):
        raise ValueError(f"`nvec` must be a sequence of ints >= 1. Received: nvec={nvec!r}")
    return tuple(map(int, sizes))


def _runs(nvec):
    """Pairs (n, r): r neighbours have n options each. Together they are one categorical with a further axis."""
    return [(n, len(list(group))) for n, group in itertools.groupby(nvec)]


def _cut(x: Tensor, lengths: list[int]) -> list[Tensor]:
    """`x` as one piece of each length along its last axis."""
    ends = list(itertools.accumulate(lengths))[:-1]
    return ops.split(x, ends, axis=-1) if ends else [x]


def _split(x: Tensor, nvec: tuple[int, ...]) -> list[Tensor]:
    """Vectors of shape [..., sum(nvec)] as one tensor of shape [..., r, n] for each run."""
    parts = _cut(x, [n * r for n, r in _runs(nvec)])
    return [shapes.reshape_last(part, 1, (r, n)) for part, (n, r) in zip(parts, _runs(nvec), strict=True)]


def _join(parts):
    """The inverse of `_split`."""
    flat = [shapes.reshape_last(part, 2, (part.shape[-2] * part.shape[-1],)) for part in parts]
    return ops.concatenate(flat, axis=-1) if len(flat) > 1 else flat[0]


def _checked_mask(mask, logits):
    mask = shapes.as_numbers(mask, "mask")
    if not shapes.matches(mask.shape, logits.shape):
        raise ValueError(
            "`mask` must have the shape of `logits`: nothing is broadcast. "
            f"Received: mask of shape {tuple(mask.shape)}, logits of shape {tuple(logits.shape)}"
        )
    return mask
