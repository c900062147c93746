"""Results of `python -m kgdists.agents.benchmark` as docs/results/agents.json and as the table of docs/benchmarks.md.

    python tests/benchmarks/learning.py DIR

Results that the JSON file has already are kept, unless DIR has newer ones of the same environment, agent and seed.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from kgdists.agents.benchmark import read_results
from kgdists.agents.tuned import TUNED

DOCS = Path(__file__).parent.parent.parent / "docs"
START, END = "<!-- made by tests/benchmarks/learning.py -->\n", "<!-- end -->\n"
KEPT = ("env", "agent", "seed", "steps", "seconds", "steps_per_second")

# Mean return and steps in benchmark.md of RL Baselines3 Zoo, one run each.
PUBLISHED = {
    ("CartPole-v1", "ppo"): (500.0, "100k"),
    ("Acrobot-v1", "ppo"): (-73.5, "1M"),
    ("MountainCarContinuous-v0", "ppo"): (88.3, "20k"),
    ("MountainCarContinuous-v0", "sac"): (94.7, "50k"),
    ("Pendulum-v1", "ppo"): (-172.0, "100k"),
    ("Pendulum-v1", "sac"): (-157.0, "20k"),
    ("LunarLander-v3", "ppo"): (242.0, "1M"),
    ("LunarLanderContinuous-v3", "ppo"): (271.0, "1M"),
    ("LunarLanderContinuous-v3", "sac"): (260.0, "500k"),
    ("BipedalWalker-v3", "ppo"): (213.0, "5M"),
    ("BipedalWalker-v3", "sac"): (298.0, "500k"),
    ("HalfCheetah-v5", "ppo"): (5819.0, "1M"),
    ("HalfCheetah-v5", "sac"): (9535.0, "1M"),
    ("Hopper-v5", "ppo"): (2410.0, "1M"),
    ("Walker2d-v5", "ppo"): (3479.0, "1M"),
}


def summary(result):
    """What the docs keep of a run."""
    returns = np.array(result["returns"])
    statistics = {"mean": returns.mean(), "std": returns.std(), "min": returns.min(), "max": returns.max()}
    return {name: result[name] for name in KEPT} | {name: round(float(x), 2) for name, x in statistics.items()}


def merged(file, results):
    """All runs, sorted: those of a JSON file, and newer ones in their place."""
    known = json.loads(file.read_text()) if file.is_file() else []
    runs = {(run["env"], run["agent"], run["seed"]): run for run in [*known, *map(summary, results)]}
    order = {(env, agent): i for i, (env, agent) in enumerate((env, agent) for env in TUNED for agent in TUNED[env])}
    return [runs[key] for key in sorted(runs, key=lambda key: (order.get(key[:2], len(order)), key))]


def table(runs):
    """Markdown: a row for each environment and agent."""
    lines = [
        "| environment | agent | steps | mean return of each seed | mean | Zoo | after | minutes | steps/s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    groups = {}
    for run in runs:
        groups.setdefault((run["env"], run["agent"]), []).append(run)
    for (env, agent), group in groups.items():
        published, after = PUBLISHED.get((env, agent), ("", ""))
        cells = [
            env,
            agent,
            span([run["steps"] for run in group]),
            ", ".join(number(run["mean"]) for run in group),
            number(np.mean([run["mean"] for run in group])),
            number(published) if after else "",
            after,
            span([round(run["seconds"] / 60, 1) for run in group]),
            span([round(run["steps_per_second"]) for run in group]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def number(x):
    return f"{x:,.0f}" if abs(x) >= 1000.0 else f"{x:.1f}"


def span(numbers):
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*", metavar="DIR")
    folders = parser.parse_args().folders
    file, page = DOCS / "results" / "agents.json", DOCS / "benchmarks.md"
    runs = merged(file, [result for folder in folders for result in read_results(folder)])
    file.write_text("[\n" + ",\n".join(f" {json.dumps(run)}" for run in runs) + "\n]\n")
    before, rest = page.read_text().split(START)
    page.write_text(before + START + table(runs) + "\n" + END + rest.split(END, 1)[1])
    print(table(runs))


if __name__ == "__main__":
    main()
