"""Linear algebra of batches of lower triangular matrices, the Cholesky factors of covariances."""

import math

import numpy as np
from keras import ops

from kgdists.core import backend, shapes
from kgdists.core.types import Tensor, TensorLike

__all__ = [
    "as_scale_tril",
    "covariance",
    "diagonal",
    "half_log_det",
    "multiply",
    "solve",
    "solve_transposed",
    "strictly_lower",
]


def diagonal(tril: Tensor) -> Tensor:
    """The diagonals, shape [B..., n]."""
    return ops.diagonal(tril, axis1=-2, axis2=-1)


def half_log_det(tril: Tensor) -> Tensor:
    """Half the log-determinants of `tril tril^T`, shape [B...]."""
    return ops.sum(ops.log(diagonal(tril)), axis=-1)


def covariance(tril: Tensor) -> Tensor:
    """`tril tril^T`, shape [B..., n, n]."""
    return ops.matmul(tril, ops.swapaxes(tril, -2, -1))


def multiply(tril: Tensor, x: Tensor) -> Tensor:
    """`tril x` of each vector of `x`, shape [..., B..., n]."""
    return ops.matmul(tril, x[..., None])[..., 0]


def solve(tril: Tensor, x: Tensor) -> Tensor:
    """`tril^-1 x` of each vector of `x`, shape [..., B..., n]."""
    return _solve(tril, x, lower=True)


def solve_transposed(tril: Tensor, x: Tensor) -> Tensor:
    """`tril^-T x` of each vector of `x`, shape [..., B..., n]."""
    return _solve(ops.swapaxes(tril, -2, -1), x, lower=False)


def _solve(matrix, x, lower):
    if len(x.shape) == len(matrix.shape) - 1:
        return ops.solve_triangular(matrix, x[..., None], lower=lower)[..., 0]
    # Sample axes in front become columns, so that no matrix is repeated for them.
    rank, front = len(x.shape), len(x.shape) - len(matrix.shape) + 1
    columns = ops.transpose(x, (*range(front, rank), *range(front)))
    samples = shapes.sizes(columns)[rank - front :]
    count = math.prod(samples) if all(isinstance(size, int) for size in samples) else -1
    flat = shapes.reshape_last(columns, front, (count,))
    solved = shapes.reshape_last(ops.solve_triangular(matrix, flat, lower=lower), 1, samples)
    return ops.transpose(solved, (*range(rank - front, rank), *range(rank - front)))


def strictly_lower(entries: Tensor, n: int) -> Tensor:
    """Vectors of `n (n - 1) / 2` entries as matrices with these below the diagonal, row by row, shape [..., n, n]."""
    rows, columns = np.tril_indices(n, -1)
    placement = np.zeros((len(rows), n * n))
    placement[np.arange(len(rows)), rows * n + columns] = 1.0
    matrix = ops.matmul(entries, ops.convert_to_tensor(placement, shapes.dtype_of(entries)))
    return shapes.reshape_last(matrix, 1, (n, n))


def as_scale_tril(scale_tril: TensorLike, mu: Tensor) -> Tensor:
    """`scale_tril` as Cholesky factors that fit `mu`: what is above the diagonal is cut off, and has no gradient.

    Raise unless they are square and, where values are at hand, have a positive diagonal. Numbers above it are an error
    too, except in a variable: there an optimizer may have left them.
    """
    was_variable = backend.is_variable(scale_tril)
    full = shapes.as_float(scale_tril, "scale_tril")
    shape = tuple(full.shape)
    if len(shape) < 2 or not shape[-1] or not shapes.matches(shape, (*mu.shape, mu.shape[-1])):
        raise ValueError(
            "`scale_tril` must have the shape of `mu` and one more axis of the same size: nothing is broadcast. "
            f"Received: mu of shape {tuple(mu.shape)}, scale_tril of shape {shape}"
        )
    if shapes.dtype_of(mu) != shapes.dtype_of(full):
        raise ValueError(
            "`mu` and `scale_tril` must have the same dtype. "
            f"Received: mu of {shapes.dtype_of(mu)}, scale_tril of {shapes.dtype_of(full)}"
        )
    tril = ops.tril(full)
    checked = tril if was_variable else full
    shapes.check_finite(scale_tril=checked)
    values = backend.concrete(checked)
    if values is None:
        return tril
    n = values.shape[-1]
    # Smaller ones are 0 to the solver.
    least = np.finfo("float64" if values.dtype == "float64" else "float32").tiny
    wrong = np.where(np.eye(n, dtype=bool), ~(values >= least), np.triu(np.ones((n, n), bool)) & (values != 0))
    if wrong.any():
        index = np.argwhere(wrong)[0].tolist()
        raise ValueError(
            f"`scale_tril` must be lower triangular with a positive diagonal, at least {least:.1e}. "
            f"Received: {values[tuple(index)]} at index {index} of scale_tril"
        )
    return tril
