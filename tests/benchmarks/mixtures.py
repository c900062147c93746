"""Gaussian mixtures: training, densities, expectation maximisation and datasets, against their peers, in turn."""

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np
from mixtures_worker import COVARIANCES, MEANS, WEIGHTS
from rounds import Worker, machine, print_table, ratios, spread

WORKER = Path(__file__).with_name("mixtures_worker.py")
PARTS = ("training", "density", "memory", "em", "slice")
POINTS = 1_000_000
FAR = 10**12


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="interpreter with torch, jax and scikit-learn")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--iterations", type=int, default=5000, help="of a training")
    parser.add_argument("--em-iterations", type=int, default=10)
    parser.add_argument("--trainings", type=int, default=1, help="rounds of training, and of expectation maximisation")
    parser.add_argument("--rounds", type=int, default=9, help="of densities and slices")
    parser.add_argument("--out", type=Path, help="JSON file for all measurements")
    options = parser.parse_args()

    title, workers = f"{machine()} before", {}
    needed = {"training": "torch", "density": "jax", "em": "scikit-learn"}
    for name in ["kgdists", *(peer for part, peer in needed.items() if part in options.parts)]:
        workers[name] = Worker([sys.executable if name == "kgdists" else options.peers, WORKER, name])
        title += f"\n- {workers[name].answer()}"
    print(f"{title}\n", flush=True)
    results = {"title": title}
    for part in options.parts:
        results[part] = globals()[part](workers, options)
        print(flush=True)
    print(f"{machine()} after")
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


def training(workers, options):
    """One training of the tutorial with each divergence; kgdists' first one compiles."""
    answers, rows = [], []
    for divergence in ("forward", "reverse"):
        first = workers["kgdists"].ask(["train", divergence, options.iterations, 1000])
        theirs, own = [], []
        for seed in range(options.trainings):
            own.append(workers["kgdists"].ask(["train", divergence, options.iterations, seed]))
            theirs.append(workers["torch"].ask(["train", divergence, options.iterations, seed]))
        seconds = [[answer["seconds"] for answer in some] for some in (theirs, own)]
        final = [[divergence_of(divergence, answer) for answer in some] for some in (theirs, own)]
        answers.append({"divergence": divergence, "first": first, "torch": theirs, "kgdists": own, "final": final})
        rows.append(
            [
                divergence,
                *(f"{statistics.median(some):.2f}" for some in seconds),
                f"{first['seconds']:.2f}",
                f"{statistics.median(ratios(*seconds)):.1f}",
                f"{statistics.median(seconds[0]) / first['seconds']:.1f}",
                *(f"{statistics.median(some):.5f}" for some in final),
            ]
        )
    header = ["training", "torch [s]", "kgdists [s]", "first [s]", "x torch", "first x torch", "torch's KL", "own KL"]
    print_table(header, rows)
    return answers


def divergence_of(divergence, answer):
    """Of target and fit, or of fit and target, by the trapezoid rule on a grid."""
    axis = np.linspace(-14.0, 18.0, 1601)
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    log_p = log_density(x, WEIGHTS, MEANS, COVARIANCES)
    log_q = log_density(x, *(np.array(answer[name]) for name in ("weights", "means", "covariances")))
    if divergence == "reverse":
        log_p, log_q = log_q, log_p
    return float(np.sum(np.exp(log_p) * (log_p - log_q)) * (axis[1] - axis[0]) ** 2)


def log_density(x, weights, means, covariances):
    terms = []
    for weight, mean, covariance in zip(weights, means, covariances, strict=True):
        z = np.linalg.solve(np.linalg.cholesky(covariance), (x - mean).T)
        half_log_det = 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
        terms.append(np.log(weight) - half_log_det - 0.5 * np.sum(z**2, axis=0))
    return np.logaddexp.reduce(terms)


def density(workers, options):
    """Log-density and score of GMM40 on a million points."""
    answers, rows = [], []
    for what in ("log_prob", "score"):
        seconds = {"kgdists": [], "TFP XLA": [], "JAX jit": []}
        for _ in range(options.rounds):
            seconds["kgdists"].append(workers["kgdists"].ask(["density", what, POINTS])["seconds"])
            seconds["TFP XLA"].append(workers["kgdists"].ask(["density", what, POINTS, "tfp"])["seconds"])
            seconds["JAX jit"].append(workers["jax"].ask(["density", what, POINTS])["seconds"])
        answers.append({"what": what, "seconds": seconds})
        own = seconds["kgdists"]
        times = [f"{1e3 * statistics.median(some):.1f}" for some in seconds.values()]
        rows.append([what, *times, *(f"{statistics.median(ratios(seconds[x], own)):.1f}" for x in list(seconds)[1:])])
    print_table(["GMM40, 10^6 points", *(f"{name} [ms]" for name in seconds), "x TFP", "x JAX"], rows)
    return answers


def memory(workers, options):
    """What the score of ten million points takes beyond that of one million, without points and values."""
    answers = {count: workers["kgdists"].ask(["memory", count])["bytes"] for count in (POINTS, 10 * POINTS)}
    cells = [f"{max(0, taken) / 2**20:.0f}" for taken in answers.values()]
    print_table(["score of GMM40", *(f"{count:.0e} points [MiB]" for count in answers)], [["working memory", *cells]])
    return answers


def em(workers, options):
    """The same iterations from the same start."""
    answers = {"kgdists": [], "scikit-learn": []}
    for _ in range(options.trainings):
        for name, some in answers.items():
            some.append(workers[name].ask(["em", options.em_iterations]))
    seconds = {name: [answer["seconds"] for answer in some] for name, some in answers.items()}
    likelihoods = [f"{some[-1]['log_likelihood']:.6f}" for some in answers.values()]
    ratio = statistics.median(ratios(seconds["scikit-learn"], seconds["kgdists"]))
    header = ["EM, 10^6 x 6, 8 components", *(f"{name} [s]" for name in answers), "x scikit-learn"]
    header += [f"{name}: log-likelihood" for name in answers]
    times = [f"{statistics.median(some):.2f}" for some in seconds.values()]
    print_table(header, [[f"{options.em_iterations} iterations", *times, f"{ratio:.1f}", *likelihoods]])
    return answers


def slice(workers, options):
    """A thousand rows of a dataset, the first ones and those from row 10^12."""
    seconds = {0: [], FAR: []}
    for _ in range(options.rounds):
        for first, some in seconds.items():
            some.append(workers["kgdists"].ask(["slice", first])["seconds"])
    times = [f"{1e3 * statistics.median(some):.2f}" for some in seconds.values()]
    header = ["1,000 rows of GMM40", "row 0 [ms]", "row 10^12 [ms]", "ratio", "least", "most"]
    print_table(header, [["", *times, *spread(ratios(seconds[FAR], seconds[0]))]])
    return seconds


if __name__ == "__main__":
    main()
