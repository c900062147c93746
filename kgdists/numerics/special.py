"""Stable scalar helpers, and the few things that `keras.ops` lacks."""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from kgdists.core.backend import with_gradient
from kgdists.core.types import Tensor, TensorLike

__all__ = [
    "atanh_series",
    "expm1_minus",
    "expm1_minus_series",
    "larger_from_smaller",
    "lgamma1p",
    "lgamma_remainder",
    "log1mexp",
    "log_minus_digamma",
    "max_last",
    "mean",
    "smallest",
    "soft_clip",
    "soft_clip_inverse",
]

SERIES_RADIUS = 0.25  # of `expm1_minus_series` and `atanh_series`

# Bernoulli's numbers, and the coefficients of Stirling's series and of its derivative.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1))
_STIRLING_1 = tuple(b / (2 * k) for k, b in enumerate(_BERNOULLI, 1))

# Of lgamma(1 + x) + log((1 + x) (1 + x / 2) ... (1 + x / 7)) in powers of x: those of 1 / 8, 1 / 9 and so on; and what
# that product is beside 1, divided by x. Sums beyond 200 by the formula of Euler and Maclaurin.
_FACTORS = np.polynomial.polynomial.polyfromroots(-np.arange(1.0, 8.0)) / math.factorial(7)


def _inverse_powers(n, start=8, end=200):
    far = end ** (1.0 - n) / (n - 1) + end**-n / 2.0 + n * end ** (-n - 1.0) / 12.0
    return far - n * (n + 1) * (n + 2) * end ** (-n - 3.0) / 720.0 + math.fsum(k**-n for k in range(start, end))


_LGAMMA1P = (
    363.0 / 140.0 - 0.5772156649015329,
    *((-1.0) ** n / n * _inverse_powers(float(n)) for n in range(2, 27)),
)


def smallest(dtype: str) -> float:
    """The smallest normal number of a dtype; smaller ones are 0 to a compiled function."""
    return float(np.finfo(dtype).tiny)


def max_last(x: Tensor) -> Tensor:
    """The largest along the last axis, which stays as one of size 1; also of a batch of no rows.

    Without an `initial` value Keras refuses all empty tensors, also those whose last axis is not the empty one.
    """
    return ops.max(x, axis=-1, keepdims=True, initial=-float("inf"))


def mean(x: Tensor) -> Tensor:
    """The mean of all numbers of `x`; 0 if there are none, so that a batch of no rows adds nothing to a loss."""
    shape = ops.shape(x)
    if all(isinstance(size, int) for size in shape):
        return ops.sum(x) if 0 in shape else ops.mean(x)
    return ops.mean(x) if isinstance(x, keras.KerasTensor) else ops.where(ops.equal(ops.size(x), 0), 0.0, ops.mean(x))


@with_gradient
def expm1_minus(x: Tensor) -> Tensor:
    """`exp(x) - 1 - x` to full relative accuracy, hence never negative.

    Parameters
    ----------
    x : float tensor, any shape

    Returns
    -------
    tensor like `x`, >= 0; its gradient is `expm1(x)`.
    """
    # Of x = c + r with |c| <= 1, e^x - 1 - x = f(c) + (e^c - 1) r + e^c f(r): one exponential, which takes XLA less
    # time than its expm1. What cancels in f(r) is small beside f(c) where r is not 0.
    c = ops.maximum(ops.minimum(x, 1.0), -1.0)
    r = x - c
    terms = 17 if keras.backend.standardize_dtype(x.dtype) == "float64" else 9
    near = c * c * polynomial(c, [1.0 / math.factorial(k + 2) for k in range(terms)])
    slope = c + near
    value = near + slope * r + (1.0 + slope) * (ops.exp(r) - 1.0 - r)
    # One pass instead of one for each term of the series.
    return value, lambda upstream: upstream * ops.expm1(x)


def expm1_minus_series(x: Tensor) -> Tensor:
    """The same for `|x| <= SERIES_RADIUS`, where the subtraction would cancel: the Taylor series to its last digit."""
    terms = 13 if keras.backend.standardize_dtype(x.dtype) == "float64" else 7
    series = 1.0 + x * (1.0 / terms)
    for k in range(terms - 1, 2, -1):
        series = 1.0 + x * series * (1.0 / k)
    return 0.5 * x * x * series


def atanh_series(x: Tensor) -> Tensor:
    """`atanh(x)` for `|x| <= SERIES_RADIUS` by its series to the last digit; beyond, that of the nearer end."""
    terms = 13 if keras.backend.standardize_dtype(x.dtype) == "float64" else 6
    x = ops.maximum(ops.minimum(x, SERIES_RADIUS), -SERIES_RADIUS)
    return x * polynomial(x * x, [1.0 / (2 * k + 1) for k in range(terms)])


def log1mexp(x: Tensor) -> Tensor:
    """`log(1 - exp(x))` of x <= 0, with its digits at both ends."""
    is_near = x > -math.log(2.0)
    near, far = ops.where(is_near, x, -1.0), ops.where(is_near, -1.0, x)
    tiny = ops.equal(near, 0.0)
    return ops.where(
        is_near,
        ops.where(tiny, -float("inf"), ops.log(-ops.expm1(ops.where(tiny, -1.0, near)))),
        ops.log1p(-ops.exp(far)),
    )


def larger_from_smaller(log_below: Tensor, log_above: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithms of two probabilities that sum to 1, the larger of them from the smaller, which has the digits."""
    from_above, from_below = (log1mexp(ops.minimum(x, -0.5)) for x in (log_above, log_below))
    below = ops.where(log_above < log_below, from_above, log_below)
    return below, ops.where(log_below < log_above, from_below, log_above)


def soft_clip(x: Tensor, low: float, high: float) -> Tensor:
    """A smooth clip to `(low, high)`: the identity well inside, and never a zero gradient at hand.

    Parameters
    ----------
    x : float tensor, any shape
    low, high : float, `low < high`

    Returns
    -------
    tensor like `x`: `low + softplus(x - low) - softplus(x - high)`.
    """
    # The same from either end: far out only the nearer one keeps its digits and its gradient.
    from_low = low + ops.softplus(x - low) - ops.softplus(x - high)
    from_high = high - ops.softplus(high - x) + ops.softplus(low - x)
    return ops.where(x < 0.5 * (low + high), from_low, from_high)


def soft_clip_inverse(y: TensorLike, low: float, high: float) -> np.ndarray:
    """The `x` (NumPy) for which `soft_clip(x, low, high) == y`, for `low < y < high`."""
    y = np.asarray(y, "float64")
    return y + np.log1p(-np.exp(low - y)) - np.log1p(-np.exp(y - high))


def lgamma(x: Tensor) -> Tensor:
    """The logarithm of the gamma function of `x` > 0, differentiable any number of times.

    Parameters
    ----------
    x : float tensor, any shape

    Returns
    -------
    tensor like `x`; the error is some units in the last place of the larger of 1 and the value.
    """
    # Stirling's series from 8 on; below, gamma(x) = gamma(x + 8) / (x (x + 1) ... (x + 7)).
    is_small, small, y = _shifted(x)
    series = polynomial(1.0 / (y * y), _STIRLING) / y
    large = (y - 0.5) * (ops.log(y) - 1.0) + (0.5 * math.log(2.0 * math.pi) - 0.5) + series
    q = small * (small + 7.0)  # (x + i) (x + 7 - i) = q + i (7 - i)
    return large - ops.where(is_small, ops.log(q * (q + 6.0) * (q + 10.0) * (q + 12.0)), 0.0)


def digamma(x: Tensor) -> Tensor:
    """The derivative of `lgamma` at `x` > 0, itself differentiable; shape and accuracy as there."""
    is_small, small, y = _shifted(x)
    large = ops.log(y) - 0.5 / y - polynomial(1.0 / (y * y), _STIRLING_1) / (y * y)
    q = small * (small + 7.0)
    # The sum of all 1 / (x + i): every term is positive.
    product, slope = q * (q + 6.0) * (q + 10.0) * (q + 12.0), ((4.0 * q + 84.0) * q + 504.0) * q + 720.0
    return large - ops.where(is_small, (2.0 * small + 7.0) * slope / product, 0.0)


def trigamma_minus(x: Tensor) -> Tensor:
    """The second derivative of `lgamma` at `x` > 0 without its part `1 / x`, which is most of it for large `x`."""
    is_small, small, y = _shifted(x)
    v = 1.0 / y
    large = v * v * (0.5 + v * polynomial(v * v, _BERNOULLI))
    q = small * (small + 7.0)
    pairs = [(2.0 * q + (49.0 - 2.0 * q_i)) / ops.square(q + q_i) for q_i in (0.0, 6.0, 10.0, 12.0)]
    return large + ops.where(is_small, sum(pairs) + v - 1.0 / small, 0.0)


def digamma_gap(x: Tensor, step: Tensor) -> Tensor:
    """The growth of `digamma(x) - log(x)`, which is negative and increases, over `step`: >= 0, for `x`, `step` > 0.

    So `digamma(x + step) - digamma(x)` is `log1p(step / x)` and this, two terms of one sign.

    Parameters
    ----------
    x, step : float tensors of one shape

    Returns
    -------
    tensor like `x`; the error is some units in the last place of `log1p(step / x)` and the value.
    """
    is_small, small, y = _shifted(x)
    v, w = 1.0 / y, 1.0 / (y + step)
    # Each power of 1 / y^2 minus that of 1 / (y + step)^2 is a multiple of this difference, which needs none.
    apart = step * v * w
    series = divided_difference(v * v, w * w, (0.0, *_STIRLING_1[: _stirling_terms(x)]))
    large = apart * (0.5 + (v + w) * series)
    # 1 / (x + i) likewise.
    parts = sum(step / (small + i + step) / (small + i) for i in range(8))
    return large + ops.where(is_small, parts - ops.log1p(8.0 / small * (step * w)), 0.0)


def trigamma_gap(x: Tensor, step: Tensor) -> Tensor:
    """`trigamma_minus(x) - trigamma_minus(x + step)`, >= 0; arguments and accuracy as for `digamma_gap`."""
    is_small, small, y = _shifted(x)
    v, w = 1.0 / y, 1.0 / (y + step)
    apart = step * v * w
    series = v * (v + w) * divided_difference(v * v, w * w, (0.0, *_BERNOULLI)) + w * w * polynomial(w * w, _BERNOULLI)
    large = apart * (0.5 * (v + w) + series)
    near, far = small, small + step
    squares = sum(step / (far + i) * (1.0 / (near + i) + 1.0 / (far + i)) / (near + i) for i in range(8))
    inverses = 8.0 * (w / near) * (v * (step / far)) * (near + far + 8.0)
    return large + ops.where(is_small, squares - inverses, 0.0)


def stirling_remainder(a: Tensor, b: Tensor) -> Tensor:
    """`r(a) + r(b) - r(a + b)` of positive a and b, r what Stirling's formula leaves of `lgamma`.

    That is `lgamma(x) - ((x - 1/2) log(x) - x + log(2 pi) / 2)`, less than 1 / (12 x).
    """
    terms_a, shift_a = _remainder_terms(a)
    terms_b, shift_b = _remainder_terms(b)
    terms, shift = _remainder_terms(a + b)
    return terms_a + terms_b - terms - ops.log(shift_a * shift_b / shift)


def _remainder_terms(x):
    """Two terms of r(x), the second of which is the logarithm that this is to be divided by."""
    # Below 8, r(x) = r(x + 8) + (x + 1/2) log((x + 8) / x) - 8 - log((x + 1) ... (x + 7) / (x + 8)^7).
    is_small, small, y = _shifted(x)
    series = polynomial(1.0 / (y * y), _STIRLING[: _stirling_terms(x)]) / y
    v, q = 1.0 / (small + 8.0), small * (small + 8.0)  # (x + i) (x + 8 - i) = q + i (8 - i)
    shift = math.exp(8.0) * (v * (small + 4.0)) * (v * v * (q + 7.0)) * (v * v * (q + 12.0)) * (v * v * (q + 15.0))
    power = (small + 0.5) * (ops.log(small + 8.0) - ops.log(small))
    return series + ops.where(is_small, power, 0.0), ops.where(is_small, shift, 1.0)


def _stirling_terms(x):
    return 8 if keras.backend.standardize_dtype(x.dtype) == "float64" else 3


@with_gradient
def lgamma_remainder(x: Tensor) -> Tensor:
    """`lgamma(x) - ((x - 1/2) log(x) - x + log(2 pi) / 2)`, what Stirling's formula leaves of `x` > 0.

    Parameters
    ----------
    x : float tensor, any shape

    Returns
    -------
    tensor like `x`, to full relative accuracy.
    """
    terms, shift = _remainder_terms(x)
    return terms - ops.log(shift), lambda upstream: upstream * (0.5 / x - log_minus_digamma(x))


@with_gradient
def log_minus_digamma(x: Tensor) -> Tensor:
    """`log(x) - digamma(x)` of `x` > 0, 1 / (2 x) and less where that is large; shape and accuracy as there."""
    is_small, small, y = _shifted(x)
    large = 0.5 / y + polynomial(1.0 / (y * y), _STIRLING_1) / (y * y)
    # log(8 / x + 1), where 8 / x would overflow for the smallest numbers.
    shift = sum(1.0 / (small + i) for i in range(8)) - ops.log1p(0.125 * small) + (ops.log(small) - math.log(8.0))
    return large + ops.where(is_small, shift, 0.0), lambda upstream: -upstream * trigamma_minus(x)


@with_gradient
def lgamma1p(x: Tensor) -> Tensor:
    """`lgamma(1 + x)` of -1/2 <= x <= 2, to full relative accuracy next to 0.

    Parameters
    ----------
    x : float tensor, any shape

    Returns
    -------
    tensor like `x`.
    """
    terms = _LGAMMA1P if keras.backend.standardize_dtype(x.dtype) == "float64" else _LGAMMA1P[:12]
    factors = ops.log1p(x * polynomial(x, _FACTORS[1:].tolist()))
    return x * polynomial(x, terms) - factors, lambda upstream: upstream * digamma(1.0 + x)


def log1p_minus(x: Tensor) -> Tensor:
    """`log(1 + x) - x` for `|x| <= SERIES_RADIUS` to full relative accuracy, hence never positive."""
    # Of log(1 + x) = 2 atanh(x / (2 + x)).
    terms = 9 if keras.backend.standardize_dtype(x.dtype) == "float64" else 4
    ratio = x / (2.0 + x)
    square = ratio * ratio
    return ratio * (square * polynomial(square, [2.0 / (2 * k + 3) for k in range(terms)]) - x)


def _shifted(x):
    """Whether `x` is below 8; `x` where it is, else 1; and where it is, x + 8, else `x`."""
    is_small = x < 8.0
    return is_small, ops.where(is_small, x, ops.ones_like(x)), ops.where(is_small, x + 8.0, x)


def standardized(distance: Tensor, logvar: Tensor) -> Tensor:
    """`distance / exp(logvar / 2)`, right also where the exponential leaves the range of floats: by its root, twice.

    Parameters
    ----------
    distance, logvar : float tensors

    Returns
    -------
    tensor; 0 where the distance is 0.
    """
    # Even the square of the widest finite distance does not overflow by a deviation that is clipped here.
    most = 700.0 if keras.backend.standardize_dtype(logvar.dtype) == "float64" else 87.0
    root = ops.exp(ops.minimum(-0.25 * logvar, most))
    return (distance * root) * root


def polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """By Horner's rule, the lowest coefficient first."""
    result = coefficients[-1] * ops.ones_like(x)
    for coefficient in coefficients[-2::-1]:
        result = result * x + coefficient
    return result


def divided_difference(x: Tensor, y: Tensor, coefficients: Sequence[float]) -> Tensor:
    """`(polynomial(x) - polynomial(y)) / (x - y)`, by Horner's rule too."""
    at_x, result = coefficients[-1] * ops.ones_like(x), ops.zeros_like(x)
    for coefficient in coefficients[-2::-1]:
        result = result * y + at_x
        at_x = at_x * x + coefficient
    return result


def log_ndtr(z: Tensor) -> Tensor:
    """The logarithm of the standard normal distribution function, with its digits and gradient in both tails.

    Parameters
    ----------
    z : float tensor, any shape

    Returns
    -------
    tensor like `z`.
    """
    is_double = keras.backend.standardize_dtype(z.dtype) == "float64"
    edge, terms = (-20.0, 8) if is_double else (-10.0, 6)
    is_high, is_far = z > 0.0, z < edge
    high = ops.log1p(-0.5 * ops.erfc(math.sqrt(0.5) * ops.where(is_high, z, 0.0)))
    low = ops.log(0.5 * ops.erfc(-math.sqrt(0.5) * ops.where(is_high | is_far, 0.0, z)))
    # Further out erfc underflows: the asymptotic series 1 - 1 / z^2 + 3 / z^4 - 15 / z^6 ... by Horner's rule.
    far = ops.where(is_far, z, edge)
    v = 1.0 / (far * far)
    series = 1.0 - (2.0 * terms - 1.0) * v
    for k in range(2 * terms - 3, 0, -2):
        series = 1.0 - k * v * series
    tail = -0.5 * far * far - ops.log(-far) - 0.5 * math.log(2.0 * math.pi) + ops.log(series)
    return ops.where(is_high, high, ops.where(is_far, tail, low))
