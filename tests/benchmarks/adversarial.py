"""Inputs that may break a library, side by side: kgdists, TensorFlow Probability and torch.distributions.

    python tests/benchmarks/adversarial.py --torch-python PEERS/bin/python --out docs/results/adversarial.json

A hundred inputs a family: parameters that are zero, infinite, subnormal, tiny and huge, and the same of variates. The
truth is mpmath's. An answer is right if it misses the truth by no more than its inputs' last digits do: the unit of
errors is |f| + sum |input * df / dinput|. An error is an answer too. Where a parameter is none of its family, an error,
or NaN, is right.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import mpmath as mp
import numpy as np
from rounds import Worker

WORKER = Path(__file__).with_name("adversarial_worker.py")
LIBRARIES = ("kgdists", "tfp", "torch")
QUANTITIES = ("log_prob", "mean", "variance", "entropy")
INPUTS = 100
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}
INF, NAN = float("inf"), float("nan")
STEP = mp.mpf(10) ** -60
mp.mp.dps = 400

POSITIVE = {
    "float32": [1e-45, 1.2e-38, 1e-30, 1e-4, 0.5, 1.0, 7.0, 1e4, 1e8, 1e30, 3e38],
    "float64": [5e-324, 2.3e-308, 1e-100, 1e-4, 0.5, 1.0, 7.0, 1e4, 1e8, 1e100, 1e300],
}
WRONG = [0.0, -1.0, INF, NAN]


def real(dtype):
    return [0.0, -0.0, *(sign * x for x in POSITIVE[dtype][::2] for sign in (1.0, -1.0))]


def beyond(dtype):
    return [INF, -INF]


# Each family: kinds of its parameters, of its variate, and mpmath's formulas.


def xlogy(x, y):
    return mp.mpf(0) if x == 0 else x * mp.log(y)


def gamma(x, a, b):
    return a * mp.log(b) - mp.loggamma(a) + xlogy(a - 1, x) - b * x if x else at_zero(a, mp.log(b))


def at_zero(a, at_one):
    return mp.inf if a < 1 else at_one if a == 1 else -mp.inf


def weibull(x, k, scale):
    if not x:
        return at_zero(k, -mp.log(scale))
    z = mp.log(x) - mp.log(scale)
    return mp.log(k) - mp.log(scale) + (k - 1) * z - mp.exp(k * z)


def dirichlet(x, *a):
    return mp.loggamma(sum(a)) - sum(map(mp.loggamma, a)) + sum(xlogy(c - 1, y) for c, y in zip(a, x, strict=True))


FAMILIES = {
    "laplace": {
        "params": ("real", "positive"),
        "x": "real",
        "log_prob": lambda x, mu, b: -mp.log(2 * b) - abs(x - mu) / b,
        "mean": lambda mu, b: mu,
        "variance": lambda mu, b: 2 * b**2,
        "entropy": lambda mu, b: 1 + mp.log(2 * b),
    },
    "logistic": {
        "params": ("real", "positive"),
        "x": "real",
        "log_prob": lambda x, mu, s: -abs(x - mu) / s - mp.log(s) - 2 * mp.log1p(mp.exp(-abs(x - mu) / s)),
        "mean": lambda mu, s: mu,
        "variance": lambda mu, s: s**2 * mp.pi**2 / 3,
        "entropy": lambda mu, s: mp.log(s) + 2,
    },
    "log_normal": {
        "params": ("logs", "logs"),
        "x": "positive",
        "log_prob": lambda x, mu, v: -mp.log(x) - (mp.log(2 * mp.pi) + v + (mp.log(x) - mu) ** 2 * mp.exp(-v)) / 2,
        "mean": lambda mu, v: mp.exp(mu + mp.exp(v) / 2),
        "variance": lambda mu, v: mp.expm1(mp.exp(v)) * mp.exp(2 * mu + mp.exp(v)),
        "entropy": lambda mu, v: mu + (1 + mp.log(2 * mp.pi) + v) / 2,
    },
    "gamma": {
        "params": ("positive", "positive"),
        "x": "closed",
        "log_prob": gamma,
        "mean": lambda a, b: a / b,
        "variance": lambda a, b: a / b**2,
        "entropy": lambda a, b: a - mp.log(b) + mp.loggamma(a) + (1 - a) * mp.digamma(a),
    },
    "exponential": {
        "params": ("positive",),
        "x": "closed",
        "log_prob": lambda x, b: mp.log(b) - b * x,
        "mean": lambda b: 1 / b,
        "variance": lambda b: 1 / b**2,
        "entropy": lambda b: 1 - mp.log(b),
    },
    "weibull": {
        "params": ("moderate", "positive"),
        "x": "closed",
        "log_prob": weibull,
        "mean": lambda k, s: s * mp.gamma(1 + 1 / k),
        "variance": lambda k, s: s**2 * (mp.gamma(1 + 2 / k) - mp.gamma(1 + 1 / k) ** 2),
        "entropy": lambda k, s: mp.euler * (1 - 1 / k) + mp.log(s / k) + 1,
    },
    "dirichlet": {"params": ("moderate",) * 3, "x": "shares", "log_prob": dirichlet},
}

KINDS = {
    "positive": lambda dtype: [*POSITIVE[dtype], *WRONG],
    "moderate": lambda dtype: [1e-30, 1e-4, 0.02, 0.5, 1.0, 3.0, 50.0, 1e4, 1e8, 1e30, *WRONG],
    "real": lambda dtype: [*real(dtype), *beyond(dtype)],
    "logs": lambda dtype: [0.0, 1e-30, 0.3, -0.3, 5.0, -5.0, 30.0, -30.0, 80.0, -80.0, 700.0, -700.0, INF, -INF, NAN],
    "closed": lambda dtype: [0.0, -0.0, *POSITIVE[dtype], -1.0, INF],
    "shares": lambda dtype: [
        (0.25, 0.25, 0.5),
        (1.0, 0.0, 0.0),
        (0.5, 0.5, 0.0),
        (1e-30, 0.5, 0.5),
        (0.3, 0.3, 0.3),
        (-0.5, 0.75, 0.75),
    ],
}


def inputs(family, dtype, rng):
    """Parameters and variates: each value of each kind at least once, the others at random."""
    entry = FAMILIES[family]
    kinds = [KINDS[kind](dtype) for kind in (*entry["params"], entry["x"])]
    # What is ordinary of each, so that one strange value alone is seen.
    usual = [
        [x for x in kind if np.all(np.isfinite(x)) and np.all(np.abs(x) <= 50) and np.all(np.abs(x) >= 0.02)] or kind
        for kind in kinds
    ]
    found = []
    for place, kind in enumerate(kinds):
        for strange in kind:
            row = [values[rng.integers(len(values))] for values in usual]
            row[place] = strange
            found.append(row)
    while len(found) < INPUTS // 2:
        found.append([values[rng.integers(len(values))] for values in kinds])
    order = rng.permutation(len(found))
    return [found[i] for i in order[: INPUTS // 2]]


def is_valid(family, params):
    for kind, value in zip(FAMILIES[family]["params"], params, strict=True):
        if not np.isfinite(value) or (kind in ("positive", "moderate") and value <= 0):
            return False
    return True


def in_support(kind, x):
    if kind == "shares":
        return min(x) >= 0 and abs(sum(x) - 1) < 1e-6
    return x >= 0 if kind in ("closed", "positive") else True


def truth(family, dtype, quantity, params, x):
    """The answer and the unit of its errors; "error" where only an error, or NaN, is right; None: not compared."""
    entry = FAMILIES[family]
    formula = entry.get(quantity)
    if formula is None:
        return None
    if not is_valid(family, params):
        return "error"
    given = [mp.mpf(float(np.dtype(dtype).type(p))) for p in params]
    if quantity != "log_prob":
        value = formula(*given)
        return "error" if value is None else _with_unit(lambda *p: formula(*p), given, value)
    if not in_support(entry["x"], x):
        return mp.mpf("-inf"), mp.mpf(1)  # or an error
    if entry["x"] == "shares":
        place = [mp.mpf(float(np.dtype(dtype).type(y))) for y in x]
        value = formula(place, *given)
        return _with_unit(lambda *p: formula(place, *p), given, value)
    if not np.isfinite(x):
        return mp.mpf("-inf"), mp.mpf(1)
    place = mp.mpf(float(np.dtype(dtype).type(x)))
    value = formula(place, *given)
    return _with_unit(lambda y, *p: formula(y, *p), [place, *given], value)


def _with_unit(formula, given, value):
    if not mp.isfinite(value):
        return value, mp.mpf(1)
    unit = abs(value)
    for i, at in enumerate(given):
        step = abs(at) * STEP
        if not step:
            continue
        moved = [x + step * (i == j) for j, x in enumerate(given)]
        after = formula(*moved)
        if after is not None and mp.isfinite(after):
            unit += abs(after - value) / STEP
    return value, unit


def verdict(answer, expected, dtype):
    """`right`, `refused` or `wrong`."""
    if isinstance(answer, str):
        return "right" if expected == "error" else "refused"
    got = [float(x) for x in answer]
    if expected == "error":
        return "right" if all(np.isnan(x) for x in got) else "wrong"
    value, unit = expected
    limits = np.finfo(dtype)
    if len(got) != 1 or np.isnan(got[0]):
        return "wrong"
    if not mp.isfinite(value) or abs(value) > mp.mpf(float(limits.max)):
        return "right" if got[0] == (float("inf") if value > 0 else -float("inf")) else "wrong"
    if not np.isfinite(got[0]):
        return "wrong"
    allowed = TOLERANCE[dtype] * unit + 4 * float(limits.tiny)
    return "right" if abs(mp.mpf(got[0]) - value) <= allowed else "wrong"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--torch-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--show", action="store_true", help="print each input that kgdists misses")
    args = parser.parse_args()
    pythons = {"kgdists": sys.executable, "tfp": sys.executable, "torch": args.torch_python}
    workers = {name: Worker([pythons[name], WORKER, name]) for name in LIBRARIES}
    results = {}
    for family in args.families:
        rng = np.random.default_rng(0)
        counts = {name: Counter() for name in LIBRARIES}
        worse = []
        for dtype in ("float32", "float64"):
            for *params, x in inputs(family, dtype, rng):
                question = {"family": family, "dtype": dtype, "params": params, "x": x}
                answers = {name: worker.ask(question) for name, worker in workers.items()}
                for quantity in QUANTITIES:
                    expected = truth(family, dtype, quantity, params, x)
                    if expected is None:
                        continue
                    found = {name: verdict(answers[name][quantity], expected, dtype) for name in LIBRARIES}
                    for name in LIBRARIES:
                        counts[name][found[name]] += 1
                    if found["kgdists"] == "wrong":
                        others = [name for name in LIBRARIES if found[name] == "right"]
                        shown = expected if expected == "error" else mp.nstr(expected[0], 10)
                        worse.append((quantity, question, answers["kgdists"][quantity], shown, others))
        results[family] = {name: dict(count) for name, count in counts.items()}
        results[family]["silently wrong where another is right"] = sum(bool(others) for *_, others in worse)
        print(family, results[family], flush=True)
        for row in worse if args.show else ():
            print("   ", *row)
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
