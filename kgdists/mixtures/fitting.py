"""The fit of a Gaussian mixture to samples or to a density."""

import dataclasses
import numbers
import warnings

import keras
import numpy as np
import tensorflow as tf

from kgdists.core import backend
from kgdists.core.checks import count
from kgdists.distributions import GaussianMixtureDist
from kgdists.distributions.distribution import Distribution
from kgdists.mixtures import initialization
from kgdists.mixtures.expectation_maximization import maximize, negative_log_likelihood
from kgdists.mixtures.gradient_descent import ForwardLoss, ReverseLoss, descend
from kgdists.mixtures.parameterizations import place, replace
from kgdists.mixtures.samples import source, subset
from kgdists.mixtures.widths import floor_of, warn_of_collapse

__all__ = ["Fit", "fit"]

MAX_SEEDING = 10_000  # samples that k-means sees
COARSE = 1e-3  # the floor of widths in units of `scale`, where it does not come from the samples
CANDIDATES, SHORT_RUN = 4, 30  # starts tried for each restart, and the most iterations of a trial
COARSE_RISE = 1e-3  # in nats: a trial that only chooses a start ends where none rises by more
SMALL = 2**19  # products of two dimensions, over all samples, components and restarts, up to which starts are tried
SUPPORT_DRAWS = 100  # of the start, at which a distribution must have a density
HOLE_DRAWS = 10_000  # of the start, in search of what broke a reverse fit
# What a density raises that is written for values, not for tensors of a graph.
UNTRACEABLE = (AttributeError, NotImplementedError, tf.errors.OperatorNotAllowedInGraphError)


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
    history: dict
    loss: float
    losses: np.ndarray


def fit(
    target_or_samples,
    num_components,
    *,
    weights=None,
    divergence="forward",
    method="gradient",
    covariance="full",
    parameterization="cholesky",
    estimator="score",
    optimizer=None,
    iterations=None,
    num_samples=None,
    tolerance=1e-5,
    initial=None,
    initial_spread=1.0,
    initial_stddev=1.0,
    min_stddev=None,
    center=None,
    scale=None,
    restarts=1,
    num_dims=None,
    verbose=0,
    seed=None,
    parameterisation=None,
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
    verbose : int
        1 shows a progress bar.
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
        If a component ended on the floor of widths.

    Notes
    -----
    Gradient descent computes in float32, in coordinates in which the samples are centred and scaled. A forward fit
    returns what is best on the samples, computed in float64: the start, an iterate between two blocks, or the average
    of the last tenth. A reverse fit returns that average. Expectation maximisation computes in float64.

    Expectation maximisation does not use `optimizer`, `parameterization` and `estimator`, nor `num_samples` with an
    array; gradient descent does not use `tolerance`. A tape that is open does not record the fit.

    A compiled optimisation is kept for the next forward fit, and for the next reverse one with the same distribution
    or target of this package. Any other density is traced anew in each fit: it may have changed.

    Examples
    --------
    >>> import numpy as np, kgdists as kg
    >>> x = np.random.default_rng(0).normal([[-3.0], [3.0]], 0.5, size=(2, 500)).reshape(-1, 1)
    >>> fitted = kg.mixtures.fit(x, 2, method="em", seed=0)
    >>> np.sort(np.round(fitted.distribution.mu.numpy()[:, 0]))
    array([-3.,  3.])
    """
    if parameterisation is not None:
        warnings.warn(
            "`parameterisation` is `parameterization` now: its old name goes in 0.3", DeprecationWarning, stacklevel=2
        )
        parameterization = parameterisation
    _check_choice(("forward", "reverse"), divergence=divergence)
    _check_choice(("gradient", "em"), method=method)
    _check_choice(("full", "diag"), covariance=covariance)
    _check_choice(("cholesky", "a_at"), parameterization=parameterization)
    _check_choice(("score", "pathwise"), estimator=estimator)
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
    _check_positive(initial_spread=initial_spread, initial_stddev=initial_stddev)
    _check_positive(**({} if min_stddev is None else {"min_stddev": min_stddev}))
    if isinstance(tolerance, bool) or not isinstance(tolerance, numbers.Real) or np.isnan(tolerance):
        raise ValueError(f"`tolerance` must be a number. Received: tolerance={tolerance!r}")
    if not (optimizer is None or isinstance(optimizer, keras.optimizers.Optimizer)):
        raise ValueError(f"`optimizer` must be None or a Keras optimizer. Received: {optimizer!r}")
    if isinstance(initial, str):
        _check_choice(("kmeans++", "random"), initial=initial)
    if tf.inside_function():
        raise ValueError("`fit` must be called outside of `tf.function`: it is a loop over compiled steps.")
    seed = int(seed) if isinstance(seed, np.integer) else seed
    rng = np.random.default_rng(np.array(keras.random.randint((4,), 0, 2**31 - 1, seed=seed)))
    by_clusters = isinstance(initial, str) and initial == "kmeans++"
    data = source(target_or_samples, weights) if forward or by_clusters else None
    rows, heft = (None, None) if data is None else data.all_rows(MAX_SEEDING if by_gradient else num_samples, rng)
    num_dims = _num_dims(target_or_samples, rows, num_dims)
    center, scale = _coordinates(rows if forward else None, heft, center, scale, num_dims)
    floor = np.full(num_dims, COARSE if min_stddev is None else min_stddev, "float64")
    if data is not None:
        few, few_heft = subset(rows, heft, MAX_SEEDING, rng)
        if min_stddev is None and forward:
            fine = floor_of(few, few_heft, num_components) / scale
            coarse = by_gradient and covariance == "full" and parameterization == "a_at"
            floor = np.maximum(fine, COARSE) if coarse else fine
        few = (few - center) / scale
        if by_gradient and min_stddev is None and forward:  # which computes in float32
            floor = np.maximum(floor, np.spacing(np.abs(few).max(axis=0).astype("float32")))
    before = np.empty((0, restarts))  # losses on the way to the start
    if by_clusters:
        goes_on = not by_gradient and len(few) == len(rows) and iterations > SHORT_RUN
        limit = tolerance if goes_on else None
        start, before = _start(few, few_heft, num_components, restarts, rng, covariance, floor, limit)
    elif isinstance(initial, str):
        options = initial_spread, initial_stddev, covariance
        start = initialization.at_random(num_components, num_dims, restarts, rng, *options)
    else:
        start = initialization.given(initial, num_components, num_dims, restarts, center, scale, covariance)
    bar = keras.utils.Progbar(iterations, stateful_metrics=["loss"], verbose=verbose, unit_name="iteration")

    def on_progress(done, losses):
        lowest = np.fmin.reduce(losses)
        if not np.isfinite(lowest):
            cause = "lower the learning rate, or start nearer to the target. "
            if not by_gradient:
                cause = "give a `center`, a `scale` and a `min_stddev` that suit the samples. "
            elif not forward:
                cause = _hole_in(loss, start, covariance, rng) or cause
            raise ValueError(f"The loss must stay finite: {cause}Received: losses {losses} after {done} iterations")
        bar.update(done, [("loss", lowest)], finalize=False)

    if by_gradient:
        form = "diag" if covariance == "diag" else parameterization
        optimizer = keras.optimizers.serialize(keras.optimizers.Adam(0.01) if optimizer is None else optimizer)
        if forward:
            loss = ForwardLoss()
        else:
            units = tuple(center), tuple(scale)
            loss = ReverseLoss(target_or_samples, id(target_or_samples), num_samples, estimator, *units)
            _check_support(loss, start, covariance)

        def draw_many(count):
            return (data(count * num_samples, rng).reshape(count, num_samples, num_dims) - center) / scale

        def judge(*values):
            return negative_log_likelihood(few, few_heft, values, covariance)

        sampled = (draw_many, judge) if forward else (None, None)
        try:
            losses, final, average, best = descend(
                loss, sampled[0], start, form, optimizer, iterations, floor, rng, on_progress, sampled[1]
            )
        except UNTRACEABLE as error:
            raise ValueError(
                "A density must be a function of tensors, written in TensorFlow or `keras.ops`, that XLA compiles. "
                f"Received: {type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')[:200]}"
            ) from error
        found = [start, best, average] if forward and len(few) < len(rows) else [best] if forward else [average]
    else:
        x = (rows - center) / scale
        left = iterations - len(before)
        losses, best = maximize(
            x, heft, start, covariance, left, tolerance, floor, lambda done, loss: on_progress(len(before) + done, loss)
        )
        losses, found = np.concatenate([before, losses]), [best]
    bar.update(len(losses), finalize=True)
    dtype = "float32" if rows is None else rows.dtype
    placed = [place(*values, center, scale, covariance, dtype) for values in found]
    if forward:
        x = (rows - center) / scale
        finals = [
            negative_log_likelihood(x, heft, replace(*values, center, scale, covariance), covariance)
            for values in placed
        ]
        losses, finals = losses + np.log(scale).sum(), np.array(finals) + np.log(scale).sum()
    else:
        finals = final[None]
    finals = np.where(np.isfinite(finals), finals, np.inf)
    which, best = np.unravel_index(np.argmin(finals), finals.shape)
    logits, mu, spread = (part[best] for part in placed[which])
    _check_range(mu, spread, covariance)
    warn_of_collapse(found[which][2][best], floor, covariance == "full")
    names = {"logvar" if covariance == "diag" else "scale_tril": spread}
    dist = GaussianMixtureDist(logits, mu, **names)
    final = finals.min(axis=0)
    return Fit(dist, {"loss": losses[:, best], "losses": losses}, float(final[best]), final)


def _start(x, weights, num_components, restarts, rng, covariance, floor, tolerance):
    """For each restart the clusters that lead furthest in a short run (Biernacki et al. 2003), on small data.

    With a tolerance it is the end of that run, which stops where none rises by more. Also the losses of what has been
    done: array [iterations, restarts].
    """
    products = x.size * (x.shape[1] if covariance == "full" else 1)
    candidates = CANDIDATES if products * num_components * restarts <= SMALL else 1
    options = weights, num_components, candidates * restarts, rng, covariance, floor
    start, nothing = initialization.clusters(x, *options), np.empty((0, restarts))
    if candidates == 1:
        return start, nothing
    limit = COARSE_RISE if tolerance is None else tolerance
    losses, best = maximize(x, weights, start, covariance, SHORT_RUN, limit, floor, lambda *_: None)
    chosen = losses[-1].reshape(restarts, candidates).argmin(axis=1) + candidates * np.arange(restarts)
    if tolerance is None:
        return tuple(part[chosen] for part in start), nothing
    return tuple(part[chosen] for part in best), losses[:, chosen]


def _num_dims(target, x, num_dims):
    known = x.shape[1] if x is not None else getattr(target, "dim", None)
    if known is None and hasattr(target, "event_shape"):
        (known,) = target.event_shape
    if known is None and num_dims is None:
        raise ValueError("`num_dims` must be given for a function as target.")
    if None not in (known, num_dims) and known != num_dims:
        raise ValueError(f"`num_dims` must be that of the target, {known}. Received: num_dims={num_dims!r}")
    return num_dims if known is None else known


def _coordinates(x, weights, center, scale, num_dims):
    if x is None:
        mean, stddev = np.zeros(num_dims), np.ones(num_dims)
    else:
        # In units of the largest number, whose square would overflow.
        unit = np.abs(x).max(axis=0).astype("float64")
        unit = np.where(unit > 0, unit, 1.0)
        mean = np.average(x / unit, axis=0, weights=weights)
        stddev = unit * np.sqrt(np.average((x / unit - mean) ** 2, axis=0, weights=weights))
        same = x.max(axis=0) == x.min(axis=0)
        mean = np.where(same, x[0], unit * mean)
        stddev = np.where(same | (stddev == 0), 1.0, stddev)  # what does not vary has no unit of its own
    center, scale = mean if center is None else center, stddev if scale is None else scale
    _check_numbers(center=center, scale=scale)
    if np.shape(center) not in ((), (num_dims,)) or np.shape(scale) not in ((), (num_dims,)):
        raise ValueError(
            f"`center` and `scale` must be numbers or have length {num_dims}. Received: center={center}, scale={scale}"
        )
    if not np.all(np.isfinite(center)) or not np.all(np.isfinite(scale)) or not np.all(np.asarray(scale) > 0):
        raise ValueError(f"`center` and `scale` must be finite, `scale` > 0. Received: {center} and {scale}")
    return (np.broadcast_to(np.asarray(units, "float64"), (num_dims,)) for units in (center, scale))


def _draws(start, covariance, count, rng):
    """Draws of the start of each restart, float32 arrays [count, n]."""
    logits, mu, spread = start
    shares = np.exp(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))
    for restart, share in enumerate(shares):
        chosen = rng.choice(len(share), size=count, p=share / share.sum())
        noise = rng.standard_normal((count, mu.shape[-1]))
        if covariance == "full":
            steps = np.einsum("bij,bj->bi", spread[restart, chosen], noise)
        else:
            steps = spread[restart, chosen] * noise
        yield (mu[restart, chosen] + steps).astype("float32")


def _check_support(loss, start, covariance):
    """Raise if the target is a distribution that refuses draws of the start, which it would not do in a graph."""
    if not isinstance(loss.target, Distribution):
        return
    x = next(_draws(start, covariance, SUPPORT_DRAWS, np.random.default_rng(0)))
    try:
        loss.log_prob(tf.constant(x[:, None]))
    except ValueError as error:
        raise ValueError(
            "A reverse fit needs a target that has a density everywhere: change variables (for x > 0 to log x), or fit "
            f"samples. Received: a {type(loss.target).__name__}, of which {str(error)[:1].lower()}{str(error)[1:]}"
        ) from error


def _hole_in(loss, start, covariance, rng):
    """Say where the target has no density, if draws of the start find such a place."""
    for x in _draws(start, covariance, HOLE_DRAWS, rng):
        log_density = np.array(loss.log_prob(tf.constant(x[:, None])))[:, 0]
        bad = ~np.isfinite(log_density)
        if bad.any():
            index = int(np.argmax(bad))
            where = (np.array(loss.center) + np.array(loss.scale) * x[index]).tolist()
            return (
                f"the target's log-density is {log_density[index]} at {where}, where the mixture has density. A "
                "reverse fit needs a target that is finite everywhere, so change variables (for x > 0 to log x), or "
                "fit samples. "
            )
    return None


def _check_range(mu, spread, covariance):
    """Widths that the dtype of the samples cannot hold would become 0 or infinite."""
    info = np.finfo(spread.dtype)
    if covariance == "diag":
        sound = np.isfinite(spread) & (spread > 2 * np.log(info.tiny)) & (spread < 2 * np.log(info.max))
    else:
        diagonal = np.diagonal(spread, axis1=-2, axis2=-1)
        sound = np.isfinite(spread).all() & (diagonal >= info.tiny)
    if not (np.all(sound) and np.isfinite(mu).all()):
        raise ValueError(f"Means and widths of the components must be in the range of {spread.dtype}: scale the data.")


def _check_choice(choices, **options):
    for name, value in options.items():
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"`{name}` must be {choices[0]!r} or {choices[1]!r}. Received: {name}={value!r}")


def _check_numbers(**options):
    for name, value in options.items():
        backend.unmasked(value)
        try:
            np.asarray(value, "float64")
        except (TypeError, ValueError) as error:
            raise ValueError(f"`{name}` must be a number or an array of numbers. Received: {name}={value!r}") from error


def _check_positive(**options):
    for name, value in options.items():
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not (number and 0 < value < np.inf):
            raise ValueError(f"`{name}` must be a finite number > 0. Received: {name}={value!r}")
