"""Mixtures as free tensors that an optimizer may move anywhere, with a leading axis of restarts."""

from collections.abc import Sequence

import numpy as np
from keras import ops
from numpy.typing import DTypeLike

from kgdists.core.types import Tensor
from kgdists.distributions import GaussianMixtureDist, NormalDist
from kgdists.numerics.cholesky import covariance as covariance_of
from kgdists.numerics.cholesky import strictly_lower

__all__ = ["FORMS", "cholesky", "mixture", "parameters", "place", "replace", "spreads", "values"]

# By covariance and parameterization: a method of its own for each way to write a covariance.
FORMS = ("diag", "cholesky", "a_at")


def parameters(
    form: str, logits: np.ndarray, mu: np.ndarray, spread: np.ndarray, floor: np.ndarray
) -> list[np.ndarray]:
    """The free tensors of a mixture, a list of arrays: log-weights, means, and one or two for the covariances.

    `spread` has standard deviations [..., n] for `diag`, else Cholesky factors [..., n, n].
    """
    if form == "a_at":
        return [logits, mu, spread]
    stddevs = spread if form == "diag" else np.diagonal(spread, axis1=-2, axis2=-1)
    # The floor comes on top; a deviation below it starts a little above.
    log_stddevs = np.log(np.maximum(stddevs - floor, 0.01 * floor))
    if form == "diag" or mu.shape[-1] == 1:
        return [logits, mu, log_stddevs]
    rows, columns = np.tril_indices(mu.shape[-1], -1)
    return [logits, mu, log_stddevs, spread[..., rows, columns]]


def mixture(form: str, tensors: Sequence[Tensor], floor: Tensor) -> GaussianMixtureDist:
    r"""The mixture of these free tensors, with batch shape [restarts].

    `diag` and `cholesky` have the deviations, or the diagonal of the factor, `floor + exp(raw)`; `a_at` has the
    covariances :math:`A A^T + \mathrm{diag}(\text{floor}^2)`, which no A makes singular.
    """
    logits, mu, *spread = tensors
    if form == "diag":
        return GaussianMixtureDist(logits, mu, 2.0 * ops.log(floor + ops.exp(spread[0])))
    n = mu.shape[-1]
    eye = ops.eye(n, dtype=mu.dtype)
    if form == "cholesky":
        diagonal = (floor + ops.exp(spread[0]))[..., None] * eye
        scale_tril = diagonal + strictly_lower(spread[1], n) if n > 1 else diagonal
    else:
        scale_tril = ops.cholesky(covariance_of(spread[0]) + floor[:, None] ** 2 * eye)
    return GaussianMixtureDist(logits, mu, scale_tril=scale_tril)


def values(form: str, tensors: Sequence[Tensor], floor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-weights, means and spreads of these free tensors, by the formulas of `mixture`, in float64."""
    logits, mu, *spread = [np.asarray(tensor, "float64") for tensor in tensors]
    if form == "diag":
        return logits, mu, floor + np.exp(spread[0])
    if form == "a_at":
        covariances = spread[0] @ np.swapaxes(spread[0], -2, -1) + np.diag(floor**2)
        return logits, mu, cholesky(covariances)
    n = mu.shape[-1]
    scale_tril = (floor + np.exp(spread[0]))[..., None] * np.eye(n)
    if n > 1:
        rows, columns = np.tril_indices(n, -1)
        scale_tril[..., rows, columns] = spread[1]
    return logits, mu, scale_tril


def spreads(dist: GaussianMixtureDist, dtype: DTypeLike) -> np.ndarray:
    """The standard deviations [B..., K, n] of a mixture with log-variances, else its factors [B..., K, n, n]."""
    components = dist.components
    if isinstance(components, NormalDist):
        return np.exp(0.5 * ops.convert_to_numpy(components.logvar).astype(dtype))
    return np.tril(ops.convert_to_numpy(components.scale_tril).astype(dtype))


def place(
    logits: np.ndarray,
    mu: np.ndarray,
    spread: np.ndarray,
    center: np.ndarray,
    scale: np.ndarray,
    covariance: str,
    dtype: DTypeLike,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-weights, means, and `logvar` or `scale_tril` of `center + scale x`, where x is of the given mixtures."""
    mu = center + scale * mu
    if covariance == "diag":
        spread = 2.0 * (np.log(spread) + np.log(scale))
    else:
        spread = scale[:, None] * np.tril(spread)
    with np.errstate(over="ignore"):
        return logits.astype(dtype), mu.astype(dtype), spread.astype(dtype)


def replace(
    logits: np.ndarray, mu: np.ndarray, spread: np.ndarray, center: np.ndarray, scale: np.ndarray, covariance: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The inverse of `place`: as rounded there, in float64."""
    logits, mu, spread = (np.asarray(part, "float64") for part in (logits, mu, spread))
    spread = np.exp(0.5 * spread - np.log(scale)) if covariance == "diag" else spread / scale[:, None]
    return logits, (mu - center) / scale, spread


@np.errstate(all="ignore")  # what is not finite is refused by those who judge the result
def cholesky(covariances: np.ndarray) -> np.ndarray:
    """Cholesky factors of float64 matrices [..., n, n], also of those that rounding made indefinite."""
    try:
        return np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        if covariances.ndim > 2:
            return np.stack([cholesky(covariance) for covariance in covariances])
    # With eigenvalues at the rounding of the largest one, R of Q R = sqrt(eigenvalues) vectors^T is a factor.
    scale = np.sqrt(np.diag(covariances))
    eigenvalues, vectors = np.linalg.eigh(covariances / scale / scale[:, None])
    eigenvalues = np.maximum(eigenvalues, 1e-14 * eigenvalues[-1])
    factor = np.transpose(np.linalg.qr(np.sqrt(eigenvalues)[:, None] * vectors.T, mode="r"))
    return scale[:, None] * factor * np.where(np.diag(factor) < 0, -1.0, 1.0)
