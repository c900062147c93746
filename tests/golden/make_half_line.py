"""Make the numbers of the distributions on the half line and the simplex: formulas in mpmath, rounded once.

Run as `python -m tests.golden.make_half_line [name ...]` where mpmath is installed; the package and its tests do
without. The cases are those of `make_real_line.py`.
"""

import functools
import sys

import mpmath as mp
import numpy as np

from tests.golden import make_incomplete_gamma as incomplete
from tests.golden.make_real_line import case, written

mp.mp.dps = 60
# Most of the numbers are needed again and again.
both_log_tails, log_gamma, digamma = (functools.cache(f) for f in (incomplete.log_tails, mp.loggamma, mp.digamma))

# Exponential

EXPONENTIAL = {
    "log_proba": lambda x, b: mp.log(b) - b * x,
    "log_cdf": lambda x, b: mp.log(-mp.expm1(-b * x)),
    "log_survival": lambda x, b: -b * x,
    "cdf": lambda x, b: -mp.expm1(-b * x),
    "survival": lambda x, b: mp.exp(-b * x),
    "crps": lambda x, b: x + 2 * mp.expm1(-b * x) / b + 1 / (2 * b),
    "quantile": lambda q, b: -mp.log1p(-q) / b,
    "entropy": lambda b: 1 - mp.log(b),
    "cross_entropy": lambda b, c: c / b - mp.log(c),
    "kl_divergence": lambda b, c: c / b - 1 - mp.log(c / b),
}


def exponential():
    for dtype, small in (("float32", 1e-25), ("float64", 1e-290)):
        for t, b in ((small, 1.0), (1e-9, 1e-3), (0.7, 2.0), (20.0, 1e8), (80.0, 1e-2)):
            for kind in PLACES:
                yield case(dtype, kind, EXPONENTIAL[kind], t / b, b)
        for q, b in ((small, 1.0), (1e-9, 1e-3), (0.3, 30.0), (0.9, 1e9)):
            yield case(dtype, "quantile", EXPONENTIAL["quantile"], q, b)
        for b in (1e-20, 0.3, 1e20):
            yield case(dtype, "entropy", EXPONENTIAL["entropy"], b)
        for pair in ((2.0, 2.000001), (0.1, 5.0), (1e8, 1e-8), (1.0, 40.0)):
            for kind in ("cross_entropy", "kl_divergence"):
                yield case(dtype, kind, EXPONENTIAL[kind], *pair)


# Gamma


def log_tail(a, v, which):
    return both_log_tails(a, v)[which]


def gamma_crps(x, a, b):
    t = b * x
    below, above = (mp.exp(log_tail(c, mp.log(t), 0)) for c in (a, a + 1))
    return (t * (2 * below - 1) - a * (2 * above - 1) - 1 / mp.beta(mp.mpf(1) / 2, a)) / b


def gamma_entropy(a, b):
    return a - mp.log(b) + log_gamma(a) + (1 - a) * digamma(a)


def gamma_cross_entropy(a, b, c, d):
    return log_gamma(c) - c * mp.log(d) - (c - 1) * (digamma(a) - mp.log(b)) + d * a / b


def root(function, start):
    """Of an increasing function of log(x), by Newton's method on its own derivative."""
    v = mp.mpf(start)
    for _ in range(60):
        value, slope = function(v)
        v += value / slope
        if abs(value / slope) < mp.mpf(10) ** -48 * (1 + abs(v)):
            return v
    raise ValueError(start)


def gamma_quantile(q, a, b):
    from scipy import special

    is_low = q < 0.5
    goal = mp.log(q) if is_low else mp.log1p(-q)
    start = float((goal + log_gamma(a + 1)) / a) if is_low else 0.0
    guess = special.gammaincinv(float(a), float(q)) if is_low else special.gammainccinv(float(a), float(1 - q))
    start = np.log(guess) if guess > 1e-200 else start

    def step(v):
        tail = log_tail(a, v, 0 if is_low else 1)
        density = mp.exp(a * v - mp.exp(v) - log_gamma(a) - tail)
        return goal - tail, density if is_low else -density

    return mp.exp(root(step, start)) / b


GAMMA = {
    "log_proba": lambda x, a, b: a * mp.log(b) + (a - 1) * mp.log(x) - b * x - log_gamma(a),
    "log_cdf": lambda x, a, b: log_tail(a, mp.log(b * x), 0),
    "log_survival": lambda x, a, b: log_tail(a, mp.log(b * x), 1),
    "cdf": lambda x, a, b: mp.exp(log_tail(a, mp.log(b * x), 0)),
    "survival": lambda x, a, b: mp.exp(log_tail(a, mp.log(b * x), 1)),
    "crps": gamma_crps,
    "quantile": gamma_quantile,
    "entropy": gamma_entropy,
    "cross_entropy": gamma_cross_entropy,
    "kl_divergence": lambda a, b, c, d: gamma_cross_entropy(a, b, c, d) - gamma_entropy(a, b),
}
CONCENTRATIONS = (1e-4, 0.03, 0.9, 1.0, 7.3, 400.0, 1e6)


def gamma():
    for dtype in ("float32", "float64"):
        places = (-30.0, -2.0, 0.01, 1.5, 12.0) if dtype == "float64" else (-6.0, 0.01, 4.0)
        for i, a in enumerate(CONCENTRATIONS):
            b = 10.0 ** (2 - i)
            for z in places:
                x = a / b * float(np.exp(max(min(z / min(a, 1e4) ** 0.5 if a > 1 else z, 6.0), -60.0)))
                for kind in PLACES:
                    yield case(dtype, kind, GAMMA[kind], x, a, b)
            for q in (1e-25, 0.02, 0.5, 0.7, 0.999):
                log_x = (np.log(q) + float(log_gamma(a + 1))) / a - np.log(b)
                if log_x > (-80.0 if dtype == "float32" else -650.0):
                    yield case(dtype, "quantile", GAMMA["quantile"], q, a, b)
            yield case(dtype, "entropy", GAMMA["entropy"], a, b)
            for pair in ((a * 1.000001, b * 0.999999), (a * 1.2, b), (a * 3.0, b * 2.0), (2.0, 0.1), (1e-3, 20.0)):
                for kind in ("cross_entropy", "kl_divergence"):
                    yield case(dtype, kind, GAMMA[kind], a, b, *pair)


# Log-normal


def log_normal_crps(x, m, v):
    s = mp.exp(v / 2)
    z = (mp.log(x) - m) / s
    rest = mp.ncdf(z - s) - mp.ncdf(-s / mp.sqrt(2))
    return x * mp.erf(z / mp.sqrt(2)) - 2 * mp.exp(m + s * s / 2) * rest


def log_normal_cross_entropy(m, v, n, w):
    return (mp.log(2 * mp.pi) + w + (mp.exp(v) + (m - n) ** 2) / mp.exp(w)) / 2 + m


def log_normal_entropy(m, v):
    return (1 + mp.log(2 * mp.pi) + v) / 2 + m


def log_ndtr(z):
    return mp.log(mp.erfc(-z / mp.sqrt(2)) / 2)


def standard(x, m, v):
    return (mp.log(x) - m) / mp.exp(v / 2)


LOG_NORMAL = {
    "log_proba": lambda x, m, v: -(mp.log(2 * mp.pi) + v + standard(x, m, v) ** 2) / 2 - mp.log(x),
    "log_cdf": lambda x, m, v: log_ndtr(standard(x, m, v)),
    "log_survival": lambda x, m, v: log_ndtr(-standard(x, m, v)),
    "cdf": lambda x, m, v: mp.erfc(-standard(x, m, v) / mp.sqrt(2)) / 2,
    "survival": lambda x, m, v: mp.erfc(standard(x, m, v) / mp.sqrt(2)) / 2,
    "crps": log_normal_crps,
    "quantile": lambda q, m, v: mp.exp(m + mp.exp(v / 2) * mp.sqrt(2) * mp.erfinv(2 * q - 1)),
    "entropy": log_normal_entropy,
    "cross_entropy": log_normal_cross_entropy,
    "kl_divergence": lambda m, v, n, w: log_normal_cross_entropy(m, v, n, w) - log_normal_entropy(m, v),
}


def log_normal():
    for dtype in ("float32", "float64"):
        far = (30.0, -30.0) if dtype == "float64" else (8.0, -8.0)
        for i, (m, v) in enumerate(((0.5, 0.3), (-2.0, -12.0), (3.0, 2.5), (-0.1, -5.0), (8.0, -20.0))):
            for z in (1e-4, 0.9, -2.5, far[i % 2]):
                x = float(np.exp(m + np.exp(v / 2) * z))
                for kind in PLACES:
                    yield case(dtype, kind, LOG_NORMAL[kind], x, m, v)
            for q in (1e-25, 0.02, 0.5001, 0.999):
                yield case(dtype, "quantile", LOG_NORMAL["quantile"], q, m, v)
            yield case(dtype, "entropy", LOG_NORMAL["entropy"], m, v)
            for pair in ((m + 1e-6, v), (m, v + 1e-6), (m - 1.0, v + 2.0), (1.0, 20.0)):
                for kind in ("cross_entropy", "kl_divergence"):
                    yield case(dtype, kind, LOG_NORMAL[kind], m, v, *pair)


# Weibull


def weibull_power(x, k, s):
    return (x / s) ** k


def weibull_crps(x, k, s):
    t, c = weibull_power(x, k, s), 1 + 1 / k
    below = mp.exp(log_tail(c, mp.log(t), 0))
    return x * (-1 - 2 * mp.expm1(-t)) - s * mp.gamma(c) * (2 * below - mp.mpf(2) ** (-1 / k))


def weibull_entropy(k, s):
    return mp.euler * (1 - 1 / k) + mp.log(s / k) + 1


def weibull_kl(k, s, c, d):
    value = mp.log(k) - k * mp.log(s) - mp.log(c) + c * mp.log(d) + (k - c) * (mp.log(s) - mp.euler / k)
    return value + (s / d) ** c * mp.gamma(c / k + 1) - 1


WEIBULL = {
    "log_proba": lambda x, k, s: mp.log(k / s) + (k - 1) * mp.log(x / s) - weibull_power(x, k, s),
    "log_cdf": lambda x, k, s: mp.log(-mp.expm1(-weibull_power(x, k, s))),
    "log_survival": lambda x, k, s: -weibull_power(x, k, s),
    "cdf": lambda x, k, s: -mp.expm1(-weibull_power(x, k, s)),
    "survival": lambda x, k, s: mp.exp(-weibull_power(x, k, s)),
    "crps": weibull_crps,
    "quantile": lambda q, k, s: s * (-mp.log1p(-q)) ** (1 / k),
    "entropy": weibull_entropy,
    "cross_entropy": lambda *params: weibull_entropy(*params[:2]) + weibull_kl(*params),
    "kl_divergence": weibull_kl,
}


def weibull():
    for dtype in ("float32", "float64"):
        least = -80.0 if dtype == "float32" else -600.0
        for i, k in enumerate((0.05, 0.7, 1.0, 2.0, 30.0, 1e3, 1e6)):
            s = 10.0 ** (i - 3)
            for log_t in (least / 4, -3.0, 0.2, 2.0, 4.0):
                x = s * float(np.exp(log_t / k))
                if 1e-30 < x < 1e30:
                    for kind in PLACES:
                        yield case(dtype, kind, WEIBULL[kind], x, k, s)
            for q in (1e-20, 0.02, 0.5, 0.999):
                if np.log(q) / k > least:
                    yield case(dtype, "quantile", WEIBULL["quantile"], q, k, s)
            yield case(dtype, "entropy", WEIBULL["entropy"], k, s)
            far = float(np.exp(0.5 / k))
            for pair in ((k * 1.000001, s * 1.000001), (k * 1.1, s), (k * 3.0, s * far), (k / 3.0, s / far)):
                for kind in ("cross_entropy", "kl_divergence"):
                    yield case(dtype, kind, WEIBULL[kind], k, s, *pair)


# Dirichlet, as rows of three


def dirichlet_log_beta(*alpha):
    return mp.fsum(map(log_gamma, alpha)) - log_gamma(mp.fsum(alpha))


def dirichlet_cross_entropy(*params):
    alpha, beta = params[: len(params) // 2], params[len(params) // 2 :]
    logs = [digamma(a) - digamma(mp.fsum(alpha)) for a in alpha]
    return dirichlet_log_beta(*beta) - mp.fsum((b - 1) * y for b, y in zip(beta, logs, strict=True))


def dirichlet_log_proba(*params):
    x, alpha = params[: len(params) // 2], params[len(params) // 2 :]
    powers = mp.fsum((a - 1) * mp.log(y) for a, y in zip(alpha, x, strict=True))
    return powers - dirichlet_log_beta(*alpha)


DIRICHLET = {
    "log_proba": dirichlet_log_proba,
    "entropy": lambda *alpha: dirichlet_cross_entropy(*alpha, *alpha),
    "cross_entropy": dirichlet_cross_entropy,
    "kl_divergence": lambda *p: dirichlet_cross_entropy(*p) - dirichlet_cross_entropy(*p[:3], *p[:3]),
}


def dirichlet():
    rows = ((1.0, 1.0, 1.0), (0.3, 2.0, 5.0), (1e-4, 1e-3, 1e-4), (1e6, 3e5, 2e6), (1e-4, 1.0, 1e6), (40.0, 30.0, 90.0))
    for dtype in ("float32", "float64"):
        for alpha in rows:
            yield case(dtype, "entropy", DIRICHLET["entropy"], *alpha)
            share = np.array(alpha) / sum(alpha)
            for x in (share, (0.5, 0.25, 0.25), (0.9375, 0.0546875, 0.0078125)):
                if min(x) > 1e-5:
                    yield case(dtype, "log_proba", DIRICHLET["log_proba"], *x, *alpha)
            near, apart = np.array((1.000001, 0.999999, 1.000002)), np.array((1.2, 0.9, 1.1))
            for beta in (alpha * near, alpha * apart, rows[1], rows[2]):
                for kind in ("cross_entropy", "kl_divergence"):
                    yield case(dtype, kind, DIRICHLET[kind], *alpha, *beta)


PLACES = ("log_proba", "log_cdf", "log_survival", "cdf", "survival", "crps")
FAMILIES = {
    "dirichlet": dirichlet,
    "exponential": exponential,
    "gamma": gamma,
    "log_normal": log_normal,
    "weibull": weibull,
}


def short(each):
    """A case whose scales have few digits."""
    scales = [float(f"{x:.3g}") for x in (each["scale"], *each["gradient_scales"])]
    return each | {"scale": scales[0], "gradient_scales": scales[1:]}


if __name__ == "__main__":
    for name in sys.argv[1:] or FAMILIES:
        written(name, map(short, FAMILIES[name]()))
