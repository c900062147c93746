"""Environment steps per second of agents in one run: kgdists against Stable-Baselines3, SBX and an earlier kgdists."""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

from agents_worker import TASKS
from rounds import machine, print_table, ratios, run, spread

WORKER = Path(__file__).with_name("agents_worker.py")
BEFORE = "kgdists before"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="interpreter with stable-baselines3 and sbx-rl")
    parser.add_argument("--before", type=Path, help="a checkout of an earlier kgdists to compare with as well")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of each run; default: the task's")
    parser.add_argument("--peer-threads", type=int, help="of torch; default: torch's own")
    parser.add_argument("--out", type=Path, help="JSON file for all measurements")
    options = parser.parse_args()

    title, results = f"Agents, rounds: {options.rounds}, {machine()} before", []
    for seed in range(options.rounds):
        for task in options.tasks:
            for library in libraries(task, options):
                results.append(measure(library, task, seed, options))
                speed = results[-1]["steps_per_second"]
                print(f"round {seed + 1} of {options.rounds}, {task}, {library}: {speed:.0f} steps/s", file=sys.stderr)
                if options.out:  # already now, lest an interrupted benchmark lose all
                    options.out.write_text(json.dumps({"title": title, "results": results}, indent=1) + "\n")

    print(title)
    for line in sorted({"- {library} {version}: Python {python}, threads: {threads}".format(**x) for x in results}):
        print(line)
    print()
    print_table(*summary(results, options))


def libraries(task, options):
    """Those that take turns in a round."""
    before = [BEFORE] if options.before and TASKS[task].agent == "PPO" else []
    return ["kgdists", *before, *TASKS[task].peers]


def measure(library, task, seed, options):
    """Train with one library in a fresh process."""
    python = options.peers if library in TASKS[task].peers else sys.executable
    command = [python, WORKER, library.removesuffix(" before"), task, "--seed", seed]
    if library == BEFORE:
        command = ["env", f"PYTHONPATH={options.before}", *command]
    for name, value in (("--steps", options.steps), ("--threads", options.peer_threads)):
        command += [name, value] if value else []
    load = os.getloadavg()[0]
    return json.loads(run(command)[0].splitlines()[-1]) | {"library": library, "load": load}


def summary(results, options):
    """Header and rows of the table: medians over the rounds, of ratios within a round."""
    header = ["task", "library", "steps/s", "kgdists is x times as fast", "min", "max", "final return"]
    rows = []
    for task in options.tasks:
        own = pick(results, task, "kgdists", "steps_per_second")
        for library in libraries(task, options):
            speeds = pick(results, task, library, "steps_per_second")
            rows.append(
                [
                    task,
                    library,
                    f"{statistics.median(speeds):.0f}",
                    *([""] * 3 if library == "kgdists" else spread(ratios(own, speeds))),
                    f"{statistics.fmean(pick(results, task, library, 'final_return')):.1f}",
                ]
            )
    return header, rows


def pick(results, task, library, key):
    """One value per round."""
    return [result[key] for result in results if (result["task"], result["library"]) == (task, library)]


if __name__ == "__main__":
    main()
