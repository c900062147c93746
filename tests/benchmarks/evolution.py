"""Generations per second, and what they reach, of kgdists, EvoTorch and evosax on Rastrigin's function, in turn."""

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np
from evolution_worker import fast_rastrigin, rastrigin
from rounds import Worker, machine, print_table, ratios

WORKER = Path(__file__).with_name("evolution_worker.py")
LIBRARIES = ("kgdists", "evotorch", "evosax")
# Method, dimensions, population, generations of a timed run and of a search for quality.
ROWS = (
    ("snes", 100, 1000, 100, 300),
    ("snes", 10_000, 200, 10, 50),
    ("pgpe", 100, 1000, 100, 300),
    ("pgpe", 10_000, 200, 10, 50),
    ("cem", 100, 1000, 100, 100),
    ("cem", 10_000, 200, 10, 50),
    ("xnes", 50, 200, 100, 300),
)
OBJECTIVES = ("fast", "cosine")  # a polynomial, and the library's own cosine


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="interpreter with evotorch and evosax")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="processors for each library; default: all")
    parser.add_argument("--seeds", type=int, default=5, help="searches for quality; 0: only speed")
    parser.add_argument("--out", type=Path, help="JSON file for all measurements")
    options = parser.parse_args()

    x = np.random.default_rng(0).normal(scale=3.0, size=1000)
    np.testing.assert_allclose(fast_rastrigin(x, np.round, np.sum), rastrigin(x), rtol=1e-7)
    threads = ["--threads", options.threads] if options.threads else []
    title, workers = f"rounds: {options.rounds}, threads: {options.threads or 'default'}, {machine()} before", {}
    for name in LIBRARIES:
        workers[name] = Worker([sys.executable if name == "kgdists" else options.peers, WORKER, name, *threads])
        title += f"\n- {workers[name].answer()}"
    print(f"{title}\n", flush=True)
    results = {"title": title, "speed": speed(workers, options.rounds)}
    if options.seeds:
        print(flush=True)
        results["quality"] = quality(workers, options.seeds)
    print(f"\n{machine()} after")
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


def libraries(method):
    return [name for name in LIBRARIES if (method, name) != ("cem", "evosax")]  # which has none


def speed(workers, rounds):
    """Milliseconds per generation with either cosine; ratios to the better peer, each with the better of its two."""
    answers, rows = [], []
    for method, dimensions, popsize, generations, _ in ROWS:
        kinds = [(name, objective) for name in libraries(method) for objective in OBJECTIVES]
        times = {kind: {"seconds": [], "processor": []} for kind in kinds}
        for counts in range(-1, rounds):
            for name, objective in kinds:
                answer = workers[name].ask(["speed", method, dimensions, popsize, generations, objective])
                if counts >= 0:  # the first round warms up
                    for what, some in times[name, objective].items():
                        some.append(answer[what])
        medians = {kind: statistics.median(some["seconds"]) for kind, some in times.items()}
        row = [f"{method.upper()} {dimensions} x {popsize}"]
        row += [
            f"{1e3 * medians[name, x]:.2f}" if (name, x) in medians else "" for name in LIBRARIES for x in OBJECTIVES
        ]
        best = [min((kind for kind in kinds if kind[0] == name), key=medians.get) for name in libraries(method)]
        own, peer = best[0], min(best[1:], key=medians.get)
        peer_cosine = min((kind for kind in kinds if kind[0] != "kgdists" and kind[1] == "cosine"), key=medians.get)
        compared = {
            "best": ratios(times[peer]["seconds"], times[own]["seconds"]),
            "processor": ratios(times[peer]["processor"], times[own]["processor"]),
            "cosine": ratios(times[peer_cosine]["seconds"], times["kgdists", "cosine"]["seconds"]),
        }
        row += [peer[0], "{:.2f} ({:.2f}-{:.2f})".format(*(f(compared["best"]) for f in (statistics.median, min, max)))]
        row += [f"{statistics.median(compared[name]):.2f}" for name in ("processor", "cosine")]
        rows.append(row)
        answers.append(
            {"row": row[0], "times": {", ".join(kind): some for kind, some in times.items()}, "ratios": compared}
        )
        print(" | ".join(row), file=sys.stderr, flush=True)
    header = ["ms per generation", *(f"{name}, {x}" for name in LIBRARIES for x in OBJECTIVES), "better peer"]
    print_table([*header, "x", "x, processor time", "x, cosine"], rows)
    return answers


def quality(workers, seeds):
    """The objective at the center after equal generations: median, least and most over seeds."""
    answers, rows = [], []
    for method, dimensions, popsize, _, generations in ROWS:
        row = [f"{method.upper()} {dimensions} x {popsize}", str(generations)]
        for name in LIBRARIES:
            if name not in libraries(method):
                row.append("")
                continue
            ask = [["quality", method, dimensions, popsize, seed, generations, "fast"] for seed in range(seeds)]
            values = [workers[name].ask(question)["value"] for question in ask]
            answers.append({"row": row[0], "library": name, "generations": generations, "values": values})
            row.append(f"{statistics.median(values):.4g} ({min(values):.4g}-{max(values):.4g})")
        rows.append(row)
        print(" | ".join(row), file=sys.stderr, flush=True)
    print_table(["Rastrigin at the center", "generations", *LIBRARIES], rows)
    return answers


if __name__ == "__main__":
    main()
