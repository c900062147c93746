"""Make `hard_points.json`: closed forms in mpmath at 60 digits, rounded once to float64.

Run as `python tests/golden/make_hard_points.py` where mpmath is installed; the package and its tests do without it.
Each case has `inputs`, `expected` and `scale`: of each answer, the sum of |input * derivative|, its own conditioning.
"""

import itertools
import json
from pathlib import Path

import mpmath as mp
import numpy as np

mp.mp.dps = 60
FILE = Path(__file__).parent / "hard_points.json"


def log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def mean_logs(a, b):
    return [mp.digamma(x) - mp.digamma(a + b) for x in (a, b)]


def trigammas(a, b):
    return [mp.psi(1, x) for x in (a, b, a + b)]


def cross_entropy(a, b, c, d):
    """Of (a, b) to (c, d), and its gradients."""
    (log_t, log_u), (of_a, of_b, of_total), slopes = mean_logs(a, b), trigammas(a, b), mean_logs(c, d)
    value = log_beta(c, d) - (c - 1) * log_t - (d - 1) * log_u
    common = (c + d - 2) * of_total
    return value, [common - (c - 1) * of_a, common - (d - 1) * of_b, slopes[0] - log_t, slopes[1] - log_u]


def entropy(a, b):
    value, gradients = cross_entropy(a, b, a, b)
    return value, gradients[:2]


def kl_divergence(a, b, c, d):
    value, gradients = cross_entropy(a, b, c, d)
    entropy_of_p, own = entropy(a, b)
    return value - entropy_of_p, [gradients[0] - own[0], gradients[1] - own[1], *gradients[2:]]


def log_prob(a, b, x):
    log_t, log_u, slopes = mp.log(x), mp.log1p(-x), mean_logs(a, b)
    value = (a - 1) * log_t + (b - 1) * log_u - log_beta(a, b)
    return value, [log_t - slopes[0], log_u - slopes[1], (a - 1) / x - (b - 1) / (1 - x)]


def case(name, function, *inputs):
    inputs = [mp.mpf(float(x)) for x in inputs]
    value, gradients = function(*inputs)
    scale = sum(abs(x * gradient) for x, gradient in zip(inputs, gradients, strict=True))
    return {
        "kind": name,
        "inputs": [float(x) for x in inputs],
        "expected": float(value),
        "scale": float(scale),
        "gradients": [float(x) for x in gradients],
    }


def as_float32(x):
    return float(np.float32(x))


def beta_cases(dtype):
    sizes = (
        [1e-4, 1e-2, 1.0, 3.0, 8.0, 1e2, 1e4, 1e6, 1e7]
        if dtype == "float32"
        else [1e-6, 1e-2, 1.0, 7.5, 1e3, 1e7, 1e12]
    )
    sizes = [as_float32(x) for x in sizes]
    pairs = list(itertools.product(sizes, sizes))
    for a, b in pairs:
        yield case("entropy", entropy, a, b)
        mean, deviation = a / (a + b), (a * b / (a + b + 1)) ** 0.5 / (a + b)
        for x in {mean, mean + deviation, mean - 2 * deviation, 0.5, 0.01}:
            x = as_float32(x) if dtype == "float32" else x
            if 1e-30 < x < 1 - 1e-7:
                yield case("log_prob", log_prob, a, b, x)
    for c in (1e3, 1e4, 1e5, 1e6, 1e7, *((1e10, 1e12) if dtype == "float64" else ())):
        yield case("entropy", entropy, c, c)
    some = np.random.default_rng(0).permutation(len(pairs) ** 2)[:250]
    for i in some:
        p, q = pairs[i // len(pairs)], pairs[i % len(pairs)]
        yield case("cross_entropy", cross_entropy, *p, *q)
        yield case("kl_divergence", kl_divergence, *p, *q)
    for a, b in pairs[::3]:  # nearly equal, and a little further apart
        for step in (1.001, 1.2, 1.5):
            q = (as_float32(a * step), as_float32(b / step))
            yield case("cross_entropy", cross_entropy, a, b, *q)
            yield case("kl_divergence", kl_divergence, a, b, *q)
    # Next to a bound of 0, where floats are dense.
    small = (1e-30, 1e-20, 3e-10) if dtype == "float32" else (1e-300, 1e-200, 1e-50, 1e-18)
    for x, (a, b) in itertools.product(small, [(0.01, 0.01), (1.461273431777954, 2.6768219470977783), (5.0, 0.5)]):
        yield case("log_prob", log_prob, as_float32(a), as_float32(b), as_float32(x) if dtype == "float32" else x)


if __name__ == "__main__":
    lines = []
    for dtype in ("float32", "float64"):
        lines += [json.dumps({"dtype": dtype} | made) for made in beta_cases(dtype)]
    FILE.write_text(
        '{"name": "hard_points", "oracle": "mpmath at 60 digits", "cases": [\n' + ",\n".join(lines) + "\n]}\n"
    )
