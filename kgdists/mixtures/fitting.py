"""The fit of a Gaussian mixture to samples or to a density."""

import dataclasses
import numbers

import keras
import numpy as np

from kgdists.distributions import GaussianMixtureDist
from kgdists.mixtures import initial as starts
from kgdists.mixtures.descent import ForwardLoss, ReverseLoss, descend
from kgdists.mixtures.expectation_maximisation import maximise
from kgdists.mixtures.parameters import place
from kgdists.mixtures.sources import drawer

__all__ = ["Fit", "fit"]

MAX_SEEDING = 10_000  # samples that k-means sees


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a fit found.

    Attributes
    ----------
    distribution : GaussianMixtureDist
        The best restart's mixture.
    history : dict
        `"loss"`: array [iterations] of the best restart, `"losses"`: array [iterations, restarts]. A forward loss is
        the mean negative log-likelihood, a reverse one the estimated divergence, up to the logarithm of the density's
        normaliser.
    loss : float
        Of the best restart.
    losses : array, shape [restarts]
        Of each restart: after the last iteration of expectation maximisation, the mean over the last tenth of the
        iterations of gradient descent; infinite where a restart broke.
    """

    distribution: GaussianMixtureDist
    history: dict
    loss: float
    losses: np.ndarray


def fit(
    target_or_samples,
    num_components,
    *,
    divergence="forward",
    method="gradient",
    covariance="full",
    parameterisation="cholesky",
    estimator="score",
    optimizer=None,
    iterations=None,
    num_samples=None,
    tolerance=1e-5,
    initial=None,
    initial_spread=1.0,
    initial_stddev=1.0,
    min_stddev=1e-3,
    center=None,
    scale=None,
    restarts=1,
    num_dims=None,
    verbose=0,
    seed=None,
):
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
    num_components : int
        K, >= 1.
    divergence : "forward" or "reverse"
    method : "gradient" or "em"
        Gradient descent, or expectation maximisation (forward only), which needs no learning rate.
    covariance : "full" or "diag"
    parameterisation : "cholesky" or "a_at"
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
    min_stddev : float, > 0
        In units of `scale`: each standard deviation, or diagonal entry of a Cholesky factor, is larger than this; for
        `"a_at"` and expectation maximisation its square is added to the diagonal of covariances. So a component that
        collapses onto a point, or samples in a plane, leave a proper mixture.
    center, scale : None, float or array [n], scale > 0
        The units of the fit, in which steps of the optimizer are taken. None is the mean and the standard deviation of
        the samples for a forward fit, 0 and 1 for a reverse one.
    restarts : int
        Fits from different starts, run side by side; the one with the lowest loss is kept. One that breaks (its loss
        is NaN) is never kept.
    num_dims : None or int
        n, for a target that is a function.
    verbose : int
        1 shows a progress bar.
    seed : None, int or keras.random.SeedGenerator

    Returns
    -------
    Fit
        `.distribution`, a `GaussianMixtureDist` without batch shape, `.history` and the losses.

    Raises
    ------
    ValueError
        On samples of wrong shape or that are not finite, options that do not fit, or if every restart breaks.

    Notes
    -----
    Gradient descent computes in float32, in coordinates in which the samples are centred and scaled, and returns the
    parameters averaged over the last tenth of its iterations. Expectation maximisation computes in float64.

    A compiled optimisation is kept for the next fit with the same target and options: a target is traced once, and
    Python values that it reads are those of the first fit.

    Examples
    --------
    >>> import numpy as np, kgdists as kg
    >>> x = np.random.default_rng(0).normal([[-3.0], [3.0]], 0.5, size=(2, 500)).reshape(-1, 1)
    >>> fitted = kg.mixtures.fit(x, 2, method="em", seed=0)
    >>> np.sort(np.round(fitted.distribution.mu.numpy()[:, 0]))
    array([-3.,  3.])
    """
    by_gradient, forward = method == "gradient", divergence == "forward"
    iterations = (5000 if by_gradient else 500) if iterations is None else iterations
    num_samples = (500 if by_gradient else 100_000) if num_samples is None else num_samples
    initial = ("kmeans++" if forward else "random") if initial is None else initial
    _check_choice(("forward", "reverse"), divergence=divergence)
    _check_choice(("gradient", "em"), method=method)
    _check_choice(("full", "diag"), covariance=covariance)
    _check_choice(("cholesky", "a_at"), parameterisation=parameterisation)
    _check_choice(("score", "pathwise"), estimator=estimator)
    _check_counts(num_components=num_components, iterations=iterations, num_samples=num_samples, restarts=restarts)
    _check_positive(initial_spread=initial_spread, initial_stddev=initial_stddev, min_stddev=min_stddev)
    if not (by_gradient or forward):
        raise ValueError('`method="em"` is maximum likelihood: it needs `divergence="forward"`.')

    rng = np.random.default_rng(np.array(keras.random.randint((4,), 0, 2**31 - 1, seed=seed)))
    by_clusters = isinstance(initial, str) and initial == "kmeans++"
    draw = drawer(target_or_samples) if forward or by_clusters else None
    x = None if draw is None else draw(MAX_SEEDING, rng)
    num_dims = _num_dims(target_or_samples, x, num_dims)
    center, scale = _coordinates(x if forward else None, center, scale, num_dims)
    if by_clusters:
        start = starts.clusters((x - center) / scale, num_components, restarts, rng, covariance)
    elif isinstance(initial, str):
        _check_choice(("kmeans++", "random"), initial=initial)
        start = starts.at_random(num_components, num_dims, restarts, rng, initial_spread, initial_stddev)
    else:
        start = starts.given(initial, num_components, num_dims, restarts, center, scale)
    bar = keras.utils.Progbar(iterations, stateful_metrics=["loss"], verbose=verbose, unit_name="iteration")

    def on_progress(done, losses):
        lowest = np.fmin.reduce(losses)
        if not np.isfinite(lowest):
            raise ValueError(
                "The loss must stay finite: lower the learning rate, or start nearer to the target. "
                f"Received: losses {losses} after {done} iterations"
            )
        bar.update(done, [("loss", lowest)], finalize=False)

    if by_gradient:
        form = "diag" if covariance == "diag" else parameterisation
        optimizer = keras.optimizers.serialize(keras.optimizers.Adam(0.01) if optimizer is None else optimizer)
        if forward:
            loss = ForwardLoss()

            def draw_many(count):
                return (draw(count * num_samples, rng).reshape(count, num_samples, num_dims) - center) / scale

        else:
            loss = ReverseLoss(
                target_or_samples, id(target_or_samples), num_samples, estimator, tuple(center), tuple(scale)
            )
            draw_many = None
        losses, final, mixture_of = descend(
            loss, draw_many, start, form, optimizer, iterations, min_stddev, rng, on_progress
        )
    else:
        rows = getattr(draw, "rows", None)
        rows = draw(num_samples, rng) if rows is None else rows
        losses, final, mixture_of = maximise(
            rows, center, scale, start, covariance, iterations, tolerance, min_stddev, on_progress
        )
    bar.update(len(losses), finalize=True)
    if forward:
        losses, final = losses + np.log(scale).sum(), final + np.log(scale).sum()
    final = np.where(np.isfinite(final), final, np.inf)
    best = int(np.argmin(final))
    dist = place(mixture_of(best), center, scale, "float32" if x is None else x.dtype)
    return Fit(dist, {"loss": losses[:, best], "losses": losses}, float(final[best]), final)


def _num_dims(target, x, num_dims):
    known = x.shape[1] if x is not None else getattr(target, "dim", None)
    if known is None and hasattr(target, "event_shape"):
        (known,) = target.event_shape
    if known is None and num_dims is None:
        raise ValueError("`num_dims` must be given for a function as target.")
    if None not in (known, num_dims) and known != num_dims:
        raise ValueError(f"`num_dims` must be that of the target, {known}. Received: num_dims={num_dims!r}")
    return num_dims if known is None else known


def _coordinates(x, center, scale, num_dims):
    if center is None:
        center = np.zeros(num_dims) if x is None else x.mean(axis=0, dtype="float64")
    if scale is None:
        scale = np.ones(num_dims) if x is None else x.std(axis=0, dtype="float64")
        scale = np.where(scale > 0, scale, 1.0)  # what does not vary has no unit of its own
    if np.shape(center) not in ((), (num_dims,)) or np.shape(scale) not in ((), (num_dims,)):
        raise ValueError(
            f"`center` and `scale` must be numbers or have length {num_dims}. Received: center={center}, scale={scale}"
        )
    if not np.all(np.isfinite(center)) or not np.all(np.isfinite(scale)) or not np.all(np.asarray(scale) > 0):
        raise ValueError(f"`center` and `scale` must be finite, `scale` > 0. Received: {center} and {scale}")
    return (np.broadcast_to(np.asarray(units, "float64"), (num_dims,)) for units in (center, scale))


def _check_choice(choices, **options):
    for name, value in options.items():
        if value not in choices:
            raise ValueError(f"`{name}` must be {choices[0]!r} or {choices[1]!r}. Received: {name}={value!r}")


def _check_counts(**options):
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
            raise ValueError(f"`{name}` must be an int >= 1. Received: {name}={value!r}")


def _check_positive(**options):
    for name, value in options.items():
        if not 0 < value < np.inf:
            raise ValueError(f"`{name}` must be a finite number > 0. Received: {name}={value!r}")
