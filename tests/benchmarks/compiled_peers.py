"""Compiled trainings and environments of kgdists beside rejax, gymnax and envpool, in turns in one run."""

import argparse
import json
import statistics
import sys
from pathlib import Path

from rounds import machine, print_table, ratios, run, spread

WORKER = Path(__file__).with_name("compiled_peers_worker.py")
TASKS = {
    **dict.fromkeys(
        ("compiled-cartpole-short", "compiled-cartpole-long", "compiled-pendulum-10", "compiled-pendulum-2"), ("rejax",)
    ),
    **dict.fromkeys(("steps-8", "steps-256"), ("gymnax", "envpool")),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="interpreter with rejax, gymnax and envpool")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file for all measurements")
    options = parser.parse_args()

    title, results = f"Compiled environments, rounds: {options.rounds}, {machine()} before", []
    for seed in range(options.rounds):
        for task in options.tasks:
            for library in ("kgdists", *TASKS[task]):
                python = sys.executable if library == "kgdists" else options.peers
                said, _ = run([python, WORKER, library, task, "--seed", seed])
                results.append(json.loads(said.splitlines()[-1]))
                print(f"{task}, {library}: {results[-1]['steps_per_second']:.0f} steps/s", file=sys.stderr)
                if options.out:
                    options.out.write_text(json.dumps({"title": title, "results": results}, indent=1) + "\n")

    print(title)
    for line in sorted({"- {library} {version}: Python {python}".format(**x) for x in results}):
        print(line)
    print()
    rows = []
    for task in options.tasks:
        own = speeds_of(results, "kgdists", task)
        for library in ("kgdists", *TASKS[task]):
            speeds = speeds_of(results, library, task)
            first = statistics.median(
                x["seconds_of_the_first_call"] for x in results if (x["library"], x["task"]) == (library, task)
            )
            compared = [""] * 3 if library == "kgdists" else spread(ratios(own, speeds))
            rows.append([task, library, f"{statistics.median(speeds):.0f}", *compared, f"{first:.1f}"])
    print_table(["task", "library", "steps/s", "kgdists is x times as fast", "min", "max", "first call, s"], rows)


def speeds_of(results, library, task):
    """One for each round."""
    return [x["steps_per_second"] for x in results if (x["library"], x["task"]) == (library, task)]


if __name__ == "__main__":
    main()
