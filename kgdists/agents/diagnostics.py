"""Training diagnostics: pure functions of tensors, which run in the compiled update."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from gymnasium.spaces import Box, Dict, OneOf, Space, Tuple
from keras import ops

from kgdists import divergences
from kgdists.agents.weighting import Weights, weighted_mean
from kgdists.core.types import Seed, Tensor
from kgdists.distributions import CompositeDist, OneOfDist
from kgdists.distributions.distribution import Distribution

__all__ = [
    "adam_gradient_norm",
    "approximate_kl",
    "clip_fraction",
    "entropies",
    "entropy",
    "explained_variance",
    "gradient_norm",
    "saturation",
]

NEAR = 0.01  # of the width of a box: how close to a bound an action counts as saturated


def entropy(pi: Distribution, seed: Seed = None) -> Tensor:
    """The entropy of a distribution in closed form or, where there is none, an unbiased estimate by one draw.

    Parameters
    ----------
    pi : Distribution
    seed : None, int or keras.random.SeedGenerator
        Of the draw.

    Returns
    -------
    float tensor, shape [B...], in nats.
    """
    try:
        return pi.entropy()
    except NotImplementedError:
        return divergences.entropy(pi, num_samples=1, seed=seed)[0]


def entropies(pi: Distribution, seed: Seed = None) -> dict[str, Tensor]:
    """The entropy of a policy and, if its actions are composed of several, that of each.

    Parameters
    ----------
    pi : Distribution
    seed : None, int or keras.random.SeedGenerator
        For what has no closed form.

    Returns
    -------
    dict of name -> float tensor, shape [B...]
        `"entropy"`, and for the branches of a composite `"entropy_<key>"`, keys below keys separated by a slash. It is
        the sum of its branches, except where one of several is chosen: then the branches are those of the choice and
        of the values given it.

    Examples
    --------
    >>> import kgdists as kg
    >>> from kgdists.agents.diagnostics import entropies
    >>> pi = kg.CompositeDist({"gear": kg.CategoricalDist([[0.0, 0.0]]), "horn": kg.BernoulliDist([[0.0]])})
    >>> {name: round(x.numpy().item(), 3) for name, x in entropies(pi).items()}
    {'entropy': 1.386, 'entropy_gear': 0.693, 'entropy_horn': 0.693}
    """
    if not isinstance(pi, CompositeDist):
        return {"entropy": entropy(pi, seed)}
    each = {f"entropy_{name}": entropy(branch, seed) for name, branch in _named(pi.dists)}
    total = entropy(pi, seed) if isinstance(pi, OneOfDist) else sum(each.values())
    return {"entropy": total, **each}


def _named(dists, prefix=""):
    """The distributions in a nested dict or tuple, with the keys that lead to them."""
    if not isinstance(dists, (dict, tuple)):
        yield prefix, dists
        return
    for key, part in dists.items() if isinstance(dists, dict) else enumerate(dists):
        yield from _named(part, f"{prefix}/{key}" if prefix else str(key))


def saturation(space: Space, actions: Any) -> dict[str, Tensor]:
    """The part of the coordinates of boxes that are at a bound, beyond it, or nearer than 1 % of the box's width.

    Coordinates with one bound count if they are at it or beyond; those without bounds, constants, integers and the
    values of branches not chosen do not count at all.

    Parameters
    ----------
    space : gymnasium.spaces.Space
        Of the actions of a single environment.
    actions : tensor, shape [B..., n], or nested ones
        Of the policy's distribution, before `decode_action` clips them.

    Returns
    -------
    dict of name -> float scalar
        `"saturation"`, in [0, 1]; empty if no coordinate has a bound.

    Examples
    --------
    >>> import gymnasium
    >>> from kgdists.agents.diagnostics import saturation
    >>> saturation(gymnasium.spaces.Box(-1.0, 1.0, (2,)), ops.array([[0.5, -0.99], [1.2, 0.97]]))["saturation"].numpy()
    np.float32(0.5)
    """
    counts = list(_saturated(space, actions))
    if not counts:
        return {}
    hits, coordinates = (sum(column) for column in zip(*counts, strict=True))
    return {"saturation": hits / ops.maximum(coordinates, 1.0)}  # perhaps no branch with a box was chosen


def _saturated(space, actions, weights=1.0):
    """For each box in `space` the numbers of saturated and of all bounded coordinates, rows weighted."""
    match space:
        case Dict():
            for key, part in space.spaces.items():
                yield from _saturated(part, actions[key], weights)
        case Tuple():
            for part, x in zip(space.spaces, actions, strict=True):
                yield from _saturated(part, x, weights)
        case OneOf():
            choice, values = actions
            for i, (part, x) in enumerate(zip(space.spaces, values, strict=True)):
                yield from _saturated(part, x, weights * ops.cast(ops.equal(choice, i), "float32"))
        case Box() if np.issubdtype(space.dtype, np.floating):
            low, high = space.low.ravel().astype("float64"), space.high.ravel().astype("float64")
            has_low, has_high = np.isfinite(low) & (low < high), np.isfinite(high) & (low < high)
            near = NEAR * np.where(has_low & has_high, high - low, 0.0)
            lowest = np.where(has_low, low + near, -np.inf).astype("float32")
            highest = np.where(has_high, high - near, np.inf).astype("float32")
            x = ops.cast(actions, "float32")
            weights = weights * ops.ones(x.shape[:-1])
            hits = ops.sum(ops.cast((x <= lowest) | (x >= highest), "float32"), axis=-1)
            if coordinates := int((has_low | has_high).sum()):
                yield ops.sum(weights * hits), coordinates * ops.sum(weights)


def explained_variance(values: Tensor, returns: Tensor, weights: Weights = None) -> Tensor:
    r"""The part of the variance of returns that values explain, :math:`1 - \mathrm{Var}(R - V) / \mathrm{Var}(R)`.

    Parameters
    ----------
    values, returns : float tensors of one shape
    weights : None or float tensor of that shape
        1 on average.

    Returns
    -------
    float scalar
        At most 1; 0 for a constant estimate, below for a worse one, NaN if all returns are the same.

    Examples
    --------
    >>> from kgdists.agents.diagnostics import explained_variance
    >>> explained_variance(ops.array([0.5, 2.0, 3.5]), ops.array([1.0, 2.0, 3.0])).numpy()
    np.float32(0.75)
    """
    variance = _variance(returns, weights)
    return ops.where(variance > 0.0, 1.0 - _variance(returns - values, weights) / variance, float("nan"))


def _variance(x, weights):
    if weights is None:
        return ops.var(x)
    return weighted_mean(ops.square(x - weighted_mean(x, weights)), weights)


def approximate_kl(log_ratio: Tensor, weights: Weights = None) -> Tensor:
    r"""Schulman's estimate of the divergence of the old policy from the new one, :math:`\mathrm{mean}(r - 1 - \log r)`.

    Unlike :math:`-\mathrm{mean}(\log r)`, which has the same expectation, it is never negative.

    Parameters
    ----------
    log_ratio : float tensor
        Log-probabilities of the actions under the new policy minus those under the old one, which drew them.
    weights : None or float tensor
        1 on average.

    Returns
    -------
    float scalar, >= 0, in nats.
    """
    return weighted_mean(ops.expm1(log_ratio) - log_ratio, weights)


def clip_fraction(log_ratio: Tensor, clip_range: Tensor, weights: Weights = None) -> Tensor:
    r"""The part of the ratios that PPO's loss clips: :math:`|r - 1| > \epsilon`.

    Parameters
    ----------
    log_ratio : float tensor
    clip_range : float or scalar tensor
    weights : None or float tensor
        1 on average.

    Returns
    -------
    float scalar, in [0, 1].
    """
    return weighted_mean(ops.cast(ops.abs(ops.expm1(log_ratio)) > clip_range, "float32"), weights)


def gradient_norm(gradients: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of the gradients of all weights together, before they are clipped.

    Parameters
    ----------
    gradients : list of tensors, of `tf.IndexedSlices` or None
        As `tf.GradientTape.gradient` returns them; None counts as zero.

    Returns
    -------
    float scalar.
    """
    given = [ops.cast(tf.convert_to_tensor(x), "float32") for x in gradients if x is not None]
    return ops.sqrt(sum(ops.sum(ops.square(x)) for x in given))


def adam_gradient_norm(optimizer: keras.optimizers.Adam) -> float:
    """Root mean square of the gradient's norm over the last steps of Adam, read off its second moments.

    That costs a step nothing, where a norm would cost a few percent.

    Parameters
    ----------
    optimizer : keras.optimizers.Adam
        After at least one step; 1 / (1 - beta_2) steps count, the later the more.

    Returns
    -------
    float
    """
    moments = [x.numpy() for x in optimizer.variables if x.path.endswith("_velocity")]
    return math.sqrt(sum(x.sum() for x in moments) / (1.0 - optimizer.beta_2 ** int(optimizer.iterations)))
