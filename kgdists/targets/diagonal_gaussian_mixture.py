"""Mixture of normal distributions with independent dimensions."""

from typing import Self

import numpy as np
import tensorflow as tf

from kgdists.core import shapes
from kgdists.core.checks import count
from kgdists.core.types import Integer, TensorLike
from kgdists.distributions import GaussianMixtureDist
from kgdists.targets.mixture import Mixture, as_array, check_logits, to_24_bits

__all__ = ["DiagonalGaussianMixture"]

LEAST = 1e-300  # standard deviation, whose inverse still has all digits; its inverse is the largest


class DiagonalGaussianMixture(Mixture):
    r"""Mixture of K normal distributions with independent dimensions: :math:`\sum_k w_k N(\mu_k, \sigma_k^2)`.

    Arrays in, arrays out: computed by one compiled function, in blocks of rows. Tensors in, tensors out:
    differentiable, also in a `tf.function` and under XLA. Results have the dtype of the points.

    Parameters
    ----------
    means : float array, shape [K, D]
    diag_stds : float array, shape [K, D]
        Standard deviations.
    logits : float array, shape [K]
        Unnormalised log-weights. `-inf` takes a component out.
    kB_T : float, > 0
        Temperature in units of energy: the energy of a point is `-kB_T log_prob`.
    procedural_seed : int
        Which datasets `load_dataset` makes.

    Raises
    ------
    ValueError
        On shapes that do not fit, standard deviations that are not finite and > 0, NaN, or no component at all.

    Examples
    --------
    >>> import numpy as np, kgdists as kg
    >>> target = kg.targets.DiagonalGaussianMixture(np.array([[-2.0], [2.0]]), np.ones((2, 1)), np.zeros(2))
    >>> target.sample(5, seed=0).shape, target.log_prob(np.zeros((3, 1))).shape, target.score([0.0]).shape
    ((5, 1), (3,), (1,))
    """

    def __init__(
        self,
        means: TensorLike,
        diag_stds: TensorLike,
        logits: TensorLike,
        *,
        kB_T: float = 1.0,
        procedural_seed: Integer = 0,
    ) -> None:
        means, logits = as_array(means, "means", "KD"), as_array(logits, "logits", "K")
        diag_stds = as_array(diag_stds, "diag_stds", "KD")
        check_logits(logits, means)
        if diag_stds.shape != means.shape:
            raise ValueError(
                "`means` and `diag_stds` must have the same shape. "
                f"Received: means of shape {means.shape}, diag_stds of shape {diag_stds.shape}"
            )
        shapes.check_finite(means=means)
        stds = diag_stds.astype("float64")
        beyond = np.argwhere(np.isfinite(stds) & (stds > 0.0) & ((stds < LEAST) | (stds > 1.0 / LEAST)))
        if beyond.size:
            k, i = beyond[0].tolist()
            raise ValueError(
                f"`diag_stds` must be between {LEAST} and {1.0 / LEAST}. Received: {stds[k, i]} at index {[k, i]}"
            )
        shapes.check_positive(diag_stds=diag_stds)
        self.diag_stds = diag_stds
        super().__init__(logits, means, {"inverse_stds": 1.0 / stds}, stds, stds, kB_T, procedural_seed)

    @classmethod
    def create_isotropic(
        cls,
        means: TensorLike,
        std: float,
        logits: TensorLike,
        *,
        kB_T: float = 1.0,
        procedural_seed: Integer = 0,
    ) -> Self:
        """Make a mixture in which all components have one standard deviation in all dimensions.

        Parameters
        ----------
        means : float array, shape [K, D]
        std : float, > 0
        logits : float array, shape [K]
        kB_T, procedural_seed
            As for the constructor.
        """
        means = as_array(means, "means", "KD")
        stds = np.full_like(means, std)
        return cls(means, stds, logits, kB_T=kB_T, procedural_seed=procedural_seed)

    @classmethod
    def create_isotropic_uniform(
        cls,
        std: float,
        n_components: Integer,
        dim: Integer,
        mean_range: tuple[float, float],
        seed: Integer = 0,
        *,
        kB_T: float = 1.0,
        procedural_seed: Integer = 0,
    ) -> Self:
        """Make an isotropic mixture of equal weights whose means are drawn uniformly from a box.

        Parameters
        ----------
        std : float, > 0
        n_components, dim : int, >= 1
        mean_range : tuple of two floats
            Lower and upper bound of all coordinates.
        seed : int
            The means are `np.random.default_rng(seed).uniform(*mean_range, (n_components, dim))`.
        kB_T, procedural_seed
            As for the constructor.
        """
        n_components, dim = count("n_components", n_components), count("dim", dim)
        low, high = mean_range
        if not -np.inf < low < high < np.inf:
            raise ValueError(
                f"`mean_range` must be two finite numbers, the lower one first. Received: mean_range={mean_range!r}"
            )
        means = np.random.default_rng(seed).uniform(low, high, size=(n_components, dim))
        logits = np.full(n_components, -np.log(n_components))
        return cls.create_isotropic(means, std, logits, kB_T=kB_T, procedural_seed=procedural_seed)

    @classmethod
    def create_gmm40(
        cls,
        dim: Integer = 2,
        n_components: Integer = 40,
        loc_scaling: float = 40.0,
        scale: float = 1.0,
        seed: Integer = 0,
        *,
        kB_T: float = 1.0,
        procedural_seed: Integer = 0,
    ) -> Self:
        """Make a mixture of forty components far apart, a hard target for samplers that have to find all of them.

        The one of boltzkit (not that of FAB, whose means and widths are others).

        Parameters
        ----------
        dim, n_components : int, >= 1
        loc_scaling : float, > 0
            Means are drawn uniformly from `(-loc_scaling, loc_scaling)`.
        scale : float, > 0
            Standard deviation.
        seed : int
            Of the means.
        kB_T, procedural_seed
            As for the constructor.

        Examples
        --------
        >>> import kgdists as kg
        >>> kg.targets.DiagonalGaussianMixture.create_gmm40().means[0].round(4)
        array([ 10.9569, -18.4171])
        """
        return cls.create_isotropic_uniform(
            scale, n_components, dim, (-loc_scaling, loc_scaling), seed, kB_T=kB_T, procedural_seed=procedural_seed
        )

    @property
    def distribution(self) -> GaussianMixtureDist:
        """The same density as a `GaussianMixtureDist`, of the dtype of the means."""
        dtype = self.means.dtype
        logvar = 2.0 * np.log(self.diag_stds.astype("float64"))
        return GaussianMixtureDist(self.logits.astype(dtype), self.means, logvar=logvar.astype(dtype))

    def _place(self, component, noise):
        # Factors of 24 bits times noise of 29 are exact, so that it does not matter whether the sum is fused with it.
        stds = to_24_bits(self.diag_stds.astype("float64"))
        return tf.gather(self.means.astype("float64"), component) + tf.gather(stds, component) * noise
