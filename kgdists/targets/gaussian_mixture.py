"""Mixture of normal distributions with full covariances."""

import numpy as np
import tensorflow as tf

from kgdists import shapes
from kgdists.distributions import GaussianMixtureDist
from kgdists.targets.mixture import Mixture, as_array, check_logits

__all__ = ["GaussianMixture"]

WRITTEN_OUT = 16  # dimensions, one after the other


class GaussianMixture(Mixture):
    r"""Mixture of K normal distributions with full covariances: :math:`\sum_k w_k N(\mu_k, \Sigma_k)`.

    Arrays in, arrays out: computed by one compiled function, in blocks of rows. Tensors in, tensors out:
    differentiable, also in a `tf.function` and under XLA. Results have the dtype of the points.

    Parameters
    ----------
    means : float array, shape [K, D]
    covariances : float array, shape [K, D, D]
        Symmetric and positive definite.
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

    def __init__(self, means, covariances, logits=None, *, weights=None, kB_T=1.0, procedural_seed=0):
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
        half_log_dets = np.log(np.diagonal(self.scale_tril, axis1=1, axis2=2)).sum(axis=1)
        super().__init__(logits, means, {"scale_tril": self.scale_tril}, half_log_dets, kB_T, procedural_seed)

    @classmethod
    def create_tutorial(cls, *, kB_T=1.0, procedural_seed=0):
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
    def distribution(self):
        """The same density as a `GaussianMixtureDist`, of the dtype of the means."""
        dtype = self.means.dtype
        return GaussianMixtureDist(self.logits.astype(dtype), self.means, scale_tril=self.scale_tril.astype(dtype))

    def _place(self, component, noise):
        # Factors of 24 bits times noise of 29 are exact, and their sum always runs in the same order.
        x = tf.gather(self.means.astype("float64"), component)
        columns = np.moveaxis(self.scale_tril.astype("float32").astype("float64"), 2, 0)
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
    covariance = covariance.astype("float64")
    if not np.allclose(covariance, covariance.T, rtol=1e-6, atol=0.0):
        raise ValueError(
            f"`covariances` must be symmetric. Received: {covariance.tolist()} at index {k} of covariances"
        )
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"`covariances` must be positive definite. Received: {covariance.tolist()} at index {k} of covariances"
        ) from None
