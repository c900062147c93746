"""Entropies and divergences of Gaussian mixtures in closed form: bounds, and approximations that are none."""

import math
from typing import Any, Literal, TypeAlias

import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Tensor
from kgdists.distributions import GaussianMixtureDist, MultivariateNormalDist, NormalDist
from kgdists.divergences.sampling import as_mixture

__all__ = ["entropy_bounds", "kl_divergence_approximation", "kl_divergence_bounds"]

ORDERS = (0.5, 0.25, 0.75, 0.9, 0.97)  # of the Chernoff distances tried for a lower bound of the cross-entropy
ITERATIONS = 30
NOTHING = -1e30  # the log-weight of a component without weight: finite, for it is multiplied by 0

Mixture: TypeAlias = GaussianMixtureDist | Any  # or a target, whose `distribution` is one


def entropy_bounds(p: Mixture) -> tuple[Tensor, Tensor]:
    r"""Bounds of the entropy of a mixture of components :math:`p_i` of weights :math:`w_i`.

    With :math:`\bar H = \sum_i w_i H(p_i)`, the lower bound is the larger of

    - :math:`\bar H - \sum_i w_i \log \sum_j w_j e^{-B(p_i, p_j)}`, B the distance of Bhattacharyya, that of Chernoff
      at 1/2 (Kolchinsky and Tracey 2017), and
    - :math:`-\sum_i w_i \log \sum_j w_j \int p_i p_j` (Huber et al. 2008, by Jensen's inequality).

    The upper bound is the smaller of

    - :math:`\bar H - \sum_i w_i \log \sum_j w_j e^{-\mathrm{KL}(p_i \| p_j)}` (Kolchinsky and Tracey 2017), and
    - the entropy of the normal distribution with the mean and the covariance of `p`.

    Where components lie far apart or coincide, lower and upper bounds meet.

    Parameters
    ----------
    p : GaussianMixtureDist or target of mixtures

    Returns
    -------
    lower, upper : float tensor, shape [B...]; float32 for half precision

    Examples
    --------
    >>> import kgdists as kg
    >>> p = kg.GaussianMixtureDist([0.0, 0.0], mu=[[-1.0], [1.0]], logvar=[[0.0], [0.0]])
    >>> [round(float(bound), 2) for bound in kg.divergences.entropy_bounds(p)]
    [1.65, 1.77]
    """
    p = as_mixture(p, "p")
    weights = ops.exp(p.log_weights)
    conditional = p.components.entropy()
    a, b = _pairs(p, p)
    log_overlap, (bhattacharyya,) = _overlaps(a, b, (0.5,))
    separate = ops.sum(weights * (conditional - _log_mean(p, -bhattacharyya)), axis=-1)
    lower = ops.maximum(separate, -ops.sum(weights * _log_mean(p, log_overlap), axis=-1))
    confused = ops.sum(weights * (conditional - _log_mean(p, -a.kl_divergence(b))), axis=-1)
    upper = ops.minimum(confused, _normal_of_moments(p).entropy())
    return ops.minimum(lower, upper), upper


def kl_divergence_bounds(p: Mixture, q: Mixture) -> tuple[Tensor, Tensor]:
    r"""Bounds of the divergence :math:`\mathrm{KL}(p \| q)` of two mixtures, of weights :math:`a_i` and :math:`b_j`.

    The upper bound is the smaller of

    - the variational upper bound of Hershey and Olsen (2007):
      :math:`\sum_{ij} \psi_{ij} (\log \frac{\psi_{ij}}{\phi_{ij}} + \mathrm{KL}(p_i \| q_j))` at the best weights that
      sum to :math:`\sum_j \psi_{ij} = a_i` and :math:`\sum_i \phi_{ij} = b_j`, and
    - an upper bound of the cross-entropy,
      :math:`\sum_i a_i (H(p_i) - \log \sum_j b_j e^{-\mathrm{KL}(p_i \| q_j)})`, minus the lower one of the entropy.

    The lower bound is 0 or, if larger, a lower bound of the cross-entropy minus the upper one of the entropy. For
    each :math:`p_i` it takes the largest of :math:`-\log \sum_j b_j \int p_i q_j` (Jensen's inequality) and of
    :math:`H(p_i) - \frac{1}{1 - \alpha} \log \sum_j b_j^{1 - \alpha} e^{-C_\alpha(p_i, q_j)}` at several
    :math:`\alpha`, C the distances of Chernoff (Jensen's inequality for :math:`(q / p_i)^{1 - \alpha}`).

    The bounds of the entropy are those of `entropy_bounds`. If both are single normals the bounds are the divergence.

    Parameters
    ----------
    p, q : GaussianMixtureDist or target of mixtures
        Of the same number of dimensions and the same batch shape, or one of the two without a batch.

    Returns
    -------
    lower, upper : float tensor, shape [B...], >= 0

    Examples
    --------
    >>> import kgdists as kg
    >>> p = kg.GaussianMixtureDist([0.0, 0.0], mu=[[-3.0], [3.0]], logvar=[[0.0], [0.0]])
    >>> q = kg.GaussianMixtureDist([0.0, 0.0], mu=[[-3.0], [4.0]], logvar=[[0.0], [0.0]])
    >>> [round(float(bound), 2) for bound in kg.divergences.kl_divergence_bounds(p, q)]
    [0.11, 0.25]
    """
    p, q = as_mixture(p, "p"), as_mixture(q, "q")
    weights = ops.exp(p.log_weights)
    conditional = p.components.entropy()
    entropy_low, entropy_high = entropy_bounds(p)
    a, b = _pairs(p, q)
    kl = a.kl_divergence(b)

    high = conditional - _log_mean(q, -kl)
    low = high
    if q.num_components > 1:
        log_overlap, distances = _overlaps(a, b, ORDERS)
        low = -_log_mean(q, log_overlap)
        for order, distance in zip(ORDERS, distances, strict=True):
            scaled = ops.logsumexp((1.0 - order) * _log_weights(q)[..., None, :] - distance, axis=-1)
            low = ops.maximum(low, conditional - scaled / (1.0 - order))
    lower = ops.maximum(ops.sum(weights * low, axis=-1) - entropy_high, 0.0)
    upper = ops.minimum(ops.sum(weights * high, axis=-1) - entropy_low, _variational_upper_bound(p, q, kl))
    upper = ops.maximum(upper, 0.0)
    return ops.minimum(lower, upper), upper


def kl_divergence_approximation(
    p: Mixture, q: Mixture, method: Literal["variational", "product"] = "variational"
) -> Tensor:
    r"""Approximate the divergence :math:`\mathrm{KL}(p \| q)` of two mixtures (Hershey and Olsen 2007).

    Neither is a bound, and both may be negative. They are 0 for equal mixtures, and differentiable:

    - `"variational"`: :math:`\sum_i a_i \log \frac{\sum_k a_k e^{-\mathrm{KL}(p_i \| p_k)}}{\sum_j b_j
      e^{-\mathrm{KL}(p_i \| q_j)}}`, the difference of two upper bounds, and the better one as a rule;
    - `"product"`: :math:`\sum_i a_i \log \frac{\sum_k a_k \int p_i p_k}{\sum_j b_j \int p_i q_j}`, the
      difference of two lower bounds.

    Parameters
    ----------
    p, q : GaussianMixtureDist
        As for `kl_divergence_bounds`.
    method : "variational" or "product"

    Returns
    -------
    float tensor, shape [B...].
    """
    p, q = as_mixture(p, "p"), as_mixture(q, "q")
    if method not in ("variational", "product"):
        raise ValueError(f'`method` must be "variational" or "product". Received: method={method!r}')

    def log_likeness(other):
        a, b = _pairs(p, other)
        return _log_mean(other, -a.kl_divergence(b) if method == "variational" else _overlaps(a, b, (0.5,))[0])

    return ops.sum(ops.exp(p.log_weights) * (log_likeness(p) - log_likeness(q)), axis=-1)


def _variational_upper_bound(p, q, kl):
    """Each iteration lowers the bound, and after any number of them it is one."""
    log_a, log_b, constant_kl = _log_weights(p)[..., :, None], _log_weights(q)[..., None, :], ops.stop_gradient(kl)
    constant_a, constant_b = ops.stop_gradient(log_a), ops.stop_gradient(log_b)

    def log_shares(log_phi):
        # Of each q_j the parts that go with each p_i.
        log_psi = constant_a + _log_softmax(log_phi - constant_kl, axis=-1)
        return _log_softmax(log_psi, axis=-2)

    log_phi = ops.fori_loop(
        0, ITERATIONS, lambda i, log_phi: constant_b + log_shares(log_phi), constant_a + constant_b - 0.0 * constant_kl
    )
    # At the best weights the gradient is that with the shares fixed.
    gains = ops.logsumexp(log_b + log_shares(log_phi) - kl, axis=-1)
    return ops.sum(ops.exp(p.log_weights) * (log_a[..., 0] - gains), axis=-1)


def _log_mean(q, values):
    """Logarithm of the mean of `exp(values)`, shape [..., A, B], over the components of `q`."""
    return ops.logsumexp(_log_weights(q)[..., None, :] + values, axis=-1)


def _log_weights(p):
    return ops.maximum(p.log_weights, NOTHING)


def _log_softmax(x, axis):
    shifted = x - ops.stop_gradient(ops.max(x, axis=axis, keepdims=True))
    return shifted - ops.logsumexp(shifted, axis=axis, keepdims=True)


def _pairs(p, q):
    """The components of `p` along axis -2 of the batch and those of `q` along axis -1, of one type and batch."""
    _check_pair(p, q)
    a, b = p.components, q.components
    if type(a) is not type(b):
        a, b = _with_factors(a), _with_factors(b)
    rows = [ops.expand_dims(x, len(p.batch_shape) + 1) for x in a.params.values()]
    columns = [ops.expand_dims(x, len(q.batch_shape)) for x in b.params.values()]
    pairs = list(zip(rows, columns, strict=True))
    return (
        type(a)(*(x + ops.zeros_like(y) for x, y in pairs)),
        type(b)(*(y + ops.zeros_like(x) for x, y in pairs)),
    )


def _check_pair(p, q):
    same_batch = shapes.matches(p.batch_shape, q.batch_shape) or () in (p.batch_shape, q.batch_shape)
    if p.event_shape != q.event_shape or not same_batch or p.dtype != q.dtype:
        raise ValueError(
            "`p` and `q` must have the same dtype and event shape, and the same batch shape or one of them none. "
            f"Received: {p.dtype}, batch {p.batch_shape}, event {p.event_shape} and "
            f"{q.dtype}, batch {q.batch_shape}, event {q.event_shape}"
        )


def _with_factors(a):
    if isinstance(a, MultivariateNormalDist):
        return a
    scale_tril = ops.exp(0.5 * a.logvar)[..., None] * ops.eye(a.event_shape[0], dtype=a.dtype)
    return MultivariateNormalDist(a.mu, scale_tril)


def _overlaps(a, b, orders):
    r"""Logarithm of the integral of the product of two densities, and their Chernoff distances.

    Those are :math:`C_\alpha = -\log \int a^\alpha b^{1 - \alpha}`, for each of `orders`, of which 1/2 is the first.
    """
    # Of all orders at once, since a factorisation takes long to compile.
    order = ops.convert_to_tensor(np.reshape(orders, (-1, *[1] * len(a.batch_shape))), a.dtype)
    mean_a, mean_b = (x.mu + ops.zeros_like(order)[..., None] for x in (a, b))
    middle = _with_mixed_covariance(a, b, order[..., None], mean_b)
    peak = middle.log_proba(mean_b)
    half_square = peak - middle.log_proba(mean_a)
    spread = middle.entropy() - (1.0 - order) * a.entropy() - order * b.entropy()
    # The covariance of the product is twice that of order 1/2.
    log_overlap = peak[0] - 0.5 * half_square[0] - 0.5 * math.log(2.0) * a.event_shape[0]
    return log_overlap, ops.unstack(order * (1.0 - order) * half_square + spread, len(orders), axis=0)


def _with_mixed_covariance(a, b, share, mean):
    if isinstance(a, NormalDist):
        return NormalDist(mean, ops.logaddexp(ops.log(1.0 - share) + a.logvar, ops.log(share) + b.logvar))
    share = share[..., None]
    factors = [ops.sqrt(1.0 - share) * a.scale_tril, ops.sqrt(share) * b.scale_tril]
    return MultivariateNormalDist(mean, _factor(ops.concatenate(factors, axis=-1)))


def _normal_of_moments(p):
    roots = ops.exp(0.5 * p.log_weights)[..., None, None]
    steps = (p.mu - p.mean()[..., None, :])[..., None]
    parts = roots * ops.concatenate([_with_factors(p.components).scale_tril, steps], axis=-1)
    wide = ops.concatenate(ops.unstack(parts, p.num_components, axis=-3), axis=-1)
    return MultivariateNormalDist(p.mean(), _factor(wide))


def _factor(wide):
    """The Cholesky factor of `wide wide^T` without that product, which would square the condition number."""
    _, upper = ops.qr(ops.swapaxes(wide, -2, -1))
    signs = ops.where(ops.diagonal(upper, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    lower = ops.swapaxes(upper, -2, -1) * ops.cast(signs, upper.dtype)[..., None, :]
    return ops.tril(lower)
