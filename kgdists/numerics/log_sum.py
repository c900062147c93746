"""Sums of exponentials by their logarithms, with gradients that are right where terms are infinite."""

from keras import ops

from kgdists.core import backend
from kgdists.core.types import Tensor

__all__ = ["log_sum", "shares"]

INF = float("inf")


def log_sum(x: Tensor, axis: int) -> Tensor:
    """`ops.logsumexp` whose gradient is right where terms are -inf or inf too: 0 of all that others are beyond."""

    @backend.with_gradient
    def value_of(x):
        most, _, total = _terms(x, axis)
        value = ops.where(
            ops.equal(most, INF), INF, ops.log(total) + ops.where(ops.equal(ops.abs(most), INF), 0.0, most)
        )
        return ops.squeeze(value, axis), lambda upstream: ops.expand_dims(upstream, axis) * shares(x, axis)

    return value_of(x)


def shares(x: Tensor, axis: int) -> Tensor:
    """What each term has of the sum of the exponentials of `x`; 0 where all are -inf."""
    most, terms, total = _terms(x, axis)
    at_most = ops.cast(ops.equal(x, INF), x.dtype)
    at_most = at_most / ops.maximum(ops.sum(at_most, axis=axis, keepdims=True), 1.0)
    return ops.where(ops.equal(most, INF), at_most, terms / ops.where(ops.equal(total, 0.0), 1.0, total))


def _terms(x, axis):
    """The largest along an axis, and the exponentials relative to it and their sum."""
    most = ops.max(x, axis=axis, keepdims=True, initial=-INF)
    terms = ops.exp(x - ops.where(ops.equal(ops.abs(most), INF), 0.0, most))
    return most, terms, ops.sum(terms, axis=axis, keepdims=True)
