"""Mixtures as free tensors that an optimizer may move anywhere, with a leading axis of restarts."""

import numpy as np
from keras import ops

from kgdists.distributions import GaussianMixtureDist, triangular

__all__ = ["FORMS", "mixture", "parameters", "place"]

# By covariance and parameterisation: a method of its own for each way to write a covariance.
FORMS = ("diag", "cholesky", "a_at")


def parameters(form, logits, mu, scale_tril, min_stddev):
    """The free tensors of a mixture, a list of arrays: log-weights, means, and one or two for the covariances."""
    diagonal = np.diagonal(scale_tril, axis1=-2, axis2=-1)
    # `min_stddev` comes on top; a deviation below it starts a little above.
    log_diagonal = np.log(np.maximum(diagonal - min_stddev, 0.01 * min_stddev))
    if form == "diag":
        return [logits, mu, log_diagonal]
    if form == "cholesky":
        rows, columns = np.tril_indices(mu.shape[-1], -1)
        return [logits, mu, log_diagonal, scale_tril[..., rows, columns]]
    return [logits, mu, scale_tril]


def mixture(form, tensors, min_stddev):
    r"""The mixture of these free tensors, with batch shape [restarts].

    `diag` and `cholesky` have the deviations, or the diagonal of the factor, `min_stddev + exp(raw)`; `a_at` has the
    covariances :math:`A A^T + \text{min\_stddev}^2 I`, which no A makes singular.
    """
    logits, mu, *spread = tensors
    if form == "diag":
        return GaussianMixtureDist(logits, mu, 2.0 * ops.log(min_stddev + ops.exp(spread[0])))
    n = mu.shape[-1]
    eye = ops.eye(n, dtype=mu.dtype)
    if form == "cholesky":
        diagonal = (min_stddev + ops.exp(spread[0]))[..., None] * eye
        scale_tril = diagonal + triangular.strictly_lower(spread[1], n) if n > 1 else diagonal
    else:
        scale_tril = ops.cholesky(triangular.covariance(spread[0]) + min_stddev**2 * eye)
    return GaussianMixtureDist(logits, mu, scale_tril=scale_tril)


def place(dist, center, scale, dtype):
    """The mixture of `center + scale x`, where x is of the mixture `dist`, in numbers of `dtype`."""
    logits, mu, spread = (np.float64(x) for x in dist.params.values())
    mu = (center + scale * mu).astype(dtype)
    if "logvar" in dist.PARAM_NAMES:
        return GaussianMixtureDist(logits.astype(dtype), mu, (spread + 2.0 * np.log(scale)).astype(dtype))
    return GaussianMixtureDist(logits.astype(dtype), mu, scale_tril=(scale[:, None] * np.tril(spread)).astype(dtype))
