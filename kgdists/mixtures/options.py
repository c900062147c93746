"""The options of a fit: their rules and their defaults."""

import dataclasses
import numbers
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import ArrayLike

from kgdists.core.checks import choice, count, positive
from kgdists.core.progress import Verbosity, verbosity
from kgdists.core.types import Integer, TensorLike
from kgdists.distributions import GaussianMixtureDist

__all__ = ["Options", "checked"]


@dataclasses.dataclass(frozen=True, eq=False)
class Options:
    """The options of `kgdists.mixtures.fit`, checked, with their defaults filled in."""

    num_components: int
    weights: TensorLike | None
    forward: bool
    by_gradient: bool
    covariance: Literal["full", "diag"]
    parameterization: Literal["cholesky", "a_at"]
    estimator: Literal["score", "pathwise"]
    optimizer: keras.optimizers.Optimizer | None
    iterations: int
    num_samples: int
    tolerance: float
    initial: Literal["kmeans++", "random"] | GaussianMixtureDist
    initial_spread: float
    initial_stddev: float
    min_stddev: float | None
    center: ArrayLike | None
    scale: ArrayLike | None
    restarts: int
    num_dims: int | None
    verbose: Verbosity

    @property
    def by_clusters(self) -> bool:
        """Whether the fit starts at clusters of samples."""
        return isinstance(self.initial, str) and self.initial == "kmeans++"

    @property
    def form(self) -> str:
        """One of `kgdists.mixtures.parameterizations.FORMS`."""
        return "diag" if self.covariance == "diag" else self.parameterization

    def optimizer_config(self) -> dict[str, Any]:
        """The configuration of the optimizer."""
        return keras.optimizers.serialize(keras.optimizers.Adam(0.01) if self.optimizer is None else self.optimizer)


def checked(
    *,
    num_components: Integer,
    weights: TensorLike | None,
    divergence: str,
    method: Literal["gradient", "em"],
    covariance: Literal["full", "diag"],
    parameterization: Literal["cholesky", "a_at"],
    estimator: Literal["score", "pathwise"],
    optimizer: keras.optimizers.Optimizer | None,
    iterations: Integer | None,
    num_samples: Integer | None,
    tolerance: float,
    initial: Literal["kmeans++", "random"] | GaussianMixtureDist | None,
    initial_spread: float,
    initial_stddev: float,
    min_stddev: float | None,
    center: ArrayLike | None,
    scale: ArrayLike | None,
    restarts: Integer,
    num_dims: Integer | None,
    verbose: Verbosity,
) -> Options:
    """The options of a fit; raise if one is wrong, or does not fit the others."""
    choice("divergence", divergence, ("forward", "reverse"))
    choice("method", method, ("gradient", "em"))
    choice("covariance", covariance, ("full", "diag"))
    choice("parameterization", parameterization, ("cholesky", "a_at"))
    choice("estimator", estimator, ("score", "pathwise"))
    by_gradient, forward = method == "gradient", divergence == "forward"
    if not (by_gradient or forward):
        raise ValueError('`method="em"` is maximum likelihood: it needs `divergence="forward"`.')
    if not forward and weights is not None:
        raise ValueError("`weights` are those of samples: a reverse fit has none.")
    iterations = (5000 if by_gradient else 500) if iterations is None else iterations
    num_samples = (500 if by_gradient else 100_000) if num_samples is None else num_samples
    initial = ("kmeans++" if forward else "random") if initial is None else initial
    num_components, iterations = count("num_components", num_components), count("iterations", iterations)
    num_samples, restarts = count("num_samples", num_samples), count("restarts", restarts)
    num_dims = count("num_dims", num_dims, optional=True)
    initial_spread = positive("initial_spread", initial_spread)
    initial_stddev = positive("initial_stddev", initial_stddev)
    min_stddev = None if min_stddev is None else positive("min_stddev", min_stddev)
    if isinstance(tolerance, bool) or not isinstance(tolerance, numbers.Real) or np.isnan(tolerance):
        raise ValueError(f"`tolerance` must be a number. Received: tolerance={tolerance!r}")
    if not (optimizer is None or isinstance(optimizer, keras.optimizers.Optimizer)):
        raise ValueError(f"`optimizer` must be None or a Keras optimizer. Received: {optimizer!r}")
    verbosity(verbose)
    if isinstance(initial, str):
        choice("initial", initial, ("kmeans++", "random"))
    return Options(
        num_components=num_components,
        weights=weights,
        forward=forward,
        by_gradient=by_gradient,
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
