"""Mixture of normal distributions with full covariances."""

from typing import Self

import numpy as np
import tensorflow as tf

from kgdists.core import shapes
from kgdists.core.types import Integer, TensorLike
from kgdists.distributions import GaussianMixtureDist
from kgdists.targets.mixture import Mixture, as_array, check_logits, to_24_bits

__all__ = ["GaussianMixture"]

WRITTEN_OUT = 16  # dimensions, one after the other
SYMMETRY = 1e-6  # difference of two entries, in units of the deviations, that counts as rounding


class GaussianMixture(Mixture):
    r"""Mixture of K normal distributions with full covariances: :math:`\sum_k w_k N(\mu_k, \Sigma_k)`.

    Arrays in, arrays out: computed by one compiled function, in blocks of rows. Tensors in, tensors out:
    differentiable, also in a `tf.function` and under XLA. Results have the dtype of the points.

    Parameters
    ----------
    means : float array, shape [K, D]
    covariances : float array, shape [K, D, D]
        Symmetric, but for rounding, and positive definite.
    logits : None or float array, shape [K]
        Unnormalised log-weights. `-inf` takes a component out.
    weights : None or float array, shape [K]
        Weights >= 0, which need not sum to one. Exactly one of `logits` and `weights` is given.
    kB_T : float, > 0
        Temperature in units of energy: the energy of a point is `-kB_T log_prob`.
    procedural_seed : int
        Which datasets `load_dataset` makes.

    Raises
    ------
    ValueError
        On shapes that do not fit, covariances that are not symmetric and positive definite, NaN, or no component at
        all.

    Examples
    --------
    >>> import numpy as np, kgdists as kg
    >>> target = kg.targets.GaussianMixture(np.array([[0.0, 1.0]]), np.array([[[1.0, 0.5], [0.5, 2.0]]]), weights=[1.0])
    >>> target.sample(5, seed=0).shape, target.log_prob(np.zeros((3, 2))).shape, target.score([0.0, 0.0]).shape
    ((5, 2), (3,), (2,))
    """

    def __init__(
        self,
        means: TensorLike,
        covariances: TensorLike,
        logits: TensorLike | None = None,
        *,
        weights: TensorLike | None = None,
        kB_T: float = 1.0,
        procedural_seed: Integer = 0,
    ) -> None:
        if (logits is None) == (weights is None):
            received = "neither" if logits is None else "both"
            raise ValueError(f"Exactly one of `logits` and `weights` must be given. Received: {received}")
        means, covariances = as_array(means, "means", "KD"), as_array(covariances, "covariances", "KDD")
        if weights is not None:
            weights = as_array(weights, "weights", "K")
            if not (np.isfinite(weights) & (weights >= 0.0)).all():
                raise ValueError(f"`weights` must be finite and >= 0. Received: weights={weights}")
            with np.errstate(divide="ignore"):
                logits = np.log(weights)
        logits = as_array(logits, "logits", "K")
        check_logits(logits, means)
        if covariances.shape != (*means.shape, means.shape[1]):
            raise ValueError(
                "`covariances` must have the shape of `means` and one more axis of the same size. "
                f"Received: means of shape {means.shape}, covariances of shape {covariances.shape}"
            )
        shapes.check_finite(means=means, covariances=covariances)
        self.covariances = covariances
        self.scale_tril = np.stack([_factor(k, covariance) for k, covariance in enumerate(covariances)])
        self.scale_tril.setflags(write=False)
        stds = np.sqrt(np.diagonal(covariances.astype("float64"), axis1=1, axis2=2))
        spreads = np.diagonal(self.scale_tril, axis1=1, axis2=2)
        super().__init__(logits, means, {"scale_tril": self.scale_tril}, stds, spreads, kB_T, procedural_seed)

    @classmethod
    def create_tutorial(cls, *, kB_T: float = 1.0, procedural_seed: Integer = 0) -> Self:
        """Make the mixture of four components in the plane with which forward and reverse KL are compared.

        Examples
        --------
        >>> import kgdists as kg
        >>> kg.targets.GaussianMixture.create_tutorial().weights.round(1)
        array([0.2, 0.3, 0.2, 0.3])
        """
        return cls(
            means=[[1.0, 0.0], [6.0, 4.0], [-2.0, 2.0], [4.0, -2.0]],
            covariances=[
                [[1.0, 0.0], [0.0, 1.0]],
                [[1.0, 0.5], [0.5, 1.0]],
                [[1.0, -0.5], [-0.5, 1.0]],
                [[0.5, 0.0], [0.0, 4.0]],
            ],
            weights=[0.2, 0.3, 0.2, 0.3],
            kB_T=kB_T,
            procedural_seed=procedural_seed,
        )

    @property
    def distribution(self) -> GaussianMixtureDist:
        """The same density as a `GaussianMixtureDist`, of the dtype of the means."""
        dtype = self.means.dtype
        return GaussianMixtureDist(self.logits.astype(dtype), self.means, scale_tril=self.scale_tril.astype(dtype))

    def _place(self, component, noise):
        # Factors of 24 bits times noise of 29 are exact, and their sum always runs in the same order.
        x = tf.gather(self.means.astype("float64"), component)
        columns = np.moveaxis(to_24_bits(self.scale_tril), 2, 0)
        if self.dim <= WRITTEN_OUT:
            for j, column in enumerate(columns):
                x += tf.gather(column, component) * noise[:, j : j + 1]
            return x
        columns = tf.constant(columns)
        return tf.while_loop(
            lambda j, x: j < self.dim,
            lambda j, x: (j + 1, x + tf.gather(columns[j], component) * noise[:, j, None]),
            (0, x),
        )[1]


def _factor(k, covariance):
    """The Cholesky factor, float64, of a covariance that is symmetric but for rounding."""
    precision, covariance = np.finfo(covariance.dtype).eps, covariance.astype("float64")
    # Rounding is relative to the deviations of the two dimensions: the entry itself may be 0.
    stds = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    difference = np.abs(0.5 * covariance - 0.5 * covariance.T)
    tolerance = 0.5 * max(SYMMETRY, 4.0 * len(covariance) * precision)
    if (difference > tolerance * stds[:, None] * stds).any():
        i, j = np.argwhere(difference > tolerance * stds[:, None] * stds)[0].tolist()
        raise ValueError(
            f"`covariances` must be symmetric. Received: {covariance[i, j]} at {[i, j]} and {covariance[j, i]} at "
            f"{[j, i]} of the one at index {k}"
        )
    covariance = 0.5 * covariance + 0.5 * covariance.T
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        factor = np.zeros_like(covariance)
    # What is left of a variance must be more than the rounding of what was subtracted from it.
    left = np.square(np.diagonal(factor) / np.where(stds > 0.0, stds, 1.0))
    if not (left > len(covariance) * np.finfo("float64").eps).all():
        scale = np.sqrt(np.abs(covariance).max()) or 1.0
        smallest = np.linalg.eigvalsh(covariance / scale / scale)[0]
        raise ValueError(
            "`covariances` must be positive definite. "
            f"Received: a smallest eigenvalue of {smallest:.3g} times the largest entry at index {k} of covariances"
        )
    return factor
