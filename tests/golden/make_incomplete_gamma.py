"""Make `incomplete_gamma.json`: tails of the gamma distribution in mpmath at 80 digits, rounded once to float64.

Run as `python tests/golden/make_incomplete_gamma.py` where mpmath is installed; the package and its tests do without.
Each case is a list: the concentration a, v = log(x), log P(a, x), log Q(a, x), and of both the derivatives in a.
"""

import json
from pathlib import Path

import mpmath as mp

mp.mp.dps = 80
FILE = Path(__file__).parent / "incomplete_gamma.json"
CONCENTRATIONS = (1e-4, 1e-2, 0.3, 0.999, 1.0, 2.5, 30.0, 1e3, 1e6)
DEVIATIONS = (-300.0, -30.0, -8.0, -3.0, -1.0, -1e-3, 0.0, 0.7, 2.0, 5.0, 9.0, 40.0, 500.0)


def log_lower_series(a, v):
    """log P by the series of Kummer's function, all of whose terms are positive (DLMF 8.7.1)."""
    x = mp.exp(v)
    term = total = 1 / a
    n = a
    while term > total * mp.eps:
        n += 1
        term *= x / n
        total += term
    return a * v - x - mp.loggamma(a) + mp.log(total)


def log_upper_fraction(a, v):
    """log Q by the continued fraction (DLMF 8.9.2), for x beyond a."""
    x = mp.exp(v)
    b = x + 1 - a
    c, d = 1 / mp.mpf(10) ** -200, 1 / b
    fraction, n = d, 0
    while True:
        n += 1
        numerator = -n * (n - a)
        b += 2
        d, c = 1 / (numerator * d + b), b + numerator / c
        step = d * c
        fraction *= step
        if abs(step - 1) < mp.eps * 10:
            return a * v - x - mp.loggamma(a) + mp.log(fraction)


def log_tails(a, v):
    """Both, the smaller one by its own formula."""
    x = mp.exp(v)
    if x > a + 8 * mp.sqrt(a) + 8:
        above = log_upper_fraction(a, v)
        return mp.log1p(-mp.exp(above)), above
    below = log_lower_series(a, v)
    return below, mp.log1p(-mp.exp(below)) if below < -1 else mp.log(-mp.expm1(below))


def with_derivatives(a, v):
    a, v = mp.mpf(a), mp.mpf(v)
    mp.mp.dps = 500 if v > 25.0 else 80  # of a number as huge as x
    step = a * mp.mpf(10) ** -24
    high, low = log_tails(a + step, v), log_tails(a - step, v)
    slopes = [(up - down) / (2 * step) for up, down in zip(high, low, strict=True)]
    return [float(y) for y in (a, v, *log_tails(a, v), *slopes)]


def places(a):
    """Logarithms of x around the mean, in standard deviations, and where they or their logarithms are extreme."""
    spread = 1 / a**0.5
    found = {mp.log(a) + min(spread, 3.0) * z for z in DEVIATIONS if -600 < min(spread, 3.0) * z < 300}
    found |= {mp.mpf(v) for v in (-690.0, -40.0, -1.0, -1e-9, 1e-9, 1.0, 3.0)} if a < 100 else {mp.mpf(-690.0)}
    return sorted({float(v) for v in found} | {30.0, 690.0} | ({-1e4, -1e5} if a < 1 else set()))


if __name__ == "__main__":
    cases = [with_derivatives(a, v) for a in CONCENTRATIONS for v in places(a)]
    lines = [json.dumps(case) for case in cases]
    FILE.write_text(
        '{"name": "incomplete_gamma", "oracle": "mpmath at 80 digits", "cases": [\n' + ",\n".join(lines) + "\n]}\n"
    )
