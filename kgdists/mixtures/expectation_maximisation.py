"""Expectation maximisation (Dempster et al. 1977) of several mixtures at once, over chunks of rows."""

import functools
import math

import numpy as np
import tensorflow as tf
from keras import ops

from kgdists.distributions import GaussianMixtureDist

__all__ = ["maximise"]

LOG_2PI = math.log(2.0 * math.pi)
CHUNK = 2**22  # numbers in the largest array of one chunk
ROWS = 2**16  # of a chunk at most


def maximise(x, center, scale, start, covariance, iterations, tolerance, min_stddev, on_progress):
    """Maximise the likelihood of `(x - center) / scale`.

    Parameters
    ----------
    x : array, shape [N, n]
    center, scale : array, shape [n]
    start : tuple of array
        Log-weights, means and Cholesky factors, with a leading axis of restarts.
    covariance : "full" or "diag"
    iterations : int
    tolerance : float
        No further iteration once no restart has risen by more.
    min_stddev : float
    on_progress : callable
        Called after each iteration with their number and the losses.

    Returns
    -------
    losses : array, shape [iterations done, restarts]
        The mean negative log-likelihoods after each iteration.
    final : array, shape [restarts]
    mixture_of : callable
        `restart -> GaussianMixtureDist`.
    """
    logits, mu, scale_tril = (np.asarray(values, "float64") for values in start)
    pairs = _pairs(mu.shape[-1], covariance)

    def expect():
        return _expect(x, center, scale, _coefficients(logits, mu, scale_tril, pairs), covariance)

    losses, (loss, sums) = [], expect()
    for i in range(iterations):
        logits, mu, scale_tril = _maximise(sums, mu, scale_tril, pairs, min_stddev)
        before, (loss, sums) = loss, expect()
        losses.append(loss)
        on_progress(i + 1, loss)
        if not np.any(before - loss > tolerance):
            break

    def mixture_of(restart):
        values = logits[restart], mu[restart]
        if covariance == "diag":
            variances = np.diagonal(scale_tril[restart], axis1=-2, axis2=-1) ** 2
            return GaussianMixtureDist(*values, np.log(variances))
        return GaussianMixtureDist(*values, scale_tril=scale_tril[restart])

    return np.array(losses), losses[-1], mixture_of


def _pairs(n, covariance):
    """The products of two dimensions that a log-density is linear in: rows and columns."""
    return np.triu_indices(n) if covariance == "full" else (np.arange(n), np.arange(n))


def _coefficients(logits, mu, scale_tril, pairs):
    """`log w_k N(x; mu_k, Sigma_k)` as linear functions of 1, x and products of x: shape [restarts, K, features]."""
    whitening = np.linalg.inv(scale_tril)
    precision = np.swapaxes(whitening, -2, -1) @ whitening
    slope = (precision @ mu[..., None])[..., 0]
    log_weights = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    half_log_det = np.log(np.diagonal(scale_tril, axis1=-2, axis2=-1)).sum(axis=-1)
    constant = log_weights - half_log_det - 0.5 * (LOG_2PI * mu.shape[-1] + (mu * slope).sum(axis=-1))
    curvature = -precision[..., *pairs] * np.where(pairs[0] == pairs[1], 0.5, 1.0)
    return np.concatenate([constant[..., None], slope, curvature], axis=-1)


def _maximise(sums, mu, scale_tril, pairs, min_stddev):
    n = mu.shape[-1]
    counts = sums[..., 0]
    # A component that has lost all samples stays where it is.
    lost = counts < 1e-8
    moments = sums / np.where(lost, 1.0, counts)[..., None]
    means, products = moments[..., 1 : n + 1], moments[..., n + 1 :]
    covariances = np.zeros((*counts.shape, n, n))
    covariances[..., *pairs] = products - means[..., pairs[0]] * means[..., pairs[1]]
    covariances[..., *pairs[::-1]] = covariances[..., *pairs]
    covariances = np.where(lost[..., None, None], 0.0, covariances) + min_stddev**2 * np.eye(n)
    try:
        factors = np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            "A component collapsed: `min_stddev` must be above the rounding of the samples. "
            f"Received: min_stddev={min_stddev}"
        ) from error
    logits = np.log(np.maximum(counts, 1e-300) / counts.sum(axis=-1, keepdims=True))
    return logits, np.where(lost[..., None], mu, means), np.where(lost[..., None, None], scale_tril, factors)


def _expect(x, center, scale, coefficients, covariance):
    """The mean negative log-likelihoods, and the features summed with the responsibilities as weights."""
    restarts, num_components, features = coefficients.shape
    widest = max(features, restarts * num_components)
    rows = 2 ** int(math.log2(max(256, min(ROWS, CHUNK // widest))))
    rows = min(rows, 2 ** math.ceil(math.log2(len(x))))
    total, sums = 0.0, 0.0
    for first in range(0, len(x), rows):
        chunk = x[first : first + rows]
        count = len(chunk)
        if count < rows:
            chunk = np.concatenate([chunk, np.tile(chunk[:1], (rows - count, 1))])
        inputs = [tf.constant(values) for values in (chunk, count, center, scale, coefficients)]
        parts = _compiled(covariance, *(tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in inputs))(*inputs)
        total, sums = total + np.array(parts[0]), sums + np.array(parts[1])
    return -total / len(x), sums


@functools.lru_cache(maxsize=32)
def _compiled(covariance, *specs):
    # A concrete function, because TensorFlow warns of functions that it traces one after the other.
    function = functools.partial(_expect_chunk, covariance)
    return tf.function(function, jit_compile=True, autograph=False).get_concrete_function(*specs)


def _expect_chunk(covariance, x, count, center, scale, coefficients):
    # Features by rows: what is summed over runs over the long axis, which is the one in memory.
    x = ops.transpose((ops.cast(x, "float64") - center) / scale)
    rows, columns = _pairs(x.shape[0], covariance)
    features = ops.concatenate([ops.ones_like(x[:1]), x, ops.take(x, rows, axis=0) * ops.take(x, columns, axis=0)])
    restarts, num_components, width = coefficients.shape
    joint = ops.reshape(coefficients, (-1, width)) @ features
    joint = ops.reshape(joint, (restarts, num_components, -1))
    highest = ops.max(joint, axis=1, keepdims=True)
    shares = ops.exp(joint - highest)
    sums = ops.sum(shares, axis=1, keepdims=True)
    present = ops.cast(ops.arange(x.shape[1]) < count, "float64")
    log_likelihood = ops.sum((highest + ops.log(sums))[:, 0] * present, axis=-1)
    shares = ops.reshape(shares * (present / sums), (restarts * num_components, -1))
    return log_likelihood, ops.reshape(shares @ ops.transpose(features), coefficients.shape)
