"""The coordinates of samples that a search is told: those that they were drawn with, or what they stand for."""

import numpy as np
import tensorflow as tf

from kgdists.core.types import Tensor
from kgdists.evolution.gaussians.search_distribution import SearchDistribution

__all__ = ["coordinates"]

ROUNDINGS = 8.0  # of a sample, within which it is the one that was drawn


def coordinates(distribution: SearchDistribution, drawn: Tensor, samples: Tensor) -> Tensor:
    """The standard normal numbers z of samples `mu + A z`, shape [B..., N, D].

    A sample that was drawn, in whatever place it is told, has the numbers that it was made of: once a direction is as
    thin as the rounding of samples, they do not follow from the sample. Any other is solved for, and comes no further
    than `sqrt(D) + 2 D / (D + 2)` from the center, in its own direction (Hansen 2011).

    Parameters
    ----------
    distribution : SearchDistribution
    drawn : tensor, shape [B..., M, D]
        The standard normal numbers of the population.
    samples : tensor, shape [B..., N, D]
    """
    population = distribution._from_noise(drawn)
    count = samples.shape[-2]
    in_order = tf.reduce_all(samples == population[..., :count, :])
    return tf.cond(
        in_order, lambda: drawn[..., :count, :], lambda: _nearest_or_solved(distribution, drawn, population, samples)
    )


def _nearest_or_solved(distribution, drawn, population, samples):
    sigma, mu = distribution.sigma, distribution.mu[..., None, :]
    is_full = sigma.shape.rank > distribution.mu.shape.rank
    size = tf.abs(drawn)
    size = tf.matmul(size, tf.abs(sigma), transpose_b=True) if is_full else size * tf.abs(sigma)[..., None, :]
    rounding = ROUNDINGS * np.finfo(samples.dtype.as_numpy_dtype).eps * (size + tf.abs(mu) + tf.abs(population))
    batch = samples.shape.rank - 2

    def nearest(sample):
        off = tf.reduce_max(tf.math.divide_no_nan(tf.abs(sample[..., None, :] - population), rounding), axis=-1)
        off = tf.where(tf.reduce_all(sample[..., None, :] == population, axis=-1), tf.zeros_like(off), off)
        index = tf.argmin(off, axis=-1, output_type="int32")
        return tf.gather(drawn, index, axis=batch, batch_dims=batch), tf.reduce_min(off, axis=-1) <= 1.0

    # A row at a time, as all pairs of rows may be more than the memory holds.
    rows = tf.transpose(samples, (batch, *range(batch), batch + 1))
    found, is_drawn = tf.map_fn(nearest, rows, fn_output_signature=(samples.dtype, tf.bool))
    back = (*range(1, batch + 1), 0)
    found, is_drawn = tf.transpose(found, (*back, batch + 1)), tf.transpose(is_drawn, back)
    shift = tf.cast(samples - mu, tf.float64)
    if is_full:
        solved = tf.matmul(shift, tf.linalg.inv(tf.cast(sigma, tf.float64)), transpose_b=True)
    else:
        solved = shift / tf.cast(sigma, tf.float64)[..., None, :]
    length = samples.shape[-1]
    limit = length**0.5 + 2.0 * length / (length + 2.0)
    norm = tf.norm(solved, axis=-1, keepdims=True)
    solved *= tf.minimum(
        1.0, tf.math.divide_no_nan(tf.cast(limit, tf.float64), norm) + tf.cast(norm == 0.0, norm.dtype)
    )
    return tf.where(is_drawn[..., None], found, tf.cast(solved, samples.dtype))
