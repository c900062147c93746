"""Time of densities, divergences, draws and their gradients: kgdists against TFP, torch and Distrax."""

import argparse
import itertools
import json
import statistics
import sys
from pathlib import Path

from distribution_worker import DISTRIBUTIONS, FRAMEWORKS, MEASURES
from rounds import Worker, machine, print_table, ratios

BATCHES = {"8x4": (8, 4), "256x6": (256, 6), "65536x18": (65536, 18), "4096x1000": (4096, 1000)}
PEERS = {
    "TFP": ["TFP graph", "TFP XLA"],
    "torch eager": ["torch eager"],
    "Distrax jit": ["Distrax jit"],
    "torch.compile": ["torch.compile"],
}
WORKER = Path(__file__).with_name("distribution_worker.py")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="interpreter with torch and distrax; default: TFP alone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--distributions", nargs="+", choices=DISTRIBUTIONS, default=list(DISTRIBUTIONS))
    parser.add_argument("--batches", nargs="+", choices=BATCHES, default=list(BATCHES))
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=MEASURES)
    parser.add_argument(
        "--without", nargs="+", default=[], metavar="NAME", help="columns to leave out: TFP, eager, ..."
    )
    parser.add_argument("--threads", type=int, help="processors for each library; default: all")
    parser.add_argument("--out", type=Path, help="JSON file for all measurements")
    options = parser.parse_args()

    threads = ["--threads", options.threads] if options.threads else []
    frameworks = list(FRAMEWORKS) if options.peers else ["tensorflow"]
    title = f"rounds: {options.rounds}, threads: {options.threads or 'default'}, {machine()} before"
    workers = {}
    for framework in frameworks:
        python = sys.executable if framework == "tensorflow" else options.peers
        worker = Worker([python, WORKER, framework, *threads])
        title += f"\n- {worker.answer()}"
        names = [name for name in FRAMEWORKS[framework].NAMES if not any(part in name for part in options.without)]
        workers |= dict.fromkeys(names, worker)

    results = []
    for distribution, batch, measure in itertools.product(options.distributions, options.batches, options.measures):
        if not DISTRIBUTIONS[distribution].has(measure, BATCHES[batch][1]):
            continue
        seconds = {name: [] for name in workers}
        for i in range(options.rounds + 1):
            for name, worker in workers.items():
                elapsed = worker.ask([distribution, measure, *BATCHES[batch], name])
                if i > 0 and elapsed is not None:  # the first round compiles
                    seconds[name].append(elapsed)
        results.append({"distribution": distribution, "batch": batch, "measure": measure, "seconds": seconds})
        print(f"{distribution}, {batch}, {measure}", file=sys.stderr)
        if options.out:  # already now, lest an interrupted benchmark lose all
            options.out.write_text(json.dumps({"title": title, "results": results}, indent=1) + "\n")

    print(f"{title}\n")
    print_table(*times(results, list(workers)))
    print()
    print_table(*comparison(results))
    for distribution in options.distributions:
        print(f"\n{distribution}: up to {DISTRIBUTIONS[distribution].largest} dimensions", end="")
    print()


def times(results, names):
    """Header and rows: the median time of a call in microseconds."""
    rows = [[*row(result), *(micros(result["seconds"][name]) for name in names)] for result in results]
    return ["distribution", "batch", "measure", *(f"{name} [us]" for name in names)], rows


def comparison(results):
    """Header and rows: how many times as fast kgdists' better compiled form is as each peer, and its eager form."""
    header = ["distribution", "batch", "measure", *(f"x {peer}" for peer in PEERS), "eager x TFP eager"]
    rows = []
    for result in results:
        seconds = result["seconds"]
        own = best(seconds, ["kgdists graph", "kgdists XLA"])
        cells = [ratio(best(seconds, names), own) for names in PEERS.values()]
        eager = ratio(best(seconds, ["TFP eager"]), best(seconds, ["kgdists eager"]))
        rows.append([*row(result), *cells, eager])
    return header, rows


def row(result):
    return [result[key] for key in ("distribution", "batch", "measure")]


def best(seconds, names):
    """The times of the one with the least median; none where it was not measured."""
    return min((seconds[name] for name in names if seconds.get(name)), key=statistics.median, default=[])


def micros(values):
    return f"{1e6 * statistics.median(values):.0f}" if values else ""


def ratio(theirs, own):
    """Median of the ratios within a round."""
    return f"{statistics.median(ratios(theirs, own)):.2f}" if theirs and own else ""


if __name__ == "__main__":
    main()
