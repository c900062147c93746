"""Environment steps per second of PPO on CartPole-v1: kgdists against Stable-Baselines3 and SBX."""

import argparse
import itertools
import json
import statistics
import sys
from pathlib import Path

from rounds import WORKER, machine, print_table, ratios, run, spread
from worker import LIBRARIES, SETTINGS, UNTIMED


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="interpreter with stable-baselines3 and sbx-rl")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40_960, help="of a run")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--peer-threads", type=int, help="of torch; default: torch's own")
    parser.add_argument("--evaluate", action="store_true", help="play 100 episodes after each run")
    parser.add_argument("--out", type=Path, help="JSON file for all measurements")
    options = parser.parse_args()

    title = (
        f"PPO on CartPole-v1, 8 environments, runs of {options.steps} steps without their first {UNTIMED} rollouts, "
        f"rounds: {options.rounds}, {machine()} before"
    )
    results = []
    for seed, setting, library in itertools.product(range(options.rounds), options.settings, LIBRARIES):
        results.append(measure(library, setting, seed, options))
        speed = results[-1]["steps_per_second"]
        print(f"round {seed + 1} of {options.rounds}, {setting}, {library}: {speed:.0f} steps/s", file=sys.stderr)
        if options.out:  # already now, lest an interrupted benchmark lose all
            options.out.write_text(json.dumps({"title": title, "results": results}, indent=1) + "\n")

    print(title)
    for result in results[: len(LIBRARIES)]:
        print("- {library} {version}: Python {python}, {backend}, threads: {threads}".format(**result))
    print()
    print_table(*summary(results, options.settings))


def measure(library, setting, seed, options):
    """Train with one library in a fresh process."""
    python = sys.executable if library == "kgdists" else options.peers
    command = [python, WORKER, library, setting, options.steps, "--seed", seed]
    if options.peer_threads:
        command += ["--threads", options.peer_threads]
    if options.evaluate:
        command.append("--evaluate")
    return json.loads(run(command)[0].splitlines()[-1])


def summary(results, settings):
    """Header and rows of the table: medians over the rounds, of ratios within a round."""
    header = ["setting", "library", "steps/s", "kgdists is x times as fast", "min", "max", "final return", "evaluation"]
    rows = []
    for setting, library in itertools.product(settings, LIBRARIES):
        own = pick(results, setting, "kgdists", "steps_per_second")
        speeds = pick(results, setting, library, "steps_per_second")
        evaluations = pick(results, setting, library, "evaluation")
        rows.append(
            [
                setting,
                library,
                f"{statistics.median(speeds):.0f}",
                *([""] * 3 if library == "kgdists" else spread(ratios(own, speeds))),
                f"{statistics.fmean(pick(results, setting, library, 'final_return')):.1f}",
                "" if None in evaluations else f"{statistics.fmean(evaluations):.1f}",
            ]
        )
    return header, rows


def pick(results, setting, library, key):
    """One value per round."""
    return [result[key] for result in results if (result["setting"], result["library"]) == (setting, library)]


if __name__ == "__main__":
    main()
