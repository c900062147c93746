"""Uniform, Gumbel, normal and gamma noise with explicit seeds, as distributions need it: no infinities, no ends."""

from collections.abc import Sequence

import keras
from keras import ops

from kgdists.core.backend import with_gradient
from kgdists.core.shapes import dtype_of
from kgdists.core.types import Integer, Seed, Tensor
from kgdists.numerics import incomplete_gamma, special
from kgdists.random.streams import checked
from kgdists.random.streams import key as key_of

__all__ = ["gumbel", "log_gamma", "normal", "uniform"]

if keras.backend.backend() == "tensorflow":
    from kgdists.random import tensorflow_draws

    _uniform, _normal, _log_gamma = tensorflow_draws.uniform, tensorflow_draws.normal, tensorflow_draws.log_gamma
    _gamma_slope = tensorflow_draws.gamma_slope

else:
    import jax

    _gamma_slope = jax.lax.random_gamma_grad

    def _uniform(shape: Sequence[Integer], seed: Seed, dtype: str = "float32") -> Tensor:
        # Multiples of 2^-23, or 2^-52, in [0, 1).
        return keras.random.uniform(shape, dtype=dtype, seed=seed) + (2.0**-24 if dtype == "float32" else 2.0**-53)

    def _normal(shape: Sequence[Integer], seed: Seed, dtype: str) -> Tensor:
        return keras.random.normal(shape, dtype=dtype, seed=seed)

    def _log_gamma(concentration: Tensor, seed: Seed) -> Tensor:
        return jax.random.loggamma(ops.cast(key_of(seed), "uint32"), concentration, dtype=concentration.dtype)


def uniform(shape: Sequence[Integer], seed: Seed = None, dtype: str = "float32") -> Tensor:
    """Draw from the open interval (0, 1).

    Parameters
    ----------
    shape : tuple of int or scalar tensor
    seed : None, int or keras.random.SeedGenerator
    dtype : {"float32", "float64"}

    Returns
    -------
    float tensor of `shape`; never 0 and never 1.
    """
    return _uniform(tuple(shape), checked(seed), dtype)


def gumbel(shape: Sequence[Integer], seed: Seed = None) -> Tensor:
    """Draw standard Gumbel noise `-log(-log u)`, float32, always finite; arguments as for `uniform`."""
    return -ops.log(-ops.log(uniform(shape, seed)))


def normal(shape: Sequence[Integer], seed: Seed = None, dtype: str = "float32") -> Tensor:
    """Draw standard normal noise in float32 or float64; other arguments as for `uniform`."""
    return _normal(tuple(shape), checked(seed), dtype)


def log_gamma(concentration: Tensor, seed: Seed = None) -> Tensor:
    """Draw the logarithms of gamma variates, differentiable in their concentrations.

    Parameters
    ----------
    concentration : float32 or float64 tensor, > 0
    seed : None, int or keras.random.SeedGenerator

    Returns
    -------
    tensor like `concentration`, finite also where the variates themselves underflow.
    """
    return _implicit(concentration, _log_gamma(ops.stop_gradient(concentration), checked(seed)))


@with_gradient
def _implicit(concentration, log_x):
    """`log_x`, with the gradient of the variate whose probability to be below is fixed (Figurnov et al. 2018)."""
    # Beyond, x is beside 1 nothing and the probability x^a / Gamma(a + 1); and the backend's derivative fails.
    least, most = {"float32": -17.0, "float64": -37.0}[dtype_of(concentration)], 100.0

    def gradient(upstream):
        a, x = ops.minimum(concentration, most), ops.exp(ops.maximum(log_x, least))
        near_zero = (special.digamma(1.0 + a) - log_x) / a
        huge = ops.maximum(concentration, most)
        of_huge = incomplete_gamma.implicit_gradient(huge, log_x - ops.log(huge))
        slope = ops.where(log_x < least, near_zero, _gamma_slope(a, x) / x)
        return upstream * ops.where(concentration > most, of_huge, slope), ops.zeros_like(log_x)

    return log_x, gradient
