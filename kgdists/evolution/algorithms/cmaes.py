"""`CMAES`: covariance matrix adaptation."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.evolution.algorithms.coordinates import coordinates
from kgdists.evolution.algorithms.snes import default_popsize
from kgdists.evolution.arguments import Sense, check_number
from kgdists.evolution.gaussians.full_gaussian import FullGaussian
from kgdists.evolution.gaussians.separable_gaussian import SeparableGaussian
from kgdists.evolution.ranking import share
from kgdists.evolution.searcher import Searcher
from kgdists.evolution.state import State, checked, drawn, told

__all__ = ["CMAES"]

LEAST = 4  # samples, of which two are the better half
# Open intervals, but for the upper ends of rates. A rate of 1 forgets all that was.
RANGES = {
    "c_sigma": (0.0, 1.0, True),
    "damp_sigma": (0.0, np.inf, False),
    "c_c": (0.0, 1.0, True),
    "c_1": (0.0, 1.0, False),
    "c_mu": (0.0, 1.0, True),
}
MAX_ITERATIONS = 40  # of Newton's method, which needs some ten


class CMAES(Searcher):
    """Search with a covariance matrix and a step size adapted along the path of the center (Hansen 2016).

    No matrix is decomposed. With solutions `mu + A z` the covariance `A A^T` of the next generation is `A T A^T`, where
    T differs from a multiple of the identity by as many dimensions as there are solutions and one. Its square root is
    that of a matrix as small as the population, and `A sqrt(T)` is the next A (Beyer and Sendhoff 2017 expand that root
    to first order). A generation takes time of the order of `popsize * D^2`, or of `D^3` if that is less.

    Parameters
    ----------
    objective, objective_sense, solution_length, **kwargs
        See `Searcher`. Only the order of fitnesses counts; there is no `ranking_method` and no `stdev_max_change`.
    popsize : None or int
        None is `4 + floor(3 log D)`.
    c_m : float
        Learning rate of the center.
    c_sigma, damp_sigma, c_c, c_1, c_mu : None or float
        Learning rate and damping of the step size, rates of the path, of the path's part of the covariance and of the
        population's; None are those of Hansen (2016), or if separable of Ros and Hansen (2008).
    c_sigma_ratio, damp_sigma_ratio, c_c_ratio, c_1_ratio, c_mu_ratio : float
        What these are multiplied by.
    active : bool
        Whether the worse half of the population takes variance away in its directions (Jastrebski and Arnold 2006).
    csa_squared : bool
        Whether the step size follows the squared length of its path.
    separable : bool
        Whether only the diagonal of the covariance is searched, in time of the order of `popsize * D`.

    Examples
    --------
    >>> import tensorflow as tf
    >>> from kgdists.evolution import CMAES
    >>> def rosenbrock(x):
    ...     return tf.reduce_sum(100.0 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1.0 - x[..., :-1]) ** 2, axis=-1)
    >>> searcher = CMAES(rosenbrock, objective_sense="min", solution_length=2, stdev_init=0.5, seed=0)
    >>> history = searcher.run(200, verbose=0)
    >>> bool(searcher.best.fitness < 1e-9)
    True
    """

    MOVES_BY_SUMS = False

    def __init__(
        self,
        objective: Callable[..., Any] | None,
        *,
        objective_sense: Sense,
        solution_length: Integer,
        popsize: Integer | None = None,
        c_m: float = 1.0,
        c_sigma: float | None = None,
        c_sigma_ratio: float = 1.0,
        damp_sigma: float | None = None,
        damp_sigma_ratio: float = 1.0,
        c_c: float | None = None,
        c_c_ratio: float = 1.0,
        c_1: float | None = None,
        c_1_ratio: float = 1.0,
        c_mu: float | None = None,
        c_mu_ratio: float = 1.0,
        active: bool = True,
        csa_squared: bool = False,
        separable: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            objective,
            objective_sense=objective_sense,
            solution_length=solution_length,
            popsize=default_popsize(solution_length) if popsize is None else popsize,
            **kwargs,
        )
        if self.popsize < LEAST:
            raise ValueError(f"`popsize` must be >= {LEAST}. Received: popsize={self.popsize}")
        if self.stdev_max_change is not None or self.ranking_method != "raw":
            raise ValueError(
                "CMAES has no `stdev_max_change` and no `ranking_method`. Received: "
                f"stdev_max_change={self.stdev_max_change}, ranking_method={self.ranking_method!r}"
            )
        self.separable = separable
        self.csa_squared = csa_squared
        given = {"c_sigma": c_sigma, "damp_sigma": damp_sigma, "c_c": c_c, "c_1": c_1, "c_mu": c_mu}
        ratios = {
            "c_sigma": c_sigma_ratio,
            "damp_sigma": damp_sigma_ratio,
            "c_c": c_c_ratio,
            "c_1": c_1_ratio,
            "c_mu": c_mu_ratio,
        }
        for name, rate in given.items():
            if rate is not None:
                check_number(name, rate, *RANGES[name])
        for name, ratio in ratios.items():
            check_number(f"{name}_ratio", ratio, 0.0, np.inf)
        check_number("c_m", c_m, 0.0, np.inf)
        self._rates_of = functools.partial(
            _rates,
            length=self.solution_length,
            separable=separable,
            active=active,
            given=given,
            ratios=ratios,
            c_m=c_m,
        )
        self.rates = self._rates_of(self.popsize)

    def init(self, seed: Seed = None) -> State:
        kind = SeparableGaussian if self.separable else FullGaussian
        distribution = kind({"mu": self.center_init, "sigma": self.stdev_init})
        # The two paths, in the coordinates z.
        return self._first(distribution, (tf.zeros_like(self.center_init), tf.zeros_like(self.center_init)), seed)

    def tell(self, state: State, samples: TensorLike, fitnesses: TensorLike) -> State:
        """The next state, by the fitnesses [B..., N] of any samples [B..., N, D], N >= 4; see `Searcher.tell`.

        The coordinates z of what `ask` returned are drawn again rather than solved for, see `coordinates`. Learning
        rates and weights are those of this many samples.
        """
        x, ranked = told(state, samples, fitnesses)
        count = x.shape[-2]
        if count < LEAST:
            raise ValueError(f"There must be at least {LEAST} samples. Received: {count}")
        z = coordinates(state.distribution, drawn(state, max(self.popsize, count)), x)
        return checked(self._moved(state, z, ranked, self._rates_of(count)))

    def _tell_asked(self, state: State, samples: Tensor, fitnesses: Tensor) -> State:
        return self._moved(state, drawn(state, self.popsize), fitnesses, self.rates)

    def _moved(self, state, z, fitnesses, rates):
        old, length = state.distribution, self.solution_length
        step_path, path = state.extra
        weights = tf.cast(share(fitnesses, rates.weights[::-1], self.objective_sense == "max"), self.dtype)
        positive = tf.maximum(weights, 0.0)

        mean = tf.linalg.matvec(z, positive, transpose_a=True)
        mu = old.mu + rates.c_m * _applied(old.sigma, mean)
        step_path = (1.0 - rates.c_sigma) * step_path + rates.step_gain * mean
        square = tf.reduce_sum(step_path**2, axis=-1, keepdims=True)
        if self.csa_squared:
            excess = 0.5 * (square / length - 1.0)
        else:
            excess = tf.sqrt(square) / _expected_norm(length) - 1.0
        growth = tf.exp(rates.c_sigma / rates.damp_sigma * excess)
        # The path waits while the step size still grows fast.
        power = 2.0 * tf.cast(state.generation + 1, square.dtype)
        expected = length * (1.0 - tf.pow(tf.constant(1.0 - rates.c_sigma, square.dtype), power))
        moves = tf.cast(square / expected < 2.0 + 4.0 / (length + 1.0), square.dtype)
        path = (1.0 - rates.c_c) * path + moves * rates.path_gain * mean

        # T = rest * 1 + the weighted sum of u u^T.
        loss = rates.c_1 * (1.0 - moves) * rates.c_c * (2.0 - rates.c_c)
        rest = 1.0 - rates.c_1 + loss - rates.c_mu * tf.reduce_sum(weights, axis=-1, keepdims=True)
        norms = tf.reduce_sum(z**2, axis=-1)
        scaled = tf.where(weights < 0.0, weights * tf.math.divide_no_nan(tf.cast(length, norms.dtype), norms), weights)
        u = tf.concat([z, path[..., None, :]], axis=-2)
        of_u = tf.concat([rates.c_mu * scaled, tf.fill(mu[..., :1].shape, tf.cast(rates.c_1, mu.dtype))], axis=-1)
        if self.separable:
            root = tf.sqrt(tf.maximum(rest + tf.linalg.matvec(u**2, of_u, transpose_a=True), 1e-6))
            sigma, path = old.sigma * root, path / root
        else:
            sigma, path = _through_root(rest, of_u, u, old.sigma, path)
        sigma *= growth if self.separable else growth[..., None]
        sigma = self._limited_rows(sigma)

        # Where all fitnesses are alike nothing has been learnt.
        learnt = tf.reduce_any(weights != 0.0, axis=-1)[..., None]
        new = old._with(
            mu=tf.where(learnt, mu, old.mu),
            sigma=tf.where(learnt if self.separable else learnt[..., None], sigma, old.sigma),
        )
        extra = (tf.where(learnt, step_path, state.extra[0]), tf.where(learnt, path, state.extra[1]))
        return state._replace(generation=state.generation + 1, distribution=new, extra=extra)

    def update(self, state: State, gradients: dict[str, Tensor]) -> State:
        raise NotImplementedError("CMAES is not a search by gradients: use `tell`.")

    def _limited_rows(self, sigma):
        """Standard deviations within the limits: dimensions are scaled, which leaves their correlations."""
        if self.stdev_min is None and self.stdev_max is None:
            return sigma
        if self.separable:
            return self._limited(sigma, sigma)
        stdev = tf.norm(sigma, axis=-1)
        return sigma * (self._limited(stdev, stdev) / stdev)[..., None]


@dataclasses.dataclass(frozen=True)
class _Rates:
    c_m: float
    c_sigma: float
    damp_sigma: float
    c_c: float
    c_1: float
    c_mu: float
    step_gain: float
    path_gain: float
    weights: np.ndarray  # of the best first


def _rates(popsize, length, separable, active, given, ratios, c_m):
    """The learning rates of Hansen (2016), tables 1 and 2, and the weights of the population."""
    raw = np.log((popsize + 1) / 2) - np.log(np.arange(1, popsize + 1))
    better, worse = raw[: popsize // 2], raw[popsize // 2 :]
    mass, worse_mass = better.sum() ** 2 / (better**2).sum(), worse.sum() ** 2 / (worse**2).sum()

    def rate(name, default):
        value = float(ratios[name] * (default if given[name] is None else given[name]))
        check_number(name, value, *RANGES[name])
        return value

    c_sigma = rate("c_sigma", (mass + 2.0) / (length + mass + 3.0))
    damping = 1.0 + 2.0 * max(0.0, math.sqrt(max(mass - 1.0, 0.0) / (length + 1.0)) - 1.0) + c_sigma
    root = math.sqrt(length)
    if separable:
        c_c = rate("c_c", (1.0 + (1.0 + mass) / length) / (root + (1.0 + 2.0 * mass) / length))
        c_1 = rate("c_1", 1.0 / (length + 2.0 * root + mass / length))
        c_mu = rate("c_mu", (mass + 1.0 / mass - 1.75) / (length + 4.0 * root + mass / 2.0))
    else:
        c_c = rate("c_c", (4.0 + mass / length) / (length + 4.0 + 2.0 * mass / length))
        c_1 = rate("c_1", min(1.0, popsize / 6.0) * 2.0 / ((length + 1.3) ** 2 + mass))
        c_mu = rate("c_mu", 2.0 * (mass + 1.0 / mass - 1.75) / ((length + 2.0) ** 2 + mass))
    if given["c_mu"] is not None and c_1 + c_mu > 1.0 + 1e-12:
        raise ValueError(f"`c_1` and `c_mu` must sum to at most 1. Received: c_1={c_1:g}, c_mu={c_mu:g}")
    c_mu = min(c_mu, 1.0 - c_1)
    # So that T stays positive definite.
    bounds = (1.0 + c_1 / c_mu, 1.0 + 2.0 * worse_mass / (mass + 2.0), (1.0 - c_1 - c_mu) / (length * c_mu))
    worse = min(bounds) * worse / np.abs(worse).sum() if active else 0.0 * worse
    return _Rates(
        c_m=float(c_m),
        c_sigma=c_sigma,
        damp_sigma=rate("damp_sigma", damping),
        c_c=c_c,
        c_1=c_1,
        c_mu=c_mu,
        step_gain=math.sqrt(c_sigma * (2.0 - c_sigma) * mass),
        path_gain=math.sqrt(c_c * (2.0 - c_c) * mass),
        weights=np.concatenate([better / better.sum(), worse]),
    )


def _expected_norm(length):
    """Of a standard normal vector."""
    return math.sqrt(2.0) * math.exp(math.lgamma((length + 1) / 2) - math.lgamma(length / 2))


def _applied(sigma, z):
    """A z, for A [B..., D, D] or its diagonal [B..., D]."""
    return sigma * z if sigma.shape.rank == z.shape.rank else tf.linalg.matvec(sigma, z)


def _through_root(rest, weights, u, a, path):
    """`a sqrt(T)` and `sqrt(T)^-1 path`, for `T = rest * 1 + sum of weights[i] u[i] u[i]^T`.

    Parameters
    ----------
    rest : tensor, shape [B..., 1], > 0
    weights : tensor, shape [B..., n]
    u : tensor, shape [B..., n, D]
    a : tensor, shape [B..., D, D]
    path : tensor, shape [B..., D]
    """
    weighted = weights[..., None] * u
    if u.shape[-2] >= u.shape[-1]:
        t = rest[..., None] * _one(u.shape[-1], u.dtype) + tf.matmul(weighted, u, transpose_a=True)
        root, inverse_root = _roots(t)
        return tf.matmul(a, root), tf.linalg.matvec(inverse_root, path)
    # For a function f of T, f(T) - f(rest) is U g(rest + S U^T U) S U^T with U of columns u[i], S of the weights and
    # g(x) = (f(x) - f(rest)) / (x - rest): of sqrt it is 1 / (sqrt(x) + sqrt(rest)), and of its inverse that times
    # -1 / sqrt(rest x).
    one = _one(u.shape[-2], u.dtype)
    root, inverse_root = _roots(rest[..., None] * one + tf.matmul(weighted, u, transpose_b=True))
    root_of_rest = tf.sqrt(rest)
    sums = _inverse(root + root_of_rest[..., None] * one)
    change = tf.matmul(sums, weighted)
    grown = root_of_rest[..., None] * a + tf.matmul(tf.matmul(a, u, transpose_b=True), change)
    less = tf.linalg.matvec(inverse_root, tf.linalg.matvec(change, path))
    return grown, (path - tf.linalg.matvec(u, less, transpose_a=True)) / root_of_rest


def _roots(x):
    """The square root and its inverse of matrices whose eigenvalues are > 0, by Newton's method (Higham 2008, 6.35)."""
    scale = tf.reduce_max(tf.reduce_sum(tf.abs(x), axis=-1), axis=-1)[..., None, None]
    one = _one(x.shape[-1], x.dtype)

    def improved(i, _, root, inverse_root):
        rest = one - tf.matmul(inverse_root, root)
        error = tf.reduce_max(tf.abs(rest))
        factor = one + 0.5 * rest
        return i + 1, error, tf.matmul(root, factor), tf.matmul(factor, inverse_root)

    start = (tf.constant(0), tf.constant(np.inf, x.dtype), x / scale, tf.broadcast_to(one, x.shape))
    tolerance = math.sqrt(np.finfo(x.dtype.as_numpy_dtype).eps)  # convergence is quadratic
    _, _, root, inverse_root = tf.while_loop(
        lambda i, error, *_: (i < MAX_ITERATIONS) & (error > tolerance), improved, start
    )
    return root * tf.sqrt(scale), inverse_root / tf.sqrt(scale)


def _inverse(x):
    """The inverse of matrices whose eigenvalues are > 0, by Newton's method (Schulz 1933)."""
    rows = tf.reduce_max(tf.reduce_sum(tf.abs(x), axis=-1), axis=-1)
    columns = tf.reduce_max(tf.reduce_sum(tf.abs(x), axis=-2), axis=-1)
    one = _one(x.shape[-1], x.dtype)

    def improved(i, _, inverse):
        rest = one - tf.matmul(x, inverse)
        return i + 1, tf.reduce_max(tf.abs(rest)), inverse + tf.matmul(inverse, rest)

    start = tf.linalg.matrix_transpose(x) / (rows * columns)[..., None, None]
    tolerance = math.sqrt(np.finfo(x.dtype.as_numpy_dtype).eps)
    return tf.while_loop(
        lambda i, error, _: (i < MAX_ITERATIONS) & (error > tolerance),
        improved,
        (tf.constant(0), tf.constant(np.inf, x.dtype), start),
    )[2]


def _one(length, dtype):
    return tf.eye(length, dtype=dtype)
