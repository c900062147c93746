"""The fit of a Gaussian mixture to samples or to a density."""

import dataclasses
import warnings
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from kgdists.core.progress import Verbosity
from kgdists.core.types import Integer, Seed, TensorLike
from kgdists.distributions import GaussianMixtureDist
from kgdists.mixtures import forward, reverse
from kgdists.mixtures.found import check_range
from kgdists.mixtures.options import checked
from kgdists.mixtures.widths import warn_of_collapse

__all__ = ["Fit", "fit"]


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a fit found.

    Attributes
    ----------
    distribution : GaussianMixtureDist
        The best restart's mixture: of a forward fit by gradient descent, the best of the start, of the iterates
        between blocks of 500 and of the average over the last tenth; of expectation maximisation, the best of all.
    history : dict
        `"loss"`: array [iterations] of the best restart, `"losses"`: array [iterations, restarts]. A forward loss is
        the mean negative log-likelihood, a reverse one the estimated divergence, up to the logarithm of the density's
        normaliser.
    loss : float
        Of the best restart. Of a forward fit it is the mean negative log-likelihood of `distribution`, in float64: on
        all samples of an array, on the first ones of a dataset, on draws of a target.
    losses : array, shape [restarts]
        Of each restart. Of a reverse fit it is the mean over the last tenth of the iterations, infinite where a restart
        broke.
    """

    distribution: GaussianMixtureDist
    history: dict[str, np.ndarray]
    loss: float
    losses: np.ndarray


def fit(
    target_or_samples: Any,
    num_components: Integer,
    *,
    weights: TensorLike | None = None,
    divergence: str = "forward",
    method: Literal["gradient", "em"] = "gradient",
    covariance: Literal["full", "diag"] = "full",
    parameterization: Literal["cholesky", "a_at"] = "cholesky",
    estimator: Literal["score", "pathwise"] = "score",
    optimizer: keras.optimizers.Optimizer | None = None,
    iterations: Integer | None = None,
    num_samples: Integer | None = None,
    tolerance: float = 1e-5,
    initial: Literal["kmeans++", "random"] | GaussianMixtureDist | None = None,
    initial_spread: float = 1.0,
    initial_stddev: float = 1.0,
    min_stddev: float | None = None,
    center: ArrayLike | None = None,
    scale: ArrayLike | None = None,
    restarts: Integer = 1,
    num_dims: Integer | None = None,
    verbose: Verbosity = "auto",
    seed: Seed = None,
    parameterisation: Literal["cholesky", "a_at"] | None = None,
) -> Fit:
    r"""Fit a Gaussian mixture by forward or reverse Kullback-Leibler divergence.

    The forward divergence :math:`\mathrm{KL}(p \| q)`, which is maximum likelihood, needs samples of p and spreads q
    over all of p. The reverse one, :math:`\mathrm{KL}(q \| p)`, needs the density of p, up to a constant, and puts q on
    modes of p.

    Parameters
    ----------
    target_or_samples : array [N, n], Dataset, Distribution, target or function
        What is fitted. Forward: samples, a `tf.data.Dataset` of batches of them (or of dicts with the key "samples"),
        the dataset of a target, or what has `sample(count, seed)`, from which each iteration draws afresh. Reverse:
        what has `log_prob(x)`, or a function for it, written in TensorFlow or `keras.ops`; x has shape [..., n].
        Samples may also come as a dict with the keys "samples" and "weights", as may the batches of a dataset.
    num_components : int
        K, >= 1.
    weights : None or array [N], >= 0
        How often each sample counts, in every part of a forward fit and in its loss; only their ratios matter.
    divergence : "forward" or "reverse"
    method : "gradient" or "em"
        Gradient descent, or expectation maximisation (forward only), which needs no learning rate.
    covariance : "full" or "diag"
    parameterization : "cholesky" or "a_at"
        Of full covariances in gradient descent: the Cholesky factor, or any matrix A of :math:`A A^T`.
    estimator : "score" or "pathwise"
        Of the gradient of a reverse fit, see `kgdists.divergences.reverse_kl_loss`. `"pathwise"` has less noise and
        needs `log_prob` to be differentiable.
    optimizer : None or keras.optimizers.Optimizer
        None is `Adam(0.01)`. Its settings are used, not its state. What it clips by a global norm it clips over all
        restarts together.
    iterations : None or int
        Of gradient descent, None is 5000; the most of expectation maximisation, None is 500.
    num_samples : None or int
        In each iteration of gradient descent, None is 500, drawn with replacement from an array. Expectation
        maximisation takes all rows of an array, and draws this many, None is 100,000, from anything else.
    tolerance : float
        Expectation maximisation ends when no restart's mean log-likelihood rises by more than this.
    initial : None, "kmeans++", "random" or GaussianMixtureDist
        Where to start: at the clusters of k-means after k-means++, which needs samples; at normal means of standard
        deviation `initial_spread` with components of standard deviation `initial_stddev`; or at a mixture, with batch
        shape [restarts] if there are several. None is `"kmeans++"` for a forward fit, `"random"` for a reverse one.
    initial_spread, initial_stddev : float, > 0
        In units of `scale`.
    min_stddev : None or float, > 0
        The floor of widths, in units of `scale`: each standard deviation, or diagonal entry of a Cholesky factor, is
        larger than this; for `"a_at"` and expectation maximisation its square is added to the diagonal of covariances.
        So a component that collapses onto a point, or samples in a plane, leave a proper mixture. None is 1e-3 for a
        reverse fit. For a forward one it comes from the samples, in each dimension for itself: 5e-4 of the narrowest
        interval that holds two distinct values and a quarter of a component's share of the samples, and not below
        their rounding (for `"a_at"` at least 1e-3).
    center, scale : None, float or array [n], scale > 0
        The units of the fit, in which steps of the optimizer are taken. None is the mean and the standard deviation of
        the samples for a forward fit, 0 and 1 for a reverse one.
    restarts : int
        Fits from different starts, run side by side; the one with the lowest loss is kept. One that breaks (its loss
        is NaN) is never kept.
    num_dims : None or int
        n, for a target that is a function.
    verbose : {"auto", 0, 1, 2}
        As for Keras' `fit`: 0 is silence, 1 a line of progress, 2 a line for each iteration of expectation
        maximisation or block of gradient descent; "auto" is 1, but silent for fits of less than a second.
    seed : None, int or keras.random.SeedGenerator
    parameterisation : None or str
        The old name of `parameterization`, until 0.3.

    Returns
    -------
    Fit
        `.distribution`, a `GaussianMixtureDist` without batch shape, `.history` and the losses.

    Raises
    ------
    ValueError
        On samples or weights of wrong shape or that are not finite, options that do not fit (also those that the chosen
        method does not use), if every restart breaks, or within a `tf.function`.

    Warns
    -----
    FitWarning
        If a component ended on the floor of widths, or if gradient descent broke and the best before is returned.

    Notes
    -----
    Gradient descent computes in float32, in coordinates in which the samples are centred and scaled. A forward fit
    returns what is best on the samples, computed in float64: the start, one of the iterates between blocks of 500
    (of 100 for at most 1000 samples), or the average of the last tenth. A reverse fit returns that average.
    Expectation maximisation computes in float64.

    Expectation maximisation does not use `optimizer`, `parameterization` and `estimator`, nor `num_samples` with an
    array; gradient descent does not use `tolerance`. A tape that is open does not record the fit.

    A compiled optimisation is kept for the next forward fit, and for the next reverse one with the same distribution
    or target of this package. Any other density is traced anew in each fit: it may have changed.

    Examples
    --------
    >>> import numpy as np, kgdists as kg
    >>> x = np.random.default_rng(0).normal([[-3.0], [3.0]], 0.5, size=(2, 500)).reshape(-1, 1)
    >>> fitted = kg.mixtures.fit(x, 2, method="em", verbose=0, seed=0)
    >>> np.sort(np.round(fitted.distribution.mu.numpy()[:, 0]))
    array([-3.,  3.])
    """
    if parameterisation is not None:
        warnings.warn(
            "`parameterisation` is `parameterization` now: its old name goes in 0.3", DeprecationWarning, stacklevel=2
        )
        parameterization = parameterisation
    options = checked(
        num_components=num_components,
        weights=weights,
        divergence=divergence,
        method=method,
        covariance=covariance,
        parameterization=parameterization,
        estimator=estimator,
        optimizer=optimizer,
        iterations=iterations,
        num_samples=num_samples,
        tolerance=tolerance,
        initial=initial,
        initial_spread=initial_spread,
        initial_stddev=initial_stddev,
        min_stddev=min_stddev,
        center=center,
        scale=scale,
        restarts=restarts,
        num_dims=num_dims,
        verbose=verbose,
    )
    if tf.inside_function():
        raise ValueError("`fit` must be called outside of `tf.function`: it is a loop over compiled steps.")
    seed = int(seed) if isinstance(seed, np.integer) else seed
    rng = np.random.default_rng(np.array(keras.random.randint((4,), 0, 2**31 - 1, seed=seed)))
    if divergence == "reverse":
        found = reverse.by_gradient(target_or_samples, options, rng)
    elif method == "gradient":
        found = forward.by_gradient(target_or_samples, options, rng)
    else:
        found = forward.by_expectation_maximization(target_or_samples, options, rng)
    logits, mu, spread = found.values
    check_range(mu, spread, covariance)
    warn_of_collapse(found.spread, found.floor, covariance == "full")
    spreads = {"logvar": spread} if covariance == "diag" else {"scale_tril": spread}
    dist = GaussianMixtureDist.from_params({"logits": logits, "mu": mu, **spreads})
    history = {"loss": found.losses[:, found.best], "losses": found.losses}
    return Fit(dist, history, float(found.finals[found.best]), found.finals)
