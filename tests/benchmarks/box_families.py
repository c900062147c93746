"""Learning curves of PPO with each family of distributions for a bounded box.

Each run is the command `kgdists train`, with one thread; results go to a figure and a JSON file, beside those of other
environments that it has.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rounds import print_table

from kgdists.spaces import BOX_FAMILIES


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="LunarLanderContinuous-v3")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="default: tuned")
    parser.add_argument("--processes", type=int, default=4, help="runs at a time")
    parser.add_argument("--runs", type=Path, default=Path("runs/box_families"))
    parser.add_argument("--results", type=Path, default=Path("docs/results/box_families.json"))
    parser.add_argument("--figure", type=Path, help="default: docs/images/box_families_ENV.png")
    options = parser.parse_args()

    jobs = [(family, seed) for seed in range(options.seeds) for family in BOX_FAMILIES]
    with ThreadPoolExecutor(options.processes) as pool:
        runs = list(pool.map(lambda job: train(*job, options), jobs))
    results = {family: [run for run in runs if run["family"] == family] for family in BOX_FAMILIES}
    known = json.loads(options.results.read_text()) if options.results.exists() else {}
    options.results.write_text(json.dumps(known | {options.env: results}, indent=1) + "\n")
    figure = options.figure or Path(f"docs/images/box_families_{options.env}.png")
    plot(options.env, results).savefig(figure, dpi=100)
    header = ["family", *(f"seed {seed}" for seed in range(options.seeds))]
    print_table(header, [[family, *(f"{run['mean']:.1f}" for run in rows)] for family, rows in results.items()])


def train(family, seed, options):
    """One run: its learning curve and its evaluation."""
    folder = options.runs / options.env / f"{family}_{seed}"
    env, family_and_seed = options.env, ["--agent", "ppo", "--box-family", family, "--seed", seed]
    command = [sys.executable, "-m", "kgdists", "train", env, *family_and_seed, "--out", folder]
    steps = ["--steps", options.steps] if options.steps else []
    subprocess.run([str(word) for word in [*command, *steps]], check=True, stdout=subprocess.DEVNULL)
    with (folder / "metrics.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    returns = json.loads((folder / "evaluation.json").read_text())["returns"]
    every = max(1, len(rows) // 50)
    return {
        "family": family,
        "seed": seed,
        "episodes": len(returns),
        "mean": statistics.fmean(returns),
        "std": statistics.pstdev(returns),
        "curve": [[int(float(row["steps"])), round(float(row["return"]), 1)] for row in rows[::every]],
    }


def plot(env, results):
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for i, (family, runs) in enumerate(results.items()):
        steps = np.array(runs[0]["curve"])[:, 0]
        returns = np.array([[value for _, value in run["curve"]] for run in runs])
        axes.plot(steps, returns.mean(axis=0), color=f"C{i}", label=family)
        axes.fill_between(steps, returns.min(axis=0), returns.max(axis=0), color=f"C{i}", alpha=0.15)
    axes.set(title=f"{env}: mean and range of {len(runs)} seeds", xlabel="environment steps", ylabel="return")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    main()
