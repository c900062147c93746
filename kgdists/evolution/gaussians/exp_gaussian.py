"""`ExpGaussian`: the search distribution of xNES, with a full covariance matrix."""

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import tensorflow as tf

from kgdists.core import backend, shapes
from kgdists.core.types import Tensor, TensorLike
from kgdists.evolution.gaussians.search_distribution import SearchDistribution, as_tensor
from kgdists.numerics import special

__all__ = ["ExpGaussian", "exponentials"]

ALIASES = {"mu": "d", "sigma": "M"}
LARGEST_NORM = 0.5  # of its argument


class ExpGaussian(SearchDistribution):
    """A Gaussian `mu + A z` of standard normal z, whose square root A of the covariance is searched multiplicatively.

    Steps are taken in the coordinates z: `mu + A d` and `A exp(M / 2)` (Glasmachers et al. 2010).

    Parameters
    ----------
    parameters : dict
        `mu`: tensor, shape [B..., D].

        `sigma`: tensor A, shape [B..., D, D], invertible; or the diagonal of one, > 0, shape [B..., D].

        `sigma_inv`: optional, the inverse of A.
    solution_length, dtype, device
        See `SearchDistribution`.
    """

    OPTIONAL_PARAMETERS = frozenset({"sigma_inv"})
    TENSORS: tuple[str, ...] = ("mu", "sigma", "sigma_inv")
    GRADIENTS = ("d", "M")
    SUM_POWERS = {"d": 1, "M": 2}

    def _checked(self, fields: dict[str, Any]) -> dict[str, Any]:
        mu, sigma, inverse = fields["mu"], fields["sigma"], fields["sigma_inv"]
        if len(sigma.shape) == len(mu.shape):
            shapes.check_same(mu=mu, sigma=sigma)
            shapes.check_positive(sigma=sigma)
            inverse = tf.linalg.diag(1.0 / sigma) if inverse is None else inverse
            sigma = tf.linalg.diag(sigma)
        square = (*mu.shape, mu.shape[-1])
        for name, matrix in (("sigma", sigma), ("sigma_inv", inverse)):
            if matrix is not None and tuple(matrix.shape) != square:
                raise ValueError(f"`{name}` must have shape {square}. Received: {name} of shape {tuple(matrix.shape)}")
        _check_invertible(sigma)
        if inverse is None:
            inverse = tf.linalg.inv(sigma)
        _check_inverse(sigma, inverse)
        return {"mu": mu, "sigma": sigma, "sigma_inv": inverse}

    @property
    def A(self) -> Tensor:
        """The same as `sigma`: a square root of the covariance, shape [B..., D, D]."""
        return self.sigma

    @property
    def A_inv(self) -> Tensor:
        """The same as `sigma_inv`: the inverse of `A`."""
        return self.sigma_inv

    @property
    def cov(self) -> Tensor:
        """The covariance `A A^T` of the samples."""
        return tf.matmul(self.sigma, self.sigma, transpose_b=True)

    def to_global_coordinates(self, local_coordinates: TensorLike) -> Tensor:
        """Solutions `mu + A z` of coordinates z, shape [B..., N, D]."""
        return self._from_noise(self._coordinates("local_coordinates", local_coordinates))

    def to_local_coordinates(self, global_coordinates: TensorLike) -> Tensor:
        """The coordinates `A_inv (x - mu)` of solutions x, shape [B..., N, D]."""
        return self._to_noise(self._coordinates("global_coordinates", global_coordinates))

    def _coordinates(self, name, x):
        """`x` as a tensor, if it is finite and of shape [B..., N, D]."""
        x = as_tensor(x, self.dtype)
        if x.shape.rank is not None and (x.shape.rank < 2 or x.shape[-1] != self.solution_length):
            raise ValueError(
                f"`{name}` must have shape [B..., N, D], D = {self.solution_length}. Received: shape {tuple(x.shape)}"
            )
        shapes.check_finite(**{name: x})
        return x

    def _from_noise(self, z):
        return self.mu[..., None, :] + tf.matmul(z, self.sigma, transpose_b=True)

    def _to_noise(self, samples):
        return tf.matmul(samples - self.mu[..., None, :], self.sigma_inv, transpose_b=True)

    def modified_copy(
        self, *, dtype: str | tf.DType | None = None, device: str | None = None, **parameters: Any
    ) -> Self:
        if "sigma" in parameters or dtype not in (None, self.dtype):
            parameters = {"sigma_inv": None} | parameters  # the old one does not fit
        return super().modified_copy(dtype=dtype, device=device, **parameters)

    def noise_sums(self, z: Tensor, weights: Tensor) -> dict[str, Tensor]:
        return {
            "d": tf.linalg.matvec(z, weights, transpose_a=True),
            "M": tf.matmul(z, weights[..., None] * z, transpose_a=True),
        }

    def gradients(self, sums: dict[str, Tensor], weights: Tensor) -> dict[str, Tensor]:
        total = tf.reduce_sum(weights, axis=-1)[..., None, None]
        return {"d": sums["d"], "M": sums["M"] - total * tf.eye(self.solution_length, dtype=self.dtype)}

    def update_parameters(
        self,
        gradients: Mapping[str, TensorLike],
        *,
        learning_rates: Mapping[str, TensorLike | None] | None = None,
        optimizers: Mapping[str, Any] | None = None,
    ) -> Self:
        """The distribution a step further, as in `SearchDistribution`.

        Learning rates and optimizers are those of `d` and `M`, which may also be called `mu` and `sigma`. Without them
        the rate of `d` is 1 and that of `M` is `0.6 (3 + log D) / (D sqrt(D))` (Glasmachers et al. 2010).
        """
        d, change = self._steps(gradients, learning_rates, optimizers)
        growth, shrinkage = exponentials(0.5 * change)
        sigma = tf.matmul(self.sigma, growth)
        inverse = tf.matmul(shrinkage, self.sigma_inv)
        # One step of Newton's method (Schulz 1933), so that the rounding of many updates does not add up. It converges
        # from nearby only.
        residual = tf.eye(self.solution_length, dtype=self.dtype) - tf.matmul(sigma, inverse)
        is_near = tf.norm(residual, axis=(-2, -1), keepdims=True) < 0.5
        inverse += tf.matmul(inverse, tf.where(is_near, residual, 0.0))
        return self._with(mu=self.mu + tf.linalg.matvec(self.sigma, d), sigma=sigma, sigma_inv=inverse)

    def _by_gradient(self, given):
        return super()._by_gradient({ALIASES.get(name, name): value for name, value in (given or {}).items()})

    def _learning_rate(self, name):
        length = self.solution_length
        return 1.0 if name == "d" else 0.6 * (3.0 + math.log(length)) / (length * math.sqrt(length))

    def relative_entropy(self, other: Self) -> Tensor:
        self._check_other(other)
        shift = tf.linalg.matvec(other.sigma_inv, self.mu - other.mu)
        # Of the ratio of the square roots only the triangular factor counts. Each of its terms is >= 0, as those of the
        # trace and of the determinant are not.
        _, ratio = tf.linalg.qr(tf.matmul(other.sigma_inv, self.sigma))
        diagonal = tf.linalg.diag_part(ratio)
        spread = tf.reduce_sum(special.expm1_minus(2.0 * tf.math.log(tf.abs(diagonal))), axis=-1)
        skew = tf.reduce_sum(tf.linalg.set_diag(ratio, tf.zeros_like(diagonal)) ** 2, axis=(-2, -1))
        return 0.5 * (spread + skew + tf.reduce_sum(shift**2, axis=-1))


def exponentials(x: Tensor) -> tuple[Tensor, Tensor]:
    """The exponentials of square matrices x and -x, shape [B..., D, D], by matrix products alone.

    Scaling and squaring (Moler and Van Loan 2003) of a Taylor series, whose even part and odd part serve both.
    """
    norm = tf.reduce_max(tf.reduce_sum(tf.abs(x), axis=-1))
    halvings = tf.math.ceil(tf.math.log(tf.maximum(norm / LARGEST_NORM, 1.0)) / math.log(2.0))
    halvings = tf.where(tf.math.is_finite(halvings), halvings, 0.0)
    x *= tf.pow(tf.cast(0.5, x.dtype), halvings)
    one = tf.eye(x.shape[-1], dtype=x.dtype)
    square = tf.matmul(x, x)
    powers = [one, square, tf.matmul(square, square)]
    powers.append(tf.matmul(square, powers[2]))
    fourth = tf.matmul(powers[2], powers[2])

    def series(first):
        """The sum of `square^k / (2 k + first)!`."""
        near, far = (
            sum(power / math.factorial(2 * (k + start) + first) for k, power in enumerate(powers)) for start in (0, 4)
        )
        return near + tf.matmul(fourth, far)

    even, odd = series(0), tf.matmul(x, series(1))

    def doubled(count, growth, shrinkage):
        return count + 1, tf.matmul(growth, growth), tf.matmul(shrinkage, shrinkage)

    _, growth, shrinkage = tf.while_loop(
        lambda count, *_: count < tf.cast(halvings, "int32"), doubled, (0, even + odd, even - odd)
    )
    return growth, shrinkage


def _check_invertible(matrix):
    values = backend.concrete(matrix)
    if values is None:
        return
    if not np.isfinite(values).all() or not (np.linalg.slogdet(values)[0] != 0.0).all():
        raise ValueError(f"`sigma` must be finite and invertible. Received: sigma={values}")


def _check_inverse(matrix, inverse):
    a, b = backend.concrete(matrix), backend.concrete(inverse)
    if a is None or b is None:
        return
    scale = np.abs(a).sum((-1, -2)) * np.abs(b).sum((-1, -2))
    error = np.abs(a @ b - np.eye(a.shape[-1])).max((-1, -2))
    if not (error <= 100 * np.finfo(a.dtype).eps * scale).all():
        raise ValueError(f"`sigma_inv` must be the inverse of `sigma`. Received: sigma={a}, sigma_inv={b}")
