"""Densities, distribution functions, quantiles and scores against mpmath, on 200 settings a class.

An answer may miss by what a change of its inputs in some last digits does to it: the unit of errors is
|f| + sum |input * df / dinput|, where bounds of a box are inputs too. For gradients, times their inputs,
it is the same of them, and at least a millionth of that of the value.
"""

import mpmath as mp
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

import kgdists as kg

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:mpmath")
RNG = np.random.default_rng
SETTINGS, ROWS, DIGITS = 200, 10, 50
INF = float("inf")
TOLERANCE = {"log_prob": 1e-12, "prob": 1e-12, "quantile": 1e-8} | dict.fromkeys(
    ("cdf", "log_cdf", "survival", "log_survival", "crps", "stddev"), 1e-10
)
IMPLICIT, INTEGERS, ROUNDING, SMALL = ("beta", "gaussian_mixture"), ("discretized_logistic",), 1e-15, 1e-6
STEP, OUTER_STEP, NOTHING = mp.mpf(10) ** -20, mp.mpf(10) ** -16, mp.mpf(10) ** -290


def phi(z):
    return mp.npdf(z)


def ndtr(z):
    return mp.erfc(-z / mp.sqrt(2)) / 2


def log_ndtr(z):
    return mp.log1p(-ndtr(-z)) if z > 0 else mp.log(ndtr(z))


def ndtri(q):
    """By Newton's method on the logarithm of the nearer tail, from SciPy's answer."""
    tail, sign = (q, 1) if q <= 0.5 else (1 - q, -1)
    z = mp.mpf(float(special.ndtri(float(tail))))
    for _ in range(4):
        value = log_ndtr(z)
        z += (mp.log(tail) - value) * mp.exp(value) / phi(z)
    return sign * z


def spread(rng, low, high, signed=False):
    """Numbers of all magnitudes, as powers of ten."""
    x = 10.0 ** rng.uniform(low, high, SETTINGS)
    return x * rng.choice([-1.0, 1.0], SETTINGS) if signed else x


# Normal


def normal_settings(rng):
    mu, logvar = spread(rng, -3, 3, True), rng.uniform(-40.0, 40.0, SETTINGS)
    z = spread(rng, -2, 1.6, True)
    z[:2] = -40.0, 40.0
    return [mu, logvar], mu + np.exp(0.5 * logvar) * z, None


def of_z(function):
    return lambda x, mu, logvar, *_: function((x - mu) * mp.exp(-logvar / 2))


def normal_crps(x, mu, logvar):
    z, sigma = (x - mu) * mp.exp(-logvar / 2), mp.exp(logvar / 2)
    return sigma * (z * mp.erf(z / mp.sqrt(2)) + 2 * phi(z) - 1 / mp.sqrt(mp.pi))


def normal_log_prob(x, mu, logvar, *_):
    z = (x - mu) * mp.exp(-logvar / 2)
    return -(mp.log(2 * mp.pi) + logvar + z * z) / 2


NORMAL = {
    "log_prob": normal_log_prob,
    "log_cdf": of_z(log_ndtr),
    "log_survival": of_z(lambda z: log_ndtr(-z)),
    "crps": normal_crps,
    "quantile": lambda q, mu, logvar: mu + mp.exp(logvar / 2) * ndtri(q),
    "stddev": lambda x, mu, logvar: mp.exp(logvar / 2),
}


# State-dependent normal


def loaded_settings(rng):
    mu, loadings = spread(rng, -3, 3, True), np.stack([spread(rng, -4, 3, True) for _ in range(2)], axis=1)
    stddev = np.sqrt(1e-6 + np.sum(loadings**2, axis=1))
    return [mu, loadings], mu + stddev * spread(rng, -2, 1.6, True), None


def loaded(formula):
    return lambda x, mu, *loadings: formula(x, mu, mp.log(mp.mpf(1e-6) + sum(y * y for y in loadings)))


LOADED = {name: loaded(formula) for name, formula in NORMAL.items()}


# Boxes


def boxes(rng):
    """Of every kind: wide and narrow, at 0, far from it, half-open and open."""
    center, width = rng.normal(size=SETTINGS // ROWS) * 10.0, 10.0 ** rng.uniform(-8, 4, SETTINGS // ROWS)
    found = np.stack([center, center + width], axis=1)
    found[:6] = [(-1.0, 1.0), (0.0, 1.0), (0.0, 1e-8), (1e6, 1e6 + 1e-3), (0.0, INF), (-INF, 3.0)]
    found[6:9] = [(-INF, INF), (-1e-6, 1e-6), (-1e8, 1e8)]
    return found


def squash(u, low, high):
    if mp.isfinite(low) and mp.isfinite(high):
        return (low + high * mp.exp(2 * u)) / (1 + mp.exp(2 * u))
    if mp.isfinite(low):
        return low + mp.log1p(mp.exp(u))
    return high - mp.log1p(mp.exp(-u)) if mp.isfinite(high) else u


def squashed_settings(rng):
    bounds = boxes(rng)
    mu, logvar = rng.normal(size=SETTINGS) * 2.0, rng.uniform(-8.0, 8.0, SETTINGS)
    logvar[::10] = rng.uniform(-40.0, 40.0, SETTINGS // 10)
    u = mu + np.exp(0.5 * logvar) * rng.normal(size=SETTINGS)
    rows = np.repeat(bounds, ROWS, axis=0)
    x = np.array([float(squash(*map(mp.mpf, each))) for each in zip(u.tolist(), *rows.T.tolist(), strict=True)])
    # Strictly inside: at a bound a float stands for all that rounds to it.
    low, high = rows.T
    margin = np.where(np.isfinite(high - low), 1e-3 * (high - low), 1e-3)
    x = np.minimum(np.maximum(x, low + margin), high - margin)
    return [mu, logvar], x, bounds


def unsquash(x, low, high):
    """u, and the logarithm of dx / du."""
    if mp.isfinite(low) and mp.isfinite(high):
        below, above = x - low, high - x
        return mp.log(below / above) / 2, mp.log(2 * below * above / (high - low))
    if mp.isfinite(low):
        return mp.log(mp.expm1(x - low)), mp.log(-mp.expm1(low - x))
    if mp.isfinite(high):
        return -mp.log(mp.expm1(high - x)), mp.log(-mp.expm1(x - high))
    return x, mp.mpf(0)


def squashed(formula):
    return lambda x, mu, logvar, low, high: formula(unsquash(x, low, high)[0], mu, logvar)


def squashed_log_prob(x, mu, logvar, low, high):
    u, log_det = unsquash(x, low, high)
    return normal_log_prob(u, mu, logvar) - log_det


SQUASHED = {
    "log_prob": squashed_log_prob,
    "log_cdf": squashed(of_z(log_ndtr)),
    "log_survival": squashed(of_z(lambda z: log_ndtr(-z))),
    "quantile": lambda q, mu, logvar, *box: squash(mu + mp.exp(logvar / 2) * ndtri(q), *box),
}


def clipped_settings(rng):
    bounds = boxes(rng)
    rows = np.repeat(bounds, ROWS, axis=0)
    near = np.clip(rng.normal(size=SETTINGS) * 10.0, *rows.T)
    width = np.where(np.isfinite(rows[:, 1] - rows[:, 0]), rows[:, 1] - rows[:, 0], 1.0)
    # Boxes of 1e-9 to 1e6 deviations, and the mean inside or up to 40 deviations outside.
    sigma = width * 10.0 ** rng.uniform(-6, 9, SETTINGS)
    mu = near + sigma * rng.normal(size=SETTINGS) * 10.0 ** rng.uniform(-2, 1.2, SETTINGS)
    low, high = (
        np.where(np.isfinite(x), x, near + sign * 3.0 * sigma) for x, sign in zip(rows.T, (-1, 1), strict=True)
    )
    x = np.clip(mu + sigma * rng.normal(size=SETTINGS), low, high)
    x = np.where((x <= low) | (x >= high), low + (high - low) * rng.uniform(size=SETTINGS), x)
    return [mu, 2.0 * np.log(sigma)], x, bounds


def squares_below(z):
    return z * ndtr(z) ** 2 + 2 * ndtr(z) * phi(z) - ndtr(mp.sqrt(2) * z) / mp.sqrt(mp.pi)


def clipped_crps(x, mu, logvar, low, high):
    sigma, z = mp.exp(logvar / 2), (x - mu) * mp.exp(-logvar / 2)
    a, b = ((bound - mu) * mp.exp(-logvar / 2) for bound in (low, high))
    below = squares_below(a) if mp.isfinite(low) else 0
    above = squares_below(-b) if mp.isfinite(high) else 0
    return sigma * (squares_below(z) - below + squares_below(-z) - above)


def clipped_quantile(q, mu, logvar, low, high):
    return min(max(mu + mp.exp(logvar / 2) * ndtri(q), low), high)


CLIPPED = {name: NORMAL[name] for name in ("log_prob", "log_cdf", "log_survival")} | {
    "quantile": clipped_quantile,
    "crps": clipped_crps,
}


# Beta


def log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def log_tail(t, u, a, b):
    """log I_t(a, b) by its continued fraction (DLMF 8.17.22) and Lentz' method, from the end that suits it."""
    if t * (a + b + 2) > a + 1:
        return mp.log1p(-mp.exp(log_tail(u, t, b, a)))
    c, d = mp.mpf(1), 1 / (1 - (a + b) * t / (a + 1))
    fraction, m = d, 0
    while True:
        m += 1
        before = fraction
        for numerator in (
            m * (b - m) * t / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * t / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + numerator * d)
            c = 1 + numerator / c
            fraction *= c * d
        if abs(fraction - before) < abs(fraction) * 4 * mp.eps:
            return a * mp.log(t) + b * mp.log(u) - mp.log(a) - log_beta(a, b) + mp.log(fraction)


def beta_settings(rng):
    a, b = spread(rng, -3, 4), spread(rng, -3, 4)
    a[:4], b[:4] = (1e-3, 1e4, 1e4, 1e-3), (1e-3, 1e4, 1e-3, 1e4)
    bounds = np.array(
        [(0.0, 1.0)] * 10 + [(-1.0, 1.0)] * 4 + [(3.0, 3.001), (-7.0, 0.0), (0.0, 1e-6)] + [(1e3, 2e3)] * 3
    )
    rows = np.repeat(bounds, ROWS, axis=0)
    t = rng.beta(a, b)
    t = np.where((t > 1e-12) & (t < 1.0 - 1e-12), t, rng.uniform(size=SETTINGS))
    small = rng.uniform(size=SETTINGS) < 0.1
    t = np.where(small & (rows[:, 0] == 0.0), 10.0 ** rng.uniform(-200, -3, SETTINGS), t)
    return [a, b], rows[:, 0] + (rows[:, 1] - rows[:, 0]) * t, bounds


def shares(x, low, high):
    return (x - low) / (high - low), (high - x) / (high - low)


def beta_log_prob(x, a, b, low, high):
    t, u = shares(x, low, high)
    return (a - 1) * mp.log(t) + (b - 1) * mp.log(u) - log_beta(a, b) - mp.log(high - low)


def beta_crps(x, a, b, low, high):
    t, u = shares(x, low, high)
    mean, gini = a / (a + b), 2 * mp.exp(log_beta(2 * a, 2 * b) - 2 * log_beta(a, b)) / (a + b)
    below, below_next = (mp.exp(log_tail(t, u, c, b)) for c in (a, a + 1))
    return (high - low) * (t * (2 * below - 1) + mean * (1 - 2 * below_next) - gini)


def share_below(q, a, b):
    """t and 1 - t, by Newton's method on the logarithm of the nearer tail over the logit, from its asymptote."""
    if q > 0.5:
        return share_below(1 - q, b, a)[::-1]
    logit = (mp.log(q) + mp.log(a) + log_beta(a, b)) / a
    for _ in range(100):
        t, u = 1 / (1 + mp.exp(-logit)), 1 / (1 + mp.exp(logit))
        value = log_tail(t, u, a, b)
        step = (mp.log(q) - value) * mp.exp(value - a * mp.log(t) - b * mp.log(u) + log_beta(a, b))
        logit += step
        if abs(step) < mp.mpf(10) ** -25:
            return t, u
    raise ValueError(f"No convergence at q={q}, a={a}, b={b}")


def beta_quantile(q, a, b, low, high):
    t, u = share_below(q, a, b)
    return low + (high - low) * t if t < 0.5 else high - (high - low) * u


BETA = {
    "log_prob": beta_log_prob,
    "log_cdf": lambda x, a, b, low, high: log_tail(*shares(x, low, high), a, b),
    "log_survival": lambda x, a, b, low, high: log_tail(*shares(x, low, high)[::-1], b, a),
    "quantile": beta_quantile,
    "crps": beta_crps,
    "stddev": lambda x, a, b, low, high: (high - low) * mp.sqrt(a * b / (a + b + 1)) / (a + b),
}


# Mixtures of three normals


def mixture_settings(rng):
    logits = rng.normal(size=(SETTINGS, 3)) * 2.0
    mu = np.stack([spread(rng, -1, 1.5, True) for _ in range(3)], axis=1)
    logvar = rng.uniform(-6.0, 4.0, (SETTINGS, 3))
    x = mu[:, 0] + np.exp(0.5 * logvar[:, 0]) * spread(rng, -2, 1.6, True)
    return [logits, mu, logvar], x, None


def of_components(function):
    """The logarithm of the weighted sum of exponentials of `function`."""

    def formula(x, *numbers):
        logits, mu, logvar = numbers[:3], numbers[3:6], numbers[6:]
        largest = max(logits)
        total = sum(mp.exp(y - largest) for y in logits)
        terms = [y - largest + function(x, *each) for y, each in zip(logits, zip(mu, logvar, strict=True), strict=True)]
        top = max(terms)
        return top + mp.log(sum(mp.exp(y - top) for y in terms) / total)

    return formula


def of_smaller(tail, rest):
    """The logarithm of a probability, from that of the rest where this is less."""
    return lambda *inputs: mp.log1p(-mp.exp(rest(*inputs))) if rest(*inputs) < -1 else tail(*inputs)


def mean_distance(mean, variance):
    z = mean / mp.sqrt(variance)
    return mean * mp.erf(z / mp.sqrt(2)) + 2 * mp.sqrt(variance) * phi(z)


def mixture_crps(x, *numbers):
    logits, mu, logvar = numbers[:3], numbers[3:6], numbers[6:]
    total = sum(map(mp.exp, logits))
    weights, variance = [mp.exp(y) / total for y in logits], [mp.exp(y) for y in logvar]
    near = sum(w * mean_distance(x - m, v) for w, m, v in zip(weights, mu, variance, strict=True))
    apart = sum(
        weights[j] * weights[k] * mean_distance(mu[j] - mu[k], variance[j] + variance[k])
        for j in range(3)
        for k in range(3)
    )
    return near - apart / 2


def mixture_quantile(q, *numbers):
    """By bisection, then by Newton's method, on the logarithm of the nearer tail."""
    mu, deviations = numbers[3:6], [mp.exp(y / 2) for y in numbers[6:]]
    tail, target = ("log_cdf", mp.log(q)) if q <= 0.5 else ("log_survival", mp.log1p(-q))
    sign = 1 if q <= 0.5 else -1
    tail, log_prob = of_components(NORMAL[tail]), of_components(normal_log_prob)
    z = mp.mpf(float(special.ndtri(float(q)))) if q > 1e-300 else mp.mpf(-40)
    ends = [m + s * z for m, s in zip(mu, deviations, strict=True)]
    low, high = min(ends), max(ends)
    for _ in range(40):
        x = (low + high) / 2
        low, high = (x, high) if sign * (tail(x, *numbers) - target) < 0 else (low, x)
    for _ in range(6):
        value = tail(x, *numbers)
        x += sign * (target - value) * mp.exp(value - log_prob(x, *numbers))
    return x


MIXTURE = {
    "log_prob": of_components(normal_log_prob),
    "log_cdf": of_smaller(of_components(NORMAL["log_cdf"]), of_components(NORMAL["log_survival"])),
    "log_survival": of_smaller(of_components(NORMAL["log_survival"]), of_components(NORMAL["log_cdf"])),
    "quantile": mixture_quantile,
    "crps": mixture_crps,
}


# Integers


def logistic_settings(rng):
    bounds = np.tile([(-100, 100), (0, 255), (-3, 4), (-(10**6), 10**6)], (5, 1))
    rows = np.repeat(bounds, ROWS, axis=0)
    mu = np.clip(rng.normal(size=SETTINGS) * 20.0, *rows.T)
    logscale = rng.uniform(-5.0, 6.0, SETTINGS)
    x = mu + np.exp(logscale) * rng.logistic(size=SETTINGS) * 10.0 ** rng.uniform(0, 1, SETTINGS)
    return [mu, logscale], np.clip(np.round(x), rows[:, 0], rows[:, 1]), bounds


def log_sigmoid(z):
    return -mp.log1p(mp.exp(-z))


def logistic_log_prob(k, mu, logscale, low, high):
    above, below = ((k + half - mu) * mp.exp(-logscale) for half in (mp.mpf(0.5), mp.mpf(-0.5)))
    if k == low:
        return log_sigmoid(above)
    if k == high:
        return log_sigmoid(-below)
    return log_sigmoid(above) + log_sigmoid(-below) + mp.log(-mp.expm1(below - above))


def logistic_tail(sign):
    def formula(k, mu, logscale, low, high):
        if k == high:
            return mp.mpf(0) if sign > 0 else -mp.inf
        return log_sigmoid(sign * (k + mp.mpf(0.5) - mu) * mp.exp(-logscale))

    return formula


LOGISTIC = {"log_prob": logistic_log_prob, "log_cdf": logistic_tail(1), "log_survival": logistic_tail(-1)}

# Of each class: a constructor; what gives arrays of parameters, shape [SETTINGS, ...], places, shape [SETTINGS], and
# bounds, shape [SETTINGS / ROWS, 2], each pair of which holds for that many settings; and formulas of the place (or the
# level), the numbers of the parameters one by one, and the bounds if there are some.
FAMILIES = {
    "normal": (kg.NormalDist, normal_settings, NORMAL),
    "state_dependent_normal": (
        lambda mu, loadings: kg.StateDependentNormalDist(mu, loadings[..., None]),
        loaded_settings,
        LOADED,
    ),
    "squashed_normal": (kg.SquashedNormalDist, squashed_settings, SQUASHED),
    "clipped_normal": (kg.ClippedNormalDist, clipped_settings, CLIPPED),
    "beta": (kg.BetaDist, beta_settings, BETA),
    "gaussian_mixture": (
        lambda logits, mu, logvar: kg.GaussianMixtureDist(logits, mu[..., None], logvar[..., None]),
        mixture_settings,
        MIXTURE,
    ),
    "discretized_logistic": (kg.DiscretizedLogisticDist, logistic_settings, LOGISTIC),
}


# The comparison


def derived(formulas):
    """Also what follows from logarithms."""
    logs = {"prob": "log_prob", "cdf": "log_cdf", "survival": "log_survival"}
    return formulas | {
        name: lambda *inputs, formula=formulas[log]: mp.exp(formula(*inputs)) for name, log in logs.items()
    }


def derivatives(formula, inputs):
    """The derivatives in all inputs, each times that input."""
    found = [mp.mpf(0)] * len(inputs)
    for i, x in enumerate(inputs):
        if mp.isfinite(x) and x:
            up, down = (formula(*inputs[:i], x * (1 + sign * STEP), *inputs[i + 1 :]) for sign in (1, -1))
            found[i] = (up - down) / (2 * STEP)
    return found


def second_derivatives(formula, inputs):
    """Of each of `derivatives`, the sum of the absolute values of its own."""
    sums = [mp.mpf(0)] * len(inputs)
    for i, x in enumerate(inputs):
        if mp.isfinite(x) and x:
            moved = ([*inputs[:i], x * (1 + sign * OUTER_STEP), *inputs[i + 1 :]] for sign in (1, -1))
            up, down = (derivatives(formula, point) for point in moved)
            sums = [total + abs(a - b) / (2 * OUTER_STEP) for total, a, b in zip(sums, up, down, strict=True)]
    return sums


def implicit_derivatives(formulas, x, q, parameters):
    """Of a quantile x, by the implicit function of the nearer tail: -(dF / dparameter) / (dF / dx)."""
    name, sign = ("log_cdf", 1) if q <= 0.5 else ("log_survival", -1)
    of_x, *others = derivatives(formulas[name], [x, *parameters])
    slope = of_x / x
    return [sign * q / (mp.exp(formulas[name](x, *parameters)) * slope), *(-y / slope for y in others)]


def evaluated(family, method, parameters, places, bounds, some):
    """Values, and gradients in place and parameters, times these, of `some` settings."""
    values, gradients = [], []
    for rows in [some] if bounds is None else np.split(some, 1 + np.flatnonzero(np.diff(some // ROWS))):
        sources = [tf.constant(x[rows]) for x in (places[:, None], *parameters)]
        box = {} if bounds is None else dict(zip(("low", "high"), bounds[rows[0] // ROWS], strict=True))
        with tf.GradientTape() as tape:
            tape.watch(sources)
            place, *rest = sources
            function = getattr(family(*(x if len(x.shape) > 1 else x[:, None] for x in rest), **box), method)
            value = function() if method == "stddev" else function(place)
        values.append(np.ravel(value))
        found = tape.gradient(value, sources, unconnected_gradients="zero")
        columns = [np.reshape(g * x, (len(rows), -1)) for g, x in zip(found, sources, strict=True)]
        gradients.append(np.concatenate(columns, axis=1))
    return np.concatenate(values), np.concatenate(gradients)


def errors(name, method, some, with_gradients=False):
    """The largest errors of values, and of gradients, each in units of the conditioning of what is right."""
    make, settings, formulas = FAMILIES[name]
    parameters, places, bounds = settings(RNG(0))
    if method == "quantile":
        rng = RNG(1)
        places = np.where(rng.random(SETTINGS) < 0.3, 10.0 ** rng.uniform(-100, -1, SETTINGS), rng.random(SETTINGS))
    formulas, of_values, of_gradients = derived(formulas), [0.0], [0.0]
    for i, got, gradients in zip(some, *evaluated(make, method, parameters, places, bounds, some), strict=True):
        box = [] if bounds is None else bounds[i // ROWS]
        inputs = [mp.mpf(float(x)) for x in (places[i], *np.concatenate([np.ravel(p[i]) for p in parameters]), *box)]
        value, got = formulas[method](*inputs), mp.mpf(float(got))
        if value == got or max(abs(value), abs(got)) < NOTHING:
            continue
        if method != "quantile" or name not in IMPLICIT:
            pulls = derivatives(formulas[method], inputs)
        elif bounds is not None and min(value - inputs[-2], inputs[-1] - value) < abs(value) * ROUNDING:
            pulls = []  # of a quantile that is rounded to a bound
        else:
            pulls = implicit_derivatives(formulas, value, inputs[0], inputs[1:])
        scale = abs(value) + sum(map(abs, pulls))
        of_values.append(abs(got - value) / scale)
        if with_gradients:
            changes = [scale] * len(pulls) if method == "quantile" else second_derivatives(formulas[method], inputs)
            for gradient, pull, change in list(zip(gradients, pulls, changes, strict=False))[name in INTEGERS :]:
                of_gradients.append(abs(mp.mpf(float(gradient)) - pull) / max(abs(pull) + change, scale * SMALL))
    return max(map(float, of_values)), max(map(float, of_gradients))


CASES = [(name, method) for name, (*_, formulas) in FAMILIES.items() for method in derived(formulas)]
SOME = [
    ("normal", "quantile"),
    ("squashed_normal", "quantile"),
    ("clipped_normal", "crps"),
    ("gaussian_mixture", "crps"),
]
SOME += [(name, "log_cdf") for name in FAMILIES]
GRADIENTS = [
    (name, method) for name, method in CASES if method in ("log_prob", "log_cdf", "log_survival", "quantile", "crps")
]


@pytest.mark.parametrize(("name", "method"), SOME)
def test_some_values_are_mpmath_s(name, method):
    with mp.workdps(DIGITS):
        assert errors(name, method, np.arange(5))[0] < TOLERANCE[method]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "method"), CASES)
def test_values_of_200_settings_are_mpmath_s(name, method):
    with mp.workdps(DIGITS):
        assert errors(name, method, np.arange(SETTINGS))[0] < TOLERANCE[method]


@pytest.mark.parametrize(("name", "method"), [("clipped_normal", "crps"), ("gaussian_mixture", "log_survival")])
def test_some_gradients_are_mpmath_s(name, method):
    with mp.workdps(DIGITS):
        assert errors(name, method, np.arange(2), with_gradients=True)[1] < 1e-8


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "method"), GRADIENTS)
def test_gradients_of_all_boxes_are_mpmath_s(name, method):
    with mp.workdps(DIGITS):
        assert errors(name, method, np.arange(0, SETTINGS, 5), with_gradients=True)[1] < 1e-8
