"""Expectation maximisation (Dempster et al. 1977) of several mixtures at once, in float64, over chunks of rows."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from kgdists.mixtures.parameterizations import cholesky

__all__ = ["maximize", "negative_log_likelihood"]

LOG_2PI = math.log(2.0 * math.pi)
CHUNK = 2**22  # numbers in the largest array of one chunk
ROWS = 2**11  # of a chunk at most, so that it stays in the cache
# A component is narrow if the rows reach out to 10^4 of its standard deviations: then squares that are expanded lose
# more than half of the digits, and its distances are computed from its mean.
NARROW = 1e8
NEGLIGIBLE = -400.0  # the log of a responsibility that adds nothing, and of which NumPy's `exp` is still fast
NOTHING = 1e-100  # counts that only responsibilities cut to that add up to


@np.errstate(all="ignore")  # what is not finite ends the fit, with its cause
def maximize(
    x: np.ndarray,
    weights: np.ndarray,
    start: tuple[np.ndarray, ...],
    covariance: Literal["full", "diag"],
    iterations: int,
    tolerance: float,
    floor: np.ndarray,
    on_progress: Callable[[int, np.ndarray], object],
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Maximise the likelihood of rows in standard coordinates.

    Parameters
    ----------
    x : float64 array, shape [N, n]
    weights : float64 array, shape [N]
    start : tuple of array
        Log-weights, means, and standard deviations or Cholesky factors, with a leading axis of restarts.
    covariance : "full" or "diag"
    iterations : int
    tolerance : float
        No further iteration once no restart has risen by more.
    floor : array, shape [n]
        The squares are added to the diagonal of covariances.
    on_progress : callable
        Called after each iteration with their number and the losses.

    Returns
    -------
    losses : array, shape [iterations done, restarts]
        The mean negative log-likelihoods after each iteration.
    best : tuple of array
        As `start`: the parameters of the lowest loss of each restart, the start included.
    """
    rows = _Rows(x, weights, covariance)
    values = best = tuple(np.asarray(part, "float64") for part in start)
    loss, sums, norms = rows.expect(values)
    lowest, losses = loss, []
    for i in range(iterations):
        values = rows.maximize(values, sums, norms, floor)
        before, (loss, sums, norms) = loss, rows.expect(values)
        losses.append(loss)
        better = loss < lowest
        lowest = np.where(better, loss, lowest)
        best = tuple(
            np.where(better.reshape(-1, *(1,) * (new.ndim - 1)), new, old)
            for new, old in zip(values, best, strict=True)
        )
        on_progress(i + 1, loss)
        if not np.any(before - loss > tolerance):
            break
    return np.array(losses), best


def negative_log_likelihood(
    x: np.ndarray, weights: np.ndarray, values: tuple[np.ndarray, ...], covariance: Literal["full", "diag"]
) -> np.ndarray:
    """The weighted mean of `-log q(x)` for each restart, shape [restarts]."""
    return _Rows(x, weights, covariance).expect(values, with_sums=False)[0]


class _Rows:
    """Weighted rows, and the two steps over them.

    A log-density is linear in 1, x and the products of its dimensions (their squares for diagonal covariances): both
    steps are one matrix product for all components and restarts, except for narrow components.
    """

    def __init__(self, x: np.ndarray, weights: np.ndarray, covariance: str) -> None:
        self.x, self.weights, self.total = x, weights, weights.sum()
        self.full = covariance == "full"
        n = x.shape[1]
        self.pairs = np.triu_indices(n) if self.full else (np.arange(n), np.arange(n))
        self.reach = np.maximum(np.abs(x).max(axis=0), 1.0) ** 2
        self.features: np.ndarray | None = None

    def expect(
        self, values: tuple[np.ndarray, ...], with_sums: bool = True
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The losses, the features summed with the responsibilities as weights, and each row's log-density."""
        logits, mu, _ = values
        restarts, num_components, n = mu.shape
        coefficients, narrow = self._coefficients(values)
        width = coefficients.shape[-1]
        coefficients = coefficients.reshape(-1, width)
        sums, norms = np.zeros_like(coefficients), np.empty((restarts, len(self.x)))
        count = max(256, min(ROWS, CHUNK // max(width, restarts * num_components)))
        if self.features is None and len(self.x) <= count:
            self.features = self._features(self.x)
        for first in range(0, len(self.x), count):
            chosen = slice(first, first + count)
            features = self._features(self.x[chosen]) if self.features is None else self.features
            joint = (coefficients @ features).reshape(restarts, num_components, -1)
            for index in narrow:
                joint[index] = self._log_joint(values, index, self.x[chosen])
            highest = joint.max(axis=1, keepdims=True)
            joint -= highest
            np.maximum(joint, NEGLIGIBLE, out=joint)
            np.exp(joint, out=joint)
            scale = joint.sum(axis=1, keepdims=True)
            norms[:, chosen] = (highest + np.log(scale))[:, 0]
            if with_sums:
                joint *= self.weights[chosen] / scale
                sums += joint.reshape(restarts * num_components, -1) @ features.T
        return -(norms @ self.weights) / self.total, sums.reshape(restarts, num_components, width), norms

    def maximize(
        self, values: tuple[np.ndarray, ...], sums: np.ndarray, norms: np.ndarray, floor: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """The parameters at which the expected log-likelihood is highest, `floor**2` added to the covariances."""
        n = self.x.shape[1]
        counts = np.where(sums[..., 0] < NOTHING, 0.0, sums[..., 0])
        # A component that has lost all samples stays where it is.
        lost = counts < 1e-8
        moments = sums / np.where(lost, 1.0, counts)[..., None]
        means, products = np.where(lost[..., None], values[1], moments[..., 1 : n + 1]), moments[..., n + 1 :]
        products = products - means[..., self.pairs[0]] * means[..., self.pairs[1]]
        if self.full:
            covariances = np.empty((*counts.shape, n, n))
            covariances[..., *self.pairs] = covariances[..., *self.pairs[::-1]] = products
        else:
            covariances = products
        spread = self._factors(covariances, floor)
        if self.full:
            variances = np.diagonal(spread, axis1=-2, axis2=-1) ** 2
        else:
            variances = covariances
        for place in np.argwhere(~lost & ~(variances * NARROW > self.reach).all(axis=-1)):
            index = tuple(place)
            means[index], covariance = self._moments(values, norms, index, means[index])
            spread[index] = self._factors(covariance, floor)
        spread = np.where(lost.reshape(*lost.shape, *(1,) * (spread.ndim - 2)), values[2], spread)
        return np.log(np.maximum(counts, 1e-300) / self.total), means, spread

    def _features(self, x):
        # Features by rows: what is summed over runs over the long axis, which is the one in memory.
        x = np.ascontiguousarray(x.T)
        features = np.empty((1 + len(x) + len(self.pairs[0]), x.shape[1]))
        features[0], features[1 : len(x) + 1] = 1.0, x
        np.multiply(x[self.pairs[0]], x[self.pairs[1]], out=features[len(x) + 1 :])
        return features

    def _coefficients(self, values):
        """`log w_k N(x; mu_k, Sigma_k)` as linear functions of the features, and the indices of narrow components."""
        logits, mu, spread = values
        if self.full:
            whitening = np.linalg.inv(spread)
            precision = np.swapaxes(whitening, -2, -1) @ whitening
            slope = (precision @ mu[..., None])[..., 0]
            steepness = np.diagonal(precision, axis1=-2, axis2=-1)
            curvature = -precision[..., *self.pairs] * np.where(self.pairs[0] == self.pairs[1], 0.5, 1.0)
        else:
            steepness = spread**-2.0
            slope, curvature = steepness * mu, -0.5 * steepness
        constant = _log_constant(logits, spread, self.full) - 0.5 * (mu * slope).sum(axis=-1)
        narrow = [tuple(index) for index in np.argwhere(~(steepness * self.reach < NARROW).all(axis=-1))]
        return np.concatenate([constant[..., None], slope, curvature], axis=-1), narrow

    def _log_joint(self, values, index, x):
        """`log w_k N(x; mu_k, Sigma_k)` of one component, from distances to its mean."""
        logits, mu, spread = values
        constant = _log_constant(logits[index[0]], spread[index[0]], self.full)[index[1]]
        steps = x - mu[index]
        z = steps @ np.linalg.inv(spread[index]).T if self.full else steps / spread[index]
        return constant - 0.5 * np.einsum("ij,ij->i", z, z)

    def _moments(self, values, norms, index, mean):
        """The mean and the covariance of one component's share of the rows, from distances to (about) its mean."""
        count, first, second = 0.0, 0.0, 0.0
        for begin in range(0, len(self.x), ROWS):
            chosen = slice(begin, begin + ROWS)
            log_shares = self._log_joint(values, index, self.x[chosen]) - norms[index[0], chosen]
            shares = np.exp(np.minimum(log_shares, 0.0))
            shares *= self.weights[chosen]
            steps = self.x[chosen] - mean
            count, first = count + shares.sum(), first + shares @ steps
            second = second + ((steps.T * shares) @ steps if self.full else shares @ (steps * steps))
        count = max(count, 1e-300)
        shift = first / count
        return mean + shift, second / count - (np.outer(shift, shift) if self.full else shift * shift)

    def _factors(self, covariances, floor):
        """Standard deviations or Cholesky factors, the floor included."""
        if not self.full:
            return np.sqrt(np.maximum(covariances, 0.0) + floor**2)
        places = np.arange(len(floor))
        covariances[..., places, places] = np.maximum(covariances[..., places, places], 0.0) + floor**2
        return cholesky(covariances)


def _log_constant(logits, spread, full):
    log_weights = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    deviations = np.diagonal(spread, axis1=-2, axis2=-1) if full else spread
    return log_weights - np.log(deviations).sum(axis=-1) - 0.5 * LOG_2PI * deviations.shape[-1]
