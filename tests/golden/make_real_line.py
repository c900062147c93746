"""Make `laplace.json`, `logistic.json`, `student_t.json` and `von_mises.json`: formulas in mpmath, rounded once.

Run as `python tests/golden/make_real_line.py` where mpmath is installed; the package and its tests do without it.
Each case has `inputs`, the place first, `expected` and `scale`, |f| + sum |input * df / dinput|, its own conditioning,
and the same of each gradient times its input.
"""

import json
import sys
from pathlib import Path

import mpmath as mp
import numpy as np

mp.mp.dps = 60
FOLDER = Path(__file__).parent
STEP, OUTER_STEP = mp.mpf(10) ** -20, mp.mpf(10) ** -12


def derivatives(function, inputs, step=STEP):
    """Input times derivative, by central differences."""
    found = []
    for i, x in enumerate(inputs):
        up, down = ([*inputs[:i], x * (1 + sign * step), *inputs[i + 1 :]] for sign in (1, -1))
        found.append((function(*up) - function(*down)) / (2 * step))
    return found


def case(dtype, kind, function, *inputs):
    inputs = [mp.mpf(float(np.asarray(x, dtype))) for x in inputs]
    pulls = derivatives(function, inputs)
    scales = []
    for i in range(len(inputs)):
        seconds = derivatives(lambda *xs, i=i: derivatives(function, xs)[i], inputs, OUTER_STEP)
        scales.append(abs(pulls[i]) + sum(map(abs, seconds)))
    value = function(*inputs)
    return {
        "dtype": dtype,
        "kind": kind,
        "inputs": [float(x) for x in inputs],
        "expected": float(value),
        "scale": float(abs(value) + sum(map(abs, pulls))),
        "gradients": [float(pull / x) if x else 0.0 for pull, x in zip(pulls, inputs, strict=True)],
        "gradient_scales": [float(x) for x in scales],
    }


def written(name, cases):
    lines = ",\n".join(json.dumps(each) for each in cases)
    (FOLDER / f"{name}.json").write_text('{"cases": [\n' + lines + "\n]}\n")


# Laplace


def laplace_tail(z):
    """The probability above."""
    return mp.exp(-z) / 2 if z > 0 else 1 - mp.exp(z) / 2


def log_laplace_tail(z):
    return -z - mp.log(2) if z > 0 else mp.log1p(-mp.exp(z) / 2)


def laplace_cross_entropy(m, s, n, t):
    d = abs(m - n)
    return mp.log(2 * t) + (d + s * mp.exp(-d / s)) / t


LAPLACE = {
    "log_proba": lambda x, m, s: -mp.log(2 * s) - abs(x - m) / s,
    "log_cdf": lambda x, m, s: log_laplace_tail(-(x - m) / s),
    "log_survival": lambda x, m, s: log_laplace_tail((x - m) / s),
    "cdf": lambda x, m, s: laplace_tail(-(x - m) / s),
    "survival": lambda x, m, s: laplace_tail((x - m) / s),
    "crps": lambda x, m, s: s * (abs(x - m) / s + mp.exp(-abs(x - m) / s) - mp.mpf(3) / 4),
    "quantile": lambda q, m, s: m + s * (mp.log(2 * q) if q < 0.5 else -mp.log(2 * (1 - q))),
    "entropy": lambda m, s: 1 + mp.log(2 * s),
    "cross_entropy": laplace_cross_entropy,
    "kl_divergence": lambda m, s, n, t: laplace_cross_entropy(m, s, n, t) - 1 - mp.log(2 * s),
}

LOGISTIC = {
    "log_proba": lambda x, m, s: -(x - m) / s - mp.log(s) - 2 * mp.log1p(mp.exp(-(x - m) / s)),
    "log_cdf": lambda x, m, s: -mp.log1p(mp.exp(-(x - m) / s)),
    "log_survival": lambda x, m, s: -mp.log1p(mp.exp((x - m) / s)),
    "cdf": lambda x, m, s: 1 / (1 + mp.exp(-(x - m) / s)),
    "survival": lambda x, m, s: 1 / (1 + mp.exp((x - m) / s)),
    "crps": lambda x, m, s: s * ((x - m) / s + 2 * mp.log1p(mp.exp(-(x - m) / s)) - 1),
    "quantile": lambda q, m, s: m + s * mp.log(q / (1 - q)),
    "entropy": lambda m, s: mp.log(s) + 2,
}

PLACES = ("log_proba", "log_cdf", "log_survival", "cdf", "survival", "crps")
LEVELS = {"float32": (1e-30, 1e-4, 0.3, 0.50001, 0.9), "float64": (1e-300, 1e-20, 1e-3, 0.3, 0.5001, 0.8, 1 - 1e-9)}
DISTANCES = {"float32": (1e-3, 0.7, -3.0, 20.0, -80.0), "float64": (1e-7, 0.7, -3.0, 20.0, -36.0, 650.0, -690.0)}


def two_parameters(formulas):
    for dtype in ("float32", "float64"):
        for i, z in enumerate(DISTANCES[dtype]):
            mu, scale = 0.5 * (-1.0) ** i, 10.0 ** (i - 3.0)
            x = mu + scale * z
            for kind in PLACES:
                yield case(dtype, kind, formulas[kind], x, mu, scale)
        for i, q in enumerate(LEVELS[dtype]):
            yield case(dtype, "quantile", formulas["quantile"], q, 2.0 - i, 10.0 ** (i - 2.0))
        for scale in (1e-20, 0.3, 1e25):
            yield case(dtype, "entropy", formulas["entropy"], 1.0, scale)
        pairs = ((0.5, 2.0, 0.5, 2.000001), (0.5, 2.0, 0.50001, 2.0), (-1.0, 0.3, 2.0, 5.0), (3.0, 1e-15, -3.0, 1e10))
        pairs += ((1.0, 1e15, -1.0, 1e13), (100.0, 1e-2, 101.0, 1e-2))
        for kind in ("cross_entropy", "kl_divergence"):
            if kind in formulas:
                for pair in pairs:
                    yield case(dtype, kind, formulas[kind], *pair)


FAMILIES = {
    "laplace": lambda: two_parameters(LAPLACE),
    "logistic": lambda: two_parameters(LOGISTIC),
}

if __name__ == "__main__":
    for name in sys.argv[1:] or FAMILIES:
        written(name, FAMILIES[name]())
