"""Environment steps per second of PPO with the nature network on ALE/Pong-v5: kgdists against Stable-Baselines3.

python tests/benchmarks/pong.py --peers .venv-peers/bin/python [--rounds 3] [--out docs/results/pong.json]

Both interpreters need `ale-py` and `opencv-python-headless`.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from pong_worker import LIBRARIES, UNTIMED
from rounds import machine, print_table, ratios, run, spread


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True, help="interpreter with stable-baselines3")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8 * 1024, help="of a run")
    parser.add_argument("--threads", type=int, default=2, help="of an operation")
    parser.add_argument("--out", type=Path, help="JSON file for all measurements")
    options = parser.parse_args()
    title = (
        f"PPO on ALE/Pong-v5, runs of {options.steps} steps without their first {UNTIMED} rollouts, "
        f"rounds: {options.rounds}, threads: {options.threads}, {machine()} before"
    )
    results = []
    for seed in range(options.rounds):
        for library in LIBRARIES:
            python = sys.executable if library == "kgdists" else options.peers
            worker = Path(__file__).with_name("pong_worker.py")
            command = [python, worker, library, options.steps, "--seed", seed, "--threads", options.threads]
            results.append(json.loads(run(command)[0].splitlines()[-1]) | {"before": machine()})
            print(f"round {seed + 1}, {library}: {results[-1]['steps_per_second']:.0f} steps/s", file=sys.stderr)
            if options.out:  # already now, lest an interrupted benchmark lose all
                options.out.write_text(json.dumps({"title": title, "results": results}, indent=1) + "\n")
    speeds = {x: [result["steps_per_second"] for result in results if result["library"] == x] for x in LIBRARIES}
    print(title)
    rows = [
        [x, f"{statistics.median(found):.0f}", *spread(ratios(speeds["kgdists"], found))] for x, found in speeds.items()
    ]
    print_table(["library", "steps/s", "kgdists is x times as fast", "min", "max"], rows)


if __name__ == "__main__":
    main()
